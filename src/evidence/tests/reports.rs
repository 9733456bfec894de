use uuid::Builder;

use crate::evidence::answer::{parse_answer, render_answer};
use crate::evidence::fixture::*;
use crate::evidence::*;
use crate::withdrawal::*;

/// A world where the robot signs nothing.
fn unsigned() -> Trust {
    let mut content = content();
    content.vasps[0].identity_key = None;
    content.vasps[0].network = Some("verifyvasp".into());
    open(&content).unwrap()
}

fn report(said: VerificationAnswer) -> String {
    render_report(&VerificationReport { said, route: "https://enclave.example".into() })
}

fn by_report(said: VerificationAnswer, trust: &Trust) -> Result<Reported, NotProven> {
    Reported::from_report(&report(said), trust, &verified(&request()), NOW, AGE)
}

fn heard() -> RouteAnswer {
    let said = answer();
    RouteAnswer {
        route: "https://own.example".into(),
        uuid: said.uuid,
        named: true,
        originating_vasp: said.originating_vasp,
        beneficiary_vasp: said.beneficiary_vasp,
        asset: Some(said.asset),
        destination: said.destination,
        amount: Some(said.amount),
        result: Some(AnswerResult::Verified),
        reason: "OK".into(),
        verified_at: Some(said.answered_at),
    }
}

fn by_route(heard: &RouteAnswer, claimed: VerificationAnswer) -> Result<Reported, NotProven> {
    Reported::from_route(&report(claimed), heard, &unsigned(), &verified(&request()), NOW, AGE)
}

#[test]
fn a_report_reads_back_and_is_never_an_answer_nor_an_answer_a_report() {
    let text = report(answer());
    let read = parse_report(&text).unwrap();
    assert_eq!((render_report(&read), read.said), (text.clone(), answer()));
    assert!(parse_answer(&text).is_err() && parse_report(&render_answer(&answer())).is_err());
    for (from, to) in
        [("route: https", "route:  https"), ("route: https://enclave.example\n", ""), ("v1", "v2")]
    {
        assert!(parse_report(&text.replacen(from, to, 1)).is_err(), "{from}");
    }
}

#[test]
fn a_report_clears_exactly_its_withdrawal_where_the_vasp_signs_nothing() {
    let reported = by_report(answer(), &unsigned()).unwrap();
    assert_eq!(reported.withdrawal(), request().id());
    assert_eq!(reported.route(), "https://enclave.example");
    assert_eq!(reported.expires_at(), answer().answered_at.plus(AGE));
    assert_eq!(Passage::Reported(reported).travel_rule(), TravelRule::Unsigned);
    assert_eq!(by_report(answer(), &trust()).unwrap_err().code(), Code::EvidenceInvalid, "it signs");
}

#[test]
fn no_door_lets_another_transfer_through() {
    type Change = fn(&mut VerificationAnswer);
    let cases: [(Code, Change); 11] = [
        (Code::EvidenceInvalid, |a| a.originating_vasp = VaspId(7)),
        (Code::TravelRuleVaspUnknown, |a| a.beneficiary_vasp = VaspId(7)),
        (Code::TravelRuleVaspUnknown, |a| a.beneficiary_vasp = VaspId(2222)),
        (Code::EvidenceInvalid, |a| a.destination = "bc1qother".into()),
        (Code::EvidenceInvalid, |a| a.amount = Amount::from_sat(150_001)),
        (Code::EvidenceInvalid, |a| a.asset = Asset::Bitcoin(Network::Testnet4)),
        (Code::TravelRuleDenied, |a| (a.result, a.reason) = (AnswerResult::Denied, "UNVERIFIED-KYC".into())),
        (Code::NoClearance, |a| (a.result, a.reason) = (AnswerResult::Error, "UNDEFINED-ERROR".into())),
        (Code::NoClearance, |a| (a.kind, a.commitment) = (AnswerKind::Account, None)),
        (Code::ClearanceExpired, |a| a.answered_at = Seconds(NOW.0 - AGE - 1)),
        (Code::EvidenceInvalid, |a| a.answered_at = NOW.plus(SKEW_S_MAX + 1)),
    ];
    for (n, (code, change)) in cases.into_iter().enumerate() {
        let mut said = answer();
        change(&mut said);
        let no = by_report(said.clone(), &unsigned()).unwrap_err();
        assert_eq!(no.code(), code, "report {n}: {no}");
        let heard = RouteAnswer {
            named: said.kind == AnswerKind::User,
            originating_vasp: said.originating_vasp,
            beneficiary_vasp: said.beneficiary_vasp,
            asset: Some(said.asset),
            destination: said.destination,
            amount: Some(said.amount),
            result: Some(said.result),
            reason: said.reason,
            verified_at: Some(said.answered_at),
            ..heard()
        };
        let no = by_route(&heard, answer()).unwrap_err();
        assert_eq!(no.code(), code, "route {n}: {no}");
    }
    let other = VerificationAnswer { request_digest: [1; 32], ..answer() };
    assert_eq!(by_report(other, &unsigned()).unwrap_err().code(), Code::EvidenceInvalid);
}

#[test]
fn the_cosigner_takes_nothing_of_the_report_but_which_verification_it_names() {
    let lies = VerificationAnswer {
        destination: "bc1qliar".into(),
        amount: Amount::from_sat(1),
        answered_at: Seconds(1),
        ..answer()
    };
    let reported = by_route(&heard(), lies).unwrap();
    assert_eq!(reported.answer().destination, request().destination);
    assert_eq!((reported.answer().amount, reported.route()), (request().amount, "https://own.example"));
    let another = VerificationAnswer { uuid: Builder::from_random_bytes([7; 16]).into_uuid(), ..answer() };
    assert_eq!(by_route(&heard(), another).unwrap_err().code(), Code::EvidenceInvalid);
    for (code, heard) in [
        (Code::RouteUnconfirmed, RouteAnswer { result: None, ..heard() }),
        (Code::EvidenceInvalid, RouteAnswer { asset: None, ..heard() }),
        (Code::EvidenceInvalid, RouteAnswer { amount: None, ..heard() }),
        (Code::EvidenceInvalid, RouteAnswer { verified_at: None, ..heard() }),
    ] {
        assert_eq!(by_route(&heard, answer()).unwrap_err().code(), code, "{heard:?}");
    }
}

#[test]
fn a_vasp_signs_or_is_of_a_network_where_nobody_does() {
    type Change = fn(&mut TrustContent);
    let cases: [(Option<&str>, Change); 4] = [
        (None, |c| (c.vasps[0].identity_key, c.vasps[0].network) = (None, Some("verifyvasp".into()))),
        (Some("vasps.identity_key"), |c| c.vasps[0].identity_key = None),
        (Some("vasps.network"), |c| c.vasps[0].network = Some("verifyvasp".into())),
        (Some("vasps.network"), |c| {
            (c.vasps[0].identity_key, c.vasps[0].network) = (None, Some("elsewhere".into()));
        }),
    ];
    for (field, change) in cases {
        let mut content = content();
        change(&mut content);
        let found = match open(&content) {
            Ok(_) => None,
            Err(NotProven::Unreadable(no)) => Some(no.field),
            Err(no) => panic!("{no}"),
        };
        assert_eq!(found, field);
    }
}
