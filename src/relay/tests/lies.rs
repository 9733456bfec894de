//! What a lying relay, a third VASP or a stranger can try with reports and inquiries.

use axum::http::{Method, StatusCode};
use data_encoding::BASE64;
use ed25519_dalek::Signer;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::attacks::{Behaviour, as_relay, fresh, lying_relay, now, their_key, their_statement};
use super::lived::*;
use super::*;
use crate::enclave::wire::client::{Call, Client};
use crate::enclave::wire::key::{KeyType, SignedKey};
use crate::enclave::wire::seal::{self, Binding, Direction, Envelope, PublicKey, Suite};
use crate::enclave::wire::signed::Sender;
use crate::enclave::wire::{Fate, KeyAsked, Parcel};
use crate::enclave::{EnclaveFault, Outcome};

/// Calls an enclave as the relay does.
pub(super) async fn bring<A: serde::de::DeserializeOwned>(
    world: &World,
    (enclave, to): (&Enclave, VaspId),
    path: &str,
    body: &impl serde::Serialize,
) -> A {
    let base = format!("https://{}", enclave.address());
    let to = to.to_string();
    let call = Call { to: &to, base: &base, method: Method::POST, path, time: Duration::from_secs(5) };
    as_relay(world).call(call, body).await.unwrap()
}

async fn said(world: &World, to: (&Enclave, VaspId), parcel: &Parcel) -> String {
    match bring(world, to, "/v1/inbound/reports", parcel).await {
        Fate::Refused { error } => error,
        Fate::Answered { .. } => "answered".to_owned(),
        Fate::Waiting => "waiting".to_owned(),
    }
}

/// Sealed correctly to the receiver, from `from` and under the signature of `signer`.
pub(super) async fn forged(
    world: &World,
    to: (&Enclave, VaspId),
    (from, signer): (VaspId, &SigningKey),
    (uuid, direction): (&str, Direction),
    asked: Value,
) -> Parcel {
    let key = KeyAsked {
        from: EXCHANGE.to_string(),
        to: to.1.to_string(),
        key_type: "PerVasp".into(),
        identifier: to.1.to_string(),
        suites: vec![Suite::X25519.as_str().into()],
    };
    let key: SignedKey = bring(world, to, "/v1/inbound/keys", &key).await;
    let public = HEXLOWER.decode(key.public_key.as_bytes()).unwrap();
    let public = PublicKey::new(Suite::X25519, public).unwrap();
    let purpose = (KeyType::PerVasp, &*from.to_string());
    let reply_key = SignedKey::sign(signer, from, purpose, (&their_key().public, &[Suite::X25519]), now());
    let asked = asked.to_string();
    let binding = Binding { direction, uuid, from, to: to.1, key_type: "PerVasp" };
    let text = format!(
        "countersign verification-request v1\n{}asked: {}\nreply_key: {}\n",
        String::from_utf8(binding.bytes(Suite::X25519)).unwrap(),
        HEXLOWER.encode(&Sha256::digest(asked.as_bytes())),
        reply_key.public_key
    );
    let signature = BASE64.encode(&signer.sign(text.as_bytes()).to_bytes());
    let plain = json!({"asked": asked, "reply_key": reply_key, "signature": signature}).to_string();
    let entropy = fresh(format!("{asked}{uuid}").as_bytes());
    Parcel {
        from: from.to_string(),
        to: to.1.to_string(),
        uuid: uuid.into(),
        kind: if direction == Direction::Inquiry { "inquiry" } else { "report" }.into(),
        key_type: "PerVasp".into(),
        envelope: seal::seal(&public, binding, plain.as_bytes(), entropy).unwrap(),
    }
}

fn tx(uuid: &str, number: u64, hash: &str) -> Value {
    json!({"uuid": uuid, "number": number, "report": {"tx": {"tx_hash": hash}}})
}

