//! An owner's seat is given to another key with the program itself: proposed before nodes, signed by two keystores, carried by anybody.

use std::path::Path;

use alloy_primitives::{Bytes, U256};
use countersign::ethereum::*;
use countersign::keys::KeyRole;
use serde_json::{Value, json};

use super::chain::Chain;
use super::nodes::{MAKE, mine};
use super::observer::{honest_scene, trusting_with, write_files, write_trust};
use super::world::*;

/// A machine with keystores on it.
struct Machine<'a>(&'a Path);

impl Machine<'_> {
    /// Runs the program here; its exit code, what it answers, and what it complains of.
    fn run(&self, line: &str) -> (i32, Value, String) {
        let line = line.replace('@', &format!("{}/", self.0.display()));
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        let done = command.arg("--json").args(line.split_whitespace()).output().unwrap();
        let said = String::from_utf8([done.stdout.clone(), done.stderr].concat()).unwrap();
        let json = serde_json::from_slice(&done.stdout).unwrap_or_default();
        (done.status.code().unwrap(), json, said)
    }

    fn answer(&self, line: &str) -> Value {
        let (code, json, said) = self.run(line);
        assert_eq!(code, 0, "{line}: {said}");
        json
    }

    fn refuses(&self, line: &str, why: &str) {
        let (code, _, said) = self.run(line);
        assert!(code != 0 && said.contains(why), "{line}: {said}");
    }

    fn write(&self, name: &str, value: &Value) {
        std::fs::write(self.0.join(name), value.to_string()).unwrap();
    }

    /// Makes a keystore, and the file of its owner.
    fn owner(&self, name: &str, init: &str) -> Address {
        let terms = "--network regtest --cost cheap --passphrase-file @pass";
        self.answer(&format!("init {terms} --keystore @{name} --words-file @{name}.words {init}"));
        let said = self.answer(&format!("safe owner --keystore @{name} --passphrase-file @pass"));
        self.write(&format!("{name}.json"), &said);
        said["address"].as_str().unwrap().parse().unwrap()
    }
}

const SIGNER: &str = "--role signer --store sqlite:@a.db --origin x.example/signer --enclave-database @e.db --enclave-data-key @e.key \
    --enclave-identity-key @v.key --freeze-folder @freeze";

