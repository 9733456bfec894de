//! One suite, both doors: the embedded module against relay and robot, and the adapter against an enclave server in Python.

use std::sync::Arc;
use std::time::Duration;

use countersign::enclave::{
    Door, EnclaveFault, ErrorReason, Kind, LookAsk, Outcome, Tell, TellAsk, VerifyAsk, VerifyReply, Word,
};
use countersign::evidence::{answer::parse_answer, digest, parse_report};
use countersign::withdrawal::*;

use super::world::*;

const SAT: u64 = 1_200_001;
const ROBBINS: (&str, &str) = ("Robbins", "Taylor");
const NOBODY: &str = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jrz";

/// A door with everything behind it.
struct Stage {
    world: World,
    door: Option<Arc<dyn Door>>,
}

impl Stage {
    async fn embedded() -> Option<Self> {
        let mut stage = Self { world: World::furnished(Plan::default()).await, door: None };
        stage.open().await;
        Some(stage)
    }

    async fn adapter() -> Option<Self> {
        let mut stage = Self { world: World::furnished(Plan::verifyvasp()?).await, door: None };
        stage.open().await;
        Some(stage)
    }

    fn door(&self) -> Arc<dyn Door> {
        self.door.clone().unwrap()
    }

    /// Opens the door over the database that is there, as after a crash.
    async fn open(&mut self) {
        self.door = None;
        self.door = Some(match self.world.plan.server.clone() {
            Some(server) => Arc::new(self.world.own_adapter(&server).await),
            None => Arc::new(self.world.own_enclave().await),
        });
    }

    /// The other VASP does not answer for now.
    async fn hush(&mut self) {
        match self.world.plan.server.clone() {
            Some(server) => server.delay(3_600).await,
            None => self.world.stop_robot().await,
        }
    }

    /// It can be had again. What it was asked meanwhile is asked anew or answered.
    async fn speak(&mut self) {
        match self.world.plan.server.clone() {
            Some(server) => server.delay(0).await,
            None => self.world.start_robot().await,
        }
    }

    /// Relay or enclave server is gone.
    async fn cut(&mut self) {
        match self.world.plan.server.clone() {
            Some(server) => {
                for call in ["order", "item", "list", "tx", "error", "vasps", "self"] {
                    server.mood(call, "silent", None).await;
                }
            }
            None => self.world.stop_relay(),
        }
    }

    /// How many verifications of that amount there are at the other side.
    async fn begun(&self, sat: u64) -> usize {
        match &self.world.plan.server {
            Some(server) => {
                let amount = Amount::from_sat(sat).in_coin(8);
                server.records().await.iter().filter(|r| r["assetInfo"]["amount"] == amount).count()
            }
            None => usize::from(self.world.theirs(sat).await.is_some()),
        }
    }

    /// The transaction and the reason that the other side knows of the payment of that amount.
    async fn told(&self, sat: u64) -> (Option<String>, Option<String>) {
        match &self.world.plan.server {
            Some(server) => {
                let amount = Amount::from_sat(sat).in_coin(8);
                let all = server.records().await;
                let one = all.iter().find(|r| r["assetInfo"]["amount"] == amount).unwrap();
                let text = |name: &str| one[name].as_str().map(str::to_owned);
                (text("txHash"), text("reason").filter(|_| one["result"] == "ERROR"))
            }
            None => {
                let record = self.world.theirs(sat).await.unwrap();
                (record.tx_hash, record.reason.filter(|_| record.result == Outcome::Error))
            }
        }
    }

    async fn until_told(&self, sat: u64, wanted: (Option<&str>, Option<&str>)) {
        for _ in 0..300 {
            let told = self.told(sat).await;
            if (told.0.as_deref(), told.1.as_deref()) == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?} instead of {wanted:?}", self.told(sat).await);
    }

