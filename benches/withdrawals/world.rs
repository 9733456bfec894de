//! What every process of the bench knows: keys made of seeds, the trust file, the policy, the wallet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use countersign::audit::{LogKey, WitnessKey};
use countersign::bitcoin::{AccountKey, WalletDescriptor};
use countersign::enclave::wire::tls::Identity as TlsIdentity;
use countersign::evidence::trust_file::{self, *};
use countersign::evidence::{NAMESPACE_TRUST, Quorum, Trust, sign_ssh};
use countersign::flow::context::{Context, PartySettings, machine_clock};
use countersign::keys::{
    self, IdentityKey, KeyRole, KeystoreTerms, OpenKeystore, Phrase, SealCost, Secret, SecretBytes, WordList,
};
use countersign::pki::{self, PemFiles};
use countersign::store::{StoreSecret, StoreUrl};
use countersign::withdrawal::{Asset, Network, VaspId};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use rustls::RootCertStore;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{LineEnding, PrivateKey};
use wallet_policy::{Guard, Policy, Settings};

pub const NETWORK: Network = Network::Regtest;
pub const ASSET: Asset = Asset::Bitcoin(NETWORK);
pub const OWN_VASP: VaspId = VaspId(1001);
pub const ROBOT_VASP: VaspId = VaspId(2002);
pub const COIN_SAT: u64 = 1_000_000;
pub const PAID_SAT: u64 = 100_000;
/// A hundred million won a coin: a payment is worth 100,000 won, below every tier.
pub const PRICE: u128 = 100_000_000;
/// Where the counterparty's customer is paid.
pub const TAYLOR: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

pub const EXCHANGE: u8 = 1;
pub const OBSERVER: u8 = 2;
pub const ROBOT: u8 = 3;
pub const OWN: u8 = 4;
pub const RELAY: u8 = 5;
const QUORUM: [u8; 3] = [21, 22, 23];

pub const SIGNER_ORIGIN: &str = "bench.example/signer";
pub const COSIGNER_ORIGIN: &str = "bench.example/cosigner";

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn public(seed: u8) -> String {
    HEXLOWER.encode(key(seed).verifying_key().as_bytes())
}

