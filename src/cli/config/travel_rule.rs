//! What the travel rule runs on, within the signer or alone: every field checked, every path absolute. Opens no file.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::assets;
use super::exchange::ExchangeSettings;
use super::secrets::{DataKeySource, Given, Secret, data_key, old_data_keys};
use super::settings::{Tracing, TrustPlaces, above_zero, https, key, listener, pem, secret, tracing, trust};
use super::typed;
use crate::cli::problem::Problem;
use crate::enclave::Coin;
use crate::enclave::allow::AllowList;
use crate::enclave::exchange::{Place, Places};
use crate::keys::PassphraseSource;
use crate::pki::PemFiles;
use crate::withdrawal::Network;

/// Five years, two leap days among them: Korean law keeps travel-rule records that long (Act on Specified Financial Information, art. 5-4).
pub const RETENTION_DAYS_MIN: u32 = 5 * 365 + 2;
/// Shortest life of a cached key, in milliseconds, as the network documents it.
pub const KEY_TTL_MS_MIN: u64 = 600_000;
/// Longest: a counterparty's word on its key holds for two hours.
pub const KEY_TTL_MS_MAX: u64 = 3_600_000;

/// An enclave that stands alone.
#[derive(Debug, Clone)]
pub struct StandaloneSettings {
    /// The trust file: the own id and the other VASPs.
    pub trust: TrustPlaces,
    /// The travel rule.
    pub enclave: EnclaveSettings,
    /// How the process says what it does.
    pub tracing: Tracing,
    /// Whether to refuse to start unless memory is locked.
    pub memory_lock: bool,
    /// What its operator should know before it starts.
    pub notices: Vec<String>,
}

/// The travel rule's settings.
#[derive(Debug, Clone)]
pub struct EnclaveSettings {
    /// The user its process runs as, where it is another than the signer's.
    pub user: Option<String>,
    /// Its database.
    pub database: PathBuf,
    /// The key that seals it.
    pub data_key: DataKeySource,
    /// The keys that sealed it before, the newest first.
    pub old_data_keys: Vec<DataKeySource>,
    /// The sanctions lists.
    pub screening: Option<ScreeningSettings>,
    /// The VASP's identity key.
    pub identity_key: PassphraseSource,
    /// The listener that the relay calls.
    pub listen: SocketAddr,
    /// The same as the relay sees it.
    pub public_endpoint: String,
    /// Its certificate.
    pub tls: PemFiles,
    /// The relay's address.
    pub relay_url: String,
    /// The relay's key.
    pub relay_key: [u8; 32],
    /// The relay's addresses, where they are listed.
    pub relay_allow: Option<AllowList>,
    /// The exchange's own backend; without one nobody is known here.
    pub exchange: Option<ExchangeSettings>,
    /// What can be sent and received.
    pub assets: Vec<Coin>,
    /// How long records are kept; for ever where it is not set.
    pub retention_days: Option<u32>,
    /// How long a counterparty's key is kept.
    pub key_ttl: Duration,
    /// How long one request waits for the counterparty.
    pub answer_wait: Duration,
    /// How long a verification is retried, in seconds.
    pub expiry_s: u64,
    /// How many may be open.
    pub waiting_max: u64,
    /// How many are tried at the same time.
    pub at_once_max: usize,
}

/// Files of what is on sanctions lists.
#[derive(Debug, Clone)]
pub struct ScreeningSettings {
    /// The folder they lie in; the enclave's process can read no other.
    pub folder: PathBuf,
    /// Lists of addresses.
    pub addresses: Vec<PathBuf>,
    /// Lists of names.
    pub names: Vec<PathBuf>,
}

impl StandaloneSettings {
    /// Checks what was typed; `base` is the folder from which paths count.
    pub fn new(file: typed::EnclaveFile, base: &Path, given: &Given) -> Result<Self, Problem> {
        let enclave = EnclaveSettings::new(file.enclave, base, given)?;
        if enclave.user.is_some() {
            let cure = "start it as that user, and leave the field out";
            return Err(Problem::config("enclave.user", "is for the enclave of a signer", cure));
        }
        if enclave.exchange.is_none() {
            let cure =
                "write [enclave.exchange]: where the backend verifies users, accounts and transactions";
            return Err(Problem::config("enclave.exchange", "is missing", cure));
        }
        Ok(Self {
            trust: trust(file.trust, base)?,
            notices: enclave.notices(),
            enclave,
            tracing: tracing(file.tracing)?,
            memory_lock: file.memory_lock,
        })
    }
}

