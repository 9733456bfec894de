//! Keeps code, `docs/requests.md` and `tests/vectors/requests/*.json` equal. Everything in them is made from fixed test
//! keys; only `ssh-signatures.json` was made elsewhere, by real tools.
//!
//! `COUNTERSIGN_WRITE_VECTORS=1 cargo test --lib evidence::` writes files and page anew after a wanted change.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::wallets;
use crate::evidence::fixture::*;
use crate::evidence::{self, *};
use crate::withdrawal::*;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> PathBuf {
    root().join("tests/vectors/requests").join(format!("{name}.json"))
}

fn writing() -> bool {
    std::env::var_os("COUNTERSIGN_WRITE_VECTORS").is_some()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|no| panic!("{}: {no}", path.display()))
}

fn machine(name: &str, seed: u8, signed: Signed) -> (String, Value) {
    let vector = json!({
        "seed": HEXLOWER.encode(key(seed).as_bytes()),
        "public_key": public(seed),
        "text": signed.text,
        "digest": HEXLOWER.encode(&digest(&signed.text)),
        "signature": HEXLOWER.encode(&signed.signature),
    });
    (name.to_owned(), vector)
}

fn person(name: &str, seed: u8, namespace: &str, text: String) -> (String, Value) {
    let vector = json!({
        "seed": HEXLOWER.encode(key(seed).as_bytes()),
        "public_key": ssh_public(seed),
        "namespace": namespace,
        "digest": HEXLOWER.encode(&digest(&text)),
        "signature": sign_ssh(&ssh_private(seed), namespace, &text).unwrap(),
        "text": text,
    });
    (name.to_owned(), vector)
}

/// Every vector, by the name of its file.
fn vectors() -> Vec<(String, Value)> {
    let cancel = CancelRequest {
        organisation: request().organisation,
        request_id: request().request_id,
        asked_at: NOW,
    };
    let account = VerificationAnswer { kind: AnswerKind::Account, commitment: None, ..answer() };
    let denied =
        VerificationAnswer { result: AnswerResult::Denied, reason: "MISMATCHED-NAME".into(), ..answer() };
    let rejection = RejectionText::of(&verified(&request()), "the customer called: not theirs");
    let trust = trust_file::render(&content()).unwrap();
    let report =
        render_report(&VerificationReport { said: answer(), route: "https://enclave.example:21117".into() });
    let possession = possession().render();
    let (freeze, resume) = (freeze().render(), resume().render());
    let mut all = vec![
        machine("withdrawal-request", EXCHANGE, sign_request(&request(), ed25519(&key(EXCHANGE))).unwrap()),
        machine("withdrawal-cancel", EXCHANGE, sign_cancel(&cancel, ed25519(&key(EXCHANGE))).unwrap()),
        machine("withdrawal-void", ATTESTATION, sign_void(&void(), ed25519(&key(ATTESTATION))).unwrap()),
        machine(
            "custody-order",
            ATTESTATION,
            Signed::of(custody::render_custody_order(&custody_order()), ed25519(&key(ATTESTATION))),
        ),
        machine(
            "custody-refusal",
            CUSTODIAN,
            sign_custody_refusal(&custody_refusal(), ed25519(&key(CUSTODIAN))).unwrap(),
        ),
        machine("answer-user", ROBOT, sign_answer(&answer(), ed25519(&key(ROBOT))).unwrap()),
        machine("answer-account", ROBOT, sign_answer(&account, ed25519(&key(ROBOT))).unwrap()),
        machine("answer-denied", ROBOT, sign_answer(&denied, ed25519(&key(ROBOT))).unwrap()),
        (
            "verification-report".into(),
            json!({ "text": report, "digest": HEXLOWER.encode(&digest(&report)) }),
        ),
        machine(
            "address-attestation",
            ATTESTATION,
            sign_attestation(&attestation(), ed25519(&key(ATTESTATION))).unwrap(),
        ),
        machine(
            "refill-attestation",
            ATTESTATION,
            sign_refill_attestation(&refill(), ed25519(&key(ATTESTATION))).unwrap(),
        ),
        person("withdrawal-approval", 11, NAMESPACE_APPROVAL, approval().render()),
        person("withdrawal-rejection", 11, NAMESPACE_APPROVAL, rejection.render()),
        person("trust-file", 21, NAMESPACE_TRUST, trust),
        (
            "key-possession".into(),
            json!({ "text": possession, "digest": HEXLOWER.encode(&digest(&possession)) }),
        ),
        (
            "withdrawal-id".into(),
            json!({
                "organisation": request().organisation.as_str(),
                "request_id": request().request_id.as_str(),
                "withdrawal": request().id().to_string(),
            }),
        ),
        (
            "beneficiary-commitment".into(),
            json!({
                "salt": HEXLOWER.encode(&[0x5a; 32]),
                "payload": r#"{"beneficiary":"made up"}"#,
                "commitment": HEXLOWER.encode(&answer().commitment.unwrap()),
            }),
        ),
        ("invalid".into(), invalid()),
        machine("wallet-challenge", ATTESTATION, wallets::signed_challenge()),
        (
            "wallet-ownership".into(),
            json!({
                "text": wallets::message(),
                "digest": HEXLOWER.encode(&digest(&wallets::message())),
                "private_key": wallets::WIF,
                "proof": wallets::prove(&wallets::message()),
            }),
        ),
        (
            "wallet-ownership-evm".into(),
            json!({
                "text": evm_message(),
                "digest": HEXLOWER.encode(&digest(&evm_message())),
                "private_key": HEXLOWER.encode(&EVM_KEY),
                "proof": evm_registration().proof,
            }),
        ),
        machine(
            "wallet-registration-evm",
            EXCHANGE,
            sign_registration(&evm_registration(), ed25519(&key(EXCHANGE))).unwrap(),
        ),
        machine(
            "wallet-registration",
            EXCHANGE,
            sign_registration(&wallets::registration(), ed25519(&key(EXCHANGE))).unwrap(),
        ),
        machine(
            "wallet-removal",
            EXCHANGE,
            sign_removal(&wallets::removal(), ed25519(&key(EXCHANGE))).unwrap(),
        ),
    ];
    all.push(person("freeze", 11, NAMESPACE_FREEZE, freeze));
    all.push(person("resume", 11, NAMESPACE_RESUME, resume));
    for statement in statements() {
        let name = format!("statement-{}", statement.body.kind().as_str());
        all.push(machine(&name, OBSERVER, sign_statement(&statement, ed25519(&key(OBSERVER))).unwrap()));
    }
    all
}

