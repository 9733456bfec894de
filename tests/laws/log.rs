//! L21 to L23: nothing is signed that is not in the log, no past is rewritten, and no row is changed unseen.

use std::sync::atomic::Ordering;

use countersign::audit::{Entry, EntryKind, LogKey, Tree, VerifiedCheckpoint, WitnessKey};
use countersign::desk::*;
use countersign::flow::ledger::journal::Journal;
use countersign::flow::signer::create_store;
use countersign::store::{FaultPoint, StoreUrl};
use countersign::withdrawal::*;

use super::thief::*;
use super::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn l21_what_is_not_in_the_log_is_not_signed() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let paid = thief.payment(&asked);
    let other = thief.book(&thief.sweep(1, 0), vec![]);
    let fresh = |thief: &mut Thief| thief.book(&thief.plot(0, &[&asked]), vec![paid.clone()]);

    // the entry of another reservation, at its place and at another
    let loot = fresh(&mut thief);
    let swapped = Loot { leaf: other.leaf.clone(), leaf_index: other.leaf_index, ..loot };
    assert_eq!(no(thief.ask_one(&world, &swapped).await), "NOT_IN_LOG");
    let loot = fresh(&mut thief);
    let moved = Loot { leaf_index: loot.leaf_index - 1, ..loot };
    assert_eq!(no(thief.ask_one(&world, &moved).await), "NOT_IN_LOG");
    // an entry that never was in the log, with the proof of one that is
    let loot = fresh(&mut thief);
    let mut elsewhere = Entry::parse(&loot.leaf).unwrap().to_leaf();
    let text = String::from_utf8(elsewhere.clone()).unwrap().replace("\"amount\":\"1\"", "\"amount\":\"2\"");
    assert_ne!(text.as_bytes(), elsewhere);
    elsewhere = text.into_bytes();
    assert_eq!(no(thief.ask_one(&world, &Loot { leaf: elsewhere, ..loot }).await), "NOT_IN_LOG");
    // the right entry with the proof of another tree
    let loot = fresh(&mut thief);
    let mut order = thief.order(std::slice::from_ref(&loot));
    order.items[0].inclusion.iter_mut().for_each(|hash| hash[0] ^= 1);
    assert_eq!(refused_whole(&world, &mut thief, order).await, "NOT_IN_LOG");
    let loot = fresh(&mut thief);
    let mut order = thief.order(std::slice::from_ref(&loot));
    order.items[0].inclusion.clear();
    assert_eq!(refused_whole(&world, &mut thief, order).await, "NOT_IN_LOG");
    // an entry that names it and reserves nothing
    let mut loot = fresh(&mut thief);
    let id = loot.reservation.to_string();
    (loot.leaf, loot.leaf_index) =
        thief.log(EntryKind::Signed, &[("reservation", &id), ("txid", &loot.txid)]);
    assert_eq!(no(thief.ask_one(&world, &loot).await), "NOT_IN_LOG");
    // an entry that reserves another transaction under this name, and a name of another transaction
    let mut loot = fresh(&mut thief);
    (loot.leaf, loot.leaf_index) = thief.enter(loot.reservation, &other.txid);
    assert_eq!(no(thief.ask_one(&world, &loot).await), "TRANSACTION_MISMATCH");
    let mut loot = fresh(&mut thief);
    loot.reservation = ReservationId::of_txid(&[9; 32]);
    (loot.leaf, loot.leaf_index) = thief.enter(loot.reservation, &loot.txid);
    assert_eq!(no(thief.ask_one(&world, &loot).await), "TRANSACTION_MISMATCH");

    let loot = fresh(&mut thief);
    yes(thief.ask_one(&world, &loot).await);
}

async fn refused_whole(world: &World, thief: &mut Thief, order: CosignOrder) -> &'static str {
    let mut outcome = world.cosigner().countersign(order).await.unwrap();
    thief.known = thief.tree.size();
    no(outcome.verdicts.remove(0).1)
}

