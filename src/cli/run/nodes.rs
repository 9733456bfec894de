//! Opens what the settings say of nodes: addresses and tokens in files, the CA. Nobody is asked yet.

use rustls::RootCertStore;
use zeroize::Zeroizing;

use super::assemble::roots_of;
use crate::cli::config::nodes::{NodePlace, NodesSettings, UrlPlace, wrong};
use crate::cli::problem::Problem;
use crate::keys::PassphraseSource;
use crate::node::{Nodes, Place, Settings};
use crate::withdrawal::Code;

/// The nodes of these settings.
pub fn nodes(settings: &NodesSettings) -> Result<Nodes, Problem> {
    let places = settings.nodes.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let roots = match &settings.authority {
        Some(path) => roots_of("chains.ca", path)?,
        None => RootCertStore::empty(),
    };
    let quorum = (places, settings.quorum);
    let opened = Settings::new(settings.chain, quorum, settings.finality, settings.bounds, roots);
    let opened = opened.map_err(|no| wrong(&format!("chains: {}", no.field), no.clone()))?;
    Nodes::new(opened).map_err(|fault| Problem::of(Code::Internal, fault.to_string()).at("chains.nodes"))
}

fn place(node: &NodePlace) -> Result<Place, Problem> {
    let field = format!("chains.nodes.{}", node.name);
    let url = match &node.url {
        UrlPlace::Given(url) => Zeroizing::new(url.clone()),
        UrlPlace::File(path) => line(&field, &PassphraseSource::File(path.clone()))?,
    };
    let bearer = node.bearer.as_ref().map(|source| line(&field, source)).transpose()?;
    Place::new(node.name.clone(), &url, bearer)
        .map_err(|no| wrong(&format!("{field}: {}", no.field), no.clone()))
}

/// One line of a secret file.
fn line(field: &str, source: &PassphraseSource) -> Result<Zeroizing<String>, Problem> {
    let read = source.read().map_err(|error| Problem::from(error).at(field))?;
    Ok(Zeroizing::new(read.expose_text().unwrap_or_default().trim().to_owned()))
}