fn evm_message() -> String {
    ownership_message(&evm_claim(), &challenge_name(&challenge_for(evm_claim()).text))
}

/// Spellings of the request that must be refused, each with its code and field.
fn invalid() -> Value {
    let good = evidence::request::render_request(&request());
    let line = |from: &str, to: &str| good.replacen(from, to, 1);
    let cases = [
        ("a line is missing", line("amount: 150000\n", "")),
        ("a line stands twice", line("amount: 150000\n", "amount: 150000\namount: 150000\n")),
        (
            "two lines changed places",
            line("amount: 150000\nfee_max: 5000\n", "fee_max: 5000\namount: 150000\n"),
        ),
        ("an unknown line", line("amount:", "memo: hello\namount:")),
        ("a blank line", line("amount:", "\namount:")),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("one carriage return", line("150000\n", "150000\r\n")),
        ("a blank at the end of a value", line("150000\n", "150000 \n")),
        ("two blanks after the colon", line("amount: ", "amount:  ")),
        ("no blank after the colon", line("amount: ", "amount:")),
        ("an empty value", line("amount: 150000", "amount: ")),
        ("no line feed at the end", good.trim_end().to_owned()),
        ("another version", line("v1", "v2")),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("an amount with a point", line("150000", "150000.0")),
        ("an amount with a leading zero", line("150000", "0150000")),
        ("an amount of nothing", line("150000", "0")),
        ("a negative amount", line("150000", "-1")),
        ("an amount above the supply", line("150000", "2100000000000001")),
        ("an asset nobody knows", line("slip44:0", "slip44:60")),
        ("a time with a fraction", line("1799999970", "1799999970.5")),
        ("a VASP id with a sign", line("beneficiary_vasp: ", "beneficiary_vasp: +")),
        ("an organisation with a blank", line("hanbit", "han bit")),
        ("a request id of 65 bytes", line("w-000001", &"w".repeat(65))),
        ("a tab in the customer reference", line("customer 31337", "customer\t31337")),
        ("a destination of two words", line("bc1q", "bc1q ")),
    ];
    let refuse = |(what, text): (&str, String)| {
        let no = evidence::request::parse_request(&text).expect_err(what);
        json!({ "what": what, "text": text, "code": no.code.as_str(), "field": no.field })
    };
    Value::Array(cases.into_iter().map(refuse).collect())
}

