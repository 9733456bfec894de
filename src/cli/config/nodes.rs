//! How a program reaches the nodes of an EVM chain: which ones, how many must agree, what final means, the bounds. Opens no file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::settings::{above_zero, secret};
use super::typed;
use crate::cli::problem::Problem;
use crate::keys::PassphraseSource;
use crate::node::{Bounds, Finality, Name, Tag};
use crate::withdrawal::{ChainId, Invalid};

/// The nodes of one chain.
#[derive(Debug, Clone)]
pub struct NodesSettings {
    /// The chain.
    pub chain: ChainId,
    /// The nodes.
    pub nodes: Vec<NodePlace>,
    /// How many must agree.
    pub quorum: usize,
    /// Which blocks are final.
    pub finality: Finality,
    /// What one question may cost.
    pub bounds: Bounds,
    /// What the certificates of nodes lead to; needed where one is https.
    pub authority: Option<PathBuf>,
}

/// One node.
#[derive(Debug, Clone)]
pub struct NodePlace {
    /// What it is called in every message.
    pub name: Name,
    /// Its address, or the file that holds it: an address with a provider's key in it is a secret.
    pub url: UrlPlace,
    /// A token that is shown to it.
    pub bearer: Option<PassphraseSource>,
}

/// Where an address stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlPlace {
    /// In the configuration.
    Given(String),
    /// In a file.
    File(PathBuf),
}

impl NodesSettings {
    /// Checks what was typed; `base` is the folder from which paths count.
    pub fn new(table: &typed::ChainTable, base: &Path) -> Result<Self, Problem> {
        let nodes = table.nodes.iter().map(|node| place(node, base)).collect::<Result<Vec<_>, _>>()?;
        let bounds = Bounds {
            time: Duration::from_millis(above_zero("chains.time_ms", table.time_ms)?),
            log_blocks_max: above_zero("chains.log_blocks_max", table.log_blocks_max)?,
            at_once_max: above_zero("chains.at_once_max", table.at_once_max)?,
            ..Bounds::default()
        };
        let is_https =
            |node: &NodePlace| !matches!(&node.url, UrlPlace::Given(url) if url.starts_with("http://"));
        if table.ca.is_none() && nodes.iter().any(is_https) {
            let cure = "name the PEM file that the nodes' certificates lead to, such as /etc/ssl/certs/ca-certificates.crt";
            return Err(Problem::config("chains.ca", "is missing, and not every node is plain http", cure));
        }
        Ok(Self {
            chain: ChainId::parse(&table.network).map_err(|no| wrong("chains.network", no))?,
            nodes,
            quorum: table.quorum,
            finality: Finality {
                tag: tag(&table.finality)?,
                depth: above_zero("chains.depth", table.depth)?,
            },
            bounds,
            authority: table.ca.as_ref().map(|path| base.join(path)),
        })
    }
}

fn place(table: &typed::NodeTable, base: &Path) -> Result<NodePlace, Problem> {
    let cure = "write exactly one of them";
    let url = match (&table.url, &table.url_file) {
        (Some(url), None) => UrlPlace::Given(url.clone()),
        (None, Some(file)) => UrlPlace::File(base.join(file)),
        (Some(_), Some(_)) => {
            return Err(Problem::config("chains.nodes", "has both url and url_file", cure));
        }
        (None, None) => return Err(Problem::config("chains.nodes", "has neither url nor url_file", cure)),
    };
    let bearer = table.bearer.clone().map(|table| secret("chains.nodes.bearer", table, base));
    Ok(NodePlace {
        name: Name::parse(&table.name).map_err(|no| wrong("chains.nodes.name", no))?,
        url,
        bearer: bearer.transpose()?,
    })
}

fn tag(text: &str) -> Result<Option<Tag>, Problem> {
    match text {
        "finalized" => Ok(Some(Tag::Finalized)),
        "safe" => Ok(Some(Tag::Safe)),
        "depth" => Ok(None),
        other => {
            let cure = "write \"finalized\", \"safe\" or \"depth\"";
            Err(Problem::config("chains.finality", format!("is `{other}`"), cure))
        }
    }
}

/// What is wrong, under the field's whole name.
pub fn wrong(field: &str, no: Invalid) -> Problem {
    Problem::config(field, no.problem, no.cure)
}
