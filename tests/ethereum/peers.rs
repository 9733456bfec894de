//! Programs that nobody here wrote: the contract itself, ethers, viem, safe-eth-py, protocol-kit. All say the same.

use std::io::Write;
use std::process::{Command, Stdio};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, sol};
use countersign::ethereum::pins::{Release, V1_4_1, V1_5_0};
use countersign::ethereum::*;
use serde_json::{Value, json};

use super::chain::{Chain, hex, packages};
use super::world::World;

sol! {
    function execTransaction(address to, uint256 value, bytes data, uint8 operation, uint256 safeTxGas, uint256 baseGas, uint256 gasPrice, address gasToken, address refundReceiver, bytes signatures);
    function getTransactionHash(address to, uint256 value, bytes data, uint8 operation, uint256 safeTxGas, uint256 baseGas, uint256 gasPrice, address gasToken, address refundReceiver, uint256 nonce);
}

/// An execution with any signatures at all, which the room itself never writes.
pub fn execution(call: &SafeCall, signatures: Vec<u8>) -> Vec<u8> {
    execTransactionCall {
        to: call.to,
        value: call.value,
        data: call.data.clone(),
        operation: call.operation.number(),
        safeTxGas: U256::from(call.safe_tx_gas),
        baseGas: U256::ZERO,
        gasPrice: U256::ZERO,
        gasToken: Address::ZERO,
        refundReceiver: Address::ZERO,
        signatures: signatures.into(),
    }
    .abi_encode()
}

/// Numbers that look random and are the same on every run.
struct Chance(u64);

impl Chance {
    fn word(&mut self) -> B256 {
        self.0 += 1;
        keccak256(self.0.to_be_bytes())
    }

    fn number(&mut self, below: u64) -> u64 {
        U256::from_be_bytes(self.word().0).as_limbs()[0] % below
    }

    fn call(&mut self) -> SafeCall {
        let data_len = usize::try_from(self.number(400)).unwrap();
        let data: Vec<u8> =
            std::iter::repeat_with(|| self.word().0).take(13).flatten().take(data_len).collect();
        let shift = usize::try_from(self.number(256)).unwrap();
        SafeCall {
            to: Address::from_word(self.word()),
            value: U256::from_be_bytes(self.word().0) >> shift,
            data: data.into(),
            operation: if self.number(4) == 0 { Operation::DelegateCall } else { Operation::Call },
            safe_tx_gas: self.number(10_000_000),
            nonce: self.number(u64::from(u32::MAX)),
        }
    }
}

fn described(call: &SafeCall) -> Value {
    json!({
        "to": call.to.to_string(), "value": call.value.to_string(), "data": hex(&call.data),
        "operation": call.operation.number(), "safeTxGas": call.safe_tx_gas.to_string(), "nonce": call.nonce.to_string(),
    })
}

/// Runs a script with JSON in and JSON out.
fn ask(mut program: Command, script: &str, question: &Value) -> Value {
    program.arg(format!("{}/tests/ethereum/{script}", env!("CARGO_MANIFEST_DIR")));
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    child.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{script} failed");
    serde_json::from_slice(&done.stdout).unwrap()
}

fn node() -> Command {
    let mut node = Command::new("node");
    node.env("COUNTERSIGN_EVM", packages().unwrap());
    node
}

#[tokio::test]
async fn the_hash_is_the_contracts_and_everybody_elses_for_hundreds_of_transactions() {
    for release in Release::ALL {
        let Some(chain) = Chain::start_anvil().await else { return };
        let world = World::new(chain, Make { release, singleton: Singleton::Plain }).await;
        let wallet = world.make_safe(0).await;
        let mut chance = Chance(u64::from(release.version.as_bytes()[2]) << 32);
        let calls: Vec<SafeCall> = (0..300).map(|_| chance.call()).collect();
        let ours: Vec<String> = calls.iter().map(|call| call.hash(&wallet).unwrap().to_string()).collect();
        for (call, ours) in calls.iter().zip(&ours) {
            let asked = getTransactionHashCall {
                to: call.to,
                value: call.value,
                data: call.data.clone(),
                operation: call.operation.number(),
                safeTxGas: U256::from(call.safe_tx_gas),
                baseGas: U256::ZERO,
                gasPrice: U256::ZERO,
                gasToken: Address::ZERO,
                refundReceiver: Address::ZERO,
                nonce: U256::from(call.nonce),
            };
            let theirs = world.chain.call(wallet.address(), &asked.abi_encode()).await.unwrap();
            assert_eq!(B256::from_slice(&theirs).to_string(), *ours);
        }
        let question = json!({
            "chain": wallet.chain().number(), "safe": wallet.address().to_string(), "version": release.version,
            "calls": calls.iter().map(described).collect::<Vec<_>>(),
        });
        let theirs = ask(node(), "peers.mjs", &question);
        assert_eq!(theirs["viem"], json!(ours), "viem");
        assert_eq!(theirs["ethers"], json!(ours), "ethers");
        if let Some(python) = python() {
            assert_eq!(ask(python, "peers.py", &question)["safe-eth-py"], json!(ours), "safe-eth-py");
        }
    }
}