impl EnclaveSettings {
    /// The travel rule within a signer, which has one network and no variables. Its own asset is known to its enclave beside those named.
    pub fn of_signer(table: typed::EnclaveTable, base: &Path, network: Network) -> Result<Self, Problem> {
        if table.networks.is_some() {
            let cure = "leave it out: the signer's own network is the one";
            return Err(Problem::config("enclave.networks", "is for an enclave that stands alone", cure));
        }
        let own = Coin::bitcoin(network);
        let assets = assets::all(vec![own], &table.assets, &table.asset_lines)?;
        let settings = Self::new(table, base, &Given::default())?;
        settings.check_files()?;
        Ok(Self { assets, ..settings })
    }

    /// Checks what was typed; `base` is the folder from which paths count.
    pub fn new(table: typed::EnclaveTable, base: &Path, given: &Given) -> Result<Self, Problem> {
        let relay_allow = allow("enclave.relay.allow", table.relay.allow.as_deref())?;
        let relay_url = https("enclave.relay.url", table.relay.url)?;
        check_relay(&relay_url, relay_allow.as_ref())?;
        let exchange =
            table.exchange.map(|exchange| ExchangeSettings::new(exchange, base, given)).transpose()?;
        let keys = (table.data_key, table.encryption_key, table.decrypt_url);
        let data_key = data_key(keys, exchange.as_ref(), base, given)?;
        let old_keys = (table.old_data_keys, table.old_encryption_keys);
        Ok(Self {
            user: table.user,
            database: base.join(table.database),
            old_data_keys: old_data_keys(old_keys, &data_key, base, given)?,
            data_key,
            screening: table.screening.map(|screening| screening_of(screening, base)).transpose()?,
            identity_key: secret("enclave.identity_key", table.identity_key, base)?,
            listen: listener("enclave.listen", &table.listen)?,
            public_endpoint: https("enclave.public_endpoint", table.public_endpoint)?,
            tls: pem(table.tls, base),
            relay_url,
            relay_key: key("enclave.relay.key", &table.relay.key)?,
            relay_allow,
            exchange,
            assets: assets::known(table.networks.as_deref(), &table.assets, &table.asset_lines)?,
            retention_days: retention(table.retention_days)?,
            key_ttl: key_ttl(table.limits.key_ttl_ms)?,
            answer_wait: Duration::from_millis(table.limits.answer_wait_ms),
            expiry_s: above_zero("enclave.limits.expiry_s", table.limits.expiry_s)?,
            waiting_max: above_zero("enclave.limits.waiting_max", table.limits.waiting_max)?,
            at_once_max: above_zero("enclave.limits.at_once_max", table.limits.at_once_max)?,
        })
    }

    /// The signer starts the enclave's process again whenever it dies, and it then reads its secrets again: a descriptor gives one once.
    fn check_files(&self) -> Result<(), Problem> {
        fn place_of<'a>(
            source: &'a DataKeySource,
            fields: [&'static str; 2],
        ) -> Option<(&'static str, &'a PassphraseSource)> {
            let [hex, other] = fields;
            match source {
                DataKeySource::Hex(place) => Some((hex, place)),
                DataKeySource::Plain(Secret::Place(place))
                | DataKeySource::Wrapped(Secret::Place(place), _) => Some((other, place)),
                DataKeySource::Plain(_) | DataKeySource::Wrapped(..) => None,
            }
        }
        let data_key = place_of(&self.data_key, ["enclave.data_key", "enclave.encryption_key"]);
        let exchange = self.exchange.as_ref();
        let token = exchange.and_then(|exchange| match &exchange.token {
            Some(Secret::Place(place)) => Some(("enclave.exchange.token", place)),
            _ => None,
        });
        let own = exchange.and_then(|exchange| exchange.listener.as_ref());
        let own = own.map(|listener| ("enclave.exchange.listener.token", &listener.token));
        let identity = Some(("enclave.identity_key", &self.identity_key));
        let old = self.old_data_keys.iter();
        let old =
            old.filter_map(|old| place_of(old, ["enclave.old_data_keys", "enclave.old_encryption_keys"]));
        let is_descriptor = |source: &&PassphraseSource| matches!(source, PassphraseSource::Descriptor(_));
        let all = [data_key, identity, token, own].into_iter().flatten().chain(old);
        match all.into_iter().find(|(_, source)| is_descriptor(source)) {
            Some((field, _)) => {
                let problem = "is a descriptor, and the enclave's process inherits none";
                Err(Problem::config(field, problem, "write { file = \"/path\" }"))
            }
            None => Ok(()),
        }
    }

