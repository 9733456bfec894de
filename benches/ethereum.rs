//! A Safe transaction hashed and signed, the co-signer's whole work on one, and a predicted address: ours, the floor, alloy, viem, ethers.
//!
//! As in `signing.rs`, every round runs each row once, and what is compared is the thread's CPU time. viem and ethers run in a
//! process of node's (`ethereum.mjs`), where node and target/components/evm are there.
//!
//! `cargo bench --manifest-path benches/peers/Cargo.toml --bench ethereum [-- --rounds 200]`

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::hint::black_box;

use alloy_primitives::{Address, B256, U256, b256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{Eip712Domain, sol};
use countersign::ethereum::pins::V1_5_0;
use countersign::ethereum::*;
use countersign::keys::{
    self, KeyRole, KeystoreTerms, Phrase, SealCost, Seat, SeatKeys, SeatOrder, Secret, SecretBytes, WordList,
};
use countersign::withdrawal::{Network, ReservationId};
use countersign_peers::newest::NewestCurve;
use countersign_peers::rows::{Limit, Target, row, table, thousand};
use countersign_peers::{Curve, node};
use serde_json::{Value, json};

sol! {
    struct SafeTx {
        address to; uint256 value; bytes data; uint8 operation; uint256 safeTxGas; uint256 baseGas; uint256 gasPrice;
        address gasToken; address refundReceiver; uint256 nonce;
    }
}

/// The floor of the fastest library there is; the product has the copy that rust-bitcoin brings.
const NEWEST: &str = "floor of libsecp256k1 0.8 with SHA-NI";

/// The peers' key, and the floor's.
const SECRET: [u8; 32] = [7; 32];

const MAKE: Make = Make { release: &V1_5_0, singleton: Singleton::Plain };

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rounds = args.iter().position(|a| a == "--rounds").map_or(200, |at| args[at + 1].parse().unwrap());
    let (bench, deposits) = (Bench::new(), deposits());
    let theirs = bench.ask_node(&deposits, rounds);
    bench.signing(rounds, theirs.as_ref());
    bench.cosigning(rounds);
    addresses(&deposits, rounds, theirs.as_ref());
}

/// The rows of node's for one table. They ran in a process of their own, so the ratio is one of medians.
fn node_rows(theirs: Option<&Value>, table: &str, first: f64) {
    for row in
        theirs.iter().flat_map(|all| all["rows"].as_array().unwrap()).filter(|row| row["table"] == table)
    {
        let (name, time) = (row["name"].as_str().unwrap(), row["us"].as_f64().unwrap());
        println!("{name:<58} {time:>10.2} {:>9.2}", time / first);
    }
}

fn seat_keys(role: KeyRole, seed: u8) -> SeatKeys {
    let phrase = Phrase::from_entropy(WordList::English, &Secret::take_from(&mut [seed; 32])).unwrap();
    let seed = phrase.to_seed(&SecretBytes::take_from(&mut [])).unwrap();
    let terms = KeystoreTerms {
        role: role.into(),
        network: Network::Regtest,
        account: 0,
        cost: SealCost::danger_cheap(),
    };
    let passphrase = SecretBytes::take_from(&mut b"open".to_vec());
    let sealed = keys::seal(&seed, terms, &passphrase, [1; 16], [2; 24]).unwrap();
    keys::open(&sealed, &passphrase).unwrap().seat_keys().unwrap()
}

