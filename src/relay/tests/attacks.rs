//! What a lying relay, a dishonest counterparty or a stranger can try.

use std::sync::Mutex;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::IntoResponse;
use axum::routing::any;
use axum::{Json, Router};
use data_encoding::BASE64;
use ed25519_dalek::Signer;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::enclave::wire::client::{Call, CallFault, Client};
use crate::enclave::wire::key::{KeyType, SignedKey};
use crate::enclave::wire::seal::{self, Binding, Direction, Entropy, Envelope, PublicKey, Suite};
use crate::enclave::wire::signed::Sender;
use crate::enclave::wire::{Fate, KeyAsked, Parcel, tls};

/// What a relay of ours does with a request: path and body in, status and message out.
pub(super) type Behaviour = Arc<dyn Fn(&str, Value) -> (StatusCode, Value) + Send + Sync>;

/// A relay that does as the test says; it remembers what it saw.
pub(super) async fn lying_relay(world: &World, behaviour: Behaviour) -> Arc<Mutex<Vec<(String, Value)>>> {
    let seen: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let notes = seen.clone();
    let answer = move |method: Method, uri: axum::extract::OriginalUri, body: Bytes| async move {
        let path = format!("{method} {}", uri.path());
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        notes.lock().unwrap().push((path.clone(), body.clone()));
        let (status, message) = behaviour(&path, body);
        (status, Json(message)).into_response()
    };
    let router = Router::new().fallback(any(answer));
    let tls = tls::server_config(world.tls()).unwrap();
    tokio::spawn(tls::serve(bind(world.relay_address).await, tls, router, CancellationToken::new()));
    seen
}

fn uuids() -> Value {
    json!({"uuids": (0..8).map(|_| uuid::Uuid::new_v4().to_string()).collect::<Vec<_>>()})
}

pub(super) fn now() -> Seconds {
    clock()()
}

/// The counterparty's key pair in these tests; it has no suite but the one every enclave has.
pub(super) fn their_key() -> seal::KeyPair {
    seal::KeyPair::derive(Suite::X25519, &Zeroizing::new([5; 32]))
}

pub(super) fn fresh(salt: &[u8]) -> Entropy {
    let half: [u8; 32] = Sha256::digest(salt).into();
    let mut whole = Zeroizing::new([0; 64]);
    whole[..32].copy_from_slice(&half);
    whole
}

pub(super) fn their_statement(by: &SigningKey) -> Value {
    let purpose = (KeyType::PerVasp, &*ROBOT.to_string());
    serde_json::to_value(SignedKey::sign(by, ROBOT, purpose, (&their_key().public, &[Suite::X25519]), now()))
        .unwrap()
}

/// A counterparty written from docs/relay.md alone: opens the request and answers as `twist` says.
fn counterparty(parcel: &Parcel, twist: impl Fn(String) -> String, signer: &SigningKey) -> Fate {
    let (from, to) = (EXCHANGE, ROBOT);
    let binding =
        |direction, from, to| Binding { direction, uuid: &parcel.uuid, from, to, key_type: "PerVasp" };
    let plain =
        seal::open(&their_key().private, binding(Direction::Request, from, to), &parcel.envelope).unwrap();
    let request: Value = serde_json::from_slice(&plain).unwrap();
    let asked: Value = serde_json::from_str(request["asked"].as_str().unwrap()).unwrap();
    let ivms: Value = serde_json::from_str(asked["ivms101"].as_str().unwrap()).unwrap();
    let salt = [9; 32];
    let commitment = Sha256::new()
        .chain_update(b"countersign beneficiary-commitment v1\n")
        .chain_update(salt)
        .chain_update(serde_json_canonicalizer::to_vec(&ivms["beneficiary"]).unwrap());
    let field = |name: &str| asked[name].as_str().unwrap().to_owned();
    let answer = twist(format!(
        "countersign verification-answer v1\nuuid: {}\nkind: user\noriginating_vasp: {EXCHANGE}\nbeneficiary_vasp: {ROBOT}\n\
         asset: {}\nnetwork: {}\ndestination: {}\namount: {}\ncommitment: {}\nresult: VERIFIED\nreason: OK\n\
         answered_at: {}\nrequest_digest: {}\n",
        field("uuid"),
        field("asset"),
        field("network"),
        field("destination"),
        field("amount"),
        HEXLOWER.encode(&commitment.finalize()),
        now().0,
        field("request_digest"),
    ));
    let reply = json!({
        "answer": answer,
        "signature": BASE64.encode(&signer.sign(answer.as_bytes()).to_bytes()),
        "salt": HEXLOWER.encode(&salt),
        "ivms101": "",
    });
    let reply_key = HEXLOWER.decode(request["reply_key"]["public_key"].as_str().unwrap().as_bytes()).unwrap();
    let sealed = seal::seal(
        &PublicKey::new(Suite::X25519, reply_key).unwrap(),
        binding(Direction::Reply, to, from),
        reply.to_string().as_bytes(),
        fresh(&now().0.to_be_bytes()),
    );
    Fate::Answered { envelope: sealed.unwrap() }
}

