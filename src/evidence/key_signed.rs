//! What the exchange signed with a request key (law L1): the text, which key, and when it counts.

use ed25519_dalek::VerifyingKey;

use super::signature::{holds, read_signature};
use super::{NotProven, Trust, digest};
use crate::withdrawal::{Code, Organisation, Seconds};

/// A text whose signature held under a request key of this party's own trust file.
#[derive(Debug)]
pub struct KeySigned {
    text: String,
    key_id: String,
    signature: [u8; 64],
}

impl KeySigned {
    /// The one door: the key is that organisation's, had not ended when the text says it was signed, and the signature holds.
    pub(super) fn check(
        (text, key_id, signature): (&str, &str, &[u8]),
        organisation: &Organisation,
        signed_at: Seconds,
        trust: &Trust,
    ) -> Result<Self, NotProven> {
        let signature = read_signature(signature)?;
        let (key, not_after) = find_key(trust, organisation, key_id)?;
        if not_after.is_some_and(|end| signed_at > end) {
            let detail = "the key had ended when the request was signed";
            return Err(NotProven::refused(Code::RequestKeyUnknown, detail));
        }
        if !holds(key, text, &signature) {
            return Err(NotProven::refused(Code::RequestSignatureInvalid, ""));
        }
        Ok(Self { text: text.to_owned(), key_id: key_id.to_owned(), signature })
    }

    /// A key that has ended admits nothing new, whatever time the text claims.
    pub(super) fn check_key_age(
        &self,
        organisation: &Organisation,
        trust: &Trust,
        now: Seconds,
    ) -> Result<(), NotProven> {
        match find_key(trust, organisation, &self.key_id)? {
            (_, Some(end)) if now > end => {
                Err(NotProven::refused(Code::RequestKeyUnknown, format!("the key ended {end}")))
            }
            _ => Ok(()),
        }
    }

    /// The exact text that was signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the text.
    pub fn digest(&self) -> [u8; 32] {
        digest(&self.text)
    }

    /// The name of the request key in the trust file.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The exchange's signature.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }
}

fn find_key<'t>(
    trust: &'t Trust,
    organisation: &Organisation,
    key_id: &str,
) -> Result<(&'t VerifyingKey, Option<Seconds>), NotProven> {
    trust.request_key(organisation, key_id).ok_or_else(|| {
        let key_id: String = key_id.chars().take(64).flat_map(char::escape_debug).collect();
        NotProven::refused(Code::RequestKeyUnknown, format!("`{key_id}` of `{organisation}`"))
    })
}
