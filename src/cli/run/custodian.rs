//! The way to an outside custodian of key B, opened: folders that are there, or a line with its token and certificates.

use std::sync::Arc;

use super::assemble::roots_of;
use crate::cli::config::custodian::{CustodianServer, CustodianSettings, CustodianWay};
use crate::cli::problem::Problem;
use crate::custodian::{Custodian, CustodianFault, Folder, Settings, Webhook};
use crate::enclave::exchange::{Auth, Line};
use crate::flow::cosign::{Custody, KeyB};
use crate::keys::IdentityKey;

/// Key B at this custodian; `identity` signs the orders.
pub fn key_b(settings: &CustodianSettings, identity: Arc<IdentityKey>) -> Result<KeyB, Problem> {
    let custody = Custody::new(way(settings)?, identity, settings.every);
    Ok(KeyB::Custodian(Arc::new(custody)))
}

/// Opens the way. Nobody is called.
pub fn way(settings: &CustodianSettings) -> Result<Custodian, Problem> {
    Ok(match &settings.way {
        CustodianWay::Folders { outbox, inbox } => {
            Custodian::Folder(Folder::open(outbox.clone(), inbox.clone()).map_err(no_folder)?)
        }
        CustodianWay::Server(server) => Custodian::Webhook(webhook(server)?),
    })
}

fn webhook(server: &CustodianServer) -> Result<Webhook, Problem> {
    let token = server.token.read("custodian.token")?;
    let auth = Auth::new(&token, server.token_header.as_deref()).map_err(|no| {
        let cure = "write a token of visible ASCII characters without blanks";
        Problem::config("custodian.token", no.to_string(), cure)
    })?;
    let roots = roots_of("custodian.ca", &server.authority)?;
    let line = Line::new(roots, Some(auth), server.allow.clone());
    let cure = "correct the custodian's settings";
    let line = line.map_err(|fault| Problem::config("custodian", fault.to_string(), cure))?;
    Ok(Webhook::new(Settings { url: server.url.clone(), line, time: server.call_time }))
}

fn no_folder(fault: CustodianFault) -> Problem {
    let cure =
        "make both folders (`countersign init` does), and let the co-signer's user write to the outbox";
    Problem::config("custodian.outbox or custodian.inbox", fault.to_string(), cure)
}
