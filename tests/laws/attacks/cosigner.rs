//! The stolen co-signer: key B, its database, its certificates and its attestation key. It can refuse, lie about heads and
//! vouch for any address; it cannot pay, and it cannot make the signer sign what the signer has not decided.

use bitcoin::{Amount as Sats, Transaction, TxOut, Witness};
use countersign::bitcoin::consensus::verify_bytes;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_cosigner_cannot_pay_alone() {
    // it signs whatever it likes: what it has then is one signature of two
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000]).await;
    let asked = robbery.taken[0].clone();
    let plot = robbery.plot(0, &asked);
    let psbt = bitcoin::Psbt::deserialize(&robbery.succeeds(&plot, vec![asked.payment]).await).unwrap();
    let coin = robbery.thief.coins[0].clone();
    let own = *psbt.inputs[0].partial_sigs.values().next().unwrap();
    assert_eq!(psbt.inputs[0].partial_sigs.len(), 1);
    let spent = [TxOut {
        value: Sats::from_sat(coin.amount_sat),
        script_pubkey: coin.script.script_pubkey().to_owned(),
    }];
    let script = coin.script.witness_script().to_bytes();
    let finished = |signatures: Vec<Vec<u8>>| {
        let mut transaction = psbt.unsigned_tx.clone();
        let stack: Vec<Vec<u8>> = [vec![vec![]], signatures, vec![script.clone()]].concat();
        transaction.input[0].witness = Witness::from_slice(&stack);
        bitcoin::consensus::encode::serialize(&transaction)
    };
    let own = own.to_vec();
    for alone in [vec![own.clone()], vec![own.clone(), own.clone()], vec![own, vec![]]] {
        verify_bytes(&finished(alone), &spent).unwrap_err();
    }
    // with A's beside it the same rules take a transaction of the same wallet
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    let view = world.withdraw("r1", 2_000_000).await;
    let paid: Transaction = bitcoin::consensus::encode::deserialize(&view.raw_transaction).unwrap();
    let prevouts: Vec<TxOut> = view
        .prevouts
        .iter()
        .map(|p| TxOut {
            value: Sats::from_sat(p.value.sat().unwrap()),
            script_pubkey: p.script_pubkey.clone().into(),
        })
        .collect();
    verify_bytes(&bitcoin::consensus::encode::serialize(&paid), &prevouts).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_cosigner_stops_the_service_and_moves_nothing_else() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    // it signs something else than it was asked for
    world.tap.corrupt(|bytes| {
        let mut psbt = bitcoin::Psbt::deserialize(&bytes).unwrap();
        psbt.unsigned_tx.output[0].value -= Sats::from_sat(1);
        psbt.serialize()
    });
    let desk = world.desk();
    let request = world.request("r1", TAYLOR, 2_000_000);
    let asked = order(&request, ("Robbins", "Taylor"));
    let task =
        tokio::spawn(
            async move { WithdrawalDesk::create(&*desk, &caller(Role::Exchange, "acme"), asked).await },
        );
    let alarm = |leaf: &[u8]| leaf.windows(14).any(|w| w == b"\"kind\":\"alarm\"");
    while !world.leaves().await.iter().any(|leaf| alarm(leaf)) {
        tokio::task::yield_now().await;
    }
    let stuck = world.find(request.id()).await;
    assert_eq!((stuck.stage, stuck.raw_transaction.len()), (Stage::Reserved, 0));
    task.abort();
    // the truth again, and the same is finished after the next start: nothing was lost
    let mut world = world;
    world.tap.corrupt(|bytes| bytes);
    world.restart_signer().await;
    world.until(request.id(), |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_cosigner_vouches_for_no_address_that_the_signer_did_not_derive() {
    use countersign::evidence::attestation::verify_attestation;
    // its attestation of a stranger's address holds by its key, and is of no use without the signer
    let world = World::new(Plan::default()).await;
    let view = world.address("c1").await;
    assert_eq!(view.address, hot_wallet().address(Branch::Deposit, view.index).unwrap());
    let text = view.attestation.text.replace(&view.address, ETHAN);
    let signature = identity(0xb, "attestation").sign_text(&text).unwrap();
    let trust = trust(&world.plan.trust);
    verify_attestation(&text, &signature, trust.attestation_key()).unwrap();
    // what is handed out a second time is what was handed out first
    assert_eq!(world.address("c1").await, view);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cosigners_certificate_opens_nothing_at_the_signer() {
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    let wire = Wire::before(Desks::of_signer(&world.desk()), Role::Signer).await;
    let request = world.request("r1", TAYLOR, 2_000_000);
    let message = || countersign::wire::v1::CreateWithdrawalRequest {
        request: Some(sign(&request).into()),
        ivms101_payload: ivms(("Robbins", "Taylor"), TAYLOR),
    };
    // it is a server's certificate: the handshake ends with it
    let mut client = wire.client_as(Role::Cosigner, "stolen").withdrawals();
    let no = client.create_withdrawal(message()).await.unwrap_err();
    // the connection ends; nothing of the service answers
    assert!(
        std::error::Error::source(&no).is_some_and(|cause| cause.is::<tonic::transport::Error>()),
        "{no}"
    );
    assert!(world.tap.orders.lock().unwrap().is_empty());
    let mut exchange = wire.client_as(Role::Exchange, "acme").withdrawals();
    exchange.create_withdrawal(message()).await.unwrap();
}
