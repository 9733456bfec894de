//! L16 to L20: what a transaction must be, which coins it may spend, and who signs last.

use bitcoin::{EcdsaSighashType, Psbt, sighash};
use countersign::bitcoin::{Branch, KeySlot, OwnCoin};
use countersign::desk::*;
use countersign::evidence::attestation::verify_attestation;
use countersign::evidence::*;
use countersign::withdrawal::*;

use super::thief::*;
use super::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn l11_a_stolen_signer_spends_no_coin_that_is_not_credited_yet() {
    let (world, mut thief) = Thief::with(Plan::default(), 3, 100 * COIN).await;
    let script = hot_wallet().script(Branch::Deposit, 0).unwrap();
    let mut body = world.deposit(script.script_pubkey().to_owned(), &[COIN]);
    let Body::Coins { transactions, coins } = &mut body else { unreachable!() };
    coins[0].confirmations = 0;
    let transaction: bitcoin::Transaction =
        bitcoin::consensus::encode::deserialize(&transactions[0]).unwrap();
    tell(&world, body).await.unwrap();
    let fresh = OwnCoin {
        outpoint: bitcoin::OutPoint { txid: transaction.compute_txid(), vout: 0 },
        amount_sat: COIN,
        script: std::sync::Arc::new(script),
    };
    thief.coins.push(fresh);
    // as a sweep it would count as cold before it exists; as a withdrawal it could never be paid again
    let sweep = thief.sweep(3, 0);
    assert_eq!(no(thief.try_to(&world, &sweep, vec![]).await), "HOT_FUNDS_SHORT");
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let payment = thief.payment(&asked);
    let plot = thief.plot(3, &[&asked]);
    assert_eq!(no(thief.try_to(&world, &plot, vec![payment.clone()]).await), "HOT_FUNDS_SHORT");
    yes(thief.try_to(&world, &thief.plot(0, &[&asked]), vec![payment]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l08_small_sweeps_do_not_burn_the_fee_budget_of_all() {
    let (world, mut thief) = Thief::with(Plan::default(), 3, 0).await;
    let change = Some((Branch::Change, 0));
    let small = Plot { cold: Some((0, 99_999)), change, ..thief.sweep(0, 0) };
    assert_eq!(no(thief.try_to(&world, &small, vec![]).await), "KIND_NOT_ALLOWED");
    let smallest = Plot { cold: Some((0, 100_000)), change, ..thief.sweep(0, 0) };
    yes(thief.try_to(&world, &smallest, vec![]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l16_change_that_the_cosigner_cannot_derive_is_not_signed() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let paid = thief.payment(&asked);
    // to a deposit address, and to an index that nobody would find again
    for change in [(Branch::Deposit, 0), (Branch::Change, 1_001), (Branch::Change, 2_000_000_000)] {
        let plot = Plot { change: Some(change), ..thief.plot(0, &[&asked]) };
        assert_eq!(no(thief.try_to(&world, &plot, vec![paid.clone()]).await), "CHANGE_NOT_OWN");
    }
    // to a stranger under the derivation of an own change, and without any
    let mut psbt = bytes_of(&thief.plot(0, &[&asked]));
    let at = psbt.outputs.iter().position(|o| !o.bip32_derivation.is_empty()).unwrap();
    psbt.unsigned_tx.output[at].script_pubkey =
        countersign::bitcoin::Destination::parse(ETHAN, NETWORK).unwrap().script_pubkey().to_owned();
    let loot = thief.book_bytes(psbt.serialize(), vec![paid.clone()]);
    assert_eq!(no(thief.ask_one(&world, &loot).await), "CHANGE_NOT_OWN");
    psbt.outputs[at].bip32_derivation.clear();
    psbt.unsigned_tx.output[at].value -= bitcoin::Amount::from_sat(1);
    let loot = thief.book_bytes(psbt.serialize(), vec![paid.clone()]);
    assert_eq!(no(thief.ask_one(&world, &loot).await), "TRANSACTION_MISMATCH");
    let plot = Plot { change: Some((Branch::Change, 1_000)), ..thief.plot(0, &[&asked]) };
    yes(thief.try_to(&world, &plot, vec![paid]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l16_only_sighash_all_and_only_this_wallet() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let paid = thief.payment(&asked);
    type Change = Box<dyn Fn(&mut Psbt)>;
    let changes: Vec<(&str, Change)> = vec![
        (
            "TRANSACTION_MISMATCH",
            Box::new(|p| p.inputs[0].sighash_type = Some(EcdsaSighashType::None.into())),
        ),
        (
            "TRANSACTION_MISMATCH",
            Box::new(|p| p.inputs[0].sighash_type = Some(EcdsaSighashType::SinglePlusAnyoneCanPay.into())),
        ),
        (
            "TRANSACTION_MISMATCH",
            Box::new(|p| p.inputs[0].sighash_type = Some(sighash::TapSighashType::Default.into())),
        ),
        (
            "TRANSACTION_MISMATCH",
            Box::new(|p| {
                let other = cold_wallet().script(Branch::Deposit, 0).unwrap();
                p.inputs[0].witness_script = Some(other.witness_script().to_owned());
            }),
        ),
        (
            "TRANSACTION_MISMATCH",
            Box::new(|p| {
                let other = cold_wallet().script(Branch::Deposit, 0).unwrap();
                p.inputs[0].witness_utxo.as_mut().unwrap().script_pubkey = other.script_pubkey().to_owned();
            }),
        ),
        // more than it holds: the difference would be fee
        (
            "TRANSACTION_MISMATCH",
            Box::new(|p| p.inputs[0].witness_utxo.as_mut().unwrap().value += bitcoin::Amount::from_sat(1)),
        ),
        ("TRANSACTION_MISMATCH", Box::new(|p| p.inputs[0].witness_utxo = None)),
        ("TRANSACTION_MISMATCH", Box::new(|p| p.inputs[0].bip32_derivation.clear())),
        // the co-signer's own tip may be out of date: it is no, and not for good
        (
            "FEE_RATE_STALE",
            Box::new(|p| p.unsigned_tx.lock_time = bitcoin::absolute::LockTime::from_height(300).unwrap()),
        ),
        ("TRANSACTION_MISMATCH", Box::new(|p| p.unsigned_tx.input[0].sequence = bitcoin::Sequence::MAX)),
        ("COIN_UNKNOWN", Box::new(|p| p.unsigned_tx.input[0].previous_output.vout = 77)),
    ];
    for (at, (code, change)) in changes.into_iter().enumerate() {
        let mut psbt = bytes_of(&thief.plot(0, &[&asked]));
        change(&mut psbt);
        let loot = thief.book_bytes(psbt.serialize(), vec![paid.clone()]);
        assert_eq!(no(thief.ask_one(&world, &loot).await), code, "case {at}");
    }
    // a coin of the cold wallet, and one that nobody recorded
    let script = std::sync::Arc::new(hot_wallet().script(Branch::Deposit, 0).unwrap());
    let outpoint = bitcoin::OutPoint { txid: thief.coins[0].outpoint.txid, vout: 9 };
    let unknown = OwnCoin { outpoint, amount_sat: COIN, script };
    let plot = Plot { inputs: vec![unknown], ..thief.plot(0, &[&asked]) };
    assert_eq!(no(thief.try_to(&world, &plot, vec![paid.clone()]).await), "COIN_UNKNOWN");
    yes(thief.try_to(&world, &thief.plot(0, &[&asked]), vec![paid]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l16_an_own_address_is_never_paid_by_withdrawal() {
    let (mut world, mut thief) = Thief::with(Plan::default(), 3, 100 * COIN).await;
    let first = world.request("r1", TAYLOR, 2_000_000);
    let payment = thief.payment(&first);
    yes(thief.try_to(&world, &thief.plot(0, &[&first]), vec![payment]).await);
    // a customer's address, and the change of the payment before, also after a restart
    let own = [(Branch::Deposit, 0), (Branch::Change, 0)].map(|(b, i)| hot_wallet().address(b, i).unwrap());
    for round in 0..2 {
        for (at, address) in own.iter().enumerate() {
            let request = world.request(&format!("r{round}{at}"), address, 2_000_000);
            let payment = thief.payment(&request);
            let plot = Plot { change: Some((Branch::Change, 5)), ..thief.plot(1, &[&request]) };
            assert_eq!(no(thief.try_to(&world, &plot, vec![payment]).await), "DESTINATION_OWN");
        }
        world.restart_cosigner().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l17_a_second_transaction_without_the_anchor_is_not_signed() {
    let (mut world, mut thief) = Thief::with(Plan::default(), 3, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let paid = thief.payment(&asked);
    yes(thief.try_to(&world, &thief.plot(0, &[&asked]), vec![paid.clone()]).await);
    for _ in 0..2 {
        // another coin; and the anchor itself, which is spent
        let plot = Plot { change: Some((Branch::Change, 1)), ..thief.plot(1, &[&asked]) };
        assert_eq!(no(thief.try_to(&world, &plot, vec![paid.clone()]).await), "ANCHOR_MISMATCH");
        let plot = thief.plot(0, &[&asked]);
        assert_eq!(no(thief.try_to(&world, &plot, vec![paid.clone()]).await), "COIN_UNKNOWN");
        // a coin once signed for serves nobody else, not even after the observer states it again
        let other = world.request("r2", TAYLOR, 2_000_000);
        let payment = thief.payment(&other);
        assert_eq!(no(thief.try_to(&world, &thief.plot(0, &[&other]), vec![payment]).await), "COIN_UNKNOWN");
        let coin = thief.coins[0].outpoint;
        let txid = bitcoin::hashes::Hash::to_byte_array(coin.txid);
        let stated = Coin { txid, vout: coin.vout, confirmations: 100 };
        tell(&world, Body::Coins { transactions: vec![], coins: vec![stated] }).await.unwrap();
        let payment = thief.payment(&other);
        assert_eq!(no(thief.try_to(&world, &thief.plot(0, &[&other]), vec![payment]).await), "COIN_UNKNOWN");
        world.restart_cosigner().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_a_coin_without_its_transaction_is_worth_nothing() {
    let (world, mut thief) = Thief::with(Plan::default(), 1, 100 * COIN).await;
    let script = hot_wallet().script(Branch::Deposit, 0).unwrap();
    let Body::Coins { transactions, coins } = world.deposit(script.script_pubkey().to_owned(), &[COIN])
    else {
        unreachable!()
    };
    let code = |r: Result<StatementReceipt, Finding>| r.unwrap_err().code;
    let state =
        |transactions: Vec<Vec<u8>>, coins: Vec<Coin>| tell(&world, Body::Coins { transactions, coins });
    // none; another one; one that says more; an output it does not have; one that pays somebody else
    assert_eq!(code(state(vec![], coins.clone()).await), Code::CoinProofInvalid);
    let mut richer: bitcoin::Transaction = bitcoin::consensus::encode::deserialize(&transactions[0]).unwrap();
    richer.output[0].value = bitcoin::Amount::from_sat(10 * COIN);
    let richer = bitcoin::consensus::encode::serialize(&richer);
    assert_eq!(code(state(vec![richer], coins.clone()).await), Code::CoinProofInvalid);
    let beyond = Coin { vout: 1, ..coins[0] };
    assert_eq!(code(state(transactions.clone(), vec![beyond]).await), Code::CoinProofInvalid);
    let stranger =
        countersign::bitcoin::Destination::parse(ETHAN, NETWORK).unwrap().script_pubkey().to_owned();
    let body = world.deposit(stranger, &[COIN]);
    assert_eq!(code(tell(&world, body).await), Code::CoinProofInvalid);
    // none of them can be spent
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let paid = thief.payment(&asked);
    let txid = bitcoin::hashes::Hash::from_byte_array(coins[0].txid);
    let coin =
        OwnCoin { outpoint: bitcoin::OutPoint { txid, vout: 0 }, amount_sat: COIN, script: script.into() };
    let plot = Plot { inputs: vec![coin], ..thief.plot(0, &[&asked]) };
    let loot = thief.book(&plot, vec![paid.clone()]);
    assert_eq!(no(thief.ask_one(&world, &loot).await), "COIN_UNKNOWN");
    // with its transaction it can
    tell(&world, Body::Coins { transactions, coins }).await.unwrap();
    let plot = Plot { fee: 5_000, ..plot };
    yes(thief.try_to(&world, &plot, vec![paid]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l19_an_address_of_a_stolen_signer_has_no_attestation() {
    let (mut world, _thief) = Thief::with(Plan::default(), 1, 100 * COIN).await;
    let attestation_key = trust(&world.plan.trust).attestation_key().to_owned();
    let word = attest(&world, "alice", 0, 1).await.unwrap();
    let verified = verify_attestation(&word.text, &word.signature, &attestation_key).unwrap();
    assert_eq!(verified.attestation().address, hot_wallet().address(Branch::Deposit, 1).unwrap());
    // an altered address, or a word of the signer's own, is no attestation to a client
    let text = word.text.replace(&hot_wallet().address(Branch::Deposit, 1).unwrap(), ETHAN);
    assert_ne!(text, word.text);
    assert!(verify_attestation(&text, &word.signature, &attestation_key).is_err());
    let own = identity(0xa, "attestation").sign_text(&word.text).unwrap();
    assert!(verify_attestation(&word.text, &own, &attestation_key).is_err());
    for _ in 0..2 {
        // another customer's index, another index for the same customer, branch 1, far ahead
        let code = |r: Result<SignedText, DeskError>| r.unwrap_err().code();
        assert_eq!(code(attest(&world, "mallory", 0, 1).await), Code::EvidenceInvalid);
        assert_eq!(code(attest(&world, "alice", 0, 2).await), Code::EvidenceInvalid);
        assert_eq!(code(attest(&world, "mallory", 1, 3).await), Code::ChangeNotOwn);
        assert_eq!(code(attest(&world, "alice", 1, 1).await), Code::EvidenceInvalid);
        assert_eq!(code(attest(&world, "mallory", 0, 200_000).await), Code::ChangeNotOwn);
        // the same question has the same answer
        assert_eq!(attest(&world, "alice", 0, 1).await.unwrap(), word);
        world.restart_cosigner().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l19_no_address_leaves_while_the_cosigner_is_silent() {
    let world = World::new(Plan::default()).await;
    world.cut();
    let order = AddressOrder {
        organisation: Organisation::parse("acme").unwrap(),
        asset: ASSET,
        customer_ref: CustomerRef::parse("c1").unwrap(),
    };
    let exchange = caller(Role::Exchange, "acme");
    let no = AddressDesk::create(&*world.desk(), &exchange, order.clone()).await.unwrap_err();
    assert_eq!(no.code(), Code::CosignerUnreachable);
    world.mend();
    let view = AddressDesk::create(&*world.desk(), &exchange, order.clone()).await.unwrap();
    assert_eq!(AddressDesk::create(&*world.desk(), &exchange, order).await.unwrap(), view);
    assert_eq!(view.index, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_what_is_asked_twice_has_the_same_answer_for_ever() {
    let (mut world, mut thief) = Thief::with(Plan::default(), 3, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let paid = thief.payment(&asked);
    let loot = thief.book(&thief.plot(0, &[&asked]), vec![paid]);
    // twice in one order, again later, again after a restart: the same bytes
    let mut twice = thief.ask(&world, &[loot.clone(), loot.clone()]).await;
    let first = yes(twice.remove(0));
    assert_eq!(yes(twice.remove(0)), first);
    assert_eq!(yes(thief.ask_one(&world, &loot).await), first);
    world.restart_cosigner().await;
    assert_eq!(yes(thief.ask_one(&world, &loot).await), first);
    assert_eq!(world.cosigner().recall(vec![loot.reservation]).await.unwrap(), [Recalled::Signed(first)]);
    // a no stays a no, though what was missing is there by now
    let other = world.request("r2", TAYLOR, 2_000_000);
    let missing = thief.book(&thief.plot(1, &[&other]), vec![payment(sign(&other), None)]);
    assert_eq!(no(thief.ask_one(&world, &missing).await), "NO_CLEARANCE");
    let cured = Loot { payments: vec![thief.payment(&other)], ..missing };
    assert_eq!(no(thief.ask_one(&world, &cured).await), "RESERVATION_DEAD");
    world.restart_cosigner().await;
    assert_eq!(no(thief.ask_one(&world, &cured).await), "RESERVATION_DEAD");
    // what was asked about and not signed is dead as well
    let third = thief.book(&thief.plot(2, &[&other]), vec![thief_payment(&cured)]);
    assert_eq!(world.cosigner().recall(vec![third.reservation]).await.unwrap(), [Recalled::Dead]);
    assert_eq!(no(thief.ask_one(&world, &third).await), "RESERVATION_DEAD");
}

fn thief_payment(loot: &Loot) -> CosignPayment {
    loot.payments[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_b_signs_every_input_and_leaves_no_other_signature() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let paid = thief.payment(&asked);
    let plot = Plot { inputs: thief.coins.clone(), ..thief.plot(0, &[&asked]) };
    let psbt = Psbt::deserialize(&yes(thief.try_to(&world, &plot, vec![paid]).await)).unwrap();
    let script = hot_wallet().script(Branch::Deposit, 0).unwrap();
    for input in &psbt.inputs {
        let keys: Vec<_> = input.partial_sigs.keys().map(|k| k.inner).collect();
        assert_eq!(keys, [*script.pubkey(KeySlot::B)]);
        assert!(input.final_script_witness.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_a_stolen_cosigner_gets_no_signature_of_a() {
    // another transaction, another's signature, none at all, a changed output, rubbish
    let tricks: Vec<fn(&Psbt) -> Vec<u8>> = vec![
        |p| {
            let mut p = p.clone();
            p.unsigned_tx.output[0].value -= bitcoin::Amount::from_sat(1);
            p.serialize()
        },
        |p| {
            let mut p = p.clone();
            p.inputs[0].partial_sigs.clear();
            p.serialize()
        },
        |p| {
            let mut p = p.clone();
            let sig = *p.inputs[0].partial_sigs.values().next().unwrap();
            let other = hot_wallet().script(Branch::Deposit, 0).unwrap();
            p.inputs[0].partial_sigs.clear();
            p.inputs[0].partial_sigs.insert(bitcoin::PublicKey::new(*other.pubkey(KeySlot::C)), sig);
            p.serialize()
        },
        |p| {
            let mut p = p.clone();
            for sig in p.inputs[0].partial_sigs.values_mut() {
                sig.sighash_type = EcdsaSighashType::None;
            }
            p.serialize()
        },
        |_| b"psbt\xff".to_vec(),
    ];
    for trick in tricks {
        let world = World::funded(Plan::default(), 2, 70 * COIN).await;
        world.tap.corrupt(move |bytes| trick(&Psbt::deserialize(&bytes).unwrap()));
        let desk = world.desk();
        let request = world.request("r1", TAYLOR, 2_000_000);
        let asked = order(&request, ("Robbins", "Taylor"));
        let task = tokio::spawn(async move {
            WithdrawalDesk::create(&*desk, &caller(Role::Exchange, "acme"), asked).await
        });
        let alarm = |leaf: &[u8]| leaf.windows(14).any(|w| w == b"\"kind\":\"alarm\"");
        while !world.leaves().await.iter().any(|leaf| alarm(leaf)) {
            tokio::task::yield_now().await;
        }
        let view = world.find(request.id()).await;
        assert!(view.raw_transaction.is_empty());
        assert_ne!(view.outcome, Outcome::Released);
        task.abort();
    }
}

fn bytes_of(plot: &Plot) -> Psbt {
    let bytes = plot.build().psbt(KeySlot::B, &hot_wallet(), Some(&cold_wallet())).unwrap();
    Psbt::deserialize(&bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_a_silent_cosigner_holds_and_is_asked_again() {
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    world.cut();
    let view = world.withdraw("r1", 2_000_000).await;
    let held = world.until(view.id, |v| codes(v) == ["COSIGNER_UNREACHABLE"]).await;
    assert_eq!(held.stage, Stage::Reserved);
    world.mend();
    let released = world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
    assert_eq!(released.txid, held.txid);
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_killed_at_each_stage_pays_once_with_the_same_bytes() {
    // before the question arrives; after the answer is lost; with the co-signer killed as well
    for (lose_answers, kill_cosigner) in [(false, false), (true, false), (true, true)] {
        let mut world = World::funded(Plan::default(), 2, 70 * COIN).await;
        if lose_answers {
            world.tap.lose_answers(true);
        } else {
            world.cut();
        }
        let view = world.withdraw("r1", 2_000_000).await;
        let held = world.until(view.id, |v| codes(v) == ["COSIGNER_UNREACHABLE"]).await;
        if kill_cosigner {
            world.restart_cosigner().await;
        }
        world.restart_signer().await;
        world.tap.lose_answers(false);
        world.mend();
        let released = world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
        assert_eq!(released.txid, held.txid);
        world.restart_signer().await;
        assert_eq!(world.find(view.id).await.raw_transaction, released.raw_transaction);
        let signed: std::collections::BTreeSet<_> =
            world.tap.orders.lock().unwrap().iter().flat_map(|o| &o.items).map(|i| i.reservation).collect();
        assert_eq!(signed.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_after_the_cosigners_no_the_withdrawal_is_decided_again() {
    // the co-signer's rolling limit is smaller: it holds, and nothing about the next attempts runs away
    let mut plan = Plan::default();
    let set = plan.cosigner_policy.assets.get_mut(&ASSET.to_string()).unwrap();
    set.hourly_limit = wallet_policy::Units(3_000_000);
    set.per_tx_limit = set.hourly_limit;
    let world = World::funded(plan, 3, 70 * COIN).await;
    assert_eq!(codes(&world.withdraw("r1", 2_000_000).await), ["RELEASED"]);
    let view = world.withdraw("r2", 2_000_000).await;
    world.until(view.id, |v| codes(v) == ["COSIGNER_HOLDS"]).await;
    for _ in 0..5 {
        world.state_chain().await;
        world.until(view.id, |v| codes(v) == ["COSIGNER_HOLDS"]).await;
    }
    let orders = world.tap.orders.lock().unwrap().clone();
    let changes: std::collections::BTreeSet<u32> =
        orders.iter().flat_map(|o| &o.items).map(change_index).collect();
    assert!(changes.len() <= 2, "{changes:?}");
    world.later(3_601);
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_a_no_that_the_log_cannot_spell_is_a_no_and_stops_nothing() {
    let mut plan = Plan::default();
    let set = plan.cosigner_policy.assets.get_mut(&ASSET.to_string()).unwrap();
    set.hourly_limit = wallet_policy::Units(3_000_000);
    set.per_tx_limit = set.hourly_limit;
    let world = World::funded(plan, 3, 70 * COIN).await;
    assert_eq!(codes(&world.withdraw("r1", 2_000_000).await), ["RELEASED"]);
    for (id, said) in [("r2", "two\nlines\u{7}".to_owned()), ("r3", "x".repeat(5_000))] {
        *world.tap.forge_detail.lock().unwrap() = Some(said);
        let view = world.withdraw(id, 2_000_000).await;
        world.until(view.id, |v| codes(v) == ["COSIGNER_HOLDS"]).await;
    }
}

fn change_index(item: &CosignItem) -> u32 {
    let psbt = Psbt::deserialize(&item.psbt).unwrap();
    let change = psbt.outputs.iter().find_map(|o| o.bip32_derivation.values().next()).unwrap();
    u32::from(*change.1.as_ref().last().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_what_key_b_has_booked_and_cannot_sign_now_is_no_word_that_it_never_will() {
    use countersign::audit::{EntryKind, LogKey};
    use countersign::flow::ledger::journal::Journal;
    use countersign::flow::ledger::rows::{self, CosignedRow};
    use countersign::store::Table;
    let (mut world, mut thief) = Thief::with(Plan::default(), 1, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let paid = thief.payment(&asked);
    let loot = thief.book(&thief.plot(0, &[&asked]), vec![paid]);
    yes(thief.ask_one(&world, &loot).await);
    // its own copy of the transaction cannot be read any more
    world.stop_cosigner();
    let log = std::sync::Arc::new(identity(0xb, "log"));
    let key = LogKey::new(COSIGNER_ORIGIN, &log.public_key()).unwrap();
    let mut found = None;
    let mut visit = |row: &countersign::store::Row| {
        if row.table() == Table::SignedReservation {
            found = Some((row.key().to_owned(), row.content().to_owned()));
        }
    };
    let mut journal =
        Journal::open(&world.store("cosigner"), &store_secret(0xb), key, log, &mut visit).await.unwrap();
    let (name, content) = found.unwrap();
    let row = CosignedRow { psbt: "00".to_owned(), ..rows::read(&name, &content).unwrap() };
    let mut draft = journal.draft(world.now());
    draft.entry(EntryKind::Alarm, &[("code", &Code::Internal)]);
    draft.row(Table::SignedReservation, name, "signed", world.now(), rows::write(&row));
    journal.commit(draft).await.unwrap();
    drop(journal);
    world.start_cosigner().await;
    let fault = world.cosigner().countersign(thief.order(&[loot])).await.unwrap_err();
    assert!(matches!(fault, DeskError::Fault { may_have_happened: true, .. }), "{fault:?}");
}
