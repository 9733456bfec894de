//! Key B at an outside custodian (L20, ADR 31): a custodian that shares no line with us, in Python with curves of its own and
//! random nonces, by files and over HTTPS; signer and co-signer as processes of their own, killed with SIGKILL.

mod calls;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::custodian::{Custodian, Folder, Inbox, Settings, Way as There, Webhook};
use countersign::desk::*;
use countersign::enclave::exchange::{Auth, Line};
use countersign::evidence::trust_file::TrustContent;
use countersign::evidence::{Addressee, FreezeText, NAMESPACE_FREEZE, sign_ssh};
use countersign::flow::cosign::{Custody, KeyB};
use countersign::flow::ledger::rows::CosignedRow;
use countersign::grpc::Client;
use countersign::keys::{Phrase, Secret, WordList};
use countersign::pki::{self, Authority, LeafOrder, PemFiles};
use countersign::wire::v1;
use countersign::withdrawal::*;
use data_encoding::HEXLOWER;
use rustls::RootCertStore;
use serde_json::json;

use super::play::PythonBackend;
use super::processes::*;
use super::world::*;

/// The seed of the key by which the custodian refuses.
const CUSTODIAN: u8 = 31;
const TOKEN: &str = "the-custodians-own-token";
const URL_FILE: &str = "custodian-url";

// -- what the processes are told ---------------------------------------------------------------------------------------

/// The trust file of a cast: with the custodian's key where there is one.
pub fn trust_content_of(folder: &Path) -> TrustContent {
    let mut content = trust_content();
    if folder.join("custodian").is_dir() {
        content.cosigner.custodian_key = Some(public(CUSTODIAN));
    }
    content
}

/// Key B as the folder of a cast says it is held; nothing where the co-signer has it.
pub fn key_b(folder: &Path) -> Option<KeyB> {
    let home = folder.join("custodian");
    if !home.is_dir() {
        return None;
    }
    let there = match std::fs::read_to_string(home.join(URL_FILE)) {
        Ok(url) => There::Webhook(webhook(folder, url)),
        Err(_) => There::Folder(Folder::open(home.join("outbox"), home.join("inbox")).unwrap()),
    };
    let calls = home.join(calls::FOLDER);
    let inbox = calls.is_dir().then(|| Arc::new(Inbox::open(calls).unwrap()));
    let custodian = Custodian::new(there, inbox);
    let identity = Arc::new(identity(0xb, "custody"));
    Some(KeyB::Custodian(Arc::new(Custody::new(custodian, identity, Duration::from_millis(20)))))
}

pub use calls::hear as hear_calls;

fn webhook(folder: &Path, url: String) -> Webhook {
    let mut roots = RootCertStore::empty();
    pki::read_certificates(&folder.join("ca.pem")).unwrap().into_iter().for_each(|ca| roots.add(ca).unwrap());
    let line = Line::new(roots, Some(Auth::new(TOKEN, None).unwrap()), None).unwrap();
    Webhook::new(Settings { url, line, time: Duration::from_secs(1) })
}

// -- the custodian -----------------------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Files,
    Https,
    /// Posted to the custodian, which calls its answer in.
    Calls,
    /// Out by files, and in by its own calls.
    FilesAndCalls,
}

impl Way {
    fn has_server(self) -> bool {
        matches!(self, Self::Https | Self::Calls)
    }

    fn calls(self) -> bool {
        matches!(self, Self::Calls | Self::FilesAndCalls)
    }
}

struct Scene {
    cast: Cast,
    python: PythonBackend,
}

/// Whoever has key B: the same words as the co-signer's seed would come from.
fn words() -> String {
    let phrase = Phrase::from_entropy(WordList::English, &Secret::take_from(&mut [0xb; 32])).unwrap();
    phrase.words().collect::<Vec<_>>().join(" ")
}

/// Starts a custodian. It listens for HTTPS in either case; the files are for those who are told of them.
fn hire(home: &Path, way: Way) -> Option<PythonBackend> {
    let path = |name: &str| home.join(name).to_str().unwrap().to_owned();
    let mut args =
        vec!["--words".to_owned(), words(), "--refusal-seed".into(), HEXLOWER.encode(&[CUSTODIAN; 32])];
    let order_key = HEXLOWER.encode(&identity(0xb, "custody").public_key());
    args.extend(["--order-key".into(), order_key, "--token".into(), TOKEN.into()]);
    match way.has_server() {
        false => args.extend(["--outbox".into(), path("outbox"), "--inbox".into(), path("inbox")]),
        true => args.extend(["--tls".into(), path("server.pem"), path("server.key")]),
    }
    if way.calls() {
        args.extend(calls::told(home));
    }
    PythonBackend::play("custodian.py", &args.iter().map(String::as_str).collect::<Vec<_>>())
}

