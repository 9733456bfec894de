//! Connections: accepted, through their TLS handshake within a time, and read for who is on the other end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::Limits;
use crate::desk::Caller;
use crate::pki;

/// How long to wait when the system gives no more connections (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who is on the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Whom the certificate names, or why it names nobody.
    pub caller: Result<Arc<Caller>, Arc<str>>,
}

/// A connection after its handshake. It keeps its place among the connections while it is open.
pub struct Connection {
    tls: TlsStream<TcpStream>,
    peer: Peer,
    _place: OwnedSemaphorePermit,
}

/// Accepts connections until the stream is dropped, which closes the port.
pub fn incoming(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    limits: &Limits,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, stream) = mpsc::channel(limits.handshakes_max.max(1));
    let acceptor = Acceptor {
        tls: TlsAcceptor::from(tls),
        handshakes: Arc::new(Semaphore::new(limits.handshakes_max.max(1))),
        connections: Arc::new(Semaphore::new(limits.connections_max.max(1))),
        handshake_time_max: limits.handshake_time_max,
    };
    tokio::spawn(async move {
        tokio::select! {
            () = acceptor.run(listener, ready.clone()) => (),
            () = ready.closed() => (),
        }
    });
    ReceiverStream::new(stream)
}

struct Acceptor {
    tls: TlsAcceptor,
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    handshake_time_max: Duration,
}

impl Acceptor {
    async fn run(&self, listener: TcpListener, ready: mpsc::Sender<io::Result<Connection>>) {
        // Places are taken before accepting: who finds none waits in the system's queue, and costs us nothing.
        while let (Ok(place), Ok(handshake)) = (
            Arc::clone(&self.connections).acquire_owned().await,
            Arc::clone(&self.handshakes).acquire_owned().await,
        ) {
            let tcp = match listener.accept().await {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (tls, ready, time) = (self.tls.clone(), ready.clone(), self.handshake_time_max);
            tokio::spawn(async move {
                match timeout(time, shake_hands(tls, tcp)).await {
                    Ok(Ok((tls, peer))) => {
                        drop(handshake);
                        // A closed channel means that the service is stopping; the connection is dropped.
                        let _ = ready.send(Ok(Connection { tls, peer, _place: place })).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    Err(_) => tracing::debug!("TLS handshake took too long"),
                }
            });
        }
    }
}

async fn shake_hands(tls: TlsAcceptor, tcp: TcpStream) -> io::Result<(TlsStream<TcpStream>, Peer)> {
    tcp.set_nodelay(true)?;
    let stream = tls.accept(tcp).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let caller = match certificate.map(pki::caller_of) {
        Some(Ok(caller)) => Ok(Arc::new(caller)),
        Some(Err(fault)) => Err(fault.to_string().into()),
        None => Err("the connection shows no certificate".into()),
    };
    Ok((stream, Peer { caller }))
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }
}
