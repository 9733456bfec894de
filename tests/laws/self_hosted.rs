//! L3, the exempt side: only an own customer's self-hosted wallet, registered by the exchange, proved by the customer over
//! a fresh challenge, and known to the co-signer itself for the whole delay.

use bitcoin::consensus::encode::serialize;
use bitcoin::secp256k1::{Message, Secp256k1, SecretKey};
use bitcoin::sighash::SighashCache;
use bitcoin::{
    Address, Amount as Sats, CompressedPublicKey, EcdsaSighashType, Network as Chain, Witness, ecdsa,
};
use countersign::bitcoin::{Destination, unsigned_message};
use countersign::desk::*;
use countersign::evidence::wallet_challenge::CHALLENGE_S;
use countersign::evidence::*;
use countersign::withdrawal::*;
use data_encoding::BASE64;

use super::thief::*;
use super::world::*;

const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;

/// A wallet of somebody's, from a seed byte.
pub struct Wallet(SecretKey);

impl Wallet {
    pub fn new(seed: u8) -> Self {
        Self(SecretKey::from_slice(&[seed; 32]).unwrap())
    }

    fn key(&self) -> CompressedPublicKey {
        CompressedPublicKey(self.0.public_key(&Secp256k1::new()))
    }

    fn address(&self) -> String {
        Address::p2wpkh(&self.key(), Chain::Regtest).to_string()
    }

    /// What it signs for a message, said to be of that address.
    fn sign(&self, address: &str, message: &str) -> String {
        let at = Destination::parse(address, NETWORK).unwrap();
        let unsigned = unsigned_message(&at, message);
        let own = Destination::parse(&self.address(), NETWORK).unwrap();
        let hash = SighashCache::new(&unsigned)
            .p2wpkh_signature_hash(0, own.script_pubkey(), Sats::ZERO, EcdsaSighashType::All)
            .unwrap();
        let signature = Secp256k1::new().sign_ecdsa(&Message::from(hash), &self.0);
        let parts = [ecdsa::Signature::sighash_all(signature).to_vec(), self.key().to_bytes().to_vec()];
        BASE64.encode(&serialize(&Witness::from_slice(&parts)))
    }
}

fn order_for(address: &str) -> ChallengeOrder {
    ChallengeOrder {
        organisation: Organisation::parse("acme").unwrap(),
        customer_ref: CustomerRef::parse("customer-1").unwrap(),
        asset: ASSET,
        address: address.to_owned(),
    }
}

/// The registration that answers a challenge, truly signed by the exchange.
fn registration(world: &World, wallet: &Wallet, challenge: &SignedText) -> WalletRegistration {
    let said = wallet_challenge::parse_challenge(&challenge.text).unwrap();
    let name = challenge_name(&challenge.text);
    let proof = wallet.sign(&said.claim.address, &ownership_message(&said.claim, &name));
    WalletRegistration {
        claim: said.claim,
        challenge: digest(&challenge.text),
        proof_kind: ProofKind::Bip322Simple,
        proof,
        registered_at: world.now(),
    }
}

fn evidence(registration: &WalletRegistration, challenge: &SignedText, seed: u8) -> WalletEvidence {
    let registration = signed(sign_registration(registration, ed25519(&key(seed))).unwrap(), "k1");
    WalletEvidence { registration, challenge: challenge.clone() }
}

/// A registration with all that is needed, by the co-signer's own challenge.
pub async fn prepared(world: &World, wallet: &Wallet) -> WalletEvidence {
    let challenge = world.cosigner().challenge(order_for(&wallet.address())).await.unwrap();
    evidence(&registration(world, wallet, &challenge), &challenge, EXCHANGE)
}

pub fn removal(world: &World, evidence: &WalletEvidence, seed: u8) -> SignedText {
    let removal = WalletRemoval {
        organisation: Organisation::parse("acme").unwrap(),
        challenge: digest(&evidence.challenge.text),
        asked_at: world.now(),
    };
    signed(sign_removal(&removal, ed25519(&key(seed))).unwrap(), "k1")
}

fn to_wallet(world: &World, id: &str, wallet: &Wallet, sat: u64) -> WithdrawalRequest {
    let request = world.request(id, &wallet.address(), sat);
    WithdrawalRequest { beneficiary_vasp: VaspId::SELF_HOSTED, ..request }
}

