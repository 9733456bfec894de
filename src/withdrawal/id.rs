//! The names things go by. Each is its own type, so that no two can be swapped.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{Code, Invalid};

/// Longest organisation or request id, in bytes.
pub const ID_LEN_MAX: usize = 64;
/// Longest customer reference, in bytes.
pub const CUSTOMER_REF_LEN_MAX: usize = 128;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $field:literal, $max:expr, $charset:expr, $cure:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Reads one, or says what is wrong with it.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                if text.is_empty() {
                    return Err(Invalid::new(Code::FieldMissing, $field, "is empty", $cure));
                }
                if text.len() > $max {
                    let problem = format!("is {} bytes long, the limit is {}", text.len(), $max);
                    return Err(Invalid::new(Code::FieldTooLong, $field, problem, $cure));
                }
                if !text.chars().all($charset) {
                    return Err(Invalid::new(
                        Code::FieldMalformed, $field, "holds a character that is not allowed", $cure,
                    ));
                }
                Ok(Self(text.to_owned()))
            }

            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':')
}

fn printable(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic()
}

text_id!(
    /// The exchange (or one of its legal entities) that asks. Case matters.
    Organisation, "organisation", ID_LEN_MAX, plain,
    "send 1 to 64 of A-Z a-z 0-9 . _ - :"
);
text_id!(
    /// The caller's own id of a request: the idempotency key, unique within an organisation for ever.
    RequestId, "request_id", ID_LEN_MAX, plain,
    "send 1 to 64 of A-Z a-z 0-9 . _ - :"
);
text_id!(
    /// The exchange's name for one of its customers: an opaque number, never a person's name.
    CustomerRef, "customer_ref", CUSTOMER_REF_LEN_MAX, printable,
    "send 1 to 128 printable ASCII characters that identify the customer without naming a person"
);

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Reads the printed form.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                let cure = concat!("send `", $prefix, "` and 32 lower-case hex digits");
                text.strip_prefix($prefix)
                    .and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok())
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(Self)
                    .ok_or_else(|| Invalid::new(Code::FieldMalformed, $field, format!("`{}` is no such id", text.chars().take(80).collect::<String>()), cure))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

hash_id!(
    /// A withdrawal: a function of (organisation, request id), so every party computes the same one.
    WithdrawalId, "wd_", "withdrawal"
);
hash_id!(
    /// A reservation: a function of the unsigned transaction's id, so it names exactly one transaction.
    ReservationId, "rs_", "reservation"
);

hash_id!(
    /// A freeze: sixteen random bytes that its operator drew. Each is used once.
    FreezeId, "fz_", "freeze"
);

impl FreezeId {
    /// The id of these bytes.
    pub const fn of_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

fn first_16(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut out = [0; 16];
    out.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    out
}

impl WithdrawalId {
    /// The id of what this organisation asked under this request id.
    pub fn of(organisation: &Organisation, request: &RequestId) -> Self {
        Self(first_16(&[
            b"countersign withdrawal id v1",
            organisation.as_str().as_bytes(),
            request.as_str().as_bytes(),
        ]))
    }
}

impl ReservationId {
    /// The id of the reservation of this unsigned transaction (`txid` in internal byte order).
    pub fn of_txid(txid: &[u8; 32]) -> Self {
        Self(first_16(&[b"countersign reservation id v1", txid]))
    }
}

/// A VASP in the travel-rule network: a decimal number of up to 64 bits, written as a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VaspId(pub u64);

impl VaspId {
    /// No VASP: the destination is the customer's own self-hosted wallet (law L3). No VASP may have this id.
    pub const SELF_HOSTED: Self = Self(0);

    /// Whether it stands for the customer's own self-hosted wallet.
    pub const fn is_self_hosted(self) -> bool {
        self.0 == Self::SELF_HOSTED.0
    }

    /// Reads the decimal form; leading zeros and signs are refused so that each VASP has one spelling.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        text.parse::<u64>().ok().filter(|n| n.to_string() == text).map(Self).ok_or_else(|| {
            Invalid::new(
                Code::FieldMalformed,
                "beneficiary_vasp",
                "is not a decimal number of up to 64 bits",
                "send the VASP id as printed in the VASP list",
            )
        })
    }
}

impl fmt::Display for VaspId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawal_id_depends_on_both_parts_and_on_where_they_meet() {
        let id = |o: &str, r: &str| {
            WithdrawalId::of(&Organisation::parse(o).unwrap(), &RequestId::parse(r).unwrap())
        };
        assert_eq!(id("a", "b"), id("a", "b"));
        assert_ne!(id("ab", "c"), id("a", "bc"));
        assert_ne!(id("a", "b"), id("A", "b"));
        assert_eq!(WithdrawalId::parse(&id("a", "b").to_string()), Ok(id("a", "b")));
    }

    #[test]
    fn an_id_that_is_empty_too_long_or_has_a_line_feed_is_refused() {
        assert_eq!(RequestId::parse("").unwrap_err().code, Code::FieldMissing);
        assert_eq!(RequestId::parse(&"x".repeat(65)).unwrap_err().code, Code::FieldTooLong);
        assert_eq!(RequestId::parse("a\nb").unwrap_err().code, Code::FieldMalformed);
        assert_eq!(VaspId::parse("007").unwrap_err().code, Code::FieldMalformed);
        assert_eq!(VaspId::parse("+7").unwrap_err().code, Code::FieldMalformed);
    }
}
