//! The services: opens what a configuration names, stands it up, says `ready`, and drains when told to stop.

use std::path::PathBuf;

use clap::Args;

use super::answer::{Answer, Out};
use super::config::{self, check};
use super::instance::Instance;
use super::problem::Problem;
use crate::store::{OpenFault, Store, StoreUrl};

/// What each service takes.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Validate the configuration and everything it names, say so part by part, and exit
    #[arg(long)]
    pub check: bool,
}

/// Runs the signer.
pub fn signer(args: &ServiceArgs, _out: Out) -> Result<Answer, Problem> {
    let settings = config::signer(&args.config)?;
    Ok(check::signer(&settings))
}

/// Runs the co-signer.
pub fn cosigner(args: &ServiceArgs, _out: Out) -> Result<Answer, Problem> {
    let settings = config::cosigner(&args.config)?;
    Ok(check::cosigner(&settings))
}

/// Runs the relay.
pub fn relay(args: &ServiceArgs, _out: Out) -> Result<Answer, Problem> {
    let settings = config::relay(&args.config)?;
    Ok(check::relay(&settings))
}

/// Creates a party's store and begins its log.
pub async fn create_store(
    url: &StoreUrl,
    instance: Instance,
    _party: &str,
    existing: bool,
) -> Result<(), Problem> {
    match Store::create(url, &instance.store).await {
        Ok(store) => store.close().await,
        Err(OpenFault::AlreadyExists(_)) if existing => {}
        Err(fault) => return Err(fault.into()),
    }
    Ok(())
}