    /// What works, and is less than it could be.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        let mut say = |is: bool, text: &str| {
            if is {
                notices.push(text.to_owned());
            }
        };
        let plain_key = "the data key stands unwrapped beside the database it seals: set decrypt_url \
                         (VEGA_DECRYPT_API_ENDPOINT) to a service that holds it in an HSM or KMS";
        say(matches!(self.data_key, DataKeySource::Plain(_)), plain_key);
        let no_lists =
            "there is no [enclave.screening]: nobody looks for addresses and names on sanctions lists here";
        say(self.screening.is_none(), no_lists);
        let Some(exchange) = &self.exchange else {
            say(
                true,
                "there is no [enclave.exchange]: other VASPs that ask about customers are told UNKNOWN-ADDRESS",
            );
            return notices;
        };
        let no_token = "no token is set (VEGA_VERIFICATION_AUTHORIZATION_TOKEN): the backend cannot tell the enclave's calls \
                        from others', and no Authorization header is sent";
        say(exchange.token.is_none(), no_token);
        let Places { user, account, transaction, callback } = &exchange.places;
        let plain = [user, account, transaction].into_iter().chain(callback).any(Place::is_plain);
        let wrapped = matches!(&self.data_key, DataKeySource::Wrapped(_, place) if place.is_plain());
        say(plain || wrapped, "personal data or keys travel to the backend over plain http: use https");
        say(callback.is_none(), "there is no callback_url: the backend has to ask for results itself");
        let open =
            exchange.listener.as_ref().is_some_and(|l| l.tls.is_none() && !l.listen.ip().is_loopback());
        say(
            open,
            "the private listener speaks plain http on the network: give it a certificate ([enclave.exchange.listener.tls])",
        );
        notices
    }
}

/// A list is a file's name: all of them lie in one folder of their own.
pub(super) fn screening_of(table: typed::ScreeningTable, base: &Path) -> Result<ScreeningSettings, Problem> {
    let folder = base.join(table.folder);
    let field = "enclave.screening";
    let within = |names: Vec<PathBuf>| {
        let plain = |name: &PathBuf| name.components().count() == 1 && name.file_name().is_some();
        match names.iter().find(|name| !plain(name)) {
            Some(name) => {
                let problem = format!("`{}` is no plain file name", name.display());
                Err(Problem::config(
                    field,
                    problem,
                    "put the lists into the folder, and write their names alone",
                ))
            }
            None => Ok(names.into_iter().map(|name| folder.join(name)).collect::<Vec<_>>()),
        }
    };
    let (addresses, names) = (within(table.addresses)?, within(table.names)?);
    if addresses.is_empty() && names.is_empty() {
        let cure = "name a list of addresses or of names, or leave the table out";
        return Err(Problem::config(field, "names no list", cure));
    }
    Ok(ScreeningSettings { folder, addresses, names })
}

pub(super) fn allow(field: &str, entries: Option<&[String]>) -> Result<Option<AllowList>, Problem> {
    let cure = "write addresses and networks such as 192.0.2.7 or 10.1.0.0/16, or leave the list out";
    let list = entries.map(AllowList::parse).transpose();
    list.map_err(|no| Problem::config(field, no.to_string(), cure))
}

pub(super) fn place(field: &str, text: &str, allow: Option<&AllowList>) -> Result<Place, Problem> {
    let cure = "write https://host/path, or http:// to this machine or a private network";
    Place::parse(text, allow).map_err(|no| Problem::config(field, no.to_string(), cure))
}

/// An address written into the URL is judged here; a name, when it is resolved.
fn check_relay(url: &str, allow: Option<&AllowList>) -> Result<(), Problem> {
    let host = url.strip_prefix("https://").unwrap_or_default();
    let host = host
        .parse::<SocketAddr>()
        .map(|a| a.ip())
        .or_else(|_| host.trim_matches(['[', ']']).parse::<IpAddr>());
    match host {
        Ok(address) if allow.is_some_and(|list| !list.admits(address)) => {
            let cure = "add the relay's address to enclave.relay.allow";
            Err(Problem::config(
                "enclave.relay.url",
                format!("`{address}` is not in enclave.relay.allow"),
                cure,
            ))
        }
        _ => Ok(()),
    }
}

pub(super) fn retention(days: Option<u32>) -> Result<Option<u32>, Problem> {
    match days {
        Some(n) if n < RETENTION_DAYS_MIN => {
            let problem = format!(
                "is {n} days, and the law wants records kept for five years ({RETENTION_DAYS_MIN} days) at least"
            );
            let cure =
                format!("write {RETENTION_DAYS_MIN} or more, or leave it out to keep records for ever");
            Err(Problem::config("enclave.retention_days", problem, cure))
        }
        days => Ok(days),
    }
}

fn key_ttl(ms: u64) -> Result<Duration, Problem> {
    if (KEY_TTL_MS_MIN..=KEY_TTL_MS_MAX).contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    let problem =
        format!("is {ms}, which is not between {KEY_TTL_MS_MIN} (10 minutes) and {KEY_TTL_MS_MAX} (1 hour)");
    let cure = "write milliseconds within these bounds, or leave it out for 1800000 (30 minutes)";
    Err(Problem::config("enclave.limits.key_ttl_ms", problem, cure))
}