#[tokio::test]
async fn a_report_is_taken_from_the_originator_alone_and_about_its_own_verification() {
    let world = World::new().await;
    let two = world.two().await;
    let (uuid, other) = (verified(&two).await, verified(&two).await);
    let to = (&two.robot, ROBOT);
    let theirs = identity_of(EXCHANGE.0);
    let report = |uuid: &str, asked: Value| {
        let (world, theirs, uuid) = (&world, &theirs, uuid.to_owned());
        async move { forged(world, to, (EXCHANGE, theirs), (&uuid, Direction::Report), asked).await }
    };
    let good = report(&uuid, tx(&uuid, 1, "ab12")).await;
    let envelope = |envelope| Parcel { envelope, ..good.clone() };
    let flip = |text: &str| {
        let mut bytes = BASE64.decode(text.as_bytes()).unwrap();
        bytes[7] ^= 1;
        BASE64.encode(&bytes)
    };
    let of = good.envelope.clone();
    let nowhere = uuid::Uuid::new_v4().to_string();
    let third = identity_of(ROBOT.0);
    let error =
        json!({"uuid": uuid, "number": 1, "report": {"error": {"result": "ERROR", "reason": "no code"}}});
    let cases = [
        (envelope(Envelope { ciphertext: flip(&of.ciphertext), ..of.clone() }), "unreadable"),
        (envelope(Envelope { enc: flip(&of.enc), ..of.clone() }), "unreadable"),
        (Parcel { uuid: other.clone(), ..good.clone() }, "unreadable"),
        (Parcel { kind: "inquiry".into(), ..good.clone() }, "unreadable"),
        (Parcel { kind: "other".into(), ..good.clone() }, "malformed"),
        (Parcel { from: ROBOT.to_string(), ..good.clone() }, "unreadable"),
        (Parcel { from: "99".into(), ..good.clone() }, "vasp_unknown"),
        (report(&uuid, tx(&other, 1, "ab12")).await, "mismatch"),
        (report(&nowhere, tx(&nowhere, 1, "ab12")).await, "verification_unknown"),
        (report(&uuid, error).await, "malformed"),
        (report(&uuid, tx(&uuid, 1, "a b")).await, "malformed"),
        (report(&uuid, json!({"uuid": uuid, "number": 1, "report": {"more": {}}})).await, "unreadable"),
        // A third VASP, under its own good signature.
        (
            forged(&world, to, (ROBOT, &third), (&uuid, Direction::Report), tx(&uuid, 1, "ab12")).await,
            "verification_unknown",
        ),
        // The relay, in the originator's name.
        (
            forged(&world, to, (EXCHANGE, &relay_key()), (&uuid, Direction::Report), tx(&uuid, 1, "ab12"))
                .await,
            "signature_invalid",
        ),
        // A report in a verification's envelope.
        (
            forged(&world, to, (EXCHANGE, &theirs), (&uuid, Direction::Request), tx(&uuid, 1, "ab12")).await,
            "unreadable",
        ),
    ];
    for (n, (parcel, expected)) in cases.into_iter().enumerate() {
        assert_eq!(said(&world, to, &parcel).await, expected, "case {n}");
    }
    assert!(two.theirs.heard().is_empty());
    let record = two.robot.verification(&uuid).await.unwrap().unwrap();
    assert_eq!((record.tx_hash, record.result), (None, Outcome::Verified));
    // Replayed, the good one is heard once; an older one changes nothing after a newer one.
    for _ in 0..3 {
        assert_eq!(said(&world, to, &good).await, "answered");
    }
    let newer = report(&uuid, tx(&uuid, 2, "cd34")).await;
    for parcel in [&newer, &good, &newer] {
        assert_eq!(said(&world, to, parcel).await, "answered");
    }
    two.theirs.hears(2).await;
    assert_eq!(two.robot.verification(&uuid).await.unwrap().unwrap().tx_hash.as_deref(), Some("cd34"));
    // Nothing follows a no.
    let denied = two.exchange.order_user(order(UNCHECKED, &natural("Cook", "Ethan"))).await.unwrap().uuid;
    settled(&two.exchange, &denied).await;
    assert_eq!(said(&world, to, &report(&denied, tx(&denied, 1, "ab12")).await).await, "not_verified");
}

#[tokio::test]
async fn a_uuid_that_names_a_verification_already_serves_no_other_vasp() {
    let world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    let to = (&two.robot, ROBOT);
    let asked = json!({
        "uuid": uuid, "kind": "account", "asset": "bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1", "network": "regtest",
        "destination": CHECKED, "amount": "1", "request_digest": "ab".repeat(32), "ivms101": "",
    });
    let third = identity_of(ROBOT.0);
    let mut parcel = forged(&world, to, (ROBOT, &third), (&uuid, Direction::Request), asked).await;
    parcel.kind = "account".into();
    let fate: Fate = bring(&world, to, "/v1/inbound/verifications", &parcel).await;
    assert!(matches!(&fate, Fate::Refused { error } if error == "uuid_reused"), "{fate:?}");
}

