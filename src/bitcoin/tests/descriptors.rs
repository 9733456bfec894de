//! Descriptors: one shape is read, everything else is refused, and addresses equal miniscript's.

use std::str::FromStr;

use ::bitcoin::secp256k1::PublicKey;
use miniscript::{Descriptor, DescriptorPublicKey};
use proptest::prelude::*;

use super::world::World;
use crate::bitcoin::descriptor::checksum_of;
use crate::bitcoin::own_script::two_of_three;
use crate::bitcoin::{AccountKey, Branch, Destination, KeySlot, WalletDescriptor};
use crate::withdrawal::{Code, Network};

fn with_checksum(body: &str) -> String {
    format!("{body}#{}", checksum_of(body).unwrap())
}

fn body_of(wallet: &WalletDescriptor) -> String {
    wallet.as_str().split_once('#').unwrap().0.to_owned()
}

fn bitcoin_network(network: Network) -> ::bitcoin::Network {
    match network {
        Network::Mainnet => ::bitcoin::Network::Bitcoin,
        Network::Testnet4 => ::bitcoin::Network::Testnet4,
        Network::Signet => ::bitcoin::Network::Signet,
        Network::Regtest => ::bitcoin::Network::Regtest,
    }
}

#[test]
fn a_descriptor_reads_back_and_both_hardening_marks_are_one_wallet() {
    for network in Network::ALL {
        let world = World::new(network, 1);
        let again = WalletDescriptor::parse(network, world.wallet.as_str()).unwrap();
        assert_eq!(again.as_str(), world.wallet.as_str());
        assert_eq!(again.fingerprint(), world.wallet.fingerprint());
        assert_eq!(again.fingerprint().len(), 16);
        let h = with_checksum(&body_of(&world.wallet).replace('\'', "h"));
        assert_eq!(WalletDescriptor::parse(network, &h).unwrap().as_str(), world.wallet.as_str());
    }
}

#[test]
fn the_checksum_is_required_and_the_error_says_so() {
    let world = World::new(Network::Regtest, 1);
    let error = WalletDescriptor::parse(Network::Regtest, &body_of(&world.wallet)).unwrap_err();
    assert_eq!(error.code, Code::DescriptorMalformed);
    assert!(error.problem.contains("no checksum"), "{error}");
}

/// BIP-0380's table: the descriptor is `raw(deadbeef)`, the checksum `89f8spxm`.
#[test]
fn checksums_are_those_of_bip_380() {
    assert_eq!(checksum_of("raw(deadbeef)").unwrap(), "89f8spxm");
    for bad in [
        "raw(deadbeef)",
        "raw(deadbeef)#",
        "raw(deadbeef)#89f8spxmx",
        "raw(deadbeef)#89f8spx",
        "raw(dedbeef)#89f8spxm",
        "raw(deadbeef)##9f8spxm",
        "raw(Ü)#00000000",
    ] {
        let error = WalletDescriptor::parse(Network::Mainnet, bad).unwrap_err();
        assert_eq!(error.code, Code::DescriptorMalformed);
        assert!(!error.problem.contains("form"), "refused for another reason: {error}");
    }
    let shape = WalletDescriptor::parse(Network::Mainnet, "raw(deadbeef)#89f8spxm").unwrap_err();
    assert!(shape.problem.contains("not of the form"), "{shape}");
}

