//! The adapter by itself before an enclave server: whom a list names is cleared by nothing that is kept, and what follows a yes is told.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::enclave::screen::Lists;
use countersign::enclave::verifyvasp::{Adapter, AdapterSettings};
use countersign::enclave::{
    Door, EnclaveFault, ErrorReason, LookAsk, Looked, Tell, TellAsk, VerifyAsk, VerifyReply, Word,
};
use countersign::withdrawal::*;
use serde_json::Value;

use super::verifyvasp::ask;
use super::world::*;

/// A list of addresses and one of names that name nobody yet.
fn lists(dir: &Path) -> Arc<Lists> {
    for name in ["addresses", "names"] {
        std::fs::write(dir.join(name), "nobody\n").unwrap();
    }
    Arc::new(Lists::open(&[dir.join("addresses")], &[dir.join("names")]).unwrap())
}

async fn looked(adapter: &Adapter, ask: &VerifyAsk) -> Looked {
    let payload = ask.payload.as_deref();
    adapter.look(LookAsk { request_digest: &ask.request_digest, payload }).await.unwrap()
}

/// Two asks about one withdrawal, and a list that changes between them.
#[tokio::test(flavor = "multi_thread")]
async fn whom_a_list_names_between_two_asks_is_cleared_by_no_kept_report() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let world = World::furnished(plan).await;
    let named =
        [("names", "Robbins, Taylor"), ("names", "Jihye LEE"), ("addresses", "c-1"), ("addresses", TAYLOR)];
    for (n, (list, listed)) in named.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let lists = lists(dir.path());
        let settings = world.adapter_settings(&server);
        let settings = AdapterSettings { screener: Some(lists.clone()), ..settings };
        let adapter = Adapter::start(settings).await.unwrap();
        let first = ask(&world, &format!("w{n}"));
        let bare = VerifyAsk { payload: None, ..first.clone() };
        assert!(matches!(adapter.verify(first.clone()).await.unwrap(), VerifyReply::Reported { .. }));
        for ask in [&first, &bare] {
            assert!(matches!(looked(&adapter, ask).await.answer, Some(Word::Reported(_))));
        }
        let begun = server.records().await.len();
        std::fs::write(dir.path().join(list), listed).unwrap();
        lists.refresh();
        for ask in [&first, &bare] {
            assert_eq!(looked(&adapter, ask).await.answer, None, "{listed}");
            assert_eq!(adapter.verify(ask.clone()).await.unwrap(), VerifyReply::Listed, "{listed}");
        }
        assert!(looked(&adapter, &first).await.fingerprint.is_some());
        world.later(2_000);
        let anew = VerifyAsk { fresh_since: Some(Seconds(world.now().0 - 100)), ..bare };
        assert_eq!(adapter.verify(anew).await.unwrap(), VerifyReply::Listed, "{listed}");
        assert_eq!(adapter.verify(ask(&world, &format!("x{n}"))).await.unwrap(), VerifyReply::Listed);
        assert_eq!(server.records().await.len(), begun, "nobody is asked about whom a list names");
        adapter.stop().await;
    }
}

