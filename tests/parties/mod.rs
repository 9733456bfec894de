//! Who takes part in the laws' world and in the benches: keys made of seed bytes, the trust file, the policy, the wallets.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use countersign::audit::{LogKey, WitnessKey};
use countersign::bitcoin::{AccountKey, WalletDescriptor};
use countersign::ethereum::pins::Pin;
use countersign::ethereum::{
    Address, B256, Deposits, Make, Owners, Release, SafeWallet, Singleton, U256, address_of,
};
use countersign::evidence::trust_file::{self, *};
use countersign::evidence::{Contract, NAMESPACE_TRUST, Quorum, SafeFact, Trust, sign_ssh};
use countersign::flow::rail::Keys;
use countersign::freeze::Brake;
use countersign::keys::{
    self, IdentityKey, KeyRole, KeystoreTerms, OpenKeystore, Phrase, SealCost, Seat, SeatKeys, Secret,
    SecretBytes, WordList,
};
use countersign::store::StoreSecret;
use countersign::withdrawal::evm_address::spell;
use countersign::withdrawal::{Amount, Asset, ChainId, EvmAsset, Network, VaspId};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{LineEnding, PrivateKey};
use wallet_policy::Settings;

pub const NETWORK: Network = Network::Regtest;
pub const ASSET: Asset = Asset::Bitcoin(NETWORK);
pub const OWN_VASP: VaspId = VaspId(1001);
pub const ROBOT_VASP: VaspId = VaspId(4_855_741_808_338_010_592);
/// Won for a whole coin: 0.001 BTC is 100,000 won.
pub const PRICE: u128 = 100_000_000;

/// Where the counterparty's first customer is paid.
pub const TAYLOR: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn public(seed: u8) -> String {
    HEXLOWER.encode(key(seed).verifying_key().as_bytes())
}

