//! Values of canonical lines that several texts share: numbers, hex, names. Each has one spelling.

use data_encoding::HEXLOWER;

use super::canonical::malformed;
use crate::withdrawal::id::ID_LEN_MAX;
use crate::withdrawal::{Amount, Asset, Chain, Code, Invalid, Network, Seconds, VaspId};

/// Longest destination, in bytes. The longest address of any known network is far below.
pub const DESTINATION_LEN_MAX: usize = 128;

/// A decimal number without sign or leading zero.
pub fn number(field: &'static str, text: &str) -> Result<u64, Invalid> {
    text.parse::<u64>()
        .ok()
        .filter(|n| n.to_string() == text)
        .ok_or_else(|| malformed(field, "is not a plain decimal number of up to 64 bits"))
}

/// A decimal number of up to 32 bits.
pub fn number_32(field: &'static str, text: &str) -> Result<u32, Invalid> {
    number(field, text)?.try_into().map_err(|_| malformed(field, "is above 4294967295"))
}

/// Unix seconds.
pub fn seconds(field: &'static str, text: &str) -> Result<Seconds, Invalid> {
    number(field, text).map(Seconds)
}

/// A date for people: RFC 3339 in UTC to the second, `2027-01-15T08:00:00Z`.
pub fn date(field: &'static str, text: &str) -> Result<Seconds, Invalid> {
    let at: Option<jiff::Timestamp> = text.parse().ok();
    at.and_then(|at| u64::try_from(at.as_second()).ok())
        .map(Seconds)
        .filter(|at| at.to_string() == text)
        .ok_or_else(|| malformed(field, "is no date such as 2027-01-15T08:00:00Z"))
}

/// Exactly `N` bytes in lower-case hex.
pub fn hex<const N: usize>(field: &'static str, text: &str) -> Result<[u8; N], Invalid> {
    HEXLOWER
        .decode(text.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| malformed(field, format!("is not {} lower-case hex digits", N * 2)))
}

/// A positive amount that is not above the supply of its asset.
pub fn amount(field: &'static str, text: &str, asset: Asset) -> Result<Amount, Invalid> {
    let amount = Amount::parse(field, text)?;
    if amount > asset.supply_max() {
        let problem = format!("is above {}, all there can ever be", asset.supply_max());
        return Err(Invalid::new(Code::AmountAboveSupply, field, problem, Code::AmountAboveSupply.cure()));
    }
    Ok(amount)
}

/// An asset under the name of its line.
pub fn asset(field: &'static str, text: &str) -> Result<Asset, Invalid> {
    Asset::parse(text).map_err(|no| Invalid { field, ..no })
}

/// A chain under the name of its line.
pub fn chain(field: &'static str, text: &str) -> Result<Chain, Invalid> {
    Chain::parse(text).map_err(|no| Invalid { field, ..no })
}

/// A network of Bitcoin under the name of its line.
pub fn network(field: &'static str, text: &str) -> Result<Network, Invalid> {
    Network::parse(text).map_err(|no| Invalid { field, ..no })
}

/// A VASP id under the name of its line.
pub fn vasp(field: &'static str, text: &str) -> Result<VaspId, Invalid> {
    VaspId::parse(text).map_err(|no| Invalid { field, ..no })
}

/// A destination in its asset's own spelling; whether it is an address is for the asset's own room to say.
pub fn destination(text: &str) -> Result<String, Invalid> {
    if text.len() > DESTINATION_LEN_MAX {
        let problem = format!("is {} bytes long, the limit is {DESTINATION_LEN_MAX}", text.len());
        return Err(Invalid::new(Code::FieldTooLong, "destination", problem, "send the address alone"));
    }
    graphic("destination", text)
}

/// A customer's own wallet address, under the name of its line; as [`destination`].
pub fn wallet_address(text: &str) -> Result<String, Invalid> {
    destination(text).map_err(|no| Invalid { field: "address", ..no })
}

/// Printable ASCII without a blank.
pub fn graphic(field: &'static str, text: &str) -> Result<String, Invalid> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(malformed(field, "is not printable ASCII without blanks"));
    }
    Ok(text.to_owned())
}

/// A name of a machine, person, group or key: 1 to 64 of `A-Z a-z 0-9 . _ - :`.
pub fn name(field: &'static str, text: &str) -> Result<String, Invalid> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-:".contains(&b);
    if text.is_empty() || text.len() > ID_LEN_MAX || !text.bytes().all(plain) {
        return Err(malformed(field, "is not 1 to 64 of A-Z a-z 0-9 . _ - :"));
    }
    Ok(text.to_owned())
}

/// A wallet's fingerprint as the wallet's own room prints it: 8 to 64 lower-case hex digits.
pub fn wallet(text: &str) -> Result<String, Invalid> {
    let hex = text.len().is_multiple_of(2) && HEXLOWER.decode(text.as_bytes()).is_ok();
    if !hex || !(8..=64).contains(&text.len()) {
        return Err(malformed("wallet", "is not 8 to 64 lower-case hex digits"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(number("n", "0"), Ok(0));
        assert_eq!(number("n", "18446744073709551615"), Ok(u64::MAX));
        for text in ["", "00", "01", "+1", "-1", " 1", "1 ", "1.0", "18446744073709551616", "١"] {
            assert_eq!(number("n", text).unwrap_err().field, "n", "{text}");
        }
        assert!(number_32("n", "4294967296").is_err());
    }

    #[test]
    fn hex_is_lower_case_and_whole() {
        assert_eq!(hex::<2>("h", "0aff"), Ok([10, 255]));
        for text in ["0aFF", "0af", "0aff00", "", "0x0a", "0aff\n"] {
            assert!(hex::<2>("h", text).is_err(), "{text}");
        }
        assert!(wallet("d34db33f").is_ok() && wallet("d34db33").is_err() && wallet("D34DB33F").is_err());
    }

    #[test]
    fn an_amount_above_the_supply_names_the_supply() {
        let no = amount("amount", "2100000000000001", Asset::Bitcoin(Network::Mainnet)).unwrap_err();
        assert_eq!(no.code, Code::AmountAboveSupply);
        assert!(no.problem.contains("2100000000000000"));
    }
}
