//! Deposit addresses: derived here, and vouched for once and for ever (law L19).

use super::party::{Core, Party};
use super::state::DEPOSIT_AHEAD_MAX;
use crate::audit::EntryKind;
use crate::bitcoin::Branch;
use crate::desk::{AttestationOrder, SignedText};
use crate::evidence::attestation::{AddressAttestation, render_attestation};
use crate::flow::address::customer_key;
use crate::flow::ledger::journal::Draft;
use crate::flow::ledger::rows::{self, AddressRow, Signed};
use crate::store::Table;
use crate::withdrawal::{Code, Finding};

impl Party {
    pub(super) fn attest_one(
        &self,
        core: &mut Core,
        draft: &mut Draft,
        order: &AttestationOrder,
    ) -> Result<SignedText, Finding> {
        let key = customer_key(&order.organisation, &order.customer_ref);
        if let Some(known) = core.state.addresses.get(&key) {
            if known.index != order.index || order.branch != 0 {
                let detail =
                    format!("this customer's address has index {}, not {}", known.index, order.index);
                return Err(Finding::new(Code::EvidenceInvalid, detail));
            }
            if let Some(word) = known.attestation.as_ref().and_then(Signed::signed_text) {
                return Ok(word);
            }
        }
        let bound = core.state.scripts.highest[0].saturating_add(DEPOSIT_AHEAD_MAX);
        if order.branch != 0 || order.index > bound {
            let detail = format!(
                "branch {} index {} is no deposit address, or too far ahead",
                order.branch, order.index
            );
            return Err(Finding::new(Code::ChangeNotOwn, detail));
        }
        let network = self.context.wallet.network();
        let script = core.state.scripts.script(&self.context.wallet, Branch::Deposit, order.index);
        let script = script.map_err(|e| Finding::new(Code::Internal, e.to_string()))?;
        if core.state.addresses.is_taken(order.index) {
            return Err(Finding::new(Code::EvidenceInvalid, "this index belongs to another customer"));
        }
        let attestation = AddressAttestation {
            organisation: order.organisation.clone(),
            customer_ref: order.customer_ref.clone(),
            wallet: self.context.wallet.fingerprint(),
            network: self.context.asset.chain(),
            branch: 0,
            index: order.index,
            address: script.address(network),
            attested_at: draft.now(),
        };
        let text = render_attestation(&attestation);
        let signature =
            self.attestation.sign_text(&text).map_err(|e| Finding::new(Code::Internal, e.to_string()))?;
        let word = SignedText { text, key_id: "attestation".to_owned(), signature };
        let row = AddressRow {
            organisation: order.organisation.to_string(),
            customer_ref: order.customer_ref.to_string(),
            index: order.index,
            address: attestation.address.clone(),
            script_pubkey: script.script_pubkey().to_hex_string(),
            attestation: Some(Signed::of(&word)),
        };
        draft.entry(
            EntryKind::Attested,
            &[
                ("address", &attestation.address),
                ("wallet", &attestation.wallet),
                ("branch", &0),
                ("index", &order.index),
                ("attestation", &data_encoding::HEXLOWER.encode(&crate::evidence::digest(&word.text))),
            ],
        );
        draft.row(Table::Address, key.clone(), "attested", draft.now(), rows::write(&row));
        core.state.addresses.put(key, row);
        Ok(word)
    }
}
