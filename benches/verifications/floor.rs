//! The hand floor: what a verification cannot do without, in a straight line. The same seals, signatures, calls over TLS and commits as the
//! complete way, at the same places and in the same order; no queue, no retry, no lookup, no JSON, every key parsed beforehand.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use countersign::enclave::wire::seal::Suite;
use countersign::enclave::wire::tls::{self, Identity};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Executor};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::measure::{Runtimes, Trip};
use crate::parties::*;
use crate::sizes::{Sizes, UUIDS_AHEAD};
use crate::world::travel_tls;

const INFO: &[u8] = b"countersign travel rule v1";
const HEADERS: [&str; 4] =
    ["countersign-from", "countersign-timestamp", "countersign-nonce", "countersign-signature"];

/// Both halves of an encryption key, parsed.
pub struct Pair<K: Kem> {
    private: K::PrivateKey,
    public: K::PublicKey,
}

impl<K: Kem> Pair<K> {
    fn of(seed: u8) -> Self {
        let (private, public) = K::derive_keypair(&[seed; 32]);
        Self { private, public }
    }

    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let seal = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, K>;
        let (enc, sealed) = seal(&OpModeS::Base, &self.public, INFO, plain, &[0; 200]).unwrap();
        [&enc.to_bytes()[..], &sealed].concat()
    }

    fn open(&self, sealed: &[u8], plain_len: usize) -> Vec<u8> {
        let (enc, rest) = sealed.split_at(K::EncappedKey::size());
        let enc = K::EncappedKey::from_bytes(enc).unwrap();
        let open = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, K>;
        open(&OpModeR::Base, &self.private, &enc, INFO, &rest[..plain_len + 16], &[0; 200]).unwrap()
    }
}

/// A database with one table of one row, opened as the enclave opens its own.
struct OneRow(Mutex<SqliteConnection>);

impl OneRow {
    async fn create(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON")
            .pragma("temp_store", "MEMORY");
        let mut one = options.connect().await.unwrap();
        one.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT").await.unwrap();
        one.execute("INSERT INTO one VALUES (1, x'00')").await.unwrap();
        Self(Mutex::new(one))
    }

    async fn commit(&self, bytes: Vec<u8>) {
        let query = sqlx::query("UPDATE one SET bytes = ? WHERE id = 1").bind(bytes);
        assert_eq!(query.execute(&mut *self.0.lock().await).await.unwrap().rows_affected(), 1);
    }
}

fn text(method: &str, path: &str, [from, timestamp, nonce]: [&str; 3], body: &[u8]) -> String {
    format!(
        "countersign http-request v1\nfrom: {from}\nto: relay\nmethod: {method}\npath: {path}\ntimestamp: {timestamp}\nnonce: {nonce}\nbody: {}\n",
        HEXLOWER.encode(&Sha256::digest(body))
    )
}

/// One kept connection, and the key of who sends over it.
struct Line {
    key: SigningKey,
    to: SendRequest<Body>,
    authority: String,
}

