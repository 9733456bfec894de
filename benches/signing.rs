//! Signing, addresses and a policy decision: ours, the floor, and the libraries others use, item by item in turn.
//!
//! Every round runs each row once, so that whatever else the machine does meets all of them; what is compared is the
//! thread's CPU time, and a ratio is the median of the rounds' own ratios. A row-after-row harness cannot say that.
//!
//! `cargo bench --manifest-path benches/peers/Cargo.toml [-- --rounds 200]`

#![allow(missing_docs, deprecated, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use bitcoin::bip32::{ChildNumber, Xpriv, Xpub};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{NetworkKind, OutPoint, Psbt, ScriptBuf, Txid};
use countersign::bitcoin::{
    AccountKey, Branch, Chance, Expectations, FeeCaps, KeySlot, OwnCoin, OwnOutput, Payee, Unsigned,
    UnsignedPlan, WalletDescriptor, check_psbt,
};
use countersign::keys::{
    self, ChildIndex, HotKey, KeyRole, KeystoreTerms, OrderItem, Phrase, SealCost, Secret, SecretBytes,
    SigningOrder, WordList,
};
use countersign::withdrawal::{Asset, FeeRate, Network, ReservationId};
use countersign_peers::{Curve, countersign as floor_countersign, raw, transaction_len};
use wallet_policy::facts::{Clearance, Destination, Facts, Fee, Kind, Spent, Stated};
use wallet_policy::ratio::Position;
use wallet_policy::{Guard, Krw, Policy, Seconds, Settings, Units};

const NETWORK: Network = Network::Regtest;
const TIP: u32 = 900_000;
const COIN_SAT: u64 = 1_000_000;
const PAID_SAT: u64 = 150_000;
const FEE_SAT: u64 = 5_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rounds = args.iter().position(|a| a == "--rounds").map_or(200, |at| args[at + 1].parse().unwrap());
    let party = Party::new();
    for inputs in [1, 10] {
        countersigning(&party, inputs, rounds);
    }
    addresses(&party, rounds);
    decisions(rounds);
}

/// One row: what it is called, and what is run.
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

/// Runs the rows in turn, `rounds` times; prints medians in µs and ratios to the row called `against`.
fn table(title: &str, mut rows: Vec<Row<'_>>, rounds: usize, against: &str) -> BTreeMap<&'static str, f64> {
    for row in &mut rows {
        (0..3).for_each(|_| (row.run)());
    }
    let mut times = vec![Vec::with_capacity(rounds); rows.len()];
    for _ in 0..rounds {
        for (row, times) in rows.iter_mut().zip(&mut times) {
            let from = cpu_ns();
            (row.run)();
            times.push((cpu_ns() - from) / 1_000.0);
        }
    }
    let base = rows.iter().position(|r| r.name == against).unwrap();
    println!("\n{title}\n{:<58} {:>10} {:>9}", "row", "median µs", "× floor");
    let mut medians = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let ratio = median(times[at].iter().zip(&times[base]).map(|(a, b)| a / b).collect());
        let time = median(times[at].clone());
        println!("{:<58} {time:>10.2} {ratio:>9.2}", row.name);
        medians.insert(row.name, time);
    }
    medians
}

/// The co-signer's side: its key, the wallet, and the same keys for the peers.
struct Party {
    wallet: WalletDescriptor,
    key: HotKey,
    master: Xpriv,
    account: Xpriv,
    text: String,
}

fn seed_phrase(seed: u8) -> Phrase {
    Phrase::from_entropy(WordList::English, &Secret::take_from(&mut [seed; 32])).unwrap()
}

fn keystore(seed: u8) -> keys::OpenKeystore {
    let seed = seed_phrase(seed).to_seed(&SecretBytes::take_from(&mut [])).unwrap();
    let terms = KeystoreTerms {
        role: KeyRole::Cosigner.into(),
        network: NETWORK,
        account: 0,
        cost: SealCost::danger_cheap(),
    };
    let passphrase = SecretBytes::take_from(&mut b"open".to_vec());
    let sealed = keys::seal(&seed, terms, &passphrase, [1; 16], [2; 24]).unwrap();
    keys::open(&sealed, &passphrase).unwrap()
}

