//! What the enclave makes of a backend's answers: a yes only where it is one, and the token where the guide says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::enclave::allow::AllowList;
use countersign::enclave::exchange::data_key::{self, DataKeyFault};
use countersign::enclave::exchange::{Auth, HttpBackend, Line, LineFault, Place, Places};
use countersign::enclave::ivms::Payload;
use countersign::enclave::{Backend, CallbackKind, Decision, Question, Reason, TransferStatus, Verdict};
use countersign::withdrawal::{Amount, Seconds, VaspId};
use rustls::RootCertStore;
use serde_json::json;

use super::play::PythonBackend;

const UUID: &str = "5f0c2d4e-7c1b-4a8e-9d51-2b6a0d3a9f10";
const TOKEN: &str = "a-token-of-the-exchange";

fn line(auth: Option<Auth>) -> Line {
    Line::new(RootCertStore::empty(), auth, None).unwrap()
}

fn bearer() -> Option<Auth> {
    Some(Auth::new(TOKEN, None).unwrap())
}

/// A backend in a mood.
fn backend(python: &PythonBackend, mood: &str, auth: Option<Auth>) -> HttpBackend {
    let place = |call: &str| Place::parse(&python.url(&format!("{mood}/{call}")), None).unwrap();
    let places = Places {
        user: place("user"),
        account: place("account"),
        transaction: place("transaction"),
        callback: Some(place("callback")),
    };
    HttpBackend::new(line(auth), places, Arc::new(|| Seconds(1_800_000_000)))
}

fn payload(address: &str, name: [&str; 2]) -> Payload {
    let person = json!([{ "naturalPerson": {
        "name": { "nameIdentifier": [
            { "primaryIdentifier": name[0], "secondaryIdentifier": name[1], "nameIdentifierType": "LEGL" }] },
        "dateAndPlaceOfBirth": { "dateOfBirth": "1990-01-31", "placeOfBirth": "Seoul" } } }]);
    let both = json!({
        "originator": { "originatorPersons": person, "accountNumber": ["customer-17"] },
        "beneficiary": { "beneficiaryPersons": person, "accountNumber": [address] },
    });
    Payload::parse(both.to_string().as_bytes(), Seconds(1_800_000_000)).unwrap()
}

fn question<'a>(payload: &'a Payload) -> Question<'a> {
    Question {
        uuid: UUID,
        originating_vasp: VaspId(1001),
        symbol: "BTC",
        network: "mainnet",
        destination: payload.account(),
        amount: Amount::from_sat(150_000),
        payload: Some(payload),
        asset_info: None,
        required: &[],
    }
}

async fn user(backend: &HttpBackend, address: &str, name: [&str; 2]) -> Verdict {
    backend.verify_user(&question(&payload(address, name))).await
}

async fn account(backend: &HttpBackend, address: &str) -> Verdict {
    backend.verify_account(&question(&payload(address, ["Robbins", "Taylor"]))).await
}

fn said(verdict: &Verdict) -> (Decision, Reason) {
    (verdict.decision, verdict.reason)
}

const ERROR: (Decision, Reason) = (Decision::Error, Reason::UndefinedError);

