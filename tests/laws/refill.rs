//! L13: what comes back from cold is judged by the share, kept for what it was made for, and checked when it comes.

use std::collections::BTreeMap;
use std::time::Duration;

use bitcoin::hashes::Hash;
use bitcoin::sighash::SighashCache;
use bitcoin::{EcdsaSighashType, Psbt, PublicKey, ecdsa};
use countersign::bitcoin::Branch;
use countersign::desk::*;
use countersign::evidence::*;
use countersign::keys::{self, KeyRole};
use countersign::withdrawal::*;

use super::thief::*;
use super::world::*;

/// Signs every input of a cold PSBT with the keys of these seeds, as the cold room's devices would.
pub fn sign_cold(psbt: &[u8], seeds: &[u8]) -> Vec<u8> {
    let mut psbt = Psbt::deserialize(psbt).unwrap();
    let transaction = psbt.unsigned_tx.clone();
    let mut cache = SighashCache::new(&transaction);
    for (at, input) in psbt.inputs.iter_mut().enumerate() {
        let prevout = input.witness_utxo.clone().unwrap();
        let script = input.witness_script.clone().unwrap();
        let made_by = input.non_witness_utxo.as_ref().unwrap();
        assert_eq!(made_by.compute_txid(), transaction.input[at].previous_output.txid);
        let digest = cache.p2wsh_signature_hash(at, &script, prevout.value, EcdsaSighashType::All).unwrap();
        for seed in seeds {
            let key = keystore(KeyRole::Signer, *seed).hot_key().unwrap();
            let fingerprint = keystore(KeyRole::Signer, *seed).account_xpub().unwrap().to_string();
            let slot = cold_wallet().keys().iter().position(|k| k.to_string() == fingerprint).unwrap();
            let mine = cold_wallet().keys()[slot].fingerprint();
            let (_, (_, path)) =
                input.bip32_derivation.iter().find(|(_, (print, _))| print.to_bytes() == mine).unwrap();
            let steps: Vec<u32> = path.into_iter().map(|step| u32::from(*step)).collect();
            let [.., branch, index] = steps[..] else { panic!("no place") };
            let item = keys::OrderItem::new(
                keys::Branch::from_number(branch).unwrap(),
                keys::ChildIndex::new(index).unwrap(),
                digest.to_byte_array(),
            );
            let order = keys::SigningOrder::danger_vouch_for(ReservationId::of_txid(&[9; 32]), vec![item]);
            let signature = key.sign(&order).unwrap().remove(0);
            let public = PublicKey::from_slice(signature.public_key()).unwrap();
            let signature = ecdsa::Signature::sighash_all(*signature.signature());
            input.partial_sigs.insert(public, signature);
        }
    }
    psbt.serialize()
}

fn operator() -> Caller {
    caller(Role::Operator, "kim")
}

/// A transaction that paid the cold wallet, and its coins.
pub fn cold_coins(world: &World, amounts: &[u64]) -> Vec<ColdCoinOrder> {
    let script = cold_wallet().script(Branch::Deposit, 7).unwrap().script_pubkey().to_owned();
    let Body::Coins { transactions, coins } = world.deposit(script, amounts) else { unreachable!() };
    let order = |coin: &Coin| ColdCoinOrder {
        raw_transaction: transactions[0].clone(),
        vout: coin.vout,
        branch: 0,
        index: 7,
    };
    coins.iter().map(order).collect()
}

async fn ask(world: &World, amount: Option<u64>, coins: &[ColdCoinOrder]) -> Result<RefillView, DeskError> {
    let order = RefillOrder { asset: ASSET, amount: amount.map(Amount::from_sat), coins: coins.to_vec() };
    world.desk().request(&operator(), order).await
}

