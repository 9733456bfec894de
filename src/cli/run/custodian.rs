//! The way to an outside custodian of key B, opened: folders that are there, or a line with its token and certificates; and the
//! listener for its own calls.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::assemble::roots_of;
use crate::cli::config::custodian::{
    CustodianServer, CustodianSettings, CustodianWay, INBOUND_INBOX, InboundSettings,
};
use crate::cli::config::secrets::{Secret, text_of};
use crate::cli::problem::Problem;
use crate::custodian::inbound::{Standing, serve};
use crate::custodian::{Custodian, CustodianFault, Folder, Inbox, Settings, Way, Webhook};
use crate::enclave::exchange::auth::OwnToken;
use crate::enclave::exchange::{Auth, Line};
use crate::enclave::wire::tls::{self, Identity};
use crate::flow::cosign::{Custody, KeyB};
use crate::keys::{IdentityKey, PassphraseSource};
use crate::pki;

/// Key B at this custodian; `identity` signs the orders.
pub fn key_b(settings: &CustodianSettings, identity: Arc<IdentityKey>) -> Result<KeyB, Problem> {
    let custody = Custody::new(way(settings)?, identity, settings.every);
    Ok(KeyB::Custodian(Arc::new(custody)))
}

/// Opens the way, and the folder of the custodian's own calls. Nobody is called.
pub fn way(settings: &CustodianSettings) -> Result<Custodian, Problem> {
    let way = match &settings.way {
        CustodianWay::Folders { outbox, inbox } => {
            Way::Folder(Folder::open(outbox.clone(), inbox.clone()).map_err(no_folder)?)
        }
        CustodianWay::Server(server) => Way::Webhook(webhook(server)?),
    };
    let inbox = settings.inbound.as_ref().map(|inbound| {
        let cure =
            "make the folder (`countersign init` does), and let the co-signer's user alone write to it";
        let inbox = Inbox::open(inbound.inbox.clone());
        inbox.map(Arc::new).map_err(|fault| Problem::config(INBOUND_INBOX, fault.to_string(), cure))
    });
    Ok(Custodian::new(way, inbox.transpose()?))
}

/// What the listener for the custodian's calls opens with: its token and its certificate.
pub fn inbound(
    settings: &InboundSettings,
    way: &CustodianWay,
) -> Result<(OwnToken, Arc<ServerConfig>), Problem> {
    let field = "custodian.inbound.token";
    let cure = "write at least 32 random characters, such as 32 bytes in hex";
    let text = text_of(field, &settings.token)?;
    let token = OwnToken::new(&text).map_err(|no| Problem::config(field, no.to_string(), cure))?;
    if shown(way)?.is_some_and(|other| *other == *text) {
        let cure = "make a token of its own for each direction";
        return Err(Problem::config(field, "is the token of custodian.token as well", cure));
    }
    let identity = pki::read_identity(&settings.certificate, &settings.key)?;
    let tls = tls::server_config(Identity { chain: identity.chain, key: identity.key });
    let cure = "name a certificate and its key";
    let tls = tls.map_err(|error| Problem::config("custodian.inbound.cert", error.to_string(), cure))?;
    Ok((token, tls))
}

/// The token of our own calls, where it stands in a file. What comes through a descriptor is read once, and not here.
fn shown(way: &CustodianWay) -> Result<Option<Zeroizing<String>>, Problem> {
    let CustodianWay::Server(server) = way else { return Ok(None) };
    match &server.token {
        Secret::Place(PassphraseSource::Descriptor(_)) => Ok(None),
        readable => readable.read("custodian.token").map(Some),
    }
}

/// The listener at work.
pub struct Calls {
    /// Where it is.
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Calls {
    /// Takes the custodian's calls from now on, where there is a custodian that calls.
    pub async fn stand(
        custodian: Option<&CustodianSettings>,
        inbox: Option<Arc<Inbox>>,
    ) -> Result<Option<Self>, Problem> {
        let Some((custodian, inbox)) = custodian.zip(inbox) else { return Ok(None) };
        let Some(settings) = &custodian.inbound else { return Ok(None) };
        let (token, tls) = inbound(settings, &custodian.way)?;
        let (listener, address) = super::listen("custodian.inbound.listen", settings.listen).await?;
        let stop = CancellationToken::new();
        let standing = Standing { listener, tls, token, allow: settings.allow.clone() };
        let task = tokio::spawn(serve(inbox, standing, stop.clone()));
        Ok(Some(Self { address, stop, task }))
    }

    /// Takes no more calls, and lets open ones finish.
    pub async fn end(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
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
