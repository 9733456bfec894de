//! Secrets of the travel rule: where they come from, and how the database's key comes to be known. Reads them only when asked to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::exchange::ExchangeSettings;
use super::settings::secret;
use super::travel_rule::place;
use super::typed;
use crate::cli::problem::Problem;
use crate::enclave::exchange::Place;
use crate::keys::PassphraseSource;

/// How the database's key comes to be known.
#[derive(Debug, Clone)]
pub enum DataKeySource {
    /// 64 hex digits, as `init` makes them.
    Hex(PassphraseSource),
    /// Base64 of the key itself.
    Plain(Secret),
    /// Whatever the exchange's own service turns into the key at boot.
    Wrapped(Secret, Place),
}

/// A secret's place, or the secret itself where a documented variable holds it.
#[derive(Clone)]
pub enum Secret {
    /// A file or descriptor.
    Place(PassphraseSource),
    /// The text of a variable.
    Given(Arc<Zeroizing<String>>),
}

/// Shows where, never what.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::Given(_) => f.write_str("…"),
        }
    }
}

impl Secret {
    /// The secret.
    pub fn read(&self, field: &str) -> Result<Zeroizing<String>, Problem> {
        match self {
            Self::Given(text) => Ok((**text).clone()),
            Self::Place(place) => text_of(field, place),
        }
    }
}

/// Reads a secret text from its file or descriptor.
pub fn text_of(field: &str, place: &PassphraseSource) -> Result<Zeroizing<String>, Problem> {
    let read = place.read().map_err(|error| Problem {
        text: error.to_string().replace("passphrase", "secret"),
        ..Problem::from(error).at(field).cure("write it into a file of mode 0400 or 0600")
    })?;
    let text = read.expose_text().map(|text| Zeroizing::new(text.to_owned()));
    text.ok_or_else(|| {
        Problem::config(field, "is no text", "write the secret and nothing else into the file")
    })
}

/// Secrets that came in variables, by the variables' names.
#[derive(Default)]
pub struct Given(pub BTreeMap<String, Arc<Zeroizing<String>>>);

pub(super) type KeyTables = (Option<typed::SecretTable>, Option<typed::GivenTable>, Option<String>);

/// Exactly one of the ways.
pub(super) fn data_key(
    tables: KeyTables,
    exchange: Option<&ExchangeSettings>,
    base: &Path,
    given: &Given,
) -> Result<DataKeySource, Problem> {
    let (field, cure) = (
        "enclave.encryption_key",
        "write exactly one of data_key (hex) and encryption_key (base64, or what decrypt_url takes)",
    );
    match tables {
        (Some(hex), None, None) => Ok(DataKeySource::Hex(secret("enclave.data_key", hex, base)?)),
        (None, Some(plain), None) => Ok(DataKeySource::Plain(given_secret(field, plain, base, given)?)),
        (None, Some(wrapped), Some(url)) => {
            let Some(exchange) = exchange else {
                let cure =
                    "write [enclave.exchange]: its token, ca and allow-list are those of this call too";
                return Err(Problem::config(
                    "enclave.decrypt_url",
                    "is set, but there is no [enclave.exchange]",
                    cure,
                ));
            };
            let place = place("enclave.decrypt_url", &url, exchange.allow.as_ref())?;
            if !place.is_plain() && exchange.authority.is_none() {
                let cure = "name the PEM file that the service's certificate leads to";
                return Err(Problem::config("enclave.exchange.ca", "is missing, and a URL is https", cure));
            }
            Ok(DataKeySource::Wrapped(given_secret(field, wrapped, base, given)?, place))
        }
        (Some(_), Some(_), _) => Err(Problem::config(field, "stands beside enclave.data_key", cure)),
        (_, None, Some(_)) => {
            let cure = "write encryption_key (VEGA_ENCRYPTION_KEY_BASE64), which the service turns into the key, and no data_key";
            Err(Problem::config("enclave.decrypt_url", "is set without encryption_key", cure))
        }
        (None, None, None) => Err(Problem::config(field, "is missing, and so is enclave.data_key", cure)),
    }
}

/// The keys before the present one, the newest first; what `decrypt_url` unwraps now, it unwraps of them as well.
pub(super) fn old_data_keys(
    (hex, others): (Vec<typed::SecretTable>, Vec<typed::GivenTable>),
    current: &DataKeySource,
    base: &Path,
    given: &Given,
) -> Result<Vec<DataKeySource>, Problem> {
    let mut all = Vec::new();
    for table in hex {
        all.push(DataKeySource::Hex(secret("enclave.old_data_keys", table, base)?));
    }
    for table in others {
        let one = given_secret("enclave.old_encryption_keys", table, base, given)?;
        all.push(match current {
            DataKeySource::Wrapped(_, place) => DataKeySource::Wrapped(one, place.clone()),
            DataKeySource::Hex(_) | DataKeySource::Plain(_) => DataKeySource::Plain(one),
        });
    }
    Ok(all)
}

/// What was typed for a secret that a variable may hold.
pub(super) fn given_secret(
    field: &str,
    table: typed::GivenTable,
    base: &Path,
    given: &Given,
) -> Result<Secret, Problem> {
    let Some(variable) = table.variable else {
        let table = typed::SecretTable { file: table.file, descriptor: table.descriptor };
        return Ok(Secret::Place(secret(field, table, base)?));
    };
    let text = given.0.get(&variable).filter(|_| table.file.is_none() && table.descriptor.is_none());
    let cure = "write { file = \"/path\" } or { descriptor = 3 }; variables are read with --from-env, by their documented names";
    text.map(|text| Secret::Given(text.clone()))
        .ok_or_else(|| Problem::config(field, "names a variable, which is not for this file to do", cure))
}
