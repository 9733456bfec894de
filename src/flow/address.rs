//! Deposit addresses: the same customer, the same address, for ever; none leaves without the co-signer's word (law L19).

use super::Allocated;
use super::context::Context;
use super::ledger::Ledger;
use super::ledger::rows::{self, AddressRow, Signed};
use super::rail::deposit::{self, BRANCH, Own, customer_key};
use super::writer::Turn;
use crate::audit::EntryKind;
use crate::desk::{AddressOrder, DeskError, SignedText};
use crate::store::Table;
use crate::withdrawal::{Chain, Code, Finding};

fn key(order: &AddressOrder) -> String {
    customer_key(order.asset.chain(), &order.organisation, &order.customer_ref)
}

fn known<'a>(ledger: &'a Ledger, order: &AddressOrder) -> Option<&'a AddressRow> {
    match order.asset.chain() {
        Chain::Bitcoin(_) => ledger.addresses.of_customer(&order.organisation, order.customer_ref.as_str()),
        Chain::Evm(chain) => ledger.treasury.deposits.of_customer(chain, &key(order)),
    }
}

/// Gives each order its address: the one it has on its chain, or the next.
pub fn allocate(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    orders: &[AddressOrder],
) -> Result<Vec<Allocated>, DeskError> {
    orders.iter().map(|order| allocate_one(context, ledger, turn, order)).collect()
}

fn allocate_one(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    order: &AddressOrder,
) -> Result<Allocated, DeskError> {
    let chain = order.asset.chain();
    let given = known(ledger, order).cloned();
    let index = given.as_ref().map_or_else(|| next_index(ledger, chain), |row| row.index);
    let addresses = &mut ledger.addresses;
    let mut script = |wallet: &_, index| addresses.script(wallet, BRANCH, index);
    let derived = deposit::derive(context, chain, index, &mut script).map_err(DeskError::Invalid)?;
    if let Some(row) = given {
        if row.address != derived.address {
            return Err(other_wallet(&row));
        }
        return allocated(order, derived.wallet, &row);
    }
    let row = derived.row(&order.organisation, &order.customer_ref, index);
    turn.draft.entry(
        EntryKind::Address,
        &[
            ("address", &row.address),
            ("asset", &order.asset),
            ("branch", &0),
            ("index", &index),
            ("wallet", &derived.wallet),
            ("organisation", &order.organisation),
            ("customer", &key(order)),
        ],
    );
    turn.draft.row(Table::Address, key(order), "allocated", turn.draft.now(), rows::write(&row));
    let allocated = allocated(order, derived.wallet, &row);
    match derived.own {
        Own::Script(script) => {
            let script = script.script_pubkey().to_owned();
            ledger.addresses.put(order.organisation.clone(), row, script);
        }
        Own::Account(chain, account) => ledger.treasury.deposits.put(chain, key(order), row, account),
    }
    allocated
}

fn next_index(ledger: &Ledger, chain: Chain) -> u32 {
    match chain {
        Chain::Bitcoin(_) => ledger.addresses.next_deposit,
        Chain::Evm(chain) => ledger.treasury.deposits.next_index(chain),
    }
}

/// What is pinned now gives another address than the customer has: nobody is shown one that nobody will empty.
fn other_wallet(row: &AddressRow) -> DeskError {
    let detail = format!("{} was handed out, and what is pinned now derives another there", row.address);
    DeskError::Refused(Finding::new(Code::TrustFileInvalid, detail))
}

fn allocated(order: &AddressOrder, wallet: String, row: &AddressRow) -> Result<Allocated, DeskError> {
    let unreadable = || DeskError::nothing_happened(Code::Internal, "a stored attestation cannot be read");
    let attestation = row.attestation.as_ref().map(|a| a.signed_text().ok_or_else(unreadable)).transpose()?;
    Ok(Allocated {
        order: order.clone(),
        index: row.index,
        wallet,
        address: row.address.clone(),
        attestation,
    })
}

/// Keeps the co-signer's word for addresses.
pub fn attested(ledger: &mut Ledger, turn: &mut Turn, attested: Vec<(AddressOrder, SignedText)>) {
    for (order, word) in attested {
        let Some(row) = known(ledger, &order) else { continue };
        let row = AddressRow { attestation: Some(Signed::of(&word)), ..row.clone() };
        let digest = data_encoding::HEXLOWER.encode(&crate::evidence::digest(&word.text));
        turn.draft.entry(
            EntryKind::Address,
            &[
                ("address", &row.address),
                ("asset", &order.asset),
                ("branch", &0),
                ("index", &row.index),
                ("attestation", &digest),
            ],
        );
        turn.draft.row(Table::Address, key(&order), "attested", turn.draft.now(), rows::write(&row));
        match order.asset.chain() {
            Chain::Bitcoin(_) => ledger.addresses.update(&order.organisation, row),
            Chain::Evm(chain) => ledger.treasury.deposits.update(chain, key(&order), row),
        }
    }
}