impl Party {
    fn new() -> Self {
        let secp = Secp256k1::new();
        let account_key = |seed: u8| {
            let text = keystore(seed).account_xpub().unwrap().to_string();
            AccountKey::parse(NETWORK, &text).unwrap()
        };
        let wallet =
            WalletDescriptor::assemble(NETWORK, [account_key(0xa), account_key(0xb), account_key(0xc)])
                .unwrap();
        let words = seed_phrase(0xb).words().collect::<Vec<_>>().join(" ");
        let mnemonic: bip39::Mnemonic = bip39::Mnemonic::parse_in(bip39::Language::English, &words).unwrap();
        let master = Xpriv::new_master(NetworkKind::Test, &mnemonic.to_seed("")).unwrap();
        let path = [48, NETWORK.coin_type(), 0, 2].map(|index| ChildNumber::Hardened { index });
        let account = master.derive_priv(&secp, &path).unwrap();
        let ours = keystore(0xb).account_xpub().unwrap().to_string();
        assert!(ours.ends_with(&Xpub::from_priv(&secp, &account).to_string()), "the peers have the same key");
        let text = wallet.as_str().to_owned();
        Self { key: keystore(0xb).hot_key().unwrap(), wallet, master, account, text }
    }

    fn secret(&self, branch: u32, index: u32) -> bitcoin::secp256k1::SecretKey {
        let path = [branch, index].map(|index| ChildNumber::Normal { index });
        self.account.derive_priv(&Secp256k1::new(), &path).unwrap().private_key
    }

    /// The wallet's two descriptors with B's private key in its place, for bdk_wallet.
    fn bdk(&self) -> bdk_wallet::Wallet {
        let secp = Secp256k1::new();
        let public = Xpub::from_priv(&secp, &self.account).to_string();
        let text = self.text.split('#').next().unwrap().replace(&public, &self.account.to_string());
        let [deposit, change] = ["0", "1"].map(|branch| text.replace("<0;1>", branch));
        bdk_wallet::Wallet::create(deposit, change)
            .network(bitcoin::Network::Regtest)
            .create_wallet_no_persist()
            .unwrap()
    }
}

fn order_items(checked: &countersign::bitcoin::CheckedTransaction) -> Vec<OrderItem> {
    let item = |input: &countersign::bitcoin::CheckedInput| {
        let script = &input.coin().script;
        let branch = keys::Branch::from_number(script.branch().number()).unwrap();
        OrderItem::new(branch, ChildIndex::new(script.index()).unwrap(), *input.digest())
            .expecting(script.pubkey(KeySlot::B).serialize())
    };
    checked.inputs().iter().map(item).collect()
}

