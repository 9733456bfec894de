//! What a process runs on: every field checked, every path absolute. Opens no file, so that a configuration can be judged
//! on any machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;

use super::custodian::CustodianSettings;
use super::typed;
use super::verifyvasp::{ServerSettings, TravelRule};
use crate::cli::problem::Problem;
use crate::keys::PassphraseSource;
use crate::pki::PemFiles;
use crate::withdrawal::Network;

/// The signer's settings.
#[derive(Debug, Clone)]
pub struct SignerSettings {
    /// What both parties have.
    pub party: PartyPlaces,
    /// The co-signer's address, `host:port`.
    pub cosigner: String,
    /// The certificate shown to the co-signer.
    pub cosigner_tls: PemFiles,
    /// What the travel rule is asked of.
    pub travel_rule: TravelRule,
    /// How long `create` waits for an outcome.
    pub create_wait: Duration,
    /// The pause before something is asked again.
    pub retry: Duration,
    /// How many withdrawals may be open.
    pub open_max: usize,
}

/// The co-signer's settings.
#[derive(Debug, Clone)]
pub struct CosignerSettings {
    /// What both parties have.
    pub party: PartyPlaces,
    /// Its own way to an enclave server, for verifications that no VASP signs.
    pub route: Option<ServerSettings>,
    /// Who holds key B, where it is not this party.
    pub custodian: Option<CustodianSettings>,
}

/// What both parties have.
#[derive(Debug, Clone)]
pub struct PartyPlaces {
    /// The chain.
    pub network: Network,
    /// The listener.
    pub listen: SocketAddr,
    /// The listener of the brake.
    pub freeze_listen: SocketAddr,
    /// The folder of the brake's marker.
    pub freeze_folder: PathBuf,
    /// The certificate of both listeners.
    pub tls: PemFiles,
    /// The fingerprint compared for the hot wallet.
    pub hot_fingerprint: String,
    /// The fingerprint compared for the cold wallet.
    pub cold_fingerprint: String,
    /// The store.
    pub store: StorePlace,
    /// The keystore's file.
    pub keystore: PathBuf,
    /// What opens it.
    pub passphrase: PassphraseSource,
    /// The trust file.
    pub trust: TrustPlaces,
    /// The policy's numbers.
    pub policy_settings: PathBuf,
    /// The folder of the policy's rules; `None` for those built in.
    pub policy_rules: Option<PathBuf>,
    /// The name of the party's log.
    pub origin: String,
    /// Bounds.
    pub bounds: Bounds,
    /// How the process says what it does.
    pub tracing: Tracing,
}

/// Bounds that both parties have.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Oldest request, in seconds.
    pub request_age_s_max: u64,
    /// Oldest statement, in seconds.
    pub statement_age_s_max: u64,
    /// How long an approval counts, in seconds.
    pub approval_age_s_max: u64,
    /// Longest hold, in seconds.
    pub hold_s_max: u64,
    /// How long an unconfirmed sweep counts as cold, in seconds.
    pub transit_s_max: u64,
    /// Confirmations from which a coin counts.
    pub depth_min: u32,
    /// How much may wait.
    pub queue_max: usize,
    /// How long a stopping process goes on.
    pub drain: Duration,
    /// Whether to refuse to start unless memory is locked.
    pub memory_lock: bool,
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// Its url, without a password.
    Url(String),
    /// A file that holds the url.
    File(PathBuf),
}

/// The trust file and who may sign it.
#[derive(Debug, Clone)]
pub struct TrustPlaces {
    /// The file.
    pub file: PathBuf,
    /// The signatures over it.
    pub signatures: Vec<PathBuf>,
    /// How many people must sign.
    pub threshold: usize,
    /// Who may: name and OpenSSH key.
    pub people: Vec<(String, String)>,
}

/// The relay's settings.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The listener.
    pub listen: SocketAddr,
    /// Its Ed25519 key.
    pub key: PassphraseSource,
    /// Its certificate, and the CA of its members.
    pub tls: PemFiles,
    /// Members and bounds, as the relay reads them.
    pub config: crate::relay::Config,
    /// How the process says what it does.
    pub tracing: Tracing,
}

