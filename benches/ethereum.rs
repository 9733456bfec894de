//! A Safe transaction hashed and signed, the co-signer's whole work on one, and a predicted address: ours, the floor, and alloy.
//!
//! As in `signing.rs`, every round runs each row once, and what is compared is the thread's CPU time.
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
use countersign_peers::Curve;

sol! {
    struct SafeTx {
        address to; uint256 value; bytes data; uint8 operation; uint256 safeTxGas; uint256 baseGas; uint256 gasPrice;
        address gasToken; address refundReceiver; uint256 nonce;
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rounds = args.iter().position(|a| a == "--rounds").map_or(200, |at| args[at + 1].parse().unwrap());
    let bench = Bench::new();
    bench.signing(rounds);
    bench.cosigning(rounds);
    addresses(rounds);
}

struct Row<'a> {
    name: &'static str,
    run: Box<dyn FnMut() + 'a>,
}

fn row<'a, T>(name: &'static str, mut run: impl FnMut() -> T + 'a) -> Row<'a> {
    Row { name, run: Box::new(move || drop(black_box(run()))) }
}

fn cpu_ns() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as f64 * 1e9 + t.tv_nsec as f64
}

fn median(mut list: Vec<f64>) -> f64 {
    list.sort_by(f64::total_cmp);
    list[list.len() / 2]
}

/// Runs the rows in turn; prints medians in µs and the median of the rounds' ratios to the first row.
fn table(title: &str, mut rows: Vec<Row<'_>>, rounds: usize) {
    rows.iter_mut().for_each(|row| (0..3).for_each(|_| (row.run)()));
    let mut times = vec![Vec::with_capacity(rounds); rows.len()];
    for _ in 0..rounds {
        for (row, times) in rows.iter_mut().zip(&mut times) {
            let from = cpu_ns();
            (row.run)();
            times.push((cpu_ns() - from) / 1_000.0);
        }
    }
    println!("\n{title}\n{:<58} {:>10} {:>9}", "row", "median µs", "× first");
    for (row, list) in rows.iter().zip(&times) {
        let ratio = median(list.iter().zip(&times[0]).map(|(a, b)| a / b).collect());
        println!("{:<58} {:>10.2} {ratio:>9.2}", row.name, median(list.clone()));
    }
}

fn seat_keys(role: KeyRole, seed: u8) -> SeatKeys {
    let phrase = Phrase::from_entropy(WordList::English, &Secret::take_from(&mut [seed; 32])).unwrap();
    let seed = phrase.to_seed(&SecretBytes::take_from(&mut [])).unwrap();
    let terms = KeystoreTerms { role, network: Network::Regtest, account: 0, cost: SealCost::danger_cheap() };
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
        let keys = [(KeyRole::Signer, 10), (KeyRole::Cosigner, 11), (KeyRole::Vault, 12)].map(|(r, s)| seat_keys(r, s));
        let public = |key: &SeatKeys| key.public_key(Seat::Owner).unwrap();
        let [a, b, c] = [0, 1, 2].map(|at| address_of(&public(&keys[at])).unwrap());
        let make = Make { release: &V1_5_0, singleton: Singleton::Plain };
        let wallet = SafeWallet::predict(ChainId::MAINNET, make, Owners::new(a, b, c).unwrap(), U256::ZERO);
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
        let payee = Payee { to: Address::repeat_byte(0x55), asset: token, amount: Units::new(U256::from(1_000_000)) };
        let plan = UnsignedPlan { nonce: 5, safe_tx_gas: 60_000, task: Task::Pay(vec![payee]) };
        let unsigned = Unsigned::build(&safe, &plan).unwrap();
        let [_, key, _] = keys;
        let public_key = public(&key);
        Self { public_key, key, call: unsigned.call().clone(), proposal: unsigned.proposal(), safe, payee }
    }

    fn order(&self, hash: B256) -> SeatOrder {
        SeatOrder::danger_vouch_for(ReservationId::of_txid(&[5; 32]), Seat::Owner, hash.0).expecting(self.public_key)
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

    fn signing(&self, rounds: usize) {
        let (curve, secret) = (Curve::new(), [7u8; 32]);
        let hash = self.call.hash(self.safe.wallet()).unwrap();
        assert_eq!(self.floor_hash(), hash, "the floor hashes the same");
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
            row("ours, whole: hash twice, sign, recover by k256", || {
                self.key.sign(&self.order(self.call.hash(self.safe.wallet()).unwrap())).unwrap()
            }),
            row("  of which: hash twice and compare", || self.call.hash(self.safe.wallet()).unwrap()),
            row("  of which: k256 recovers the key", recover),
            row("alloy-signer-local (k256 0.13), typed data", || peer.sign_typed_data_sync(&typed, &domain).unwrap()),
        ];
        table("A Safe transaction: hash and sign", rows, rounds);
    }

    fn cosigning(&self, rounds: usize) {
        let (curve, secret) = (Curve::new(), [7u8; 32]);
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
        let rows = vec![
            row("floor: hash by hand, raw libsecp256k1", || curve.sign(&self.floor_hash().0, &secret)),
            row("ours, whole: decode, check, sign, recover, place", || {
                let checked = check();
                let signed = self.key.sign(&self.order(checked.hash())).unwrap();
                let own = checked.danger_vouch_own(KeyRole::Cosigner, signed.compact(), signed.recovery_id());
                checked.proposal_with(&own).unwrap()
            }),
            row("  of which: decode and check", check),
        ];
        table("The co-signer: a token transfer", rows, rounds);
    }
}

fn recovered_by_k256(hash: &B256, compact: &[u8; 64], id: u8) -> [u8; 33] {
    use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
    let signature = Signature::from_slice(compact).unwrap();
    let id = RecoveryId::from_byte(id).unwrap();
    let key = VerifyingKey::recover_from_prehash(hash.as_slice(), &signature, id).unwrap();
    key.to_sec1_point(true).as_bytes().try_into().unwrap()
}

fn addresses(rounds: usize) {
    let make = Make { release: &V1_5_0, singleton: Singleton::Plain };
    let treasury = SafeWallet::adopt(
        ChainId::MAINNET,
        make,
        Owners::new(Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3)).unwrap(),
        Address::repeat_byte(9),
    );
    let deposits = Deposits::of(&treasury);
    let mut index = 0;
    let rows = vec![
        row("ours: 1,000 predicted deposit addresses", || {
            index += 1_000;
            deposits.addresses(index..index + 1_000).fold(0u8, |sum, (_, address)| sum ^ address[19])
        }),
        row("without what is computed once", || {
            (0..1_000u64).fold(0u8, |sum, at| sum ^ Deposits::of(&treasury).address(at)[19])
        }),
    ];
    table("Deposit addresses", rows, rounds);
}
