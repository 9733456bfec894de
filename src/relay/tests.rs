//! Two enclaves and a relay in one process, over real TLS on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod attacks;
mod clearance;
mod coins;
mod deposits;
mod lies;
mod lived;
mod orders;
mod rekey;
mod renewal;
mod reports;
mod screening;
mod shares;
mod story;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::robot::{Customer, Robot};
use super::{Config, Limits, Member, Standing, serve};
use crate::enclave::wire::tls::Identity;
use crate::enclave::{
    self, Backend, Clock, DataKey, Enclave, Kind, NoCustomers, Question, RelayPin, Settings, VaspFacts,
    Verdict, VerifyAsk, VerifyReply, Working,
};
use crate::withdrawal::{Amount, Seconds, VaspId};

const EXCHANGE: VaspId = VaspId(1001);
const ROBOT: VaspId = VaspId(4_855_741_808_338_010_592);
const CHECKED: &str = "bcrt1q-checked";
const UNCHECKED: &str = "bcrt1q-unchecked";
const COMPANY: &str = "bcrt1q-company";
const KOREAN: &str = "bcrt1q-korean";

/// Everything that two enclaves and a relay need.
struct World {
    dir: tempfile::TempDir,
    ca: Issuer<'static, KeyPair>,
    roots: RootCertStore,
    relay_address: SocketAddr,
    robot_address: SocketAddr,
    relay_stop: CancellationToken,
    relay: Option<JoinHandle<()>>,
    asked: Arc<AtomicUsize>,
    /// How far everybody's clock is ahead of the true one, in seconds.
    ahead: Arc<AtomicU64>,
}

fn clock() -> Clock {
    Arc::new(|| Seconds(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()))
}

fn identity_of(name: u64) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(name.to_be_bytes()).into())
}

fn relay_key() -> SigningKey {
    identity_of(0)
}

/// An address that nobody else is given until the tests end: no other test, and no connection that leaves. Whoever connects before
/// it is served is refused.
async fn free() -> SocketAddr {
    static HELD: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let socket = TcpSocket::new_v4().unwrap();
    // Shared with the listener to come, which sets the same.
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    HELD.lock().unwrap().push(socket);
    address
}

/// Binds an address again as soon as the one before has let go of it, which is soon.
async fn bind(address: SocketAddr) -> TcpListener {
    let binding = async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), binding).await.expect("somebody else serves this address")
}

impl World {
    /// A world whose relay runs.
    async fn new() -> Self {
        let mut world = Self::without_relay().await;
        world.start_relay().await;
        world
    }

    async fn without_relay() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        Self {
            dir: tempfile::tempdir().unwrap(),
            ca: Issuer::new(params, key),
            roots,
            relay_address: free().await,
            robot_address: free().await,
            relay_stop: CancellationToken::new(),
            relay: None,
            asked: Arc::default(),
            ahead: Arc::default(),
        }
    }

    fn clock(&self) -> Clock {
        let (clock, ahead) = (clock(), self.ahead.clone());
        Arc::new(move || clock().plus(ahead.load(Ordering::SeqCst)))
    }

    fn tls(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let leaf =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &self.ca).unwrap();
        Identity { chain: vec![leaf.der().clone()], key: PrivateKeyDer::Pkcs8(key.serialize_der().into()) }
    }

    fn relay_config() -> Config {
        let member = |vasp: VaspId| Member {
            vasp: vasp.to_string(),
            identity_key: HEXLOWER.encode(identity_of(vasp.0).verifying_key().as_bytes()),
            endpoint: None,
        };
        let limits = Limits { retry_s_max: 1, call_s_max: 3, probe_s: 1, ..Limits::default() };
        Config { members: vec![member(EXCHANGE), member(ROBOT)], limits }
    }

    fn standing(&self) -> Standing {
        Standing { key: relay_key(), tls: self.tls(), roots: self.roots.clone(), now: self.clock() }
    }

    async fn start_relay(&mut self) {
        let listener = bind(self.relay_address).await;
        self.relay_stop = CancellationToken::new();
        let served = serve(Self::relay_config(), self.standing(), listener, self.relay_stop.clone());
        self.relay = Some(tokio::spawn(async move { served.await.unwrap() }));
    }

    async fn stop_relay(&mut self) {
        self.relay_stop.cancel();
        self.relay.take().unwrap().await.unwrap();
    }

    fn database(&self, vasp: VaspId) -> PathBuf {
        self.dir.path().join(format!("{vasp}.db"))
    }

    fn settings(&self, vasp: VaspId, address: SocketAddr) -> Settings {
        let key = |vasp: VaspId| (vasp, identity_of(vasp.0).verifying_key().to_bytes());
        Settings {
            vasp,
            identity: identity_of(vasp.0),
            data_key: DataKey::new(&[7; 32]),
            database: self.database(vasp),
            directory: BTreeMap::from([key(EXCHANGE), key(ROBOT)]),
            directory_version: 1,
            relay: RelayPin {
                url: format!("https://{}", self.relay_address),
                key: relay_key().verifying_key().to_bytes(),
            },
            roots: self.roots.clone(),
            tls: self.tls(),
            endpoint: format!("https://{address}"),
            vasps: BTreeMap::from([
                (EXCHANGE, VaspFacts { name: "Example \"Exchange\"".into(), country: Some("KR".into()) }),
                (ROBOT, VaspFacts { name: "The Robot".into(), country: None }),
            ]),
            screener: None,
            limits: enclave::Limits {
                retry_s_max: 1,
                answer_wait: Duration::from_millis(2500),
                ..enclave::Limits::default()
            },
            now: self.clock(),
        }
    }

    async fn start(&self, settings: Settings, backend: Arc<dyn Backend>, address: SocketAddr) -> Enclave {
        if !settings.database.exists() {
            Enclave::create_database(&settings.database).await.unwrap();
        }
        Enclave::start(settings, backend, bind(address).await).await.unwrap()
    }

    async fn exchange(&self) -> Enclave {
        let address = free().await;
        self.start(self.settings(EXCHANGE, address), Arc::new(NoCustomers), address).await
    }

    async fn robot(&self) -> Enclave {
        let korean = Customer::person("KIM", "MINSU", &[KOREAN]).with_local_name("김", "민수");
        let robot = Robot::personas(CHECKED, UNCHECKED, COMPANY).with(korean);
        let backend = Counted { robot, asked: self.asked.clone() };
        let enclave =
            self.start(self.settings(ROBOT, self.robot_address), Arc::new(backend), self.robot_address).await;
        while !enclave.health().await.registered {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if self.relay.is_none() {
                break;
            }
        }
        enclave
    }

    fn times_asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The robot, counting the questions it gets.
