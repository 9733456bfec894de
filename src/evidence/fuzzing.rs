//! Owns the laws of what others signed: one spelling of every text, one reader for each, and no signature that holds for another text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use data_encoding::BASE64;
use ssh_key::LineEnding;

use super::answer::{parse_answer, render_answer};
use super::attestation::{parse_attestation, render_attestation};
use super::cancel::{parse_cancel, render_cancel};
use super::custody::{
    parse_custody_order, parse_custody_refusal, render_custody_order, render_custody_refusal,
};
use super::fixture;
use super::freeze::FreezeText;
use super::refill_attestation::{parse_refill_attestation, render_refill_attestation};
use super::report::{parse_report, render_report};
use super::request::{parse_request, render_request};
use super::resume::ResumeText;
use super::statement::{parse_statement, render_statement};
use super::void::{parse_void, render_void};
use super::wallet_challenge::{parse_challenge, render_challenge};
use super::wallet_registration::{parse_registration, parse_removal, render_registration, render_removal};
use super::{
    ApprovalText, Directory, NAMESPACE_APPROVAL, NAMESPACE_TRUST, NotProven, PossessionText, Quorum,
    RejectionText, Trust, sign_ssh, sshsig, trust_file,
};
use crate::withdrawal::Invalid;
use crate::withdrawal::fuzzing::{texts_of, told};

/// Whether it was read; then its text is the one that came.
fn one<T>(text: &str, read: Result<T, Invalid>, write: impl Fn(&T) -> String) -> bool {
    match read {
        Ok(value) => {
            assert_eq!(write(&value), text);
            true
        }
        Err(no) => {
            told(&no);
            false
        }
    }
}

/// Every canonical text: what is read renders to the same bytes, and no text is of two kinds.
pub(crate) fn texts(data: &[u8]) {
    let Ok(text) = super::canonical::utf8(data) else { return };
    let read = [
        one(text, parse_request(text), render_request),
        one(text, parse_cancel(text), render_cancel),
        one(text, parse_statement(text), render_statement),
        one(text, parse_answer(text), render_answer),
        one(text, parse_challenge(text), render_challenge),
        one(text, parse_registration(text), render_registration),
        one(text, parse_removal(text), render_removal),
        one(text, parse_attestation(text), render_attestation),
        one(text, parse_refill_attestation(text), render_refill_attestation),
        one(text, parse_report(text), render_report),
        one(text, parse_void(text), render_void),
        one(text, parse_custody_order(text), render_custody_order),
        one(text, parse_custody_refusal(text), render_custody_refusal),
        one(text, FreezeText::parse(text), FreezeText::render),
        one(text, ResumeText::parse(text), ResumeText::render),
        one(text, ApprovalText::parse(text), ApprovalText::render),
        one(text, RejectionText::parse(text), RejectionText::render),
        one(text, PossessionText::parse(text), PossessionText::render),
    ];
    assert!(read.into_iter().filter(|read| *read).count() <= 1, "a text of two kinds");
}

pub(crate) fn text_seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = fixture::statements().iter().map(render_statement).collect();
    all.push(render_request(&fixture::request()));
    all.push(render_answer(&fixture::answer()));
    all.push(render_attestation(&fixture::attestation()));
    all.push(render_refill_attestation(&fixture::refill()));
    all.push(render_void(&fixture::void()));
    all.push(render_custody_order(&fixture::custody_order()));
    all.push(render_custody_refusal(&fixture::custody_refusal()));
    all.push(fixture::freeze().render());
    all.push(fixture::resume().render());
    all.push(fixture::approval().render());
    all.push(fixture::possession().render());
    let mut all: Vec<_> = all.into_iter().map(String::into_bytes).collect();
    for vector in [
        include_str!("../../tests/vectors/requests/withdrawal-cancel.json"),
        include_str!("../../tests/vectors/requests/withdrawal-rejection.json"),
        include_str!("../../tests/vectors/requests/wallet-challenge.json"),
        include_str!("../../tests/vectors/requests/wallet-registration.json"),
        include_str!("../../tests/vectors/requests/wallet-removal.json"),
        include_str!("../../tests/vectors/requests/answer-account.json"),
    ] {
        all.extend(texts_of(vector).into_iter().filter(|text| text.starts_with(b"countersign ")));
    }
    all
}

