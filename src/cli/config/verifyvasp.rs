//! How each party reaches an enclave server of the VerifyVASP network: the signer's adapter, and the co-signer's own route. Opens no file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exchange::ExchangeSettings;
use super::secrets::{Given, Secret, given_secret};
use super::settings::{above_zero, secret};
use super::travel_rule::{EnclaveSettings, ScreeningSettings, allow, retention, screening_of};
use super::typed;
use crate::cli::problem::Problem;
use crate::enclave::KeyType;
use crate::enclave::allow::AllowList;
use crate::enclave::exchange::auth::header_name;
use crate::enclave::verifyvasp::{self, Names};
use crate::keys::PassphraseSource;
use crate::withdrawal::{Asset, Network};

/// The longest that one call may take, in milliseconds.
const CALL_MS_MAX: u64 = 30_000;

/// What the signer asks the travel rule of.
#[derive(Debug, Clone)]
pub enum TravelRule {
    /// The embedded module: `[enclave]`.
    Own(Box<EnclaveSettings>),
    /// An enclave server of the network: `[verifyvasp]`.
    VerifyVasp(Box<AdapterSettings>),
}

/// The signer's adapter.
#[derive(Debug, Clone)]
pub struct AdapterSettings {
    /// The user its process runs as, where it is another than the signer's.
    pub user: Option<String>,
    /// Its database.
    pub database: PathBuf,
    /// The key that seals it.
    pub data_key: PassphraseSource,
    /// The keys that sealed it before, the newest first.
    pub old_data_keys: Vec<PassphraseSource>,
    /// The sanctions lists.
    pub screening: Option<ScreeningSettings>,
    /// The exchange's backend, where the enclave server's calls come here and are passed on.
    pub exchange: Option<ExchangeSettings>,
    /// The enclave server.
    pub server: ServerSettings,
    /// How it chooses encryption keys.
    pub key_type: KeyType,
    /// How long orders are kept; for ever where it is not set.
    pub retention_days: Option<u32>,
    /// How long one request waits for a result.
    pub answer_wait: Duration,
    /// How long a verification is waited for, in seconds.
    pub expiry_s: u64,
}

/// An enclave server, as one party reaches it.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Its address, without path.
    pub url: String,
    /// What it calls our asset.
    pub names: Names,
    /// What it is shown.
    pub token: Option<Secret>,
    /// In which header; `Authorization: Bearer` without one.
    pub token_header: Option<String>,
    /// What its certificate must lead to; needed where it is https.
    pub authority: Option<PathBuf>,
    /// Its addresses, where they are listed.
    pub allow: Option<AllowList>,
    /// How long one call may take.
    pub call_time: Duration,
}

impl TravelRule {
    /// Exactly one of the two tables.
    pub fn of_signer(
        own: Option<typed::EnclaveTable>,
        adapter: Option<typed::AdapterTable>,
        base: &Path,
        network: Network,
    ) -> Result<Self, Problem> {
        let cure =
            "write [enclave] for the embedded module, or [verifyvasp] for the network's own enclave server";
        match (own, adapter) {
            (Some(own), None) => {
                EnclaveSettings::of_signer(own, base, network).map(|own| Self::Own(Box::new(own)))
            }
            (None, Some(adapter)) => AdapterSettings::new(adapter, base, network)
                .map(|adapter| Self::VerifyVasp(Box::new(adapter))),
            (None, None) => Err(Problem::config("enclave", "is missing, and so is [verifyvasp]", cure)),
            (Some(_), Some(_)) => Err(Problem::config("verifyvasp", "stands beside [enclave]", cure)),
        }
    }

    /// The user its process runs as, where one is set, behind the field that names it.
    pub fn user(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Own(own) => own.user.as_deref().map(|user| ("enclave.user", user)),
            Self::VerifyVasp(adapter) => adapter.user.as_deref().map(|user| ("verifyvasp.user", user)),
        }
    }

    /// How long one request waits for an answer.
    pub fn answer_wait(&self) -> Duration {
        match self {
            Self::Own(own) => own.answer_wait,
            Self::VerifyVasp(adapter) => adapter.answer_wait,
        }
    }
}

impl AdapterSettings {
    fn new(table: typed::AdapterTable, base: &Path, network: Network) -> Result<Self, Problem> {
        let exchange = table.exchange.map(|table| ExchangeSettings::new(table, base, &Given::default()));
        let exchange = exchange.transpose().map_err(of_adapter)?;
        if exchange.as_ref().is_some_and(|exchange| exchange.listener.is_none()) {
            let problem = "is missing: nobody could call what is passed on";
            let cure = "write the listener that the enclave server calls, or leave [verifyvasp.exchange] out and let it call the backend itself";
            return Err(Problem::config("verifyvasp.exchange.listener", problem, cure));
        }
        let old = table.old_data_keys.into_iter();
        let settings = Self {
            user: table.user,
            database: base.join(table.database),
            data_key: secret("verifyvasp.data_key", table.data_key, base)?,
            old_data_keys: old
                .map(|table| secret("verifyvasp.old_data_keys", table, base))
                .collect::<Result<_, _>>()?,
            screening: table
                .screening
                .map(|screening| screening_of(screening, base).map_err(of_adapter))
                .transpose()?,
            exchange,
            server: ServerSettings::new(table.server, base, network)?,
            key_type: key_type(&table.key_type)?,
            retention_days: retention(table.retention_days).map_err(of_adapter)?,
            answer_wait: Duration::from_millis(above_zero(
                "verifyvasp.limits.answer_wait_ms",
                table.limits.answer_wait_ms,
            )?),
            expiry_s: above_zero("verifyvasp.limits.expiry_s", table.limits.expiry_s)?,
        };
        settings.check_files()?;
        Ok(settings)
    }

