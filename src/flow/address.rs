//! Deposit addresses: the same customer, the same address, for ever; none leaves without the co-signer's word (law L19).

use sha2::{Digest, Sha256};

use super::Allocated;
use super::context::Context;
use super::ledger::Ledger;
use super::ledger::rows::{self, AddressRow, Signed};
use super::writer::Turn;
use crate::audit::EntryKind;
use crate::bitcoin::Branch;
use crate::desk::{AddressOrder, DeskError, SignedText};
use crate::store::Table;
use crate::withdrawal::{Code, CustomerRef, Organisation};

/// The key of a customer's address row at either party: a hash, because references may be long.
pub fn customer_key(organisation: &Organisation, customer_ref: &CustomerRef) -> String {
    let mut hash = Sha256::new();
    hash.update(organisation.as_str().as_bytes());
    hash.update([0]);
    hash.update(customer_ref.as_str().as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    data_encoding::HEXLOWER.encode(&digest)
}

fn key(order: &AddressOrder) -> String {
    customer_key(&order.organisation, &order.customer_ref)
}

/// Gives each order its address: the one it has, or the next of branch 0.
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
    if let Some(row) = ledger.addresses.of_customer(&order.organisation, order.customer_ref.as_str()) {
        return allocated(order, row);
    }
    let index = ledger.addresses.next_deposit;
    let script =
        ledger.addresses.script(&context.wallet, Branch::Deposit, index).map_err(DeskError::Invalid)?;
    let row = AddressRow {
        organisation: order.organisation.to_string(),
        customer_ref: order.customer_ref.to_string(),
        index,
        address: script.address(context.wallet.network()),
        script_pubkey: script.script_pubkey().to_hex_string(),
        attestation: None,
    };
    turn.draft.entry(
        EntryKind::Address,
        &[
            ("address", &row.address),
            ("asset", &context.asset),
            ("branch", &0),
            ("index", &index),
            ("wallet", &context.wallet.fingerprint()),
            ("organisation", &order.organisation),
            ("customer", &key(order)),
        ],
    );
    turn.draft.row(Table::Address, key(order), "allocated", turn.draft.now(), rows::write(&row));
    let allocated = allocated(order, &row);
    ledger.addresses.put(order.organisation.clone(), row, script.script_pubkey().to_owned());
    allocated
}

fn allocated(order: &AddressOrder, row: &AddressRow) -> Result<Allocated, DeskError> {
    let unreadable = || DeskError::nothing_happened(Code::Internal, "a stored attestation cannot be read");
    let attestation = row.attestation.as_ref().map(|a| a.signed_text().ok_or_else(unreadable)).transpose()?;
    Ok(Allocated { order: order.clone(), index: row.index, address: row.address.clone(), attestation })
}

/// Keeps the co-signer's word for addresses.
pub fn attested(ledger: &mut Ledger, turn: &mut Turn, attested: Vec<(AddressOrder, SignedText)>) {
    for (order, word) in attested {
        let Some(row) = ledger.addresses.of_customer(&order.organisation, order.customer_ref.as_str()) else {
            continue;
        };
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
        ledger.addresses.update(&order.organisation, row);
    }
}