    fn ask(&self, id: &str, destination: &str, sat: u64, name: (&str, &str)) -> VerifyAsk {
        let request = self.world.request(id, destination, sat);
        let text = sign(&request).text;
        VerifyAsk {
            request_digest: data_encoding::HEXLOWER.encode(&digest(&text)),
            request_text: text,
            symbol: "BTC".to_owned(),
            network: request.asset.chain().to_string(),
            destination: destination.to_owned(),
            amount: request.amount,
            value: Some(Krw(1_200_000)),
            beneficiary_vasp: ROBOT_VASP,
            kind: Kind::User,
            payload: Some(ivms(name, destination)),
            fresh_since: None,
        }
    }

    /// Asks until there is a result.
    async fn insist(&self, ask: &VerifyAsk) -> (String, String) {
        for _ in 0..100 {
            match self.door().verify(ask.clone()).await {
                Ok(VerifyReply::Pending) => {}
                Ok(reply) => return said(reply),
                Err(fault) => eprintln!("{fault}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no result");
    }
}

/// Result and reason.
fn said(reply: VerifyReply) -> (String, String) {
    let answer = match reply {
        VerifyReply::Answered { answer_text, .. } => parse_answer(&answer_text).unwrap(),
        VerifyReply::Reported { report_text } => parse_report(&report_text).unwrap().said,
        other => panic!("{other:?}"),
    };
    (answer.result.as_str().to_owned(), answer.reason)
}

fn is(result: &str, reason: &str) -> (String, String) {
    (result.to_owned(), reason.to_owned())
}

macro_rules! both {
    ($($name:ident)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Stage::embedded().await.unwrap()).await;
            })*
        }
        mod adapter {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let Some(stage) = super::Stage::adapter().await else { return };
                super::$name(stage).await;
            })*
        }
    };
}

both! {
    a_person_who_holds_the_address_is_verified
    a_no_is_a_no_with_its_reason
    a_payload_that_is_of_another_transfer_is_refused
    a_vasp_that_is_not_known_is_nobody
    what_is_not_answered_is_pending_and_answered_later
    nobody_in_between_is_never_a_yes
    the_same_digest_asked_ten_times_is_one_verification
    a_digest_with_other_persons_is_a_conflict
    an_answer_is_still_there_after_a_crash
    a_verification_under_way_survives_a_crash
    the_other_side_is_told_the_transaction_once
    the_other_side_is_told_that_it_will_not_happen
    what_was_told_to_nobody_is_told_after_a_crash
    nothing_is_told_of_what_was_not_verified
}

async fn a_person_who_holds_the_address_is_verified(stage: Stage) {
    let ask = stage.ask("w1", TAYLOR, SAT, ROBBINS);
    assert_eq!(stage.insist(&ask).await, is("VERIFIED", "OK"));
    let health = stage.door().health().await.unwrap();
    assert!(health.database && health.relay, "{health:?}");
}

async fn a_no_is_a_no_with_its_reason(stage: Stage) {
    for (n, (address, name, reason)) in [
        (TAYLOR, ("Robbins", "Tailor"), "MISMATCHED-NAME"),
        (ETHAN, ("Cook", "Ethan"), "UNVERIFIED-KYC"),
        (NOBODY, ROBBINS, "UNKNOWN-ADDRESS"),
    ]
    .into_iter()
    .enumerate()
    {
        let ask = stage.ask(&format!("w{n}"), address, SAT, name);
        assert_eq!(stage.insist(&ask).await, is("DENIED", reason), "{address}");
    }
}

async fn a_payload_that_is_of_another_transfer_is_refused(stage: Stage) {
    let good = stage.ask("w1", TAYLOR, SAT, ROBBINS);
    for payload in [ivms(ROBBINS, ETHAN), b"{}".to_vec(), b"robbins".to_vec()] {
        let ask = VerifyAsk { payload: Some(payload), ..good.clone() };
        let fault = stage.door().verify(ask).await.unwrap_err();
        assert_eq!(fault.code(), Code::IvmsMalformed, "{fault}");
        assert!(!fault.to_string().to_lowercase().contains("robbins"), "{fault}");
    }
    let without = VerifyAsk { payload: None, ..good };
    assert_eq!(stage.door().verify(without).await.unwrap_err().code(), Code::FieldMissing);
    assert_eq!(stage.begun(SAT).await, 0);
}