/// The commitment to nobody, under the salt of these tests.
fn nobody() -> String {
    let hash = Sha256::new().chain_update(b"countersign beneficiary-commitment v1\n").chain_update([9; 32]);
    HEXLOWER.encode(&hash.finalize())
}

/// A relay and counterparty in one whose answer is twisted. Gives what the exchange's enclave made of it.
async fn twisted(
    twist: impl Fn(String) -> String + Send + Sync + 'static,
    signer: SigningKey,
) -> (VerifyReply, Vec<(String, Value)>) {
    let world = World::without_relay().await;
    let behaviour: Behaviour = Arc::new(move |path, body| match path {
        "POST /v1/uuids" => (StatusCode::OK, uuids()),
        "POST /v1/keys" => (StatusCode::OK, their_statement(&identity_of(ROBOT.0))),
        "POST /v1/verifications" => {
            let fate = counterparty(&serde_json::from_value(body).unwrap(), &twist, &signer);
            (StatusCode::OK, serde_json::to_value(fate).unwrap())
        }
        _ => (StatusCode::OK, Value::Null),
    });
    let seen = lying_relay(&world, behaviour).await;
    let exchange = world.exchange().await;
    let reply = exchange.verify(ask("w1", CHECKED, &natural("Robbins", "Taylor"))).await.unwrap();
    exchange.stop().await;
    let seen = seen.lock().unwrap().clone();
    (reply, seen)
}

/// A log that a test reads.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Takes what this thread logs until the guard is dropped.
    ///
    /// With one listener alone, `tracing` asks the thread that comes to a line first, which may be another test's; hence the second.
    pub(super) fn listen(&self) -> (tracing::subscriber::DefaultGuard, tracing::Dispatch) {
        let log = self.clone();
        let second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone());
        (tracing::subscriber::set_default(lines.finish()), second)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn no_free_text_of_the_other_side_reaches_the_log() {
    let log = Log::default();
    let _listening = log.listen();
    let world = World::without_relay().await;
    let behaviour: Behaviour = Arc::new(|path, _| match path {
        "POST /v1/uuids" => (StatusCode::OK, uuids()),
        "POST /v1/keys" => (StatusCode::OK, their_statement(&identity_of(ROBOT.0))),
        "POST /v1/verifications" => {
            (StatusCode::OK, json!({"state": "refused", "error": "no Taylor Robbins here"}))
        }
        _ => (StatusCode::OK, Value::Null),
    });
    lying_relay(&world, behaviour).await;
    let exchange = world.exchange().await;
    let asked = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    assert_eq!(exchange.verify(asked).await.unwrap(), VerifyReply::Pending);
    let robot = world.robot().await;
    let (from, uuid) = ("Robbins".into(), "Taylor Robbins".into());
    let stranger = Parcel { from, uuid, ..forged(&world, &relay_key(), UUID).await };
    assert_eq!(refusal(&world, &stranger).await, "vasp_unknown");
    robot.stop().await;
    exchange.stop().await;
    let text = log.text();
    assert!(text.contains("refused the request: `unreadable`"), "{text}");
    assert!(text.contains("a verification request was refused"), "{text}");
    assert!(!text.contains("Robbins"), "{text}");
}

/// Asks the robot's enclave for a new key of that type.
async fn new_key(world: &World, key_type: &str) -> Result<SignedKey, CallFault> {
    let name = uuid::Uuid::new_v4();
    let identifier = match key_type {
        "PerAddress" => format!("{0}{0}", name.simple()),
        _ => name.to_string(),
    };
    let asked = KeyAsked {
        from: EXCHANGE.to_string(),
        to: ROBOT.to_string(),
        key_type: key_type.into(),
        identifier,
        suites: vec![Suite::X25519.as_str().into()],
    };
    call(world, &as_relay(world), "/v1/inbound/keys", &asked).await
}