impl Line {
    async fn open(address: SocketAddr, roots: RootCertStore, key: SigningKey) -> Self {
        let tls = TlsConnector::from(Arc::new(tls::client_config(roots).unwrap()));
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = tls.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
        let (to, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { key, to, authority: address.to_string() }
    }

    /// Signs, sends, and reads the answer.
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Bytes {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        let timestamp = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().to_string();
        let (from, nonce) = (OWN_VASP.to_string(), HEXLOWER.encode(&nonce));
        let signature =
            self.key.sign(text(method.as_str(), path, [&from, &timestamp, &nonce], &body).as_bytes());
        let signature = BASE64.encode(&signature.to_bytes());
        let mut request = Request::builder().method(method).uri(format!("https://{}{path}", self.authority));
        for (name, value) in HEADERS.into_iter().zip([from, timestamp, nonce, signature]) {
            request = request.header(name, value);
        }
        let request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
        let answer = self.to.clone().send_request(request).await.unwrap();
        assert!(answer.status().is_success());
        to_bytes(Body::new(answer.into_body()), usize::MAX).await.unwrap()
    }
}

/// Verifies the signature of a request.
fn admit(key: &VerifyingKey, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) {
    let [from, timestamp, nonce, signature] = HEADERS.map(|name| headers[name].to_str().unwrap());
    let signature = Signature::from_slice(&BASE64.decode(signature.as_bytes()).unwrap()).unwrap();
    key.verify_strict(text(method.as_str(), path, [from, timestamp, nonce], body).as_bytes(), &signature)
        .unwrap();
}

/// Answers requests of one caller for ever.
async fn serve<S, A>(identity: Identity, caller: VerifyingKey, answer: S) -> SocketAddr
where
    S: Fn(String, Bytes) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Bytes> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = TlsAcceptor::from(tls::server_config(identity).unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let stream = tls.accept(stream).await.unwrap();
            let answer = answer.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
                    let path = head.uri.path_and_query().unwrap().as_str().to_owned();
                    admit(&caller, &head.method, &path, &head.headers, &body);
                    Ok::<_, std::convert::Infallible>(Response::new(Body::from(answer(path, body).await)))
                }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// A statement, a request or an answer with its signature, which does not change from one verification to the next.
struct Paper {
    text: Vec<u8>,
    signature: Signature,
    by: VerifyingKey,
}

impl Paper {
    fn new(by: u8, len: usize) -> Self {
        let text = vec![b'x'; len];
        Self { signature: key(by).sign(&text), by: key(by).verifying_key(), text }
    }

    fn sign(&self, by: &SigningKey) {
        assert_eq!(std::hint::black_box(by.sign(&self.text)), self.signature);
    }

    fn verify(&self) {
        self.by.verify_strict(&self.text, &self.signature).unwrap();
    }
}

/// The papers that both sides sign and verify.
struct Papers {
    their_key: Paper,
    reply_key: Paper,
    request: Paper,
    answer: Paper,
}

fn filled(mut bytes: Vec<u8>, len: usize) -> Bytes {
    assert!(bytes.len() <= len, "{} > {len}", bytes.len());
    bytes.resize(len, b'x');
    bytes.into()
}

struct Origin<K: Kem> {
    line: Line,
    own: SigningKey,
    rows: OneRow,
    pairs: Arc<(Pair<K>, Pair<K>)>,
    papers: Arc<Papers>,
    sizes: Sizes,
    asked: AtomicU64,
}

impl<K: Kem + 'static> Origin<K>
where
    Pair<K>: Send + Sync,
{
    async fn verify(self: Arc<Self>) -> Duration {
        let from = Instant::now();
        let sizes = &self.sizes;
        if self.asked.fetch_add(1, Ordering::Relaxed) % UUIDS_AHEAD == 0 {
            self.line.send(Method::POST, "/v1/uuids", filled(Vec::new(), sizes.uuids_asked)).await;
        }
        self.papers.their_key.verify();
        self.papers.reply_key.sign(&self.own);
        self.papers.request.sign(&self.own);
        let sealed = self.pairs.1.seal(&vec![b' '; sizes.request_plain]);
        let body = filled(sealed, sizes.parcel);
        self.rows.commit([&body[..], &vec![0; sizes.asked_row - body.len()]].concat()).await;
        let reply = self.line.send(Method::POST, "/v1/verifications?wait_ms=6000", body).await;
        let plain = self.pairs.0.open(&reply, sizes.reply_plain);
        self.papers.answer.verify();
        self.rows.commit([&plain[..], &vec![0; sizes.answered_row - plain.len()]].concat()).await;
        let took = from.elapsed();
        tokio::spawn(async move {
            let path = "/v1/verifications/5f0c2d4e-7c1b-4a8e-9d51-2b6a0d3a9f10";
            self.line.send(Method::DELETE, path, Bytes::from_static(b"null")).await;
        });
        took
    }
}

async fn start_beneficiary<K: Kem + 'static>(
    (roots_and_identity, database): ((RootCertStore, Identity), std::path::PathBuf),
    pairs: Arc<(Pair<K>, Pair<K>)>,
    papers: Arc<Papers>,
    sizes: Sizes,
) -> SocketAddr
where
    Pair<K>: Send + Sync,
{
    let rows = Arc::new(OneRow::create(&database).await);
    let own = key(ROBOT);
    serve(roots_and_identity.1, key(RELAY).verifying_key(), move |_, body| {
        let (rows, pairs, papers, own) = (rows.clone(), pairs.clone(), papers.clone(), own.clone());
        async move {
            pairs.1.open(&body, sizes.request_plain);
            papers.request.verify();
            papers.reply_key.verify();
            papers.answer.sign(&own);
            // The same bytes again would be no write at all.
            rows.commit(body[..sizes.judged_row].to_vec()).await;
            filled(pairs.0.seal(&vec![b' '; sizes.reply_plain]), sizes.fate)
        }
    })
    .await
}

