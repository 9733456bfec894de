//! Registrations of customers' own wallets: challenge, proof, signature, and what they must not pass for.

use bitcoin::consensus::encode::serialize;
use bitcoin::secp256k1::{Message, Secp256k1};
use bitcoin::sighash::SighashCache;
use bitcoin::{Amount as Sats, EcdsaSighashType, PrivateKey, Witness, ecdsa};
use data_encoding::BASE64;

use crate::bitcoin::{Destination, unsigned_message, verify_message};
use crate::evidence::fixture::*;
use crate::evidence::wallet_challenge::{parse_challenge, render_challenge};
use crate::evidence::wallet_registration::{parse_registration, render_registration};
use crate::evidence::*;
use crate::withdrawal::*;

/// The customer's wallet: the key of BIP-0322's own vectors.
pub(super) const WIF: &str = "L3VFeEujGtevx9w18HD1fhRbCH67Az2dpCymeRE1SoPK6XQtaN2k";
const ADDRESS: &str = "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l";

pub(super) fn claim() -> WalletClaim {
    WalletClaim {
        organisation: request().organisation,
        customer_ref: request().customer_ref,
        asset: ASSET,
        address: ADDRESS.into(),
    }
}

pub(super) fn challenge() -> WalletChallenge {
    let issued_at = Seconds(NOW.0 - 300);
    WalletChallenge { claim: claim(), nonce: [0xc4; 16], issued_at, expires_at: issued_at.plus(3_600) }
}

pub(super) fn signed_challenge() -> Signed {
    sign_challenge(&challenge(), ed25519(&key(ATTESTATION))).unwrap()
}

pub(super) fn message() -> String {
    ownership_message(&claim(), &challenge_name(&signed_challenge().text))
}

/// The wallet's own signature over a message.
pub(super) fn prove(message: &str) -> String {
    let (secp, key) = (Secp256k1::new(), PrivateKey::from_wif(WIF).unwrap());
    let address = Destination::parse(ADDRESS, Network::Mainnet).unwrap();
    let unsigned = unsigned_message(&address, message);
    let all = EcdsaSighashType::All;
    let hash = SighashCache::new(&unsigned)
        .p2wpkh_signature_hash(0, address.script_pubkey(), Sats::ZERO, all)
        .unwrap();
    let signature = ecdsa::Signature::sighash_all(secp.sign_ecdsa(&Message::from(hash), &key.inner));
    let parts = [signature.to_vec(), key.public_key(&secp).to_bytes()];
    BASE64.encode(&serialize(&Witness::from_slice(&parts)))
}

pub(super) fn registration() -> WalletRegistration {
    WalletRegistration {
        claim: claim(),
        challenge: digest(&signed_challenge().text),
        proof_kind: ProofKind::Bip322Simple,
        proof: prove(&message()),
        registered_at: Seconds(NOW.0 - 30),
    }
}

pub(super) fn removal() -> WalletRemoval {
    WalletRemoval { organisation: claim().organisation, challenge: registration().challenge, asked_at: NOW }
}

fn owns(registration: &WalletRegistration, message: &str) -> Result<(), Finding> {
    let network = registration.claim.asset.chain().bitcoin().unwrap();
    let address = Destination::parse(&registration.claim.address, network).unwrap();
    verify_message(&address, message, &registration.proof)
        .map_err(|no| Finding::new(no.code(), no.to_string()))
}

fn challenge_door(signed: &Signed) -> Result<VerifiedChallenge, Code> {
    verify_challenge(&signed.text, &signed.signature, trust().attestation_key()).map_err(|no| no.code())
}

fn door_at(registration: &WalletRegistration, seed: u8, now: Seconds) -> Result<VerifiedRegistration, Code> {
    let signed = sign_registration(registration, ed25519(&key(seed))).unwrap();
    let challenge = challenge_door(&signed_challenge())?;
    let given = (signed.text.as_str(), "2026-a", &signed.signature[..]);
    verify_registration(given, challenge, &trust(), (now, AGE), owns).map_err(|no| no.code())
}

fn door(registration: &WalletRegistration) -> Result<VerifiedRegistration, Code> {
    door_at(registration, EXCHANGE, NOW)
}

