//! The adapter by itself before an enclave server: whom a list names is cleared by nothing that is kept, and what follows a yes is told.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::enclave::screen::Lists;
use countersign::enclave::verifyvasp::{Adapter, AdapterSettings};
use countersign::enclave::{Door, LookAsk, Looked, VerifyAsk, VerifyReply, Word};
use countersign::withdrawal::*;

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
