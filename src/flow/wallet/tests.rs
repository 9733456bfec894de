//! Wallets of EVM chains: what their keys prove, and what must not pass for it. Those of Bitcoin stand in `tests/laws`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use alloy_primitives::U256;
use data_encoding::HEXLOWER;

use super::*;
use crate::evidence::fixture::*;
use crate::evidence::{
    Body, OwnershipFact, Statement, WalletClaim, challenge_name, digest, ed25519, ownership_message,
    sign_registration, sign_statement, write_witnessed,
};
use crate::withdrawal::{ChainId, CustomerRef, EvmAsset, Network};

/// Registers by a challenge for the very same claim; what is wrong is the wallet's own affair.
fn door(registration: &WalletRegistration) -> Result<VerifiedRegistration, Code> {
    let challenge = challenge_for(registration.claim.clone());
    let registration = WalletRegistration { challenge: digest(&challenge.text), ..registration.clone() };
    let signed = |signed: crate::evidence::Signed, key_id: &str| SignedText {
        text: signed.text,
        key_id: key_id.to_owned(),
        signature: signed.signature,
    };
    let by_exchange = sign_registration(&registration, ed25519(&key(EXCHANGE))).map_err(|no| no.code)?;
    let evidence = WalletEvidence {
        registration: signed(by_exchange, "2026-a"),
        challenge: signed(challenge, CHALLENGE_KEY_ID),
    };
    reverify(&trust(), &evidence).map_err(|no| no.code())
}

fn message_of(claim: &WalletClaim) -> String {
    ownership_message(claim, &challenge_name(&challenge_for(claim.clone()).text))
}

fn proved(claim: WalletClaim, key: &[u8; 32]) -> WalletRegistration {
    WalletRegistration { proof: personal_sign(key, &message_of(&claim)), claim, ..evm_registration() }
}

fn on(chain: u64) -> Asset {
    Asset::Evm(EvmAsset::Ether(ChainId::new(chain).unwrap()))
}

#[test]
fn an_account_of_an_evm_chain_is_registered_by_its_own_keys_signature() {
    assert_eq!(door(&evm_registration()).unwrap().registration(), &evm_registration());
    let token = Asset::parse("eip155:8453/erc20:0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913").unwrap();
    let registered = proved(WalletClaim { asset: token, ..evm_claim() }, &EVM_KEY);
    assert!(door(&registered).is_ok(), "a token's holder proves the account, by the same message");
}

#[test]
fn a_proof_of_another_key_chain_customer_address_or_challenge_proves_nothing() {
    let stranger = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
    let others = [
        WalletClaim { asset: on(10), ..evm_claim() },
        WalletClaim { customer_ref: CustomerRef::parse("customer 2").unwrap(), ..evm_claim() },
        WalletClaim { organisation: Organisation::parse("other").unwrap(), ..evm_claim() },
        WalletClaim { address: stranger.to_owned(), ..evm_claim() },
    ];
    let messages = others.iter().map(message_of).chain([
        ownership_message(&evm_claim(), &"0".repeat(64)),
        message_of(&evm_claim()) + "\n",
        String::new(),
    ]);
    for message in messages {
        let lie = WalletRegistration { proof: personal_sign(&EVM_KEY, &message), ..evm_registration() };
        assert_eq!(door(&lie).unwrap_err(), Code::OwnershipNotProven, "{message}");
    }
    assert_eq!(door(&proved(evm_claim(), &[0x47; 32])).unwrap_err(), Code::OwnershipNotProven);
    // a whole proof, for the same account elsewhere: the registration names this chain, and so does its challenge
    let replayed =
        WalletRegistration { proof: proved(others[0].clone(), &EVM_KEY).proof, ..evm_registration() };
    assert_eq!(door(&replayed).unwrap_err(), Code::OwnershipNotProven);
}

#[test]
fn a_signature_has_one_spelling_and_a_low_s() {
    let proof = evm_registration().proof;
    let bytes = HEXLOWER.decode(&proof.as_bytes()[2..]).unwrap();
    let order = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse::<U256>().unwrap();
    let s = order - U256::from_be_slice(&bytes[32..64]);
    let high = [&bytes[..32], &s.to_be_bytes::<32>(), &[55 - bytes[64]]].concat();
    let zero_based = [&bytes[..64], &[bytes[64] - 27]].concat();
    let hex = |bytes: &[u8]| format!("0x{}", HEXLOWER.encode(bytes));
    for (proof, code) in [
        (hex(&high), Code::OwnershipNotProven),
        (hex(&zero_based), Code::OwnershipNotProven),
        (hex(&bytes[..64]), Code::SignatureMalformed),
        (proof[2..].to_owned(), Code::SignatureMalformed),
        (proof.to_ascii_uppercase(), Code::SignatureMalformed),
        (proof.clone() + "00", Code::SignatureMalformed),
    ] {
        let other = WalletRegistration { proof: proof.clone(), ..evm_registration() };
        assert_eq!(door(&other).unwrap_err(), code, "{proof}");
    }
}

