//! Owns TLS 1.3 for both ends, and serving a router over it with time-outs and a bound on connections.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::super::allow::AllowList;

const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
const HEADER_TIME: Duration = Duration::from_secs(10);
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// Who connects has something to say.
const FIRST_TIME: Duration = Duration::from_secs(10);
/// Longer than our client keeps a connection it does not use (90 s), and than any request takes.
pub const QUIET_TIME: Duration = Duration::from_secs(120);
/// Longer than any request takes, its body included.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// Most connections, and a quarter of them from one address: an enclave and a relay need a few each, and many enclaves may stand
/// behind one.
pub const CONNECTIONS_MAX: usize = 1024;
const STREAMS_MAX: u32 = 256;

/// A server's certificate chain and key.
pub struct Identity {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

/// A server that speaks TLS 1.3 and asks for no client certificate: callers sign each request.
pub fn server_config(identity: Identity) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_no_client_auth().with_single_cert(identity.chain, identity.key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A client that speaks TLS 1.3 and believes these roots.
pub fn client_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// How many connections there may be, and how long one may say nothing.
#[derive(Debug, Clone)]
struct Bounds {
    connections: usize,
    /// Connections of one peer address.
    per_peer: usize,
    /// From the handshake to the first request.
    first: Duration,
    /// From then on, while no request is open.
    quiet: Duration,
    /// While one is.
    request: Duration,
    /// Who may connect, where that is listed.
    allow: Option<AllowList>,
}

impl Bounds {
    fn of(allow: Option<AllowList>, quiet: Duration, connections: usize) -> Self {
        Self {
            connections,
            per_peer: connections / 4,
            first: FIRST_TIME,
            quiet,
            request: REQUEST_TIME,
            allow,
        }
    }
}

/// Serves everybody until told to stop, then lets open requests finish for a while.
pub async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, router: Router, stop: CancellationToken) {
    serve_within(Bounds::of(None, QUIET_TIME, CONNECTIONS_MAX), listener, Some(tls), router, stop).await;
}

/// Who may connect, and how long a connection is kept that is not used.
#[derive(Debug, Clone)]
pub struct Guests {
    /// Only these addresses, where a list is given.
    pub allow: Option<AllowList>,
    /// How long an unused connection is kept.
    pub keepalive: Duration,
    /// Most connections; one address may have a quarter of them.
    pub connections: usize,
}

/// The same for listed guests; without `tls` it speaks plain http.
pub async fn serve_guests(
    guests: Guests,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    stop: CancellationToken,
) {
    serve_within(Bounds::of(guests.allow, guests.keepalive, guests.connections), listener, tls, router, stop)
        .await;
}

async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    stop: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let (room, peers) = (Arc::new(Semaphore::new(bounds.connections)), Peers::default());
    let graceful = GracefulShutdown::new();
    while let Some(accepted) = stop.run_until_cancelled(accept(&room, &listener)).await {
        let Some((place, stream, peer)) = accepted else {
            // Out of file descriptors, most likely: a short pause instead of a busy loop.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if bounds.allow.as_ref().is_some_and(|list| !list.admits(peer)) {
            tracing::warn!(%peer, "a connection from an address that is not listed was closed");
            continue;
        }
        let Some(seat) = peers.take(peer, bounds.per_peer) else { continue };
        let (acceptor, router, watcher) = (acceptor.clone(), router.clone(), graceful.watcher());
        let (stop, bounds) = (stop.clone(), bounds.clone());
        tokio::spawn(async move {
            match acceptor {
                None => connection(stream, router, watcher, bounds).await,
                // Nobody waits for a handshake: no request is open yet.
                Some(acceptor) => {
                    if let Some(Some(stream)) = stop.run_until_cancelled(handshake(stream, acceptor)).await {
                        connection(stream, router, watcher, bounds).await;
                    }
                }
            }
            drop((place, seat));
        });
    }
    let _ = tokio::time::timeout(DRAIN_TIME, graceful.shutdown()).await;
}

/// Waits for a place, then for a connection.
async fn accept(
    room: &Arc<Semaphore>,
    listener: &TcpListener,
) -> Option<(OwnedSemaphorePermit, TcpStream, IpAddr)> {
    let place = room.clone().acquire_owned().await.ok()?;
    let (stream, peer) = listener.accept().await.ok()?;
    Some((place, stream, peer.ip()))
}

async fn handshake(stream: TcpStream, acceptor: TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    let _ = stream.set_nodelay(true);
    tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await.ok()?.ok()
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
    bounds: Bounds,
) {
    let (turn, turns) = watch::channel(0_usize);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let open = Open::new(turn.clone());
        let answer = router.call(request);
        async move {
            let answer = answer.await;
            drop(open);
            answer
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(HEADER_TIME);
    let served = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    tokio::select! {
        ended = watcher.watch(served) => if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        },
        () = silence(turns, bounds) => tracing::debug!("a silent connection was closed"),
    }
}

/// A request that is open, until it is dropped: a peer may take an HTTP/2 stream back in the middle.
struct Open(watch::Sender<usize>);

