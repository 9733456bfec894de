//! Owns the settings of an outside custodian of key B: by folders, by the custodian's HTTPS server, by its own calls. Opens no file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::secrets::{Given, Secret, given_secret};
use super::settings::{above_zero, listener, secret};
use super::travel_rule::allow;
use super::typed;
use crate::cli::problem::Problem;
use crate::enclave::allow::AllowList;
use crate::enclave::exchange::Place;
use crate::enclave::exchange::auth::header_name;
use crate::keys::PassphraseSource;

/// The longest that one call may take, in milliseconds.
const CALL_MS_MAX: u64 = 30_000;
/// The folder of what was called in, as it is typed.
pub const INBOUND_INBOX: &str = "custodian.inbound.inbox";
const KINDS: &str =
    "write kind = \"file\" with outbox and inbox, or kind = \"webhook\" with url, ca and token";

/// Who holds key B, where it is not this party.
#[derive(Debug, Clone)]
pub struct CustodianSettings {
    /// How often the custodian is asked for what is missing.
    pub every: Duration,
    /// The way there.
    pub way: CustodianWay,
    /// Where it calls its answers in, if it does.
    pub inbound: Option<InboundSettings>,
}

/// The listener for a custodian's own calls.
#[derive(Debug, Clone)]
pub struct InboundSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
    /// What the custodian must show.
    pub token: PassphraseSource,
    /// The folder in which answers wait to be judged.
    pub inbox: PathBuf,
    /// The custodian's addresses.
    pub allow: AllowList,
}

/// The ways to a custodian.
#[derive(Debug, Clone)]
pub enum CustodianWay {
    /// `kind = "file"`.
    Folders {
        /// Where PSBTs are put.
        outbox: PathBuf,
        /// Where answers appear.
        inbox: PathBuf,
    },
    /// `kind = "webhook"`.
    Server(Box<CustodianServer>),
}

/// The custodian's server.
#[derive(Debug, Clone)]
pub struct CustodianServer {
    /// Its address, with path.
    pub url: String,
    /// What its certificate must lead to.
    pub authority: PathBuf,
    /// What it is shown.
    pub token: Secret,
    /// In which header; `Authorization: Bearer` without one.
    pub token_header: Option<String>,
    /// Its addresses, where they are listed.
    pub allow: Option<AllowList>,
    /// How long one call may take.
    pub call_time: Duration,
}

impl CustodianSettings {
    /// Checks what was typed; `base` is the folder from which paths count.
    pub fn new(mut table: typed::CustodianTable, base: &Path) -> Result<Self, Problem> {
        let inbound = table.inbound.take().map(|inbound| InboundSettings::new(inbound, base)).transpose()?;
        let every = Duration::from_millis(above_zero("custodian.every_ms", table.every_ms)?);
        let way = match table.kind.as_str() {
            "file" => folders(table, base)?,
            "webhook" => CustodianWay::Server(Box::new(server(table, base)?)),
            other => return Err(Problem::config("custodian.kind", format!("is `{other}`"), KINDS)),
        };
        let settings = Self { every, way, inbound };
        settings.check_folders()?;
        Ok(settings)
    }

    /// Nobody but this party writes into the folder of what was called in.
    fn check_folders(&self) -> Result<(), Problem> {
        let (Some(inbound), CustodianWay::Folders { outbox, inbox }) = (&self.inbound, &self.way) else {
            return Ok(());
        };
        if inbound.inbox == *outbox || inbound.inbox == *inbox {
            let cure = "name a folder of its own, into which only the co-signer writes";
            return Err(Problem::config(
                "custodian.inbound.inbox",
                "is a folder of [custodian] as well",
                cure,
            ));
        }
        Ok(())
    }

    /// What stands on the disk for it and is made by `init`.
    pub fn folders(&self) -> Vec<(&'static str, &Path)> {
        let mut folders = match &self.way {
            CustodianWay::Folders { outbox, inbox } => {
                vec![("custodian.outbox", outbox.as_path()), ("custodian.inbox", inbox.as_path())]
            }
            CustodianWay::Server(_) => Vec::new(),
        };
        folders.extend(self.inbound.as_ref().map(|inbound| (INBOUND_INBOX, inbound.inbox.as_path())));
        folders
    }
}