    /// The process is started again whenever it dies, and then reads its secrets again: a descriptor gives one once.
    fn check_files(&self) -> Result<(), Problem> {
        let token = |secret: &Option<Secret>| match secret {
            Some(Secret::Place(place)) => Some(place.clone()),
            Some(Secret::Given(_)) | None => None,
        };
        let exchange = self.exchange.as_ref();
        let listener = exchange.and_then(|exchange| exchange.listener.as_ref());
        let all = [
            ("verifyvasp.data_key", Some(self.data_key.clone())),
            ("verifyvasp.server.token", token(&self.server.token)),
            ("verifyvasp.exchange.token", exchange.and_then(|exchange| token(&exchange.token))),
            ("verifyvasp.exchange.listener.token", listener.map(|listener| listener.token.clone())),
        ];
        let old = self.old_data_keys.iter().map(|key| ("verifyvasp.old_data_keys", Some(key.clone())));
        let is_descriptor = |source: &Option<_>| matches!(source, Some(PassphraseSource::Descriptor(_)));
        match all.into_iter().chain(old).find(|(_, source)| is_descriptor(source)) {
            Some((field, _)) => {
                let problem = "is a descriptor, and the enclave's process inherits none";
                Err(Problem::config(field, problem, "write { file = \"/path\" }"))
            }
            None => Ok(()),
        }
    }

    /// What works, and is less than it could be.
    pub fn notices(&self) -> Vec<String> {
        let lists = "there is no [verifyvasp.screening]: nobody looks for addresses and names on sanctions lists here";
        let plain = "personal data travels to the enclave server over plain http: use https";
        let token = "no token is shown to the enclave server: whoever reaches it can ask it (verifyvasp.server.token)";
        let found = [
            (self.screening.is_none(), lists),
            (self.server.is_plain(), plain),
            (self.server.token.is_none(), token),
        ];
        found.into_iter().filter(|(is, _)| *is).map(|(_, text)| text.to_owned()).collect()
    }
}

impl ServerSettings {
    /// Checks what was typed for the server of either party.
    pub fn new(table: typed::ServerPlaceTable, base: &Path, network: Network) -> Result<Self, Problem> {
        let allow = allow("verifyvasp.server.allow", table.allow.as_deref())?;
        let cure =
            "write https://host[:port] without a path, or http:// to this machine or a private network";
        let url = verifyvasp::check_url(&table.url, allow.as_ref());
        let url = url.map_err(|no| Problem::config("verifyvasp.server.url", no.to_string(), cure))?;
        if !url.is_plain() && table.ca.is_none() {
            let cure = "name the PEM file that the enclave server's certificate leads to";
            return Err(Problem::config("verifyvasp.server.ca", "is missing, and the url is https", cure));
        }
        if let Some(header) = &table.token_header {
            let field = "verifyvasp.server.token_header";
            let cure = "write a header's name such as X-Api-Key, or leave it out for Authorization: Bearer";
            header_name(header).map_err(|no| Problem::config(field, no.to_string(), cure))?;
            if table.token.is_none() {
                let cure = "set verifyvasp.server.token as well, or leave the header out";
                return Err(Problem::config(field, "is set, but there is no token", cure));
            }
        }
        let names = Names::new(Asset::Bitcoin(network), &table.network_name).ok_or_else(|| {
            let cure = "write the chain's name as the network's asset list spells it, such as Bitcoin";
            Problem::config("verifyvasp.server.network_name", "is no name of a chain", cure)
        })?;
        let field = "verifyvasp.server.call_time_ms";
        let call_time_ms = above_zero(field, table.call_time_ms)?;
        if call_time_ms > CALL_MS_MAX {
            let problem = format!("is {call_time_ms}, above {CALL_MS_MAX}");
            return Err(Problem::config(field, problem, "write milliseconds up to 30000"));
        }
        let token = table.token.map(typed::GivenTable::from);
        Ok(Self {
            url: table.url,
            names,
            token: token
                .map(|token| given_secret("verifyvasp.server.token", token, base, &Given::default()))
                .transpose()?,
            token_header: table.token_header,
            authority: table.ca.map(|path| base.join(path)),
            allow,
            call_time: Duration::from_millis(call_time_ms),
        })
    }

    /// Whether what is said can be read on the way.
    pub fn is_plain(&self) -> bool {
        self.url.starts_with("http://")
    }
}

fn key_type(text: &str) -> Result<KeyType, Problem> {
    KeyType::parse(text).ok_or_else(|| {
        let cure = "write \"PerVasp\", \"PerAddress\" or \"PerVerification\"";
        Problem::config("verifyvasp.key_type", format!("is `{text}`"), cure)
    })
}

/// The same tables stand in `[enclave]` as well; here they have another name.
pub fn of_adapter(problem: Problem) -> Problem {
    let renamed = |text: String| text.replace("enclave.exchange", "verifyvasp.exchange");
    let field = problem.field.map(|field| field.replacen("enclave.", "verifyvasp.", 1));
    Problem { field, text: renamed(problem.text), cure: renamed(problem.cure), ..problem }
}