fn exempt(request: &WithdrawalRequest, evidence: &WalletEvidence) -> CosignPayment {
    let clearance = Some(ClearanceEvidence::Exempt(evidence.registration.clone()));
    CosignPayment { clearance, ..payment(sign(request), None) }
}

/// The co-signer's facts, as fresh as at first.
async fn refresh(world: &World) {
    tell(world, world.chain()).await.unwrap();
    tell(world, Body::Price(vec![(ASSET, Krw(PRICE))])).await.unwrap();
    tell(world, NOTHING_NEW).await.unwrap();
    tell(world, Body::Position { cold: vec![(ASSET, Amount::from_sat(100 * COIN))], swept: vec![] })
        .await
        .unwrap();
}

pub async fn restate(world: &World) {
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
}

async fn register(world: &World, wallet: &Wallet) -> (WalletEvidence, WalletView) {
    let (desk, exchange) = (world.desk(), caller(Role::Exchange, "acme"));
    let given = WalletDesk::challenge(&*desk, &exchange, order_for(&wallet.address())).await.unwrap();
    let said = registration(world, wallet, &given.challenge);
    assert_eq!(
        said.proof,
        wallet.sign(&wallet.address(), &given.message),
        "the message is what is to be signed"
    );
    let evidence = evidence(&said, &given.challenge, EXCHANGE);
    let view = WalletDesk::register(&*desk, &exchange, evidence.clone()).await.unwrap();
    (evidence, view)
}