async fn a_vasp_that_is_not_known_is_nobody(stage: Stage) {
    let mut request = stage.world.request("w1", TAYLOR, SAT);
    request.beneficiary_vasp = VaspId(77);
    let text = sign(&request).text;
    let ask = VerifyAsk {
        request_digest: data_encoding::HEXLOWER.encode(&digest(&text)),
        request_text: text,
        beneficiary_vasp: VaspId(77),
        ..stage.ask("w1", TAYLOR, SAT, ROBBINS)
    };
    assert!(matches!(stage.door().verify(ask).await, Err(EnclaveFault::VaspUnknown(VaspId(77)))));
}

async fn what_is_not_answered_is_pending_and_answered_later(mut stage: Stage) {
    stage.hush().await;
    let ask = stage.ask("w1", TAYLOR, SAT, ROBBINS);
    assert_eq!(stage.door().verify(ask.clone()).await.unwrap(), VerifyReply::Pending);
    stage.speak().await;
    let again = match &stage.world.plan.server {
        // What waits there waits for its time; a new one is answered at once.
        Some(_) => stage.ask("w2", TAYLOR, SAT, ROBBINS),
        None => ask,
    };
    assert_eq!(stage.insist(&again).await, is("VERIFIED", "OK"));
}

async fn nobody_in_between_is_never_a_yes(mut stage: Stage) {
    stage.cut().await;
    let ask = stage.ask("w1", TAYLOR, SAT, ROBBINS);
    for _ in 0..2 {
        let reply = stage.door().verify(ask.clone()).await;
        assert!(matches!(reply, Ok(VerifyReply::Pending) | Err(EnclaveFault::Told { .. })), "{reply:?}");
    }
    let looked = stage.door().look(LookAsk { request_digest: &ask.request_digest, payload: None }).await;
    assert_eq!(looked.unwrap().answer, None);
}

async fn the_same_digest_asked_ten_times_is_one_verification(stage: Stage) {
    let ask = stage.ask("w1", TAYLOR, SAT, ROBBINS);
    let door = stage.door();
    let all = (0..10).map(|_| door.verify(ask.clone()));
    for reply in futures_util::future::join_all(all).await {
        assert!(!matches!(reply, Err(_) | Ok(VerifyReply::Expired | VerifyReply::Listed)), "{reply:?}");
    }
    let first = stage.insist(&ask).await;
    let nameless = VerifyAsk { payload: None, ..ask };
    assert_eq!(stage.insist(&nameless).await, first, "who names nobody means those of the first time");
    assert_eq!(stage.begun(SAT).await, 1);
}

async fn a_digest_with_other_persons_is_a_conflict(stage: Stage) {
    let ask = stage.ask("w1", TAYLOR, SAT, ROBBINS);
    stage.insist(&ask).await;
    let other = VerifyAsk { payload: Some(ivms(("Robbins", "Tailor"), TAYLOR)), ..ask.clone() };
    assert!(matches!(stage.door().verify(other).await, Err(EnclaveFault::Conflict)));
    let lied = VerifyAsk { amount: Amount::from_sat(SAT + 1), ..ask };
    assert_eq!(stage.door().verify(lied).await.unwrap_err().code(), Code::FieldMalformed);
    assert_eq!(stage.begun(SAT).await, 1);
}

async fn an_answer_is_still_there_after_a_crash(mut stage: Stage) {
    let ask = stage.ask("w1", TAYLOR, SAT, ROBBINS);
    let first = stage.insist(&ask).await;
    stage.open().await;
    let look = LookAsk { request_digest: &ask.request_digest, payload: ask.payload.as_deref() };
    let looked = stage.door().look(look).await.unwrap();
    assert!(looked.fingerprint.is_some());
    let kept = match looked.answer.unwrap() {
        Word::Signed { text, signature } => said(VerifyReply::Answered { answer_text: text, signature }),
        Word::Reported(report_text) => said(VerifyReply::Reported { report_text }),
    };
    assert_eq!(kept, first);
    assert_eq!(stage.insist(&VerifyAsk { payload: None, ..ask }).await, first);
    assert_eq!(stage.begun(SAT).await, 1);
}