/// Deploys the Safe of three owners by the call that the program printed.
async fn deployed(chain: &Chain, machine: &Machine<'_>, salt: u64) -> Address {
    let owners = "--owner @a.json --owner @b.json --owner @c.json --singleton l1";
    let said = machine.answer(&format!("safe predict --chain {} {owners} --salt {salt}", chain.id));
    let (to, data) = (&said["deployment"]["to"], &said["deployment"]["data"]);
    let data: Bytes = data.as_str().unwrap().parse().unwrap();
    chain.bank_sends(to.as_str().unwrap().parse().unwrap(), U256::ZERO, &data).await;
    said["safe"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_owners_give_the_seat_of_a_third_to_another_key_and_the_deposit_addresses_follow_their_treasury()
{
    let Some(chain) = Chain::start_anvil().await else { return };
    let world = World::new(chain, MAKE).await;
    let home = tempfile::tempdir().unwrap();
    let machine = Machine(home.path());
    std::fs::write(home.path().join("pass"), "correct horse\n").unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(home.path().join("pass"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let cosigner =
        |name: &str| format!("--role cosigner --store sqlite:@{name}.db --origin x.example/{name}");
    let (a, b) = (machine.owner("a", SIGNER), machine.owner("b", &cosigner("b")));
    let (c, next) = (machine.owner("c", "--role vault"), machine.owner("b2", &cosigner("b2")));
    let (hot, treasury) =
        (deployed(&world.chain, &machine, 0).await, deployed(&world.chain, &machine, 1).await);
    mine(&world.chain, 4).await;
    let owners = Owners::new(a, b, c).unwrap();
    let wallet = SafeWallet::adopt(world.chain.id, MAKE, owners, hot);
    let trust = trusting_with(&world, (&wallet, Some(treasury)), &[]);
    let scene = honest_scene(world, wallet, trust).await;
    let (chain, config) = (&scene.world.chain, write_files(&scene));
    let config = config.display();

    for (of, safe) in [("hot", hot), ("treasury", treasury)] {
        let seat = format!("--chain {} --of {of} --seat cosigner --to @b2.json", chain.id);
        let paper = machine.answer(&format!("safe rotate --config {config} {seat}"));
        assert_eq!(paper["safe"].as_str().unwrap().parse::<Address>().unwrap(), safe);
        machine.write("rotation.json", &paper);
        let as_vault =
            format!("safe sign @rotation.json --keystore @c --passphrase-file @pass --trust {config}");
        refuses_others(&machine, &paper, &as_vault, &seat);
        machine.write("rotation.json", &paper);
        let once = machine.answer(&format!("{as_vault} {seat}"));
        assert_eq!(once["signed_by"], "vault");
        machine.write("rotation.json", &once);
        machine.refuses(&format!("{as_vault} {seat}"), "not of two owners");
        let done = machine.answer(&format!("{} {seat}", as_vault.replace("@c ", "@a ")));
        assert_eq!(done["to"].as_str().unwrap().parse::<Address>().unwrap(), safe);
        let data: Bytes = done["data"].as_str().unwrap().parse().unwrap();
        chain.bank_sends(safe, U256::ZERO, &data).await;
        let again = chain.call(safe, &data).await.unwrap_err();
        assert!(again.windows(5).any(|word| word == b"GS026"), "{again}");
    }
    mine(chain, 4).await;
    let (code, told, said) = machine.run(&format!("safe check --config {config}"));
    assert!(code == 1 && said.contains("not as pinned: the owners"), "{said}");
    let now = told["safes"][0]["facts"]["owners"].as_array().unwrap();
    assert!(
        now.contains(&json!(next.to_checksum(None))) && !now.contains(&json!(b.to_checksum(None))),
        "{now:?}"
    );

    // once it is pinned it is as pinned, and what was signed by the old owners is nobody's
    let owners = Owners::new(a, next, c).unwrap();
    let wallet = SafeWallet::adopt(chain.id, MAKE, owners, hot);
    write_trust(scene.folder(), &trusting_with(&scene.world, (&wallet, Some(treasury)), &[]));
    machine.answer(&format!("safe check --config {config}"));
    let treasury = SafeWallet::adopt(chain.id, MAKE, owners, treasury);
    assert!(judge(&treasury, &facts(chain, &treasury).await).is_ok());
    assert_eq!(KeyRole::Cosigner, owners.role_of(next).unwrap());
}

/// The paper says one thing and the person another, or the paper does something else than it says.
fn refuses_others(machine: &Machine<'_>, paper: &Value, sign: &str, seat: &str) {
    machine
        .refuses(&format!("{sign} {}", seat.replace("cosigner", "vault").replace("b2", "c")), "not signed");
    machine
        .refuses(&format!("{sign} {}", seat.replace("cosigner", "signer").replace("b2", "a")), "not signed");
    let elsewhere = "0x52908400098527886E0F7030069857D2E4169EE7";
    machine.refuses(&format!("{sign} {}", seat.replace("@b2.json", elsewhere)), "not signed");
    let (of, other) = if seat.contains("--of hot") { ("hot", "treasury") } else { ("treasury", "hot") };
    machine.refuses(
        &format!("{sign} {}", seat.replace(&format!("--of {of}"), &format!("--of {other}"))),
        "not signed",
    );
    let mut order = paper["owners_as_listed"].clone();
    order.as_array_mut().unwrap().rotate_left(1);
    let lies = [
        ("nonce", json!(7)),
        ("to", paper["from"].clone()),
        ("safe_tx_hash", json!(format!("0x{}", "11".repeat(32)))),
        ("owners_as_listed", order),
        ("signed_by", json!("signer")),
        ("proposal", json!(paper["proposal"].as_str().unwrap().replacen("64", "65", 1))),
    ];
    for (field, lie) in lies {
        let mut lying = paper.clone();
        lying[field] = lie;
        machine.write("rotation.json", &lying);
        machine.refuses(&format!("{sign} {seat}"), "not signed");
    }
}
