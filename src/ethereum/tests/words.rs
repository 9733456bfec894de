//! Addresses, chains, assets and amounts.

use super::*;
use crate::withdrawal::{Amount, Code};

fn code(text: &str) -> Result<String, Code> {
    Destination::parse(text).map(|found| found.as_str().to_owned()).map_err(|no| no.code)
}

/// The vectors of EIP-55 (https://eips.ethereum.org/EIPS/eip-55, "Test Cases"): all upper, all lower, both.
const CHECKSUMMED: [&str; 8] = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
];

#[test]
fn an_address_is_read_by_its_checksum_and_in_no_other_spelling() {
    for text in CHECKSUMMED {
        assert_eq!(code(text).as_deref(), Ok(text));
    }
    for text in &CHECKSUMMED[4..] {
        let lower = text.to_ascii_lowercase();
        let upper = format!("0x{}", text[2..].to_ascii_uppercase());
        assert_eq!((code(&lower), code(&upper)), (Err(Code::AddressMalformed), Err(Code::AddressMalformed)));
        for at in 2..text.len() {
            let mut slip = text.as_bytes().to_vec();
            slip[at] = if slip[at] == b'1' { b'2' } else { b'1' };
            assert_eq!(code(std::str::from_utf8(&slip).unwrap()), Err(Code::AddressMalformed), "digit {at}");
        }
    }
    let problem = Destination::parse(&CHECKSUMMED[4].to_ascii_lowercase()).unwrap_err().problem;
    assert!(problem.contains("has no checksum"), "{problem}");
}

#[test]
fn an_address_of_another_form_or_that_nobody_holds_is_refused() {
    for (text, why) in [
        ("", Code::FieldMissing),
        ("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", Code::AddressMalformed),
        ("0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", Code::AddressMalformed),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", Code::AddressMalformed),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed ", Code::FieldTooLong),
        ("vitalik.eth", Code::AddressMalformed),
        ("0x0000000000000000000000000000000000000000", Code::AddressNotPayable),
        ("0x0000000000000000000000000000000000000001", Code::AddressNotPayable),
        ("0x0000000000000000000000000000000000000100", Code::AddressNotPayable),
    ] {
        assert_eq!(code(text), Err(why), "{text}");
    }
}

#[test]
fn an_asset_is_a_chain_and_ether_or_a_token() {
    let asset = EvmAsset::parse("eip155:1/slip44:60").unwrap();
    assert_eq!((asset, asset.to_string().as_str()), (EvmAsset::Ether(CHAIN), "eip155:1/slip44:60"));
    let text = "eip155:10/erc20:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    let asset = EvmAsset::parse(text).unwrap();
    assert_eq!((asset.chain().number(), asset.to_string().as_str()), (10, text));
    for text in [
        "eip155:1",
        "eip155:1/slip44:0",
        "eip155:01/slip44:60",
        "eip155:0/slip44:60",
        "eip155:18446744073709551615/slip44:60",
        "eip155:1/erc20:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        "eip155:1/erc20:0x0000000000000000000000000000000000000000",
        "eip155:1/erc721:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "bip122:000000000019d6689c085ae165831e93/slip44:0",
        "ETH",
    ] {
        assert_eq!(EvmAsset::parse(text).unwrap_err().code, Code::AssetUnknown, "{text}");
    }
    assert_eq!(ChainId::parse("eip155:137").unwrap().to_string(), "eip155:137");
    assert!(ChainId::parse("eip155:+1").is_err() && ChainId::parse("1").is_err());
}

#[test]
fn a_tokens_decimals_are_pinned_and_compared_with_the_contracts_word() {
    let pin = TokenPin::new(token(), 6).unwrap();
    let word = |n: u64| U256::from(n).to_be_bytes::<32>();
    assert!(pin.agrees_with(&word(6)));
    assert!(!pin.agrees_with(&word(18)) && !pin.agrees_with(&word(262)) && !pin.agrees_with(&[]));
    assert!(!pin.agrees_with(&[word(6), word(6)].concat()) && !pin.agrees_with(&[6]));
    assert!(TokenPin::new(EvmAsset::Ether(CHAIN), 18).is_none() && TokenPin::new(token(), 78).is_none());
}

#[test]
fn coins_and_base_units_are_the_same_amount_exactly() {
    let coin = |text: &str, decimals| Units::parse_coin("amount", text, decimals).map_err(|no| no.code);
    let units = |n: u64| Ok(Units::new(U256::from(n)));
    assert_eq!(coin("1.5", 6), units(1_500_000));
    assert_eq!(coin("0.000001", 6), units(1));
    assert_eq!(coin("7", 0), units(7));
    assert_eq!(coin("0.0000001", 6), Err(Code::AmountTooFine));
    assert_eq!(coin("1.0000000", 6), Err(Code::AmountTooFine));
    assert_eq!(coin("0.0", 6), Err(Code::AmountZero));
    for text in ["", ".5", "5.", "1e3", "+1", "-1", "01", "1,5", "1.5.0", " 1", "١"] {
        assert_eq!(coin(text, 6), Err(Code::FieldMalformed), "{text}");
    }
    assert_eq!(coin(&"9".repeat(78), 0), Err(Code::AmountAboveSupply));
    let most = Units::new(U256::MAX);
    for decimals in [0, 1, 18, 77] {
        assert_eq!(coin(&most.in_coin(decimals), decimals), Ok(most));
    }
    assert_eq!(Units::new(U256::from(1_500_000)).in_coin(6), "1.500000");
}

#[test]
fn a_256_bit_amount_is_the_common_word_for_it_or_none() {
    let large = Units::parse("amount", "340282366920938463463374607431768211456").unwrap();
    assert_eq!((large.amount(), Units::new(U256::MAX).plus(large)), (None, None));
    let fits = Units::parse("amount", "340282366920938463463374607431768211455").unwrap();
    assert_eq!(fits.amount(), Some(Amount::from_units(u128::MAX)));
    assert_eq!(Units::from_amount(Amount::from_units(u128::MAX)), fits);
    assert_eq!(fits.minus(large), None);
    let code = |text: &str| Units::parse("amount", text).map_err(|no| no.code);
    assert_eq!(code("0"), Err(Code::AmountZero));
    assert_eq!(code("-1"), Err(Code::AmountNegative));
    assert_eq!(code("007"), Err(Code::FieldMalformed));
    assert_eq!(code(&"9".repeat(78)), Err(Code::AmountAboveSupply));
}