async fn a_verification_under_way_survives_a_crash(mut stage: Stage) {
    if let Some(server) = stage.world.plan.server.clone() {
        server.delay(4).await;
    } else {
        stage.hush().await;
    }
    let ask = stage.ask("w1", TAYLOR, SAT, ROBBINS);
    let door = stage.door();
    let cut_off = tokio::time::timeout(Duration::from_millis(1_500), door.verify(ask.clone())).await;
    assert!(cut_off.is_err() || cut_off.unwrap().unwrap() == VerifyReply::Pending);
    drop(door);
    stage.open().await;
    if stage.world.plan.server.is_none() {
        stage.speak().await;
    }
    assert_eq!(stage.insist(&VerifyAsk { payload: None, ..ask }).await, is("VERIFIED", "OK"));
    assert_eq!(stage.begun(SAT).await, 1);
}

fn tx(ask: &VerifyAsk, hash: &str) -> TellAsk {
    let tell = Tell::Tx { tx_hash: hash.to_owned(), vout: 1, replaces: Vec::new() };
    TellAsk { request_digest: ask.request_digest.clone(), tell }
}

fn error(ask: &VerifyAsk) -> TellAsk {
    TellAsk { request_digest: ask.request_digest.clone(), tell: Tell::Error(ErrorReason::UserCanceled) }
}

async fn the_other_side_is_told_the_transaction_once(stage: Stage) {
    let ask = stage.ask("w1", TAYLOR, SAT, ROBBINS);
    stage.insist(&ask).await;
    let (one, other) = ("ab".repeat(32), "cd".repeat(32));
    let told = stage.door().tell(vec![tx(&ask, &one), tx(&ask, &one)]).await.unwrap();
    assert!(told.iter().all(Result::is_ok), "{told:?}");
    stage.until_told(SAT, (Some(&one), None)).await;
    let again = stage.door().tell(vec![tx(&ask, &one), tx(&ask, &other)]).await.unwrap();
    assert!(again[0].is_ok(), "{again:?}");
    assert_eq!(again[1].as_ref().unwrap_err().code(), Code::VerificationState, "another transaction");
    stage.until_told(SAT, (Some(&one), None)).await;
}

async fn the_other_side_is_told_that_it_will_not_happen(stage: Stage) {
    let ask = stage.ask("w1", TAYLOR, SAT, ROBBINS);
    stage.insist(&ask).await;
    for _ in 0..2 {
        assert!(stage.door().tell(vec![error(&ask)]).await.unwrap()[0].is_ok());
        stage.until_told(SAT, (None, Some("USER-CANCELED"))).await;
    }
    let late = stage.door().tell(vec![tx(&ask, "ab")]).await.unwrap();
    assert_eq!(late[0].as_ref().unwrap_err().code(), Code::VerificationState);
}

async fn what_was_told_to_nobody_is_told_after_a_crash(mut stage: Stage) {
    let ask = stage.ask("w1", TAYLOR, SAT, ROBBINS);
    stage.insist(&ask).await;
    match stage.world.plan.server.clone() {
        Some(server) => server.mood("tx", "broken", None).await,
        None => stage.hush().await,
    }
    let hash = "ab".repeat(32);
    assert!(stage.door().tell(vec![tx(&ask, &hash)]).await.unwrap()[0].is_ok());
    stage.open().await;
    match stage.world.plan.server.clone() {
        Some(server) => server.mood("tx", "lost", None).await,
        None => stage.speak().await,
    }
    stage.until_told(SAT, (Some(&hash), None)).await;
}

async fn nothing_is_told_of_what_was_not_verified(stage: Stage) {
    let ask = stage.ask("w1", ETHAN, SAT, ("Cook", "Ethan"));
    assert_eq!(stage.insist(&ask).await.0, "DENIED");
    let unknown = stage.ask("w2", TAYLOR, SAT, ROBBINS);
    let told = stage.door().tell(vec![tx(&ask, "ab"), error(&ask), tx(&unknown, "ab")]).await.unwrap();
    let codes: Vec<_> = told.iter().map(|told| told.as_ref().unwrap_err().code()).collect();
    assert_eq!(codes, [Code::VerificationState, Code::VerificationState, Code::NotFound]);
}
