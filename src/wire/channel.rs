//! A channel to a server: TCP, mutual TLS 1.3, the server's role checked, kept alive, made again when it breaks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use crate::desk::Role;
use crate::pki;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEP_ALIVE_ANSWER_MAX: Duration = Duration::from_secs(5);

/// Where to connect, as whom, and to whom.
#[derive(Clone)]
pub struct ChannelOrder {
    /// `host:port`; the host must stand in the server's certificate.
    pub address: String,
    /// The client's certificate and the CA it trusts.
    pub tls: Arc<ClientConfig>,
    /// The role the server's certificate must carry.
    pub server_role: Role,
}

/// Why there can be no channel.
#[derive(Debug, thiserror::Error)]
pub enum ChannelFault {
    /// The address cannot be read.
    #[error("`{0}` is no address; write host:port")]
    Address(String),
}

/// A channel that connects when first used and again whenever the line broke.
pub fn channel(order: &ChannelOrder) -> Result<Channel, ChannelFault> {
    let no = || ChannelFault::Address(order.address.chars().take(120).collect());
    let (host, port) = order.address.rsplit_once(':').ok_or_else(no)?;
    port.parse::<u16>().map_err(|_| no())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(|_| no())?;
    // The scheme is http because TLS is made below, by our own connector; nothing leaves without it.
    let endpoint = Endpoint::from_shared(format!("http://{}", order.address)).map_err(|_| no())?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIME_MAX)
        .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER_MAX)
        .keep_alive_while_idle(true);
    let line = Arc::new(Line {
        address: order.address.clone(),
        name,
        tls: TlsConnector::from(Arc::clone(&order.tls)),
        server_role: order.server_role,
    });
    Ok(endpoint.connect_with_connector_lazy(tower::service_fn(move |_: http::Uri| {
        let line = Arc::clone(&line);
        async move { line.open().await.map(TokioIo::new) }
    })))
}

struct Line {
    address: String,
    name: ServerName<'static>,
    tls: TlsConnector,
    server_role: Role,
}

impl Line {
    async fn open(&self) -> io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        let stream = self.tls.connect(self.name.clone(), tcp).await?;
        self.check_role(&stream)?;
        Ok(stream)
    }

    fn check_role(&self, stream: &TlsStream<TcpStream>) -> io::Result<()> {
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let no = |what: String| io::Error::new(io::ErrorKind::PermissionDenied, what);
        let certificate = certificate.ok_or_else(|| no("the server showed no certificate".into()))?;
        let server =
            pki::caller_of(certificate).map_err(|fault| no(format!("the server's certificate: {fault}")))?;
        if server.role == self.server_role {
            Ok(())
        } else {
            Err(no(format!("the server is {server}, not a {}", self.server_role)))
        }
    }
}