fn code<T: std::fmt::Debug>(answer: Result<T, DeskError>) -> &'static str {
    answer.unwrap_err().code().as_str()
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_an_own_customers_registered_wallet_is_paid_after_the_delay() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let wallet = Wallet::new(41);
    let exchange = caller(Role::Exchange, "acme");
    // nobody registered it
    let request = to_wallet(&world, "r0", &wallet, 2_000_000);
    assert_eq!(codes(&world.ask(&request, ("x", "y")).await.unwrap()), ["WALLET_NOT_REGISTERED"]);
    let (evidence, view) = register(&world, &wallet).await;
    assert!(view.effective_at >= world.now().plus(DAY - 60), "{view:?}");
    // the same again stands as it stood, however late
    world.later(DAY - HOUR);
    let again = WalletDesk::register(&*world.desk(), &exchange, evidence.clone()).await.unwrap();
    assert_eq!(again, view);
    restate(&world).await;
    let request = to_wallet(&world, "r1", &wallet, 2_000_000);
    let held = world.ask(&request, ("x", "y")).await.unwrap();
    assert_eq!(codes(&held), ["WALLET_NOT_EFFECTIVE"]);
    let Outcome::Held(findings) = &held.outcome else { panic!("{held:?}") };
    assert!(findings[0].detail.contains(&view.effective_at.to_string()), "{findings:?}");
    // both parties know it after a restart
    world.restart_signer().await;
    world.restart_cosigner().await;
    world.later(HOUR + 60);
    restate(&world).await;
    let paid = world.until(held.id, |v| v.outcome == Outcome::Released).await;
    assert_eq!(codes(&paid), ["RELEASED"]);
    {
        let orders = world.tap.orders.lock().unwrap();
        let payment = &orders.iter().flat_map(|o| &o.items).next_back().unwrap().payments[0];
        assert_eq!(payment.clearance, Some(ClearanceEvidence::Exempt(evidence.registration)));
    }
    // nobody is told of it: of what ends after it, somebody is
    let other = world.withdraw("r2", 2_000_001).await;
    world.until_told(&other).await;
    assert_eq!(world.ear.heard.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_a_hold_that_ends_before_its_wallet_takes_effect_says_so_from_the_start() {
    let mut plan = Plan::default();
    for policy in [&mut plan.signer_policy, &mut plan.cosigner_policy] {
        policy.self_hosted_delay_s = 2 * DAY;
    }
    let world = World::funded(plan, 3, 70 * COIN).await;
    let wallet = Wallet::new(41);
    let (_, view) = register(&world, &wallet).await;
    let before = world.now();
    let held = world.ask(&to_wallet(&world, "r1", &wallet, 2_000_000), ("x", "y")).await.unwrap();
    assert_eq!(codes(&held), ["WALLET_NOT_EFFECTIVE"]);
    let detail = |view: &WithdrawalView| match &view.outcome {
        Outcome::Held(findings) | Outcome::Refused(findings) => findings[0].detail.clone(),
        other => panic!("{other:?}"),
    };
    let (said, effective) = (detail(&held), view.effective_at.to_string());
    assert!(said.contains(&effective), "{said}");
    let kept_until = said.split("held until ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert!(kept_until >= before.plus(DAY).to_string() && kept_until < effective, "{said}");
    world.later(DAY + 60);
    restate(&world).await;
    let over = world.until(held.id, |v| codes(v) == ["HOLD_EXPIRED"]).await;
    assert!(detail(&over).contains(&effective), "{over:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_an_exempt_withdrawal_still_needs_its_approvals_and_the_text_says_exempt() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let wallet = Wallet::new(41);
    register(&world, &wallet).await;
    world.later(DAY + 60);
    restate(&world).await;
    let request = to_wallet(&world, "big", &wallet, 20_000_000);
    let held = world.ask(&request, ("x", "y")).await.unwrap();
    assert_eq!(codes(&held), ["APPROVAL_REQUIRED"]);
    let pending = world.desk().pending(&caller(Role::Operator, "x"), page()).await.unwrap().items.remove(0);
    assert!(pending.text.contains("\ntravel_rule: exempt\n"), "{}", pending.text);
    world.approve(held.id, KIM).await.unwrap();
    world.until(held.id, |v| v.outcome == Outcome::Released).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_an_exempt_withdrawal_under_way_is_taken_up_after_a_crash() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let wallet = Wallet::new(41);
    register(&world, &wallet).await;
    world.later(DAY + 60);
    restate(&world).await;
    world.cut();
    let held = world.ask(&to_wallet(&world, "r1", &wallet, 2_000_000), ("x", "y")).await.unwrap();
    assert_eq!(codes(&held), ["COSIGNER_UNREACHABLE"]);
    world.restart_signer().await;
    world.mend();
    world.until(held.id, |v| v.outcome == Outcome::Released).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_a_removed_wallet_is_refused_at_once_also_what_waits_for_it() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let wallet = Wallet::new(41);
    let (desk, exchange) = (world.desk(), caller(Role::Exchange, "acme"));
    let (evidence, view) = register(&world, &wallet).await;
    let waits = world.ask(&to_wallet(&world, "r1", &wallet, 2_000_000), ("x", "y")).await.unwrap();
    assert_eq!(codes(&waits), ["WALLET_NOT_EFFECTIVE"]);
    // the line is cut: it counts here, and the caller is told to ask again
    world.cut();
    let cut = WalletDesk::remove(&*desk, &exchange, removal(&world, &evidence, EXCHANGE)).await;
    assert_eq!(code(cut), "COSIGNER_UNREACHABLE");
    world.until(waits.id, |v| codes(v) == ["WALLET_NOT_REGISTERED"]).await;
    world.mend();
    let removed = WalletDesk::remove(&*desk, &exchange, removal(&world, &evidence, EXCHANGE)).await.unwrap();
    assert!(removed.removed_at.is_some());
    let listed = desk.registrations(&exchange, None, page()).await.unwrap().items;
    assert_eq!(listed, [removed]);
    world.later(DAY + 60);
    restate(&world).await;
    let late = world.ask(&to_wallet(&world, "r2", &wallet, 2_000_000), ("x", "y")).await.unwrap();
    assert_eq!(codes(&late), ["WALLET_NOT_REGISTERED"]);
    // another exchange sees none of it
    let other = caller(Role::Exchange, "other");
    assert_eq!(code(desk.registered(&other, &view.name).await), "NOT_FOUND");
    assert_eq!(
        code(WalletDesk::challenge(&*desk, &other, order_for(&wallet.address())).await),
        "ROLE_NOT_ALLOWED"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_a_stolen_signer_cannot_register_a_strangers_wallet() {
    let (world, mut thief) = Thief::with(Plan::default(), 1, 100 * COIN).await;
    let (mine, theirs) = (Wallet::new(66), Wallet::new(41));
    let cosigner = world.cosigner();
    let challenge = cosigner.challenge(order_for(&mine.address())).await.unwrap();
    let said = registration(&world, &mine, &challenge);
    // the exchange did not sign it
    let forged = evidence(&said, &challenge, STRANGER);
    assert_eq!(code(cosigner.register(forged.clone()).await), "REQUEST_SIGNATURE_INVALID");
    // the exchange signed it for an address that is not proved
    let unproved =
        registration(&world, &mine, &cosigner.challenge(order_for(&theirs.address())).await.unwrap());
    let at_theirs = cosigner.challenge(order_for(&theirs.address())).await.unwrap();
    let unproved = WalletRegistration { challenge: digest(&at_theirs.text), ..unproved };
    let proof =
        mine.sign(&theirs.address(), &ownership_message(&unproved.claim, &challenge_name(&at_theirs.text)));
    let unproved = evidence(&WalletRegistration { proof, ..unproved }, &at_theirs, EXCHANGE);
    assert_eq!(code(cosigner.register(unproved).await), "OWNERSHIP_NOT_PROVEN");
    // the challenge is the thief's own
    let own = wallet_challenge::parse_challenge(&challenge.text).unwrap();
    let own = signed(sign_challenge(&own, ed25519(&key(STRANGER))).unwrap(), "attestation");
    let by_own = evidence(&said, &own, EXCHANGE);
    assert_eq!(code(cosigner.register(by_own).await), "EVIDENCE_INVALID");
    // and what the co-signer never took exempts nothing, however old it says it is
    let request = to_wallet(&world, "r1", &mine, 2_000_000);
    for evidence in [forged, evidence(&said, &challenge, EXCHANGE)] {
        let plot = thief.plot(0, &[&request]);
        let verdict = thief.try_to(&world, &plot, vec![exempt(&request, &evidence)]).await;
        assert_eq!(no(verdict), "WALLET_NOT_REGISTERED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_a_stolen_signer_cannot_skip_or_backdate_the_delay() {
    let (mut world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    let wallet = Wallet::new(41);
    // kept back until its delay would be over: the challenge is too old by then
    let kept = prepared(&world, &wallet).await;
    world.later(CHALLENGE_S + 1);
    assert_eq!(code(world.cosigner().register(kept.clone()).await), "REQUEST_TIME_OUT_OF_RANGE");
    let challenge = kept.challenge.clone();
    let anew = evidence(&registration(&world, &wallet, &challenge), &challenge, EXCHANGE);
    assert_eq!(code(world.cosigner().register(anew).await), "CHALLENGE_EXPIRED");
    // the delay begins with the co-signer's own first sight, whatever is said later
    let good = prepared(&world, &wallet).await;
    let seen_at = world.now();
    let receipt = world.cosigner().register(good.clone()).await.unwrap();
    assert!(receipt.effective_at >= seen_at.plus(DAY));
    world.later(DAY - 60);
    refresh(&world).await;
    assert_eq!(
        world.cosigner().register(good.clone()).await.unwrap(),
        receipt,
        "asked again it is not younger"
    );
    for (n, restarts) in [false, true].into_iter().enumerate() {
        if restarts {
            world.restart_cosigner().await;
        }
        let request = to_wallet(&world, &format!("r{n}"), &wallet, 2_000_000);
        let plot = thief.plot(0, &[&request]);
        let verdict = thief.try_to(&world, &plot, vec![exempt(&request, &good)]).await;
        assert_eq!(no(verdict), "WALLET_NOT_EFFECTIVE");
    }
    world.later(120);
    refresh(&world).await;
    let request = to_wallet(&world, "r9", &wallet, 2_000_000);
    yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![exempt(&request, &good)]).await);
}

/// A world where a wallet is registered at the co-signer and its delay is over.
async fn in_force(coins: usize) -> (World, Thief, Wallet, WalletEvidence) {
    let (world, thief) = Thief::with(Plan::default(), coins, 100 * COIN).await;
    let wallet = Wallet::new(41);
    let good = prepared(&world, &wallet).await;
    world.cosigner().register(good.clone()).await.unwrap();
    world.later(DAY + 60);
    refresh(&world).await;
    (world, thief, wallet, good)
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_a_registration_exempts_no_other_customer_address_asset_or_vasp() {
    let (world, mut thief, wallet, good) = in_force(2).await;
    let request = to_wallet(&world, "r1", &wallet, 2_000_000);
    let others = [
        WithdrawalRequest { customer_ref: CustomerRef::parse("customer-2").unwrap(), ..request.clone() },
        WithdrawalRequest { destination: Wallet::new(66).address(), ..request.clone() },
        WithdrawalRequest { destination: TAYLOR.into(), ..request.clone() },
        WithdrawalRequest { beneficiary_vasp: ROBOT_VASP, ..request.clone() },
    ];
    for other in others {
        let plot = thief.plot(0, &[&other]);
        let verdict = thief.try_to(&world, &plot, vec![exempt(&other, &good)]).await;
        assert_eq!(no(verdict), "EVIDENCE_INVALID", "{other:?}");
    }
    // nor does an answer clear what names no VASP, nor nothing at all
    let answer = thief.answer(&request);
    for (code, payment) in [
        ("TRAVEL_RULE_VASP_UNKNOWN", thief.payment_with(&request, &answer)),
        ("NO_CLEARANCE", payment(sign(&request), None)),
    ] {
        let plot = thief.plot(0, &[&request]);
        assert_eq!(no(thief.try_to(&world, &plot, vec![payment]).await), code);
    }
    // an altered registration is none that the co-signer took
    let mut altered = good.clone();
    altered.registration.text = altered.registration.text.replace("customer-1", "customer-2");
    let other =
        WithdrawalRequest { customer_ref: CustomerRef::parse("customer-2").unwrap(), ..request.clone() };
    let plot = thief.plot(0, &[&other]);
    assert_eq!(no(thief.try_to(&world, &plot, vec![exempt(&other, &altered)]).await), "EVIDENCE_USED");
    assert_eq!(code(world.cosigner().register(altered).await), "EVIDENCE_USED");
    // one wallet of one customer has one registration in force
    let second = prepared(&world, &wallet).await;
    assert_eq!(code(world.cosigner().register(second).await), "WALLET_REGISTERED");
    yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![exempt(&request, &good)]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_a_stolen_signer_cannot_use_a_registration_that_the_cosigner_knows_is_removed() {
    let (mut world, mut thief, wallet, good) = in_force(2).await;
    let foreign = removal(&world, &good, STRANGER);
    assert_eq!(code(world.cosigner().remove(foreign).await), "REQUEST_SIGNATURE_INVALID");
    let request = to_wallet(&world, "r1", &wallet, 2_000_000);
    yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![exempt(&request, &good)]).await);
    world.cosigner().remove(removal(&world, &good, EXCHANGE)).await.unwrap();
    world.cosigner().remove(removal(&world, &good, EXCHANGE)).await.unwrap();
    for (n, restarts) in [false, true].into_iter().enumerate() {
        if restarts {
            world.restart_cosigner().await;
        }
        let request = to_wallet(&world, &format!("late{n}"), &wallet, 2_000_000);
        let plot = thief.plot(1, &[&request]);
        let verdict = thief.try_to(&world, &plot, vec![exempt(&request, &good)]).await;
        assert_eq!(no(verdict), "WALLET_NOT_REGISTERED");
        assert_eq!(code(world.cosigner().register(good.clone()).await), "WALLET_NOT_REGISTERED");
    }
    // a new registration has a new delay
    let again = prepared(&world, &wallet).await;
    world.cosigner().register(again.clone()).await.unwrap();
    let request = to_wallet(&world, "again", &wallet, 2_000_000);
    let plot = thief.plot(1, &[&request]);
    assert_eq!(no(thief.try_to(&world, &plot, vec![exempt(&request, &again)]).await), "WALLET_NOT_EFFECTIVE");
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_an_exemption_passes_no_limit_and_no_tier_and_pays_each_request_once() {
    let (world, mut thief, wallet, good) = in_force(3).await;
    // above the first tier it needs a person, as everything does
    let big = to_wallet(&world, "big", &wallet, 20_000_000);
    let plot = thief.plot(0, &[&big]);
    assert_eq!(no(thief.try_to(&world, &plot, vec![exempt(&big, &good)]).await), "APPROVAL_REQUIRED");
    // one request is paid once, split or not
    let request = to_wallet(&world, "r1", &wallet, 2_000_000);
    let twice = vec![exempt(&request, &good), exempt(&request, &good)];
    let verdict = thief.try_to(&world, &thief.plot(0, &[&request, &request]), twice).await;
    assert_eq!(no(verdict), "REQUEST_ID_REUSED");
    let half = Plot { payees: vec![(wallet.address(), 1_000_000); 2], ..thief.plot(0, &[&request]) };
    let verdict = thief.try_to(&world, &half, vec![exempt(&request, &good)]).await;
    assert_eq!(no(verdict), "TRANSACTION_MISMATCH");
    yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![exempt(&request, &good)]).await);
    let plot = thief.plot(1, &[&request]);
    assert_eq!(no(thief.try_to(&world, &plot, vec![exempt(&request, &good)]).await), "ANCHOR_MISMATCH");
    // and the next request of the same customer needs no other evidence
    let next = to_wallet(&world, "r2", &wallet, 2_000_000);
    yes(thief.try_to(&world, &thief.plot(1, &[&next]), vec![exempt(&next, &good)]).await);
}
