use crate::evidence::fixture::*;
use crate::evidence::*;
use crate::withdrawal::*;

fn door(text: &str, key_id: &str, signature: &[u8], now: Seconds) -> Result<VerifiedRequest, Code> {
    verify_request(text, key_id, signature, &trust(), now, AGE).map_err(|no| no.code())
}

fn signed() -> Signed {
    sign_request(&request(), ed25519(&key(EXCHANGE))).unwrap()
}

#[test]
fn a_signed_request_is_verified_and_keeps_its_evidence() {
    let signed = signed();
    let verified = door(&signed.text, "2026-a", &signed.signature, NOW).unwrap();
    assert_eq!(verified.request(), &request());
    assert_eq!(verified.id(), request().id());
    assert_eq!(verified.digest(), &digest(&signed.text));
    assert_eq!((verified.signed().text(), verified.signed().key_id()), (signed.text.as_str(), "2026-a"));
    assert_eq!(verified.signed().signature(), &signed.signature);
}

#[test]
fn a_bit_changed_anywhere_in_text_or_signature_refuses() {
    let trust = trust();
    let signed = signed();
    let mut bytes = signed.text.clone().into_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let refused = canonical::utf8(&bytes).map_or(true, |text| {
                verify_request(text, "2026-a", &signed.signature, &trust, NOW, AGE).is_err()
            });
            assert!(refused, "bit {bit} of byte {at} of the text");
            bytes[at] ^= 1 << bit;
        }
    }
    for at in 0..64 {
        for bit in 0..8 {
            let mut signature = signed.signature;
            signature[at] ^= 1 << bit;
            let no = verify_request(&signed.text, "2026-a", &signature, &trust, NOW, AGE).unwrap_err();
            assert_eq!(no.code(), Code::RequestSignatureInvalid, "bit {bit} of byte {at} of the signature");
        }
    }
}

#[test]
fn only_a_listed_key_of_the_same_organisation_signs() {
    let signed = signed();
    let no = |key_id, signature: &[u8]| door(&signed.text, key_id, signature, NOW).unwrap_err();
    assert_eq!(no("2026-b", &signed.signature), Code::RequestKeyUnknown);
    assert_eq!(no("", &signed.signature), Code::RequestKeyUnknown);
    assert_eq!(no("2026-a", &signed.signature[..63]), Code::SignatureMalformed);
    for seed in [STRANGER, OTHER_EXCHANGE, ROBOT, OBSERVER] {
        let signature = sign_request(&request(), ed25519(&key(seed))).unwrap().signature;
        assert_eq!(no("2026-a", &signature), Code::RequestSignatureInvalid);
    }
    let theirs = WithdrawalRequest { organisation: Organisation::parse("other").unwrap(), ..request() };
    let signed = sign_request(&theirs, ed25519(&key(EXCHANGE))).unwrap();
    assert_eq!(
        door(&signed.text, "2026-a", &signed.signature, NOW).unwrap_err(),
        Code::RequestSignatureInvalid
    );
}

#[test]
fn age_is_judged_at_admission_and_not_at_recovery() {
    let signed = signed();
    let asked = request().asked_at.0;
    let at = |now| door(&signed.text, "2026-a", &signed.signature, Seconds(now)).map(|_| ());
    assert_eq!(at(asked + AGE), Ok(()));
    assert_eq!(at(asked + AGE + 1), Err(Code::RequestTimeOutOfRange));
    assert_eq!(at(asked - SKEW_S_MAX), Ok(()));
    assert_eq!(at(asked - SKEW_S_MAX - 1), Err(Code::RequestTimeOutOfRange));
    assert!(VerifiedRequest::reverify(&signed.text, "2026-a", &signed.signature, &trust()).is_ok());
}

#[test]
fn a_key_that_has_ended_admits_nothing_new_and_keeps_what_it_signed_in_time() {
    let sign = |asked_at| {
        let request = WithdrawalRequest { asked_at: Seconds(asked_at), ..request() };
        sign_request(&request, ed25519(&key(7))).unwrap()
    };
    let end = NOW.0 - 100;
    let early = sign(end);
    assert!(door(&early.text, "ended", &early.signature, Seconds(end)).is_ok());
    assert_eq!(door(&early.text, "ended", &early.signature, NOW).unwrap_err(), Code::RequestKeyUnknown);
    assert!(VerifiedRequest::reverify(&early.text, "ended", &early.signature, &trust()).is_ok());
    let late = sign(end + 1);
    let no = VerifiedRequest::reverify(&late.text, "ended", &late.signature, &trust()).unwrap_err();
    assert_eq!(no.code(), Code::RequestKeyUnknown);
}

#[test]
fn an_asset_without_a_wallet_in_the_trust_file_is_not_enabled() {
    let request = WithdrawalRequest { asset: Asset::Bitcoin(Network::Signet), ..request() };
    let signed = sign_request(&request, ed25519(&key(EXCHANGE))).unwrap();
    assert_eq!(door(&signed.text, "2026-a", &signed.signature, NOW).unwrap_err(), Code::AssetUnknown);
}

#[test]
fn a_request_that_no_text_can_hold_is_never_signed() {
    let bad = [
        WithdrawalRequest { destination: "bc1q\namount: 1".into(), ..request() },
        WithdrawalRequest { destination: "two words".into(), ..request() },
        WithdrawalRequest { amount: Amount::ZERO, ..request() },
        WithdrawalRequest { fee_max: Amount::from_units(u128::MAX), ..request() },
        WithdrawalRequest { customer_ref: CustomerRef::parse("ends in a blank ").unwrap(), ..request() },
    ];
    for request in bad {
        let no = sign_request(&request, |_| panic!("signed {request:?}"));
        assert!(no.is_err());
    }
}

#[test]
fn a_cancellation_is_bound_to_its_request_and_its_time() {
    let cancel = CancelRequest {
        organisation: request().organisation,
        request_id: request().request_id,
        asked_at: NOW,
    };
    let signed = sign_cancel(&cancel, ed25519(&key(EXCHANGE))).unwrap();
    let door = |signature: &[u8], now| {
        verify_cancel(&signed.text, "2026-a", signature, &trust(), now, AGE).map_err(|no| no.code())
    };
    let verified = door(&signed.signature, NOW).unwrap();
    assert_eq!(verified.withdrawal(), request().id());
    assert_eq!(verified.cancel(), &cancel);
    assert_eq!(door(&signed.signature, NOW.plus(AGE + 1)).unwrap_err(), Code::RequestTimeOutOfRange);
    assert_eq!(door(&[0; 64], NOW).unwrap_err(), Code::RequestSignatureInvalid);
    let asked = sign_request(&request(), ed25519(&key(EXCHANGE))).unwrap();
    assert_eq!(door(&asked.signature, NOW).unwrap_err(), Code::RequestSignatureInvalid);
}
