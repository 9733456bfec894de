//! What `--check` says: every part of a configuration by itself, so that all mistakes show at once. Starts nothing.

pub mod executor;
pub mod observer;
mod travel_rule;

use serde_json::{Value, json};

use super::custodian::{CustodianSettings, CustodianWay, InboundSettings};
use super::settings::{CosignerSettings, PartyPlaces, RelaySettings, SignerSettings, StorePlace};
use super::travel_rule::StandaloneSettings;
use super::verifyvasp::{ServerSettings, TravelRule};
use super::{load, sqlite_path};
use crate::bitcoin::KeySlot;
use crate::cli::answer::Answer;
use crate::cli::instance::{Instance, Witnessing};
use crate::cli::problem::{Exit, Problem};
use crate::cli::run::custodian::Shown;
use crate::cli::run::{assemble, custodian as assemble_custodian};
use crate::desk::Role;
use crate::keys::KeyRole;
use crate::pki::{self, PemFiles};
use crate::withdrawal::Asset;

/// What was found of one part.
enum Found {
    /// It is well.
    Well(String),
    /// It could not be looked at: why.
    Unseen(String),
    /// Nothing would start with it.
    Bad(Problem),
}

/// What was found, part by part.
#[derive(Default)]
pub struct Checks(Vec<(&'static str, Found)>);

impl Checks {
    /// Adds what was found of one part.
    pub fn add(&mut self, part: &'static str, found: Result<String, Problem>) {
        self.0.push((part, found.map_or_else(Found::Bad, Found::Well)));
    }

    /// Adds what could not be looked at.
    pub fn unseen(&mut self, part: &'static str, why: String) {
        self.0.push((part, Found::Unseen(why)));
    }

    /// The answer: one line for each part.
    pub fn answer(self) -> Answer {
        let width = self.0.iter().map(|(part, _)| part.len()).max().unwrap_or_default();
        let bad = self.0.iter().filter(|(_, found)| matches!(found, Found::Bad(_))).count();
        let unseen = self.0.iter().filter(|(_, found)| matches!(found, Found::Unseen(_))).count();
        let mut text = String::new();
        let mut parts: Vec<Value> = Vec::new();
        for (part, found) in &self.0 {
            match found {
                Found::Well(what) => {
                    text.push_str(&format!("ok    {part:<width$}  {what}\n"));
                    parts.push(json!({ "part": part, "ok": true, "found": what }));
                }
                Found::Unseen(why) => {
                    text.push_str(&format!("?     {part:<width$}  not looked at: {why}\n"));
                    parts.push(json!({ "part": part, "ok": null, "not_looked_at": why }));
                }
                Found::Bad(problem) => {
                    text.push_str(&format!(
                        "FAIL  {part:<width$}  {}\n",
                        problem.to_string().replace('\n', "\n      ")
                    ));
                    parts.push(json!({ "part": part, "ok": false, "error": problem.json().get("error") }));
                }
            }
        }
        text.push_str(match (bad, unseen) {
            (0, 0) => "it can start\n",
            (0, _) => "it can start, if what was not looked at (?) is well\n",
            _ => "it would not start\n",
        });
        let exit = if bad == 0 { Exit::Ok } else { Exit::Usage };
        Answer { exit, json: json!({ "ok": bad == 0, "checks": parts }), text }
    }
}

/// Checks the signer's settings.
pub fn signer(settings: &SignerSettings) -> Answer {
    let mut checks = Checks::default();
    party(&mut checks, &settings.party, (Role::Signer, KeyRole::Signer), false);
    checks.add("certificate for the co-signer", role_certificate(&settings.cosigner_tls, Role::Signer));
    let version = load::trust(&settings.party.trust).map(|trust| trust.version()).ok();
    match &settings.travel_rule {
        TravelRule::Own(enclave) => {
            travel_rule::own(&mut checks, enclave, version);
            enclave.notices().into_iter().for_each(|notice| checks.add("notice", Ok(notice)));
        }
        TravelRule::VerifyVasp(settings_of) => {
            travel_rule::adapter(&mut checks, settings_of, version);
            checks.add("unsigned clearances", unsigned(&settings.party, true));
        }
    }
    checks.answer()
}

/// Opens token and certificates; nobody is called.
fn server(server: &ServerSettings) -> Result<String, Problem> {
    assemble::server_of(server).map(|_| format!("{} (not called)", server.url))
}

/// Whether this party would sign anything on the word of an enclave server: whom its trust file names, and up to what its policy goes.
fn unsigned(party: &PartyPlaces, has_route: bool) -> Result<String, Problem> {
    let trust = load::trust(&party.trust)?;
    let named = trust.vasps().filter(|vasp| vasp.active && vasp.identity_key.is_none()).count();
    let policy = load::policy(party, &trust)?;
    let asset = Asset::Bitcoin(party.network).to_string();
    let limit = policy.settings().assets.get(&asset).map_or(0, |set| set.unsigned_per_tx_limit.0);
    match (named, has_route, limit) {
        (0, false, _) => Ok("none, and nobody is asked".into()),
        (0, true, _) => {
            let cure = "write network = \"verifyvasp\" and no identity_key for each VASP of that network, and have the quorum sign";
            Err(Problem::config("trust.file: vasps", "names no VASP of the network verifyvasp", cure))
        }
        (_, false, _) => {
            let problem = format!("is missing, and the trust file names {named} VASPs of that network");
            let cure = "write [verifyvasp.server] with credentials of this party's own; without it nothing for them is signed";
            Err(Problem::config("verifyvasp", problem, cure))
        }
        (_, true, 0) => {
            let field = format!("policy.settings: assets.{asset:?}.unsigned_per_tx_limit");
            let cure = "set it and unsigned_daily_limit above zero, and have the trust file's quorum pin both as _max";
            Err(Problem::config(&field, "is zero: every withdrawal to that network is refused", cure))
        }
        (_, true, limit) => Ok(format!("{named} VASPs of verifyvasp, up to {limit} base units each time")),
    }
}

/// Checks the settings of an enclave that stands alone. The service that unwraps the data key is not called.
pub fn enclave(settings: &StandaloneSettings) -> Answer {
    let mut checks = Checks::default();
    let known = |known: crate::evidence::Directory| {
        let others = known.vasps().filter(|vasp| vasp.active).count();
        format!("version {}: VASP {}, {others} others", known.version(), known.vasp_id())
    };
    let directory = load::directory(&settings.trust);
    let version = directory.as_ref().map(crate::evidence::Directory::version).ok();
    checks.add("trust file", directory.map(known));
    travel_rule::own(&mut checks, &settings.enclave, version);
    settings.notices.iter().for_each(|notice| checks.add("notice", Ok(notice.clone())));
    checks.answer()
}

/// Checks the co-signer's settings.
pub fn cosigner(settings: &CosignerSettings) -> Answer {
    let mut checks = Checks::default();
    party(&mut checks, &settings.party, (Role::Cosigner, KeyRole::Cosigner), settings.custodian.is_some());
    if let Some(custodian) = &settings.custodian {
        let (found, shown) = found_custodian(custodian)
            .map_or_else(|problem| (Err(problem), Shown::default()), |(found, shown)| (Ok(found), shown));
        checks.add("custodian", found);
        if let Some(inbound) = &custodian.inbound {
            checks.add("custodian's calls", found_inbound(inbound, &shown));
        }
        let trust = load::trust(&settings.party.trust);
        if trust.is_ok_and(|trust| trust.custodian_key().is_none()) {
            let text = "the trust file has no cosigner.custodian_key: a transaction that was handed over can never be given up";
            checks.add("notice", Ok(text.to_owned()));
        }
    }
    if let Some(route) = &settings.route {
        checks.add("own route to the enclave server", server(route));
    }
    checks.add("unsigned clearances", unsigned(&settings.party, settings.route.is_some()));
    checks.answer()
}

/// Checks the relay's settings.
pub fn relay(settings: &RelaySettings) -> Answer {
    let mut checks = Checks::default();
    checks.add(
        "configuration",
        Ok(format!("{} members, listens on {}", settings.config.members.len(), settings.listen)),
    );
    checks.add("certificate", certificate(&settings.tls));
    checks.add(
        "relay key",
        load::hex_key("key", &settings.key).map(|key| crate::cli::keyfile::public_hex(&key)),
    );
    checks.answer()
}

/// Opens the way to the custodian; nobody is called.
fn found_custodian(custodian: &CustodianSettings) -> Result<(String, Shown), Problem> {
    let (_, shown) = assemble_custodian::way(custodian)?;
    let found = match &custodian.way {
        CustodianWay::Folders { outbox, inbox } => {
            format!("key B by files: {} and {}", outbox.display(), inbox.display())
        }
        CustodianWay::Server(server) => format!("key B at {} (not called)", server.url),
    };
    Ok((found, shown))
}

/// What the listener for the custodian's calls opens with; it does not listen, and its folder was opened with the way.
fn found_inbound(inbound: &InboundSettings, shown: &Shown) -> Result<String, Problem> {
    assemble_custodian::inbound(inbound, shown)?;
    Ok(format!("at {}, kept in {}", inbound.listen, inbound.inbox.display()))
}

fn party(checks: &mut Checks, party: &PartyPlaces, (role, key_role): (Role, KeyRole), has_custodian: bool) {
    checks.add("configuration", Ok(format!("{}, listens on {}", party.network, party.listen)));
    checks.add("certificate", role_certificate(&party.tls, role));
    checks.add("freeze", freeze_folder(party));
    checks.add("store", store(&party.store));
    let trust = load::trust(&party.trust);
    let signed = |trust: &crate::evidence::Trust| {
        format!("version {}, signed by {}", trust.version(), trust.signers().collect::<Vec<_>>().join(", "))
    };
    checks.add("trust file", trust.as_ref().map(signed).map_err(Clone::clone));
    let keystore = load::keystore(party, key_role);
    let opened =
        |_: &crate::keys::OpenKeystore| format!("opens; the {}'s, on {}", key_role.as_str(), party.network);
    checks.add("keystore", keystore.as_ref().map(opened).map_err(Clone::clone));
    let Ok(trust) = trust else { return };
    let wallets = load::wallets(party, &trust);
    let fingerprints =
        |(hot, cold): &(crate::bitcoin::WalletDescriptor, crate::bitcoin::WalletDescriptor)| {
            format!("hot {}, cold {}, as pinned", hot.fingerprint(), cold.fingerprint())
        };
    checks.add("wallets", wallets.as_ref().map(fingerprints).map_err(Clone::clone));
    checks.add("policy", load::policy(party, &trust).map(|policy| format!("hash {}", policy.hash_hex())));
    if let (Ok(keystore), Ok((hot, _))) = (keystore, wallets) {
        checks.add("own keys", own_keys(&keystore, party, (key_role, has_custodian), (&hot, &trust)));
    }
}

fn own_keys(
    keystore: &crate::keys::OpenKeystore,
    party: &PartyPlaces,
    (role, has_custodian): (KeyRole, bool),
    (hot, trust): (&crate::bitcoin::WalletDescriptor, &crate::evidence::Trust),
) -> Result<String, Problem> {
    let instance = Instance::of(keystore, &party.origin)?;
    let slot = match role {
        KeyRole::Signer => KeySlot::A,
        KeyRole::Cosigner => KeySlot::B,
        KeyRole::Vault => KeySlot::C,
    };
    if has_custodian {
        instance.check_no_slot(hot)?;
    } else {
        instance.check_slot(hot, slot)?;
    }
    match role {
        KeyRole::Signer => instance.check_log(trust)?,
        KeyRole::Cosigner => Witnessing::of(keystore, &party.origin)?.check(trust)?,
        KeyRole::Vault => {}
    }
    if has_custodian {
        return Ok("no key of the wallet, which a custodian holds; log and trust file agree".to_owned());
    }
    Ok(format!("key {slot:?} of the wallet; log and trust file agree"))
}

fn store(place: &StorePlace) -> Result<String, Problem> {
    let url = load::store_url(place)?;
    match sqlite_path(&url) {
        Some(path) => file_there(&path, "store.url"),
        None => Ok(format!("{url} (not connected to)")),
    }
}

fn freeze_folder(party: &PartyPlaces) -> Result<String, Problem> {
    let folder = &party.freeze_folder;
    if folder.is_dir() {
        return Ok(format!("{}, listens on {}", folder.display(), party.freeze_listen));
    }
    let problem = format!("there is no folder at `{}`", folder.display());
    Err(Problem::config("freeze.folder", problem, "`countersign init` makes it"))
}

fn file_there(path: &std::path::Path, field: &str) -> Result<String, Problem> {
    if path.is_file() {
        return Ok(path.display().to_string());
    }
    let problem = format!("there is no file at `{}`", path.display());
    Err(Problem::of(crate::withdrawal::Code::StoreMissing, problem).at(field))
}

/// Opens certificate, key and CA; gives how long the certificate has been made for.
fn certificate(files: &PemFiles) -> Result<String, Problem> {
    pki::read_certificates(&files.authority)?;
    pki::read_identity(&files.certificate, &files.key)?;
    Ok(files.certificate.display().to_string())
}

fn role_certificate(files: &PemFiles, role: Role) -> Result<String, Problem> {
    certificate(files)?;
    let chain = pki::read_certificates(&files.certificate)?;
    let first =
        chain.first().ok_or_else(|| Problem::config("tls.cert", "is empty", "name the certificate"))?;
    let caller = pki::caller_of(first)?;
    if caller.role != role {
        let problem = format!("the certificate is {caller}'s, not a {role}'s");
        return Err(Problem::config(
            "tls.cert",
            problem,
            "have one issued with the URI countersign:role:<role>/<name>",
        ));
    }
    Ok(format!("{caller}, until {}", caller.not_after))
}