fn ssh(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

pub fn keystore(role: KeyRole, seed: u8) -> OpenKeystore {
    let phrase = Phrase::from_entropy(WordList::English, &Secret::take_from(&mut [seed; 32])).unwrap();
    let seed = phrase.to_seed(&SecretBytes::take_from(&mut [])).unwrap();
    let terms = KeystoreTerms { role, network: NETWORK, account: 0, cost: SealCost::danger_cheap() };
    let passphrase = SecretBytes::take_from(&mut b"open".to_vec());
    let sealed = keys::seal(&seed, terms, &passphrase, [1; 16], [2; 24]).unwrap();
    keys::open(&sealed, &passphrase).unwrap()
}

fn wallet(seeds: [u8; 3]) -> WalletDescriptor {
    let account = |seed| {
        let key = keystore(KeyRole::Signer, seed).account_xpub().unwrap();
        AccountKey::parse(NETWORK, &key.to_string()).unwrap()
    };
    WalletDescriptor::assemble(NETWORK, seeds.map(account)).unwrap()
}

pub fn hot_wallet() -> WalletDescriptor {
    wallet([0xa, 0xb, 0xc])
}

fn cold_wallet() -> WalletDescriptor {
    wallet([0x1a, 0x1b, 0x1c])
}

pub fn identity(seed: u8, label: &str) -> IdentityKey {
    keystore(KeyRole::Signer, seed).ed25519_identity(label).unwrap()
}

pub fn store(dir: &Path, name: &str) -> StoreUrl {
    StoreUrl::parse(&format!("sqlite:{}", dir.join(format!("{name}.db")).display())).unwrap()
}

pub fn store_secret(seed: u8) -> StoreSecret {
    StoreSecret::take(&mut [seed; 32])
}

fn policy_settings() -> Settings {
    toml::from_str(&format!(
        r#"
        [[tiers]]
        from_krw = "10000000"
        needs = {{ treasury = 1 }}
        [assets."{ASSET}"]
        share = "3/10"
        min_sweep = "100000"
        per_tx_limit = "1000000000"
        hourly_limit = "5000000000000"
        daily_limit = "10000000000000"
        fee_rate_max = "100000"
        fee_tx_max = "100000"
        fee_lineage_max = "200000"
        fee_budget_daily = "10000000000"
        unnamed_total_daily_krw = "3000000"
        price_move_bp_max = 1000
        price_settle_s = 60
        "#
    ))
    .unwrap()
}

fn trust_content() -> TrustContent {
    let attestation = identity(0xb, "attestation").public_key();
    let log = LogKey::new(SIGNER_ORIGIN, &identity(0xa, "log").public_key()).unwrap();
    let witness = WitnessKey::new(COSIGNER_ORIGIN, &identity(0xb, "witness").public_key()).unwrap();
    TrustContent {
        version: 1,
        vasp: OwnVasp { id: OWN_VASP.to_string(), name: "Bench Exchange".into() },
        cosigner: CosignerKeys { attestation_key: HEXLOWER.encode(&attestation) },
        log: LogKeys { signer: log.to_string(), cosigner: witness.to_string() },
        guard: BTreeMap::new(),
        wallets: vec![WalletEntry {
            network: NETWORK.to_string(),
            hot: hot_wallet().as_str().to_owned(),
            cold: Some(cold_wallet().as_str().to_owned()),
        }],
        request_keys: vec![RequestKeyEntry {
            organisation: "acme".into(),
            id: "k1".into(),
            key: public(EXCHANGE),
            not_after: None,
        }],
        statement_keys: vec![StatementKeyEntry {
            observer: "watcher".into(),
            key: public(OBSERVER),
            kinds: ["coins", "position", "price", "chain"].map(String::from).to_vec(),
        }],
        operators: vec![OperatorEntry {
            name: "kim".into(),
            groups: vec!["treasury".into()],
            keys: vec![ssh(11).public_key().to_openssh().unwrap()],
        }],
        vasps: vec![VaspEntry {
            id: ROBOT_VASP.to_string(),
            name: "Robot".into(),
            identity_key: public(ROBOT),
            active: true,
        }],
    }
}

fn trust() -> Trust {
    let text = trust_file::render(&trust_content()).unwrap();
    let private = |seed: &u8| ssh(*seed).to_openssh(LineEnding::LF).unwrap();
    let sign = |seed: &u8| sign_ssh(&private(seed), NAMESPACE_TRUST, &text).unwrap();
    let signatures: Vec<String> = QUORUM[..2].iter().map(sign).collect();
    let people: Vec<(String, String)> =
        QUORUM.iter().map(|s| (format!("p{s}"), ssh(*s).public_key().to_openssh().unwrap())).collect();
    let quorum = Quorum::new(2, &people).unwrap();
    Trust::open(&text, &signatures.iter().map(String::as_str).collect::<Vec<_>>(), &quorum, 1).unwrap()
}

pub fn context() -> Arc<Context> {
    let policy = policy_settings();
    let settings =
        PartySettings { depth_min: 1, create_wait: Duration::from_secs(20), ..PartySettings::default() };
    Arc::new(Context {
        asset: ASSET,
        wallet: Arc::new(hot_wallet()),
        cold: Arc::new(cold_wallet()),
        trust: Arc::new(trust()),
        policy: Arc::new(Policy::built_in(policy.clone(), &Guard::of(&policy)).unwrap()),
        other_policy: RwLock::default(),
        settings,
        clock: machine_clock(),
    })
}

/// The certificates of one party, from the bench's folder.
pub fn pem(dir: &Path, name: &str) -> (Vec<rustls::pki_types::CertificateDer<'static>>, pki::Identity) {
    let files = PemFiles::in_folder(dir, name);
    let identity = pki::read_identity(&files.certificate, &files.key).unwrap();
    (pki::read_certificates(&files.authority).unwrap(), identity)
}

/// The same in the travel rule's words.
pub fn travel_tls(dir: &Path) -> (RootCertStore, TlsIdentity) {
    let (authorities, identity) = pem(dir, "travel");
    let mut roots = RootCertStore::empty();
    authorities.into_iter().for_each(|ca| roots.add(ca).unwrap());
    (roots, TlsIdentity { chain: identity.chain, key: identity.key })
}