impl Open {
    fn new(turn: watch::Sender<usize>) -> Self {
        turn.send_modify(|open| *open += 1);
        Self(turn)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

/// Ends when no request began or ended for too long. A peer that only answers pings is silent too.
async fn silence(mut turns: watch::Receiver<usize>, bounds: Bounds) {
    let mut patience = bounds.first;
    while let Ok(Ok(())) = tokio::time::timeout(patience, turns.changed()).await {
        patience = if *turns.borrow_and_update() == 0 { bounds.quiet } else { bounds.request };
    }
}

/// How many connections each peer address has.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection of a peer, counted until it is dropped.
struct Seat {
    peers: Peers,
    peer: IpAddr,
}

impl Peers {
    /// Counts one more, unless there are so many already.
    fn take(&self, peer: IpAddr, most: usize) -> Option<Seat> {
        let peer = network_of(peer);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat { peers: self.clone(), peer })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.peer) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// One IPv6 peer has a whole /64 of addresses.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::net::SocketAddr;

    use axum::routing::get;
    use rcgen::generate_simple_self_signed;
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;
    use tokio_rustls::{TlsConnector, client};

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);
    const SOON: Duration = Duration::from_secs(5);
    const WIDE: Bounds =
        Bounds { connections: 8, per_peer: 8, first: SOON, quiet: SOON, request: SOON, allow: None };

    struct Server {
        address: SocketAddr,
        connector: TlsConnector,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    async fn server(bounds: Bounds) -> Server {
        let own = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let chain = vec![own.cert.der().clone()];
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
        let tls = server_config(Identity { chain, key }).unwrap();
        let mut client = client_config(roots).unwrap();
        client.alpn_protocols.clear();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new().route("/", get(|| async { "well" }));
        let task = tokio::spawn(serve_within(bounds, listener, Some(tls), router, stop.clone()));
        Server { address, connector: TlsConnector::from(Arc::new(client)), stop, task }
    }

    impl Server {
        async fn connect(&self) -> std::io::Result<client::TlsStream<TcpStream>> {
            let stream = TcpStream::connect(self.address).await?;
            self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
        }

        async fn stopped(self) {
            self.stop.cancel();
            tokio::time::timeout(SOON, self.task).await.unwrap().unwrap();
        }
    }

    async fn asked(stream: &mut client::TlsStream<TcpStream>) {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 512];
        let len = stream.read(&mut answer).await.unwrap();
        assert!(answer[..len].starts_with(b"HTTP/1.1 200"));
    }

    /// Whether the server closes it soon.
    async fn closed(stream: &mut client::TlsStream<TcpStream>) -> bool {
        let read = tokio::time::timeout(SOON / 2, stream.read(&mut [0; 64])).await;
        read.is_ok_and(|read| read.is_err() || read.is_ok_and(|len| len == 0))
    }

    #[tokio::test]
    async fn it_stops_while_every_place_is_held() {
        let server = server(Bounds { connections: 2, first: 10 * SOON, ..WIDE }).await;
        let held = (server.connect().await.unwrap(), server.connect().await.unwrap());
        let waiting = TcpStream::connect(server.address).await.unwrap();
        tokio::time::sleep(SHORT).await;
        server.stopped().await;
        drop((held, waiting));
    }

    #[tokio::test]
    async fn it_stops_while_a_handshake_hangs() {
        let server = server(WIDE).await;
        let silent = TcpStream::connect(server.address).await.unwrap();
        tokio::time::sleep(SHORT).await;
        server.stopped().await;
        drop(silent);
    }

    #[tokio::test]
    async fn a_connection_without_a_first_request_is_closed_and_its_place_is_free() {
        let server = server(Bounds { connections: 1, first: SHORT, ..WIDE }).await;
        let mut idle = server.connect().await.unwrap();
        assert!(closed(&mut idle).await);
        asked(&mut server.connect().await.unwrap()).await;
        server.stopped().await;
    }

    #[tokio::test]
    async fn a_connection_that_fell_silent_is_closed() {
        let server = server(Bounds { quiet: SHORT, ..WIDE }).await;
        let mut stream = server.connect().await.unwrap();
        asked(&mut stream).await;
        asked(&mut stream).await;
        assert!(closed(&mut stream).await);
        server.stopped().await;
    }

    #[tokio::test]
    async fn one_peer_does_not_get_every_place() {
        let server = server(Bounds { per_peer: 1, ..WIDE }).await;
        let mut first = server.connect().await.unwrap();
        assert!(server.connect().await.is_err());
        asked(&mut first).await;
        drop(first);
        let again = async {
            while server.connect().await.is_err() {
                tokio::time::sleep(SHORT / 10).await;
            }
        };
        tokio::time::timeout(SOON, again).await.unwrap();
        server.stopped().await;
    }

    #[tokio::test]
    async fn an_address_that_is_not_listed_gets_no_handshake() {
        for (entry, is_let_in) in [("127.0.0.1", true), ("192.0.2.0/24", false)] {
            let allow = Some(AllowList::parse(&[entry]).unwrap());
            let server = server(Bounds { allow, ..WIDE }).await;
            assert_eq!(server.connect().await.is_ok(), is_let_in, "{entry}");
            server.stopped().await;
        }
    }

    #[tokio::test]
    async fn a_request_may_take_longer_than_an_unused_connection_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let slow = || async {
            tokio::time::sleep(2 * SHORT).await;
            "well"
        };
        let router = Router::new().route("/", get(slow));
        let bounds = Bounds { quiet: SHORT, ..WIDE };
        let task = tokio::spawn(serve_within(bounds, listener, None, router, stop.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 512];
        let len = stream.read(&mut answer).await.unwrap();
        assert!(answer[..len].starts_with(b"HTTP/1.1 200"), "plain http, where no certificate is given");
        stop.cancel();
        tokio::time::timeout(SOON, task).await.unwrap().unwrap();
    }

    #[test]
    fn an_ipv6_peer_is_its_whole_network() {
        let of = |address: &str| network_of(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
