//! The complete way: two enclaves and a relay as the program runs them, over TLS on the loopback, each with a runtime of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::enclave::wire::seal::Suite;
use countersign::enclave::wire::tls::Identity;
use countersign::enclave::{self, DataKey, Enclave, Kind, NoCustomers, RelayPin, VerifyAsk, VerifyReply};
use countersign::evidence::{ed25519, sign_request};
use countersign::flow::context::machine_clock;
use countersign::relay::robot::Robot;
use countersign::relay::{self, Member, Standing};
use countersign::withdrawal::*;
use data_encoding::HEXLOWER;
use rustls::RootCertStore;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::measure::{Runtimes, Trip};
use crate::parties::*;

/// The roots and the certificate that all parties of the bench share.
pub fn travel_tls(dir: &Path) -> (RootCertStore, Identity) {
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(read("ca.der").into()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(read("key.der").into());
    (roots, Identity { chain: vec![read("cert.der").into()], key })
}

/// A certificate for the loopback that is its own root.
pub fn certificate(dir: &Path) {
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.join("ca.der"), own.cert.der()).unwrap();
    std::fs::write(dir.join("cert.der"), own.cert.der()).unwrap();
    std::fs::write(dir.join("key.der"), own.signing_key.serialize_der()).unwrap();
}

/// The persons of every verification of the bench.
pub fn payload() -> Vec<u8> {
    let person = |primary: &str, secondary: &str| {
        serde_json::json!({"naturalPerson": {
            "name": {"nameIdentifier": [{
                "primaryIdentifier": primary, "secondaryIdentifier": secondary, "nameIdentifierType": "LEGL"
            }]},
            "customerIdentification": "c-1",
        }})
    };
    let payload = serde_json::json!({
        "originator": {"originatorPersons": [person("LEE", "JIHYE")], "accountNumber": ["c-1"]},
        "beneficiary": {"beneficiaryPersons": [person("Robbins", "Taylor")], "accountNumber": [TAYLOR]},
    });
    serde_json::to_vec(&payload).unwrap()
}

/// Two enclaves and a relay at work.
pub struct World {
    name: &'static str,
    origin: Arc<Enclave>,
    /// In the order they stop in.
    runtimes: Runtimes,
    stop: CancellationToken,
    relay: Option<JoinHandle<()>>,
    beneficiary: Option<Enclave>,
}

fn settings(
    dir: &Path,
    (vasp, seed): (VaspId, u8),
    suite: Suite,
    relay: &str,
    own: String,
) -> enclave::Settings {
    let (roots, tls) = travel_tls(dir);
    let suites = Suite::ALL.into_iter().filter(|other| *other >= suite).collect();
    let others = [(OWN_VASP, OWN), (ROBOT_VASP, ROBOT)].into_iter().filter(|(id, _)| *id != vasp);
    enclave::Settings {
        directory_version: 1,
        vasps: Default::default(),
        vasp,
        identity: key(seed),
        data_key: DataKey::new(&[seed; 32]),
        database: dir.join(format!("{}-{vasp}.db", suite.as_str())),
        directory: others.map(|(id, seed)| (id, key(seed).verifying_key().to_bytes())).collect(),
        relay: RelayPin { url: format!("https://{relay}"), key: key(RELAY).verifying_key().to_bytes() },
        roots,
        tls,
        endpoint: format!("https://{own}"),
        screener: None,
        limits: enclave::Limits { suites, waiting_max: 100_000, ..enclave::Limits::default() },
        now: machine_clock(),
    }
}

async fn start_relay(dir: PathBuf, stop: CancellationToken) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let member = |vasp: VaspId, seed: u8| Member {
        vasp: vasp.to_string(),
        identity_key: public(seed),
        endpoint: None,
    };
    let config = relay::Config {
        members: vec![member(OWN_VASP, OWN), member(ROBOT_VASP, ROBOT)],
        limits: relay::Limits::default(),
    };
    let (roots, tls) = travel_tls(&dir);
    let standing = Standing { key: key(RELAY), tls, roots, now: machine_clock() };
    let serving = tokio::spawn(async move { relay::serve(config, standing, listener, stop).await.unwrap() });
    (at, serving)
}

