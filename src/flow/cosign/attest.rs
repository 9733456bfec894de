//! Deposit addresses: derived here, and vouched for once and for ever (law L19).

use super::party::{Core, Party};
use super::state::{DEPOSIT_AHEAD_MAX, State};
use crate::audit::EntryKind;
use crate::desk::{AttestationOrder, SignedText};
use crate::evidence::attestation::{AddressAttestation, render_attestation};
use crate::flow::ledger::journal::Draft;
use crate::flow::ledger::rows::{self, AddressRow, Signed};
use crate::flow::rail::deposit::{self, BRANCH, Derived, Own, customer_key};
use crate::store::Table;
use crate::withdrawal::{Chain, Code, Finding, Invalid};

impl Party {
    pub(super) fn attest_one(
        &self,
        core: &mut Core,
        draft: &mut Draft,
        order: &AttestationOrder,
    ) -> Result<SignedText, Finding> {
        let state = &mut core.state;
        let key = customer_key(order.network, &order.organisation, &order.customer_ref);
        let known = known(state, order.network, &key).cloned();
        if known.is_none() {
            may_be_given(state, order)?;
        }
        let scripts = &mut state.scripts;
        let mut script = |wallet: &_, index| scripts.script(wallet, BRANCH, index);
        let derived = deposit::derive(&self.context, order.network, order.index, &mut script);
        let derived = derived.map_err(|Invalid { code, problem, .. }| Finding::new(code, problem))?;
        if let Some(known) = known {
            same(&known, order, &derived)?;
            if let Some(word) = known.attestation.as_ref().and_then(Signed::signed_text) {
                return Ok(word);
            }
        }
        let word = self.vouch(draft, order, &derived)?;
        let row = derived.row(&order.organisation, &order.customer_ref, order.index);
        let row = AddressRow { attestation: Some(Signed::of(&word)), ..row };
        draft.row(Table::Address, key.clone(), "attested", draft.now(), rows::write(&row));
        match derived.own {
            Own::Script(_) => state.addresses.put(key, row),
            Own::Account(chain, account) => state.treasury.deposits.put(chain, key, row, account),
        }
        Ok(word)
    }

    fn vouch(
        &self,
        draft: &mut Draft,
        order: &AttestationOrder,
        derived: &Derived,
    ) -> Result<SignedText, Finding> {
        let attestation = AddressAttestation {
            organisation: order.organisation.clone(),
            customer_ref: order.customer_ref.clone(),
            wallet: derived.wallet.clone(),
            network: order.network,
            branch: 0,
            index: order.index,
            address: derived.address.clone(),
            attested_at: draft.now(),
        };
        let text = render_attestation(&attestation);
        let signature =
            self.attestation.sign_text(&text).map_err(|e| Finding::new(Code::Internal, e.to_string()))?;
        let digest = data_encoding::HEXLOWER.encode(&crate::evidence::digest(&text));
        draft.entry(
            EntryKind::Attested,
            &[
                ("address", &attestation.address),
                ("wallet", &attestation.wallet),
                ("branch", &0),
                ("index", &order.index),
                ("attestation", &digest),
            ],
        );
        Ok(SignedText { text, key_id: "attestation".to_owned(), signature })
    }
}

fn known<'a>(state: &'a State, network: Chain, key: &str) -> Option<&'a AddressRow> {
    match network {
        Chain::Bitcoin(_) => state.addresses.get(key),
        Chain::Evm(chain) => state.treasury.deposits.of_customer(chain, key),
    }
}

/// What a customer has is vouched for again only as it is.
fn same(known: &AddressRow, order: &AttestationOrder, derived: &Derived) -> Result<(), Finding> {
    if known.index != order.index || order.branch != 0 {
        let detail = format!("this customer's address has index {}, not {}", known.index, order.index);
        return Err(Finding::new(Code::EvidenceInvalid, detail));
    }
    if known.address != derived.address {
        let detail = format!("{} was vouched for, and what is pinned now derives another", known.address);
        return Err(Finding::new(Code::TrustFileInvalid, detail));
    }
    Ok(())
}

/// Whether an index may be somebody's first address: on branch 0, nobody else's, and not far above all others.
fn may_be_given(state: &State, order: &AttestationOrder) -> Result<(), Finding> {
    let deposits = &state.treasury.deposits;
    let (highest, is_taken) = match order.network {
        Chain::Bitcoin(_) => (state.scripts.highest[0], state.addresses.is_taken(order.index)),
        Chain::Evm(chain) => (deposits.next_index(chain), deposits.at(chain, order.index).is_some()),
    };
    if order.branch != 0 || order.index > highest.saturating_add(DEPOSIT_AHEAD_MAX) {
        let detail =
            format!("branch {} index {} is no deposit address, or too far ahead", order.branch, order.index);
        return Err(Finding::new(Code::ChangeNotOwn, detail));
    }
    if is_taken {
        return Err(Finding::new(Code::EvidenceInvalid, "this index belongs to another customer"));
    }
    Ok(())
}