fn countersigning(party: &Party, inputs: u32, rounds: usize) {
    let coins: Vec<OwnCoin> = (0..inputs)
        .map(|n| OwnCoin {
            outpoint: OutPoint { txid: Txid::from_byte_array([n as u8 + 1; 32]), vout: n },
            amount_sat: COIN_SAT,
            script: Arc::new(party.wallet.script(Branch::Deposit, n).unwrap()),
        })
        .collect();
    let payees = vec![Payee {
        script_pubkey: ScriptBuf::from_bytes([&[0, 20][..], &[9; 20]].concat()),
        amount_sat: PAID_SAT,
    }];
    let change = OwnOutput {
        script: Arc::new(party.wallet.script(Branch::Change, 5).unwrap()),
        amount_sat: COIN_SAT * u64::from(inputs) - PAID_SAT - FEE_SAT,
    };
    let ready = change.script.clone();
    let plan = UnsignedPlan {
        inputs: coins.clone(),
        payees: payees.clone(),
        cold: None,
        change: Some(change),
        tip_height: TIP,
    };
    let unsigned = Unsigned::build(plan, Chance { order: 7, lock_time: 1 }).unwrap();
    let bytes = unsigned.psbt(KeySlot::B, &party.wallet, None).unwrap();
    let reservation = ReservationId::of_txid(&unsigned.txid().to_byte_array());
    let caps =
        FeeCaps { rate_max: FeeRate(100_000), transaction_sat_max: 50_000, asked_sat_max: Some(20_000) };
    let lookup = |outpoint: &OutPoint| coins.iter().find(|c| c.outpoint == *outpoint).cloned();
    let ours = |change_ready: Option<Arc<countersign::bitcoin::OwnScript>>| {
        let expect = Expectations {
            txid: Some(unsigned.txid()),
            receiver: KeySlot::B,
            signed_by: None,
            payees: &payees,
            cold: None,
            change_index_max: 1_000,
            change_ready,
            caps,
            tip_height: TIP,
        };
        let checked = check_psbt(&bytes, &party.wallet, &expect, &lookup).unwrap();
        let order = SigningOrder::danger_vouch_for(reservation, order_items(&checked));
        let signatures = party.key.sign(&order).unwrap();
        let verified = checked
            .danger_vouch_own(KeySlot::B, signatures.iter().map(|s| *s.signature()).collect())
            .unwrap();
        checked.psbt_with(&verified).unwrap()
    };
    let curve = Curve::new();
    let floor_keys: Vec<_> = unsigned
        .inputs()
        .iter()
        .map(|coin| {
            let secret = party.secret(0, coin.script.index());
            (secret.secret_bytes(), bitcoin::PublicKey::new(*coin.script.pubkey(KeySlot::B)))
        })
        .collect();
    let secp = Secp256k1::new();
    let key_map: BTreeMap<bitcoin::PublicKey, bitcoin::PrivateKey> = floor_keys
        .iter()
        .map(|(secret, public)| {
            let secret = bitcoin::secp256k1::SecretKey::from_slice(secret).unwrap();
            (*public, bitcoin::PrivateKey::new(secret, bitcoin::Network::Regtest))
        })
        .collect();
    let bdk = party.bdk();
    let options = || bdk_wallet::SignOptions { trust_witness_utxo: true, ..Default::default() };
    let parsed = Psbt::deserialize(&bytes).unwrap();

    // All of them must do the same work: the same signatures, and ours byte for byte the floor's.
    let signed = ours(None);
    assert_eq!(signed, floor_countersign(&curve, &bytes, &floor_keys));
    let mut master_signed = parsed.clone();
    master_signed.sign(&party.master, &secp).unwrap();
    assert_eq!(master_signed.serialize(), signed);
    let mut bdk_signed = parsed.clone();
    bdk.sign(&mut bdk_signed, options()).unwrap();
    assert!(bdk_signed.inputs.iter().all(|input| input.partial_sigs.len() == 1));

    let digests: Vec<([u8; 33], [u8; 32], Vec<u8>)> = {
        let order = |checked: &countersign::bitcoin::CheckedTransaction| {
            SigningOrder::danger_vouch_for(reservation, order_items(checked))
        };
        let expect = Expectations {
            txid: None,
            receiver: KeySlot::B,
            signed_by: None,
            payees: &payees,
            cold: None,
            change_index_max: 1_000,
            change_ready: None,
            caps,
            tip_height: TIP,
        };
        let checked = check_psbt(&bytes, &party.wallet, &expect, &lookup).unwrap();
        let signatures = party.key.sign(&order(&checked)).unwrap();
        let of = |(input, s): (&countersign::bitcoin::CheckedInput, &keys::EcdsaSignature)| {
            (*s.public_key(), *input.digest(), s.der())
        };
        checked.inputs().iter().zip(&signatures).map(of).collect()
    };
    let k256 = || digests.iter().all(|(key, digest, der)| keys::verify_with_k256(key, digest, der));
    let libsecp = || digests.iter().all(|(key, digest, der)| keys::verify_with_libsecp(key, digest, der));
    assert!(k256() && libsecp());
    const FLOOR: &str = "floor: read, digest, raw sign, write";
    const OURS: &str = "ours, whole (change derived, k256 verified)";
    const CHANGE: &str = "  of which change-script derivation";
    const K256: &str = "  of which k256 re-verification";
    const MASTER: &str = "rust-bitcoin, master key";
    const BDK: &str = "bdk_wallet sign, default, without reading and writing";
    let rows = vec![
        row(FLOOR, || floor_countersign(&curve, &bytes, &floor_keys)),
        row(OURS, || ours(None)),
        row("ours, change script at hand", || ours(Some(ready.clone()))),
        row(CHANGE, || party.wallet.script(Branch::Change, 5)),
        row(K256, k256),
        row("  of which libsecp256k1 verification (with parsing)", libsecp),
        row("rust-bitcoin, key map", || {
            let mut psbt = Psbt::deserialize(&bytes).unwrap();
            psbt.sign(&key_map, &secp).unwrap();
            psbt.serialize()
        }),
        row(MASTER, || {
            let mut psbt = Psbt::deserialize(&bytes).unwrap();
            psbt.sign(&party.master, &secp).unwrap();
            psbt.serialize()
        }),
        row(BDK, || {
            let mut psbt = parsed.clone();
            bdk.sign(&mut psbt, options()).unwrap()
        }),
        row("bdk_wallet sign, try_finalize off", || {
            let mut psbt = parsed.clone();
            bdk.sign(&mut psbt, bdk_wallet::SignOptions { try_finalize: false, ..options() }).unwrap()
        }),
        row("  part: reading the PSBT", || Psbt::deserialize(&bytes)),
        row("  part: writing the PSBT", || parsed.serialize()),
    ];
    let title = format!(
        "PSBT countersign, {inputs} in / 2 out ({} bytes of PSBT, {} of transaction)",
        bytes.len(),
        transaction_len(&bytes)
    );
    let times = table(&title, rows, rounds, FLOOR);
    let net = times[OURS] - times[CHANGE] - times[K256];
    verdict("ours without change derivation and k256, × floor", net / times[FLOOR], 1.5, false);
    verdict(
        "ours whole, × faster than rust-bitcoin with the master key",
        times[MASTER] / times[OURS],
        4.0,
        true,
    );
    verdict("the same without the two rows of their own", times[MASTER] / net, 4.0, true);
    verdict("ours whole, × faster than bdk_wallet's default", times[BDK] / times[OURS], 15.0, true);
    verdict("the same without the two rows of their own", times[BDK] / net, 15.0, true);
}