#[tokio::test]
async fn what_an_order_says_twice_must_agree_and_a_large_one_names_somebody() {
    let world = World::new().await;
    let two = world.two().await;
    let (to, signer) = ((&two.robot, ROBOT), identity_of(EXCHANGE.0));
    let unnamed = String::from_utf8(payload("", CHECKED)).unwrap();
    let with = |uuid: &str, member: &str, value: Value| {
        let mut info = serde_json::to_value(asset_info()).unwrap();
        let required = if member == "required" { value.clone() } else { json!(["ACCOUNT_NUMBER"]) };
        if member != "required" {
            info[member] = value;
        }
        json!({
            "uuid": uuid, "kind": "user", "asset": "bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1", "network": "regtest",
            "destination": CHECKED, "amount": "150000", "request_digest": "ab".repeat(32), "ivms101": unnamed,
            "asset_info": info, "required": required,
        })
    };
    for (member, value, expected) in [
        ("symbol", json!("XRP"), "malformed"),
        ("network", json!("mainnet"), "malformed"),
        ("amount", json!("0.00150001"), "malformed"),
        ("tradePrice", json!("much"), "malformed"),
        ("required", json!(["SHOE_SIZE"]), "malformed"),
        ("colour", json!("red"), "unreadable"),
        ("tradeCurrency", json!("USD"), "answered"),
    ] {
        let uuid = uuid::Uuid::new_v4().to_string();
        let asked = with(&uuid, member, value);
        let mut parcel = forged(&world, to, (EXCHANGE, &signer), (&uuid, Direction::Request), asked).await;
        parcel.kind = "user".into();
        let fate: Fate = bring(&world, to, "/v1/inbound/verifications", &parcel).await;
        match fate {
            Fate::Refused { error } => assert_eq!(error, expected, "{member}"),
            fate => {
                assert!(matches!(fate, Fate::Answered { .. }) && expected == "answered", "{member} {fate:?}")
            }
        }
        let record = two.robot.verification(&uuid).await.unwrap();
        assert_eq!(record.is_some(), expected == "answered", "{member}");
        if let Some(record) = record {
            assert_eq!(result(&record), (Outcome::Denied, "LACK-OF-INFORMATION", "NATURAL_PERSON_NAME"));
        }
    }
}

#[tokio::test]
async fn an_inquiry_is_answered_to_the_beneficiary_alone() {
    let world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    let to = (&two.exchange, EXCHANGE);
    let inquiry = |uuid: &str| json!({"uuid": uuid, "asked_at": now().0});
    let nowhere = uuid::Uuid::new_v4().to_string();
    for (from, about, direction, expected) in [
        (ROBOT, &uuid, Direction::Inquiry, "answered"),
        (EXCHANGE, &uuid, Direction::Inquiry, "verification_unknown"),
        (ROBOT, &nowhere, Direction::Inquiry, "verification_unknown"),
        (ROBOT, &uuid, Direction::Status, "unreadable"),
    ] {
        let signer = identity_of(from.0);
        let mut parcel = forged(&world, to, (from, &signer), (about, direction), inquiry(about)).await;
        parcel.kind = "inquiry".into();
        assert_eq!(said(&world, to, &parcel).await, expected);
    }
    // The beneficiary cannot report about it, whatever it signs.
    let signer = identity_of(ROBOT.0);
    let parcel = forged(&world, to, (ROBOT, &signer), (&uuid, Direction::Report), tx(&uuid, 1, "ab12")).await;
    assert_eq!(said(&world, to, &parcel).await, "verification_unknown");
    assert!(two.exchange.verification(&uuid).await.unwrap().unwrap().tx_hash.is_none());
}

