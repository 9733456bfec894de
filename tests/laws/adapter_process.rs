//! The adapter as the signer starts it: a process of its own, behind the wall, from the signer's file; and the enclave server's calls
//! to the exchange's backend, passed on by it.

use std::path::Path;
use std::time::Duration;

use countersign::enclave::wall::{Launch, Outside};
use countersign::enclave::{DataKey, Door, Enclave, ErrorReason, Tell, TellAsk, VerifyAsk, VerifyReply};
use countersign::evidence::{NAMESPACE_TRUST, parse_report, sign_ssh, trust_file};
use countersign::withdrawal::*;
use serde_json::{Value, json};

use super::play::{PythonBackend, client};
use super::verifyvasp::asked_about;
use super::world::*;

const BACKEND_TOKEN: &str = "the-backends-own-token";
const LISTENER_TOKEN: &str = "the-enclave-servers-token-of-32-and-more";

fn put(dir: &Path, name: &str, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(name));
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// Trust file, keys and the signer's configuration.
fn papers(dir: &Path, server: u16, backend: &PythonBackend, port: u16) {
    let mut content = trust_content();
    content.vasps[0].identity_key = None;
    content.vasps[0].network = Some("verifyvasp".into());
    let text = trust_file::render(&content).unwrap();
    put(dir, "trust.toml", &text);
    for person in &QUORUM[..2] {
        put(dir, &format!("{person}.sig"), &sign_ssh(&ssh_private(*person), NAMESPACE_TRUST, &text).unwrap());
    }
    put(dir, "data-key", &"07".repeat(32));
    for (name, token) in
        [("token", SIGNER_TOKEN), ("backend-token", BACKEND_TOKEN), ("listener-token", LISTENER_TOKEN)]
    {
        put(dir, name, token);
    }
    let people: Vec<String> = QUORUM
        .iter()
        .map(|seed| format!("{{ name = \"p{seed}\", key = {} }}", json!(ssh_public(*seed))))
        .collect();
    let (people, [one, two, _]) = (people.join(", "), QUORUM);
    let [user, account, transaction, callback] =
        ["user", "account", "transaction", "callback"].map(|call| backend.url(&format!("well/{call}")));
    let config = format!(
        r#"network = "regtest"
listen = "127.0.0.1:1"
[freeze]
listen = "127.0.0.1:2"
folder = "freeze"
[tls]
ca = "x"
cert = "x"
key = "x"
[wallet]
hot_fingerprint = "0000000000000000"
cold_fingerprint = "0000000000000000"
[store]
url = "sqlite:/nowhere"
[keystore]
path = "x"
passphrase = {{ file = "x" }}
[trust]
file = "trust.toml"
signatures = ["{one}.sig", "{two}.sig"]
[trust.quorum]
threshold = 2
people = [{people}]
[policy]
settings = "x"
rules = "built-in"
[log]
origin = "{SIGNER_ORIGIN}"
[cosigner]
address = "cosigner:1"
[verifyvasp]
database = "adapter.db"
data_key = {{ file = "data-key" }}
[verifyvasp.server]
url = "http://127.0.0.1:{server}"
network_name = "{CHAIN}"
token = {{ file = "token" }}
allow = ["127.0.0.1"]
[verifyvasp.exchange]
verify_user_url = "{user}"
verify_account_url = "{account}"
transaction_url = "{transaction}"
callback_url = "{callback}"
token = {{ file = "backend-token" }}
[verifyvasp.exchange.listener]
listen = "127.0.0.1:{port}"
token = {{ file = "listener-token" }}
allow = ["127.0.0.1"]
[limits]
memory_lock = false
"#
    );
    put(dir, "signer.toml", &config);
}

