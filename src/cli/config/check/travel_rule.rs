//! What `--check` says of the travel rule: keys, database, lists, user and the way to the backend. Calls nobody and writes nothing.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;

use super::{Checks, certificate, file_there, server};
use crate::cli::config::exchange::ExchangeSettings;
use crate::cli::config::load;
use crate::cli::config::secrets::DataKeySource;
use crate::cli::config::travel_rule::{EnclaveSettings, ScreeningSettings};
use crate::cli::config::verifyvasp::{AdapterSettings, of_adapter};
use crate::cli::problem::Problem;
use crate::cli::run::assemble;
use crate::cli::run::outward::Outward;
use crate::cli::run::room::owner_of;
use crate::enclave::{DataKey, Enclave};
use crate::withdrawal::Code;

/// How the two tables name their fields.
type Named = fn(Problem) -> Problem;

/// The embedded module, started with a trust file of this version if one could be read.
pub(super) fn own(checks: &mut Checks, own: &EnclaveSettings, version: Option<u64>) {
    checks.add("enclave certificate", certificate(&own.tls));
    checks.add("enclave database", file_there(&own.database, "enclave.database"));
    let key = data_keys(own);
    let found = match &key {
        Ok(Some(_)) if matches!(own.data_key, DataKeySource::Plain(_)) => Ok("readable, and not wrapped"),
        Ok(Some(_)) => Ok("readable"),
        Ok(None) => Ok("is unwrapped at the start (not asked now)"),
        Err(problem) => Err(problem.clone()),
    };
    checks.add("enclave data key", found.map(|found| with_older(found, own.old_data_keys.len())));
    contents(checks, &own.database, (key, version), |problem| problem);
    checks.add("enclave identity key", identity(own));
    lists(checks, own.screening.as_ref(), |problem| problem);
    user(checks, own.user.as_deref(), |problem| problem);
    let Some(exchange) = &own.exchange else { return };
    outward(checks, exchange, "private listener", |problem| problem);
}

/// The adapter, likewise.
pub(super) fn adapter(checks: &mut Checks, adapter: &AdapterSettings, version: Option<u64>) {
    checks.add("adapter database", file_there(&adapter.database, "verifyvasp.database"));
    let key = assemble::adapter_key(adapter);
    let found = key.as_ref().map(|_| with_older("readable", adapter.old_data_keys.len()));
    checks.add("adapter data key", found.map_err(Clone::clone));
    contents(checks, &adapter.database, (key.map(Some), version), of_adapter);
    lists(checks, adapter.screening.as_ref(), of_adapter);
    user(checks, adapter.user.as_deref(), of_adapter);
    checks.add("enclave server", server(&adapter.server));
    if let Some(exchange) = &adapter.exchange {
        outward(checks, exchange, "listener for the enclave server", of_adapter);
    }
    adapter.notices().into_iter().for_each(|notice| checks.add("notice", Ok(notice)));
}

fn with_older(found: &str, older: usize) -> String {
    match older {
        0 => found.to_owned(),
        older => format!("{found}, with {older} older"),
    }
}

/// The backend's token and CA, and what its listener opens with: each secret is read once.
fn outward(checks: &mut Checks, exchange: &ExchangeSettings, part: &'static str, named: Named) {
    let outward = Outward::of(exchange).map_err(named);
    let found = outward.as_ref().map(|_| "token and certificates are readable".into());
    checks.add("exchange's backend", found.map_err(Clone::clone));
    if let (Ok(outward), Some(listener)) = (outward, &exchange.listener) {
        let opened = outward.private(listener).map(|_| format!("would listen on {}", listener.listen));
        checks.add(part, opened.map_err(named));
    }
}

/// The data keys, read once each; nothing where a service is to unwrap one of them.
fn data_keys(own: &EnclaveSettings) -> Result<Option<DataKey>, Problem> {
    let is_wrapped = |source: &&DataKeySource| matches!(source, DataKeySource::Wrapped(..));
    let mut all = std::iter::once(&own.data_key).chain(&own.old_data_keys);
    if all.find(is_wrapped).is_none() {
        return at_once(assemble::data_key_chain(own, None)).map(Some);
    }
    readable(&own.data_key, ("enclave.data_key", "enclave.encryption_key"))?;
    let old = ("enclave.old_data_keys", "enclave.old_encryption_keys");
    own.old_data_keys.iter().try_for_each(|source| readable(source, old))?;
    Ok(None)
}

fn readable(source: &DataKeySource, (hex, other): (&str, &str)) -> Result<(), Problem> {
    match source {
        DataKeySource::Hex(place) => load::hex_key(hex, place).map(|_| ()),
        DataKeySource::Plain(secret) | DataKeySource::Wrapped(secret, _) => secret.read(other).map(|_| ()),
    }
}

/// Whether the database is of this version, sealed with this key, and has seen no newer directory.
fn contents(
    checks: &mut Checks,
    path: &Path,
    (key, version): (Result<Option<DataKey>, Problem>, Option<u64>),
    named: Named,
) {
    let part = "what is in the database";
    let (Ok(about), Ok(key)) = (std::fs::metadata(path), key) else { return };
    if about.uid() != geteuid().as_raw() {
        let whose = about.uid();
        let why = "its version, its data key and the newest directory it has seen: run this as its owner";
        return checks.unseen(part, format!("{why}, the user {whose}"));
    }
    let looked = at_once(async {
        let looked = Enclave::look_at_database(path, key.as_ref(), version.unwrap_or(u64::MAX)).await;
        looked.map_err(Problem::from)
    });
    let at_database = |problem: Problem| match problem.field {
        None => named(problem.at("enclave.database")),
        Some(_) => problem,
    };
    let is_well = looked.is_ok();
    checks
        .add(part, looked.map(|()| "of this version, and of no newer directory".into()).map_err(at_database));
    if is_well && key.is_none() {
        checks.unseen("the database's key", "a service unwraps the data key at the start".into());
    }
}

fn at_once<T>(work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Problem::of(Code::Internal, error.to_string()))?.block_on(work)
}

fn identity(own: &EnclaveSettings) -> Result<String, Problem> {
    let key = load::hex_key("enclave.identity_key", &own.identity_key)?;
    Ok(format!("public key {}", crate::cli::keyfile::public_hex(&key)))
}

fn lists(checks: &mut Checks, screening: Option<&ScreeningSettings>, named: Named) {
    if screening.is_some() {
        let opened = assemble::screener(screening).map(|_| "are readable".into());
        checks.add("sanctions lists", opened.map_err(named));
    }
}

/// Whether there is such a user. What it may read, only it can find out.
fn user(checks: &mut Checks, user: Option<&str>, named: Named) {
    let Some(user) = user else { return };
    let owner = owner_of(("enclave.user", user)).map_err(named);
    let is_other = owner.as_ref().is_ok_and(|owner| owner.user != geteuid().as_raw());
    checks.add("enclave user", owner.map(|owner| format!("`{user}` is the user {}", owner.user)));
    if is_other {
        let why =
            format!("whether the signer may become `{user}`, and whether `{user}` can read what is named");
        checks.unseen("the user's rights", why);
    }
}
