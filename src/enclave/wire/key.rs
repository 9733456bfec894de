//! Owns encryption keys signed by a VASP's identity key: a relay that swaps keys is found out here.

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::enclave::wire::seal::{PublicKey, Suite};
use crate::withdrawal::{Seconds, VaspId};

/// How long a statement about a key holds, in seconds: longer than any cache keeps it.
pub const STATEMENT_LIFE_S: u64 = 2 * 3600;
/// How far two honest clocks may lie apart, in seconds.
pub const SKEW_MAX_S: u64 = 300;

/// How a key is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyType {
    /// One key for everything between two VASPs.
    PerVasp,
    /// One for each beneficiary address.
    PerAddress,
    /// One for each verification, never cached.
    PerVerification,
}

impl KeyType {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::PerVasp, Self::PerAddress, Self::PerVerification];

    /// The network's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PerVasp => "PerVasp",
            Self::PerAddress => "PerAddress",
            Self::PerVerification => "PerVerification",
        }
    }

    /// Reads the network's spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }
}

/// An encryption key with its owner's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedKey {
    /// Whose key it is.
    pub vasp: String,
    /// How it is chosen.
    pub key_type: String,
    /// What it is for.
    pub identifier: String,
    /// Its algorithms.
    pub suite: String,
    /// All algorithms that the owner has, so that nobody on the way can choose a worse one.
    pub offers: Vec<String>,
    /// The public key, hex.
    pub public_key: String,
    /// The last second this statement holds.
    pub valid_until: u64,
    /// Ed25519 over the canonical text, base64.
    pub signature: String,
}

/// A peer's key cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// It is not about the key that was asked for.
    #[error("the key belongs to another VASP, type or purpose")]
    NotAsked,
    /// Too old, or claims to hold for longer than allowed.
    #[error("the key's statement is outside its time")]
    Time,
    /// It is for worse algorithms than both sides have.
    #[error("the key is not for the best algorithms of both sides")]
    Downgraded,
    /// The identity key did not sign it.
    #[error("the key is not signed by the identity key of its VASP")]
    Signature,
}

impl SignedKey {
    /// Signs a key of one's own; `offers` are the suites one has.
    pub fn sign(
        identity: &SigningKey,
        vasp: VaspId,
        purpose: (KeyType, &str),
        (public, offers): (&PublicKey, &[Suite]),
        now: Seconds,
    ) -> Self {
        let mut key = Self {
            vasp: vasp.to_string(),
            key_type: purpose.0.as_str().into(),
            identifier: purpose.1.into(),
            suite: public.suite().as_str().into(),
            offers: offers.iter().map(|suite| suite.as_str().to_owned()).collect(),
            public_key: HEXLOWER.encode(public.bytes()),
            valid_until: now.plus(STATEMENT_LIFE_S).0,
            signature: String::new(),
        };
        key.signature = BASE64.encode(&identity.sign(key.text().as_bytes()).to_bytes());
        key
    }

