//! A custodian that can only call (ADR 31): the listener beside key B, from strangers, too early, too much, twice, and over a kill.

use std::path::PathBuf;

use bitcoin::Psbt;
use countersign::custodian::inbound::{self, Standing};
use countersign::enclave::allow::AllowList;
use countersign::enclave::exchange::auth::OwnToken;
use countersign::enclave::wire::tls::{self, Identity};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::brakes::Hang;

/// Where called-in answers wait, in the custodian's home.
pub const FOLDER: &str = "calls";
/// The file in which a co-signer says where it listens.
const PLACE: &str = "calls-at";
const CALLS_TOKEN: &str = "0123456789abcdef0123456789abcdef-in";

// -- the two sides -----------------------------------------------------------------------------------------------------

/// What a custodian that calls is told of us.
pub fn told(home: &Path) -> Vec<String> {
    let path = |name: &str| home.join(name).to_str().unwrap().to_owned();
    let told = ["--calls", &path(PLACE), "--calls-ca", &path("calls-ca.pem"), "--calls-token", CALLS_TOKEN];
    told.map(str::to_owned).to_vec()
}

/// The inbox, and the listener's own certificate.
pub fn prepare(home: &Path, authority: &Authority) {
    std::fs::create_dir_all(home.join(FOLDER)).unwrap();
    std::fs::write(home.join("calls-ca.pem"), authority.certificate_pem()).unwrap();
    let hosts = vec!["127.0.0.1".into()];
    let order = LeafOrder { role: Role::Cosigner, name: "calls".into(), hosts, validity: VALID };
    PemFiles::in_folder(home, "listener").write(&authority.issue(&order).unwrap()).unwrap();
}

