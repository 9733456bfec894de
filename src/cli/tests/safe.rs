//! Owners come together into a Safe: each proves its key, in its place, and where the Safe will stand follows from them alone.

use alloy_primitives::U256;

use super::*;
use crate::ethereum::pins::{V1_4_1, V1_5_0};
use crate::ethereum::wallet::THRESHOLD;
use crate::ethereum::{Address, Blueprint, Make, Owners, SafeWallet, Singleton};
use crate::withdrawal::ChainId;

/// Three keystores, and what each says of its owner.
fn owners(desk: &Desk) -> [Address; 3] {
    desk.init_signer();
    desk.play(COSIGNER).unwrap();
    desk.init_vault("c");
    ["a", "b", "c"].map(|name| {
        let said = desk.play(&format!("safe owner --keystore @{name} --passphrase-file @pass")).unwrap();
        desk.write(&format!("{name}.json"), &said.json.to_string());
        said.json["address"].as_str().unwrap().parse().unwrap()
    })
}

const PREDICT: &str = "safe predict --chain eip155:1 --owner @a.json --owner @b.json --owner @c.json";

#[test]
fn three_owners_with_their_proofs_make_the_safe_that_the_factory_would() {
    let desk = Desk::new();
    let [a, b, c] = owners(&desk);
    let owners = Owners::new(a, b, c).unwrap();
    let chain = ChainId::parse("eip155:1").unwrap();
    let made = [
        ("", Make { release: &V1_4_1, singleton: Singleton::Telling }, 0),
        (" --singleton l1 --salt 7", Make { release: &V1_4_1, singleton: Singleton::Plain }, 7),
        (" --release 1.5.0", Make { release: &V1_5_0, singleton: Singleton::Telling }, 0),
    ];
    for (flags, make, salt) in made {
        let said = desk.play(&format!("{PREDICT}{flags}")).unwrap();
        let wallet = SafeWallet::predict(chain, make, owners, U256::from(salt));
        assert_eq!(said.json["safe"], wallet.address().to_checksum(None), "{flags}");
        assert_eq!(said.json["proved"], serde_json::json!([true, true, true]));
        let call = Blueprint::new(make, &owners.all(), THRESHOLD).deployment(U256::from(salt));
        assert_eq!(said.json["deployment"]["data"], alloy_primitives::hex::encode_prefixed(call));
        assert_eq!(said.json["deployment"]["to"], make.release.factory.address.to_checksum(None));
        assert!(
            said.text.contains(&format!("vault = \"{c}\"")) && !said.text.contains("NOT given"),
            "{said:?}"
        );
    }
}

#[test]
fn an_owner_in_anothers_place_or_without_its_key_is_refused_and_an_unproved_one_is_said_to_be_so() {
    let desk = Desk::new();
    let [a, b, _] = owners(&desk);
    let other_order = desk.no(&PREDICT.replace("@a.json --owner @b.json", "@b.json --owner @a.json"));
    assert!(other_order.text.contains("expected the signer's"), "{other_order}");
    let cold = desk.no(&format!("{PREDICT} --cold"));
    assert!(cold.text.contains("expected the vault's"), "{cold}");
    let twice = desk.no(&PREDICT.replace("--owner @b.json ", ""));
    assert!(twice.text.contains("2 times"), "{twice}");
    let same = desk.no(&format!("safe predict --chain eip155:1 --owner {a} --owner {a} --owner {b}"));
    assert!(same.text.contains("three different"), "{same}");
    let lower = a.to_string().to_lowercase();
    let lower =
        desk.no(&format!("safe predict --chain eip155:1 --owner {lower} --owner {b} --owner @c.json"));
    assert!(lower.text.contains("checksum"), "{lower}");

    // the co-signer's file with the signer's address, key and place: the proof is another's
    let [one, two] = ["a.json", "b.json"].map(|name| std::fs::read_to_string(desk.path(name)).unwrap());
    let [one, two]: [Value; 2] = [one, two].map(|text| serde_json::from_str(&text).unwrap());
    let mut forged = one.clone();
    forged["possession_signature"] = two["possession_signature"].clone();
    desk.write("forged.json", &forged.to_string());
    let mut moved = one;
    moved["address"] = two["address"].clone();
    desk.write("moved.json", &moved.to_string());
    for name in ["forged", "moved"] {
        let refused = desk.no(&PREDICT.replace("@a.json", &format!("@{name}.json")));
        assert!(refused.text.contains("does not hold"), "{name}: {refused}");
    }

    let unproved = desk.play(&PREDICT.replace("@a.json", &a.to_string())).unwrap();
    assert_eq!(unproved.json["proved"], serde_json::json!([false, true, true]));
    assert!(unproved.text.contains("NOT given for every owner"), "{}", unproved.text);
}