/// A trust file and a directory: what is read is written and read again as the same, and both readers agree.
pub(crate) fn trust(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = trust_file::parse(text);
    if let Err(no) = &parsed {
        told(no);
    }
    if text.parse::<toml::Table>().is_err() {
        assert!(parsed.is_err());
        return;
    }
    let key = fixture::ssh_private(21);
    let quorum = Quorum::new(1, &[("alice".to_owned(), fixture::ssh_public(21))]).unwrap();
    let signature = sign_ssh(&key, NAMESPACE_TRUST, text).unwrap();
    let directory = proven(Directory::open(text, &[&signature], &quorum));
    let Some(trust) = proven(Trust::open(text, &[&signature], &quorum, 0)) else { return };
    let content = parsed.expect("what is believed can be read");
    assert_eq!(*trust.content(), content);
    let again = trust_file::parse(&trust_file::render(&content).unwrap()).unwrap();
    assert_eq!(again, content);
    let directory = directory.expect("a trust file is a directory");
    assert_eq!((directory.version(), directory.vasp_id()), (trust.version(), trust.vasp_id()));
    assert_eq!(directory.vasps().count(), trust.vasps().count());
    assert!(trust.vasp(trust.vasp_id()).is_none(), "we are our own counterparty");
}

fn proven<T>(opened: Result<T, NotProven>) -> Option<T> {
    match opened {
        Ok(value) => Some(value),
        Err(NotProven::Unreadable(no)) => {
            told(&no);
            None
        }
        Err(NotProven::Refused(finding)) => {
            assert!(!finding.detail.is_empty());
            None
        }
    }
}

pub(crate) fn trust_seeds() -> Vec<Vec<u8>> {
    vec![
        trust_file::render(&fixture::content()).unwrap().into_bytes(),
        include_bytes!("../../deploy/directory.example.toml").to_vec(),
        include_bytes!("../../deploy/trust.example.toml").to_vec(),
    ]
}

/// What the keys of this world really signed.
const SIGNED: &str = "countersign test v1\nkey: value\n";

/// Signatures of people: as an armored text, and as the bytes within the armor. No other bytes than those that a key made hold.
pub(crate) fn ssh_signature(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        read_signature(text);
        if let Ok(key) = sshsig::read_public_key("key", text).inspect_err(told) {
            let again = sshsig::read_public_key("key", &key.to_openssh().unwrap()).unwrap();
            assert_eq!(again.key_data(), key.key_data());
        }
    }
    let encoded = BASE64.encode(data);
    let lines: Vec<&str> =
        (0..encoded.len()).step_by(70).map(|at| &encoded[at..encoded.len().min(at + 70)]).collect();
    read_signature(&format!(
        "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
        lines.join("\n")
    ));
}

fn read_signature(armored: &str) {
    match sshsig::read(armored) {
        Err(no) => told(&no),
        Ok(signature) => {
            let holds = sshsig::check(&signature, NAMESPACE_APPROVAL, SIGNED).is_ok();
            assert!(sshsig::check(&signature, NAMESPACE_TRUST, SIGNED).is_err() || !holds);
            assert!(sshsig::check(&signature, NAMESPACE_APPROVAL, "another text").is_err() || !holds);
            let own = fixture::ssh_key(21);
            if holds && signature.public_key() == own.public_key().key_data() {
                let made = sign_ssh(&fixture::ssh_private(21), NAMESPACE_APPROVAL, SIGNED).unwrap();
                let made = sshsig::read(&made).unwrap();
                assert_eq!(made.signature_bytes(), signature.signature_bytes());
            }
            if let Ok(again) = signature.to_pem(LineEnding::LF) {
                // ssh-key spells signatures of security keys of P-256 wrongly; those are not read again.
                if let Ok(again) = sshsig::read(&again) {
                    assert_eq!(again, signature);
                }
            }
        }
    }
}

pub(crate) fn ssh_signature_seeds() -> Vec<Vec<u8>> {
    let made = sign_ssh(&fixture::ssh_private(21), NAMESPACE_APPROVAL, SIGNED).unwrap();
    let key = fixture::SecurityKey::Ed25519(24).sign(NAMESPACE_APPROVAL, SIGNED, 1);
    let p256 = fixture::SecurityKey::P256.sign(NAMESPACE_APPROVAL, SIGNED, 1);
    let mut all = Vec::new();
    for armored in [made, key, p256] {
        let body: String = armored.lines().filter(|line| !line.starts_with('-')).collect();
        all.extend(BASE64.decode(body.as_bytes()));
        all.push(armored.into_bytes());
    }
    all.push(fixture::ssh_public(21).into_bytes());
    all.push(fixture::SecurityKey::P256.public().to_openssh().unwrap().into_bytes());
    all.extend(texts_of(include_str!("../../tests/vectors/requests/ssh-signatures.json")));
    all
}