/// The co-signer's process takes calls, where it has an inbox for them.
pub async fn hear(folder: &Path, inbox: Option<Arc<Inbox>>) {
    let Some(inbox) = inbox else { return };
    let home = folder.join("custodian");
    let files = PemFiles::in_folder(&home, "listener");
    let identity = pki::read_identity(&files.certificate, &files.key).unwrap();
    let tls = tls::server_config(Identity { chain: identity.chain, key: identity.key }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    std::fs::write(home.join("calls-at.new"), listener.local_addr().unwrap().to_string()).unwrap();
    std::fs::rename(home.join("calls-at.new"), home.join(PLACE)).unwrap();
    let allow = AllowList::parse(&["127.0.0.1"]).unwrap();
    let standing = Standing { listener, tls, token: OwnToken::new(CALLS_TOKEN).unwrap(), allow };
    tokio::spawn(inbound::serve(inbox, standing, CancellationToken::new()));
}

impl Scene {
    /// One call of the custodian's: its status, 0 where there was no answer.
    async fn call(&self, id: ReservationId, otherwise: Value) -> (u64, String) {
        let mut told = json!({ "reservation": id.to_string() });
        told.as_object_mut().unwrap().extend(otherwise.as_object().unwrap().clone());
        let said = self.python.tell("call", &told).await;
        (said[0].as_u64().unwrap(), said[1].as_str().unwrap().to_owned())
    }

    /// What lies in the inbox, in order.
    fn lying(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.cast.folder().join("custodian").join(FOLDER)).unwrap();
        let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// A withdrawal that the custodian has and has not answered.
    async fn waiting(&self, number: usize) -> (WithdrawalOrder, CosignedRow) {
        self.mood("late").await;
        let order = self.order(number);
        self.held(&order, Code::CustodianPending).await;
        let row = self.booked(&order).await;
        let id = reservation_of(&row).to_string();
        while !self.python.told("seen").await.iter().any(|seen| seen["reservation"] == *id) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (order, row)
    }
}

fn signatures(psbt: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let psbt = Psbt::deserialize(psbt).unwrap();
    psbt.inputs.iter().map(|input| input.partial_sigs.values().map(|one| one.to_vec()).collect()).collect()
}

// -- the tests ---------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn l20_a_call_without_the_token_from_elsewhere_too_big_or_to_another_path_writes_nothing() {
    let Some(scene) = Scene::new(Way::Calls).await else { return };
    let (order, row) = scene.waiting(0).await;
    let id = reservation_of(&row);
    let unknown = ReservationId::of_txid(&[9; 32]);
    let bare = id.to_string();
    let bad = [
        (json!({ "token": "" }), 401),
        (json!({ "token": "Bearer 0123456789abcdef0123456789abcdef-IN" }), 401),
        (json!({ "token": format!("Basic {CALLS_TOKEN}") }), 401),
        (json!({ "token": "", "size": 4_000_000 }), 401),
        (json!({ "token": "", "path": format!("/custody/answers/{unknown}") }), 401),
        (json!({ "method": "GET" }), 405),
        (json!({ "method": "PUT" }), 405),
        (json!({ "path": "/" }), 404),
        (json!({ "path": "/custody/answers/" }), 404),
        (json!({ "path": format!("/custody/answers/{bare}/") }), 404),
        (json!({ "path": format!("/custody/answers/{bare}?a=b") }), 404),
        (json!({ "path": format!("//custody/answers/{bare}") }), 404),
        (json!({ "path": format!("/custody/answers/%72{}", &bare[1..]) }), 404),
        (json!({ "path": format!("/custody/answers/../answers/{bare}") }), 404),
        (json!({ "path": format!("/custody/answers/{}", bare.to_uppercase()) }), 404),
        (json!({ "path": format!("/custody/answers/{unknown}") }), 404),
        (json!({ "size": 400_000 }), 413),
        (json!({ "from": "127.0.0.2" }), 0),
        (json!({ "half": true }), 0),
    ];
    for (otherwise, status) in bad {
        let (said, body) = scene.call(id, otherwise.clone()).await;
        // a caller with too much to say may be hung up on while it is still speaking
        let big = otherwise.get("size").is_some() && said == 0;
        assert!(said == status || big, "{otherwise}: {said} {body}");
        assert_eq!(scene.lying(), Vec::<PathBuf>::new(), "{otherwise}");
    }
    let log = scene.cast.log("cosigner", 0xb).await;
    assert!(!log.iter().any(|leaf| leaf.contains("\"kind\":\"alarm\"")), "a stranger raises no alarm");
    assert!(matches!(scene.recall(&row).await, Recalled::Pending(_)));

    assert_eq!(scene.call(id, json!({ "as": ["good"] })).await.0, 202);
    let view = scene.cast.ask_until_released(&order).await;
    judge(&view);
    assert_eq!(view.txid, Some(row.txid));
    // its answer was lost on the way back, and it calls again; then with something else
    while scene.call(id, json!({})).await.0 != 404 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(scene.call(id, json!({ "as": ["good"] })).await.0, 202);
    while !scene.lying().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let asked = scene.python.told("seen").await;
    assert!(asked.iter().all(|seen| seen["by"] == "post"), "who calls in is not asked: {asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_called_in_twice_and_otherwise_and_killed_before_it_is_judged_the_first_durable_one_is_kept() {
    let Some(mut scene) = Scene::new(Way::Calls).await else { return };
    for (number, first) in ["well", "garbage"].into_iter().enumerate() {
        let (order, row) = scene.waiting(number).await;
        let id = reservation_of(&row);
        // its database hangs: what is called in now is durable and cannot be kept as the answer yet
        let hang = Hang::hold(&scene.cast, Role::Cosigner).await;
        for (name, mood) in
            [("one", first), ("one", first), ("two", "well"), ("three", "well"), ("two", "well")]
        {
            assert_eq!(scene.call(id, json!({ "as": [name], "mood": mood })).await.0, 202, "{name}");
        }
        let lying = scene.lying();
        assert_eq!(lying.len(), 3, "the same bytes are one answer: {lying:?}");
        let told: Vec<Vec<u8>> = lying.iter().map(|path| std::fs::read(path).unwrap()).collect();
        // after the start its server takes nothing, and what it has called in counts all the same
        scene.mood("broken").await;
        scene.cast.kill(Victim::Cosigner);
        hang.let_go().await;
        assert_eq!(scene.lying(), lying, "nothing is lost");
        scene.cast.start_what_is_down().await;
        judge(&scene.cast.ask_until_released(&order).await);
        let kept = scene.booked(&order).await.custody.and_then(|custody| custody.psbt).unwrap();
        let kept = signatures(&HEXLOWER.decode(kept.as_bytes()).unwrap());
        let winner = if first == "well" { &told[0] } else { &told[1] };
        assert_eq!(kept, signatures(winner), "{first} first");
        assert_ne!(kept, signatures(&told[2]), "the custodian signs otherwise each time");
    }
    assert_eq!(scene.alarms(Code::CustodianAnswerMalformed).await, 1);
    assert_eq!(scene.entries("custodian_signed").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_a_full_inbox_says_so_and_takes_the_right_answer_once_the_wrong_ones_are_judged() {
    let Some(scene) = Scene::new(Way::Calls).await else { return };
    let (order, row) = scene.waiting(0).await;
    let id = reservation_of(&row);
    let hang = Hang::hold(&scene.cast, Role::Cosigner).await;
    for _ in 0..16 {
        assert_eq!(scene.call(id, json!({ "mood": "garbage" })).await.0, 202);
    }
    let (status, body) = scene.call(id, json!({})).await;
    assert!(status == 503 && body.contains("FULL"), "{status} {body}");
    assert_eq!(scene.lying().len(), 16);
    hang.let_go().await;
    while scene.call(id, json!({ "as": ["right"] })).await.0 != 202 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    judge(&scene.cast.ask_until_released(&order).await);
    assert_eq!(scene.alarms(Code::CustodianAnswerMalformed).await, 16);
}
