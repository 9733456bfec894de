//! What `--check` says: every part of a configuration by itself, so that all mistakes show at once. Starts nothing.

use serde_json::{Value, json};

use super::secrets::DataKeySource;
use super::settings::{CosignerSettings, PartyPlaces, RelaySettings, SignerSettings};
use super::travel_rule::{EnclaveSettings, StandaloneSettings};
use super::{load, sqlite_path};
use crate::bitcoin::KeySlot;
use crate::cli::answer::Answer;
use crate::cli::instance::{Instance, Witnessing};
use crate::cli::problem::{Exit, Problem};
use crate::desk::Role;
use crate::enclave::exchange::data_key::plain;
use crate::keys::KeyRole;
use crate::pki::{self, PemFiles};

/// What was found, part by part.
#[derive(Default)]
pub struct Checks(Vec<(&'static str, Result<String, Problem>)>);

impl Checks {
    /// Adds what was found of one part.
    pub fn add(&mut self, part: &'static str, found: Result<String, Problem>) {
        self.0.push((part, found));
    }

    /// The answer: one line for each part.
    pub fn answer(self) -> Answer {
        let width = self.0.iter().map(|(part, _)| part.len()).max().unwrap_or_default();
        let bad = self.0.iter().filter(|(_, found)| found.is_err()).count();
        let mut text = String::new();
        let mut parts: Vec<Value> = Vec::new();
        for (part, found) in &self.0 {
            match found {
                Ok(what) => {
                    text.push_str(&format!("ok    {part:<width$}  {what}\n"));
                    parts.push(json!({ "part": part, "ok": true, "found": what }));
                }
                Err(problem) => {
                    text.push_str(&format!(
                        "FAIL  {part:<width$}  {}\n",
                        problem.to_string().replace('\n', "\n      ")
                    ));
                    parts.push(json!({ "part": part, "ok": false, "error": problem.json().get("error") }));
                }
            }
        }
        text.push_str(if bad == 0 { "it can start\n" } else { "it would not start\n" });
        let exit = if bad == 0 { Exit::Ok } else { Exit::Usage };
        Answer { exit, json: json!({ "ok": bad == 0, "checks": parts }), text }
    }
}

/// Checks the signer's settings.
pub fn signer(settings: &SignerSettings) -> Answer {
    let mut checks = Checks::default();
    party(&mut checks, &settings.party, (Role::Signer, KeyRole::Signer));
    checks.add("certificate for the co-signer", role_certificate(&settings.cosigner_tls, Role::Signer));
    travel_rule(&mut checks, &settings.enclave);
    checks.answer()
}

/// Checks the settings of an enclave that stands alone. The service that unwraps the data key is not called.
pub fn enclave(settings: &StandaloneSettings) -> Answer {
    let mut checks = Checks::default();
    let known = |known: crate::evidence::Directory| {
        let others = known.vasps().filter(|vasp| vasp.active).count();
        format!("version {}: VASP {}, {others} others", known.version(), known.vasp_id())
    };
    checks.add("trust file", load::directory(&settings.trust).map(known));
    travel_rule(&mut checks, &settings.enclave);
    settings.notices.iter().for_each(|notice| checks.add("notice", Ok(notice.clone())));
    checks.answer()
}

fn travel_rule(checks: &mut Checks, enclave: &EnclaveSettings) {
    checks.add("enclave certificate", certificate(&enclave.tls));
    checks.add("enclave database", file_there(&enclave.database, "enclave.database"));
    checks.add("enclave data key", data_key(&enclave.data_key));
    checks.add("enclave identity key", identity(enclave));
    let Some(exchange) = &enclave.exchange else { return };
    let line =
        super::super::run::assemble::line(exchange).map(|_| "token and certificates are readable".into());
    checks.add("exchange's backend", line);
    if let Some(listener) = &exchange.listener {
        let opened = super::super::run::assemble::private(listener, exchange);
        checks.add("private listener", opened.map(|_| format!("would listen on {}", listener.listen)));
    }
}

fn data_key(source: &DataKeySource) -> Result<String, Problem> {
    match source {
        DataKeySource::Hex(place) => load::hex_key("enclave.data_key", place).map(|_| "readable".into()),
        DataKeySource::Plain(secret) => {
            let text = secret.read("enclave.encryption_key")?;
            plain(&text)
                .map_err(super::super::run::assemble::no_data_key)
                .map(|_| "readable, and not wrapped".into())
        }
        DataKeySource::Wrapped(secret, _) => {
            secret.read("enclave.encryption_key").map(|_| "is unwrapped at the start (not asked now)".into())
        }
    }
}

/// Checks the co-signer's settings.
pub fn cosigner(settings: &CosignerSettings) -> Answer {
    let mut checks = Checks::default();
    party(&mut checks, &settings.party, (Role::Cosigner, KeyRole::Cosigner));
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

fn party(checks: &mut Checks, party: &PartyPlaces, (role, key_role): (Role, KeyRole)) {
    checks.add("configuration", Ok(format!("{}, listens on {}", party.network, party.listen)));
    checks.add("certificate", role_certificate(&party.tls, role));
    checks.add("freeze", freeze_folder(party));
    checks.add("store", store(party));
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
        checks.add("own keys", own_keys(&keystore, party, key_role, (&hot, &trust)));
    }
}

fn own_keys(
    keystore: &crate::keys::OpenKeystore,
    party: &PartyPlaces,
    role: KeyRole,
    (hot, trust): (&crate::bitcoin::WalletDescriptor, &crate::evidence::Trust),
) -> Result<String, Problem> {
    let instance = Instance::of(keystore, &party.origin)?;
    let slot = match role {
        KeyRole::Signer => KeySlot::A,
        KeyRole::Cosigner => KeySlot::B,
        KeyRole::Vault => KeySlot::C,
    };
    instance.check_slot(hot, slot)?;
    match role {
        KeyRole::Signer => instance.check_log(trust)?,
        KeyRole::Cosigner => Witnessing::of(keystore, &party.origin)?.check(trust)?,
        KeyRole::Vault => {}
    }
    Ok(format!("key {slot:?} of the wallet; log and trust file agree"))
}

fn identity(enclave: &EnclaveSettings) -> Result<String, Problem> {
    let key = load::hex_key("enclave.identity_key", &enclave.identity_key)?;
    Ok(format!("public key {}", crate::cli::keyfile::public_hex(&key)))
}

fn store(party: &PartyPlaces) -> Result<String, Problem> {
    let url = load::store_url(&party.store)?;
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
