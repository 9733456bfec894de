//! Placing signatures: two owners', verified, sorted, packed; and the executor's transaction around them.

use super::super::execution::{ExecutionError, SignedTransaction};
use super::*;

fn checked(signed_by: Option<KeyRole>, bytes: &[u8]) -> Result<CheckedSafeTx, CheckError> {
    let payees = [ether_to(1, 900)];
    let expect = Expectations { signed_by, ..expecting(&payees) };
    check_proposal(bytes, &trusted(&wallet(0), 5), &expect)
}

fn proposal() -> Vec<u8> {
    Unsigned::build(&trusted(&wallet(0), 5), &plan(&[ether_to(1, 900)])).unwrap().proposal()
}

fn signed(good: &CheckedSafeTx, role: KeyRole) -> VerifiedSignature {
    let (compact, id) = sign(role, good.hash());
    good.verify(role, &compact, id).unwrap()
}

#[test]
fn b_signs_first_a_verifies_and_signs_last_and_the_execution_holds_both_sorted() {
    let for_b = checked(None, &proposal()).unwrap();
    let sent = for_b.proposal_with(&signed(&for_b, KeyRole::Cosigner)).unwrap();
    let for_a = checked(Some(KeyRole::Cosigner), &sent).unwrap();
    let b = for_a.signature().unwrap().clone();
    for a in [KeyRole::Signer, KeyRole::Vault] {
        let one = for_a.finish(&signed(&for_a, a), &b).unwrap();
        let other = for_a.finish(&b, &signed(&for_a, a)).unwrap();
        assert_eq!((one.data(), one.hash()), (other.data(), for_b.hash()));
        let packed = &one.data()[one.data().len() - 160..][..130];
        let read = PackedSignatures::read(packed, one.hash(), &owners()).unwrap();
        assert_eq!(read.all().len(), 2);
    }
    let (compact, id) = sign(KeyRole::Signer, for_a.hash());
    assert_eq!(for_a.danger_vouch_own(KeyRole::Signer, &compact, id), signed(&for_a, KeyRole::Signer));
}

#[test]
fn a_signature_that_is_missing_foreign_or_one_too_many_is_refused() {
    let good = checked(None, &proposal()).unwrap();
    let by = |role| good.proposal_with(&signed(&good, role)).unwrap();
    assert!(checked(Some(KeyRole::Cosigner), &by(KeyRole::Cosigner)).is_ok());
    let no = CheckError::Signature(SignatureError::NotExpected);
    assert_eq!(checked(Some(KeyRole::Cosigner), &by(KeyRole::Signer)).unwrap_err(), no);
    assert_eq!(checked(Some(KeyRole::Cosigner), &proposal()).unwrap_err(), no);
    assert_eq!(checked(None, &by(KeyRole::Cosigner)).unwrap_err(), no);
    let twice = good.finish(&signed(&good, KeyRole::Vault), &signed(&good, KeyRole::Vault));
    assert_eq!(twice.unwrap_err(), SignatureError::NotTwoOwners);
}

#[test]
fn a_signature_over_anything_else_is_no_owners() {
    let good = checked(None, &proposal()).unwrap();
    let (compact, id) = sign(KeyRole::Signer, B256::repeat_byte(7));
    assert!(good.verify(KeyRole::Signer, &compact, id).is_err());
    let (compact, id) = sign(KeyRole::Signer, good.hash());
    assert_eq!(good.verify(KeyRole::Vault, &compact, id).unwrap_err(), SignatureError::NotOwner(0));
    assert!(good.verify(KeyRole::Signer, &compact, 1 - id).is_err());
    assert!(good.verify(KeyRole::Signer, &compact, id + 2).is_err());
    for at in 0..64 {
        let mut altered = compact;
        altered[at] ^= 1;
        assert!(good.verify(KeyRole::Signer, &altered, id).is_err(), "byte {at}");
    }
}

