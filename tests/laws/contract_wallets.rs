//! L3, the exempt side on an EVM chain: a customer's wallet that is a contract is registered by an observer's word that the
//! contract accepts the proof, which each party verifies by itself.

use countersign::desk::*;
use countersign::ethereum::{Address, B256, message_hash};
use countersign::evidence::*;
use countersign::withdrawal::evm_address::read;
use countersign::withdrawal::*;

use super::safes::{ETHER, USDT, state};
use super::world::*;

const PROOF: &str = "0x1271";

/// A world whose observer may state what contracts accept.
async fn world(may: bool) -> World {
    let mut plan = evm_plan();
    if may {
        plan.trust.statement_keys[0].kinds.push("ownership".into());
    }
    let world = World::funded(plan, 4, 40 * COIN).await;
    state(&world, 100, 0, &BALANCES()).await;
    world
}

const BALANCES: fn() -> [(Asset, u128); 2] = || [(ether(), 10 * ETHER), (token(), 10_000 * USDT)];

fn exchange() -> Caller {
    caller(Role::Exchange, "acme")
}

async fn challenge(world: &World) -> ChallengeView {
    let order = ChallengeOrder {
        organisation: Organisation::parse("acme").unwrap(),
        customer_ref: CustomerRef::parse("customer-1").unwrap(),
        asset: ether(),
        address: VERA.to_owned(),
    };
    WalletDesk::challenge(&*world.desk(), &exchange(), order).await.unwrap()
}

/// The observer's word that the contract accepts the proof for a message.
fn word(world: &World, contract: &str, message: &str) -> Signed {
    let fact = OwnershipFact {
        chain: EVM,
        height: 100,
        block_hash: B256::repeat_byte(1),
        contract: read(contract).unwrap(),
        message_hash: message_hash(message),
        proof_digest: digest(PROOF),
    };
    let body = Body::Ownership(fact);
    let statement = Statement { observer: "watcher".into(), number: 1, after: 0, at: world.now(), body };
    sign_statement(&statement, ed25519(&key(OBSERVER))).unwrap()
}

fn evidence(world: &World, given: &ChallengeView, proof: String) -> WalletEvidence {
    let said = wallet_challenge::parse_challenge(&given.challenge.text).unwrap();
    let registration = WalletRegistration {
        claim: said.claim,
        challenge: digest(&given.challenge.text),
        proof_kind: ProofKind::Eip1271,
        proof,
        registered_at: world.now(),
    };
    let registration = signed(sign_registration(&registration, ed25519(&key(EXCHANGE))).unwrap(), "k1");
    WalletEvidence { registration, challenge: given.challenge.clone() }
}

/// What the signer and the co-signer say to a registration, each asked for itself.
async fn codes_of(world: &World, evidence: &WalletEvidence) -> [&'static str; 2] {
    let signer = WalletDesk::register(&*world.desk(), &exchange(), evidence.clone()).await.unwrap_err();
    let cosigner = world.cosigner().register(evidence.clone()).await.unwrap_err();
    [signer.code().as_str(), cosigner.code().as_str()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l03_a_contracts_wallet_is_paid_after_the_delay_on_an_observers_word_that_a_restart_verifies_again() {
    let mut world = world(true).await;
    let given = challenge(&world).await;
    assert_eq!(read_ownership(&given.message).unwrap(), (ether().chain(), VERA.to_owned()));
    let stranger = countersign::withdrawal::evm_address::spell(Address::repeat_byte(0x66));
    for (proof, code) in [
        (PROOF.to_owned(), "CONTRACT_WALLET_NOT_WITNESSED"),
        (write_witnessed(PROOF, &word(&world, &stranger, &given.message)), "OWNERSHIP_NOT_PROVEN"),
        (write_witnessed(PROOF, &word(&world, VERA, "another message")), "OWNERSHIP_NOT_PROVEN"),
        (write_witnessed("0x1272", &word(&world, VERA, &given.message)), "OWNERSHIP_NOT_PROVEN"),
    ] {
        assert_eq!(codes_of(&world, &evidence(&world, &given, proof)).await, [code, code]);
    }
    let good = evidence(&world, &given, write_witnessed(PROOF, &word(&world, VERA, &given.message)));
    WalletDesk::register(&*world.desk(), &exchange(), good).await.unwrap();
    world.restart_signer().await;
    world.restart_cosigner().await;
    world.later(86_500);
    state(&world, 110, 0, &BALANCES()).await;
    let request = WithdrawalRequest {
        beneficiary_vasp: VaspId::SELF_HOSTED,
        ..super::safes::request(&world, "e-1", ether(), ETHER)
    };
    let asked = world.ask(&request, ("x", "y")).await.unwrap();
    let paid = world.until(asked.id, |view| view.outcome != Outcome::Moving).await;
    assert_eq!(paid.outcome, Outcome::Released, "{:?}", codes(&paid));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l03_an_observer_that_may_not_speak_of_contracts_registers_none() {
    let world = world(false).await;
    let given = challenge(&world).await;
    let said = evidence(&world, &given, write_witnessed(PROOF, &word(&world, VERA, &given.message)));
    let code = "STATEMENT_SIGNATURE_INVALID";
    assert_eq!(codes_of(&world, &said).await, [code, code]);
}