impl InboundSettings {
    fn new(table: typed::InboundTable, base: &Path) -> Result<Self, Problem> {
        let listed = allow("custodian.inbound.allow", Some(&table.allow))?;
        let cure = "write the custodian's addresses and networks";
        let listed = listed.ok_or_else(|| Problem::config("custodian.inbound.allow", "is missing", cure))?;
        Ok(Self {
            listen: listener("custodian.inbound.listen", &table.listen)?,
            certificate: base.join(table.cert),
            key: base.join(table.key),
            token: secret("custodian.inbound.token", table.token, base)?,
            inbox: base.join(table.inbox),
            allow: listed,
        })
    }

    /// Its listener is neither of the others, whose callers are other people.
    pub fn check_apart(&self, others: [SocketAddr; 2]) -> Result<(), Problem> {
        if self.listen.port() == 0 || !others.contains(&self.listen) {
            return Ok(());
        }
        let problem = "is the address of `listen` or `freeze.listen` as well";
        Err(Problem::config("custodian.inbound.listen", problem, "choose a port of its own"))
    }
}

fn folders(table: typed::CustodianTable, base: &Path) -> Result<CustodianWay, Problem> {
    let foreign = [
        ("custodian.url", table.url.is_some()),
        ("custodian.ca", table.ca.is_some()),
        ("custodian.token", table.token.is_some()),
        ("custodian.token_header", table.token_header.is_some()),
        ("custodian.allow", table.allow.is_some()),
    ];
    only(&foreign)?;
    let wanted = |field: &str, path: Option<PathBuf>| {
        let path = path.ok_or_else(|| Problem::config(field, "is missing", KINDS))?;
        Ok::<_, Problem>(base.join(path))
    };
    let (outbox, inbox) =
        (wanted("custodian.outbox", table.outbox)?, wanted("custodian.inbox", table.inbox)?);
    if outbox == inbox {
        let cure = "name two folders: what goes out must not be taken for what came in";
        return Err(Problem::config("custodian.inbox", "is the outbox as well", cure));
    }
    Ok(CustodianWay::Folders { outbox, inbox })
}

fn server(table: typed::CustodianTable, base: &Path) -> Result<CustodianServer, Problem> {
    only(&[("custodian.outbox", table.outbox.is_some()), ("custodian.inbox", table.inbox.is_some())])?;
    let allow = allow("custodian.allow", table.allow.as_deref())?;
    let missing = |field: &str| Problem::config(field, "is missing", KINDS);
    let url = table.url.ok_or_else(|| missing("custodian.url"))?;
    let cure = "write https://host[:port]/path without a query; a reservation's id is put behind it";
    let place = Place::parse(&url, allow.as_ref());
    let place = place.map_err(|no| Problem::config("custodian.url", no.to_string(), cure))?;
    if place.is_plain() || url.contains('?') {
        return Err(Problem::config("custodian.url", "is not https, or holds a query", cure));
    }
    if let Some(header) = &table.token_header {
        let cure = "write a header's name such as X-Api-Key, or leave it out for Authorization: Bearer";
        header_name(header).map_err(|no| Problem::config("custodian.token_header", no.to_string(), cure))?;
    }
    let call_time_ms = above_zero("custodian.call_time_ms", table.call_time_ms)?;
    if call_time_ms > CALL_MS_MAX {
        let problem = format!("is {call_time_ms}, above {CALL_MS_MAX}");
        return Err(Problem::config("custodian.call_time_ms", problem, "write milliseconds up to 30000"));
    }
    let token = table.token.ok_or_else(|| missing("custodian.token"))?;
    Ok(CustodianServer {
        url,
        authority: base.join(table.ca.ok_or_else(|| missing("custodian.ca"))?),
        token: given_secret("custodian.token", token.into(), base, &Given::default())?,
        token_header: table.token_header,
        allow,
        call_time: Duration::from_millis(call_time_ms),
    })
}

/// What belongs to the other kind is a mistake somebody made.
fn only(foreign: &[(&str, bool)]) -> Result<(), Problem> {
    match foreign.iter().find(|(_, is_there)| *is_there) {
        Some((field, _)) => Err(Problem::config(*field, "belongs to the other kind", KINDS)),
        None => Ok(()),
    }
}