impl Scene {
    async fn new(way: Way) -> Option<Self> {
        let mut python = None;
        // the certificate is there before the custodian starts, and the custodian before the co-signer
        let prepare = |folder: &Path, authority: &Authority| {
            let home = folder.join("custodian");
            for name in ["outbox", "inbox"] {
                std::fs::create_dir_all(home.join(name)).unwrap();
            }
            let order = LeafOrder {
                // of our roles only the parties' certificates are a server's
                role: Role::Cosigner,
                name: "custodian".into(),
                hosts: vec!["127.0.0.1".into()],
                validity: VALID,
            };
            PemFiles::in_folder(&home, "server").write(&authority.issue(&order).unwrap()).unwrap();
            if way.calls() {
                calls::prepare(&home, authority);
            }
            python = hire(&home, way);
            if let (Some(python), true) = (&python, way.has_server()) {
                write_url(&home, python);
            }
        };
        let probe = PythonBackend::play("custodian.py", &["--words", "x", "--refusal-seed", "00"]);
        probe.as_ref()?;
        drop(probe);
        let cast = Cast::prepared(prepare).await;
        Some(Self { cast, python: python? })
    }

    async fn mood(&self, mood: &str) {
        self.python.tell("mood", &json!({ "mood": mood })).await;
    }

    /// What the exchange is told at once, or when it first waits for something.
    async fn ask(&self, order: &WithdrawalOrder) -> WithdrawalView {
        let told = self.cast.exchange().withdrawals().create_withdrawal(wire(order)).await.unwrap();
        WithdrawalView::try_from(told.into_inner()).unwrap()
    }

