//! What the observer of EVM chains runs on: its name and key, its state, the signer, the trust file, the chains. Opens no file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::nodes::NodesSettings;
use super::settings::{Tracing, TrustPlaces, above_zero, host_and_port, pem, secret, tracing, trust};
use super::typed;
use crate::cli::problem::Problem;
use crate::keys::PassphraseSource;
use crate::observer::Bounds;
use crate::pki::PemFiles;

/// The observer's settings.
#[derive(Debug, Clone)]
pub struct ObserverSettings {
    /// Its name in the trust file.
    pub observer: String,
    /// Its statement key.
    pub statement_key: PassphraseSource,
    /// The file of what it said.
    pub state: PathBuf,
    /// How often it looks.
    pub every: Duration,
    /// The signer's address, `host:port`.
    pub signer: String,
    /// The certificate shown to the signer, and the CA.
    pub tls: PemFiles,
    /// Where Safes and tokens are pinned.
    pub trust: TrustPlaces,
    /// The chains, each once.
    pub chains: Vec<ChainSettings>,
    /// How the process says what it does.
    pub tracing: Tracing,
}

/// One chain.
#[derive(Debug, Clone)]
pub struct ChainSettings {
    /// Its nodes.
    pub nodes: NodesSettings,
    /// How old its blocks may be.
    pub bounds: Bounds,
}

impl ObserverSettings {
    /// Checks what was typed; `base` is the folder from which paths count.
    pub fn new(file: typed::ObserverFile, base: &Path) -> Result<Self, Problem> {
        let chains = file.chains.iter().map(|table| chain(table, base)).collect::<Result<Vec<_>, _>>()?;
        let names: BTreeSet<_> = chains.iter().map(|chain| chain.nodes.chain).collect();
        if chains.is_empty() || names.len() != chains.len() {
            let cure = "write one [[chains]] for each chain that is observed";
            return Err(Problem::config("chains", "names no chain, or one twice", cure));
        }
        Ok(Self {
            observer: file.observer,
            statement_key: secret("statement_key", file.statement_key, base)?,
            state: base.join(file.state),
            every: Duration::from_secs(above_zero("every_s", file.every_s)?),
            signer: host_and_port("signer.address", file.signer.address)?,
            tls: pem(file.tls, base),
            trust: trust(file.trust, base)?,
            chains,
            tracing: tracing(file.tracing)?,
        })
    }
}

fn chain(table: &typed::ChainTable, base: &Path) -> Result<ChainSettings, Problem> {
    let bounds = Bounds {
        head_age_s_max: above_zero("chains.head_age_s_max", table.head_age_s_max)?,
        final_age_s_max: above_zero("chains.final_age_s_max", table.final_age_s_max)?,
    };
    Ok(ChainSettings { nodes: NodesSettings::new(table, base)?, bounds })
}