fn verdict(what: &str, ratio: f64, target: f64, at_least: bool) {
    let met = if at_least { ratio >= target } else { ratio <= target };
    let (sign, word) = (if at_least { "≥" } else { "≤" }, if met { "met" } else { "MISSED" });
    println!("-> {what}: {ratio:.2} (target {sign} {target}) {word}");
}

fn addresses(party: &Party, rounds: usize) {
    let curve = Curve::new();
    let script = party.wallet.script(Branch::Deposit, 7).unwrap();
    let keys = script.pubkeys().map(|key| raw(&key));
    let mut index = 0u32;
    let mut next = move || {
        index += 1;
        index
    };
    let descriptor: miniscript::Descriptor<miniscript::DescriptorPublicKey> = party.text.parse().unwrap();
    let deposit = descriptor.into_single_descriptors().unwrap().remove(0);
    let verify_only = miniscript::bitcoin::secp256k1::Secp256k1::verification_only();
    const FLOOR: &str = "floor: three libsecp256k1 tweaks";
    const OURS: &str = "ours: 2-of-3 address";
    let rows = vec![
        row(FLOOR, || [&keys[0], &keys[1], &keys[2]].map(|key| curve.tweak(key, &[5; 32]))),
        row(OURS, || party.wallet.address(Branch::Deposit, next())),
        row("miniscript: descriptor with the branch in it", || {
            deposit.derived_descriptor(&verify_only, 7).unwrap().address(bitcoin::Network::Regtest).unwrap()
        }),
    ];
    let times = table("2-of-3 address", rows, rounds, FLOOR);
    verdict("ours, × three tweaks", times[OURS] / times[FLOOR], 1.15, false);
}

fn decisions(rounds: usize) {
    let asset = Asset::Bitcoin(NETWORK).to_string();
    let settings: Settings = toml::from_str(&format!(
        r#"
        [[tiers]]
        from_krw = "10000000"
        needs = {{ treasury = 1 }}
        [assets."{asset}"]
        share = "3/10"
        min_sweep = "100000"
        per_tx_limit = "1000000000"
        hourly_limit = "5000000000"
        daily_limit = "10000000000"
        fee_rate_max = "100000"
        fee_tx_max = "100000"
        fee_lineage_max = "200000"
        fee_budget_daily = "10000000"
        unnamed_total_daily_krw = "3000000"
        price_move_bp_max = 1000
        price_settle_s = 60
        "#
    ))
    .unwrap();
    let policy = Policy::built_in(settings.clone(), &Guard::of(&settings)).unwrap();
    let now = Seconds(1_700_000_000);
    let facts = Facts {
        kind: Kind::Withdraw,
        organisation: "acme".into(),
        asset,
        now,
        requesters: ["acme".to_owned()].into(),
        destination: Destination {
            address: "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
            own: false,
            pinned: false,
        },
        beneficiary_vasp: "4855741808338010592".into(),
        amount: Units(150_000),
        value: Some(Krw(150_000)),
        clearance: Clearance::Given {
            at: now,
            expires_at: Seconds(now.0 + 1_800),
            named: true,
            signed: true,
        },
        fee: Fee {
            rate: Units(2_000),
            paid: Units(400),
            leaving: Units(400),
            lineage: Units(400),
            share: Units(400),
            request_max: Some(Units(20_000)),
        },
        spent: Spent {
            hour: Units(1),
            day: Units(1),
            fee_day: Units(1),
            unnamed_day: Krw(0),
            unsigned_day: Units(0),
        },
        stated: Stated { position: Some(now), price: Some(now), fee_rate: Some(now), tip: Some(now) },
        price_moved: false,
        position: Position { hot: Units(3_000_000_000), cold: Units(7_100_000_000) },
        in_total: None,
        earmarked: Units(0),
        spendable: Units(3_000_000_000),
        approvals: Vec::new(),
        frozen: false,
        queued: false,
    };
    assert!(matches!(policy.decide(&facts).into_verdict(), wallet_policy::Verdict::Release));
    const OURS: &str = "policy decision, default rules, a release";
    let times = table("Policy", vec![row(OURS, || policy.decide(&facts))], rounds.max(1_000), OURS);
    verdict("µs of CPU a decision", times[OURS], 40.0, false);
}
