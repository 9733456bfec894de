//! Two whole exchanges verify each other's customers through a relay, over the documented API alone, in both directions.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::parties::{OWN_VASP, ROBOT_VASP};
use super::play::client;
use super::world::{Exchange, OWN_TOKEN, World, variables};

fn persons(name: [&str; 2]) -> Value {
    json!([{ "naturalPerson": {
        "name": { "nameIdentifier": [
            { "primaryIdentifier": name[0], "secondaryIdentifier": name[1], "nameIdentifierType": "LEGL" }] },
        "dateAndPlaceOfBirth": { "dateOfBirth": "1990-01-31", "placeOfBirth": "Seoul" } } }])
}

fn order(to: u64, key_type: &str, address: &str, name: [&str; 2]) -> Value {
    json!({
        "keyType": key_type, "beneficiaryVaspId": to.to_string(),
        "assetInfo": { "symbol": "BTC", "amount": "0.0015", "isExceedingThreshold": true, "tradePrice": "1500000",
            "tradeCurrency": "KRW", "tradeISODatetime": "2026-01-31T00:00:00.000Z" },
        "requiredBeneficiaryInfo": "ACCOUNT_NUMBER,NATURAL_PERSON_NAME",
        "payload": { "version": "1.0", "ivms101": {
            "originator": { "originatorPersons": persons(["Hong", "Gildong"]), "accountNumber": ["customer-17"] },
            "beneficiary": { "beneficiaryPersons": persons(name), "accountNumber": [address] } } },
    })
}

fn account(to: u64, address: &str) -> Value {
    json!({ "keyType": "PerAddress", "beneficiaryVaspId": to.to_string(), "symbol": "BTC",
        "payload": { "version": "1.0", "ivms101": { "beneficiary": { "accountNumber": [address] } } } })
}

async fn ordered(from: &Exchange, order: &Value) -> String {
    from.post("/v1/verifications", order).await["verificationUuid"].as_str().unwrap().to_owned()
}