#[test]
fn a_registration_is_verified_and_keeps_its_evidence() {
    let verified = door(&registration()).unwrap();
    assert_eq!(verified.registration(), &registration());
    assert_eq!(verified.challenge().challenge(), &challenge());
    assert_eq!(verified.challenge().message(), message());
    assert!(!message().ends_with('\n'), "wallets lose a last line feed");
}

#[test]
fn only_the_organisations_own_key_registers() {
    for seed in [STRANGER, OTHER_EXCHANGE, ATTESTATION, OBSERVER] {
        assert_eq!(door_at(&registration(), seed, NOW).unwrap_err(), Code::RequestSignatureInvalid);
    }
}

#[test]
fn a_proof_for_anything_else_proves_nothing() {
    let other = |claim: WalletClaim| ownership_message(&claim, &challenge_name(&signed_challenge().text));
    let messages = [
        other(WalletClaim { customer_ref: CustomerRef::parse("customer 2").unwrap(), ..claim() }),
        other(WalletClaim { organisation: Organisation::parse("other").unwrap(), ..claim() }),
        other(WalletClaim { asset: Asset::Bitcoin(Network::Testnet4), ..claim() }),
        other(WalletClaim { address: request().destination, ..claim() }),
        ownership_message(&claim(), &"0".repeat(64)),
        message() + "\n",
        String::new(),
    ];
    for message in messages {
        let lie = WalletRegistration { proof: prove(&message), ..registration() };
        assert_eq!(door(&lie).unwrap_err(), Code::OwnershipNotProven, "{message}");
    }
    let unreadable = WalletRegistration { proof: "AAAA".into(), ..registration() };
    assert_eq!(door(&unreadable).unwrap_err(), Code::SignatureMalformed);
}

#[test]
fn a_challenge_serves_the_wallet_it_was_issued_for_and_no_other() {
    let with = |claim| WalletRegistration { claim, ..registration() };
    let others = [
        with(WalletClaim { customer_ref: CustomerRef::parse("customer 2").unwrap(), ..claim() }),
        with(WalletClaim { asset: Asset::Bitcoin(Network::Testnet4), ..claim() }),
        with(WalletClaim { address: request().destination, ..claim() }),
        WalletRegistration { challenge: [7; 32], ..registration() },
    ];
    for lie in others {
        assert_eq!(door(&lie).unwrap_err(), Code::EvidenceInvalid, "{lie:?}");
    }
}

#[test]
fn only_the_cosigner_issues_challenges() {
    for seed in [STRANGER, EXCHANGE, OBSERVER] {
        let forged = sign_challenge(&challenge(), ed25519(&key(seed))).unwrap();
        assert_eq!(challenge_door(&forged).unwrap_err(), Code::EvidenceInvalid);
    }
    let attested = sign_attestation(&attestation(), ed25519(&key(ATTESTATION))).unwrap();
    assert!(challenge_door(&attested).is_err(), "another text of the same key is no challenge");
}

#[test]
fn challenge_and_registration_grow_old_before_they_are_taken_and_not_after() {
    let end = challenge().expires_at;
    let late = WalletRegistration { registered_at: end, ..registration() };
    assert!(door_at(&late, EXCHANGE, end).is_ok());
    assert_eq!(door_at(&late, EXCHANGE, end.plus(1)).unwrap_err(), Code::ChallengeExpired);
    let old = registration().registered_at.plus(AGE + 1);
    assert_eq!(door_at(&registration(), EXCHANGE, old).unwrap_err(), Code::RequestTimeOutOfRange);
    let signed = sign_registration(&registration(), ed25519(&key(EXCHANGE))).unwrap();
    let given = (signed.text.as_str(), "2026-a", &signed.signature[..]);
    let challenge = challenge_door(&signed_challenge()).unwrap();
    assert!(VerifiedRegistration::reverify(given, challenge, &trust(), owns).is_ok());
}