#[tokio::test]
async fn a_peer_has_only_so_many_keys_made_in_a_day() {
    let world = World::without_relay().await;
    let robot = world.robot().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.database(ROBOT));
    let keys = sqlx::SqlitePool::connect_with(options).await.unwrap();
    for key_type in ["PerVerification", "PerAddress"] {
        new_key(&world, key_type).await.unwrap();
        let made = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO own_keys \
             SELECT 'x', '{key_type}', i, 0, '{key_type}' || i, x'', x'', '1001', unixepoch() FROM n"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(made)).execute(&keys).await.unwrap();
        assert!(new_key(&world, key_type).await.is_err_and(|fault| fault.is("busy")), "{key_type}");
        sqlx::raw_sql("UPDATE own_keys SET created_at = created_at - 86500").execute(&keys).await.unwrap();
        new_key(&world, key_type).await.unwrap();
    }
    robot.stop().await;
}

/// A backend that never answers.
struct Mute(tokio::sync::Notify);

impl Backend for Mute {
    fn verify_account<'a>(&'a self, _: &'a Question<'a>) -> Working<'a, Verdict> {
        self.0.notify_one();
        Box::pin(std::future::pending())
    }

    fn verify_user<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        self.verify_account(question)
    }
}

#[tokio::test]
async fn a_key_is_made_only_where_there_is_a_place() {
    let world = World::new().await;
    let mut settings = world.settings(ROBOT, world.robot_address);
    settings.limits.at_once_max = 1;
    let mute = Arc::new(Mute(tokio::sync::Notify::new()));
    let robot = world.start(settings, mute.clone(), world.robot_address).await;
    new_key(&world, "PerVerification").await.unwrap();
    let exchange = Arc::new(world.exchange().await);
    let asking = exchange.clone();
    let asking =
        tokio::spawn(async move { asking.verify(ask("w1", CHECKED, &natural("Robbins", "Taylor"))).await });
    // Asked again until the relay knows both.
    let again = async {
        while tokio::time::timeout(Duration::from_millis(200), mute.0.notified()).await.is_err() {
            let _ = exchange.verify(ask("w1", CHECKED, &natural("Robbins", "Taylor"))).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    assert!(new_key(&world, "PerVerification").await.is_err_and(|fault| fault.is("busy")));
    asking.abort();
    robot.stop().await;
}

#[tokio::test]
async fn a_counterparty_written_from_the_specification_alone_is_believed() {
    let (reply, seen) = twisted(|text| text, identity_of(ROBOT.0)).await;
    assert_eq!(verdict(&answered(reply).0), ("VERIFIED", "OK"));
    // And nothing the relay saw holds a name.
    let seen = format!("{seen:?}");
    assert!(seen.contains("ciphertext") && !seen.contains("Robbins") && !seen.contains(CHECKED));
}

#[tokio::test]
async fn an_answer_to_anything_else_is_refused() {
    type Twist = fn(String) -> String;
    let twists: [(&str, Twist); 11] = [
        ("uuid", |t| t.replace(line(&t, "uuid"), "1b4e28ba-2fa1-4d2a-883f-0016d3cca427")),
        ("address", |t| t.replace(CHECKED, UNCHECKED)),
        ("amount", |t| t.replace("150000", "150001")),
        ("network", |t| t.replace("regtest", "mainnet")),
        ("digest", |t| t.replace(line(&t, "request_digest"), &"0".repeat(64))),
        ("person", |t| t.replace(line(&t, "commitment"), &"0".repeat(64))),
        ("nobody", |t| t.replace(line(&t, "commitment"), &nobody())),
        ("absence", |t| t.replace(line(&t, "commitment"), "-")),
        ("kind", |t| t.replace("kind: user", "kind: account")),
        ("time", |t| t.replace(line(&t, "answered_at"), "1700000000")),
        ("form", |t| format!("{t}more: yes\n")),
    ];
    for (what, twist) in twists {
        let (reply, seen) = twisted(twist, identity_of(ROBOT.0)).await;
        assert_eq!(reply, VerifyReply::Pending, "an answer to another {what} was taken");
        assert!(seen.iter().any(|(path, _)| path.starts_with("DELETE")), "{what}");
    }
}

#[tokio::test]
async fn a_no_may_name_nobody() {
    let no = |t: String| {
        let t = t.replace(line(&t, "commitment"), &nobody());
        t.replace("VERIFIED", "DENIED").replace("reason: OK", "reason: LACK-OF-INFORMATION")
    };
    let (reply, _) = twisted(no, identity_of(ROBOT.0)).await;
    assert_eq!(verdict(&answered(reply).0), ("DENIED", "LACK-OF-INFORMATION"));
}

#[tokio::test]
async fn an_answer_signed_by_anybody_else_is_refused() {
    assert_eq!(twisted(|text| text, identity_of(13)).await.0, VerifyReply::Pending);
}

#[tokio::test]
async fn a_relay_that_swaps_keys_gets_nothing() {
    let world = World::without_relay().await;
    let behaviour: Behaviour = Arc::new(|path, _| match path {
        "POST /v1/uuids" => (StatusCode::OK, uuids()),
        // The relay's own key, signed by the relay.
        "POST /v1/keys" => (StatusCode::OK, their_statement(&relay_key())),
        _ => (StatusCode::OK, Value::Null),
    });
    let seen = lying_relay(&world, behaviour).await;
    let exchange = world.exchange().await;
    let reply = exchange.verify(ask("w1", CHECKED, &natural("Robbins", "Taylor"))).await.unwrap();
    assert_eq!(reply, VerifyReply::Pending);
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|(path, _)| path == "POST /v1/keys"));
    assert!(
        seen.iter().all(|(path, _)| path != "POST /v1/verifications"),
        "something was sealed to a swapped key"
    );
}