fn ask(id: &str) -> VerifyAsk {
    asked_about(&WithdrawalRequest {
        organisation: Organisation::parse("acme").unwrap(),
        request_id: RequestId::parse(id).unwrap(),
        customer_ref: CustomerRef::parse("customer-1").unwrap(),
        asset: ASSET,
        destination: TAYLOR.to_owned(),
        amount: Amount::from_sat(1_000_000),
        fee_max: Amount::from_sat(20_000),
        beneficiary_vasp: ROBOT_VASP,
        asked_at: Seconds(1_800_000_000),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapter_works_behind_the_wall_and_passes_the_enclave_servers_calls_on() {
    let dir = tempfile::tempdir().unwrap();
    let port = countersign::sandbox::ports::free().unwrap().port();
    let api = format!("http://127.0.0.1:{port}/verification");
    let extra = ["--vasp-api", &api, "--vasp-token", LISTENER_TOKEN];
    let Some(server) = Server::start(dir.path(), &extra) else { return };
    let backend = PythonBackend::start(&["--token", BACKEND_TOKEN]).unwrap();
    papers(dir.path(), server.0.port, &backend, port);
    Enclave::create_database(&dir.path().join("adapter.db")).await.unwrap();
    let launch = Launch {
        program: env!("CARGO_BIN_EXE_countersign").into(),
        arguments: vec!["enclave-room".into(), "--config".into(), dir.path().join("signer.toml").into()],
        owner: None,
        answer_wait: Duration::from_secs(6),
    };
    let door = Outside::start(launch).await.unwrap();
    assert_eq!(door.address().port(), port);

    let first = ask("w1");
    let reply = door.verify(first.clone()).await.unwrap();
    let VerifyReply::Reported { report_text } = reply else { panic!("{reply:?}") };
    let uuid = parse_report(&report_text).unwrap().said.uuid.to_string();
    let hash = "ab".repeat(32);
    let tell = Tell::Tx { tx_hash: hash.clone(), vout: 1, replaces: Vec::new() };
    let status =
        async || server.0.tell("call", &call("transaction", json!({ "verificationUuid": uuid }))).await;
    assert_eq!(status().await, json!([200, { "verificationUuid": uuid, "transactionStatus": "PENDING" }]));
    let asks = vec![TellAsk { request_digest: first.request_digest.clone(), tell }];
    assert!(door.tell(asks).await.unwrap()[0].is_ok());
    let sent = json!([200, { "verificationUuid": uuid, "transactionStatus": "PROCESSING", "txHash": hash, "vout": "1" }]);
    assert_eq!(status().await, sent, "the backend never heard of this verification");
    let stop = Tell::Error(ErrorReason::UserCanceled);
    let asks = vec![TellAsk { request_digest: first.request_digest.clone(), tell: stop }];
    assert!(door.tell(asks).await.unwrap()[0].is_ok());
    assert_eq!(status().await[1]["transactionStatus"], "CANCELED");

    passed_on(&server, &backend, &uuid).await;
    strangers(&api).await;
    door.stop().await;
}

fn call(name: &str, body: Value) -> Value {
    json!({ "call": name, "body": body })
}

/// Persons and addresses are verified by the backend's own words; callbacks reach it.
async fn passed_on(server: &Server, backend: &PythonBackend, uuid: &str) {
    let account = |address: &str| {
        json!({ "originatingVaspId": "7", "symbol": "BTC", "version": "1.0",
            "ivms101": { "beneficiary": { "accountNumber": [address] } } })
    };
    let yes = server.0.tell("call", &call("account", account("bc1q-checked"))).await;
    assert_eq!((&yes[0], &yes[1]["accountVerificationResult"]), (&json!(200), &json!("VERIFIED")), "{yes}");
    let no = server.0.tell("call", &call("account", account("bc1q-nobody"))).await;
    assert_eq!(no[1]["reason"], "UNKNOWN-ADDRESS", "{no}");
    let other = "5f0c2d4e-7c1b-4a8e-9d51-2b6a0d3a9f10";
    let status = server.0.tell("call", &call("transaction", json!({ "verificationUuid": other }))).await;
    assert_eq!(status[1]["transactionStatus"], "PENDING", "not ours: the backend says");
    for _ in 0..100 {
        let told = backend.told("callbacks").await;
        if told.iter().any(|told| told["data"]["verificationUuid"] == uuid) {
            let seen = backend.told("seen").await;
            let header = |call: &Value| call["headers"]["authorization"].clone();
            let bearer = json!(format!("Bearer {BACKEND_TOKEN}"));
            let shown = |call: &Value| header(call) == bearer || call["headers"]["Authorization"] == bearer;
            assert!(seen.iter().all(shown), "the backend sees its own token and no other: {seen:?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no callback came: {:?}", server.0.told("heard").await);
}

/// Who does not show the token is turned away, and learns nothing.
async fn strangers(api: &str) {
    for (token, path, status) in [
        (None, "user", 401),
        (Some(BACKEND_TOKEN), "user", 401),
        (Some(LISTENER_TOKEN), "nothing", 404),
        (Some(LISTENER_TOKEN), "user", 502),
    ] {
        let mut request = client().post(format!("{api}/{path}")).body("Robbins");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{token:?} {path}");
        assert!(!answer.text().await.unwrap().contains("Robbins"));
    }
}

/// What `--check` of the signer's file in that folder says of a part: whether it is well, and the code and field otherwise.
fn checked(dir: &Path, part: &str) -> (bool, String, String) {
    let file = dir.join("signer.toml");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
    let output = command.args(["signer", "--check", "--json", "--config"]).arg(file).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat())));
    let parts = said["checks"].as_array().unwrap();
    let found = parts.iter().find(|found| found["part"] == part).unwrap_or_else(|| panic!("{part}: {said}"));
    let word = |name: &str| found["error"][name].as_str().unwrap_or_default().to_owned();
    (found["ok"] == true, word("code"), word("field"))
}

#[tokio::test(flavor = "multi_thread")]
async fn check_looks_at_each_part_of_the_adapter_and_calls_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(dir.path(), &[]) else { return };
    let backend = PythonBackend::start(&["--token", BACKEND_TOKEN]).unwrap();
    papers(dir.path(), server.0.port, &backend, 3);
    let database = dir.path().join("adapter.db");
    let is = |part: &str, code: &str, field: &str| {
        let (well, found, at) = checked(dir.path(), part);
        assert_eq!((well, found.as_str(), at.as_str()), (code.is_empty(), code, field), "{part}");
    };
    is("adapter database", "STORE_MISSING", "verifyvasp.database");
    Enclave::create_database(&database).await.unwrap();
    Enclave::try_database(&database, &DataKey::new(&[7; 32])).await.unwrap();
    for part in [
        "adapter database",
        "adapter data key",
        "what is in the database",
        "enclave server",
        "exchange's backend",
        "listener for the enclave server",
    ] {
        is(part, "", "");
    }
    std::fs::write(dir.path().join("data-key"), "08".repeat(32)).unwrap();
    is("what is in the database", "STORE_OTHER_KEY", "verifyvasp.database");
    std::fs::remove_file(dir.path().join("data-key")).unwrap();
    is("adapter data key", "CONFIG_INVALID", "verifyvasp.data_key");
    std::fs::remove_file(dir.path().join("token")).unwrap();
    is("enclave server", "CONFIG_INVALID", "verifyvasp.server.token");
    std::fs::remove_file(dir.path().join("listener-token")).unwrap();
    is("listener for the enclave server", "CONFIG_INVALID", "verifyvasp.exchange.listener.token");
    assert_eq!(backend.told("seen").await, Vec::<Value>::new());
    assert_eq!(server.0.told("heard").await, Vec::<Value>::new());
}
