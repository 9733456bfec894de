//! Destinations: the vectors of BIP-0173 and BIP-0350, every kind on every network, dust.

use proptest::prelude::*;

use crate::bitcoin::{AddressKind, Destination, OutputNeed, Payee};
use crate::withdrawal::{Code, Network};

/// The valid segwit addresses of BIP-0350 that are standard to pay, with their scripts.
const PAYABLE: &[(&str, Network, &str)] = &[
    (
        "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
        Network::Mainnet,
        "0014751e76e8199196d454941c45d1b3a323f1433bd6",
    ),
    (
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        Network::Testnet4,
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
    ),
    (
        "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
        Network::Signet,
        "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
    ),
    (
        "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
        Network::Signet,
        "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
    ),
    (
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        Network::Mainnet,
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
];

/// Valid in BIP-0350, but of versions that are not standard to pay.
const NOT_PAYABLE: &[&str] = &[
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
    "BC1SW50QGDZ25J",
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
    "bc1pfeessrawgf", // pay to anchor, BIP-0433: no keys, anyone may spend it
];

/// The invalid addresses of BIP-0350.
const INVALID: &[&str] = &[
    "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
    "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf",
    "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
    "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47",
    "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
    "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
    "bc1pw5dgrnzv",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
    "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j",
    "bc1gmk9yu",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sL5k7",
];

const LEGACY: &[(&str, Network, AddressKind, &str)] = &[
    (
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        Network::Mainnet,
        AddressKind::P2pkh,
        "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac",
    ),
    (
        "3P14159f73E4gFr7JterCCQh9QjiTjiZrG",
        Network::Mainnet,
        AddressKind::P2sh,
        "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87",
    ),
    (
        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
        Network::Regtest,
        AddressKind::P2pkh,
        "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac",
    ),
    (
        "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc",
        Network::Signet,
        AddressKind::P2sh,
        "a9144e9f39ca4688ff102128ea4ccda34105324305b087",
    ),
];

#[test]
fn the_vectors_of_bip_350_read_to_their_scripts() {
    for (text, network, script) in PAYABLE {
        let read = Destination::parse(text, *network).unwrap();
        assert_eq!(read.script_pubkey().to_hex_string(), *script, "{text}");
        assert_eq!(read.as_str(), text.to_ascii_lowercase());
    }
    for text in NOT_PAYABLE {
        assert_eq!(
            Destination::parse(text, Network::Mainnet).unwrap_err().code,
            Code::AddressNotPayable,
            "{text}"
        );
    }
    for text in INVALID {
        for network in Network::ALL {
            let code = Destination::parse(text, network).unwrap_err().code;
            assert!(matches!(code, Code::AddressMalformed | Code::AddressWrongNetwork), "{text}: {code}");
        }
    }
}

#[test]
fn a_taproot_address_nobody_could_spend_from_is_not_paid() {
    let none = ::bitcoin::bech32::segwit::encode_v1(::bitcoin::bech32::hrp::BC, &[0; 32]).unwrap();
    assert_eq!(Destination::parse(&none, Network::Mainnet).unwrap_err().code, Code::AddressNotPayable);
}

#[test]
fn a_payment_weighs_what_its_address_says() {
    let to = Destination::parse("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", Network::Mainnet).unwrap();
    let payee = Payee::new(&to, 1_000);
    assert_eq!(payee.need(), OutputNeed { amount_sat: 1_000, weight: 124 });
    assert_eq!((to.output_weight(), &*payee.script_pubkey), (124, to.script_pubkey()));
}

#[test]
fn legacy_addresses_read_to_their_scripts() {
    for (text, network, kind, script) in LEGACY {
        let read = Destination::parse(text, *network).unwrap();
        assert_eq!(read.script_pubkey().to_hex_string(), *script, "{text}");
        assert_eq!((read.kind(), read.as_str()), (*kind, *text));
    }
}

#[test]
fn an_address_of_another_network_is_told_apart_from_a_typing_error() {
    let code = |text: &str, network| Destination::parse(text, network).unwrap_err().code;
    let main = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    assert_eq!(code(main, Network::Regtest), Code::AddressWrongNetwork);
    assert_eq!(code("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", Network::Signet), Code::AddressWrongNetwork);
    assert_eq!(code("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", Network::Mainnet), Code::AddressWrongNetwork);
    assert_eq!(code("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", Network::Mainnet), Code::AddressMalformed);
    assert_eq!(code("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", Network::Mainnet), Code::AddressMalformed);
    assert_eq!(code("Bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", Network::Mainnet), Code::AddressMalformed);
    assert_eq!(code("0x52908400098527886E0F7030069857D2E4169EE7", Network::Mainnet), Code::AddressMalformed);
    assert_eq!(code("", Network::Mainnet), Code::FieldMissing);
    assert_eq!(code(&"1".repeat(91), Network::Mainnet), Code::FieldTooLong);
    assert_eq!(code(&format!("{main} "), Network::Mainnet), Code::AddressMalformed);
    assert!(
        Destination::parse("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", Network::Regtest)
            .unwrap_err()
            .cure
            .contains("share")
    );
}

#[test]
fn dust_is_bitcoin_cores_at_three_satoshi_a_vbyte() {
    // GetDustThreshold: (output + 67 for a witness program, 148 otherwise) at 3 sat/vB
    for (text, network, ..) in LEGACY {
        let read = Destination::parse(text, *network).unwrap();
        assert_eq!(read.dust_sat(), (read.output_weight() / 4 + 148) * 3, "{text}");
    }
    for (text, network, _) in PAYABLE {
        if let Ok(read) = Destination::parse(text, *network) {
            assert_eq!(read.dust_sat(), (read.output_weight() / 4 + 67) * 3, "{text}");
            assert_eq!(read.dust_sat(), read.script_pubkey().minimal_non_dust().to_sat());
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_address_reader_panic(text in ".{0,100}", body in "[a-zA-Z0-9]{0,92}") {
        for network in Network::ALL {
            let _ = Destination::parse(&text, network);
            let _ = Destination::parse(&body, network);
            let _ = Destination::parse(&format!("bcrt1{body}"), network);
        }
    }

    #[test]
    fn what_is_read_is_read_again_from_its_normal_spelling(program in prop::array::uniform20(any::<u8>())) {
        let text = ::bitcoin::bech32::segwit::encode_v0(::bitcoin::bech32::hrp::BC, &program).unwrap();
        let read = Destination::parse(&text.to_uppercase(), Network::Mainnet).unwrap();
        prop_assert_eq!(&Destination::parse(read.as_str(), Network::Mainnet).unwrap(), &read);
        prop_assert_eq!(read.kind(), AddressKind::P2wpkh);
    }
}