    /// Verifies a peer's key against its pinned identity and what was asked for; gives the public key. `own` are the suites one has.
    pub fn verify(
        &self,
        identity: &VerifyingKey,
        vasp: VaspId,
        purpose: (KeyType, &str),
        own: &[Suite],
        now: Seconds,
    ) -> Result<PublicKey, KeyRefused> {
        if (self.vasp.as_str(), self.key_type.as_str()) != (&vasp.to_string(), purpose.0.as_str())
            || self.identifier != purpose.1
        {
            return Err(KeyRefused::NotAsked);
        }
        let latest = now.plus(STATEMENT_LIFE_S + SKEW_MAX_S);
        if self.valid_until > latest.0 || Seconds(self.valid_until).plus(SKEW_MAX_S) < now {
            return Err(KeyRefused::Time);
        }
        let decoded = BASE64.decode(self.signature.as_bytes()).map_err(|_| KeyRefused::Signature)?;
        let signature = Signature::from_slice(&decoded).map_err(|_| KeyRefused::Signature)?;
        identity.verify_strict(self.text().as_bytes(), &signature).map_err(|_| KeyRefused::Signature)?;
        // The signed text parts the names by blanks: a name with one in it would be signed as two.
        let parted =
            self.offers.iter().all(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()));
        let suite = Suite::best(own, &self.offers).filter(|_| parted).ok_or(KeyRefused::Downgraded)?;
        if suite.as_str() != self.suite {
            return Err(KeyRefused::Downgraded);
        }
        let public = HEXLOWER.decode(self.public_key.as_bytes()).map_err(|_| KeyRefused::NotAsked)?;
        PublicKey::new(suite, public).ok_or(KeyRefused::NotAsked)
    }

    pub(super) fn text(&self) -> String {
        format!(
            "countersign enclave-key v2\nvasp: {}\nsuite: {}\noffers: {}\nkey_type: {}\nidentifier: {}\npublic_key: {}\nvalid_until: {}\n",
            self.vasp,
            self.suite,
            self.offers.join(" "),
            self.key_type,
            self.identifier,
            self.public_key,
            self.valid_until
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn two_suites_that_are_signed_apart_are_not_believed_as_one() {
        let identity = SigningKey::from_bytes(&[1; 32]);
        let (vasp, now, purpose) = (VaspId(7), Seconds(1_000_000), (KeyType::PerVasp, "7"));
        let public = PublicKey::new(Suite::X25519, vec![5; 32]).unwrap();
        let mut key = SignedKey::sign(&identity, vasp, purpose, (&public, &Suite::ALL), now);
        // a later version's suite stands before ours
        key.offers.insert(0, "hpke-later".into());
        key.signature = BASE64.encode(&identity.sign(key.text().as_bytes()).to_bytes());
        let verify = |key: &SignedKey| key.verify(&identity.verifying_key(), vasp, purpose, &Suite::ALL, now);
        assert_eq!(verify(&key), Err(KeyRefused::Downgraded));
        // the relay joins the two better ones: the text is the same, and only the worst is left to choose
        let joined =
            SignedKey { offers: vec![key.offers[..2].join(" "), key.offers[2].clone()], ..key.clone() };
        assert_eq!(joined.text(), key.text());
        assert_eq!(verify(&joined), Err(KeyRefused::Downgraded));
    }

    #[test]
    fn a_key_is_believed_only_from_its_owner_for_its_purpose_in_its_time() {
        let identity = SigningKey::from_bytes(&[1; 32]);
        let (vasp, now) = (VaspId(7), Seconds(1_000_000));
        let purpose = (KeyType::PerVasp, "7");
        let public = |n| PublicKey::new(Suite::X25519, vec![n; 32]).unwrap();
        let classic = [Suite::X25519];
        let key = SignedKey::sign(&identity, vasp, purpose, (&public(5), &classic), now);
        let verify = |key: &SignedKey, purpose, now| {
            key.verify(&identity.verifying_key(), vasp, purpose, &Suite::ALL, now)
        };
        assert_eq!(verify(&key, purpose, now), Ok(public(5)));
        assert_eq!(verify(&key, (KeyType::PerAddress, "7"), now), Err(KeyRefused::NotAsked));
        assert_eq!(verify(&key, (KeyType::PerVasp, "8"), now), Err(KeyRefused::NotAsked));
        assert_eq!(verify(&key, purpose, now.plus(3 * STATEMENT_LIFE_S)), Err(KeyRefused::Time));
        assert_eq!(verify(&key, purpose, Seconds(1)), Err(KeyRefused::Time));
        let swapped = SignedKey { public_key: HEXLOWER.encode(&[6; 32]), ..key.clone() };
        assert_eq!(verify(&swapped, purpose, now), Err(KeyRefused::Signature));
        let other = SigningKey::from_bytes(&[2; 32]).verifying_key();
        assert_eq!(key.verify(&other, vasp, purpose, &Suite::ALL, now), Err(KeyRefused::Signature));
        // whoever has both suites is not talked down to one by the relay; whoever has one may use it
        let both = SignedKey::sign(&identity, vasp, purpose, (&public(5), &Suite::ALL), now);
        assert_eq!(verify(&both, purpose, now), Err(KeyRefused::Downgraded));
        let quiet = SignedKey { offers: key.offers.clone(), ..both.clone() };
        assert_eq!(verify(&quiet, purpose, now), Err(KeyRefused::Signature));
        assert_eq!(both.verify(&identity.verifying_key(), vasp, purpose, &classic, now), Ok(public(5)));
        let none = SignedKey::sign(&identity, vasp, purpose, (&public(5), &[]), now);
        assert_eq!(verify(&none, purpose, now), Err(KeyRefused::Downgraded));
    }
}
