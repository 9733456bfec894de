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
use crate::cli::config::secrets::text_of;
use crate::cli::problem::Problem;
use crate::custodian::inbound::{Standing, serve};
use crate::custodian::{Custodian, CustodianFault, Folder, Inbox, Settings, Way, Webhook};
use crate::enclave::exchange::auth::OwnToken;
use crate::enclave::exchange::{Auth, Line};
use crate::enclave::wire::tls::{self, Identity};
use crate::flow::cosign::{Custody, KeyB};
use crate::keys::IdentityKey;
use crate::pki;

/// What is shown at the custodian's server, read once; empty where it has none. Its own calls must show something else.
#[derive(Default)]
pub struct Shown(Option<Zeroizing<String>>);

/// Key B at this custodian; `identity` signs the orders.
pub fn key_b(settings: &CustodianSettings, identity: Arc<IdentityKey>) -> Result<(KeyB, Shown), Problem> {
    let (custodian, shown) = way(settings)?;
    let custody = Custody::new(custodian, identity, settings.every);
    Ok((KeyB::Custodian(Arc::new(custody)), shown))
}

/// Opens the way, and the folder of the custodian's own calls. Nobody is called.
pub fn way(settings: &CustodianSettings) -> Result<(Custodian, Shown), Problem> {
    let (way, shown) = match &settings.way {
        CustodianWay::Folders { outbox, inbox } => {
            let folder = Folder::open(outbox.clone(), inbox.clone()).map_err(no_folder)?;
            (Way::Folder(folder), Shown::default())
        }
        CustodianWay::Server(server) => {
            let (webhook, shown) = webhook(server)?;
            (Way::Webhook(webhook), shown)
        }
    };
    let inbox = settings.inbound.as_ref().map(|inbound| {
        let cure =
            "make the folder (`countersign init` does), and let the co-signer's user alone write to it";
        let inbox = Inbox::open(inbound.inbox.clone());
        inbox.map(Arc::new).map_err(|fault| Problem::config(INBOUND_INBOX, fault.to_string(), cure))
    });
    Ok((Custodian::new(way, inbox.transpose()?), shown))
}

/// What the listener for the custodian's calls opens with: its token and its certificate. The two directions' tokens differ.
pub fn inbound(settings: &InboundSettings, shown: &Shown) -> Result<(OwnToken, Arc<ServerConfig>), Problem> {
    let field = "custodian.inbound.token";
    let cure = "write at least 32 random characters, such as 32 bytes in hex";
    let text = text_of(field, &settings.token)?;
    let token = OwnToken::new(&text).map_err(|no| Problem::config(field, no.to_string(), cure))?;
    if shown.0.as_ref().is_some_and(|other| **other == *text) {
        let cure = "make a token of its own for each direction";
        return Err(Problem::config(field, "is the token of custodian.token as well", cure));
    }
    let identity = pki::read_identity(&settings.certificate, &settings.key)?;
    let tls = tls::server_config(Identity { chain: identity.chain, key: identity.key });
    let cure = "name a certificate and its key";
    let tls = tls.map_err(|error| Problem::config("custodian.inbound.cert", error.to_string(), cure))?;
    Ok((token, tls))
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
        shown: Shown,
    ) -> Result<Option<Self>, Problem> {
        let Some((custodian, inbox)) = custodian.zip(inbox) else { return Ok(None) };
        let Some(settings) = &custodian.inbound else { return Ok(None) };
        let (token, tls) = inbound(settings, &shown)?;
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

fn webhook(server: &CustodianServer) -> Result<(Webhook, Shown), Problem> {
    let token = server.token.read("custodian.token")?;
    let auth = Auth::new(&token, server.token_header.as_deref()).map_err(|no| {
        let cure = "write a token of visible ASCII characters without blanks";
        Problem::config("custodian.token", no.to_string(), cure)
    })?;
    let roots = roots_of("custodian.ca", &server.authority)?;
    let line = Line::new(roots, Some(auth), server.allow.clone());
    let cure = "correct the custodian's settings";
    let line = line.map_err(|fault| Problem::config("custodian", fault.to_string(), cure))?;
    let settings = Settings { url: server.url.clone(), line, time: server.call_time };
    Ok((Webhook::new(settings), Shown(Some(token))))
}

fn no_folder(fault: CustodianFault) -> Problem {
    let cure =
        "make both folders (`countersign init` does), and let the co-signer's user write to the outbox";
    Problem::config("custodian.outbox or custodian.inbox", fault.to_string(), cure)
}