/// Section 5 of the network's facts: the list, the address, the person, the transaction, the inquiry, the taking back.
async fn flows(from: &Exchange, to: &Exchange, own: u64, other: u64) {
    assert_eq!(from.get("/v1/vasps/self").await, json!({ "vaspId": own.to_string() }));
    let listed = from.get("/v1/vasps?protocol=ALL").await["vasps"][0].clone();
    assert_eq!((&listed["vaspId"], &listed["health"]), (&json!(other.to_string()), &json!("UP")), "{listed}");
    assert_eq!(
        (&listed["vaspName"], &listed["vaspStatus"]),
        (&json!("The Other"), &json!("VERIFIED-MEMBER"))
    );
    assert_eq!(from.get("/v1/vasps?protocol=CODE").await, json!({ "vasps": [] }));

    let yes = from.post("/v1/verifications/account", &account(other, "bc1q-checked")).await;
    assert_eq!(yes["accountVerificationResult"], "VERIFIED", "{yes}");
    let no = from.post("/v1/verifications/account", &account(other, "bc1q-nobody")).await;
    assert_eq!(
        (&no["accountVerificationResult"], &no["reason"]),
        (&json!("DENIED"), &json!("UNKNOWN-ADDRESS"))
    );

    for (name, address, reason) in [
        (["Robbins", "Tailor"], "bc1q-checked", "MISMATCHED-NAME"),
        (["Cook", "Ethan"], "bc1q-unchecked", "UNVERIFIED-KYC"),
        (["Cook", "Ethan"], "bc1q-nobody", "UNKNOWN-ADDRESS"),
    ] {
        let uuid = ordered(from, &order(other, "PerVerification", address, name)).await;
        assert_eq!(from.record(&uuid, "DENIED").await["reason"], reason);
        let told = from.told("VERIFICATION_RESULT", &uuid).await;
        assert_eq!((&told["verificationResult"], &told["reason"]), (&json!("DENIED"), &json!(reason)));
    }

    let uuid = ordered(from, &order(other, "PerVasp", "bc1q-checked", ["Robbins", "Taylor"])).await;
    let record = from.record(&uuid, "VERIFIED").await;
    assert_eq!((&record["reason"], &record["txHash"]), (&json!("OK"), &Value::Null));
    let told = from.told("VERIFICATION_RESULT", &uuid).await;
    assert_eq!(told["verificationResult"], "VERIFIED");
    assert_eq!(told["ivms101"]["beneficiary"]["accountNumber"], json!(["bc1q-checked"]));
    let theirs = to.record(&uuid, "VERIFIED").await;
    assert_eq!(theirs["originatingVaspId"], own.to_string());
    assert!(theirs["ivms101Originator"].as_str().unwrap().contains("Gildong"));

    // Coins came before their report: the receiver asks, and the sender's backend answers.
    from.backend.set_transfer(&json!({ "verificationUuid": uuid, "transactionStatus": "PROCESSING", "txHash": "0xAb", "vout": 1 })).await;
    let asked = to.post("/v1/verifications/tx/inquiry", &json!({ "verificationUuid": uuid })).await;
    assert_eq!(
        asked,
        json!({ "verificationUuid": uuid, "transactionStatus": "PROCESSING", "txHash": "0xAb", "vout": "1" })
    );

    let report = json!({ "verificationUuid": uuid, "txHash": "0xAb", "vout": 1 });
    assert_eq!(from.post("/v1/verifications/tx", &report).await, json!({ "result": true }));
    assert_eq!(to.told("TX_REPORT", &uuid).await["txHash"], "0xAb");
    assert_eq!(
        from.post("/v1/verifications/tx", &report).await,
        json!({ "result": true }),
        "the same again changes nothing"
    );
    let found = to.get("/v1/verifications?txHash=0xAb&actionType=RECEIVE&rpp=5").await;
    assert_eq!(
        (&found["count"], &found["verifications"][0]["verificationUuid"]),
        (&json!(1), &json!(uuid)),
        "{found}"
    );

    let cancel =
        json!({ "verificationUuid": uuid, "result": "ERROR", "reason": "USER-CANCELED", "message": "-" });
    assert_eq!(from.post("/v1/verifications/error", &cancel).await, json!({ "result": true }));
    assert_eq!(to.told("ERROR_REPORT", &uuid).await["reason"], "USER-CANCELED");
    for side in [from, to] {
        side.record(&uuid, "ERROR").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_exchanges_verify_each_others_customers_in_both_directions() {
    let Some(world) = World::new().await else { return };
    flows(&world.ours, &world.theirs, OWN_VASP.0, ROBOT_VASP.0).await;
    flows(&world.theirs, &world.ours, ROBOT_VASP.0, OWN_VASP.0).await;
    refusals(&world.ours).await;
    fences(&world).await;
    deposits(&world.theirs, &world.ours, OWN_VASP.0).await;
    rekeyed(&world).await;
    for exchange in [&world.ours, &world.theirs] {
        let log = std::fs::read_to_string(&exchange.enclave.log).unwrap();
        for word in
            ["Robbins", "Gildong", "Ethan", "bc1q-checked", OWN_TOKEN, "a-token-of-the-exchange", "AAECAwQ"]
        {
            assert!(!log.contains(word), "the log shows `{word}`");
        }
    }
    let log = std::fs::read_to_string(&world.theirs.enclave.log).unwrap();
    assert!(log.contains("VEGA_DATABASE_CLIENT is set and not used"), "{log}");
}

/// Each refusal by its status and code.
async fn refusals(exchange: &Exchange) {
    let unknown = "5f0c2d4e-7c1b-4a8e-9d51-2b6a0d3a9f10";
    let (post, get) = (Method::POST, Method::GET);
    let table: Vec<(&Method, String, Value, u16, &str)> = vec![
        (&get, format!("/v1/verifications/{unknown}"), Value::Null, 404, "VERIFICATION-NOT-FOUND"),
        (&get, "/v1/verifications/robbins".into(), Value::Null, 400, "INVALID-PARAMETER"),
        (&get, "/v1/verifications?rpp=101".into(), Value::Null, 400, "INVALID-PARAMETER"),
        (&get, "/v1/verifications?result=WAIT".into(), Value::Null, 400, "INVALID-PARAMETER"),
        (&get, "/v1/vasps?protocol=TRP".into(), Value::Null, 400, "INVALID-PARAMETER"),
        (&get, "/v1/nothing".into(), Value::Null, 404, "NOT-FOUND"),
        (&get, "/v1/verifications/account/x".into(), Value::Null, 404, "NOT-FOUND"),
        (&Method::PUT, "/v1/verifications".into(), json!({}), 405, "METHOD-NOT-ALLOWED"),
        (&post, "/v1/verifications/tx".into(), json!({}), 400, "MISSING-VERIFICATION-UUID"),
        (
            &post,
            "/v1/verifications/tx".into(),
            json!({ "verificationUuid": unknown, "txHash": "ab" }),
            404,
            "VERIFICATION-NOT-FOUND",
        ),
        (
            &post,
            "/v1/verifications/error".into(),
            json!({ "verificationUuid": unknown, "result": "ERROR", "reason": "X" }),
            404,
            "VERIFICATION-NOT-FOUND",
        ),
        (
            &post,
            "/v1/verifications/tx/inquiry".into(),
            json!({ "verificationUuid": unknown }),
            404,
            "VERIFICATION-NOT-FOUND",
        ),
        (
            &post,
            "/v1/verifications".into(),
            order(7, "PerVasp", "bc1q", ["Robbins", "Taylor"]),
            400,
            "UNKNOWN-VASP",
        ),
        (&post, "/v1/verifications/account".into(), account(7, "bc1q"), 400, "UNKNOWN-VASP"),
        (&post, "/v1/verifications".into(), json!({ "beneficiaryVaspId": "7" }), 400, "MISSING-PARAMETER"),
        (&post, "/v1/verifications".into(), json!("x".repeat(70_000)), 413, "BODY-TOO-LARGE"),
        (&post, "/v1/verifications".into(), json!([]), 400, "INVALID-PARAMETER"),
    ];
    for (method, path, body, status, code) in table {
        let sent = Some(&body).filter(|body| !body.is_null());
        let (said, answer) = exchange.ask(method.clone(), &path, sent).await;
        assert_eq!((said.as_u16(), &answer["code"]), (status, &json!(code)), "{method} {path}: {answer}");
        assert!(
            answer["message"].as_str().is_some_and(|m| !m.is_empty() && !m.contains("Robbins")),
            "{answer}"
        );
    }
}

/// Coins arrive at `to`, which asks who has sent them.
async fn deposits(from: &Exchange, to: &Exchange, other: u64) {
    let uuid = ordered(from, &order(other, "PerVasp", "bc1q-checked", ["Robbins", "Taylor"])).await;
    from.record(&uuid, "VERIFIED").await;
    let coins = |tx: &str, amount: &str| json!({ "symbol": "BTC", "txHash": tx, "vout": 0, "address": "bc1q-checked", "amount": amount });
    let found = to.post("/v1/deposits", &coins("aa", "0.0015")).await;
    assert_eq!((&found["state"], &found["reason"]), (&json!("MATCHED"), &json!("AMOUNT")), "{found}");
    assert_eq!((&found["verificationUuid"], &found["network"]), (&json!(uuid), &json!("regtest")));
    assert_eq!(to.post("/v1/deposits", &coins("aa", "0.0015")).await, found);
    assert_eq!(to.get(&format!("/v1/deposits/{}", found["depositId"])).await, found);
    let (status, no) = to.ask(Method::POST, "/v1/deposits", Some(&coins("aa", "0.0016"))).await;
    assert_eq!((status.as_u16(), &no["code"]), (409, &json!("DEPOSIT-CONFLICT")), "{no}");
    // Nobody verified anything at that address.
    let mut elsewhere = coins("bb", "0.0015");
    elsewhere["address"] = json!("bc1q-unchecked");
    let nobodys = to.post("/v1/deposits", &elsewhere).await;
    assert_eq!((&nobodys["state"], &nobodys["reason"]), (&json!("UNMATCHED"), &json!("NO-VERIFICATION")));
    // The amount does not fit, and the sender's backend names the transaction: it stands in the record, and people decide.
    let uuid = ordered(from, &order(other, "PerVasp", "bc1q-checked", ["Robbins", "Taylor"])).await;
    from.record(&uuid, "VERIFIED").await;
    from.backend.set_transfer(&json!({ "verificationUuid": uuid, "transactionStatus": "PROCESSING", "txHash": "cc", "vout": 0 })).await;
    let waits = to.post("/v1/deposits", &coins("cc", "0.0016")).await;
    assert_eq!((&waits["state"], &waits["isOpen"]), (&json!("WAITING"), &json!(true)), "{waits}");
    for _ in 0..200 {
        let asked = to.get(&format!("/v1/deposits/{}", waits["depositId"])).await;
        if asked["inquiries"][0]["txHash"] == "cc" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(to.record(&uuid, "VERIFIED").await["txHash"], "cc");
    let left = to.get("/v1/deposits?state=UNMATCHED").await;
    assert_eq!(left["deposits"].as_array().unwrap().len(), 1, "{left}");
    for (method, path, body, status, code) in [
        (Method::GET, "/v1/deposits/77", None, 404, "DEPOSIT-NOT-FOUND"),
        (Method::GET, "/v1/deposits/x", None, 400, "INVALID-PARAMETER"),
        (Method::GET, "/v1/deposits?state=LOST", None, 400, "INVALID-PARAMETER"),
        (Method::POST, "/v1/deposits", Some(json!({ "symbol": "BTC" })), 400, "MISSING-PARAMETER"),
        (Method::POST, "/v1/deposits", Some(coins("dd", "1,5")), 400, "INVALID-PARAMETER"),
        (Method::POST, "/v1/deposits", Some(coins("d d", "1")), 400, "INVALID-PARAMETER"),
    ] {
        let (is, said) = to.ask(method, path, body.as_ref()).await;
        assert_eq!((is.as_u16(), &said["code"]), (status, &json!(code)), "{path} {said}");
    }
}

/// `countersign enclave rekey` with these arguments and variables, which must end well.
fn rekey(world: &World, arguments: &[&str], variables: &[(&'static str, String)]) -> Value {
    let mut command = super::world::countersign();
    command.args(["--json", "enclave", "rekey"]).args(arguments).current_dir(world.dir.path());
    let output = command.envs(variables.iter().cloned()).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Both databases get another key while their enclaves run.
async fn rekeyed(world: &World) {
    let config = world.dir.path().join("ours.toml");
    let made = rekey(world, &["--config", "ours.toml", "--generate", "next.data"], &[]);
    assert_eq!(made["field"], "data_key", "{made}");
    let text = std::fs::read_to_string(&config).unwrap();
    let keys = "data_key = { file = \"next.data\" }\nold_data_keys = [{ file = \"ours.data\" }]";
    std::fs::write(&config, text.replace("data_key = { file = \"ours.data\" }", keys)).unwrap();
    let before = rekey(world, &["--config", "ours.toml", "--status"], &[]);
    assert_eq!(before["keys"].as_array().unwrap().len(), 1, "{before}");
    let done = rekey(world, &["--config", "ours.toml"], &[]);
    let old = before["keys"][0]["key_id"].clone();
    assert_eq!(
        (&done["done"], &done["enclaves"], &done["old_keys"]),
        (&json!(true), &json!(1), &json!([old])),
        "{done}"
    );
    let after = rekey(world, &["--config", "ours.toml", "--status"], &[]);
    assert_eq!(after["keys"][0]["key_id"], done["key_id"]);
    assert_eq!(rekey(world, &["--config", "ours.toml"], &[])["changed"], 0, "done once it is done");

    // The other one's keys are the service's: the old one is unwrapped by it as well.
    let old = "arn:aws:kms:ap-northeast-2:111122223333:key/theirs";
    std::fs::write(world.dir.path().join("old-input"), old).unwrap();
    let only_owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(world.dir.path().join("old-input"), only_owner).unwrap();
    let more = "[enclave]\nold_encryption_keys = [{ file = \"old-input\" }]\n";
    std::fs::write(world.dir.path().join("theirs.toml"), more).unwrap();
    let mut with = variables(world.dir.path(), "https://127.0.0.1:1", 1, &world.theirs.backend);
    for (name, value) in &mut with {
        if *name == "VEGA_ENCRYPTION_KEY_BASE64" {
            *value = super::world::NEW_INPUT.to_owned();
        }
    }
    let done = rekey(world, &["--from-env", "--config", "theirs.toml"], &with);
    assert_eq!((&done["done"], &done["enclaves"]), (&json!(true), &json!(1)), "{done}");
    for exchange in [&world.ours, &world.theirs] {
        let all = exchange.get("/v1/verifications?rpp=100").await;
        let all = all["verifications"].as_array().unwrap().clone();
        assert!(all.iter().any(|one| one["ivms101Originator"].as_str().unwrap().contains("Gildong")));
    }
    let uuid =
        ordered(&world.ours, &order(ROBOT_VASP.0, "PerVasp", "bc1q-checked", ["Robbins", "Taylor"])).await;
    for exchange in [&world.ours, &world.theirs] {
        exchange.record(&uuid, "VERIFIED").await;
    }
}

/// Who may come in where.
async fn fences(world: &World) {
    for token in [None, Some("another"), Some("a-token-of-the-exchange")] {
        let mut request = world.ours.client.get(world.ours.url("/v1/vasps"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{token:?}");
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "UNAUTHORIZED");
    }
    assert!(
        client().get(world.ours.url("/v1/vasps")).send().await.is_err(),
        "a stranger's certificate is believed"
    );
    let health = world.ours.client.get(world.ours.url("/health")).send().await.unwrap();
    assert_eq!(health.status(), StatusCode::OK, "health needs no token");
    let health: Value = health.json().await.unwrap();
    assert_eq!((&health["status"], &health["relay"]), (&json!("UP"), &json!("UP")));

    let ca = std::fs::read(world.dir.path().join("ca.pem")).unwrap();
    let ca = reqwest::Certificate::from_pem(&ca).unwrap();
    let outside = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([ca])
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    for path in ["/v1/vasps", "/v1/verifications", "/v1/vasps/self"] {
        let answer =
            outside.get(format!("{}{path}", world.ours.public)).bearer_auth(OWN_TOKEN).send().await.unwrap();
        assert_eq!(
            answer.status(),
            StatusCode::NOT_FOUND,
            "the public side knows nothing of the private one"
        );
    }
}

/// Runs the enclave from these variables until it ends by itself.
fn refused(variables: &[(&'static str, String)], arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = super::world::countersign();
    command.args(["enclave", "--from-env"]).args(arguments).envs(variables.iter().cloned());
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_be_meant_is_refused_by_the_variables_name() {
    let Some(world) = World::new().await else { return };
    let good = variables(world.dir.path(), "https://127.0.0.1:1", 1, &world.theirs.backend);
    let (code, said) = refused(&good, &["--check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("notice") && said.contains("it can start"), "{said}");
    let with = |name: &'static str, value: Option<String>| {
        let mut all: Vec<_> = good.iter().filter(|(known, _)| *known != name).cloned().collect();
        all.extend(value.map(|value| (name, value)));
        refused(&all, &[])
    };
    let decrypt = |mood: &str| Some(world.theirs.backend.url(&format!("{mood}/decrypt")));
    for (name, value, word) in [
        ("VEGA_ENCLAVE_PUBLIC_ENDPOINT", None, "missing"),
        ("VEGA_PUBLIC_KEY_TTL", Some("599999".to_owned()), "600000"),
        ("VEGA_VERIFICATION_RETENTION_DAYS", Some("one".to_owned()), "whole number"),
        ("VEGA_DECRYPT_API_ENDPOINT", Some("http://127.0.0.1:2/decrypt".to_owned()), "does not answer"),
        ("VEGA_DECRYPT_API_ENDPOINT", decrypt("broken"), "status 500"),
        ("VEGA_DECRYPT_API_ENDPOINT", decrypt("garbage"), "no `outputKey`"),
        ("VEGA_DECRYPT_API_ENDPOINT", None, "not base64"),
    ] {
        let (code, said) = with(name, value.clone());
        assert_eq!(code, Some(2), "{name}={value:?}: {said}");
        assert!(
            said.contains(word) && said.contains("what to do: ") && said.contains(name),
            "{name}={value:?}: {said}"
        );
        for secret in ["a-token-of-the-exchange", "arn:aws", OWN_TOKEN] {
            assert!(!said.contains(secret), "{name}={value:?}: {said}");
        }
    }
}
