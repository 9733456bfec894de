//! What every process of the bench knows beyond the parties: sizes, limits that never bind, the context, certificates.

use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use countersign::enclave::wire::tls::Identity as TlsIdentity;
use countersign::flow::context::{Context, PartySettings, machine_clock};
use countersign::flow::rail::pins::SafePins;
use countersign::pki::{self, PemFiles};
use countersign::store::StoreUrl;
use rustls::RootCertStore;
use wallet_policy::{Guard, Policy, Settings};

pub use crate::parties::*;

pub const COIN_SAT: u64 = 1_000_000;
/// A payment is worth 100,000 won, below every tier.
pub const PAID_SAT: u64 = 100_000;
/// The counterparty's customer on the EVM chain.
pub const VERA: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
/// A payment of the token is worth some 97,500 won, each one a unit more than the one before.
pub const PAID_UNITS: u128 = 75_000_000;
/// What the Safe has of the token at first.
pub const TOKENS: u128 = 1_000_000_000_000_000;
/// One gwei for a unit of gas, in wei for 1,000 of them.
pub const GAS_RATE: u64 = 1_000_000_000_000;

pub fn store(dir: &Path, name: &str) -> StoreUrl {
    StoreUrl::parse(&format!("sqlite:{}", dir.join(format!("{name}.db")).display())).unwrap()
}

/// The rules of the tests with rolling limits that a whole run stays below.
fn policy_without_bounds() -> Settings {
    let roomy = [
        ("hourly_limit = \"5000000000\"", "hourly_limit = \"5000000000000\""),
        ("daily_limit = \"10000000000\"", "daily_limit = \"10000000000000\""),
        ("fee_budget_daily = \"10000000\"", "fee_budget_daily = \"10000000000\""),
    ];
    let text = roomy.iter().fold(policy_text(), |text, (strict, roomy)| {
        assert!(text.contains(strict), "the rules of the tests have changed");
        text.replace(strict, roomy)
    });
    toml::from_str(&text).unwrap()
}

/// The same for the token.
fn token_policy_without_bounds() -> Settings {
    let mut settings = evm_policy_settings();
    let asset = settings.assets.get_mut(&token().to_string()).unwrap();
    let roomy = wallet_policy::Units(10u128.pow(30));
    (asset.hourly_limit, asset.daily_limit, asset.fee_budget_daily) = (roomy, roomy, roomy);
    settings
}

/// What everybody trusts: with the Safe, where the token is paid.
fn trusted(with_token: bool) -> countersign::evidence::Trust {
    let mut content = trust_content();
    content.wallets.extend(with_token.then(safes_entry));
    trust(&content)
}

pub fn context(dir: &Path, party: countersign::withdrawal::KeyRole, with_token: bool) -> Arc<Context> {
    let policy = if with_token { token_policy_without_bounds() } else { policy_without_bounds() };
    let settings =
        PartySettings { depth_min: 1, create_wait: Duration::from_secs(20), ..PartySettings::default() };
    Arc::new(Context {
        asset: ASSET,
        wallet: Arc::new(hot_wallet()),
        cold: Arc::new(cold_wallet()),
        safes: SafePins::of(&trusted(with_token)).unwrap(),
        trust: Arc::new(trusted(with_token)),
        policy: Arc::new(Policy::built_in(policy.clone(), &Guard::of(&policy)).unwrap()),
        policies: RwLock::default(),
        brake: brake(dir, party),
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