/// Exports a refill; again while the co-signer has not heard all statements yet.
async fn export(world: &World, id: &str) -> RefillView {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        match world.desk().export(&operator(), id).await {
            Ok(view) => return view,
            Err(no) => assert!(tokio::time::Instant::now() < deadline, "{no}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many alarms with that code the signer's log has.
async fn alarms(world: &World, code: &str) -> usize {
    let leaves = world.leaves().await;
    let texts = leaves.iter().map(|leaf| String::from_utf8_lossy(leaf));
    texts.filter(|leaf| leaf.contains("\"alarm\"") && leaf.contains(code)).count()
}

async fn refill(world: &World, id: &str) -> RefillView {
    world.desk().refill(&operator(), id).await.unwrap()
}

async fn position(world: &World) -> AssetPosition {
    let view = world.desk().position(&caller(Role::Auditor, "x"), None).await.unwrap();
    view.assets.into_iter().next().unwrap()
}

fn sweeps(world: &World) -> usize {
    let orders = world.tap.orders.lock().unwrap();
    orders.iter().flat_map(|o| &o.items).filter(|i| i.payments.is_empty()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_what_comes_from_cold_is_kept_for_the_withdrawals_it_was_made_for() {
    // one hot and three cold: what is wanted would be above the share if it rested hot
    let mut world = World::funded(Plan::default(), 1, 3 * COIN).await;
    let held = world.withdraw("r1", 150_000_000).await;
    world.until(held.id, |v| codes(v).contains(&"HOT_FUNDS_SHORT")).await;
    let asked = ask(&world, None, &cold_coins(&world, &[COIN, COIN, COIN])).await.unwrap();
    assert_eq!(asked.state, RefillState::Requested);
    assert_eq!(asked.earmarks, [(held.id, Amount::from_sat(150_000_000))]);
    assert_eq!(asked.parts[0].amount, Amount::from_sat(50_020_000));
    assert_eq!(asked.address, hot_wallet().address(Branch::Change, asked.index).unwrap());
    let exported = export(&world, &asked.id).await;
    assert_eq!(exported.state, RefillState::Exported);
    let word = exported.attestation.clone().unwrap();
    let attestation_key = identity(0xb, "attestation").public_key();
    let attestation_key = ed25519_dalek::VerifyingKey::from_bytes(&attestation_key).unwrap();
    let said = verify_refill_attestation(&word.text, &word.signature, &attestation_key).unwrap();
    assert_eq!((said.address, said.transactions[0].amount_sat), (asked.address.clone(), 50_020_000));

    // signed elsewhere, and handed back
    let copy = sign_cold(&exported.parts[0].psbt, &[0x1a, 0x1c]);
    let signed = world.desk().import(&operator(), &asked.id, copy.clone()).await.unwrap();
    assert_eq!(signed.state, RefillState::Signed);
    assert_eq!(world.desk().import(&operator(), &asked.id, copy).await.unwrap(), signed, "once is enough");
    assert_eq!(position(&world).await.refill_in_flight, Amount::from_sat(50_020_000));
    assert_eq!(position(&world).await.refill_wanted, Amount::ZERO);
    let raw = signed.parts[0].raw_transaction.clone();
    let transaction: bitcoin::Transaction = bitcoin::consensus::encode::deserialize(&raw).unwrap();
    assert_eq!(transaction.compute_txid().to_string(), signed.parts[0].txid);

    // it does not come for too long: people are told, once
    world.later(7_201);
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(3 * COIN, &[]).await;
    assert_eq!(alarms(&world, "REFILL_UNSEEN").await, 1);

    // it comes, both parties are started again, and nothing of it is swept back
    let script = hot_wallet().script(Branch::Change, asked.index).unwrap().script_pubkey().to_owned();
    let vout = transaction.output.iter().position(|out| out.script_pubkey == script).unwrap();
    let txid = transaction.compute_txid().to_byte_array();
    let coin = Coin { txid, vout: u32::try_from(vout).unwrap(), confirmations: 6 };
    world.state(Body::Coins { transactions: vec![raw], coins: vec![coin] }).await;
    assert_eq!(refill(&world, &asked.id).await.state, RefillState::Seen);
    world.until(held.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.restart_signer().await;
    world.restart_cosigner().await;
    let seen = position(&world).await;
    assert_eq!(seen.earmarked, Amount::from_sat(50_020_000));
    assert!(seen.cold < Amount::from_sat(3 * COIN - 50_020_000), "{seen:?}");
    world.until(held.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.approve(held.id, KIM).await.unwrap();
    world.until(held.id, |v| codes(v) == ["RELEASED"]).await;
    assert_eq!(sweeps(&world), 0);

    // the observer's next word on the cold balance is without it
    let left = 3 * COIN - 50_020_000 - u64::try_from(signed.parts[0].fee.units()).unwrap();
    assert_eq!(position(&world).await.cold, Amount::from_sat(left));
    world.state_cold(left, &[txid]).await;
    let settled = refill(&world, &asked.id).await;
    assert_eq!(settled.state, RefillState::Settled);
    // shown with all others it comes without its transactions
    let listed = world.desk().refills(&operator()).await.unwrap().remove(0);
    assert!(!settled.parts[0].psbt.is_empty() && !settled.parts[0].raw_transaction.is_empty());
    assert!(listed.parts[0].psbt.is_empty() && listed.parts[0].raw_transaction.is_empty());
    assert_eq!((listed.state, &listed.parts[0].txid), (settled.state, &settled.parts[0].txid));
    assert_eq!(position(&world).await.cold, Amount::from_sat(left));
    assert_eq!(position(&world).await.earmarked, Amount::ZERO);
}

/// One entry of the log names them, and one message carries their requests.
#[tokio::test(flavor = "multi_thread")]
async fn l13_a_refill_is_made_for_a_hundred_withdrawals_and_the_next_one_for_the_others() {
    const EACH: u64 = 101_000_000;
    // What the others ask for would be above the share if it rested hot meanwhile.
    let world = World::funded(Plan::default(), 1, 150 * COIN).await;
    let ids: Vec<String> = (0..120).map(|n| format!("r{n}")).collect();
    let held = futures_util::future::join_all(ids.iter().map(|id| world.withdraw(id, EACH))).await;
    for held in &held {
        world.until(held.id, |v| codes(v).contains(&"HOT_FUNDS_SHORT")).await;
    }
    let first = ask(&world, None, &cold_coins(&world, &[25 * COIN; 6])).await.unwrap();
    assert_eq!(first.earmarks.len(), 100);
    assert_eq!(export(&world, &first.id).await.state, RefillState::Exported);
    let second = ask(&world, None, &[]).await.unwrap();
    assert_eq!(second.earmarks.len(), 20);
    assert!(first.earmarks.iter().all(|earmark| !second.earmarks.contains(earmark)));
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_where_the_policy_says_so_a_refill_fills_up_to_the_target() {
    let mut plan = Plan::default();
    plan.signer_policy.refill.fill = wallet_policy::settings::Fill::Target;
    let world = World::funded(plan, 1, 3 * COIN).await;
    assert_eq!(ask(&world, None, &[]).await.unwrap_err().code(), Code::RefillNotNeeded, "nothing is short");
    let held = world.withdraw("r1", 150_000_000).await;
    world.until(held.id, |v| codes(v).contains(&"HOT_FUNDS_SHORT")).await;
    let asked = ask(&world, None, &cold_coins(&world, &[COIN, COIN, COIN])).await.unwrap();
    // a quarter of the 2.5 that stay, and the 1.5 that leave, less the one that is there
    assert_eq!(asked.parts[0].amount, Amount::from_sat(112_500_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_signed_copy_that_is_not_exactly_what_was_asked_is_refused_and_nothing_is_lost() {
    let world = World::funded(Plan::default(), 1, 3 * COIN).await;
    let held = world.withdraw("r1", 150_000_000).await;
    world.until(held.id, |v| codes(v).contains(&"HOT_FUNDS_SHORT")).await;
    let asked = ask(&world, None, &cold_coins(&world, &[COIN, COIN])).await.unwrap();
    let early = world.desk().import(&operator(), &asked.id, vec![1]).await.unwrap_err();
    assert_eq!(early.code(), Code::RefillState);
    let exported = export(&world, &asked.id).await;
    let psbt = exported.parts[0].psbt.clone();
    let good = sign_cold(&psbt, &[0x1a, 0x1b]);
    let altered = |change: &dyn Fn(&mut Psbt)| {
        let mut psbt = Psbt::deserialize(&good).unwrap();
        change(&mut psbt);
        psbt.serialize()
    };
    let bad: Vec<(Vec<u8>, &str)> = vec![
        (good[..good.len() / 2].to_vec(), "PSBT_MALFORMED"),
        (Vec::new(), "PSBT_MALFORMED"),
        (psbt.clone(), "REFILL_SIGNATURES"),
        (sign_cold(&psbt, &[0x1a]), "REFILL_SIGNATURES"),
        (sign_cold(&psbt, &[0x1a, 0x1b, 0x1c]), "REFILL_SIGNATURES"),
        // more to the hot side, or to a stranger, is another transaction
        (altered(&|p| p.unsigned_tx.output[0].value = bitcoin::Amount::from_sat(1)), "REFILL_FOREIGN"),
        // another kind of signature, and one that is moved to another key
        (
            altered(&|p| {
                let one = p.inputs[0].partial_sigs.values_mut().next().unwrap();
                one.sighash_type = EcdsaSighashType::None;
            }),
            "REFILL_SIGNATURES",
        ),
        (
            altered(&|p| {
                let sigs: BTreeMap<_, _> = std::mem::take(&mut p.inputs[0].partial_sigs);
                let (keys, mut values): (Vec<_>, Vec<_>) = sigs.into_iter().unzip();
                values.reverse();
                p.inputs[0].partial_sigs = keys.into_iter().zip(values).collect();
            }),
            "REFILL_SIGNATURES",
        ),
    ];
    for (copy, code) in bad {
        let error = world.desk().import(&operator(), &asked.id, copy).await.unwrap_err();
        assert_eq!(error.code().as_str(), code, "{error}");
        assert!(!error.code().cure().is_empty());
        assert_eq!(refill(&world, &asked.id).await.state, RefillState::Exported);
    }
    let signed = world.desk().import(&operator(), &asked.id, good).await.unwrap();
    assert_eq!(signed.state, RefillState::Signed);
    let error = world.desk().take_back(&operator(), &asked.id, "too late").await.unwrap_err();
    assert_eq!(error.code(), Code::RefillState);
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_refill_above_the_share_is_refused_and_several_are_bounded() {
    let world = World::funded(Plan::default(), 1, 9 * COIN).await;
    let coins = cold_coins(&world, &[COIN; 9]);
    let code = |answer: Result<RefillView, DeskError>| answer.unwrap_err().code();
    // nothing waits
    assert_eq!(code(ask(&world, None, &coins).await), Code::RefillNotNeeded);
    // three of ten may rest hot: two more, and not a satoshi above; what is on its way counts
    assert_eq!(code(ask(&world, Some(2 * COIN + 1), &coins).await), Code::HotShareAboveLimit);
    let first = ask(&world, Some(COIN), &[]).await.unwrap();
    assert_eq!(code(ask(&world, Some(COIN + 1), &[]).await), Code::HotShareAboveLimit);
    let second = ask(&world, Some(COIN / 2), &[]).await.unwrap();
    assert_ne!(first.index, second.index);
    ask(&world, Some(COIN / 4), &[]).await.unwrap();
    assert_eq!(code(ask(&world, Some(1_000), &[]).await), Code::RefillsOpen);
    // one that is taken back makes room, at the co-signer too
    let back = world.desk().take_back(&operator(), &first.id, "not needed").await.unwrap();
    assert_eq!(back.state, RefillState::Cancelled);
    let third = ask(&world, Some(COIN), &[]).await.unwrap();
    assert_eq!(export(&world, &third.id).await.state, RefillState::Exported);
    let error = world.desk().export(&operator(), &first.id).await.unwrap_err();
    assert_eq!(error.code(), Code::RefillState);
    world.desk().take_back(&operator(), &second.id, "again").await.unwrap();
    // those that wait too long end by themselves
    world.later(86_401);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while refill(&world, &third.id).await.state != RefillState::Expired {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_run_on_the_hot_wallet_is_refilled_for_a_hundred_withdrawals_at_a_time() {
    let world = World::new(Plan::default()).await;
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(3 * COIN, &[]).await;
    // nothing is hot, and more are held than one entry of the log can name
    let mut held = Vec::new();
    for n in 0..150 {
        held.push(world.withdraw(&format!("r{n}"), 100_000).await.id);
    }
    for id in &held {
        world.until(*id, |v| codes(v).contains(&"HOT_FUNDS_SHORT")).await;
    }
    let named = |view: &RefillView| view.earmarks.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let first = ask(&world, None, &cold_coins(&world, &[COIN; 3])).await.unwrap();
    assert_eq!(named(&first), held[..100]);
    assert_eq!(export(&world, &first.id).await.state, RefillState::Exported);
    let second = ask(&world, Some(1_000_000), &[]).await.unwrap();
    assert_eq!(named(&second), held[100..]);
    assert_eq!(export(&world, &second.id).await.state, RefillState::Exported);
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_without_the_cosigners_word_nothing_is_exported() {
    let world = World::funded(Plan::default(), 1, 9 * COIN).await;
    let coins = cold_coins(&world, &[COIN]);
    assert_eq!(ask(&world, Some(2 * COIN), &coins).await.unwrap_err().code(), Code::ColdFundsShort);
    let foreign = ColdCoinOrder { index: 8, ..coins[0].clone() };
    assert_eq!(ask(&world, Some(COIN / 2), &[foreign]).await.unwrap_err().code(), Code::CoinProofInvalid);
    world.cut();
    let booked = ask(&world, Some(COIN / 2), &[]).await.unwrap();
    assert_eq!((booked.state, booked.attestation), (RefillState::Requested, None));
    assert!(booked.parts[0].psbt.is_empty(), "no PSBT without the co-signer's word");
    let error = world.desk().export(&operator(), &booked.id).await.unwrap_err();
    assert_eq!(error.code(), Code::CosignerUnreachable);
    world.mend();
    assert!(!export(&world, &booked.id).await.parts[0].psbt.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_stolen_signer_gets_no_refill_attested_that_the_cosigner_would_not_allow() {
    let (world, mut thief) = Thief::with(Plan::default(), 1, 9 * COIN).await;
    let part = |amount_sat| RefillAttestPart { txid: "ab".repeat(32), vout: 0, amount_sat, fee_sat: 500 };
    let order = |id: &str, amount_sat| RefillAttestOrder {
        refill: id.into(),
        index: 5,
        parts: vec![part(amount_sat)],
        requests: Vec::new(),
        ended: Vec::new(),
    };
    let code = |answer: Result<SignedText, DeskError>| answer.unwrap_err().code();
    let cosigner = world.cosigner();
    assert_eq!(code(cosigner.attest_refill(order("rf_1", 2 * COIN + 1)).await), Code::HotShareAboveLimit);
    let far = RefillAttestOrder { index: 1_001 + 5, ..order("rf_1", COIN) };
    assert_eq!(code(cosigner.attest_refill(far).await), Code::ChangeNotOwn);
    // what nobody asked for earmarks nothing
    let request = world.request("r1", TAYLOR, 2_000_000);
    let mut forged = sign(&request);
    forged.signature[0] ^= 1;
    let with = |requests| RefillAttestOrder { requests, ..order("rf_1", 2 * COIN + 1_000_000) };
    assert_eq!(code(cosigner.attest_refill(with(vec![forged.clone()])).await), Code::RequestSignatureInvalid);
    assert_eq!(
        code(cosigner.attest_refill(with(vec![sign(&request), sign(&request)])).await),
        Code::EvidenceInvalid
    );
    // more than one refill may be made for are not looked at
    let many = cosigner.attest_refill(with(vec![forged; 101])).await.unwrap_err();
    assert_eq!(many.code(), Code::FieldTooLong);
    // what was paid already earmarks nothing more, and is in nobody's way
    let payment = thief.payment(&request);
    yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await);
    let for_paid =
        |id, amount_sat| RefillAttestOrder { requests: vec![sign(&request)], ..order(id, amount_sat) };
    let room = 2 * COIN + 2_000_000;
    assert_eq!(code(cosigner.attest_refill(for_paid("rf_0", room)).await), Code::HotShareAboveLimit);
    cosigner.attest_refill(for_paid("rf_0", COIN)).await.unwrap();
    let ended = vec!["rf_0".into()];
    // one id is one refill, and each counts against the share until it ends
    let word = cosigner.attest_refill(RefillAttestOrder { ended, ..order("rf_1", COIN) }).await.unwrap();
    assert_eq!(cosigner.attest_refill(order("rf_1", COIN)).await.unwrap(), word);
    assert_eq!(code(cosigner.attest_refill(order("rf_1", COIN + 1)).await), Code::EvidenceInvalid);
    assert_eq!(code(cosigner.attest_refill(order("rf_2", 2 * COIN)).await), Code::HotShareAboveLimit);
    let after = RefillAttestOrder { ended: vec!["rf_1".into()], ..order("rf_2", 2 * COIN) };
    cosigner.attest_refill(after).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_what_is_taken_back_earmarks_nothing_any_more() {
    let (mut world, _thief) = Thief::with(Plan::default(), 1, 9 * COIN).await;
    let request = world.request("r1", TAYLOR, 2_000_000);
    let attest = async |world: &World, id: &str, amount_sat, requests| {
        let part = RefillAttestPart { txid: "ab".repeat(32), vout: 0, amount_sat, fee_sat: 500 };
        let order =
            RefillAttestOrder { refill: id.into(), index: 5, parts: vec![part], requests, ended: Vec::new() };
        world.cosigner().attest_refill(order).await
    };
    // as much as may rest hot, and what is held on top of it
    attest(&world, "rf_1", 2 * COIN + 1_000_000, vec![sign(&request)]).await.unwrap();
    attest(&world, "rf_2", 100_000, Vec::new()).await.unwrap();
    let voided = world.cosigner().void(VoidOrder::Cancellation(cancel_of(&request, EXCHANGE))).await.unwrap();
    assert!(matches!(voided, Voided::Receipt(_)), "{voided:?}");
    for _ in 0..2 {
        let no = attest(&world, "rf_3", 100_000, Vec::new()).await.unwrap_err();
        assert_eq!(no.code(), Code::HotShareAboveLimit);
        world.restart_cosigner().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_refill_whose_attestation_was_lost_is_told_as_ended_and_its_address_is_not_given_again() {
    let world = World::funded(Plan::default(), 1, 9 * COIN).await;
    world.tap.lose_answers(true);
    let lost = ask(&world, Some(2 * COIN), &cold_coins(&world, &[COIN; 9])).await.unwrap();
    assert_eq!((lost.state, lost.attestation), (RefillState::Requested, None));
    world.desk().take_back(&operator(), &lost.id, "its word never came").await.unwrap();
    world.tap.lose_answers(false);
    // the co-signer has attested as much as may rest hot, and counts it no longer
    let next = ask(&world, Some(2 * COIN), &[]).await.unwrap();
    assert!(next.attestation.is_some(), "{next:?}");
    assert_ne!(next.index, lost.index);
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_the_address_of_a_refill_that_the_cosigner_refuses_is_free_for_the_next() {
    let mut plan = Plan::default();
    plan.cosigner_policy.refill.open_max = 1;
    let world = World::funded(plan, 1, 9 * COIN).await;
    let first = ask(&world, Some(COIN / 2), &cold_coins(&world, &[COIN; 9])).await.unwrap();
    assert_eq!(ask(&world, Some(COIN / 2), &[]).await.unwrap_err().code(), Code::RefillsOpen);
    let refused = world.desk().refills(&operator()).await.unwrap().pop().unwrap();
    assert_eq!(refused.state, RefillState::Cancelled);
    world.desk().take_back(&operator(), &first.id, "another amount").await.unwrap();
    assert_eq!(ask(&world, Some(COIN / 4), &[]).await.unwrap().index, refused.index);
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_an_ordinary_no_leaves_everything_as_it_was_and_reads_nothing_back() {
    let (world, _thief) = Thief::with(Plan::default(), 1, 9 * COIN).await;
    let order = |id: &str, index, amount_sat| RefillAttestOrder {
        refill: id.into(),
        index,
        parts: vec![RefillAttestPart { txid: "ab".repeat(32), vout: 0, amount_sat, fee_sat: 500 }],
        requests: Vec::new(),
        ended: Vec::new(),
    };
    let cosigner = world.cosigner();
    cosigner.attest_refill(order("rf_1", 5, COIN)).await.unwrap();
    // whoever read the store back now would never come to an end
    assert_ne!(world.sql("cosigner", "UPDATE row_coin SET state = 'other'").await, 0);
    let refused = async |order| {
        let asked = tokio::time::timeout(Duration::from_secs(20), cosigner.attest_refill(order));
        asked.await.expect("an answer").unwrap_err().code()
    };
    let ended = RefillAttestOrder { ended: vec!["rf_1".into()], ..order("rf_2", 1_000, 2 * COIN + 1) };
    assert_eq!(refused(ended).await, Code::HotShareAboveLimit);
    assert_eq!(refused(order("rf_2", 5, 2 * COIN)).await, Code::HotShareAboveLimit, "rf_1 has not ended");
    assert_eq!(refused(order("rf_2", 1_006, 1_000)).await, Code::ChangeNotOwn, "no index was moved on");
}