#[tokio::test]
async fn a_relay_that_talks_both_down_to_the_weaker_suite_gets_nothing() {
    let world = World::without_relay().await;
    // The counterparty was told that the exchange has X25519 alone, and says in what it signs that it has both.
    let purpose = (KeyType::PerVasp, &*ROBOT.to_string());
    let weak = (&their_key().public, &Suite::ALL[..]);
    let weak =
        serde_json::to_value(SignedKey::sign(&identity_of(ROBOT.0), ROBOT, purpose, weak, now())).unwrap();
    let behaviour: Behaviour = Arc::new(move |path, _| match path {
        "POST /v1/uuids" => (StatusCode::OK, uuids()),
        "POST /v1/keys" => (StatusCode::OK, weak.clone()),
        _ => (StatusCode::OK, Value::Null),
    });
    let seen = lying_relay(&world, behaviour).await;
    let exchange = world.exchange().await;
    let reply = exchange.verify(ask("w1", CHECKED, &natural("Robbins", "Taylor"))).await.unwrap();
    assert_eq!(reply, VerifyReply::Pending);
    assert!(seen.lock().unwrap().iter().all(|(path, _)| path != "POST /v1/verifications"));
}

/// The relay's own client, as a test drives it against an enclave.
pub(super) fn as_relay(world: &World) -> Client {
    Client::new(world.roots.clone(), Sender::new("relay".into(), relay_key(), clock())).unwrap()
}

async fn call<A: serde::de::DeserializeOwned>(
    world: &World,
    client: &Client,
    path: &str,
    body: &impl serde::Serialize,
) -> Result<A, CallFault> {
    let base = format!("https://{}", world.robot_address);
    let time = Duration::from_secs(5);
    client.call(Call { to: &ROBOT.to_string(), base: &base, method: Method::POST, path, time }, body).await
}

/// A request to the robot that is sealed correctly but signed by `signer`, with the reply to be sealed to `reply_key`.
async fn forged(world: &World, signer: &SigningKey, uuid: &str) -> Parcel {
    let client = as_relay(world);
    let asked = KeyAsked {
        from: EXCHANGE.to_string(),
        to: ROBOT.to_string(),
        key_type: "PerVasp".into(),
        identifier: ROBOT.to_string(),
        suites: vec![Suite::X25519.as_str().into()],
    };
    let key: SignedKey = call(world, &client, "/v1/inbound/keys", &asked).await.unwrap();
    let public = HEXLOWER.decode(key.public_key.as_bytes()).unwrap();
    let public = PublicKey::new(Suite::X25519, public).unwrap();
    let purpose = (KeyType::PerVasp, &*EXCHANGE.to_string());
    let reply_key =
        SignedKey::sign(signer, EXCHANGE, purpose, (&their_key().public, &[Suite::X25519]), now());
    let asked = json!({
        "uuid": uuid, "kind": "user", "asset": "bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1", "network": "regtest", "destination": CHECKED, "amount": "150000",
        "request_digest": "ab".repeat(32),
        "ivms101": String::from_utf8(payload(&natural("Robbins", "Taylor"), CHECKED)).unwrap(),
    })
    .to_string();
    let binding =
        Binding { direction: Direction::Request, uuid, from: EXCHANGE, to: ROBOT, key_type: "PerVasp" };
    let text = format!(
        "countersign verification-request v1\n{}asked: {}\nreply_key: {}\n",
        String::from_utf8(binding.bytes(Suite::X25519)).unwrap(),
        HEXLOWER.encode(&Sha256::digest(asked.as_bytes())),
        reply_key.public_key
    );
    let signature = BASE64.encode(&signer.sign(text.as_bytes()).to_bytes());
    let plain = json!({"asked": asked, "reply_key": reply_key, "signature": signature}).to_string();
    let envelope = seal::seal(&public, binding, plain.as_bytes(), fresh(uuid.as_bytes())).unwrap();
    Parcel {
        from: EXCHANGE.to_string(),
        to: ROBOT.to_string(),
        uuid: uuid.into(),
        kind: "user".into(),
        key_type: "PerVasp".into(),
        envelope,
    }
}