#[test]
fn packed_signatures_are_read_in_one_spelling() {
    let hash = B256::repeat_byte(9);
    let one = |role| {
        let (compact, id) = sign(role, hash);
        (owner(role), [compact.as_slice(), &[id + 27]].concat())
    };
    let mut all = KeyRole::ALL.map(one);
    all.sort();
    let [a, b, c] = all.map(|(_, bytes)| bytes);
    let read = |parts: &[&Vec<u8>]| {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        PackedSignatures::read(&bytes, hash, &owners()).map(|read| read.all().len())
    };
    assert_eq!((read(&[]), read(&[&a]), read(&[&a, &b, &c])), (Ok(0), Ok(1), Ok(3)));
    assert_eq!(read(&[&b, &a]), Err(SignatureError::Order));
    assert_eq!(read(&[&a, &a]), Err(SignatureError::Order));
    assert_eq!(read(&[&a, &vec![0]]), Err(SignatureError::Length));
    assert_eq!(read(&[&a, &b, &c, &c]), Err(SignatureError::Length));
    let with_v = |v: u8| [&a[..64], &[v]].concat();
    for v in [0, 1, 2, 26, 29, 31, 32, 255] {
        assert_eq!(read(&[&with_v(v)]), Err(SignatureError::Kind(0)), "v {v}");
    }
    assert!(read(&[&with_v(55 - a[64])]).is_err());
    let order = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse::<U256>().unwrap();
    let high = (order - U256::from_be_slice(&a[32..64])).to_be_bytes::<32>();
    let twin = [&a[..32], &high, &[55 - a[64]]].concat();
    assert_eq!(read(&[&twin]), Err(SignatureError::Wrong(0)), "a high S, which the contract would take");
}

fn gas(fee: u128, tip: u128) -> GasTerms {
    GasTerms { gas_limit: 200_000, fee_per_gas_max: fee, tip_per_gas_max: tip }
}

fn execution_plan(gas: GasTerms) -> ExecutionPlan {
    ExecutionPlan { chain: CHAIN, nonce: 3, to: wallet(0).address(), data: vec![1, 2, 3], gas }
}

#[test]
fn the_executor_signs_its_own_transaction_and_it_reads_back_as_planned() {
    let built = Execution::build(execution_plan(gas(30, 2))).unwrap();
    let (compact, id) = sign(KeyRole::Signer, built.hash());
    let finished = built.clone().finish(owner(KeyRole::Signer), &compact, id).unwrap();
    let read = SignedTransaction::read(finished.bytes()).unwrap();
    assert_eq!((read.sender, read.nonce, read.hash), (owner(KeyRole::Signer), 3, finished.hash()));
    assert_eq!((read.gas, read.value, read.to), (gas(30, 2), U256::ZERO, Some(wallet(0).address())));
    assert!(built.finish(owner(KeyRole::Vault), &compact, id).is_err(), "another account");
    assert!(SignedTransaction::read(&[finished.bytes(), &[0]].concat()).is_err());
    assert!(SignedTransaction::read(&finished.bytes()[1..]).is_err());
}

#[test]
fn gas_terms_are_sane_and_a_replacement_raises_both_fees_by_a_tenth() {
    assert_eq!(Execution::build(execution_plan(gas(2, 3))), Err(ExecutionError::Gas));
    assert_eq!(
        Execution::build(ExecutionPlan { nonce: u64::MAX, ..execution_plan(gas(3, 2)) }),
        Err(ExecutionError::Nonce)
    );
    assert_eq!(gas(30, 2).fee_max(), Some(Units::new(U256::from(6_000_000))));
    let old = gas(1_000, 15);
    assert!(gas(1_100, 17).replaces(&old));
    assert!(!gas(1_099, 17).replaces(&old) && !gas(1_100, 16).replaces(&old) && !old.replaces(&old));
    assert!(!gas(5, 0).replaces(&gas(0, 0)), "a tip of nothing is raised, too");
    let raised = old.raised(2_000).unwrap();
    assert!(raised == gas(1_100, 17) && raised.replaces(&old));
    assert_eq!(old.raised(1_099), None, "not above the cap");
    assert_eq!(gas(u128::MAX, 1).raised(u128::MAX), None);
}