#[tokio::test(flavor = "multi_thread")]
async fn l21_every_step_and_every_no_is_an_entry_under_a_cosigned_head() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let paid = world.withdraw("r1", 2_000_000).await;
    assert_eq!(codes(&paid), ["RELEASED"]);
    let denied = world.ask(&world.request("r2", ETHAN, 2_000_000), ("Cook", "Ethan")).await.unwrap();
    assert_eq!(codes(&denied), ["TRAVEL_RULE_DENIED"]);
    let reused = WithdrawalRequest { amount: Amount::from_sat(3_000_000), ..paid.request.clone() };
    world.ask(&reused, ("Robbins", "Taylor")).await.unwrap_err();
    let leaves = world.leaves().await;
    let entries: Vec<Entry> = leaves.iter().map(|leaf| Entry::parse(leaf).unwrap()).collect();
    let of = |id: WithdrawalId| -> Vec<&str> {
        let id = id.to_string();
        let about =
            |e: &&Entry| ["withdrawal", "withdrawals"].iter().any(|f| e.field(f) == Some(id.as_str()));
        entries.iter().filter(about).map(|e| e.kind().as_str()).collect()
    };
    assert_eq!(of(paid.id), ["asked", "held", "cleared", "reserved", "released", "refused"]);
    assert_eq!(of(denied.id), ["asked", "held", "refused"]);

    // the newest cosigned checkpoint covers the payment, and the whole log leads to it
    let auditor = caller(Role::Auditor, "x");
    let view = world.desk().checkpoint(&auditor).await.unwrap();
    let log = identity(0xa, "log");
    let key = LogKey::new(SIGNER_ORIGIN, &log.public_key()).unwrap();
    let checkpoint = VerifiedCheckpoint::open(&view.note, &key).unwrap();
    assert_eq!(checkpoint.head().size, view.tree_size);
    let witness = identity(0xb, "witness");
    let witness = WitnessKey::new(COSIGNER_ORIGIN, &witness.public_key()).unwrap();
    assert!(view.note.contains(witness.name()), "{}", view.note);
    let reserved = entries.iter().position(|e| e.kind() == EntryKind::Reserved).unwrap() as u64;
    assert!(view.tree_size > reserved);
    let tree = Tree::rebuild(entries.iter().take(view.tree_size as usize).map(Entry::leaf_hash));
    assert_eq!(tree.head(), *checkpoint.head());
}

