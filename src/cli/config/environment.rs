//! The documented `VEGA_*` variables as a second source of an enclave's configuration. Each is one field of the file; a value that
//! stands in both is refused. What the network never documented has a `COUNTERSIGN_ENCLAVE_*` variable of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::{Table, Value};
use zeroize::Zeroizing;

use super::read;
use super::secrets::Given;
use super::travel_rule::StandaloneSettings;
use super::typed::EnclaveFile;
use crate::cli::problem::Problem;

/// The network's names.
const DOCUMENTED: &str = "VEGA_";
/// Ours.
const OWN: &str = "COUNTERSIGN_ENCLAVE_";
/// The documented port of an enclave.
const PORT: u16 = 21_117;

/// What a variable's text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    /// A whole number; the text says what is expected.
    Number(&'static str),
    /// A secret; only its name goes into the table.
    Secret,
    /// Entries with commas between them.
    List,
    /// `name=key` with semicolons between them.
    People,
    /// A port of the public listener.
    Port,
    Level,
    Truth,
    /// The travel rule must be among the protocols.
    Mode,
    /// Known, and of no use here: what replaces it.
    Unused(&'static str),
    /// Known, and somebody would rely on it: why it is refused.
    Refused(&'static str),
}

use Form::{Level, List, Mode, Number, People, Port, Refused, Secret, Text, Truth, Unused};

const MILLISECONDS: &str = "write a whole number of milliseconds";
const SQLITE: &str = "enclave.database names the SQLite file";
const SCREENING: &str = "no outside screener is asked: unset it, and name lists in [enclave.screening], or screen in the backend's Verify User";

/// Every variable, its field and its form.
const VARIABLES: &[(&str, &str, Form)] = &[
    ("VEGA_SERVER_PORT", "enclave.listen", Port),
    ("VEGA_SERVER_KEEPALIVE_TIMEOUT_MS", "enclave.exchange.listener.keepalive_ms", Number(MILLISECONDS)),
    ("VEGA_ENCLAVE_MODE", "", Mode),
    ("VEGA_ENCLAVE_PUBLIC_ENDPOINT", "enclave.public_endpoint", Text),
    ("VEGA_LOG_LEVEL", "tracing.filter", Level),
    ("VEGA_API_ENDPOINT", "enclave.relay.url", Text),
    ("VEGA_ALLIANCE_ACCESS_KEY", "", Unused("the relay knows its members by enclave.identity_key")),
    ("VEGA_ALLIANCE_SECRET_KEY", "", Unused("the relay knows its members by enclave.identity_key")),
    ("VEGA_DATABASE_CLIENT", "", Unused(SQLITE)),
    ("VEGA_DATABASE_USERNAME", "", Unused(SQLITE)),
    ("VEGA_DATABASE_PASSWORD", "", Unused(SQLITE)),
    ("VEGA_DATABASE_HOST", "", Unused(SQLITE)),
    ("VEGA_DATABASE_PORT", "", Unused(SQLITE)),
    ("VEGA_DATABASE_DB", "", Unused(SQLITE)),
    ("VEGA_DATABASE_SEARCH_PATH", "", Unused(SQLITE)),
    ("VEGA_DATABASE_POOL_MIN", "", Unused(SQLITE)),
    ("VEGA_DATABASE_POOL_MAX", "", Unused(SQLITE)),
    ("VEGA_DATABASE_SSL", "", Unused(SQLITE)),
    ("VEGA_DATABASE_SSL_CA", "", Unused(SQLITE)),
    ("VEGA_DATABASE_SSL_KEY", "", Unused(SQLITE)),
    ("VEGA_DATABASE_SSL_CERT", "", Unused(SQLITE)),
    ("VEGA_DATABASE_SSL_CAPATH", "", Unused(SQLITE)),
    ("VEGA_DATABASE_SSL_CIPHER", "", Unused(SQLITE)),
    ("VEGA_DATABASE_SSL_REJECT_UNAUTHORIZED", "", Unused(SQLITE)),
    ("VEGA_VERIFICATION_API_PATH", "enclave.exchange.verify_user_url", Text),
    ("VEGA_VERIFICATION_ACCOUNT_API_PATH", "enclave.exchange.verify_account_url", Text),
    // the oldest name of the same
    ("VEGA_VERIFICATION_ADDRESSES_API_PATH", "enclave.exchange.verify_account_url", Text),
    ("VEGA_VERIFICATION_TRANSACTION_API_PATH", "enclave.exchange.transaction_url", Text),
    ("VEGA_VERIFICATION_CALLBACK_API_PATH", "enclave.exchange.callback_url", Text),
    ("VEGA_VERIFICATION_AUTHORIZATION_TOKEN", "enclave.exchange.token", Secret),
    ("VEGA_VERIFICATION_AUTHORIZATION_KEY", "enclave.exchange.token_header", Text),
    (
        "VEGA_VERIFICATION_VERIFYNAME_TRANSACTION_API_PATH",
        "",
        Refused("this module does not speak VerifyName: unset it"),
    ),
    (
        "VEGA_PUBLIC_KEY_TTL",
        "enclave.limits.key_ttl_ms",
        Number(
            "write milliseconds from 600000 (10 minutes) to 3600000 (1 hour), or unset it for 1800000 (30 minutes)",
        ),
    ),
    ("VEGA_ENCRYPTION_KEY_BASE64", "enclave.encryption_key", Secret),
    ("VEGA_DECRYPT_API_ENDPOINT", "enclave.decrypt_url", Text),
    (
        "VEGA_VERIFICATION_RETENTION_DAYS",
        "enclave.retention_days",
        Number("write days, 1827 (five years) or more, or unset it to keep records for ever"),
    ),
    ("VEGA_CHAINALYSIS_SANCTION_API_KEY", "", Refused(SCREENING)),
    ("VEGA_CHAINALYSIS_KYT_API_KEY", "", Refused(SCREENING)),
    ("VEGA_REFINITIV_WCO_API_KEY", "", Refused(SCREENING)),
    ("VEGA_REFINITIV_WCO_API_SECRET", "", Refused(SCREENING)),
    ("VEGA_REFINITIV_WCO_GROUP_ID", "", Refused(SCREENING)),
    ("COUNTERSIGN_ENCLAVE_DATABASE", "enclave.database", Text),
    ("COUNTERSIGN_ENCLAVE_NETWORKS", "enclave.networks", List),
    ("COUNTERSIGN_ENCLAVE_ASSETS", "enclave.asset_lines", List),
    ("COUNTERSIGN_ENCLAVE_MEMORY_LOCK", "memory_lock", Truth),
    ("COUNTERSIGN_ENCLAVE_IDENTITY_KEY_FILE", "enclave.identity_key.file", Text),
    ("COUNTERSIGN_ENCLAVE_TLS_CA", "enclave.tls.ca", Text),
    ("COUNTERSIGN_ENCLAVE_TLS_CERT", "enclave.tls.cert", Text),
    ("COUNTERSIGN_ENCLAVE_TLS_KEY", "enclave.tls.key", Text),
    ("COUNTERSIGN_ENCLAVE_RELAY_KEY", "enclave.relay.key", Text),
    ("COUNTERSIGN_ENCLAVE_RELAY_ALLOW", "enclave.relay.allow", List),
    ("COUNTERSIGN_ENCLAVE_EXCHANGE_CA", "enclave.exchange.ca", Text),
    ("COUNTERSIGN_ENCLAVE_EXCHANGE_ALLOW", "enclave.exchange.allow", List),
    ("COUNTERSIGN_ENCLAVE_LISTENER", "enclave.exchange.listener.listen", Text),
    ("COUNTERSIGN_ENCLAVE_LISTENER_TOKEN_FILE", "enclave.exchange.listener.token.file", Text),
    ("COUNTERSIGN_ENCLAVE_LISTENER_ALLOW", "enclave.exchange.listener.allow", List),
    ("COUNTERSIGN_ENCLAVE_LISTENER_TLS_CERT", "enclave.exchange.listener.tls.cert", Text),
    ("COUNTERSIGN_ENCLAVE_LISTENER_TLS_KEY", "enclave.exchange.listener.tls.key", Text),
    ("COUNTERSIGN_ENCLAVE_TRUST_FILE", "trust.file", Text),
    ("COUNTERSIGN_ENCLAVE_TRUST_SIGNATURES", "trust.signatures", List),
    (
        "COUNTERSIGN_ENCLAVE_TRUST_THRESHOLD",
        "trust.quorum.threshold",
        Number("write how many people must sign the trust file"),
    ),
    ("COUNTERSIGN_ENCLAVE_TRUST_PEOPLE", "trust.quorum.people", People),
];

/// The name of every variable.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzzing_names() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().map(|(name, ..)| *name)
}

/// The variables of a process that are ours to read.
#[derive(Default)]
pub struct Variables(BTreeMap<String, Zeroizing<String>>);

impl Variables {
    /// Those of this process.
    pub fn of_process() -> Self {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| is_ours(name))?;
            // What is no text is refused as empty.
            Some((name, value.into_string().unwrap_or_default()))
        });
        Self::of(ours)
    }

    /// These.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = variables.into_iter().filter(|(name, _)| is_ours(name));
        Self(ours.map(|(name, value)| (name, Zeroizing::new(value))).collect())
    }

    /// Their names.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The settings that the variables and the text of a file give together.
    pub(super) fn settings(&self, text: &str, base: &Path) -> Result<StandaloneSettings, Problem> {
        let mut table: Table = read::parse(text, "")?;
        let (mut given, mut notices) = (Given::default(), Vec::new());
        for (name, value) in &self.0 {
            let entry = VARIABLES.iter().find(|(known, ..)| known == name);
            let (_, path, form) = entry.ok_or_else(|| {
                let cure = "correct its spelling or unset it; docs/travel-rule.md lists every variable";
                Problem::config(name, "is not a variable we know", cure)
            })?;
            if value.trim().is_empty() {
                return Err(Problem::config(name, "is empty", "unset it, or give it a value"));
            }
            match form {
                Unused(instead) => notices.push(format!("{name} is set and not used: {instead}")),
                Refused(why) => return Err(Problem::config(name, "is set", *why)),
                Mode => check_mode(name, value)?,
                Secret => {
                    given.0.insert(name.clone(), Arc::new(value.clone()));
                    let place = Table::from_iter([("variable".to_owned(), Value::String(name.clone()))]);
                    put(&mut table, name, path, Value::Table(place))?;
                }
                form => put(&mut table, name, path, read_value(name, *form, value)?)?,
            }
        }
        fill_in(&mut table);
        let text = toml::to_string(&table)
            .map_err(|error| Problem::config("environment", error.to_string(), "correct the variables"))?;
        let file: EnclaveFile = read::parse(&text, "").map_err(|no| self.renamed(no))?;
        let settings = StandaloneSettings::new(file, base, &given).map_err(|no| self.renamed(no))?;
        notices.extend(settings.notices);
        Ok(StandaloneSettings { notices, ..settings })
    }

    /// The same problem by the name of the variable that holds the value, or that should.
    fn renamed(&self, problem: Problem) -> Problem {
        let Some(field) = problem.field.clone() else { return problem };
        let named =
            |path: &str| path == field || path.strip_prefix(&field).is_some_and(|rest| rest.starts_with('.'));
        let fits = || VARIABLES.iter().filter(|(_, path, _)| !path.is_empty() && named(path));
        let set = fits().find(|(name, ..)| self.0.contains_key(*name));
        // The line is one of a text that nobody wrote.
        let text = match problem.text.split_once(": ") {
            Some((line, rest)) if line.starts_with("line ") => rest.to_owned(),
            _ => problem.text.clone(),
        };
        let (missing, cure) = (text.contains("missing"), problem.cure.clone());
        match (set, fits().next()) {
            (Some((name, ..)), _) => Problem { text, ..problem.at(*name) },
            (None, Some((name, ..))) if missing => {
                Problem { text: format!("{text}, and so is the field {field}"), ..problem }.at(*name).cure(
                    cure.replace(
                        "write it; deploy/*.example.toml shows every field",
                        "set it, or write the field into the file",
                    ),
                )
            }
            _ => Problem { text, ..problem },
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(DOCUMENTED) || name.starts_with(OWN)
}

fn read_value(name: &str, form: Form, text: &str) -> Result<Value, Problem> {
    let number = |cure: &str| {
        let digits = text.parse::<i64>().ok().filter(|n| *n >= 0 && n.to_string() == text);
        digits.ok_or_else(|| Problem::config(name, "is not a whole number", cure))
    };
    let list = |at: char| text.split(at).map(str::trim).filter(|entry| !entry.is_empty());
    Ok(match form {
        Number(cure) => Value::Integer(number(cure)?),
        Port => {
            let cure = "write a TCP port from 1 to 65535";
            let port = u16::try_from(number(cure)?).ok().filter(|port| *port > 0);
            let port = port.ok_or_else(|| Problem::config(name, "is no port", cure))?;
            Value::String(format!("0.0.0.0:{port}"))
        }
        List => Value::Array(list(',').map(|entry| Value::String(entry.to_owned())).collect()),
        People => Value::Array(list(';').map(|entry| person(name, entry)).collect::<Result<_, _>>()?),
        Truth => match text {
            "true" | "false" => Value::Boolean(text == "true"),
            _ => return Err(Problem::config(name, "is neither true nor false", "write true or false")),
        },
        Level => Value::String(level(name, text)?.to_owned()),
        _ => Value::String(text.to_owned()),
    })
}

fn person(name: &str, entry: &str) -> Result<Value, Problem> {
    let cure = "write name=ssh-ed25519 AAAA…; with a semicolon between two people";
    let (person, key) =
        entry.split_once('=').ok_or_else(|| Problem::config(name, "names a person without a key", cure))?;
    let text = |text: &str| Value::String(text.trim().to_owned());
    Ok(Value::Table(Table::from_iter([("name".to_owned(), text(person)), ("key".to_owned(), text(key))])))
}

fn level<'a>(name: &str, text: &'a str) -> Result<&'a str, Problem> {
    match text {
        "none" => Ok("off"),
        "error" | "warn" | "info" | "debug" => Ok(text),
        _ => Err(Problem::config(name, "is no level of the log", "write none, error, warn, info or debug")),
    }
}

