use crate::evidence::answer::*;
use crate::evidence::fixture::*;
use crate::evidence::*;
use crate::withdrawal::*;
use uuid::Uuid;

fn door_with(
    answer: &VerificationAnswer,
    seed: u8,
    trust: &Trust,
    now: Seconds,
    name_match: NameMatch,
) -> Result<Clearance, NotProven> {
    let signed = sign_answer(answer, ed25519(&key(seed))).unwrap();
    Clearance::from_answer(
        &signed.text,
        &signed.signature,
        trust,
        &verified(&request()),
        now,
        AGE,
        name_match,
    )
}

fn door(answer: &VerificationAnswer) -> Result<Clearance, NotProven> {
    door_with(answer, ROBOT, &trust(), NOW, NameMatch::Required)
}

fn account() -> VerificationAnswer {
    VerificationAnswer { kind: AnswerKind::Account, commitment: None, ..answer() }
}

#[test]
fn a_good_answer_clears_exactly_its_withdrawal_until_it_expires() {
    let clearance = door(&answer()).unwrap();
    assert_eq!(clearance.withdrawal(), request().id());
    assert_eq!((clearance.kind(), clearance.uuid()), (AnswerKind::User, answer().uuid));
    let expires_at = answer().answered_at.plus(AGE);
    assert_eq!(clearance.expires_at(), expires_at);
    assert_eq!(clearance.check_current(expires_at), Ok(()));
    assert_eq!(clearance.check_current(expires_at.plus(1)).unwrap_err().code, Code::ClearanceExpired);
}

#[test]
fn the_evidence_opens_the_same_door_on_the_other_side() {
    let ours = door(&answer()).unwrap();
    let (theirs, now) = (trust(), Seconds(NOW.0 + 5));
    let request = verified(&request());
    let again = Clearance::from_answer(
        ours.text(),
        ours.signature(),
        &theirs,
        &request,
        now,
        AGE,
        NameMatch::Required,
    );
    assert_eq!(again.unwrap().answer(), ours.answer());
}

#[test]
fn an_answer_about_anything_else_clears_nothing() {
    let other_request = WithdrawalRequest { request_id: RequestId::parse("w-000002").unwrap(), ..request() };
    let cases = [
        (
            "request_digest",
            VerificationAnswer { request_digest: *verified(&other_request).digest(), ..answer() },
        ),
        ("amount", VerificationAnswer { amount: Amount::from_sat(150_001), ..answer() }),
        ("destination", VerificationAnswer { destination: "bc1qother".into(), ..answer() }),
        ("asset", VerificationAnswer { asset: Asset::Bitcoin(Network::Testnet4), ..answer() }),
        ("network", VerificationAnswer { network: Chain::Bitcoin(Network::Testnet4), ..answer() }),
        ("originating_vasp", VerificationAnswer { originating_vasp: VaspId(1112), ..answer() }),
    ];
    for (field, answer) in cases {
        let NotProven::Refused(no) = door(&answer).unwrap_err() else { panic!("{field}") };
        assert_eq!(no.code, Code::EvidenceInvalid, "{field}");
        assert!(no.detail.contains(field), "{field}: {}", no.detail);
    }
}

#[test]
fn the_answer_of_another_active_vasp_clears_nothing() {
    let mut content = content();
    content.vasps[1].active = true;
    let trust = open(&content).unwrap();
    let theirs = VerificationAnswer { beneficiary_vasp: VaspId(2222), ..answer() };
    let no = door_with(&theirs, ASLEEP, &trust, NOW, NameMatch::Required).unwrap_err();
    assert_eq!(no.code(), Code::EvidenceInvalid);
    assert!(no.to_string().contains("beneficiary_vasp"));
    let no = door_with(&answer(), ASLEEP, &trust, NOW, NameMatch::Required).unwrap_err();
    assert_eq!(no.code(), Code::EvidenceInvalid, "right name, another VASP's key");
}

#[test]
fn a_vasp_that_is_unknown_or_not_active_clears_nothing() {
    let mut content = content();
    content.vasps[0].active = false;
    let no = door_with(&answer(), ROBOT, &open(&content).unwrap(), NOW, NameMatch::Required).unwrap_err();
    assert_eq!(no.code(), Code::TravelRuleVaspUnknown);
    content.vasps.clear();
    let no = door_with(&answer(), ROBOT, &open(&content).unwrap(), NOW, NameMatch::Required).unwrap_err();
    assert_eq!(no.code(), Code::TravelRuleVaspUnknown);
}