/// How the page shows a vector, between its two markers.
fn shown(vector: &Value) -> String {
    let field = |name: &str| vector[name].as_str().map(str::to_owned);
    let mut out = String::new();
    if let Some(text) = field("text") {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        out += &format!("```text\n{text}{end}```\n\n");
    }
    for name in [
        "digest",
        "seed",
        "public_key",
        "namespace",
        "signature",
        "organisation",
        "request_id",
        "withdrawal",
        "salt",
        "payload",
        "commitment",
        "private_key",
        "proof",
    ] {
        match field(name) {
            Some(value) if value.contains('\n') => out += &format!("- {name}:\n\n```text\n{value}```\n"),
            Some(value) => out += &format!("- {name}: `{value}`\n"),
            None => (),
        }
    }
    out
}

#[test]
fn code_page_and_vector_files_say_the_same() {
    let page_path = root().join("docs/requests.md");
    let mut page = read(&page_path);
    for (name, vector) in vectors() {
        let json = serde_json::to_string_pretty(&vector).unwrap() + "\n";
        let (begin, end) = (format!("<!-- vector: {name} -->\n"), "<!-- end -->\n");
        let block = format!("{begin}{}{end}", shown(&vector));
        if writing() {
            fs::write(file(&name), &json).unwrap();
            if let Some(at) = page.find(&begin) {
                let to = at + page[at..].find(end).unwrap() + end.len();
                page.replace_range(at..to, &block);
            }
        }
        assert_eq!(read(&file(&name)), json, "{name}.json");
        assert!(
            vector.is_array() || page.contains(&block),
            "docs/requests.md does not show `{name}` as it is"
        );
    }
    if writing() {
        fs::write(&page_path, &page).unwrap();
    }
    let shown = page.matches("<!-- vector: ").count();
    assert_eq!(
        shown,
        vectors().iter().filter(|(_, vector)| !vector.is_array()).count(),
        "blocks without a vector"
    );
}

#[test]
fn the_page_names_every_key_of_every_text() {
    let page = read(&root().join("docs/requests.md"));
    use evidence::{answer, approval_text, attestation, cancel, possession, rejection, request, statement};
    use evidence::{wallet_challenge, wallet_registration};
    for form in [
        &request::REQUEST,
        &cancel::CANCEL,
        &statement::STATEMENT,
        &answer::ANSWER,
        &evidence::report::REPORT,
        &attestation::ATTESTATION,
        &evidence::refill_attestation::REFILL_ATTESTATION,
        &approval_text::APPROVAL,
        &rejection::REJECTION,
        &evidence::freeze::FREEZE,
        &evidence::resume::RESUME,
        &possession::POSSESSION,
        &wallet_challenge::CHALLENGE,
        &wallet_challenge::OWNERSHIP,
        &wallet_registration::REGISTRATION,
        &wallet_registration::REMOVAL,
        &custody::CUSTODY_ORDER,
        &custody::CUSTODY_REFUSAL,
    ] {
        assert!(page.contains(&format!("`{}`", form.heading)), "{}", form.heading);
        for key in form.keys {
            assert!(page.contains(&format!("| `{key}` |")), "`{key}` of {}", form.heading);
        }
    }
}

