//! The adapter in the enclave's process: what it reads before it is shut in, and its listener for the enclave server's calls.

use std::net::TcpListener as StdListener;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::assemble;
use super::outward::Outward;
use super::room::listen_now;
use super::standalone::Desk;
use crate::cli::config::verifyvasp::{AdapterSettings, of_adapter};
use crate::cli::problem::Problem;
use crate::enclave::exchange::auth::OwnToken;
use crate::enclave::exchange::{Line, Places};
use crate::enclave::verifyvasp::{self, Adapter, listener};
use crate::enclave::wire::tls::{CONNECTIONS_MAX, Guests};
use crate::evidence::Trust;
use crate::withdrawal::Code;

/// All that the adapter needs of the world outside.
pub(super) struct PreparedAdapter {
    settings: verifyvasp::AdapterSettings,
    desk: Option<PreparedDesk>,
}

/// The listener for the enclave server before anybody is let in.
struct PreparedDesk {
    listener: StdListener,
    guests: Guests,
    token: OwnToken,
    tls: Option<Arc<rustls::ServerConfig>>,
    line: Line,
    places: Places,
}

impl PreparedAdapter {
    /// Reads its keys and takes its listener's place.
    pub(super) fn of(settings: &AdapterSettings, trust: &Trust) -> Result<Self, Problem> {
        let desk = prepare_desk(settings).map_err(of_adapter)?;
        Ok(Self { settings: assemble::adapter(settings, trust)?, desk })
    }

    /// Stands it up.
    pub(super) async fn stand(self) -> Result<(Arc<Adapter>, Option<Desk>), Problem> {
        let adapter = Arc::new(Adapter::start(self.settings).await?);
        let desk = self.desk.map(|desk| desk.open(&adapter)).transpose()?;
        Ok((adapter, desk))
    }
}

fn prepare_desk(settings: &AdapterSettings) -> Result<Option<PreparedDesk>, Problem> {
    let Some(exchange) = &settings.exchange else { return Ok(None) };
    let Some(own) = &exchange.listener else { return Ok(None) };
    let outward = Outward::of(exchange)?;
    let (token, tls) = outward.private(own)?;
    Ok(Some(PreparedDesk {
        listener: listen_now("enclave.exchange.listener.listen", own.listen)?,
        guests: Guests { allow: own.allow.clone(), keepalive: own.keepalive, connections: CONNECTIONS_MAX },
        token,
        tls,
        line: outward.line().clone(),
        places: exchange.places.clone(),
    }))
}

impl PreparedDesk {
    fn open(self, adapter: &Adapter) -> Result<Desk, Problem> {
        let Self { listener, guests, token, tls, line, places } = self;
        let no = |error: std::io::Error| Problem::of(Code::Internal, error.to_string());
        let listener = TcpListener::from_std(listener).map_err(no)?;
        let address = listener.local_addr().map_err(no)?;
        let stop = CancellationToken::new();
        let standing = listener::Standing { listener, guests, tls, token, line, places };
        let serving = listener::serve(adapter, standing, stop.clone());
        Ok(Desk { address, stop, task: tokio::spawn(serving) })
    }
}