async fn start_enclave(dir: PathBuf, who: (VaspId, u8), suite: Suite, relay: String) -> Enclave {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = settings(&dir, who, suite, &relay, listener.local_addr().unwrap().to_string());
    Enclave::create_database(&settings.database).await.unwrap();
    if who.0 == OWN_VASP {
        return Enclave::start(settings, Arc::new(NoCustomers), listener).await.unwrap();
    }
    let robot = Robot::personas(TAYLOR, "bcrt1q-ethan", "bcrt1q-company");
    Enclave::start(settings, Arc::new(robot), listener).await.unwrap()
}

impl World {
    /// Starts everything, and has the first verification answered: keys and connections are there from then on.
    pub async fn start(dir: &Path, suite: Suite, workers: usize) -> Self {
        let runtimes = Runtimes::new(workers);
        let (dir, stop) = (dir.to_owned(), CancellationToken::new());
        let (relay, serving) = runtimes.relay.spawn(start_relay(dir.clone(), stop.clone())).await.unwrap();
        let beneficiary = start_enclave(dir.clone(), (ROBOT_VASP, ROBOT), suite, relay.clone());
        let beneficiary = runtimes.beneficiary.spawn(beneficiary).await.unwrap();
        let origin = start_enclave(dir, (OWN_VASP, OWN), suite, relay);
        let origin = Arc::new(runtimes.origin.spawn(origin).await.unwrap());
        let name = if suite == Suite::XWing { "complete, X-Wing" } else { "complete, X25519" };
        let world =
            Self { name, origin, runtimes, stop, relay: Some(serving), beneficiary: Some(beneficiary) };
        world.first().await;
        world
    }

    /// Both enclaves must be known to the relay before it can bring anything.
    async fn first(&self) {
        let (origin, ask) = (self.origin.clone(), ask("first"));
        let asking = async move {
            while !matches!(origin.verify(ask.clone()).await.unwrap(), VerifyReply::Answered { .. }) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        self.runtimes.origin.spawn(asking).await.unwrap();
    }

    /// Stops everything.
    pub async fn stop(mut self) {
        let origin = self.origin.clone();
        drop(self.origin);
        if let Some(origin) = Arc::into_inner(origin) {
            self.runtimes.origin.spawn(origin.stop()).await.unwrap();
        }
        if let Some(beneficiary) = self.beneficiary.take() {
            self.runtimes.beneficiary.spawn(beneficiary.stop()).await.unwrap();
        }
        self.stop.cancel();
        if let Some(relay) = self.relay.take() {
            relay.await.unwrap();
        }
        self.runtimes.stop();
    }
}

/// A withdrawal to be verified, with the request as its exchange signed it.
fn ask(id: &str) -> VerifyAsk {
    let request = WithdrawalRequest {
        organisation: Organisation::parse("acme").unwrap(),
        request_id: RequestId::parse(id).unwrap(),
        customer_ref: CustomerRef::parse("customer-1").unwrap(),
        asset: ASSET,
        destination: TAYLOR.to_owned(),
        amount: Amount::from_sat(100_000),
        fee_max: Amount::from_sat(20_000),
        beneficiary_vasp: ROBOT_VASP,
        asked_at: (machine_clock())(),
    };
    let request_text = sign_request(&request, ed25519(&key(EXCHANGE))).unwrap().text;
    VerifyAsk {
        value: None,
        request_digest: HEXLOWER.encode(&Sha256::digest(request_text.as_bytes())),
        request_text,
        symbol: "BTC".to_owned(),
        network: ASSET.chain().to_string(),
        destination: TAYLOR.to_owned(),
        amount: request.amount,
        beneficiary_vasp: ROBOT_VASP,
        kind: Kind::User,
        payload: Some(payload()),
        fresh_since: None,
    }
}

impl Trip for World {
    type Order = VerifyAsk;

    fn name(&self) -> &'static str {
        self.name
    }

    fn runtimes(&self) -> &Runtimes {
        &self.runtimes
    }

    fn order(&self, number: u64) -> VerifyAsk {
        ask(&format!("r{number}"))
    }

    fn go(&self, order: VerifyAsk) -> impl Future<Output = Duration> + Send + 'static {
        let origin = self.origin.clone();
        async move {
            let from = Instant::now();
            let reply = origin.verify(order).await.unwrap();
            let took = from.elapsed();
            match reply {
                VerifyReply::Answered { answer_text, .. } => {
                    assert!(answer_text.contains("\nresult: VERIFIED\n"), "{answer_text}")
                }
                other => panic!("no answer: {other:?}"),
            }
            took
        }
    }
}