#[tokio::test]
async fn a_relay_that_says_a_report_was_taken_is_not_believed() {
    let mut world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    world.stop_relay().await;
    two.exchange.report_tx(&uuid, "ab12", None).await.unwrap();
    // It seals to the key it can ask for, but cannot sign; and it sends reports back to their sender.
    let key = KeyAsked {
        from: ROBOT.to_string(),
        to: EXCHANGE.to_string(),
        key_type: "PerVasp".into(),
        identifier: EXCHANGE.to_string(),
        suites: vec![Suite::X25519.as_str().into()],
    };
    let key: SignedKey = bring(&world, (&two.exchange, EXCHANGE), "/v1/inbound/keys", &key).await;
    let public = HEXLOWER.decode(key.public_key.as_bytes()).unwrap();
    let public = PublicKey::new(Suite::X25519, public).unwrap();
    let turn = AtomicUsize::new(0);
    let behaviour: Behaviour = Arc::new(move |path, body| {
        if path != "POST /v1/reports" {
            return (StatusCode::OK, Value::Null);
        }
        let uuid = body["uuid"].as_str().unwrap();
        let binding =
            Binding { direction: Direction::Receipt, uuid, from: ROBOT, to: EXCHANGE, key_type: "PerVasp" };
        let word = json!({"said": "{\"number\":1}", "signature": BASE64.encode(&[7; 64])}).to_string();
        let made = seal::seal(&public, binding, word.as_bytes(), Zeroizing::new([3; 64])).unwrap();
        let fate = match turn.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => json!({"state": "answered", "envelope": made}),
            1 => json!({"state": "answered", "envelope": body["envelope"]}),
            2 => json!({"state": "refused", "error": "not_verified"}),
            _ => json!({"state": "waiting"}),
        };
        (StatusCode::OK, fate)
    });
    let seen = lying_relay(&world, behaviour).await;
    let reports = || seen.lock().unwrap().iter().filter(|(path, _)| path == "POST /v1/reports").count();
    for _ in 0..300 {
        if reports() > 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(reports() > 4, "it is told again and again");
    let text = format!("{:?}", seen.lock().unwrap());
    assert!(!text.contains("ab12") && !text.contains("tx_hash"), "{text}");
    assert!(two.theirs.heard().is_empty());
    // An inquiry has no answer but a signed one.
    assert!(matches!(two.robot.inquire(&uuid).await, Err(EnclaveFault::NoAnswer)));
    // The envelope it kept is good for one thing: to be delivered.
    let kept = seen.lock().unwrap().iter().find(|(path, _)| path == "POST /v1/reports").unwrap().1.clone();
    let kept: Parcel = serde_json::from_value(kept).unwrap();
    assert_eq!(said(&world, (&two.robot, ROBOT), &kept).await, "answered");
    two.theirs.hears(1).await;
}

#[tokio::test]
async fn a_relay_whose_answers_cannot_be_read_gains_an_error_and_nothing_else() {
    let mut world = World::new().await;
    let two = world.two().await;
    verified(&two).await;
    world.stop_relay().await;
    let behaviour: Behaviour = Arc::new(|path, body| match path {
        "POST /v1/keys" => (StatusCode::OK, their_statement(&identity_of(ROBOT.0))),
        // The request itself, turned round.
        "POST /v1/verifications" => {
            (StatusCode::OK, json!({"state": "answered", "envelope": body["envelope"]}))
        }
        _ => (StatusCode::OK, Value::Null),
    });
    lying_relay(&world, behaviour).await;
    let uuid = two.exchange.order_user(order(CHECKED, &natural("Robbins", "Taylor"))).await.unwrap().uuid;
    assert_eq!(result(&settled(&two.exchange, &uuid).await), (Outcome::Error, "UNDEFINED-ERROR", ""));
    assert_eq!(two.ours.hears(2).await[1].1["verificationResult"], json!("ERROR"));
    assert!(two.robot.verification(&uuid).await.unwrap().is_none());
}

#[tokio::test]
async fn the_relay_hands_reports_through_for_the_owner_of_the_uuid_alone() {
    let world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    let base = format!("https://{}", world.relay_address);
    let post = || Call {
        to: "relay",
        base: &base,
        method: Method::POST,
        path: "/v1/reports",
        time: Duration::from_secs(5),
    };
    let client = |vasp: VaspId| {
        Client::new(world.roots.clone(), Sender::new(vasp.to_string(), identity_of(vasp.0), clock())).unwrap()
    };
    let parcel = |kind: &str, from: VaspId, to: VaspId| Parcel {
        from: from.to_string(),
        to: to.to_string(),
        uuid: uuid.clone(),
        kind: kind.into(),
        key_type: "PerVasp".into(),
        envelope: Envelope { suite: "s".into(), key_id: "k".into(), enc: "e".into(), ciphertext: "c".into() },
    };
    for (caller, parcel, error) in [
        (ROBOT, parcel("report", ROBOT, EXCHANGE), "uuid_unknown"),
        (EXCHANGE, parcel("inquiry", EXCHANGE, ROBOT), "uuid_unknown"),
        (ROBOT, parcel("report", EXCHANGE, ROBOT), "vasp_unknown"),
        (EXCHANGE, parcel("report", EXCHANGE, VaspId(99)), "vasp_unknown"),
        (EXCHANGE, parcel("user", EXCHANGE, ROBOT), "malformed"),
    ] {
        let answer: Result<Fate, _> = client(caller).call(post(), &parcel).await;
        assert!(answer.as_ref().is_err_and(|fault| fault.is(error)), "{answer:?}");
    }
    let fate: Fate = client(EXCHANGE).call(post(), &parcel("report", EXCHANGE, ROBOT)).await.unwrap();
    assert!(matches!(fate, Fate::Refused { error } if error == "key_unknown"));
}