async fn refusal(world: &World, parcel: &Parcel) -> String {
    match call(world, &as_relay(world), "/v1/inbound/verifications", parcel).await.unwrap() {
        Fate::Refused { error } => error,
        fate => format!("{fate:?}"),
    }
}

const UUID: &str = "1b4e28ba-2fa1-4d2a-883f-0016d3cca427";

#[tokio::test]
async fn a_relay_that_makes_up_a_request_learns_nothing() {
    let world = World::without_relay().await;
    let _robot = world.robot().await;
    let parcel = forged(&world, &relay_key(), UUID).await;
    assert_eq!(refusal(&world, &parcel).await, "signature_invalid");
    assert_eq!(world.times_asked(), 0);
    // The same bytes under the true signature are served: the test can fail.
    let parcel = forged(&world, &identity_of(EXCHANGE.0), UUID).await;
    assert!(refusal(&world, &parcel).await.starts_with("Answered"));
}

#[tokio::test]
async fn tampered_or_moved_ciphertext_is_refused() {
    let world = World::without_relay().await;
    let _robot = world.robot().await;
    let good = forged(&world, &identity_of(EXCHANGE.0), UUID).await;
    let flip = |text: &str| {
        let mut bytes = BASE64.decode(text.as_bytes()).unwrap();
        bytes[7] ^= 1;
        BASE64.encode(&bytes)
    };
    let envelope = |envelope| Parcel { envelope, ..good.clone() };
    let of = good.envelope.clone();
    let cases = [
        (envelope(Envelope { ciphertext: flip(&of.ciphertext), ..of.clone() }), "unreadable"),
        (envelope(Envelope { enc: flip(&of.enc), ..of.clone() }), "unreadable"),
        (envelope(Envelope { suite: "rot13".into(), ..of.clone() }), "unreadable"),
        (envelope(Envelope { key_id: "00".repeat(16), ..of.clone() }), "key_unknown"),
        (Parcel { uuid: uuid::Uuid::new_v4().to_string(), ..good.clone() }, "unreadable"),
        (Parcel { from: ROBOT.to_string(), ..good.clone() }, "unreadable"),
        (Parcel { key_type: "PerAddress".into(), ..good.clone() }, "unreadable"),
        (Parcel { kind: "account".into(), ..good.clone() }, "mismatch"),
        (Parcel { from: "99".into(), ..good.clone() }, "vasp_unknown"),
        (Parcel { to: "99".into(), ..good.clone() }, "malformed"),
    ];
    for (n, (parcel, expected)) in cases.into_iter().enumerate() {
        assert_eq!(refusal(&world, &parcel).await, expected, "case {n}");
    }
    assert_eq!(world.times_asked(), 0);
}

#[tokio::test]
async fn a_parcel_delivered_twice_is_judged_once_and_its_uuid_serves_nothing_else() {
    let world = World::without_relay().await;
    let _robot = world.robot().await;
    let parcel = forged(&world, &identity_of(EXCHANGE.0), UUID).await;
    let open = |said: String| assert!(said.starts_with("Answered"), "{said}");
    open(refusal(&world, &parcel).await);
    open(refusal(&world, &parcel).await);
    assert_eq!(world.times_asked(), 1);
}

