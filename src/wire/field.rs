//! How single fields are read and written: presence, times, hashes, sums, signed texts, findings.

use prost_types::Timestamp;

use super::{BATCH_LEN_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, v1};
use crate::desk::{PageOrder, SignedText};
use crate::withdrawal::{Amount, Code, Finding, Invalid, Seconds};

const KEY_ID_LEN_MAX: usize = 64;
const PAGE_TOKEN_LEN_MAX: usize = 256;

/// The field, or FIELD_MISSING.
pub fn required<T>(value: Option<T>, field: &'static str) -> Result<T, Invalid> {
    value.ok_or_else(|| Invalid::new(Code::FieldMissing, field, "is not there", "send the field"))
}

/// The batch, if it holds between one and the most items that one message may carry.
pub fn batch<T>(items: Vec<T>, field: &'static str) -> Result<Vec<T>, Invalid> {
    match items.len() {
        0 => Err(Invalid::new(Code::FieldMissing, field, "is empty", "send at least one item")),
        n if n > BATCH_LEN_MAX => Err(too_many(n, field)),
        _ => Ok(items),
    }
}

/// The items, if they are no more than `most`; there may be none.
pub fn at_most<T>(items: Vec<T>, most: usize, field: &'static str) -> Result<Vec<T>, Invalid> {
    if items.len() <= most {
        return Ok(items);
    }
    let problem = format!("has {} items, the limit is {most}", items.len());
    Err(Invalid::new(Code::FieldTooLong, field, problem, "send fewer"))
}

/// The answer to a batch that is too long.
pub fn too_many(found: usize, field: &'static str) -> Invalid {
    let problem = format!("has {found} items, the limit is {BATCH_LEN_MAX}");
    Invalid::new(Code::FieldTooLong, field, problem, "send several smaller batches")
}

/// A hash, key or root of 32 bytes.
pub fn hash(bytes: &[u8], field: &'static str) -> Result<[u8; 32], Invalid> {
    bytes.try_into().map_err(|_| {
        let problem = format!("is {} bytes long, not 32", bytes.len());
        Invalid::new(Code::FieldMalformed, field, problem, "send the 32 bytes as they are, not as hex")
    })
}

/// Hashes in their order; no proof of a tree that fits into a u64 has more than 64 of them, times two for consistency.
pub fn hashes(list: &[Vec<u8>], field: &'static str) -> Result<Vec<[u8; 32]>, Invalid> {
    if list.len() > 130 {
        let problem = format!("has {} hashes, the limit is 130", list.len());
        return Err(Invalid::new(
            Code::FieldTooLong,
            field,
            problem,
            "send the proof of RFC 6962 and no more",
        ));
    }
    list.iter().map(|bytes| hash(bytes, field)).collect()
}

/// Hashes for the wire.
pub fn hashes_to_wire(list: &[[u8; 32]]) -> Vec<Vec<u8>> {
    list.iter().map(|hash| hash.to_vec()).collect()
}

/// A point in time for the wire.
pub fn time_to_wire(at: Seconds) -> Timestamp {
    Timestamp { seconds: i64::try_from(at.0).unwrap_or(i64::MAX), nanos: 0 }
}

/// A point in time from the wire: whole seconds since 1970.
pub fn time(stamp: Option<Timestamp>, field: &'static str) -> Result<Seconds, Invalid> {
    let stamp = required(stamp, field)?;
    match (u64::try_from(stamp.seconds), stamp.nanos) {
        (Ok(seconds), 0) => Ok(Seconds(seconds)),
        _ => Err(Invalid::new(
            Code::FieldMalformed,
            field,
            "is no time in whole seconds since 1970",
            "send whole seconds",
        )),
    }
}

/// A sum that may be nothing: `Amount::parse` with `0` allowed.
pub fn sum(text: &str, field: &'static str) -> Result<Amount, Invalid> {
    if text == "0" { Ok(Amount::ZERO) } else { Amount::parse(field, text) }
}

/// A decimal number with one spelling, for what is no sum of base units.
pub fn decimal<T: std::str::FromStr + ToString>(text: &str, field: &'static str) -> Result<T, Invalid> {
    text.parse::<T>().ok().filter(|n| n.to_string() == text).ok_or_else(|| {
        Invalid::new(
            Code::FieldMalformed,
            field,
            "is not a plain decimal number",
            "send digits without leading zeros",
        )
    })
}

/// Reads paging. A size of 0 is the default; what is too large is cut, as AIP-158 says.
pub fn page(size: i32, token: String) -> Result<PageOrder, Invalid> {
    let size = u32::try_from(size).map_err(|_| {
        Invalid::new(
            Code::FieldMalformed,
            "page_size",
            "is negative",
            "send 0 for the default, or a positive number",
        )
    })?;
    if token.len() > PAGE_TOKEN_LEN_MAX {
        let problem = format!("is {} bytes long, the limit is {PAGE_TOKEN_LEN_MAX}", token.len());
        return Err(Invalid::new(
            Code::FieldTooLong,
            "page_token",
            problem,
            "send next_page_token of the page before, as it is",
        ));
    }
    let size_max = if size == 0 { PAGE_SIZE_DEFAULT } else { size.min(PAGE_SIZE_MAX) };
    Ok(PageOrder { size_max, token: Some(token).filter(|token| !token.is_empty()) })
}