#[test]
fn an_account_is_spelled_with_its_checksum_and_no_other_way() {
    let checksummed = EVM_ACCOUNT.to_owned();
    assert_eq!(spelled(on(1), &checksummed), Ok(checksummed.clone()));
    let mut one_digit = checksummed.clone();
    one_digit.replace_range(2..3, "8");
    let wrong = [
        checksummed.to_lowercase(),
        checksummed.to_uppercase(),
        checksummed[2..].to_owned(),
        one_digit,
        "0x0000000000000000000000000000000000000001".to_owned(),
        "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l".to_owned(),
        format!("{checksummed} "),
    ];
    for address in wrong {
        assert_eq!(spelled(on(1), &address).unwrap_err().field, "address", "{address}");
        if !address.ends_with(' ') {
            let claim = WalletClaim { address, ..evm_claim() };
            assert_eq!(door(&proved(claim, &EVM_KEY)).unwrap_err(), Code::OwnershipNotProven);
        }
    }
    assert!(spelled(Asset::Bitcoin(Network::Mainnet), &checksummed).is_err());
}

/// An observer's word on this fact, by the key of that seed.
fn word(fact: OwnershipFact, seed: u8) -> crate::evidence::Signed {
    let last = statements().pop().unwrap();
    let said = Statement { body: Body::Ownership(fact), ..last };
    sign_statement(&said, ed25519(&key(seed))).unwrap()
}

fn contract(proof: String) -> WalletRegistration {
    WalletRegistration { proof_kind: ProofKind::Eip1271, proof, ..evm_registration() }
}

#[test]
fn a_contracts_wallet_is_registered_by_an_observers_word_that_it_accepts_this_very_proof() {
    let fact = ownership_fact(CONTRACT_PROOF);
    let proof = write_witnessed(CONTRACT_PROOF, &word(fact, OBSERVER));
    assert!(proof.len() > 512, "a proof with a statement is longer than a plain one");
    assert!(door(&contract(proof.clone())).is_ok());
    let token = Asset::parse("eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7").unwrap();
    let of_token =
        WalletRegistration { claim: WalletClaim { asset: token, ..evm_claim() }, ..contract(proof.clone()) };
    assert_eq!(door(&of_token).unwrap_err(), Code::OwnershipNotProven, "another challenge, another message");
    let largest = format!("0x{}", "ab".repeat(4096));
    let proof = write_witnessed(&largest, &word(ownership_fact(&largest), OBSERVER));
    assert!(door(&contract(proof)).is_ok());
}

#[test]
fn a_contracts_wallet_without_an_observers_word_on_it_proves_nothing() {
    use crate::ethereum::{Address, B256};
    for proof in [evm_registration().proof, "0x1234".to_owned(), "0x1271.AAAA".to_owned()] {
        assert_eq!(door(&contract(proof)).unwrap_err(), Code::ContractWalletNotWitnessed);
    }
    let fact = ownership_fact(CONTRACT_PROOF);
    let refused = |fact: OwnershipFact, seed: u8, proof: &str| {
        door(&contract(write_witnessed(proof, &word(fact, seed)))).unwrap_err()
    };
    let not_proven = Code::OwnershipNotProven;
    assert_eq!(refused(fact, OBSERVER, "0x1272"), not_proven, "another proof");
    let other = OwnershipFact { contract: Address::repeat_byte(7), ..fact };
    assert_eq!(refused(other, OBSERVER, CONTRACT_PROOF), not_proven, "another contract");
    let other = OwnershipFact { chain: ChainId::new(10).unwrap(), ..fact };
    assert_eq!(refused(other, OBSERVER, CONTRACT_PROOF), not_proven, "another chain");
    let other = OwnershipFact { message_hash: B256::repeat_byte(7), ..fact };
    assert_eq!(refused(other, OBSERVER, CONTRACT_PROOF), not_proven, "another message");
    // 8 is the key of `prices`, who states prices alone
    for seed in [EXCHANGE, ATTESTATION, 8] {
        assert_eq!(refused(fact, seed, CONTRACT_PROOF), Code::StatementSignatureInvalid);
    }
    // another statement of the same observer is none of it
    let price = sign_statement(&statements()[2], ed25519(&key(OBSERVER))).unwrap();
    let proof = write_witnessed(CONTRACT_PROOF, &price);
    assert_eq!(door(&contract(proof)).unwrap_err(), Code::EvidenceInvalid);
    let good = write_witnessed(CONTRACT_PROOF, &word(fact, OBSERVER));
    let (start, signature) = good.rsplit_once('.').unwrap();
    for proof in [format!("{start}.00"), format!("{start}.{}", signature.to_uppercase()), format!("{good}.")]
    {
        assert!(door(&contract(proof.clone())).is_err(), "{proof}");
    }
}

#[test]
fn a_kind_of_proof_serves_its_own_chains_alone() {
    let bitcoin = WalletRegistration { proof_kind: ProofKind::Bip322Simple, ..evm_registration() };
    assert_eq!(door(&bitcoin).unwrap_err(), Code::FieldMalformed);
    for kind in ProofKind::ALL {
        assert_eq!(kind.serves(on(1).chain()), kind != ProofKind::Bip322Simple);
        assert_eq!(kind.serves(ASSET.chain()), kind == ProofKind::Bip322Simple);
    }
    assert_eq!(ProofKind::of_key(on(1).chain()), ProofKind::Eip191);
}
