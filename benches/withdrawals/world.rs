//! What every process of the bench knows beyond the parties: sizes, limits that never bind, the context, certificates.

use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use countersign::enclave::wire::tls::Identity as TlsIdentity;
use countersign::flow::context::{Context, PartySettings, machine_clock};
use countersign::flow::rail::safe::SafePins;
use countersign::pki::{self, PemFiles};
use countersign::store::StoreUrl;
use rustls::RootCertStore;
use wallet_policy::{Guard, Policy, Settings};

pub use crate::parties::*;

pub const COIN_SAT: u64 = 1_000_000;
/// A payment is worth 100,000 won, below every tier.
pub const PAID_SAT: u64 = 100_000;

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

pub fn context(dir: &Path, party: countersign::withdrawal::KeyRole) -> Arc<Context> {
    let policy = policy_without_bounds();
    let settings =
        PartySettings { depth_min: 1, create_wait: Duration::from_secs(20), ..PartySettings::default() };
    Arc::new(Context {
        asset: ASSET,
        wallet: Arc::new(hot_wallet()),
        cold: Arc::new(cold_wallet()),
        safes: SafePins::of(&trust(&trust_content())).unwrap(),
        trust: Arc::new(trust(&trust_content())),
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