#[tokio::test]
async fn an_enclave_takes_requests_of_its_relay_alone_and_each_once() {
    let world = World::without_relay().await;
    let _robot = world.robot().await;
    let parcel = forged(&world, &identity_of(EXCHANGE.0), UUID).await;
    for (name, key) in [("relay", identity_of(13)), (&*EXCHANGE.to_string(), identity_of(EXCHANGE.0))] {
        let client = Client::new(world.roots.clone(), Sender::new(name.into(), key, clock())).unwrap();
        let answer = call::<Fate>(&world, &client, "/v1/inbound/verifications", &parcel).await;
        assert!(matches!(answer, Err(CallFault::Refused { status: 401, .. })), "{answer:?}");
    }
    assert_eq!(
        replayed(&world, world.robot_address, &ROBOT.to_string(), "relay", relay_key()).await,
        (400, 401)
    );
}

#[tokio::test]
async fn the_relay_takes_a_members_request_once_and_nobody_elses() {
    let world = World::new().await;
    let member = EXCHANGE.to_string();
    let key = || identity_of(EXCHANGE.0);
    assert_eq!(replayed(&world, world.relay_address, "relay", &member, key()).await, (400, 401));
    assert_eq!(replayed(&world, world.relay_address, "relay", "99", key()).await, (401, 401));
    assert_eq!(replayed(&world, world.relay_address, "relay", &member, identity_of(13)).await, (401, 401));
}

/// Sends the same signed request (with a body that is none) twice, byte for byte; gives both statuses.
async fn replayed(world: &World, address: SocketAddr, to: &str, from: &str, key: SigningKey) -> (u16, u16) {
    let path = if to == "relay" { "/v1/keys" } else { "/v1/inbound/keys" };
    let head = crate::enclave::wire::signed::Head { to, method: "POST", path };
    let headers = Sender::new(from.into(), key, clock()).headers(head, b"none").unwrap();
    let headers: HeaderMap = headers
        .into_iter()
        .map(|(n, v)| {
            (axum::http::HeaderName::from_static(n), axum::http::HeaderValue::from_str(&v).unwrap())
        })
        .collect();
    let tls = tls::client_config(world.roots.clone()).unwrap();
    let http = reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap();
    let send = || async {
        let request = http.post(format!("https://{address}{path}")).headers(headers.clone()).body("none");
        request.send().await.unwrap().status().as_u16()
    };
    let first = send().await;
    (first, send().await)
}

#[tokio::test]
async fn the_relay_gives_each_member_its_own_uuids_and_carries_no_other() {
    let world = World::new().await;
    let base = format!("https://{}", world.relay_address);
    let client = |vasp: VaspId| {
        Client::new(world.roots.clone(), Sender::new(vasp.to_string(), identity_of(vasp.0), clock())).unwrap()
    };
    let post = |path: &'static str| Call {
        to: "relay",
        base: &base,
        method: Method::POST,
        path,
        time: Duration::from_secs(5),
    };
    let given: Value = client(ROBOT).call(post("/v1/uuids"), &json!({"count": 1})).await.unwrap();
    let parcel = |uuid: &str, from: VaspId| Parcel {
        from: from.to_string(),
        to: ROBOT.to_string(),
        uuid: uuid.into(),
        kind: "user".into(),
        key_type: "PerVasp".into(),
        envelope: Envelope { suite: "s".into(), key_id: "k".into(), enc: "e".into(), ciphertext: "c".into() },
    };
    let theirs = given["uuids"][0].as_str().unwrap();
    let exchange = client(EXCHANGE);
    for (parcel, error) in [
        (parcel(theirs, EXCHANGE), "uuid_unknown"),
        (parcel(theirs, ROBOT), "vasp_unknown"),
        (parcel(UUID, EXCHANGE), "uuid_unknown"),
    ] {
        let answer: Result<Fate, _> = exchange.call(post("/v1/verifications"), &parcel).await;
        assert!(answer.as_ref().is_err_and(|fault| fault.is(error)), "{answer:?}");
    }
    let many: Result<Value, _> = exchange.call(post("/v1/uuids"), &json!({"count": 65})).await;
    assert!(many.is_err_and(|fault| fault.is("malformed")));
    let vasps = Call { method: Method::GET, path: "/v1/vasps", ..post("") };
    let list: Value = exchange.ask(vasps).await.unwrap();
    assert_eq!(
        list,
        json!([{"vasp": "1001", "health": "UNKNOWN"}, {"vasp": ROBOT.to_string(), "health": "UNKNOWN"}])
    );
}
