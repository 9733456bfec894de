//! What a beneficiary enclave signs, held against the door that signer and co-signer use (laws L3, L4).

use super::*;
use crate::enclave::{Decision, Reason, Verdict};
use crate::evidence::answer::parse_answer;
use crate::evidence::fixture::{self, content};
use crate::evidence::trust_file::{OwnVasp, VaspEntry, WalletEntry};
use crate::evidence::{
    Clearance, NameMatch, NotProven, Trust, VerifiedRequest, ed25519, sign_request, verify_request,
};
use crate::withdrawal::{Asset, Code, Network, WithdrawalRequest};

/// How old an answer may be, in seconds.
pub(super) const AGE: u64 = 1800;

/// The fixture's trust file, with this world's two VASPs and a regtest wallet.
pub(super) fn trust() -> Trust {
    let mut content = content();
    content.vasp = OwnVasp { id: EXCHANGE.to_string(), name: "Hanbit Exchange".into() };
    content.vasps = vec![VaspEntry {
        id: ROBOT.to_string(),
        name: "로봇".into(),
        identity_key: Some(HEXLOWER.encode(identity_of(ROBOT.0).verifying_key().as_bytes())),
        network: None,
        jurisdiction: None,
        active: true,
    }];
    let wallet = WalletEntry {
        network: "regtest".into(),
        hot: "wsh(regtest)#dddddddd".into(),
        cold: None,
        safe: None,
        executor: None,
        emptying: None,
        tokens: Vec::new(),
    };
    content.wallets.push(wallet);
    fixture::open(&content).unwrap()
}

/// A request the exchange signed, and what the enclave is asked about it.
pub(super) fn requested(
    world: &World,
    address: &str,
    kind: Kind,
    persons: &str,
) -> (VerifiedRequest, VerifyAsk) {
    let now = world.clock()();
    let request = WithdrawalRequest {
        asset: Asset::Bitcoin(Network::Regtest),
        destination: address.into(),
        asked_at: now,
        ..fixture::request()
    };
    let signed = sign_request(&request, ed25519(&fixture::key(fixture::EXCHANGE))).unwrap();
    let verified =
        verify_request(&signed.text, "2026-a", &signed.signature, &trust(), now, fixture::AGE).unwrap();
    let ask = VerifyAsk {
        request_digest: HEXLOWER.encode(verified.digest()),
        request_text: signed.text,
        symbol: "BTC".into(),
        network: "regtest".into(),
        destination: address.into(),
        amount: request.amount,
        beneficiary_vasp: ROBOT,
        value: None,
        kind,
        payload: (kind == Kind::User).then(|| payload(persons, address)),
        fresh_since: None,
    };
    (verified, ask)
}

/// Asks the counterparty and takes what it signed through the door.
async fn cleared(
    world: &World,
    exchange: &Enclave,
    (request, ask): (VerifiedRequest, VerifyAsk),
    name_match: NameMatch,
) -> Result<Clearance, NotProven> {
    let (text, signature) = answered(exchange.verify(ask).await.unwrap());
    Clearance::from_answer(&text, &signature, &trust(), &request, world.clock()(), AGE, name_match)
}

fn refusal(no: NotProven) -> (Code, String) {
    match no {
        NotProven::Refused(finding) => (finding.code, finding.detail),
        NotProven::Unreadable(invalid) => panic!("unreadable: {invalid}"),
    }
}

#[tokio::test]
async fn what_a_beneficiary_enclave_signs_clears_the_withdrawal() {
    let world = World::new().await;
    let (exchange, _robot) = (world.exchange().await, world.robot().await);
    let asked = requested(&world, KOREAN, Kind::User, &natural("김", "민수"));
    let (id, digest) = (asked.0.id(), *asked.0.digest());
    let clearance = cleared(&world, &exchange, asked, NameMatch::Required).await.unwrap();
    assert_eq!((clearance.withdrawal(), clearance.kind()), (id, Kind::User));
    assert_eq!(clearance.answer().request_digest, digest);
    assert_eq!(clearance.answer().asset, Asset::Bitcoin(Network::Regtest));
    assert!(clearance.answer().commitment.is_some());
    // The address alone clears where no name is needed, and nowhere else.
    let asked = requested(&world, CHECKED, Kind::Account, "");
    let clearance = cleared(&world, &exchange, asked, NameMatch::NotRequired).await.unwrap();
    assert_eq!((clearance.kind(), clearance.answer().commitment), (Kind::Account, None));
    let asked = requested(&world, CHECKED, Kind::Account, "");
    let no = cleared(&world, &exchange, asked, NameMatch::Required).await.unwrap_err();
    assert_eq!(no.code(), Code::NoClearance);
}

#[tokio::test]
async fn a_no_is_a_no_at_the_door_with_the_counterpartys_reason() {
    let world = World::new().await;
    let (exchange, _robot) = (world.exchange().await, world.robot().await);
    let cases = [
        (CHECKED, natural("Robbins", "Tailor"), Reason::MismatchedName),
        (UNCHECKED, natural("Cook", "Ethan"), Reason::UnverifiedKyc),
        ("bcrt1q-nobody", natural("Robbins", "Taylor"), Reason::UnknownAddress),
    ];
    for (address, persons, reason) in cases {
        let asked = requested(&world, address, Kind::User, &persons);
        let no = cleared(&world, &exchange, asked, NameMatch::Required).await.unwrap_err();
        assert_eq!(refusal(no), (Code::TravelRuleDenied, reason.as_str().to_owned()), "{address}");
    }
}

/// A backend that breaks in one way or another.
struct Broken(fn() -> Verdict);

impl Backend for Broken {
    fn verify_account<'a>(&'a self, _: &'a Question<'a>) -> Working<'a, Verdict> {
        Box::pin(async { (self.0)() })
    }

    /// Breaks before there is anything to wait for.
    fn verify_user<'a>(&'a self, _: &'a Question<'a>) -> Working<'a, Verdict> {
        let verdict = (self.0)();
        Box::pin(async { verdict })
    }
}

#[tokio::test]
async fn a_backend_that_panics_or_contradicts_itself_is_answered_for_with_error() {
    let contradiction: fn() -> Verdict =
        || Verdict { reason: Reason::Blacklisted, ..Verdict::verified(None) };
    for broken in [(|| panic!("a backend broke, as the test wants it")) as fn() -> Verdict, contradiction] {
        let world = World::new().await;
        let settings = world.settings(ROBOT, world.robot_address);
        let robot = world.start(settings, Arc::new(Broken(broken)), world.robot_address).await;
        while !robot.health().await.registered {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let exchange = world.exchange().await;
        for (address, kind) in [(CHECKED, Kind::User), (UNCHECKED, Kind::Account)] {
            let asked = requested(&world, address, kind, &natural("Robbins", "Taylor"));
            let (text, _) = answered(exchange.verify(asked.1.clone()).await.unwrap());
            let answer = parse_answer(&text).unwrap();
            assert_eq!((answer.result, &*answer.reason), (Decision::Error, "UNDEFINED-ERROR"));
            let no = cleared(&world, &exchange, asked, NameMatch::NotRequired).await.unwrap_err();
            assert_eq!(no.code(), Code::NoClearance);
        }
    }
}