    /// Asks until the withdrawal is held, with this code.
    async fn held(&self, order: &WithdrawalOrder, code: Code) {
        for _ in 0..600 {
            if codes(&self.ask(order).await).contains(&code.as_str()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it is not {code}: {:?}", self.ask(order).await.outcome);
    }

    /// The row of what the co-signer has decided for a withdrawal, once it has.
    async fn booked(&self, order: &WithdrawalOrder) -> CosignedRow {
        let id = self.ask(order).await.id.to_string();
        loop {
            let mut rows = self.cast.signed().await;
            rows.retain(|row| row.withdrawals.contains(&id));
            if let Some(row) = rows.pop() {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn recall(&self, row: &CosignedRow) -> Recalled {
        self.cast.cosigner().recall(vec![reservation_of(row)]).await.unwrap().remove(0)
    }

    /// How many alarms with this code the co-signer's log has.
    async fn alarms(&self, code: Code) -> usize {
        let (kind, code) = ("\"kind\":\"alarm\"", format!("\"code\":\"{code}\""));
        let log = self.cast.log("cosigner", 0xb).await;
        log.iter().filter(|leaf| leaf.contains(kind) && leaf.contains(&code)).count()
    }

    async fn entries(&self, kind: &str) -> usize {
        let kind = format!("\"kind\":\"{kind}\"");
        self.cast.log("cosigner", 0xb).await.iter().filter(|leaf| leaf.contains(&kind)).count()
    }
}

fn write_url(home: &Path, python: &PythonBackend) {
    // the port of the HTTPS server, which the control server tells
    let mut stream = TcpStream::connect(("127.0.0.1", python.port)).unwrap();
    stream.write_all(b"GET /control/where HTTP/1.0\r\n\r\n").unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    let ports: Vec<u16> = serde_json::from_str(told.rsplit("\r\n").next().unwrap()).unwrap();
    std::fs::write(home.join(URL_FILE), format!("https://127.0.0.1:{}/v1/transactions", ports[0])).unwrap();
}

fn reservation_of(row: &CosignedRow) -> ReservationId {
    let mut txid: [u8; 32] = HEXLOWER.decode(row.txid.as_bytes()).unwrap().try_into().unwrap();
    txid.reverse();
    ReservationId::of_txid(&txid)
}

fn amount_of(number: usize) -> u64 {
    1_500_000 + number as u64
}

impl Scene {
    fn order(&self, number: usize) -> WithdrawalOrder {
        order(&self.cast.request(&format!("c{number}"), amount_of(number)), ("Robbins", "Taylor"))
    }
}

// -- the tests ---------------------------------------------------------------------------------------------------------

async fn pays_in_every_form(way: Way) {
    let Some(mut scene) = Scene::new(way).await else { return };
    for (number, mood) in ["well", "base64", "raw"].into_iter().enumerate() {
        scene.mood(mood).await;
        let order = scene.order(number);
        let view = scene.cast.ask_until_released(&order).await;
        judge(&view);
        let row = scene.booked(&order).await;
        assert_eq!(Some(row.txid.clone()), view.txid, "{mood}");
        let Recalled::Signed(first) = scene.recall(&row).await else { panic!("{mood}: not signed") };
        // the custodian signs again, otherwise, and the co-signer is killed: the first signature stays
        scene.mood("well").await;
        scene.python.tell("again", &json!({})).await;
        scene.cast.kill(Victim::Both);
        scene.cast.start_what_is_down().await;
        assert_eq!(scene.recall(&row).await, Recalled::Signed(first), "{mood}");
        assert_eq!(scene.cast.ask_until_released(&order).await.raw_transaction, view.raw_transaction);
    }
    let seen = scene.python.told("seen").await;
    assert!(seen.len() >= 3 && seen.iter().all(|seen| seen["holds"] == true), "{seen:?}");
    assert_eq!(scene.entries("custodian_signed").await, 3);
    let outbox = scene.cast.folder().join("custodian/outbox");
    assert_eq!(std::fs::read_dir(outbox).unwrap().count(), 0, "what is done lies there no longer");
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_a_custodian_signs_by_files_in_every_form_and_the_first_signature_is_the_one_for_ever() {
    pays_in_every_form(Way::Files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_a_custodian_signs_over_https_in_every_form_and_the_first_signature_is_the_one_for_ever() {
    pays_in_every_form(Way::Https).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_a_custodian_calls_its_signature_in_in_every_form_and_the_first_signature_is_the_one_for_ever() {
    pays_in_every_form(Way::Calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_what_went_out_by_files_is_called_in_and_the_first_signature_is_the_one_for_ever() {
    pays_in_every_form(Way::FilesAndCalls).await;
}

/// Answers that do not hold, and the code of each.
const BAD: [(&str, Code); 12] = [
    ("garbage", Code::CustodianAnswerMalformed),
    ("truncated", Code::CustodianAnswerMalformed),
    ("empty", Code::CustodianAnswerMalformed),
    ("foreign", Code::CustodianAnswerForeign),
    ("wrong_key", Code::CustodianAnswerSignatures),
    ("extra", Code::CustodianAnswerSignatures),
    ("fewer", Code::CustodianAnswerSignatures),
    ("single", Code::CustodianAnswerSignatures),
    ("high_s", Code::CustodianAnswerSignatures),
    ("finished", Code::CustodianAnswerSignatures),
    ("forged_refusal", Code::EvidenceInvalid),
    ("late", Code::CustodianPending),
];

async fn refuses_what_does_not_hold(way: Way) {
    let Some(scene) = Scene::new(way).await else { return };
    for (number, (mood, code)) in BAD.into_iter().enumerate() {
        let before = scene.alarms(code).await;
        scene.mood(mood).await;
        let order = scene.order(number);
        scene.held(&order, Code::CustodianPending).await;
        let row = scene.booked(&order).await;
        if mood != "late" {
            while scene.alarms(code).await == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        assert!(matches!(scene.recall(&row).await, Recalled::Pending(_)), "{mood}: nothing is given up");
        assert!(scene.booked(&order).await.custody.is_some_and(|custody| custody.psbt.is_none()), "{mood}");
        scene.mood("well").await;
        let view = scene.cast.ask_until_released(&order).await;
        judge(&view);
        assert_eq!(view.txid, Some(row.txid), "{mood}: the transaction that was booked");
        let _ = std::fs::remove_dir_all(scene.cast.folder().join("custodian/inbox"));
        std::fs::create_dir(scene.cast.folder().join("custodian/inbox")).unwrap();
    }
    assert_eq!(scene.entries("custodian_signed").await, BAD.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_what_a_custodian_hands_back_wrongly_by_files_is_refused_with_a_code_and_the_reservation_waits() {
    refuses_what_does_not_hold(Way::Files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_what_a_custodian_hands_back_wrongly_over_https_is_refused_with_a_code_and_the_reservation_waits()
{
    refuses_what_does_not_hold(Way::Https).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_what_a_custodian_calls_in_wrongly_is_refused_with_a_code_and_the_right_answer_after_it_counts() {
    refuses_what_does_not_hold(Way::Calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_a_custodian_who_is_out_of_order_or_away_holds_with_the_cure_and_loses_nothing() {
    let Some(mut scene) = Scene::new(Way::Https).await else { return };
    for (number, mood) in ["broken", "redirect", "silent", "lost"].into_iter().enumerate() {
        scene.mood(mood).await;
        let order = scene.order(number);
        let code = if mood == "lost" { Code::CustodianPending } else { Code::CustodianUnreachable };
        scene.held(&order, code).await;
        scene.mood("well").await;
        judge(&scene.cast.ask_until_released(&order).await);
    }
    // gone altogether, and back elsewhere with nothing in its memory
    let order = scene.order(9);
    scene.mood("late").await;
    scene.held(&order, Code::CustodianPending).await;
    let home = scene.cast.folder().join("custodian");
    scene.python = hire(&home, Way::Https).unwrap();
    scene.held(&order, Code::CustodianUnreachable).await;
    write_url(&home, &scene.python);
    scene.cast.kill(Victim::Cosigner);
    scene.cast.start_what_is_down().await;
    judge(&scene.cast.ask_until_released(&order).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_what_a_custodian_was_given_is_taken_back_only_with_its_signed_refusal() {
    let Some(mut scene) = Scene::new(Way::Files).await else { return };
    scene.mood("late").await;
    let request = scene.cast.request("c0", amount_of(0));
    let order = scene.order(0);
    scene.held(&order, Code::CustodianPending).await;
    let row = scene.booked(&order).await;
    // too late for a cancellation: the custodian may sign any time
    let void = || VoidOrder::Cancellation(cancel_of(&request, EXCHANGE));
    assert_eq!(scene.cast.cosigner().void(void()).await.unwrap(), Voided::Signed);
    assert!(matches!(scene.recall(&row).await, Recalled::Pending(_)));

    scene.mood("refuse").await;
    let told = loop {
        let view = scene.ask(&order).await;
        if let Outcome::Refused(findings) = view.outcome {
            break findings;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(told.iter().any(|f| f.detail.contains("CUSTODIAN_REFUSED")), "{told:?}");
    assert_eq!(scene.entries("custodian_refused").await, 1);
    assert_eq!(scene.recall(&row).await, Recalled::Dead);
    assert!(matches!(scene.cast.cosigner().void(void()).await.unwrap(), Voided::Receipt(_)));

    // its coins pay others, also after a start from the disk alone
    scene.mood("well").await;
    scene.cast.kill(Victim::Both);
    scene.cast.start_what_is_down().await;
    assert_eq!(scene.recall(&row).await, Recalled::Dead);
    let mut inputs = Vec::new();
    for number in 1..=3 {
        let view = scene.cast.ask_until_released(&scene.order(number)).await;
        inputs.extend(judge(&view).input.iter().map(|input| input.previous_output.to_string()));
    }
    assert!(!inputs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_in_a_freeze_nothing_is_handed_to_a_custodian_and_what_it_signs_is_kept_and_not_given() {
    let Some(scene) = Scene::new(Way::Files).await else { return };
    scene.mood("late").await;
    let order = scene.order(0);
    scene.held(&order, Code::CustodianPending).await;
    let row = scene.booked(&order).await;
    while scene.python.told("seen").await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    freeze(&scene.cast).await;
    scene.mood("well").await;
    loop {
        let kept = scene.booked(&order).await.custody.and_then(|custody| custody.psbt);
        if kept.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let no = scene.cast.cosigner().recall(vec![reservation_of(&row)]).await.unwrap_err();
    assert_eq!(no.code(), Code::Frozen, "the signature is there and does not leave");
    let seen = scene.python.told("seen").await.len();
    let _ = scene.ask(&scene.order(1)).await;
    assert_eq!(scene.cast.signed().await.len(), 1, "nothing is decided in a freeze");
    let fresh = scene.python.told("seen").await.into_iter().skip(seen);
    assert_eq!(fresh.filter(|seen| seen["reservation"] != reservation_of(&row).to_string()).count(), 0);
}

async fn freeze(cast: &Cast) {
    let (authorities, identity) = tls_of(cast.folder(), Role::Operator);
    let tls = pki::client_config(&authorities, identity).unwrap();
    let text = FreezeText {
        freeze: FreezeId::of_bytes([7; 16]),
        party: Addressee::Both,
        operator: "kim".into(),
        at: cast.now(),
        reason: "a drill".into(),
    };
    let text = text.render();
    let signature = sign_ssh(&ssh_private(KIM), NAMESPACE_FREEZE, &text).unwrap();
    let brake = Client::with_tls(cast.brake_at(Role::Cosigner), tls, Role::Cosigner).unwrap();
    brake.freezes().freeze(v1::FreezeRequest { text, signature }).await.unwrap();
}

/// Where the blow falls on the way through a custodian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Booked, and the custodian answers nothing.
    Booked,
    /// The custodian has it.
    HandedOver,
    /// The custodian has just begun to answer.
    Answering(u64),
    /// The signature is durable, and the signer may have heard of it or not.
    Kept,
}

fn steps() -> Vec<(Step, Victim)> {
    let mut chance = Chance(20_261_123);
    let mut all = Vec::new();
    for victim in [Victim::Cosigner, Victim::Signer, Victim::Both] {
        all.extend([Step::Booked, Step::HandedOver, Step::Kept].map(|step| (step, victim)));
        all.extend((0..4).map(|_| (Step::Answering(chance.below(60)), victim)));
    }
    all
}

async fn pays_once_however_it_dies(way: Way) {
    let Some(mut scene) = Scene::new(way).await else { return };
    let mut paid = Vec::new();
    for (number, (step, victim)) in steps().into_iter().enumerate() {
        let order = scene.order(number);
        let before = scene.python.told("seen").await.len();
        scene.mood("late").await;
        let asked = scene.ask(&order).await;
        let row = scene.booked(&order).await;
        if step != Step::Booked {
            while scene.python.told("seen").await.len() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        match step {
            Step::Booked | Step::HandedOver => {}
            Step::Answering(ms) => {
                scene.mood("well").await;
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            Step::Kept => {
                scene.mood("well").await;
                while scene.booked(&order).await.custody.is_some_and(|custody| custody.psbt.is_none()) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
        scene.cast.kill(victim);
        // meanwhile the custodian signs once more, in other bytes
        scene.mood("well").await;
        scene.python.tell("again", &json!({})).await;
        scene.cast.start_what_is_down().await;
        let view = scene.cast.ask_until_released(&order).await;
        judge(&view);
        assert_eq!(view.id, asked.id);
        assert_eq!(view.txid, Some(row.txid), "{step:?} {victim:?}: not what was booked");
        paid.push((order, view));
    }
    scene.cast.kill(Victim::Both);
    scene.cast.start_what_is_down().await;
    for (order, view) in &paid {
        let again = scene.cast.ask_until_released(order).await;
        assert_eq!(again.raw_transaction, view.raw_transaction);
        let row = scene.booked(order).await;
        assert!(matches!(scene.recall(&row).await, Recalled::Signed(_)));
    }
    assert_eq!(scene.cast.signed().await.len(), paid.len(), "one transaction for each request");
    assert_eq!(scene.entries("custodian_signed").await, paid.len(), "one signature for each transaction");
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_killed_at_any_step_through_a_custodian_by_files_each_request_is_paid_once_with_one_signature() {
    pays_once_however_it_dies(Way::Files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_killed_at_any_step_through_a_custodian_over_https_each_request_is_paid_once_with_one_signature()
{
    pays_once_however_it_dies(Way::Https).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_killed_at_any_step_while_a_custodian_calls_in_each_request_is_paid_once_with_one_signature() {
    pays_once_however_it_dies(Way::Calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_an_answer_counts_though_nothing_can_be_handed_over_any_more() {
    let Some(mut scene) = Scene::new(Way::Files).await else { return };
    scene.mood("late").await;
    let order = scene.order(0);
    scene.held(&order, Code::CustodianPending).await;
    let id = reservation_of(&scene.booked(&order).await);
    scene.cast.kill(Victim::Cosigner);
    scene.mood("well").await;
    let home = scene.cast.folder().join("custodian");
    let answer = home.join("inbox").join(format!("{id}.psbt"));
    for _ in 0..600 {
        if answer.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(answer.exists());
    // the place of the order is taken by something else
    let place = home.join("outbox").join(format!("{id}.order"));
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir_all(place.join("in-the-way")).unwrap();
    scene.cast.start_what_is_down().await;
    judge(&scene.cast.ask_until_released(&order).await);
}