/// How the process says what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracing {
    /// Whether for programs.
    pub json: bool,
    /// What is said, as tracing-subscriber's `EnvFilter` reads it.
    pub filter: String,
}

/// What both files have in common, read field by field: they are two types, since each refuses what only the other has.
macro_rules! party {
    ($file:ident, $limits:ident, $base:ident) => {
        PartyPlaces {
            network: network(&$file.network)?,
            listen: listener("listen", &$file.listen)?,
            freeze_listen: apart(listener("freeze.listen", &$file.freeze.listen)?, &$file.listen)?,
            freeze_folder: $base.join($file.freeze.folder),
            tls: pem($file.tls, $base),
            hot_fingerprint: fingerprint("wallet.hot_fingerprint", $file.wallet.hot_fingerprint)?,
            cold_fingerprint: fingerprint("wallet.cold_fingerprint", $file.wallet.cold_fingerprint)?,
            store: store($file.store, $base)?,
            keystore: $base.join($file.keystore.path),
            passphrase: secret("keystore.passphrase", $file.keystore.passphrase, $base)?,
            trust: trust($file.trust, $base)?,
            policy_settings: $base.join($file.policy.settings),
            policy_rules: rules(&$file.policy.rules, $base)?,
            origin: origin($file.log.origin)?,
            tracing: tracing($file.tracing)?,
            bounds: Bounds {
                request_age_s_max: above_zero("limits.request_age_s_max", $limits.request_age_s_max)?,
                statement_age_s_max: above_zero("limits.statement_age_s_max", $limits.statement_age_s_max)?,
                approval_age_s_max: above_zero("limits.approval_age_s_max", $limits.approval_age_s_max)?,
                hold_s_max: above_zero("limits.hold_s_max", $limits.hold_s_max)?,
                transit_s_max: above_zero("limits.transit_s_max", $limits.transit_s_max)?,
                depth_min: above_zero("limits.depth_min", $limits.depth_min)?,
                queue_max: above_zero("limits.queue_max", $limits.queue_max)?,
                drain: Duration::from_secs(above_zero("limits.drain_s_max", $limits.drain_s_max)?),
                memory_lock: $limits.memory_lock,
            },
        }
    };
}

impl SignerSettings {
    /// Checks what was typed; `base` is the folder from which paths count.
    pub fn new(file: typed::SignerFile, base: &Path) -> Result<Self, Problem> {
        let limits = file.limits;
        let party = party!(file, limits, base);
        Ok(Self {
            cosigner: host_and_port("cosigner.address", file.cosigner.address)?,
            cosigner_tls: file.cosigner.tls.map_or_else(|| party.tls.clone(), |own| pem(own, base)),
            travel_rule: TravelRule::of_signer(file.enclave, file.verifyvasp, base, party.network)?,
            create_wait: Duration::from_millis(limits.create_wait_ms),
            retry: Duration::from_millis(above_zero("limits.retry_ms", limits.retry_ms)?),
            open_max: above_zero("limits.open_max", limits.open_max)?,
            party,
        })
    }
}

impl CosignerSettings {
    /// Checks what was typed; `base` is the folder from which paths count.
    pub fn new(file: typed::CosignerFile, base: &Path) -> Result<Self, Problem> {
        let limits = file.limits;
        let route = file.verifyvasp;
        let custodian = file.custodian.map(|table| CustodianSettings::new(table, base)).transpose()?;
        let party = party!(file, limits, base);
        if let Some(inbound) = custodian.as_ref().and_then(|custodian| custodian.inbound.as_ref()) {
            inbound.check_apart([party.listen, party.freeze_listen])?;
        }
        let route = route.map(|table| ServerSettings::new(table.server, base, party.network));
        Ok(Self { party, route: route.transpose()?, custodian })
    }
}

