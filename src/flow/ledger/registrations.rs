//! Customers' own wallets as a party knows them: each registration by its name, and the one in force for each wallet.
//! Signer and co-signer each keep their own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::journal::{Draft, JournalFault};
use super::rows::{self, RegistrationRow, Signed};
use crate::audit::EntryKind;
use crate::desk::{SignedText, WalletEvidence};
use crate::evidence::{
    Exemption, NotProven, Trust, VerifiedRegistration, VerifiedRemoval, VerifiedRequest, WalletClaim,
};
use crate::flow::wallet;
use crate::store::Table;
use crate::withdrawal::{Code, Finding, Seconds, WithdrawalRequest};

/// One registration: its row, and its evidence while that verifies under the trust file of today.
#[derive(Debug, Clone)]
pub struct Registered {
    /// As it stands in the store.
    pub row: RegistrationRow,
    verified: Option<Arc<VerifiedRegistration>>,
}

/// All registrations of a party.
#[derive(Debug, Default)]
pub struct Registrations {
    by_name: BTreeMap<String, Registered>,
    in_force: HashMap<WalletClaim, String>,
}

impl Registrations {
    /// The registration with that name, removed ones too.
    pub fn named(&self, name: &str) -> Option<&Registered> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Registered)> {
        self.by_name.iter()
    }

    /// Puts a row back that was read from the store; what no longer verifies exempts nothing.
    pub fn take_back(
        &mut self,
        trust: &Trust,
        name: String,
        row: RegistrationRow,
    ) -> Result<(), JournalFault> {
        let evidence = evidence_of(&row).ok_or_else(|| JournalFault::Unreadable(name.clone()))?;
        let verified = match wallet::reverify(trust, &evidence) {
            Ok(verified) => Some(Arc::new(verified)),
            Err(no) => {
                tracing::warn!(code = %no.code(), registration = name, "a stored registration no longer holds: {no}");
                None
            }
        };
        self.put(name, Registered { row, verified });
        Ok(())
    }

    fn put(&mut self, name: String, registered: Registered) {
        if let Some(verified) = &registered.verified {
            let claim = verified.registration().claim.clone();
            if registered.row.removal.is_none() {
                self.in_force.insert(claim, name.clone());
            } else if self.in_force.get(&claim) == Some(&name) {
                self.in_force.remove(&claim);
            }
        }
        self.by_name.insert(name, registered);
    }

    /// What is known of exactly this registration; another one that answers the same challenge is refused.
    pub fn known(&self, name: &str, text: &str) -> Result<Option<&Registered>, Finding> {
        match self.by_name.get(name) {
            Some(known) if known.row.registration.text != text => {
                let detail = "this challenge was answered by another registration";
                Err(Finding::new(Code::EvidenceUsed, detail))
            }
            Some(known) if known.row.removal.is_some() => {
                let detail = "this registration was removed; a new one needs a new challenge";
                Err(Finding::new(Code::WalletNotRegistered, detail))
            }
            known => Ok(known),
        }
    }

    /// Takes a new registration into the draft: one for each wallet.
    pub fn register(
        &mut self,
        draft: &mut Draft,
        verified: VerifiedRegistration,
        (delay_s, cosigner_effective_at): (u64, Option<Seconds>),
    ) -> Result<Seconds, Finding> {
        let said = verified.registration();
        if let Some(other) = self.in_force.get(&said.claim) {
            return Err(Finding::new(Code::WalletRegistered, format!("by {other}")));
        }
        let name = verified.challenge().name().to_owned();
        let first_seen = draft.now();
        let row = RegistrationRow {
            registration: signed(
                verified.signed().text(),
                verified.signed().key_id(),
                verified.signed().signature(),
            ),
            challenge: signed(
                verified.challenge().text(),
                wallet::CHALLENGE_KEY_ID,
                verified.challenge().signature(),
            ),
            first_seen: first_seen.0,
            cosigner_effective_at: cosigner_effective_at.map(|at| at.0),
            removal: None,
            removed_at: None,
        };
        let effective_at = row.effective_at(delay_s);
        draft.entry(
            EntryKind::WalletRegistered,
            &[
                ("challenge", &name),
                ("organisation", &said.claim.organisation),
                ("asset", &said.claim.asset),
                ("address", &said.claim.address),
                ("registration_digest", &hex(&verified.signed().digest())),
                ("proof_kind", &said.proof_kind.as_str()),
                ("effective_at", &effective_at.0),
                ("key", &verified.signed().key_id()),
            ],
        );
        draft.row(Table::Registration, name.clone(), row.state(), first_seen, rows::write(&row));
        self.put(name, Registered { row, verified: Some(Arc::new(verified)) });
        Ok(effective_at)
    }

    /// Takes a removal into the draft; a second one changes nothing.
    pub fn remove(&mut self, draft: &mut Draft, removal: &VerifiedRemoval) -> Result<(), Finding> {
        let name = removal.name();
        let organisation = &removal.removal().organisation;
        let unknown = || Finding::new(Code::WalletNotRegistered, format!("there is no registration {name}"));
        let mut registered = self.by_name.get(&name).cloned().ok_or_else(unknown)?;
        let said =
            crate::evidence::wallet_registration::parse_registration(&registered.row.registration.text)
                .map_err(|_| unknown())?;
        // An organisation removes its own and does not learn of others'.
        if said.claim.organisation != *organisation {
            return Err(unknown());
        }
        if registered.row.removal.is_some() {
            return Ok(());
        }
        registered.row.removal =
            Some(signed(removal.signed().text(), removal.signed().key_id(), removal.signed().signature()));
        registered.row.removed_at = Some(draft.now().0);
        draft.entry(
            EntryKind::WalletRemoved,
            &[
                ("challenge", &name),
                ("organisation", organisation),
                ("removal_digest", &hex(&crate::evidence::digest(removal.signed().text()))),
                ("asset", &said.claim.asset),
                ("address", &said.claim.address),
                ("key", &removal.signed().key_id()),
            ],
        );
        let row = &registered.row;
        draft.row(Table::Registration, name.clone(), row.state(), draft.now(), rows::write(row));
        self.put(name, registered);
        Ok(())
    }

    /// The exemption of a withdrawal to the customer's own wallet, by the registration in force for exactly that.
    pub fn exemption(
        &self,
        request: &VerifiedRequest,
        delay_s: u64,
        now: Seconds,
    ) -> Result<Exemption, NotProven> {
        let name = self.in_force.get(&claim_of(request.request())).ok_or_else(not_registered)?;
        self.exemption_by(name, request, delay_s, now)
    }

    /// From when on the registration of exactly that exempts, if there is one in force.
    pub fn effective_at(&self, request: &VerifiedRequest, delay_s: u64) -> Option<Seconds> {
        let name = self.in_force.get(&claim_of(request.request()))?;
        self.by_name.get(name).map(|registered| registered.row.effective_at(delay_s))
    }

    /// The exemption of a withdrawal by the registration of that name.
    pub fn exemption_by(
        &self,
        name: &str,
        request: &VerifiedRequest,
        delay_s: u64,
        now: Seconds,
    ) -> Result<Exemption, NotProven> {
        let registered = self.by_name.get(name).filter(|known| known.row.removal.is_none());
        let Registered { row, verified } = registered.ok_or_else(not_registered)?;
        let verified = verified.as_ref().ok_or_else(not_registered)?;
        // The later of the two times counts at the signer: before the co-signer's own it would only be told to wait.
        if let Some(at) = row.cosigner_effective_at.map(Seconds).filter(|at| now < *at) {
            let finding = Finding::new(Code::WalletNotEffective, format!("it takes effect at {at}"));
            return Err(NotProven::Refused(finding));
        }
        Exemption::from_registration(verified, request, (Seconds(row.first_seen), delay_s), now)
    }
}

fn not_registered() -> NotProven {
    let detail = "no registration in force for this customer, asset and address";
    NotProven::Refused(Finding::new(Code::WalletNotRegistered, detail))
}

impl RegistrationRow {
    /// From when on it exempts.
    pub fn effective_at(&self, delay_s: u64) -> Seconds {
        let own = Seconds(self.first_seen).plus(delay_s);
        own.max(Seconds(self.cosigner_effective_at.unwrap_or_default()))
    }
}

/// The evidence of a row, if it holds signatures.
pub fn evidence_of(row: &RegistrationRow) -> Option<WalletEvidence> {
    Some(WalletEvidence {
        registration: row.registration.signed_text()?,
        challenge: row.challenge.signed_text()?,
    })
}

/// The wallet that a request pays.
fn claim_of(request: &WithdrawalRequest) -> WalletClaim {
    WalletClaim {
        organisation: request.organisation.clone(),
        customer_ref: request.customer_ref.clone(),
        asset: request.asset,
        address: request.destination.clone(),
    }
}

fn signed(text: &str, key_id: &str, signature: &[u8; 64]) -> Signed {
    Signed::of(&SignedText { text: text.to_owned(), key_id: key_id.to_owned(), signature: *signature })
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
