//! The stolen certificate of the exchange, its stolen request key, and both.

use countersign::evidence::*;
use countersign::wire::v1;
use wallet_policy::Units;

use super::*;

async fn wire(world: &World) -> Wire {
    Wire::before(Desks::of_signer(&world.desk()), Role::Signer).await
}

fn asked(request: SignedText) -> v1::CreateWithdrawalRequest {
    let ivms101_payload = ivms(("Robbins", "Taylor"), TAYLOR);
    v1::CreateWithdrawalRequest { request: Some(request.into()), ivms101_payload }
}

#[track_caller]
fn says(status: &tonic::Status, code: &str) {
    let said = countersign::grpc::client::explain(status);
    assert!(said.contains(code), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_certificate_of_the_exchange_asks_for_nothing_and_takes_nothing_back() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let wire = wire(&world).await;
    let mut client = wire.client_as(Role::Exchange, "acme").withdrawals();
    // what the exchange once asked can be repeated, and is answered as it stands
    let true_one = world.request("r1", TAYLOR, 2_000_000);
    let first = world.ask(&true_one, ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(codes(&first), ["RELEASED"]);
    let again = client.create_withdrawal(asked(sign(&true_one))).await.unwrap().into_inner();
    assert_eq!(again.raw_transaction, first.raw_transaction);
    // nothing of its own
    let request = world.request("r2", TAYLOR, 2_000_000);
    let forged = signed(sign_request(&request, ed25519(&key(STRANGER))).unwrap(), "k1");
    says(&client.create_withdrawal(asked(forged)).await.unwrap_err(), "REQUEST_SIGNATURE_INVALID");
    let mut altered = sign(&true_one);
    altered.text = altered.text.replace(TAYLOR, ETHAN);
    says(&client.create_withdrawal(asked(altered)).await.unwrap_err(), "REQUEST_SIGNATURE_INVALID");
    let held = world.request("r3", TAYLOR, 20_000_000);
    let view = world.ask(&held, ("Robbins", "Taylor")).await.unwrap();
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    let cancellation = Some(cancel_of(&held, STRANGER).into());
    let no = client.cancel_withdrawal(v1::CancelWithdrawalRequest { cancellation }).await.unwrap_err();
    says(&no, "REQUEST_SIGNATURE_INVALID");
    assert_eq!(codes(&world.find(view.id).await), ["APPROVAL_REQUIRED"]);
    // nor the role of another
    let approve = v1::ApproveWithdrawalRequest { name: "withdrawals/x".into(), signature: "x".into() };
    let no =
        wire.client_as(Role::Exchange, "acme").approvals().approve_withdrawal(approve).await.unwrap_err();
    assert_eq!(no.code(), tonic::Code::PermissionDenied);
    // and only its own organisation's withdrawals are seen by it
    let mut other = wire.client_as(Role::Exchange, "other").withdrawals();
    let pick = Some(v1::get_withdrawal_request::Pick::Name(format!("withdrawals/{}", first.id)));
    assert_eq!(
        other.get_withdrawal(v1::GetWithdrawalRequest { pick }).await.unwrap_err().code(),
        tonic::Code::NotFound
    );
    // with the request key the same certificate does what the exchange does
    client.create_withdrawal(asked(sign(&request))).await.unwrap();
    world.until(request.id(), |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_request_key_without_a_certificate_reaches_nobody() {
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    let wire = wire(&world).await;
    let request = world.request("r1", TAYLOR, 2_000_000);
    for role in [Role::Observer, Role::Operator, Role::Auditor, Role::Signer] {
        let mut client = wire.client_as(role, "acme").withdrawals();
        let no = client.create_withdrawal(asked(sign(&request))).await.unwrap_err();
        assert_eq!(no.code(), tonic::Code::PermissionDenied, "{role}");
    }
    let mut other = wire.client_as(Role::Exchange, "other").withdrawals();
    says(&other.create_withdrawal(asked(sign(&request))).await.unwrap_err(), "REQUEST_KEY_UNKNOWN");
    // a certificate of another authority is none at all
    let elsewhere = Wire::before(Desks::default(), Role::Signer).await;
    let order = countersign::grpc::Client::with_tls(
        wire.address.clone(),
        elsewhere.tls(Role::Exchange, "acme"),
        Role::Signer,
    );
    order.unwrap().withdrawals().create_withdrawal(asked(sign(&request))).await.unwrap_err();
    assert!(world.tap.orders.lock().unwrap().is_empty());
    wire.client_as(Role::Exchange, "acme")
        .withdrawals()
        .create_withdrawal(asked(sign(&request)))
        .await
        .unwrap();
    world.until(request.id(), |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_request_key_with_the_certificate_ends_at_the_vasp_the_tier_and_the_limit() {
    let mut plan = Plan::default();
    for settings in [&mut plan.signer_policy, &mut plan.cosigner_policy] {
        let limits = settings.assets.get_mut(&ASSET.to_string()).unwrap();
        (limits.hourly_limit, limits.per_tx_limit) = (Units(25_000_000), Units(25_000_000));
    }
    let world = World::funded(plan, 4, 70 * COIN).await;
    // nobody at the counterparty has such a name, or such an address
    let stranger = hot_wallet().address(Branch::Deposit, 500).unwrap();
    let denied = world.ask(&world.request("r1", &stranger, 2_000_000), ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(codes(&denied), ["TRAVEL_RULE_DENIED"]);
    // an own address, and a wallet nobody registered
    let own = world.address("c1").await.address;
    let denied = world.ask(&world.request("r2", &own, 2_000_000), ("Robbins", "Taylor")).await.unwrap();
    assert!(["DESTINATION_OWN", "TRAVEL_RULE_DENIED"].contains(&codes(&denied)[0]), "{denied:?}");
    let wallet =
        WithdrawalRequest { beneficiary_vasp: VaspId::SELF_HOSTED, ..world.request("r3", ETHAN, 2_000_000) };
    assert_eq!(codes(&world.ask(&wallet, ("x", "y")).await.unwrap()), ["WALLET_NOT_REGISTERED"]);
    // much at once waits for people, and more than the limit for ever
    let large = world.withdraw("r4", 20_000_000).await;
    world.until(large.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    assert_eq!(codes(&world.withdraw("r5", 25_000_001).await), ["LIMIT_PER_TRANSACTION"]);
    // below the tier it pays, with an accomplice at the counterparty, as far as the rolling limit: this it can do
    for n in 0..2 {
        assert_eq!(codes(&world.withdraw(&format!("s{n}"), 9_000_000).await), ["RELEASED"]);
    }
    let held = world.withdraw("s2", 9_000_000).await;
    world.until(held.id, |v| codes(v) == ["LIMIT_ROLLING"]).await;
}