/// Until the adapter is as well as that, with nobody asking it anything but how it is.
async fn until_well(adapter: &Adapter, expected: bool) {
    let mut last = None;
    for _ in 0..200 {
        let health = adapter.health().await.unwrap();
        if health.relay && health.registered == expected {
            return;
        }
        last = Some(health);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{expected}: {last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_nobody_asks_knows_how_its_enclave_server_is() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let world = World::furnished(plan).await;
    let settings = world.adapter_settings(&server);
    let settings = AdapterSettings { refresh: Duration::from_millis(50), ..settings };
    let adapter = Adapter::start(settings).await.unwrap();
    until_well(&adapter, true).await;
    for (call, mood) in [("vasps", "broken"), ("self", "garbage")] {
        server.mood(call, mood, None).await;
        until_well(&adapter, false).await;
        server.mood(call, "well", None).await;
        until_well(&adapter, true).await;
    }
    assert_eq!(server.records().await.len(), 0);
    adapter.stop().await;
}

async fn tell(adapter: &Adapter, ask: &VerifyAsk, tell: Tell) -> Result<(), EnclaveFault> {
    let ask = TellAsk { request_digest: ask.request_digest.clone(), tell };
    adapter.tell(vec![ask]).await.unwrap().remove(0)
}

fn tx(hash: &str) -> Tell {
    Tell::Tx { tx_hash: hash.to_owned(), vout: 1, replaces: Vec::new() }
}

/// Until what the enclave server keeps is as wanted.
async fn until(server: &Server, what: &str, wanted: impl Fn(&[Value]) -> bool) {
    for _ in 0..400 {
        if wanted(&server.records().await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: {:?}", server.records().await);
}

/// Until a call came more often than so.
async fn until_called(server: &Server, call: &str, times: usize) -> usize {
    for _ in 0..400 {
        let calls = server.calls(call, SIGNER_TOKEN).await;
        if calls > times {
            return calls;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("`{call}` was called {times} times and no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_refused_by_its_code_is_given_up_and_one_that_is_lost_is_told_for_a_day() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let world = World::furnished(plan).await;
    let adapter = world.own_adapter(&server).await;
    for (n, mood) in ["refused", "broken"].into_iter().enumerate() {
        let ask = ask(&world, &format!("w{n}"));
        adapter.verify(ask.clone()).await.unwrap();
        server.mood("tx", mood, None).await;
        let before = server.calls("tx", SIGNER_TOKEN).await;
        tell(&adapter, &ask, tx(&format!("ab{n}"))).await.unwrap();
        let once = until_called(&server, "tx", before).await;
        world.later(700);
        until_called(&server, "tx", once).await;
        server.mood("tx", "well", None).await;
        world.later(3_600);
    }
    until(&server, "lost", |all| all[1]["txHash"] == "ab1").await;
    assert_eq!(server.records().await[0]["txHash"], Value::Null, "it was refused for ten minutes");
    adapter.stop().await;
}

/// Has a verified withdrawal verified anew, and gives what comes of it.
async fn anew(world: &World, adapter: &Adapter, first: &VerifyAsk) -> VerifyReply {
    world.later(2_000);
    let since = Some(Seconds(world.now().0 - 100));
    adapter.verify(VerifyAsk { fresh_since: since, payload: None, ..first.clone() }).await.unwrap()
}

fn stands(record: &Value, result: &str, reason: &str) -> bool {
    record["result"] == result && record["reason"] == reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_that_a_newer_one_replaces_is_ended_at_the_network() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let world = World::furnished(plan).await;
    let adapter = world.own_adapter(&server).await;
    let first = ask(&world, "w1");
    adapter.verify(first.clone()).await.unwrap();
    assert!(matches!(anew(&world, &adapter, &first).await, VerifyReply::Reported { .. }));
    until(&server, "the old one ends", |all| stands(&all[0], "ERROR", "UNDEFINED-ERROR")).await;
    tell(&adapter, &first, tx("ab")).await.unwrap();
    until(&server, "the new one is paid", |all| all[1]["txHash"] == "ab").await;
    assert!(stands(&server.records().await[1], "VERIFIED", "OK"));
    assert!(matches!(anew(&world, &adapter, &first).await, VerifyReply::Reported { .. }));
    assert_eq!(server.records().await.len(), 2, "what is paid is not verified anew");
    adapter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_that_ends_while_it_is_verified_anew_is_told_to_the_network() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let world = World::furnished(plan).await;
    let settings = world.adapter_settings(&server);
    let settings = AdapterSettings { answer_wait: Duration::from_millis(1_500), ..settings };
    let adapter = Adapter::start(settings).await.unwrap();
    let [waits, lost, unbegun] = ["w1", "w2", "w3"].map(|id| ask(&world, id));
    for ask in [&waits, &lost, &unbegun] {
        assert!(matches!(adapter.verify(ask.clone()).await.unwrap(), VerifyReply::Reported { .. }));
    }
    server.delay(4).await;
    // Begun, and its answer lost; then begun as it should be; then not begun at all.
    server.mood("order", "lost", None).await;
    server.mood("list", "broken", None).await;
    assert_eq!(anew(&world, &adapter, &lost).await, VerifyReply::Pending);
    let stop = || Tell::Error(ErrorReason::UserCanceled);
    let no = tell(&adapter, &lost, stop()).await.unwrap_err();
    assert_eq!(no.code(), Code::EnclaveUnavailable, "it is told again when it is known what was begun");
    server.mood("order", "well", None).await;
    assert_eq!(anew(&world, &adapter, &waits).await, VerifyReply::Pending);
    server.mood("list", "well", None).await;
    server.mood("order", "silent", None).await;
    assert_eq!(anew(&world, &adapter, &unbegun).await, VerifyReply::Pending);
    world.later(120);
    for ask in [&waits, &lost, &unbegun] {
        tell(&adapter, ask, stop()).await.unwrap();
        tell(&adapter, ask, stop()).await.unwrap();
    }
    let is_over = |all: &[Value]| {
        let old = all.iter().take(3).all(|one| stands(one, "ERROR", "UNDEFINED-ERROR"));
        old && all.iter().skip(3).all(|one| stands(one, "ERROR", "USER-CANCELED"))
    };
    until(&server, "every one ends", is_over).await;
    server.mood("order", "well", None).await;
    let bare = VerifyAsk { payload: None, ..unbegun };
    assert_eq!(adapter.verify(bare).await.unwrap(), VerifyReply::Expired);
    assert_eq!(server.records().await.len(), 5);
    adapter.stop().await;
}