/// Python with safe-eth-py, or a loud word that it was left out.
fn python() -> Option<Command> {
    let found = std::env::var_os("COUNTERSIGN_EVM_PYTHON").filter(|path| !path.is_empty());
    if found.is_none() {
        let required = std::env::var_os("COUNTERSIGN_REQUIRE_EVM_PYTHON").is_some_and(|value| value == "1");
        assert!(!required, "COUNTERSIGN_REQUIRE_EVM_PYTHON=1, but COUNTERSIGN_EVM_PYTHON names no Python");
        std::io::stderr()
            .write_all(b"\n*** SKIPPED: safe-eth-py: COUNTERSIGN_EVM_PYTHON names no Python ***\n\n")
            .unwrap();
    }
    found.map(Command::new)
}

#[tokio::test]
async fn protocol_kit_predicts_the_same_safes() {
    let Some(chain) = Chain::start_anvil().await else { return };
    let world = World::new(chain, Make { release: &V1_4_1, singleton: Singleton::Plain }).await;
    super::world::deploy(&world.chain, &V1_5_0).await;
    let owners = world.party.owners();
    for release in [&V1_4_1, &V1_5_0] {
        for (singleton, plain) in [(Singleton::Plain, true), (Singleton::Telling, false)] {
            let make = Make { release, singleton };
            let question = json!({
                "url": world.chain.url(), "version": release.version, "plain": plain, "salts": ["0", "7", "123456789"],
                "owners": owners.all().map(|owner| owner.to_string()),
                "singleton": release.singleton(singleton).pin.address.to_string(),
                "factory": release.factory.address.to_string(),
                "handler": release.fallback_handler.address.to_string(),
            });
            let ours = [0u64, 7, 123_456_789].map(|salt| {
                SafeWallet::predict(world.chain.id, make, owners, U256::from(salt)).address().to_string()
            });
            assert_eq!(
                ask(node(), "protocol-kit.mjs", &question),
                json!(ours),
                "{} {singleton:?}",
                release.version
            );
        }
    }
}

/// A token from the Safe package itself, so that the published standard is met once, too.
#[tokio::test]
async fn a_published_token_is_paid() {
    let Some(chain) = Chain::start_anvil().await else { return };
    let world = World::new(chain, Make { release: &V1_5_0, singleton: Singleton::Plain }).await;
    let wallet = world.make_safe(0).await;
    let sent = json!({
        "from": world.chain.bank.to_string(), "gas": "0x1c9c380",
        "data": super::world::published(&V1_5_0, "ERC20Token").to_string(),
    });
    let hash = world.chain.ask("eth_sendTransaction", json!([sent])).await;
    let receipt = world.chain.mined(hash.as_str().unwrap()).await;
    let token: Address = receipt["contractAddress"].as_str().unwrap().parse().unwrap();
    let give: Bytes = [
        &keccak256("transfer(address,uint256)")[..4],
        wallet.address().into_word().as_slice(),
        &U256::from(1_000).to_be_bytes::<32>(),
    ]
    .concat()
    .into();
    world.chain.bank_sends(token, U256::ZERO, &give).await;
    let payee = super::world::tokens(&world.chain, token, super::world::stranger(1), 999);
    assert_eq!(world.pay(&wallet, &[payee]).await, Verdict::Paid);
}
