//! What an operator signed: a yes that counts only for exactly the text this party rebuilt (law L14). How many are
//! needed, and of which groups, is the policy's business.

use std::collections::BTreeSet;

use ssh_key::HashAlg;

use super::{ApprovalText, NAMESPACE_APPROVAL, NotProven, Trust, digest, sshsig};
use crate::withdrawal::{Code, Finding, Seconds, WithdrawalId};

/// One person's yes to exactly one text.
#[derive(Debug)]
pub struct Approval {
    withdrawal: WithdrawalId,
    person: String,
    groups: BTreeSet<String>,
    key_fingerprint: String,
    digest: [u8; 32],
    expires_at: Seconds,
    signature: String,
}

/// The door: an armored SSHSIG in namespace `countersign-approval-v1`, by a key that the trust file gives to an
/// operator, touched where it is a security key, over exactly the text that this party rebuilt.
pub fn verify_approval(
    expected: &ApprovalText,
    armored: &str,
    trust: &Trust,
    now: Seconds,
) -> Result<Approval, NotProven> {
    let text = expected.render();
    let signer = operator_signature(&text, armored, trust, (NAMESPACE_APPROVAL, Code::ApprovalInvalid))?;
    let approval = Approval {
        withdrawal: expected.withdrawal(),
        person: signer.person,
        groups: signer.groups,
        key_fingerprint: signer.key_fingerprint,
        digest: digest(&text),
        expires_at: expected.expires_at,
        signature: armored.to_owned(),
    };
    approval.check_current(now).map_err(NotProven::Refused)?;
    Ok(approval)
}

impl Approval {
    /// The withdrawal it approves.
    pub fn withdrawal(&self) -> WithdrawalId {
        self.withdrawal
    }

    /// Who approved. Count people, never signatures: see [`people_of`].
    pub fn person(&self) -> &str {
        &self.person
    }

    /// The groups that person belongs to.
    pub fn groups(&self) -> &BTreeSet<String> {
        &self.groups
    }

    /// The SHA-256 fingerprint of the key, as `ssh-keygen -l` prints it.
    pub fn key_fingerprint(&self) -> &str {
        &self.key_fingerprint
    }

    /// SHA-256 of the text that was approved.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The last second at which it counts.
    pub fn expires_at(&self) -> Seconds {
        self.expires_at
    }

    /// Whether it still counts at `now`.
    pub fn check_current(&self, now: Seconds) -> Result<(), Finding> {
        if now <= self.expires_at {
            return Ok(());
        }
        Err(Finding::new(Code::ApprovalInvalid, format!("it expired at {}", self.expires_at)))
    }

    /// The armored signature, to be handed to the other party.
    pub fn signature(&self) -> &str {
        &self.signature
    }
}

/// The different people of one group among these approvals; two keys of one person are one person.
pub fn people_of<'a>(group: &str, approvals: impl IntoIterator<Item = &'a Approval>) -> BTreeSet<&'a str> {
    approvals.into_iter().filter(|a| a.groups.contains(group)).map(Approval::person).collect()
}

/// A person whose signature held over a text.
pub(super) struct PersonSigned {
    pub(super) person: String,
    pub(super) groups: BTreeSet<String>,
    pub(super) key_fingerprint: String,
}

/// Finds the operator behind an armored signature and checks it over exactly this text, in that namespace; one that does
/// not hold is refused with that code.
pub(super) fn operator_signature(
    text: &str,
    armored: &str,
    trust: &Trust,
    (namespace, code): (&str, Code),
) -> Result<PersonSigned, NotProven> {
    let sig = sshsig::read(armored)?;
    let key_fingerprint = sig.public_key().fingerprint(HashAlg::Sha256).to_string();
    let operator = trust
        .operator(sig.public_key())
        .ok_or_else(|| NotProven::refused(Code::OperatorUnknown, format!("key {key_fingerprint}")))?;
    sshsig::check(&sig, namespace, text)
        .map_err(|why| NotProven::refused(code, format!("`{}`: {why}", operator.name)))?;
    Ok(PersonSigned { person: operator.name.clone(), groups: operator.groups.clone(), key_fingerprint })
}
