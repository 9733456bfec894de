//! The configuration files: what was typed, what the program runs on, and what they lead to on the disk.
//!
//! Two stages before anything is opened: [`typed`] is the file as somebody wrote it; [`settings`] is what a process runs
//! on, every field checked, every path absolute. [`load`] then opens what the settings name, and [`check`] tells of it.

mod assets;
pub mod check;
pub mod custodian;
pub mod environment;
pub mod exchange;
pub mod executor;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod load;
pub mod nodes;
pub mod observer;
pub mod read;
pub mod secrets;
pub mod settings;
pub mod travel_rule;
pub mod typed;
pub mod verifyvasp;

pub use settings::{CosignerSettings, PartyPlaces, RelaySettings, SignerSettings};
pub use travel_rule::{EnclaveSettings, StandaloneSettings};

use std::path::{Path, PathBuf};

use super::problem::Problem;
use crate::store::StoreUrl;

/// The file behind a store's address, where it has one.
pub fn sqlite_path(url: &StoreUrl) -> Option<PathBuf> {
    url.to_string().strip_prefix("sqlite:").map(PathBuf::from)
}

/// Reads the signer's configuration.
pub fn signer(path: &Path) -> Result<SignerSettings, Problem> {
    let (file, base) = read::file::<typed::SignerFile>(path)?;
    SignerSettings::new(file, &base)
}

/// Reads the co-signer's configuration.
pub fn cosigner(path: &Path) -> Result<CosignerSettings, Problem> {
    let (file, base) = read::file::<typed::CosignerFile>(path)?;
    CosignerSettings::new(file, &base)
}

/// Reads the relay's configuration.
pub fn relay(path: &Path) -> Result<RelaySettings, Problem> {
    let (text, base) = read::text(path)?;
    RelaySettings::new(read::parse(&text, "")?, &text, &base)
}

/// Reads the configuration of an observer of EVM chains.
pub fn observer(path: &Path) -> Result<observer::ObserverSettings, Problem> {
    let (file, base) = read::file::<typed::ObserverFile>(path)?;
    observer::ObserverSettings::new(file, &base)
}

/// Reads whom a configuration believes, whatever else it is of.
pub fn trust_of(path: &Path) -> Result<settings::TrustPlaces, Problem> {
    let (file, base) = read::file::<typed::AnyFile>(path)?;
    settings::trust(file.trust, &base)
}

/// Reads the configuration of an executor.
pub fn executor(path: &Path) -> Result<executor::ExecutorSettings, Problem> {
    let (file, base) = read::file::<typed::ExecutorFile>(path)?;
    executor::ExecutorSettings::new(file, &base)
}

/// Reads the configuration of an enclave that stands alone: from a file, from the documented variables, or from both, each value
/// in one of the two.
pub fn enclave(
    path: Option<&Path>,
    variables: Option<environment::Variables>,
) -> Result<StandaloneSettings, Problem> {
    let (text, base) = match path {
        Some(path) => read::text(path)?,
        None => {
            (String::new(), std::env::current_dir().map_err(|error| Problem::file(Path::new("."), &error))?)
        }
    };
    match variables {
        None => StandaloneSettings::new(read::parse(&text, "")?, &base, &secrets::Given::default()),
        Some(variables) => variables.settings(&text, &base),
    }
}

#[cfg(test)]
mod tests;
