//! The Safe of three keystores, found without a node.

use serde_json::Value;

use super::{COSIGNER, Desk, export};
use crate::ethereum::{Make, Owners, Release, SafeWallet, Singleton, U256};
use crate::withdrawal::ChainId;
use crate::withdrawal::evm_address::spell;

#[test]
fn three_exports_with_proofs_become_a_safe_where_the_canonical_factory_puts_it() {
    let desk = Desk::new();
    desk.init_signer();
    desk.play(COSIGNER).unwrap();
    desk.init_vault("c");
    let all = ["a", "b", "c"].map(|name| export(&desk, name));
    let line =
        "descriptor safe --network regtest --chain eip155:31337 --key @a.json --key @b.json --key @c.json";
    let made = desk.play(line).unwrap();
    let owners = all.map(|one| one["owner"]["address"].clone());
    assert_eq!(made.json["owners"], serde_json::json!(owners));
    let [a, b, c] = owners.map(|owner| owner.as_str().unwrap().parse().unwrap());
    let make = Make { release: Release::of("1.4.1").unwrap(), singleton: Singleton::Telling };
    let chain = ChainId::new(31_337).unwrap();
    let safe = SafeWallet::predict(chain, make, Owners::new(a, b, c).unwrap(), U256::ZERO);
    assert_eq!(made.json["safe"], spell(safe.address()));
    assert!(made.text.contains(&format!("hot = \"{}\"", spell(safe.address()))), "{}", made.text);
    let other = desk.play(&format!("{line} --salt 1")).unwrap();
    assert_ne!(other.json["safe"], made.json["safe"]);
    let mut forged: Value =
        serde_json::from_str(&std::fs::read_to_string(desk.path("c.json")).unwrap()).unwrap();
    forged["owner"]["address"] = made.json["owners"][0].clone();
    desk.write("forged.json", &forged.to_string());
    let refused = desk.no(&line.replace("@c.json", "@forged.json"));
    assert!(refused.text.contains("owner's proof of possession"), "{refused}");
    forged.as_object_mut().unwrap().remove("owner");
    desk.write("older.json", &forged.to_string());
    assert!(
        desk.play("descriptor assemble --network regtest --key @a.json --key @b.json --key @older.json")
            .is_ok()
    );
    let refused = desk.no(&line.replace("@c.json", "@older.json"));
    assert!(refused.text.contains("names no owner"), "{refused}");
}