#[tokio::test]
async fn a_well_backend_is_believed() {
    let Some(python) = PythonBackend::start(&["--token", TOKEN]) else { return };
    let backend = backend(&python, "well", bearer());
    let yes = user(&backend, "bc1q-checked", ["Robbins", "Taylor"]).await;
    assert_eq!(said(&yes), (Decision::Verified, Reason::Ok));
    assert_eq!(yes.beneficiary.unwrap().account(), "bc1q-checked");
    for (address, name, reason) in [
        ("bc1q-checked", ["Robbins", "Tailor"], Reason::MismatchedName),
        ("bc1q-unchecked", ["Cook", "Ethan"], Reason::UnverifiedKyc),
        ("bc1q-nobody", ["Cook", "Ethan"], Reason::UnknownAddress),
    ] {
        assert_eq!(said(&user(&backend, address, name).await), (Decision::Denied, reason), "{address}");
    }
    assert_eq!(said(&account(&backend, "bc1q-checked").await), (Decision::Verified, Reason::Ok));
    assert_eq!(said(&account(&backend, "bc1q-x").await), (Decision::Denied, Reason::UnknownAddress));

    assert_eq!(backend.transaction_status(UUID).await.unwrap().status, TransferStatus::Pending);
    let sent =
        json!({ "verificationUuid": UUID, "transactionStatus": "CONFIRMED", "txHash": "ab", "vout": 1 });
    python.set_transfer(&sent).await;
    let sent = backend.transaction_status(UUID).await.unwrap();
    assert_eq!(
        (sent.status, sent.tx_hash.as_deref(), sent.vout.as_deref()),
        (TransferStatus::Confirmed, Some("ab"), Some("1"))
    );

    assert!(backend.callback(CallbackKind::TxReport, r#"{"txHash":"ab"}"#).await);
    let told = json!({ "callbackType": "TX_REPORT", "data": { "txHash": "ab" } });
    assert_eq!(python.told("callbacks").await, [told]);
    let ports: std::collections::BTreeSet<u64> =
        python.told("seen").await.iter().map(|call| call["port"].as_u64().unwrap()).collect();
    assert_eq!(ports.len(), 1, "one connection is kept open and used for every call");
}

#[tokio::test]
async fn no_broken_backend_says_yes() {
    let Some(python) = PythonBackend::start(&["--token", TOKEN]) else { return };
    for mood in ["broken", "garbage", "redirect", "created", "silent", "huge", "stranger"] {
        let backend = backend(&python, mood, bearer());
        if mood != "stranger" {
            assert_eq!(said(&user(&backend, "bc1q-checked", ["Robbins", "Taylor"]).await), ERROR, "{mood}");
            assert_eq!(said(&account(&backend, "bc1q-checked").await), ERROR, "{mood}");
        }
        assert_eq!(backend.transaction_status(UUID).await, None, "{mood}");
        // What is in the body of a callback's answer is nobody's business; that there is too much of it is.
        let taken = backend.callback(CallbackKind::TxReport, "{}").await;
        assert_eq!(taken, ["garbage", "stranger"].contains(&mood), "{mood}");
    }
    let seen = python.told("seen").await;
    assert!(
        seen.iter().all(|call| !call["path"].as_str().unwrap().starts_with("/well")),
        "no redirect is followed"
    );
    let calls = seen.len();
    assert_eq!(calls, 7 * 4 - 2, "nothing is asked twice");
}

#[tokio::test]
async fn a_late_answer_is_no_answer() {
    let Some(python) = PythonBackend::start(&["--token", TOKEN]) else { return };
    for mood in ["slow", "drip"] {
        let backend = backend(&python, mood, bearer());
        let begun = Instant::now();
        let (account, transfer, taken, user) = tokio::join!(
            account(&backend, "bc1q-checked"),
            backend.transaction_status(UUID),
            backend.callback(CallbackKind::ErrorReport, "{}"),
            user(&backend, "bc1q-checked", ["Robbins", "Taylor"]),
        );
        assert_eq!((said(&account), transfer, taken, said(&user)), (ERROR, None, false, ERROR), "{mood}");
        assert!(begun.elapsed() >= Duration::from_secs(5), "a person is waited for as long as is documented");
    }
}

#[tokio::test]
async fn the_token_travels_in_the_header_that_was_set_and_in_no_other() {
    let named = Auth::new(TOKEN, Some("X-Api-Key")).unwrap();
    let cases = [
        (&["--token", TOKEN][..], bearer(), Some(("Authorization", format!("Bearer {TOKEN}")))),
        (&["--token", TOKEN, "--header", "X-Api-Key"], Some(named), Some(("X-Api-Key", TOKEN.to_owned()))),
        (&[], None, None),
    ];
    for (args, auth, expected) in cases {
        let Some(python) = PythonBackend::start(args) else { return };
        let backend = backend(&python, "well", auth.clone());
        assert_eq!(said(&account(&backend, "bc1q-checked").await).0, Decision::Verified, "{args:?}");
        let place = Place::parse(&python.url("well/decrypt"), None).unwrap();
        assert!(
            data_key::unwrapped(&line(auth), &place, "arn:aws:kms:x").await.is_ok(),
            "the key's call is no exception"
        );
        for call in python.told("seen").await {
            let header = |name: &str| {
                let all = call["headers"].as_object().unwrap();
                all.iter()
                    .find(|(n, _)| n.eq_ignore_ascii_case(name))
                    .map(|(_, v)| v.as_str().unwrap().to_owned())
            };
            for name in ["Authorization", "X-Api-Key"] {
                let wanted = expected.as_ref().filter(|(n, _)| *n == name).map(|(_, value)| value.clone());
                assert_eq!(header(name), wanted, "{args:?}: {name}");
            }
            assert_eq!(header("Content-Type").as_deref(), Some("application/json"));
        }
    }
    let Some(python) = PythonBackend::start(&["--token", TOKEN]) else { return };
    let stranger = backend(&python, "well", Some(Auth::new("another", None).unwrap()));
    assert_eq!(
        said(&account(&stranger, "bc1q-checked").await),
        ERROR,
        "a backend that lets us not in says no yes"
    );
}

#[tokio::test]
async fn the_data_key_is_unwrapped_or_there_is_none() {
    for (key, expected) in [
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", None),
        ("AAECAwQFBgcICQoLDA0ODw==", Some(DataKeyFault::OutputLength(16))),
        ("not base64!", Some(DataKeyFault::OutputNotBase64)),
        ("", Some(DataKeyFault::NoOutput)),
    ] {
        let Some(python) = PythonBackend::start(&["--key", key]) else { return };
        let place = |mood: &str| Place::parse(&python.url(&format!("{mood}/decrypt")), None).unwrap();
        let unwrap = async |mood| data_key::unwrapped(&line(None), &place(mood), "arn:aws:kms:x").await.err();
        assert_eq!(unwrap("well").await, expected, "{key}");
        assert_eq!(unwrap("broken").await, Some(DataKeyFault::Service(LineFault::Status(500))));
        assert_eq!(unwrap("garbage").await, Some(DataKeyFault::NoOutput));
    }
    let nobody = Place::parse("http://127.0.0.1:1/decrypt", None).unwrap();
    let fault = data_key::unwrapped(&line(None), &nobody, "x").await.err();
    assert_eq!(fault, Some(DataKeyFault::Service(LineFault::Unreachable)));
}

#[tokio::test]
async fn a_backend_beyond_the_allow_list_is_not_called() {
    let Some(python) = PythonBackend::start(&[]) else { return };
    let url = format!("http://localhost:{}/well/account", python.port);
    let ask = async |list: Option<AllowList>| {
        let place = Place::parse(&url, list.as_ref()).unwrap();
        let line = Line::new(RootCertStore::empty(), None, list).unwrap();
        let body = r#"{"symbol":"BTC","ivms101":{"beneficiary":{"accountNumber":["bc1q-checked"]}}}"#;
        line.post(&place, body.to_owned().into(), Duration::from_secs(2)).await.map(|_| ())
    };
    assert_eq!(ask(None).await, Ok(()));
    assert_eq!(ask(Some(AllowList::parse(&["127.0.0.0/8", "::1"]).unwrap())).await, Ok(()));
    assert_eq!(ask(Some(AllowList::parse(&["192.0.2.0/24"]).unwrap())).await, Err(LineFault::Unreachable));
    assert_eq!(python.told("seen").await.len(), 2);
}