struct Bench {
    key: SeatKeys,
    public_key: [u8; 33],
    safe: TrustedSafe,
    payee: Payee,
    call: SafeCall,
    proposal: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let keys = [(KeyRole::Signer, 10), (KeyRole::Cosigner, 11), (KeyRole::Vault, 12)]
            .map(|(r, s)| seat_keys(r, s));
        let public = |key: &SeatKeys| key.public_key(Seat::Owner).unwrap();
        let [a, b, c] = [0, 1, 2].map(|at| address_of(&public(&keys[at])).unwrap());
        let wallet = SafeWallet::predict(ChainId::MAINNET, MAKE, Owners::new(a, b, c).unwrap(), U256::ZERO);
        let single = V1_5_0.plain.pin;
        let facts = SafeFacts {
            chain: wallet.chain(),
            address: wallet.address(),
            proxy_code_hash: V1_5_0.proxy_code_hash,
            singleton: single,
            version: "1.5.0".into(),
            owners: wallet.owners().all().to_vec(),
            threshold: U256::from(2),
            modules: vec![],
            guard: Address::ZERO,
            module_guard: Address::ZERO,
            fallback_handler: V1_5_0.fallback_handler,
            multi_send: V1_5_0.multi_send,
            nonce: U256::ZERO,
        };
        let safe = judge(&wallet, &facts).unwrap();
        let token = EvmAsset::Token(ChainId::MAINNET, Address::repeat_byte(0x77));
        let payee =
            Payee { to: Address::repeat_byte(0x55), asset: token, amount: Units::new(U256::from(1_000_000)) };
        let plan = UnsignedPlan { nonce: 5, safe_tx_gas: 60_000, task: Task::Pay(vec![payee]) };
        let unsigned = Unsigned::build(&safe, &plan).unwrap();
        let [_, key, _] = keys;
        let public_key = public(&key);
        Self { public_key, key, call: unsigned.call().clone(), proposal: unsigned.proposal(), safe, payee }
    }

    fn order(&self, hash: B256) -> SeatOrder {
        SeatOrder::danger_vouch_for(ReservationId::of_txid(&[5; 32]), Seat::Owner, hash.0)
            .expecting(self.public_key)
    }

    /// The hash as `getTransactionHash` writes it, with the domain known beforehand.
    fn floor_hash(&self) -> B256 {
        const TYPE: B256 = b256!("0xbb8310d486368db6bd6f849402fdd73ad53d316b5a4b2644ad6efe0f941286d8");
        let mut words = [0u8; 11 * 32];
        let mut put = |at: usize, word: [u8; 32]| words[32 * at..][..32].copy_from_slice(&word);
        put(0, TYPE.0);
        put(1, self.call.to.into_word().0);
        put(3, keccak256(&self.call.data).0);
        put(5, U256::from(self.call.safe_tx_gas).to_be_bytes());
        put(10, U256::from(self.call.nonce).to_be_bytes());
        let mut bytes = [0u8; 66];
        bytes[..2].copy_from_slice(&[0x19, 0x01]);
        bytes[2..34].copy_from_slice(self.safe.wallet().domain().as_slice());
        bytes[34..].copy_from_slice(keccak256(words).as_slice());
        keccak256(bytes)
    }

    /// The rows of viem and ethers, after they have hashed, signed and predicted the same as we do.
    fn ask_node(&self, deposits: &Deposits, rounds: usize) -> Option<Value> {
        let indices = [0u64, 1, 7, 1_000_000];
        let setup = Blueprint::new(MAKE, &[deposits.treasury()], 1);
        let question = json!({
            "chain": 1, "safe": self.safe.wallet().address().to_string(), "to": self.call.to.to_string(),
            "data": self.call.data.to_string(), "safeTxGas": self.call.safe_tx_gas, "nonce": self.call.nonce,
            "key": B256::from(SECRET).to_string(), "factory": deposits.factory().to_string(),
            "setupHash": keccak256(setup.initializer()).to_string(),
            "initCodeHash": MAKE.release.plain.init_code_hash.to_string(),
            "indices": indices, "batch": 100, "rounds": rounds, "warmup": 200,
        });
        let theirs = node::ask("ethereum.mjs", &question)?;
        let signed = Bytes::from(Curve::new().sign(&self.floor_hash().0, &SECRET)).to_string();
        let ours = indices.map(|index| deposits.address(index).to_string());
        for peer in 0..2 {
            assert_eq!(theirs["hashes"][peer], self.floor_hash().to_string(), "their hash");
            assert_eq!(theirs["signatures"][peer].as_str().unwrap()[..130], signed, "their signature");
            assert_eq!(theirs["addresses"][peer], json!(ours), "their addresses");
        }
        println!("beside: {}", theirs["versions"].as_str().unwrap());
        Some(theirs)
    }

    fn signing(&self, rounds: usize, theirs: Option<&Value>) {
        let (curve, newest, secret) = (Curve::new(), NewestCurve::new(), SECRET);
        let hash = self.call.hash(self.safe.wallet()).unwrap();
        assert_eq!(self.floor_hash(), hash, "the floor hashes the same");
        assert_eq!(curve.sign(&hash.0, &secret), newest.sign(&hash.0, &secret), "the floors sign the same");
        let peer = PrivateKeySigner::from_slice(&secret).unwrap();
        let domain = Eip712Domain {
            chain_id: Some(U256::from(1)),
            verifying_contract: Some(self.safe.wallet().address()),
            ..Eip712Domain::default()
        };
        let typed = SafeTx {
            to: self.call.to,
            value: self.call.value,
            data: self.call.data.clone(),
            operation: 0,
            safeTxGas: U256::from(self.call.safe_tx_gas),
            baseGas: U256::ZERO,
            gasPrice: U256::ZERO,
            gasToken: Address::ZERO,
            refundReceiver: Address::ZERO,
            nonce: U256::from(self.call.nonce),
        };
        let signed = self.key.sign(&self.order(hash)).unwrap();
        let recover = || recovered_by_k256(&hash, signed.compact(), signed.recovery_id());
        assert_eq!(recover(), self.public_key);
        let rows = vec![
            row("floor: hash by hand, raw libsecp256k1", || curve.sign(&self.floor_hash().0, &secret)),
            row(NEWEST, || newest.sign(&self.floor_hash().0, &secret)),
            row("ours, whole: hash twice, sign, recover by k256", || {
                self.key.sign(&self.order(self.call.hash(self.safe.wallet()).unwrap())).unwrap()
            }),
            row("  of which: hash twice and compare", || self.call.hash(self.safe.wallet()).unwrap()),
            row("  of which: k256 recovers the key", recover),
            row("alloy-signer-local (k256 0.13), typed data", || {
                peer.sign_typed_data_sync(&typed, &domain).unwrap()
            }),
        ];
        let net = |row| Target {
            name: "ours, net of k256",
            row: 2,
            less: Some(4),
            limit: Limit::Floors(1.25, row),
        };
        let floor = table("A Safe transaction: hash and sign", rows, rounds, &[net(0), net(1)]);
        node_rows(theirs, "signing", floor);
    }

    fn cosigning(&self, rounds: usize) {
        let (curve, newest, secret) = (Curve::new(), NewestCurve::new(), SECRET);
        let payees = [self.payee];
        let check = || {
            let expect = Expectations {
                hash: None,
                nonce: 5,
                signed_by: None,
                safe_tx_gas_max: 100_000,
                payees: &payees,
                cold: None,
                executor: None,
                emptying: None,
                rotation: None,
                is_own: &|_| false,
                has_code: &|_| false,
            };
            check_proposal(&self.proposal, &self.safe, &expect).unwrap()
        };
        let hash = check().hash();
        let signed = self.key.sign(&self.order(hash)).unwrap();
        let recover = || recovered_by_k256(&hash, signed.compact(), signed.recovery_id());
        let rows = vec![
            row("floor: hash by hand, raw libsecp256k1", || curve.sign(&self.floor_hash().0, &secret)),
            row(NEWEST, || newest.sign(&self.floor_hash().0, &secret)),
            row("ours, whole: decode, check, sign, recover, place", || {
                let checked = check();
                let signed = self.key.sign(&self.order(checked.hash())).unwrap();
                let own = checked.danger_vouch_own(KeyRole::Cosigner, signed.compact(), signed.recovery_id());
                checked.proposal_with(&own).unwrap()
            }),
            row("  of which: decode and check", check),
            row("  of which: k256 recovers the key", recover),
        ];
        let net =
            |row| Target { name: "ours, net of k256", row: 2, less: Some(4), limit: Limit::Floors(2.0, row) };
        table("The co-signer: a token transfer", rows, rounds, &[net(0), net(1)]);
    }
}