#[tokio::test(flavor = "multi_thread")]
async fn l22_two_heads_of_one_size_stop_the_cosigner_for_good() {
    let (mut world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let paid = thief.payment(&asked);
    let loot = thief.book(&thief.plot(0, &[&asked]), vec![paid]);
    let signed = yes(thief.ask_one(&world, &loot).await);
    let honest = std::mem::take(&mut thief.tree);
    // the same size, another past
    for n in 0..honest.size() {
        let number = n.to_string();
        thief.log(EntryKind::Policy, &[("policy", &number)]);
    }
    let order = thief.order(&[]);
    assert_eq!(stopped(&world, order).await, Code::LogForked);
    // from now on nothing is signed, not even under the honest log, not after a restart
    thief.tree = honest;
    let next = world.request("r2", TAYLOR, 2_000_000);
    let payment = thief.payment(&next);
    let loot_after = thief.book(&thief.plot(1, &[&next]), vec![payment]);
    for _ in 0..2 {
        let order = thief.order(std::slice::from_ref(&loot_after));
        assert_eq!(stopped(&world, order).await, Code::LogForked);
        let recalled = world.cosigner().recall(vec![loot.reservation]).await;
        assert_eq!(recalled.unwrap_err().code(), Code::LogForked);
        world.restart_cosigner().await;
    }
    drop(signed);
}

#[tokio::test(flavor = "multi_thread")]
async fn l22_a_longer_log_that_does_not_extend_the_last_one_stops_the_cosigner() {
    let (mut world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    thief.ask(&world, &[]).await;
    let size = thief.tree.size();
    thief.tree = Tree::default();
    for n in 0..size + 3 {
        let number = n.to_string();
        thief.log(EntryKind::Policy, &[("policy", &number)]);
    }
    let order = thief.order(&[]);
    assert_eq!(stopped(&world, order).await, Code::LogForked);
    world.restart_cosigner().await;
    let order = thief.order(&[]);
    assert_eq!(stopped(&world, order).await, Code::LogForked);
}

#[tokio::test(flavor = "multi_thread")]
async fn l22_an_older_head_is_answered_with_the_known_size_and_is_no_alarm() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let paid = thief.payment(&asked);
    let older = thief.order(&[]);
    let loot = thief.book(&thief.plot(0, &[&asked]), vec![paid]);
    let unknown = thief.order(std::slice::from_ref(&loot));
    let first = yes(thief.ask_one(&world, &loot).await);
    for order in [older, unknown] {
        let outcome = world.cosigner().countersign(order).await.unwrap();
        assert_eq!(outcome.head, HeadAnswer::KnownSize(thief.known));
        assert!(outcome.verdicts.is_empty());
    }
    assert_eq!(yes(thief.ask_one(&world, &loot).await), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn l22_a_checkpoint_of_another_key_or_log_is_no_checkpoint() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    for origin in [(SIGNER_ORIGIN, 0xc), ("test.example/other", 0xa)] {
        thief.origin = origin;
        let order = thief.order(&[]);
        assert_eq!(stopped(&world, order).await, Code::FieldMalformed);
    }
    // it was no alarm
    thief.origin = (SIGNER_ORIGIN, 0xa);
    thief.ask(&world, &[]).await;
}

async fn stopped(world: &World, order: CosignOrder) -> Code {
    world.cosigner().countersign(order).await.unwrap_err().code()
}

#[tokio::test(flavor = "multi_thread")]
async fn l22_a_restored_old_database_does_not_sign() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    assert_eq!(codes(&world.withdraw("r1", 2_000_000).await), ["RELEASED"]);
    world.stop_signer().await;
    let old = world.backup("signer").await;
    world.start_signer().await;
    let paid = world.withdraw("r2", 2_000_000).await;
    assert_eq!(codes(&paid), ["RELEASED"]);
    world.stop_signer().await;
    let newest = world.backup("signer").await;
    world.restore("signer", &old).await;

    // it does not start
    let no = world.try_start_signer().await.unwrap_err();
    assert_eq!(no.code(), Code::LogBehindWitness, "{no}");
    // it starts where the co-signer does not answer, and then nothing is signed, however much it writes
    world.cut();
    world.start_signer().await;
    world.mend();
    let asked = world.ask(&paid.request, ("Robbins", "Taylor")).await.unwrap();
    world.until(asked.id, |v| codes(v) == ["LOG_BEHIND_WITNESS"]).await;
    let known = world.cosigner().status().await.unwrap().known_size;
    while (world.leaves().await.len() as u64) < known + 5 {
        world.state_chain().await;
    }
    world.until(asked.id, |v| codes(v) == ["LOG_BEHIND_WITNESS"]).await;
    assert_eq!(world.cosigner().status().await.unwrap().known_size, known);

    // with the newest database all is well, and the co-signer saw no fork
    world.stop_signer().await;
    world.restore("signer", &newest).await;
    world.start_signer().await;
    assert_eq!(world.find(paid.id).await.raw_transaction, paid.raw_transaction);
    assert_eq!(codes(&world.withdraw("r3", 2_000_000).await), ["RELEASED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn l23_a_row_altered_removed_or_rolled_back_is_found() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let held = world.withdraw("r1", 20_000_000).await;
    world.until(held.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.stop_signer().await;
    world.start_signer().await;
    world.approve(held.id, KIM).await.unwrap();
    world.until(held.id, |v| codes(v) == ["RELEASED"]).await;
    world.stop_signer().await;
    world.stop_cosigner();
    let tricks = [
        ("signer", "UPDATE row_coin SET content = replace(content, '100000000', '900000000')"),
        ("signer", "UPDATE row_withdrawal SET state = 'held'"),
        ("signer", "UPDATE row_coin SET state = 'unspent' WHERE state = 'spent'"),
        ("signer", "UPDATE row_coin SET log_index = log_index + 1"),
        ("signer", "DELETE FROM row_withdrawal"),
        ("signer", "DELETE FROM row_reservation"),
        (
            "signer",
            "INSERT INTO row_setting SELECT row_key || 'x', state, at_s, content, log_index, tag FROM row_coin",
        ),
        ("signer", "DELETE FROM log_entry WHERE idx = (SELECT max(idx) FROM log_entry)"),
        ("signer", "UPDATE log_entry SET leaf = leaf_hash, leaf_hash = zeroblob(32) WHERE idx = 3"),
        ("signer", "UPDATE log_head SET size = size - 1"),
        ("cosigner", "DELETE FROM row_signed_reservation"),
        ("cosigner", "DELETE FROM row_seen_request"),
        ("cosigner", "DELETE FROM row_used_verification"),
        (
            "cosigner",
            "UPDATE row_signed_reservation SET content = replace(content, '\"leaving\":2', '\"leaving\":1')",
        ),
        ("cosigner", "UPDATE row_signed_reservation SET state = 'dead'"),
        (
            "cosigner",
            "UPDATE row_witnessed_log SET content = '0 ' || substr(content, instr(content, ' ') + 1)",
        ),
    ];
    let whole = [("signer", world.backup("signer").await), ("cosigner", world.backup("cosigner").await)];
    for (party, trick) in tricks {
        for (name, files) in &whole {
            world.restore(name, files).await;
        }
        assert!(world.sql(party, trick).await > 0, "{trick}");
        let no = match party {
            "signer" => world.try_start_signer().await.map(drop).unwrap_err(),
            _ => world.try_start_cosigner().await.unwrap_err(),
        };
        assert_eq!(no.code(), Code::StoreTampered, "{trick}: {no}");
    }
    // untouched, both start
    for (name, files) in &whole {
        world.restore(name, files).await;
    }
    world.start_cosigner().await;
    world.start_signer().await;
    assert_eq!(codes(&world.find(held.id).await), ["RELEASED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn l23_one_row_put_back_as_it_was_is_found() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let held = world.withdraw("r1", 20_000_000).await;
    world.until(held.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.sql("signer", "CREATE TABLE kept AS SELECT * FROM row_withdrawal").await;
    world.approve(held.id, KIM).await.unwrap();
    world.until(held.id, |v| codes(v) == ["RELEASED"]).await;
    world.stop_signer().await;
    world.sql("signer", "DELETE FROM row_withdrawal").await;
    world.sql("signer", "INSERT INTO row_withdrawal SELECT * FROM kept").await;
    assert_eq!(world.try_start_signer().await.unwrap_err().code(), Code::StoreTampered);
}

#[tokio::test(flavor = "multi_thread")]
async fn l22_a_trust_file_that_goes_back_is_refused_at_the_start() {
    let mut plan = Plan::default();
    plan.trust.version = 2;
    let mut world = World::new(plan).await;
    world.stop_signer().await;
    world.stop_cosigner();
    world.plan.trust.version = 1;
    assert_eq!(world.try_start_cosigner().await.unwrap_err().code(), Code::TrustFileInvalid);
    assert_eq!(world.try_start_signer().await.unwrap_err().code(), Code::TrustFileInvalid);
    // another file under the version that was seen
    world.plan.trust.version = 2;
    world.plan.trust.vasps[0].name = "Other".into();
    assert_eq!(world.try_start_cosigner().await.unwrap_err().code(), Code::TrustFileInvalid);
    world.plan.trust.version = 3;
    world.start_cosigner().await;
    world.start_signer().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l21_a_commit_of_unknown_outcome_is_settled_once_the_store_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let (file, away) = (dir.path().join("signer.db"), dir.path().join("elsewhere.db"));
    let url = StoreUrl::parse(&format!("sqlite:{}", file.display())).unwrap();
    let own = std::sync::Arc::new(identity(0xa, "log"));
    let log_key = LogKey::new(SIGNER_ORIGIN, &own.public_key()).unwrap();
    let secret = store_secret(0xa);
    create_store(&url, &secret, log_key.clone(), own.clone(), ("signer", Seconds(1))).await.unwrap();
    let mut journal = Journal::open(&url, &secret, log_key, own, &mut |_| {}).await.unwrap();
    let before = journal.view().head().size;

    // the answer to COMMIT is lost, and the database cannot be reached to be asked
    let mut draft = journal.draft(Seconds(2));
    draft.entry(EntryKind::Alarm, &[("code", &"INTERNAL"), ("detail", &"lost")]);
    journal.store().testing_only_fault(FaultPoint::UnknownDone);
    std::fs::rename(&file, &away).unwrap();
    let lost = journal.commit(draft).await.unwrap_err();
    assert!(lost.may_have_happened());
    assert!(journal.catch_up(&mut |_| {}).await.is_err());

    std::fs::rename(&away, &file).unwrap();
    journal.catch_up(&mut |_| {}).await.unwrap();
    assert_eq!(journal.view().head().size, before + 1);
    let mut draft = journal.draft(Seconds(3));
    draft.entry(EntryKind::Alarm, &[("code", &"INTERNAL"), ("detail", &"on it goes")]);
    journal.commit(draft).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn l22_a_cosignature_of_the_head_that_does_not_hold_is_an_alarm_and_nothing_is_finished_under_it() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let alarms = async || {
        let leaves = world.leaves().await;
        let texts = leaves.iter().map(|leaf| String::from_utf8_lossy(leaf).into_owned());
        texts.filter(|t| t.contains(r#""kind":"alarm""#) && t.contains("EVIDENCE_INVALID")).count()
    };
    world.tap.forge_heads.store(true, Ordering::Relaxed);
    let asked = |world: &World| world.tap.orders.lock().unwrap().len();
    let held = world.withdraw("r1", 2_000_000).await;
    assert_eq!(codes(&held), ["EVIDENCE_INVALID"]);
    // it is asked again and again, and told once
    let before = asked(&world);
    while asked(&world) < before + 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(codes(&world.find(held.id).await), ["EVIDENCE_INVALID"]);
    assert_eq!(alarms().await, 1);
    world.tap.forge_heads.store(false, Ordering::Relaxed);
    world.until(held.id, |v| codes(v) == ["RELEASED"]).await;
    assert_eq!(alarms().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn l21_an_alarm_outlives_a_commit_that_failed() {
    use sqlx::{Connection, Executor};
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let url = format!("sqlite:{}", world.dir.path().join("signer.db").display());
    let mut other = sqlx::SqliteConnection::connect(&url).await.unwrap();
    // the co-signer gives back nonsense, once, and at that moment the signer's store takes nothing any more
    let (ask, asked) = std::sync::mpsc::channel::<()>();
    let (locked, wait) = std::sync::mpsc::channel::<()>();
    let (ask, wait) = (std::sync::Mutex::new(ask), std::sync::Mutex::new(wait));
    let once = std::sync::atomic::AtomicBool::new(true);
    world.tap.corrupt(move |psbt| {
        if !once.swap(false, Ordering::Relaxed) {
            return psbt;
        }
        ask.lock().unwrap().send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        vec![0]
    });
    let request = world.request("r1", TAYLOR, 2_000_000);
    let (id, desk) = (WithdrawalId::of(&request.organisation, &request.request_id), world.desk());
    let order = order(&request, ("Robbins", "Taylor"));
    let create =
        tokio::spawn(
            async move { WithdrawalDesk::create(&*desk, &caller(Role::Exchange, "acme"), order).await },
        );
    while asked.try_recv().is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    locked.send(()).unwrap();
    // the signer waits five seconds for the lock, then its commit fails: whoever waits is told so
    create.await.unwrap().unwrap_err();
    other.execute("ROLLBACK").await.unwrap();
    other.close().await.unwrap();
    // the co-signer's second answer is right, and the first is not forgotten
    world.until(id, |v| codes(v) == ["RELEASED"]).await;
    let told = |leaf: &Vec<u8>| {
        let text = String::from_utf8_lossy(leaf).into_owned();
        text.contains(r#""kind":"alarm""#) && text.contains("reservation")
    };
    while !world.leaves().await.iter().any(told) {
        tokio::task::yield_now().await;
    }
}
