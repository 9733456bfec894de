//! The stolen signer: its database, its log, its keys, its certificate, and the enclave's power to have anything truly
//! cleared that a counterparty will clear.

use countersign::evidence::*;
use wallet_policy::Units;

use super::*;
use crate::approvals::{approval, text};

const LARGE: u64 = 20_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_nobody_asked_for_is_not_signed_though_it_was_truly_cleared() {
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000]).await;
    let wished = robbery.world.request("wished", ETHAN, 50_000_000);
    // the counterparty clears the very text, whoever signed it; the signer's own keys are no request key
    for (seed, key_id, code) in [
        (STRANGER, "k1", "REQUEST_SIGNATURE_INVALID"),
        (OWN, "k1", "REQUEST_SIGNATURE_INVALID"),
        (STRANGER, "k2", "REQUEST_KEY_UNKNOWN"),
    ] {
        let request = signed(sign_request(&wished, ed25519(&key(seed))).unwrap(), key_id);
        let answer = robbery.answer(&wished);
        assert_eq!(answer.request_digest, digest(&request.text));
        let plot = robbery.thief.plot(0, &[&wished]);
        robbery.fails(code, &plot, vec![payment(request, Some(signed_answer(&answer, ROBOT)))]).await;
    }
    let text = SignedText { text: sign(&wished).text, ..robbery.taken[0].payment.request.clone() };
    let answer = robbery.answer(&wished);
    let plot = robbery.thief.plot(0, &[&wished]);
    robbery
        .fails("REQUEST_SIGNATURE_INVALID", &plot, vec![payment(text, Some(signed_answer(&answer, ROBOT)))])
        .await;
    let taken = robbery.taken[0].clone();
    let plot = robbery.plot(0, &taken);
    robbery.succeeds(&plot, vec![taken.payment]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_is_not_redirected_raised_split_or_paid_twice() {
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000, 2_000_000]).await;
    let (asked, other) = (robbery.taken[0].clone(), robbery.taken[1].clone());
    let paid = asked.payment.clone();
    let to = |payees: &[(&str, u64)]| payees.iter().map(|(to, sat)| ((*to).to_owned(), *sat)).collect();
    let lies: Vec<Vec<(String, u64)>> = vec![
        to(&[(ETHAN, 2_000_000)]),
        to(&[(TAYLOR, 2_000_001)]),
        to(&[(TAYLOR, 1_999_999)]),
        to(&[(TAYLOR, 2_000_000), (TAYLOR, 2_000_000)]),
        to(&[(TAYLOR, 2_000_000), (ETHAN, 1_000)]),
        // the sum is right, and it is many
        to(&[(TAYLOR, 1_000_000), (TAYLOR, 1_000_000)]),
        to(&[(TAYLOR, 500_000), (TAYLOR, 500_000), (TAYLOR, 500_000), (TAYLOR, 500_000)]),
        to(&[(TAYLOR, 1_000_000), (ETHAN, 1_000_000)]),
    ];
    for payees in lies {
        let plot = Plot { payees, ..robbery.plot(0, &asked) };
        robbery.fails("TRANSACTION_MISMATCH", &plot, vec![paid.clone()]).await;
    }
    // one answer for two, and another's
    let borrowed = CosignPayment { clearance: paid.clearance.clone(), ..other.payment.clone() };
    let plot = robbery.plot(0, &other);
    robbery.fails("EVIDENCE_INVALID", &plot, vec![borrowed]).await;
    let twice = robbery.thief.plot(0, &[&asked.request, &asked.request]);
    robbery.fails("REQUEST_ID_REUSED", &twice, vec![paid.clone(), paid.clone()]).await;
    // once
    let plot = robbery.plot(0, &asked);
    robbery.succeeds(&plot, vec![paid.clone()]).await;
    for coin in 1..4 {
        let plot = Plot { change: Some((Branch::Change, 22)), ..robbery.plot(coin, &asked) };
        robbery.fails("ANCHOR_MISMATCH", &plot, vec![paid.clone()]).await;
    }
    // with a fresh and true answer too, and after a restart
    robbery.world.restart_cosigner().await;
    let fresh = robbery.payment(&asked.request);
    let plot = Plot { change: Some((Branch::Change, 23)), ..robbery.plot(1, &asked) };
    robbery.fails("ANCHOR_MISMATCH", &plot, vec![fresh]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_bumps_whose_ends_share_no_input_is_not_begun() {
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000]).await;
    let asked = robbery.taken[0].clone();
    let plot = robbery.plot(0, &asked);
    robbery.succeeds(&plot, vec![asked.payment.clone()]).await;
    let coins = robbery.thief.coins.clone();
    let from = |inputs: &[usize], fee: u64, index: u32| Plot {
        inputs: inputs.iter().map(|n| coins[*n].clone()).collect(),
        change: Some((Branch::Change, index)),
        fee,
        ..plot.clone()
    };
    // the middle that would share an input with both ends, each time with more fee; then the far end
    for bump in 1..5u32 {
        let fee = u64::from(bump) * 3_000;
        let middle = from(&[0, 1], fee, 40 + bump);
        robbery.fails("COIN_UNKNOWN", &middle, vec![asked.payment.clone()]).await;
        let same = from(&[0], fee + 1, 50 + bump);
        robbery.fails("COIN_UNKNOWN", &same, vec![asked.payment.clone()]).await;
        let end = from(&[1], fee, 60 + bump);
        robbery.fails("ANCHOR_MISMATCH", &end, vec![asked.payment.clone()]).await;
        let end = from(&[1, 2], fee, 70 + bump);
        robbery.fails("ANCHOR_MISMATCH", &end, vec![asked.payment.clone()]).await;
    }
    // a second payment out of the first one's change
    let first = plot.build().psbt(KeySlot::B, &hot_wallet(), Some(&cold_wallet())).unwrap();
    let first = bitcoin::Psbt::deserialize(&first).unwrap().unsigned_tx;
    let script = Arc::new(hot_wallet().script(Branch::Change, 20).unwrap());
    let vout = first.output.iter().position(|o| o.script_pubkey == *script.script_pubkey()).unwrap();
    let change = OwnCoin {
        outpoint: bitcoin::OutPoint { txid: first.compute_txid(), vout: u32::try_from(vout).unwrap() },
        amount_sat: first.output[vout].value.to_sat(),
        script,
    };
    let child = Plot { inputs: vec![change], change: Some((Branch::Change, 80)), fee: 5_000, ..plot.clone() };
    robbery.fails("ANCHOR_MISMATCH", &child, vec![asked.payment.clone()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_sweeps_consolidations_and_bumps_end_at_the_fee_budget() {
    let mut plan = Plan::default();
    let limits = plan.cosigner_policy.assets.get_mut(&ASSET.to_string()).unwrap();
    limits.fee_budget_daily = Units(3_500);
    limits.fee_lineage_max = Units(3_500);
    limits.fee_tx_max = Units(3_500);
    let mut robbery = Robbery::of(plan, &[2_000_000]).await;
    let asked = robbery.taken[0].clone();
    // everything to itself, from one coin and from many
    for inputs in [1..2, 0..4] {
        let inputs = robbery.thief.coins[inputs].to_vec();
        let plot = Plot { inputs, payees: vec![], ..robbery.plot(0, &asked) };
        robbery.fails("KIND_NOT_ALLOWED", &plot, vec![]).await;
    }
    let sweep = |robbery: &Robbery, coin: usize| robbery.thief.sweep(coin, u32::try_from(coin).unwrap());
    for coin in 0..3 {
        let plot = sweep(&robbery, coin);
        robbery.succeeds(&plot, vec![]).await;
    }
    for (index, restarts) in [(3, false), (4, true)] {
        if restarts {
            robbery.world.restart_cosigner().await;
        }
        let plot = Plot { cold: Some((index, COIN - 1_000)), ..sweep(&robbery, 3) };
        robbery.fails("FEE_BUDGET_SPENT", &plot, vec![]).await;
        let plot = robbery.plot(4, &asked);
        robbery.fails("FEE_BUDGET_SPENT", &plot, vec![asked.payment.clone()]).await;
    }
    // one that drains it at once is above the cap by itself
    let drain = Plot { cold: Some((9, COIN - 3_501)), fee: 3_501, ..sweep(&robbery, 3) };
    robbery.fails("FEE_ABOVE_CAP", &drain, vec![]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_swapped_at_the_signer_moves_nothing_at_the_cosigner() {
    let mut plan = Plan::default();
    plan.signer_policy.tiers.clear();
    let mut robbery = Robbery::of(plan, &[LARGE]).await;
    // there it was booked without anybody's yes
    let asked = robbery.taken[0].clone();
    assert!(asked.payment.clearance.is_some());
    let plot = robbery.plot(0, &asked);
    robbery.fails("APPROVAL_REQUIRED", &plot, vec![asked.payment.clone()]).await;
    // an approval counts for the policy it names
    let text = text(&robbery.world, &asked.request).render();
    let approved = CosignPayment { approvals: vec![approval(&text, KIM)], ..asked.payment.clone() };
    robbery.thief.policy = robbery.world.cosigner_policy_hash();
    let plot = robbery.plot(0, &asked);
    robbery.fails("APPROVAL_REQUIRED", &plot, vec![approved.clone()]).await;
    robbery.thief.policy = robbery.world.policy_hash();
    let plot = robbery.plot(0, &asked);
    robbery.succeeds(&plot, vec![approved]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_are_neither_forged_nor_replayed() {
    let mut robbery = Robbery::of(Plan::default(), &[LARGE, LARGE]).await;
    let (asked, other) = (robbery.taken[0].clone(), robbery.taken[1].clone());
    let of = |robbery: &Robbery, taken: &Taken| text(&robbery.world, &taken.request).render();
    let (own, others) = (of(&robbery, &asked), of(&robbery, &other));
    let with = |approvals: Vec<String>| vec![CosignPayment { approvals, ..asked.payment.clone() }];
    let cases = [
        ("APPROVAL_REQUIRED", vec![]),
        ("APPROVAL_REQUIRED", vec![approval(&own, STRANGER)]),
        ("APPROVAL_REQUIRED", vec![approval(&own, OWN)]),
        ("APPROVAL_REQUIRED", vec![approval(&others, KIM)]),
        ("APPROVAL_REQUIRED", vec![approval(&own, LEE); 2]),
    ];
    for (code, approvals) in cases {
        let plot = robbery.plot(0, &asked);
        robbery.fails(code, &plot, with(approvals)).await;
    }
    let plot = robbery.plot(0, &asked);
    robbery.succeeds(&plot, with(vec![approval(&own, KIM)])).await;
    // what was approved once is paid once
    let plot = Plot { change: Some((Branch::Change, 24)), ..robbery.plot(1, &asked) };
    robbery.fails("ANCHOR_MISMATCH", &plot, with(vec![approval(&own, KIM)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_inputs_and_sighashes_of_its_own_making_are_not_signed() {
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000]).await;
    let asked = robbery.taken[0].clone();
    let paid = vec![asked.payment.clone()];
    for change in [(Branch::Deposit, 0), (Branch::Change, 5_000), (Branch::Change, 2_000_000_000)] {
        let plot = Plot { change: Some(change), ..robbery.plot(0, &asked) };
        robbery.fails("CHANGE_NOT_OWN", &plot, paid.clone()).await;
    }
    type Trick = Box<dyn Fn(&mut bitcoin::Psbt)>;
    let tricks: Vec<(&str, Trick)> = vec![
        (
            "TRANSACTION_MISMATCH",
            Box::new(|p| p.inputs[0].sighash_type = Some(bitcoin::EcdsaSighashType::None.into())),
        ),
        (
            "TRANSACTION_MISMATCH",
            Box::new(|p| {
                p.inputs[0].sighash_type = Some(bitcoin::EcdsaSighashType::AllPlusAnyoneCanPay.into());
            }),
        ),
        // an amount that is a lie, both ways
        (
            "TRANSACTION_MISMATCH",
            Box::new(|p| {
                p.inputs[0].witness_utxo.as_mut().unwrap().value += bitcoin::Amount::from_sat(1_000);
            }),
        ),
        (
            "TRANSACTION_MISMATCH",
            Box::new(|p| {
                p.inputs[0].witness_utxo.as_mut().unwrap().value -= bitcoin::Amount::from_sat(1_000);
            }),
        ),
        // another wallet's script
        (
            "TRANSACTION_MISMATCH",
            Box::new(|p| {
                let other = cold_wallet().script(Branch::Deposit, 0).unwrap();
                p.inputs[0].witness_script = Some(other.witness_script().to_owned());
                p.inputs[0].witness_utxo.as_mut().unwrap().script_pubkey = other.script_pubkey().to_owned();
            }),
        ),
        // change to a stranger, under a derivation of ours
        (
            "CHANGE_NOT_OWN",
            Box::new(|p| {
                let at = p.outputs.iter().position(|o| !o.bip32_derivation.is_empty()).unwrap();
                let stranger = countersign::bitcoin::Destination::parse(ETHAN, NETWORK).unwrap();
                p.unsigned_tx.output[at].script_pubkey = stranger.script_pubkey().to_owned();
            }),
        ),
    ];
    for (at, (code, trick)) in tricks.into_iter().enumerate() {
        let before = robbery.books().await;
        let mut psbt = psbt_of(&robbery.plot(0, &asked));
        trick(&mut psbt);
        let loot = robbery.thief.book_bytes(psbt.serialize(), paid.clone());
        assert_eq!(no(robbery.ask(std::slice::from_ref(&loot)).await.remove(0)), code, "trick {at}");
        assert_eq!(robbery.books().await, before, "trick {at}");
    }
    let plot = robbery.plot(0, &asked);
    robbery.succeeds(&plot, paid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_its_own_making_reach_nothing() {
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000]).await;
    let asked = robbery.taken[0].clone();
    let now = robbery.world.now();
    let bodies = [
        Body::Price(vec![(ASSET, Krw(1))]),
        Body::Position { cold: vec![(ASSET, Amount::from_sat(1_000 * COIN))], swept: vec![] },
        NOTHING_NEW,
    ];
    let facts = count(&robbery.world, "cosigner", "SELECT max(log_index) FROM row_statement").await;
    for body in bodies {
        // with a key of the signer's, under the observer's name and under another
        for (observer, seed) in [("watcher", OWN), ("signer", 0xa)] {
            let said =
                Statement { observer: observer.into(), number: 9_000, after: 0, at: now, body: body.clone() };
            let said = signed(sign_statement(&said, ed25519(&key(seed))).unwrap(), observer);
            let answer = robbery.line().submit_statements(vec![said]).await.unwrap().remove(0);
            assert_eq!(answer.unwrap_err().code, Code::StatementSignatureInvalid);
        }
    }
    let after = count(&robbery.world, "cosigner", "SELECT max(log_index) FROM row_statement").await;
    assert_eq!(after, facts);
    // nor does the time in its log count: its entries are of 1970
    let plot = robbery.plot(0, &asked);
    robbery.succeeds(&plot, vec![asked.payment]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_not_reset_by_another_log_or_another_start() {
    let mut plan = Plan::default();
    let limits = plan.cosigner_policy.assets.get_mut(&ASSET.to_string()).unwrap();
    limits.hourly_limit = Units(3_000_000);
    limits.per_tx_limit = Units(3_000_000);
    let mut robbery = Robbery::of(plan, &[2_000_000, 2_000_000]).await;
    let (one, two) = (robbery.taken[0].clone(), robbery.taken[1].clone());
    let plot = robbery.plot(0, &one);
    robbery.succeeds(&plot, vec![one.payment]).await;
    for _ in 0..2 {
        let plot = Plot { change: Some((Branch::Change, 25)), ..robbery.plot(1, &two) };
        robbery.fails("LIMIT_ROLLING", &plot, vec![two.payment.clone()]).await;
        robbery.world.restart_cosigner().await;
    }
    // a new log in the place of the old one, as if nothing had ever been witnessed, stops everything
    robbery.thief.tree = Tree::default();
    robbery.thief.known = 0;
    let before = robbery.books().await;
    let plot = Plot { change: Some((Branch::Change, 26)), ..robbery.plot(1, &two) };
    let loot = robbery.thief.book(&plot, vec![two.payment]);
    let order = robbery.thief.order(std::slice::from_ref(&loot));
    let answer = robbery.line().countersign(order).await.unwrap();
    assert!(matches!(answer.head, HeadAnswer::KnownSize(size) if size > 0) && answer.verdicts.is_empty());
    let size = match answer.head {
        HeadAnswer::KnownSize(size) => size,
        HeadAnswer::Cosigned(_) => unreachable!(),
    };
    while robbery.thief.tree.size() <= size {
        robbery.thief.log(countersign::audit::EntryKind::Policy, &[("policy", "00")]);
    }
    robbery.thief.known = size;
    let order = robbery.thief.order(std::slice::from_ref(&loot));
    assert_eq!(robbery.line().countersign(order).await.unwrap_err().code(), Code::LogForked);
    assert_eq!(robbery.books().await, before);
}