fn recovered_by_k256(hash: &B256, compact: &[u8; 64], id: u8) -> [u8; 33] {
    use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
    let signature = Signature::from_slice(compact).unwrap();
    let id = RecoveryId::from_byte(id).unwrap();
    let key = VerifyingKey::recover_from_prehash(hash.as_slice(), &signature, id).unwrap();
    key.to_sec1_point(true).as_bytes().try_into().unwrap()
}

fn deposits() -> Deposits {
    let [a, b, c] = [1, 2, 3].map(Address::repeat_byte);
    let owners = Owners::new(a, b, c).unwrap();
    Deposits::of(&SafeWallet::adopt(ChainId::MAINNET, MAKE, owners, Address::repeat_byte(9)))
}

fn addresses(deposits: &Deposits, rounds: usize, theirs: Option<&Value>) {
    let blueprint = || Blueprint::new(MAKE, &[deposits.treasury()], 1);
    let (setup, code) = (keccak256(blueprint().initializer()), MAKE.release.plain.init_code_hash);
    let factory = deposits.factory();
    let floor = |index: u64| {
        let mut salt = [0u8; 64];
        salt[..32].copy_from_slice(setup.as_slice());
        salt[56..].copy_from_slice(&index.to_be_bytes());
        let mut bytes = [0xff; 85];
        bytes[1..21].copy_from_slice(factory.as_slice());
        bytes[21..53].copy_from_slice(keccak256(salt).as_slice());
        bytes[53..].copy_from_slice(code.as_slice());
        Address::from_word(keccak256(bytes))
    };
    assert!((0..1_000).all(|index| floor(index) == deposits.address(index)), "the floor predicts the same");
    let indices = || black_box(7_000..8_000u64);
    let rows = vec![
        thousand("floor: two Keccak-256 by hand", || indices().fold(0u8, |sum, at| sum ^ floor(at)[19])),
        thousand("ours", || deposits.addresses(indices()).fold(0u8, |sum, (_, at)| sum ^ at[19])),
        thousand("ours, nothing kept from the one before", || {
            indices().fold(0u8, |sum, at| sum ^ blueprint().address(U256::from(at))[19])
        }),
    ];
    let target = Target { name: "ours, as judged", row: 1, less: None, limit: Limit::Micros(3.0) };
    let floor = table("A predicted deposit address, of a thousand", rows, rounds, &[target]);
    node_rows(theirs, "addresses", floor);
}