#[test]
fn every_single_character_error_is_refused() {
    let world = World::new(Network::Mainnet, 1);
    let text = world.wallet.as_str();
    for at in 0..text.len() {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'q' { b'p' } else { b'q' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(WalletDescriptor::parse(Network::Mainnet, &changed).is_err(), "position {at}");
    }
}

#[test]
fn any_other_shape_is_refused() {
    let world = World::new(Network::Mainnet, 1);
    let body = body_of(&world.wallet);
    let [a, b, c] = world.wallet.keys().map(|key| key.to_string());
    let shapes = [
        body.replace("sortedmulti(2", "sortedmulti(1"),
        body.replace("sortedmulti(2", "sortedmulti(3"),
        body.replace("sortedmulti(2", "sortedmulti(02"),
        body.replace("sortedmulti", "multi"),
        format!("sh({body})"),
        body.replace("wsh(", "sh("),
        body.replace("/<0;1>/*", "/<1;0>/*"),
        body.replace("/<0;1>/*", "/<0;1;2>/*"),
        body.replace("/<0;1>/*", "/0/*"),
        body.replace("/<0;1>/*", "/<0;1>/*'"),
        body.replace("/48'/", "/45'/"),
        body.replace("/48'/0'/", "/48'/1'/"),
        body.replace("/2']", "/1']"),
        body.replace("/0'/2']", "/0/2']"),
        body.replace("/0'/2']", "/00'/2']"),
        format!("wsh(sortedmulti(2,{a}/<0;1>/*,{b}/<0;1>/*))"),
        format!("wsh(sortedmulti(2,{a}/<0;1>/*,{a}/<0;1>/*,{c}/<0;1>/*))"),
        format!("wsh(sortedmulti(2,{a}/<0;1>/*,{b}/<0;1>/*,{c}/<0;1>/*,{c}/<0;1>/*))"),
        format!(" {body}"),
        body.replace("xpub", "Zpub"),
        format!("wsh(sortedmulti(2,{}/<0;1>/*,{b}/<0;1>/*,{c}/<0;1>/*))", &a[a.find(']').unwrap() + 1..]),
        "x".repeat(1001),
    ];
    for shape in shapes {
        assert!(WalletDescriptor::parse(Network::Mainnet, &with_checksum(&shape)).is_err(), "{shape}");
    }
}

/// BIP-0380, the invalid key expressions that concern an origin, over a key of ours.
#[test]
fn origins_that_bip_380_calls_invalid_are_refused() {
    let key = World::new(Network::Mainnet, 1).wallet.keys()[0];
    let xpub = key.xpub().to_string();
    let good = format!("[deadbeef/48'/0'/0'/2']{xpub}");
    assert_eq!(AccountKey::parse(Network::Mainnet, &good).unwrap().to_string(), good);
    for origin in [
        "[deadbeef/48'/0'/0'/2'/*]",
        "[deadbeef/48'/0'/0'/2'/]",
        "[deadbef/48'/0'/0'/2']",
        "[deadbeeef/48'/0'/0'/2']",
        "[deadbeef/48f/0f/0f/2f]",
        "[deadbeef/48H/0H/0H/2H]",
        "[deadbeef/-48'/0'/0'/2']",
        "[deadbeef/48'/0'/2147483648'/2']",
        "[deadbeef/48'/0'/0'/2'][deadbeef/48'/0'/0'/2']",
        "deadbeef/48'/0'/0'/2']",
        "[deadbeef]",
        "[]",
        "",
    ] {
        let refused = AccountKey::parse(Network::Mainnet, &format!("{origin}{xpub}"));
        assert_eq!(refused.unwrap_err().code, Code::DescriptorMalformed, "{origin}");
    }
}

#[test]
fn a_descriptor_of_another_network_is_refused() {
    let main = World::new(Network::Mainnet, 1);
    let test = World::new(Network::Signet, 1);
    assert!(WalletDescriptor::parse(Network::Testnet4, main.wallet.as_str()).is_err());
    assert!(WalletDescriptor::parse(Network::Mainnet, test.wallet.as_str()).is_err());
    assert!(WalletDescriptor::parse(Network::Regtest, test.wallet.as_str()).is_ok());
    assert!(WalletDescriptor::assemble(Network::Mainnet, *test.wallet.keys()).is_err());
}

#[test]
fn two_keys_of_one_master_are_no_wallet_and_hot_shares_nothing_with_cold() {
    let hot = World::new(Network::Regtest, 1);
    let cold = World::new(Network::Regtest, 2);
    let [a, b, c] = *hot.wallet.keys();
    assert!(WalletDescriptor::assemble(Network::Regtest, [a, b, a]).is_err());
    let cousin = AccountKey::new(Network::Regtest, a.fingerprint(), 1, &c.xpub().to_string()).unwrap();
    assert!(WalletDescriptor::assemble(Network::Regtest, [a, b, cousin]).is_err());
    assert!(!hot.wallet.shares_key_with(&cold.wallet));
    let [d, e, _] = *cold.wallet.keys();
    let mixed = WalletDescriptor::assemble(Network::Regtest, [d, b, e]).unwrap();
    assert!(mixed.shares_key_with(&hot.wallet) && hot.wallet.shares_key_with(&mixed));
}

/// BIP-0067, test vectors 2 and 4: those with three keys.
#[test]
fn keys_in_the_script_stand_in_the_order_of_bip_67() {
    let two = [
        "02632b12f4ac5b1d1b72b2a3b508c19172de44f6f46bcee50ba33f3f9291e47ed0",
        "027735a29bae7780a9755fae7a1c4374c656ac6a69ea9f3697fda61bb99a4f3e77",
        "02e2cc6bd5f45edd43bebe7cb9b675f0ce9ed3efe613b177588290ad188d11b404",
    ];
    let four = [
        "022df8750480ad5b26950b25c7ba79d3e37d75f640f8e5d9bcd5b150a0f85014da",
        "03e3818b65bcc73a7d64064106a859cc1a5a728c4345ff0b641209fba0d90de6e9",
        "021f2f6e1e50cb6a953935c3601284925decd3fd21bc445712576873fb8c6ebc18",
    ];
    let address = |list: [&str; 3]| {
        let script = two_of_three(&list.map(|hex| PublicKey::from_str(hex).unwrap()));
        ::bitcoin::Address::p2sh(&script, ::bitcoin::Network::Bitcoin).unwrap().to_string()
    };
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(address(order.map(|i: usize| two[i])), "3CKHTjBKxCARLzwABMu9yD85kvtm7WnMfH");
        assert_eq!(address(order.map(|i: usize| four[i])), "3Q4sF6tv9wsdqu2NtARzNCpQgwifm2rAba");
    }
}