#[test]
fn a_wrong_key_or_a_changed_text_clears_nothing() {
    for seed in [STRANGER, EXCHANGE, OBSERVER, ATTESTATION] {
        let no = door_with(&answer(), seed, &trust(), NOW, NameMatch::Required).unwrap_err();
        assert_eq!(no.code(), Code::EvidenceInvalid);
    }
    let signed =
        sign_answer(&VerificationAnswer { amount: Amount::from_sat(1), ..answer() }, ed25519(&key(ROBOT)))
            .unwrap();
    let text = render_answer(&answer());
    let request = verified(&request());
    let door = |text: &str, signature: &[u8]| {
        Clearance::from_answer(text, signature, &trust(), &request, NOW, AGE, NameMatch::Required)
            .unwrap_err()
            .code()
    };
    assert_eq!(door(&text, &signed.signature), Code::EvidenceInvalid);
    assert_eq!(door(&text, &[]), Code::SignatureMalformed);
}

#[test]
fn an_old_answer_is_a_hold_and_one_of_the_future_is_no_evidence() {
    let at = |now| {
        door_with(&answer(), ROBOT, &trust(), Seconds(now), NameMatch::Required)
            .map(|_| ())
            .map_err(|no| no.code())
    };
    let answered = answer().answered_at.0;
    assert_eq!(at(answered + AGE), Ok(()));
    assert_eq!(at(answered + AGE + 1), Err(Code::ClearanceExpired));
    assert_eq!(Code::ClearanceExpired.kind(), Kind::Hold);
    assert_eq!(at(answered - SKEW_S_MAX), Ok(()));
    assert_eq!(at(answered - SKEW_S_MAX - 1), Err(Code::EvidenceInvalid));
}

#[test]
fn a_denial_is_believed_only_from_the_vasp_that_was_asked() {
    let denied =
        VerificationAnswer { result: AnswerResult::Denied, reason: "MISMATCHED-NAME".into(), ..answer() };
    let NotProven::Refused(no) = door(&denied).unwrap_err() else { panic!("unreadable") };
    assert_eq!(no, Finding::new(Code::TravelRuleDenied, "MISMATCHED-NAME"));
    let no = door_with(&denied, STRANGER, &trust(), NOW, NameMatch::Required).unwrap_err();
    assert_eq!(no.code(), Code::EvidenceInvalid);
    let error =
        VerificationAnswer { result: AnswerResult::Error, reason: "UNDEFINED-ERROR".into(), ..answer() };
    assert_eq!(door(&error).unwrap_err().code(), Code::NoClearance);
}

#[test]
fn an_address_verification_clears_only_where_no_name_match_is_required() {
    assert_eq!(door(&account()).unwrap_err().code(), Code::NoClearance);
    let clearance = door_with(&account(), ROBOT, &trust(), NOW, NameMatch::NotRequired).unwrap();
    assert_eq!(clearance.kind(), AnswerKind::Account);
    assert!(door_with(&answer(), ROBOT, &trust(), NOW, NameMatch::NotRequired).is_ok());
}

#[test]
fn an_answer_contradicting_itself_cannot_be_read() {
    let bad = [
        ("commitment", VerificationAnswer { commitment: None, ..answer() }),
        ("commitment", VerificationAnswer { commitment: Some([1; 32]), ..account() }),
        ("reason", VerificationAnswer { reason: "MISMATCHED-NAME".into(), ..answer() }),
        ("reason", VerificationAnswer { result: AnswerResult::Denied, ..answer() }),
        (
            "reason",
            VerificationAnswer { result: AnswerResult::Denied, reason: "Kim Minsu".into(), ..answer() },
        ),
        ("uuid", VerificationAnswer { uuid: Uuid::nil(), ..answer() }),
        (
            "uuid",
            VerificationAnswer {
                uuid: Uuid::parse_str("3f2a1c9e-8f7b-1d3c-9a51-0b6e2d4c8f10").unwrap(),
                ..answer()
            },
        ),
        (
            "uuid",
            VerificationAnswer {
                uuid: Uuid::parse_str("3f2a1c9e-8f7b-4d3c-ca51-0b6e2d4c8f10").unwrap(),
                ..answer()
            },
        ),
    ];
    for (field, answer) in bad {
        assert_eq!(sign_answer(&answer, |_| panic!("signed")).unwrap_err().field, field, "{answer:?}");
    }
    let text = render_answer(&answer()).replace("3f2a1c9e", "3F2A1C9E");
    assert_eq!(parse_answer(&text).unwrap_err().field, "uuid");
}

#[test]
fn a_commitment_depends_on_salt_and_payload() {
    let of = |salt: u8, payload: &[u8]| commitment(&[salt; 32], payload);
    assert_eq!(of(1, b"a"), of(1, b"a"));
    assert_ne!(of(1, b"a"), of(2, b"a"));
    assert_ne!(of(1, b"a"), of(1, b"b"));
}