#[test]
fn a_text_of_another_spelling_is_refused() {
    let good = render_registration(&registration());
    for (from, to) in [
        ("network: mainnet", "network: testnet4"),
        ("bip322-simple", "bip322-full"),
        ("bip322-simple", "eip191"),
        ("bip322-simple", "eip1271"),
        ("challenge: ", "challenge: 0x"),
        ("proof: ", "proof:  "),
        ("v1", "v2"),
    ] {
        assert!(parse_registration(&good.replacen(from, to, 1)).is_err(), "{to}");
    }
    assert_eq!(parse_registration(&good), Ok(registration()));
    let good = render_challenge(&challenge());
    assert_eq!(parse_challenge(&good), Ok(challenge()));
    let longer = WalletChallenge { expires_at: challenge().expires_at.plus(1), ..challenge() };
    assert!(parse_challenge(&render_challenge(&longer)).is_err(), "a challenge lives an hour");
}

fn to_wallet() -> WithdrawalRequest {
    WithdrawalRequest { destination: ADDRESS.into(), beneficiary_vasp: VaspId::SELF_HOSTED, ..request() }
}

#[test]
fn an_exemption_is_for_the_registered_wallet_after_the_delay() {
    let registered = door(&registration()).unwrap();
    let at = |request: &WithdrawalRequest, now| {
        Exemption::from_registration(&registered, &verified(request), (NOW, 86_400), now)
            .map(|exemption| exemption.withdrawal())
            .map_err(|no| no.code())
    };
    let effective_at = NOW.plus(86_400);
    assert_eq!(at(&to_wallet(), effective_at), Ok(to_wallet().id()));
    assert_eq!(at(&to_wallet(), Seconds(effective_at.0 - 1)), Err(Code::WalletNotEffective));
    let others = [
        WithdrawalRequest { beneficiary_vasp: request().beneficiary_vasp, ..to_wallet() },
        WithdrawalRequest { customer_ref: CustomerRef::parse("customer 2").unwrap(), ..to_wallet() },
        WithdrawalRequest { destination: request().destination, ..to_wallet() },
        WithdrawalRequest { asset: Asset::Bitcoin(Network::Testnet4), ..to_wallet() },
    ];
    for other in others {
        assert_eq!(at(&other, effective_at), Err(Code::EvidenceInvalid), "{other:?}");
    }
}

#[test]
fn operators_are_told_that_nobody_was_asked() {
    let policies = PolicyHashes { signer: [1; 32], cosigner: [2; 32] };
    let text = |request: &WithdrawalRequest, rule| {
        ApprovalText::of(&verified(request), &trust(), rule, policies, "d34db33fcafef00d", NOW)
            .unwrap()
            .render()
    };
    let told = text(&to_wallet(), TravelRule::Exempt);
    assert!(told.contains("\nbeneficiary_vasp: 0\n"), "{told}");
    assert!(told.contains("\nbeneficiary_vasp_name: no VASP: the customer's own self-hosted wallet\n"));
    assert!(told.contains("\ntravel_rule: exempt\n"));
    assert!(ApprovalText::parse(&told).is_ok());
    assert!(ApprovalText::parse(&text(&to_wallet(), TravelRule::Cleared)).is_err());
    assert!(ApprovalText::parse(&text(&request(), TravelRule::Exempt)).is_err());
}

#[test]
fn no_vasp_has_the_id_that_stands_for_none() {
    let mut theirs = content();
    theirs.vasps[0].id = "0".into();
    assert_eq!(open(&theirs).unwrap_err().code(), Code::FieldMalformed);
    let mut ours = content();
    ours.vasp.id = "0".into();
    assert_eq!(open(&ours).unwrap_err().code(), Code::FieldMalformed);
}

#[test]
fn a_removal_is_the_organisations_own_and_does_not_grow_old() {
    let signed = sign_removal(&removal(), ed25519(&key(EXCHANGE))).unwrap();
    let door = |signature: &[u8], now| {
        verify_removal(&signed.text, "2026-a", signature, &trust(), now).map_err(|no| no.code())
    };
    assert_eq!(door(&signed.signature, NOW.plus(10_000_000)).unwrap().removal(), &removal());
    assert_eq!(door(&signed.signature, Seconds(NOW.0 - 61)).unwrap_err(), Code::RequestTimeOutOfRange);
    assert_eq!(door(&[1; 64], NOW).unwrap_err(), Code::RequestSignatureInvalid);
}
