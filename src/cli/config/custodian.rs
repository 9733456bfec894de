//! Owns the settings of an outside custodian of key B: by folders, or by the custodian's HTTPS server. Opens no file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::secrets::{Given, Secret, given_secret};
use super::settings::above_zero;
use super::travel_rule::allow;
use super::typed;
use crate::cli::problem::Problem;
use crate::enclave::allow::AllowList;
use crate::enclave::exchange::Place;
use crate::enclave::exchange::auth::header_name;

/// The longest that one call may take, in milliseconds.
const CALL_MS_MAX: u64 = 30_000;
const KINDS: &str =
    "write kind = \"file\" with outbox and inbox, or kind = \"webhook\" with url, ca and token";

/// Who holds key B, where it is not this party.
#[derive(Debug, Clone)]
pub struct CustodianSettings {
    /// How often the custodian is asked for what is missing.
    pub every: Duration,
    /// The way there.
    pub way: CustodianWay,
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
    pub fn new(table: typed::CustodianTable, base: &Path) -> Result<Self, Problem> {
        let every = Duration::from_millis(above_zero("custodian.every_ms", table.every_ms)?);
        let way = match table.kind.as_str() {
            "file" => folders(table, base)?,
            "webhook" => CustodianWay::Server(Box::new(server(table, base)?)),
            other => return Err(Problem::config("custodian.kind", format!("is `{other}`"), KINDS)),
        };
        Ok(Self { every, way })
    }

    /// What stands on the disk for it and is made by `init`.
    pub fn folders(&self) -> Vec<(&'static str, &Path)> {
        match &self.way {
            CustodianWay::Folders { outbox, inbox } => {
                vec![("custodian.outbox", outbox.as_path()), ("custodian.inbox", inbox.as_path())]
            }
            CustodianWay::Server(_) => Vec::new(),
        }
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