impl RelaySettings {
    /// Checks what was typed; members and limits are read by the relay from the same text.
    pub fn new(file: typed::RelayFile, text: &str, base: &Path) -> Result<Self, Problem> {
        let mut table: toml::Table = super::read::parse(text, "")?;
        table.retain(|name, _| name == "member" || name == "limits");
        let own = toml::to_string(&table).map_err(|error| {
            Problem::config("member", error.to_string(), "write it as relay.example.toml does")
        })?;
        let config = crate::relay::Config::parse(&own).map_err(|fault| {
            let text = fault.to_string().lines().last().unwrap_or_default().to_owned();
            Problem::config("member or limits", text, "write them as relay.example.toml does")
        })?;
        Ok(Self {
            listen: listener("listen", &file.listen)?,
            key: secret("key", file.key, base)?,
            tls: pem(file.tls, base),
            config,
            tracing: tracing(file.tracing)?,
        })
    }
}

pub(super) fn pem(table: typed::TlsTable, base: &Path) -> PemFiles {
    PemFiles { authority: base.join(table.ca), certificate: base.join(table.cert), key: base.join(table.key) }
}

pub(super) fn network(text: &str) -> Result<Network, Problem> {
    Network::parse(text).map_err(|no| Problem::config("network", no.problem, no.cure))
}

pub(super) fn listener(field: &str, text: &str) -> Result<SocketAddr, Problem> {
    let cure = "write an IP address and a port, such as 10.20.0.5:7401 or [::1]:7401";
    text.parse().map_err(|_| Problem::config(field, format!("`{text}` is no address to listen on"), cure))
}

/// The brake's listener must not be the other one, whose queue may be full.
fn apart(own: SocketAddr, other: &str) -> Result<SocketAddr, Problem> {
    if own.port() == 0 || listener("listen", other)? != own {
        return Ok(own);
    }
    Err(Problem::config("freeze.listen", "is the address of `listen` as well", "choose a port of its own"))
}

pub(super) fn host_and_port(field: &str, text: String) -> Result<String, Problem> {
    let good =
        text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if good && !text.contains('/') {
        return Ok(text);
    }
    Err(Problem::config(field, format!("`{text}` is no host and port"), "write host:port without a scheme"))
}

pub(super) fn https(field: &str, text: String) -> Result<String, Problem> {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    if rest.is_empty() || rest.contains(['/', '?', '#', '@']) {
        let cure = "write https://, a host and, where needed, a port; no path, no user, no slash at the end";
        return Err(Problem::config(field, format!("`{text}` is no such address"), cure));
    }
    Ok(text)
}

pub(super) fn key(field: &str, text: &str) -> Result<[u8; 32], Problem> {
    HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        let cure = "write the public key as `countersign init` printed it";
        Problem::config(field, "is not 64 lower-case hex digits", cure)
    })
}

fn fingerprint(field: &str, text: String) -> Result<String, Problem> {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if text.len() == 16 && text.bytes().all(hex) {
        return Ok(text);
    }
    let cure =
        "write the 16 lower-case hex digits that `countersign descriptor pin` prints, after comparing them";
    Err(Problem::config(field, "is not 16 lower-case hex digits", cure))
}

pub(super) fn store(table: typed::StoreTable, base: &Path) -> Result<StorePlace, Problem> {
    match (table.url, table.url_file) {
        (Some(url), None) => {
            check_url("store.url", &url)?;
            if url.starts_with("mysql://") && has_password(&url) {
                let cure =
                    "write the whole url into a file of mode 0400 or 0600 and name it as store.url_file";
                return Err(Problem::config("store.url", "holds a password", cure));
            }
            Ok(StorePlace::Url(url))
        }
        (None, Some(file)) => Ok(StorePlace::File(base.join(file))),
        (Some(_), Some(_)) => {
            Err(Problem::config("store", "has both url and url_file", "write exactly one of them"))
        }
        (None, None) => {
            Err(Problem::config("store", "has neither url nor url_file", "write exactly one of them"))
        }
    }
}

