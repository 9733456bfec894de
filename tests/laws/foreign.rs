//! A client that shares no line with us carries a withdrawal through: Python, grpcio, PyNaCl, over mutual TLS.
//!
//! The Python is `$COUNTERSIGN_PYTHON` with grpcio, grpcio-tools and pynacl. Without it the test says loudly that it was
//! skipped; with `COUNTERSIGN_REQUIRE_PYTHON=1` it fails instead.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use super::world::*;
use countersign::audit::{LogKey, WitnessKey};
use countersign::desk::Role;
use countersign::grpc::{Desks, Limits, Server, system_clock};
use countersign::pki::{self, Authority, LeafOrder, PemFiles, Validity};
use countersign::withdrawal::Seconds;
use data_encoding::HEXLOWER;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const VALID: Validity = Validity { not_before: Seconds(1_000_000_000), not_after: Seconds(4_000_000_000) };
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn python() -> Option<std::ffi::OsString> {
    let found = std::env::var_os("COUNTERSIGN_PYTHON").filter(|path| !path.is_empty());
    if found.is_none() {
        assert!(
            std::env::var_os("COUNTERSIGN_REQUIRE_PYTHON").is_none_or(|value| value != "1"),
            "COUNTERSIGN_REQUIRE_PYTHON=1, but COUNTERSIGN_PYTHON names no Python"
        );
        // not eprintln!, which the test harness keeps to itself when a test passes
        let loud = "\n*** SKIPPED: the foreign client: COUNTERSIGN_PYTHON names no Python; tests/run.sh brings one ***\n\n";
        std::io::stderr().write_all(loud.as_bytes()).unwrap();
    }
    found
}

fn certificate(authority: &Authority, dir: &Path, role: Role, name: &str) {
    let order = LeafOrder { role, name: name.into(), hosts: vec!["127.0.0.1".into()], validity: VALID };
    PemFiles::in_folder(dir, role.as_str()).write(&authority.issue(&order).unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_nobody_here_wrote_carries_a_withdrawal_through_over_mtls() {
    let Some(python) = python() else { return };
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    world.tap.idle_heads.store(true, Ordering::Relaxed);
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create("test authority", VALID).unwrap();
    std::fs::write(dir.path().join("ca.pem"), authority.certificate_pem()).unwrap();
    for (role, name) in [(Role::Signer, "a"), (Role::Exchange, "acme"), (Role::Auditor, "park")] {
        certificate(&authority, dir.path(), role, name);
    }
    let files = PemFiles::in_folder(dir.path(), "signer");
    let identity = pki::read_identity(&files.certificate, &files.key).unwrap();
    let tls = pki::server_config(std::slice::from_ref(authority.certificate()), identity).unwrap();
    let desks = Desks::of_signer(&world.desk());
    let server = Server { tls, limits: Limits::default(), clock: system_clock(), desks };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(listener, async { stopped.await.unwrap_or(()) }));

    let at = |name: &str| dir.path().join(name).display().to_string();
    let config = json!({
        "address": address,
        "protos": format!("{ROOT}/proto"),
        "files": {
            "ca": at("ca.pem"),
            "exchange_cert": at("exchange.pem"), "exchange_key": at("exchange.key"),
            "auditor_cert": at("auditor.pem"), "auditor_key": at("auditor.key"),
        },
        "organisation": "acme",
        "key_id": "k1",
        "request_seed": HEXLOWER.encode(&[EXCHANGE; 32]),
        "asset": ASSET.to_string(),
        "destination": TAYLOR,
        "beneficiary_name": ["Robbins", "Taylor"],
        "beneficiary_vasp": ROBOT_VASP.to_string(),
        "wallet": hot_wallet().fingerprint(),
        "attestation_key": HEXLOWER.encode(&identity_key(0xb, "attestation")),
        "log_key": LogKey::new(SIGNER_ORIGIN, &identity_key(0xa, "log")).unwrap().to_string(),
        "witness_key": WitnessKey::new(COSIGNER_ORIGIN, &identity_key(0xb, "witness")).unwrap().to_string(),
    });
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let mut command = Command::new(python);
    command.arg(format!("{ROOT}/tests/foreign/client.py")).arg(dir.path().join("config.json"));
    command.env("TMPDIR", dir.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let cried = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{cried}");

    // what it says was released is what we say was released
    let view = world.ask(&world.request("after", TAYLOR, 1_000_000), ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(codes(&view), ["RELEASED"]);
    let done = said.lines().last().unwrap().strip_prefix("done: ").expect("the last line is the result");
    let ours = find(&world, "py-1").await;
    assert_eq!(ours.txid.as_deref(), Some(done));
    assert!(said.lines().filter(|line| line.starts_with("held: ")).count() >= 60, "{said}");
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}

async fn find(world: &World, id: &str) -> countersign::desk::WithdrawalView {
    let request = world.request(id, TAYLOR, 1);
    world.find(countersign::withdrawal::WithdrawalId::of(&request.organisation, &request.request_id)).await
}

fn identity_key(seed: u8, label: &str) -> [u8; 32] {
    identity(seed, label).public_key()
}

/// What the sandbox prints, before a reader that shares no line with it.
fn read_by_python(python: &std::ffi::OsStr, evm: Option<&Path>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["sandbox", "--json"]).env_remove("COUNTERSIGN_EVM");
    command.args(evm.iter().flat_map(|folder| ["--evm".as_ref(), folder.as_os_str()]));
    let played = command.output().unwrap();
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    let mut reader = Command::new(python)
        .arg(format!("{ROOT}/tests/foreign/sandbox.py"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdin.take().unwrap().write_all(&played.stdout).unwrap();
    let read = reader.wait_with_output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stdout));
    String::from_utf8_lossy(&played.stdout).into_owned()
}

#[test]
fn what_the_sandbox_pays_in_bitcoin_ether_and_a_token_holds_before_a_reader_nobody_here_wrote() {
    let Some(python) = python() else { return };
    let told = read_by_python(&python, None);
    assert!(!told.contains("\"chain\":"), "{told}");
}

#[test]
fn with_a_chain_at_hand_the_sandbox_pays_both_payees_on_it_through_observer_and_executor() {
    let (Some(python), Some(evm)) = (python(), super::chain::packages()) else { return };
    let told = read_by_python(&python, Some(&evm));
    assert!(told.contains("\"chain\":"), "{told}");
}