/// The vectors as files are enough to check everything: nothing here is taken from the code that made them.
#[test]
fn the_vector_files_open_the_doors() {
    let load = |name: &str| serde_json::from_str::<Value>(&read(&file(name))).unwrap();
    let of = |vector: &Value, name: &str| vector[name].as_str().unwrap().to_owned();
    let signature = |vector: &Value| HEXLOWER.decode(of(vector, "signature").as_bytes()).unwrap();
    let trust = trust();

    let asked = load("withdrawal-request");
    let request =
        verify_request(&of(&asked, "text"), "2026-a", &signature(&asked), &trust, NOW, AGE).unwrap();
    assert_eq!(HEXLOWER.encode(request.digest()), of(&asked, "digest"));
    let answer = load("answer-user");
    let clear = |vector: &Value| {
        let text = of(vector, "text");
        Clearance::from_answer(&text, &signature(vector), &trust, &request, NOW, AGE, NameMatch::Required)
    };
    assert_eq!(clear(&answer).unwrap().withdrawal(), request.id());
    assert_eq!(clear(&load("answer-denied")).unwrap_err().code(), Code::TravelRuleDenied);
    assert_eq!(clear(&load("answer-account")).unwrap_err().code(), Code::NoClearance);
    // Nobody signed it, and it says what the robot's answer says, by the way it was heard.
    let report = load("verification-report");
    let said = parse_report(&of(&report, "text")).unwrap();
    assert_eq!(said.said, evidence::answer::parse_answer(&of(&answer, "text")).unwrap());
    assert_eq!(HEXLOWER.encode(&digest(&of(&report, "text"))), of(&report, "digest"));
    assert!(Reported::from_report(&of(&report, "text"), &trust, &request, NOW, AGE).is_err());
    let (given, registered) = (load("wallet-challenge"), load("wallet-registration"));
    let challenge =
        verify_challenge(&of(&given, "text"), &signature(&given), trust.attestation_key()).unwrap();
    assert_eq!(challenge.message(), of(&load("wallet-ownership"), "text"));
    let (text, signed) = (of(&registered, "text"), signature(&registered));
    let owns = |said: &WalletRegistration, message: &str| {
        assert_eq!(said.proof, of(&load("wallet-ownership"), "proof"));
        let address = crate::bitcoin::Destination::parse(&said.claim.address, Network::Mainnet).unwrap();
        assert_eq!(crate::bitcoin::verify_message(&address, message, &said.proof), Ok(()));
        Ok(())
    };
    assert!(verify_registration((&text, "2026-a", &signed), challenge, &trust, (NOW, AGE), owns).is_ok());
    let evm =
        evidence::wallet_registration::parse_registration(&of(&load("wallet-registration-evm"), "text"));
    let (evm, ownership) = (evm.unwrap(), load("wallet-ownership-evm"));
    let account = crate::ethereum::Destination::parse(&evm.claim.address).unwrap().address();
    assert_eq!(evm.proof, of(&ownership, "proof"));
    assert_eq!(crate::ethereum::verify_message(account, &of(&ownership, "text"), &evm.proof), Ok(()));
    let approval = load("withdrawal-approval");
    let expected = ApprovalText::parse(&of(&approval, "text")).unwrap();
    assert!(verify_approval(&expected, &of(&approval, "signature"), &trust, NOW).is_ok());
    let frozen = load("freeze");
    let (text, sig) = (of(&frozen, "text"), of(&frozen, "signature"));
    assert!(verify_freeze(&text, &sig, &trust, KeyRole::Cosigner, NOW).is_ok());
    let resumed = load("resume");
    let (text, sig) = (of(&resumed, "text"), vec![of(&resumed, "signature")]);
    let resumed = verify_resume(&text, &sig, &trust, KeyRole::Signer, NOW).unwrap();
    assert_eq!(resumed.people().keys().collect::<Vec<_>>(), ["kim"]);
    let refused = load("custody-refusal");
    let key = key(CUSTODIAN).verifying_key();
    let named = custody_order();
    let (text, sig) = (of(&refused, "text"), signature(&refused));
    assert!(verify_custody_refusal(&text, &sig, Some(&key), named.reservation, &named.txid).is_ok());
    for name in StatementKind::ALL.map(StatementKind::as_str) {
        let vector = load(&format!("statement-{name}"));
        assert!(
            verify_statement(&of(&vector, "text"), &signature(&vector), &trust, NOW, Some(AGE), |_, _| Some(
                40
            ))
            .is_ok()
        );
    }
}

#[test]
fn signatures_of_real_tools_hold() {
    let all: Vec<Value> = serde_json::from_str(&read(&file("ssh-signatures"))).unwrap();
    assert!(all.len() >= 5);
    for vector in all {
        let of = |name: &str| vector[name].as_str().unwrap();
        let sig = sshsig::read(of("signature")).unwrap();
        assert_eq!(sig.public_key(), ssh_key::PublicKey::from_openssh(of("public_key")).unwrap().key_data());
        assert_eq!(sshsig::check(&sig, of("namespace"), of("text")), Ok(()), "{}", of("made_by"));
        assert!(sshsig::check(&sig, of("namespace"), &format!("{} ", of("text"))).is_err());
        assert!(sshsig::check(&sig, "another", of("text")).is_err());
    }
}