async fn start_relay(
    (roots, identity): (RootCertStore, Identity),
    to: SocketAddr,
    sizes: Sizes,
) -> SocketAddr {
    let line = Arc::new(Line::open(to, roots, key(RELAY)).await);
    serve(identity, key(OWN).verifying_key(), move |path, body| {
        let line = line.clone();
        async move {
            match &*path {
                "/v1/uuids" => filled(Vec::new(), sizes.uuids_given),
                "/v1/verifications?wait_ms=6000" => {
                    line.send(Method::POST, "/v1/inbound/verifications", body).await
                }
                _ => Bytes::from_static(b"null"),
            }
        }
    })
    .await
}

/// The floor at work, with one suite.
pub struct Floor<K: Kem> {
    name: &'static str,
    runtimes: Runtimes,
    origin: Arc<Origin<K>>,
}

impl<K: Kem + 'static> Floor<K>
where
    Pair<K>: Send + Sync,
{
    pub async fn start(dir: &Path, suite: Suite, workers: usize) -> Self {
        let (runtimes, sizes) = (Runtimes::new(workers), Sizes::of(suite));
        let pairs = Arc::new((Pair::<K>::of(1), Pair::<K>::of(2)));
        let papers = Arc::new(Papers {
            their_key: Paper::new(ROBOT, sizes.key_text),
            reply_key: Paper::new(OWN, sizes.key_text),
            request: Paper::new(OWN, sizes.request_text),
            answer: Paper::new(ROBOT, sizes.answer_text),
        });
        let database = |side: &str| dir.join(format!("floor-{side}-{}.db", suite.as_str()));
        let their = (travel_tls(dir), database("beneficiary"));
        let beneficiary = start_beneficiary(their, pairs.clone(), papers.clone(), sizes);
        let beneficiary = runtimes.beneficiary.spawn(beneficiary).await.unwrap();
        let relay = start_relay(travel_tls(dir), beneficiary, sizes);
        let relay = runtimes.relay.spawn(relay).await.unwrap();
        let (roots, rows) = (travel_tls(dir).0, database("originator"));
        let origin = async move {
            let (line, rows) = (Line::open(relay, roots, key(OWN)).await, OneRow::create(&rows).await);
            Origin { line, own: key(OWN), rows, pairs, papers, sizes, asked: AtomicU64::new(0) }
        };
        let origin = Arc::new(runtimes.origin.spawn(origin).await.unwrap());
        let name = if suite == Suite::XWing { "floor, X-Wing" } else { "floor, X25519" };
        Self { name, runtimes, origin }
    }

    pub fn stop(self) {
        self.runtimes.stop();
    }
}

impl<K: Kem + 'static> Trip for Floor<K>
where
    Pair<K>: Send + Sync,
{
    type Order = ();

    fn name(&self) -> &'static str {
        self.name
    }

    fn runtimes(&self) -> &Runtimes {
        &self.runtimes
    }

    fn order(&self, _: u64) {}

    fn go(&self, (): ()) -> impl Future<Output = Duration> + Send + 'static {
        self.origin.clone().verify()
    }
}