/// Checks the form of a store's url. Its text is never repeated: it may hold a password.
pub fn check_url(field: &str, url: &str) -> Result<(), Problem> {
    let cure = "write sqlite:/absolute/path or mysql://user@host/database";
    let no = |problem: String| Err(Problem::config(field, problem, cure));
    match crate::store::StoreUrl::parse(url) {
        Ok(_) => match url.strip_prefix("sqlite:") {
            Some(path) if !path.starts_with('/') => no("is not an absolute path".into()),
            _ => Ok(()),
        },
        Err(fault) => no(fault.to_string()),
    }
}

fn has_password(url: &str) -> bool {
    let authority = url.strip_prefix("mysql://").unwrap_or_default().split('/').next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

pub(super) fn secret(
    field: &str,
    table: typed::SecretTable,
    base: &Path,
) -> Result<PassphraseSource, Problem> {
    let cure = "write { file = \"/path\" } or { descriptor = 3 }";
    match (table.file, table.descriptor) {
        (Some(file), None) => Ok(PassphraseSource::File(base.join(file))),
        (None, Some(number)) => Ok(PassphraseSource::Descriptor(number)),
        (Some(_), Some(_)) => Err(Problem::config(field, "has both file and descriptor", cure)),
        (None, None) => Err(Problem::config(field, "has neither file nor descriptor", cure)),
    }
}

pub(super) fn trust(table: typed::TrustTable, base: &Path) -> Result<TrustPlaces, Problem> {
    let people: Vec<_> = table.quorum.people.into_iter().map(|person| (person.name, person.key)).collect();
    let names: std::collections::BTreeSet<&str> = people.iter().map(|(name, _)| name.as_str()).collect();
    if table.quorum.threshold == 0 || table.quorum.threshold > names.len() {
        let problem = format!("is {} of {} people", table.quorum.threshold, names.len());
        return Err(Problem::config(
            "trust.quorum.threshold",
            problem,
            "write a number from 1 to that of the people",
        ));
    }
    if table.signatures.is_empty() {
        return Err(Problem::config(
            "trust.signatures",
            "names no signature",
            "name one file for each person who signed",
        ));
    }
    Ok(TrustPlaces {
        file: base.join(table.file),
        signatures: table.signatures.iter().map(|path| base.join(path)).collect(),
        threshold: table.quorum.threshold,
        people,
    })
}

fn rules(text: &str, base: &Path) -> Result<Option<PathBuf>, Problem> {
    match text {
        "built-in" => Ok(None),
        "" => Err(Problem::config(
            "policy.rules",
            "is empty",
            "write \"built-in\" or the folder of the *.cedar files",
        )),
        folder => Ok(Some(base.join(folder))),
    }
}

pub(super) fn origin(text: String) -> Result<String, Problem> {
    let no = |_| {
        Problem::config(
            "log.origin",
            "cannot be a log's name",
            "write a name without blanks and `+`, such as exchange.example/countersign/signer",
        )
    };
    // Only the name is of interest here; the key is that of a point everybody knows.
    let point = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
    crate::audit::LogKey::new(&text, &point).map_err(no)?;
    Ok(text)
}

pub(super) fn above_zero<T: Copy + Default + PartialEq>(field: &str, number: T) -> Result<T, Problem> {
    if number == T::default() {
        return Err(Problem::config(
            field,
            "is zero",
            "write a number above zero, or leave it out for the default",
        ));
    }
    Ok(number)
}

pub(super) fn tracing(table: typed::TracingTable) -> Result<Tracing, Problem> {
    let json = match table.format.as_str() {
        "json" => true,
        "text" => false,
        other => {
            return Err(Problem::config(
                "tracing.format",
                format!("is `{other}`"),
                "write \"json\" or \"text\"",
            ));
        }
    };
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&table.filter) {
        return Err(Problem::config(
            "tracing.filter",
            error.to_string(),
            "write a level such as \"info\", or target=level pairs",
        ));
    }
    Ok(Tracing { json, filter: table.filter })
}