fn ssh(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

pub fn ssh_private(seed: u8) -> String {
    ssh(seed).to_openssh(LineEnding::LF).unwrap().to_string()
}

pub fn ssh_public(seed: u8) -> String {
    ssh(seed).public_key().to_openssh().unwrap()
}

/// Seeds: who holds which key.
pub const EXCHANGE: u8 = 1;
pub const OBSERVER: u8 = 2;
pub const ROBOT: u8 = 3;
pub const OWN: u8 = 4;
pub const RELAY: u8 = 5;
pub const KIM: u8 = 11;
pub const LEE: u8 = 12;
pub const QUORUM: [u8; 3] = [21, 22, 23];
pub const STRANGER: u8 = 99;

/// A keystore opened from a seed byte.
pub fn keystore(role: KeyRole, seed: u8) -> OpenKeystore {
    let phrase = Phrase::from_entropy(WordList::English, &Secret::take_from(&mut [seed; 32])).unwrap();
    let seed = phrase.to_seed(&SecretBytes::take_from(&mut [])).unwrap();
    let terms =
        KeystoreTerms { role: role.into(), network: NETWORK, account: 0, cost: SealCost::danger_cheap() };
    let passphrase = SecretBytes::take_from(&mut b"open".to_vec());
    let sealed = keys::seal(&seed, terms, &passphrase, [1; 16], [2; 24]).unwrap();
    keys::open(&sealed, &passphrase).unwrap()
}

/// The EVM chain of the tests: anvil's and ganache's.
pub const EVM: ChainId = match ChainId::new(31_337) {
    Some(chain) => chain,
    None => panic!("no chain"),
};
/// A token with six decimals.
pub const TOKEN: &str = "0xdAC17F958D2ee523a2206206994597C13D831ec7";

pub fn ether() -> Asset {
    Asset::Evm(EvmAsset::Ether(EVM))
}

pub fn token() -> Asset {
    Asset::parse(&format!("{EVM}/erc20:{TOKEN}")).unwrap()
}

/// The account of a seed's seat.
pub fn owner(seed: u8) -> Address {
    let seats = keystore(KeyRole::Signer, seed).seat_keys().unwrap();
    address_of(&seats.public_key(Seat::Owner).unwrap()).unwrap()
}

/// The hot Safe of the tests, where the canonical factory would put it.
pub fn hot_safe() -> SafeWallet {
    let make = Make { release: Release::of("1.4.1").unwrap(), singleton: Singleton::Telling };
    let owners = Owners::new(owner(0xa), owner(0xb), owner(0xc)).unwrap();
    SafeWallet::predict(EVM, make, owners, U256::from(7))
}

/// Another Safe of the same owners, by its salt.
fn sibling(salt: u64) -> SafeWallet {
    let hot = hot_safe();
    SafeWallet::predict(EVM, hot.make(), *hot.owners(), U256::from(salt))
}

/// The treasury Safe.
pub fn treasury_safe() -> SafeWallet {
    sibling(8)
}

/// A second hot Safe, where a trust file pins one.
pub fn second_safe() -> SafeWallet {
    sibling(9)
}

/// The deposit address at an index.
pub fn deposit_address(index: u32) -> String {
    spell(Deposits::of(&treasury_safe()).address(index.into()))
}

/// The cold Safe's address.
pub fn cold_safe() -> Address {
    Address::repeat_byte(0xcc)
}

/// The Safes of the chain as a trust file has them.
pub fn safes_entry() -> WalletEntry {
    WalletEntry {
        network: EVM.to_string(),
        hot: spell(hot_safe().address()),
        cold: Some(spell(cold_safe())),
        safe: Some(SafeEntry {
            release: "1.4.1".into(),
            singleton: "l2".into(),
            signer: spell(owner(0xa)),
            cosigner: spell(owner(0xb)),
            vault: spell(owner(0xc)),
            also_hot: Vec::new(),
            treasury: Some(spell(treasury_safe().address())),
        }),
        executor: None,
        emptying: None,
        tokens: vec![TokenEntry {
            contract: TOKEN.into(),
            symbol: "USDT".into(),
            decimals: 6,
            gas: None,
            reviewed_to: None,
        }],
    }
}

/// What an observer says of the hot Safe at that height, when its nonce is that.
pub fn safe_fact(height: u64, nonce: u64, balances: &[(Asset, u128)]) -> SafeFact {
    fact_of(&hot_safe(), height, nonce, balances)
}

/// What an observer says of the treasury Safe at that height, when its nonce is that: nothing rests there.
pub fn treasury_fact(height: u64, nonce: u64) -> SafeFact {
    fact_of(&treasury_safe(), height, nonce, &[(ether(), 0), (token(), 0)])
}

/// What an observer says of a Safe at that height, when its nonce is that.
pub fn fact_of(safe: &SafeWallet, height: u64, nonce: u64, balances: &[(Asset, u128)]) -> SafeFact {
    let (release, singleton) = (safe.make().release, safe.make().release.singleton(safe.make().singleton));
    let contract = |pin: Pin| Contract { address: pin.address, code_hash: pin.code_hash };
    SafeFact {
        chain: EVM,
        safe: safe.address(),
        height,
        block_hash: B256::repeat_byte(u8::try_from(height % 251).unwrap()),
        proxy_code_hash: release.proxy_code_hash,
        singleton: contract(singleton.pin),
        version: release.version.to_owned(),
        owners: safe.owners().all().to_vec(),
        threshold: U256::from(2),
        modules: Vec::new(),
        guard: Address::ZERO,
        module_guard: Address::ZERO,
        fallback_handler: contract(release.fallback_handler),
        multi_send: contract(release.multi_send),
        nonce: U256::from(nonce),
        balances: balances.iter().map(|(asset, units)| (*asset, Amount::from_units(*units))).collect(),
        decimals: vec![(EvmAsset::Token(EVM, TOKEN.parse().unwrap()), 6)],
        executor: None,
        executed: Vec::new(),
    }
}

/// The keys of the signer.
pub fn signer_keys() -> Keys {
    let own = keystore(KeyRole::Signer, 0xa);
    Keys { hot: Arc::new(own.hot_key().unwrap()), seat: Arc::new(own.seat_keys().unwrap()) }
}

/// The seat of the co-signer.
pub fn cosigner_seat() -> Arc<SeatKeys> {
    Arc::new(keystore(KeyRole::Cosigner, 0xb).seat_keys().unwrap())
}

fn account(seed: u8) -> AccountKey {
    let key = keystore(KeyRole::Signer, seed).account_xpub().unwrap();
    AccountKey::parse(NETWORK, &key.to_string()).unwrap()
}

pub fn hot_wallet() -> WalletDescriptor {
    WalletDescriptor::assemble(NETWORK, [account(0xa), account(0xb), account(0xc)]).unwrap()
}

pub fn cold_wallet() -> WalletDescriptor {
    WalletDescriptor::assemble(NETWORK, [account(0x1a), account(0x1b), account(0x1c)]).unwrap()
}

pub const SIGNER_ORIGIN: &str = "test.example/signer";
pub const COSIGNER_ORIGIN: &str = "test.example/cosigner";

pub fn identity(seed: u8, label: &str) -> IdentityKey {
    keystore(KeyRole::Signer, seed).ed25519_identity(label).unwrap()
}

pub fn store_secret(seed: u8) -> StoreSecret {
    StoreSecret::take(&mut [seed; 32])
}

/// A party's brake, its marker in a folder of the world's own; made if it is not there.
pub fn brake(world: &Path, party: countersign::withdrawal::KeyRole) -> Arc<Brake> {
    let folder = world.join(format!("freeze-{}", party.as_str()));
    std::fs::create_dir_all(&folder).unwrap();
    Arc::new(Brake::open(&folder, party).unwrap())
}

/// The policy's settings; tests change what they are about.
pub fn policy_settings() -> Settings {
    toml::from_str(&policy_text()).unwrap()
}

/// The settings as their file says them.
pub fn policy_text() -> String {
    format!(
        r#"
        [travel_rule]
        own = "KR"
        steps = [{{ jurisdiction = "KR", from = "1970-01-01T00:00:00Z", floor_krw = "1000000" }}]
        [refill]
        fill = "need"
        [freeze]
        resume_delay_s = 3600
        resume_needs = {{ treasury = 1, risk = 1 }}
        queued_needs = {{ risk = 1 }}
        [[tiers]]
        from_krw = "10000000"
        needs = {{ treasury = 1 }}
        [assets."{ASSET}"]
        share = "3/10"
        min_sweep = "100000"
        per_tx_limit = "1000000000"
        unsigned_per_tx_limit = "1500000"
        unsigned_daily_limit = "6000000"
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
    )
}

/// The same with ether and the token.
pub fn evm_policy_settings() -> Settings {
    let of = |asset: Asset, unit: u128| {
        format!(
            r#"
        [assets."{asset}"]
        share = "3/10"
        min_sweep = "{min}"
        per_tx_limit = "{most}"
        unsigned_per_tx_limit = "{unit}"
        unsigned_daily_limit = "{unit}"
        hourly_limit = "{hour}"
        daily_limit = "{hour}"
        fee_rate_max = "200000000000000"
        fee_tx_max = "100000000000000000"
        fee_lineage_max = "200000000000000000"
        fee_budget_daily = "1000000000000000000"
        unnamed_total_daily_krw = "3000000"
        price_move_bp_max = 1000
        price_settle_s = 60
        "#,
            min = unit / 10,
            most = 10 * unit,
            hour = 50 * unit,
        )
    };
    let text = policy_text() + &of(ether(), 10u128.pow(18)) + &of(token(), 1_000 * 10u128.pow(6));
    toml::from_str(&text).unwrap()
}

pub fn trust_content() -> TrustContent {
    let attestation = identity(0xb, "attestation").public_key();
    let log = LogKey::new(SIGNER_ORIGIN, &identity(0xa, "log").public_key()).unwrap();
    let witness = WitnessKey::new(COSIGNER_ORIGIN, &identity(0xb, "witness").public_key()).unwrap();
    TrustContent {
        version: 1,
        vasp: OwnVasp { id: OWN_VASP.to_string(), name: "Test Exchange".into() },
        cosigner: CosignerKeys { attestation_key: HEXLOWER.encode(&attestation), custodian_key: None },
        log: LogKeys { signer: log.to_string(), cosigner: witness.to_string() },
        guard: BTreeMap::new(),
        wallets: vec![WalletEntry {
            network: NETWORK.to_string(),
            hot: hot_wallet().as_str().to_owned(),
            cold: Some(cold_wallet().as_str().to_owned()),
            safe: None,
            executor: None,
            emptying: None,
            tokens: Vec::new(),
        }],
        request_keys: vec![RequestKeyEntry {
            organisation: "acme".into(),
            id: "k1".into(),
            key: public(EXCHANGE),
            not_after: None,
            people: Vec::new(),
        }],
        statement_keys: vec![StatementKeyEntry {
            observer: "watcher".into(),
            key: public(OBSERVER),
            kinds: ["coins", "position", "price", "chain", "safe", "deposits"].map(String::from).to_vec(),
        }],
        operators: [("kim", KIM, "treasury"), ("lee", LEE, "risk")]
            .map(|(name, seed, group)| OperatorEntry {
                name: name.into(),
                groups: vec![group.into()],
                keys: vec![ssh_public(seed)],
            })
            .to_vec(),
        vasps: vec![VaspEntry {
            id: ROBOT_VASP.to_string(),
            name: "Robot".into(),
            identity_key: Some(public(ROBOT)),
            network: None,
            jurisdiction: None,
            active: true,
        }],
    }
}

pub fn trust(content: &TrustContent) -> Trust {
    let text = trust_file::render(content).unwrap();
    let signatures: Vec<String> = QUORUM[..2]
        .iter()
        .map(|seed| sign_ssh(&ssh_private(*seed), NAMESPACE_TRUST, &text).unwrap())
        .collect();
    let people: Vec<(String, String)> = QUORUM.iter().map(|s| (format!("p{s}"), ssh_public(*s))).collect();
    let quorum = Quorum::new(2, &people).unwrap();
    Trust::open(&text, &signatures.iter().map(String::as_str).collect::<Vec<_>>(), &quorum, 1).unwrap()
}