impl TryFrom<v1::SignedText> for SignedText {
    type Error = Invalid;

    fn try_from(wire: v1::SignedText) -> Result<Self, Invalid> {
        if wire.text.is_empty() {
            return Err(Invalid::new(Code::FieldMissing, "text", "is empty", "send the canonical text"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
        if wire.key_id.is_empty() || wire.key_id.len() > KEY_ID_LEN_MAX || !wire.key_id.chars().all(plain) {
            return Err(Invalid::new(
                if wire.key_id.is_empty() { Code::FieldMissing } else { Code::FieldMalformed },
                "key_id",
                "is no name of a key",
                "send 1 to 64 of A-Z a-z 0-9 . _ - :",
            ));
        }
        let signature = <[u8; 64]>::try_from(wire.signature.as_slice()).map_err(|_| {
            let problem = format!("is {} bytes long, not 64", wire.signature.len());
            Invalid::new(
                Code::SignatureMalformed,
                "signature",
                problem,
                "send the raw 64 bytes of the Ed25519 signature",
            )
        })?;
        Ok(Self { text: wire.text, key_id: wire.key_id, signature })
    }
}

impl From<SignedText> for v1::SignedText {
    fn from(signed: SignedText) -> Self {
        Self { text: signed.text, key_id: signed.key_id, signature: signed.signature.to_vec() }
    }
}

impl From<Finding> for v1::Finding {
    fn from(finding: Finding) -> Self {
        Self {
            code: finding.code.as_str().to_owned(),
            detail: finding.detail,
            cure: finding.code.cure().to_owned(),
        }
    }
}

/// The longest detail of another party's finding, in characters.
const DETAIL_LEN_MAX: usize = 1_000;

/// Reads a finding; a detail that is too long is cut. A code this version does not know becomes `unknown`, and keeps its own name in the detail.
pub fn finding(code: &str, detail: String, unknown: Code) -> Finding {
    let detail: String = detail.chars().take(DETAIL_LEN_MAX).collect();
    match Code::parse(code) {
        Some(code) => Finding { code, detail },
        None => Finding::new(unknown, format!("`{}`: {detail}", code.chars().take(64).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_size_below_zero_is_refused_and_one_above_the_limit_is_cut() {
        assert_eq!(page(-1, String::new()).unwrap_err().field, "page_size");
        assert_eq!(page(0, String::new()).unwrap(), PageOrder { size_max: 50, token: None });
        assert_eq!(page(9999, "t".into()).unwrap(), PageOrder { size_max: 500, token: Some("t".into()) });
        assert_eq!(page(1, "x".repeat(257)).unwrap_err().code, Code::FieldTooLong);
    }

    #[test]
    fn a_signed_text_needs_text_key_and_sixty_four_bytes() {
        let good = SignedText { text: "t\n".into(), key_id: "k1".into(), signature: [7; 64] };
        let wire = v1::SignedText::from(good.clone());
        assert_eq!(SignedText::try_from(wire.clone()), Ok(good));
        let code = |wire: v1::SignedText| SignedText::try_from(wire).unwrap_err().code;
        assert_eq!(code(v1::SignedText { text: String::new(), ..wire.clone() }), Code::FieldMissing);
        assert_eq!(code(v1::SignedText { key_id: String::new(), ..wire.clone() }), Code::FieldMissing);
        assert_eq!(code(v1::SignedText { key_id: "a b".into(), ..wire.clone() }), Code::FieldMalformed);
        assert_eq!(code(v1::SignedText { signature: vec![7; 63], ..wire }), Code::SignatureMalformed);
    }

    #[test]
    fn times_before_1970_or_with_fractions_are_refused() {
        assert_eq!(time(Some(time_to_wire(Seconds(5))), "t"), Ok(Seconds(5)));
        assert!(time(Some(Timestamp { seconds: -1, nanos: 0 }), "t").is_err());
        assert!(time(Some(Timestamp { seconds: 1, nanos: 1 }), "t").is_err());
        assert_eq!(time(None, "t").unwrap_err().code, Code::FieldMissing);
    }

    #[test]
    fn an_unknown_code_stays_a_no_and_keeps_its_name() {
        let read = finding("NEW_ONE", "x".into(), Code::CosignerRefused);
        assert_eq!(read, Finding::new(Code::CosignerRefused, "`NEW_ONE`: x"));
        let long = finding("COSIGNER_HOLDS", "원".repeat(5_000), Code::CosignerRefused);
        assert_eq!(long, Finding::new(Code::CosignerHolds, "원".repeat(1_000)));
    }
}