fn check_mode(name: &str, text: &str) -> Result<(), Problem> {
    let modes: Vec<&str> = text.split(',').map(str::trim).collect();
    if modes == ["TR"] {
        return Ok(());
    }
    let cure =
        "write TR, or unset it; VerifyName (VN1_CALL, VN1_RESPONSE, VN2) needs the network's own enclave";
    Err(Problem::config(
        name,
        "names more or less than the travel rule, which is all this module serves",
        cure,
    ))
}

/// Puts a value where the file would have it; one that stands there already is refused.
fn put(table: &mut Table, name: &str, path: &str, value: Value) -> Result<(), Problem> {
    let twice = || {
        let cure = format!("keep one of the two: the variable, or the field {path}");
        Problem::config(name, format!("is given twice: {path} has a value as well"), cure)
    };
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    if rest.is_empty() {
        return match table.insert(head.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(twice()),
        };
    }
    match table.entry(head).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(inner) => put(inner, name, rest, value).map_err(|_| twice()),
        _ => Err(twice()),
    }
}

/// What the network documents as a default and the file has none for.
fn fill_in(table: &mut Table) {
    if let Some(Value::Table(enclave)) = table.get_mut("enclave") {
        enclave.entry("listen").or_insert_with(|| Value::String(format!("0.0.0.0:{PORT}")));
    }
}

#[cfg(test)]
mod tests;