#[test]
fn addresses_equal_miniscripts_on_every_network() {
    let mut index = 0x1234_5678u32;
    for network in Network::ALL {
        let world = World::new(network, 3);
        let descriptor = Descriptor::<DescriptorPublicKey>::from_str(world.wallet.as_str()).unwrap();
        let branches = descriptor.into_single_descriptors().unwrap();
        for n in 0..150u32 {
            index = index.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = if n < 5 { n } else { index >> 1 };
            for (branch, single) in [Branch::Deposit, Branch::Change].into_iter().zip(&branches) {
                let definite = single.at_derivation_index(at).unwrap();
                let own = world.wallet.script(branch, at).unwrap();
                assert_eq!(own.script_pubkey(), &*definite.script_pubkey());
                assert_eq!(own.witness_script(), &*definite.explicit_script().unwrap());
                let theirs = definite.address(bitcoin_network(network)).unwrap().to_string();
                let address = world.wallet.address(branch, at).unwrap();
                assert_eq!(address, theirs);
                let read = Destination::parse(&address, network).unwrap();
                assert_eq!(read.script_pubkey(), own.script_pubkey());
            }
        }
    }
}

#[test]
fn own_keys_stand_in_the_order_a_b_c_and_belong_to_the_private_ones() {
    let world = World::new(Network::Regtest, 4);
    let script = world.wallet.script(Branch::Change, 77).unwrap();
    for slot in KeySlot::ALL {
        let secret = world.secret(slot, Branch::Change, 77);
        assert_eq!(*script.pubkey(slot), secret.public_key(&::bitcoin::secp256k1::Secp256k1::new()));
    }
    assert_eq!(
        (script.branch(), script.index(), script.wallet()),
        (Branch::Change, 77, world.wallet.digest())
    );
}

#[test]
fn an_index_of_2_to_the_31_is_refused_and_a_run_equals_its_members() {
    let wallet = World::new(Network::Regtest, 4).wallet;
    assert!(wallet.script(Branch::Deposit, 1 << 31).is_err());
    assert!(wallet.script(Branch::Deposit, (1 << 31) - 1).is_ok());
    assert!(wallet.scripts(Branch::Deposit, u32::MAX, 2).is_err());
    let run = wallet.scripts(Branch::Deposit, 10, 5).unwrap();
    assert_eq!(run.len(), 5);
    assert_eq!(run[3], wallet.script(Branch::Deposit, 13).unwrap());
}

proptest! {
    #[test]
    fn no_text_makes_the_descriptor_reader_panic(text in ".{0,80}", tail in "[#(),<>;/*0-9a-z']{0,60}") {
        let _ = WalletDescriptor::parse(Network::Mainnet, &text);
        let body = format!("wsh(sortedmulti(2,{tail}))");
        if let Ok(sum) = checksum_of(&body) {
            let read = WalletDescriptor::parse(Network::Mainnet, &format!("{body}#{sum}"));
            prop_assert!(read.is_err());
        }
        let _ = AccountKey::parse(Network::Mainnet, &text);
    }
}