struct Counted {
    robot: Robot,
    asked: Arc<AtomicUsize>,
}

impl Backend for Counted {
    fn verify_account<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.robot.verify_account(question)
    }

    fn verify_user<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.robot.verify_user(question)
    }
}

/// An IVMS101 payload from a sender to that beneficiary (JSON of its persons).
fn payload(persons: &str, address: &str) -> Vec<u8> {
    format!(
        r#"{{"originator":{{"originatorPersons":[{{"naturalPerson":{{"name":{{"nameIdentifier":[{{
        "primaryIdentifier":"HONG","secondaryIdentifier":"GILDONG","nameIdentifierType":"LEGL"}}]}},
        "dateAndPlaceOfBirth":{{"dateOfBirth":"1990-01-31","placeOfBirth":"Gangneung"}}}}}}],"accountNumber":["customer-17"]}},
        "beneficiary":{{"beneficiaryPersons":[{persons}],"accountNumber":["{address}"]}}}}"#
    )
    .into_bytes()
}

fn natural(primary: &str, secondary: &str) -> String {
    format!(
        r#"{{"naturalPerson":{{"name":{{"nameIdentifier":[{{"primaryIdentifier":"{primary}",
        "secondaryIdentifier":"{secondary}","nameIdentifierType":"LEGL"}}]}}}}}}"#
    )
}

fn legal(name: &str) -> String {
    format!(
        r#"{{"legalPerson":{{"name":{{"nameIdentifier":[{{"legalPersonName":"{name}",
        "legalPersonNameIdentifierType":"LEGL"}}]}}}}}}"#
    )
}

/// A user verification of a withdrawal with that request id.
fn ask(id: &str, address: &str, persons: &str) -> VerifyAsk {
    let request_text = format!(
        "countersign withdrawal-request v1\norganisation: exchange\nrequest_id: {id}\ncustomer_ref: c-17\n\
         asset: bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1\ndestination: {address}\namount: 150000\nfee_max: 2000\n\
         beneficiary_vasp: {ROBOT}\nasked_at: 1700000000\n"
    );
    VerifyAsk {
        request_digest: HEXLOWER.encode(&Sha256::digest(request_text.as_bytes())),
        request_text,
        symbol: "BTC".into(),
        network: "regtest".into(),
        destination: address.into(),
        amount: Amount::from_sat(150_000),
        beneficiary_vasp: ROBOT,
        value: None,
        kind: Kind::User,
        payload: Some(payload(persons, address)),
        fresh_since: None,
    }
}

fn answered(reply: VerifyReply) -> (String, [u8; 64]) {
    match reply {
        VerifyReply::Answered { answer_text, signature } => (answer_text, signature),
        other => panic!("not answered: {other:?}"),
    }
}

/// Asks until there is an answer.
async fn insist(enclave: &Enclave, ask: &VerifyAsk) -> (String, [u8; 64]) {
    for _ in 0..100 {
        match enclave.verify(ask.clone()).await.unwrap() {
            VerifyReply::Pending => tokio::time::sleep(Duration::from_millis(100)).await,
            other => return answered(other),
        }
    }
    panic!("never answered");
}

fn line<'a>(text: &'a str, key: &str) -> &'a str {
    text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(": ")).unwrap()
}

fn verdict(text: &str) -> (&str, &str) {
    (line(text, "result"), line(text, "reason"))
}

/// Every byte SQLite has written for a database.
fn database_bytes(path: &Path) -> Vec<u8> {
    ["", "-wal", "-shm"]
        .iter()
        .flat_map(|end| std::fs::read(format!("{}{end}", path.display())).unwrap_or_default())
        .collect()
}
