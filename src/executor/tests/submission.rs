//! What is handed over: read in its one spelling, with both signatures, and never believed.

use crate::ethereum::fixture::{ether_to, finished, token_to, wallet};
use crate::ethereum::{CheckError, SignatureError, SignedSafeTx};
use crate::withdrawal::Code;

#[test]
fn a_finished_transaction_is_read_with_its_hash_its_payees_and_both_signatures() {
    let payees = [ether_to(1, 5), token_to(2, 6)];
    let data = finished(&wallet(0), 7, &payees);
    let read = SignedSafeTx::read(&data, 7, &wallet(0)).unwrap();
    assert_eq!((read.safe(), read.nonce(), read.data()), (wallet(0).address(), 7, data.as_slice()));
    assert_eq!((read.hash(), read.actions().len()), (read.call().hash(&wallet(0)).unwrap(), 2));
}

#[test]
fn another_nonce_another_safe_or_any_changed_byte_is_no_transaction_of_this_safe() {
    let data = finished(&wallet(0), 7, &[ether_to(1, 5)]);
    assert!(matches!(SignedSafeTx::read(&data, 8, &wallet(0)), Err(CheckError::Signature(_))));
    assert!(matches!(SignedSafeTx::read(&data, 7, &wallet(1)), Err(CheckError::Signature(_))));
    for at in 0..data.len() {
        let mut changed = data.clone();
        changed[at] ^= 1;
        assert!(SignedSafeTx::read(&changed, 7, &wallet(0)).is_err(), "byte {at}");
    }
    let mut longer = data.clone();
    longer.push(0);
    assert_eq!(SignedSafeTx::read(&longer, 7, &wallet(0)).unwrap_err().code(), Code::FieldMalformed);
    let much = vec![0; 200_000];
    assert_eq!(SignedSafeTx::read(&much, 7, &wallet(0)).unwrap_err().code(), Code::FieldTooLong);
}

#[test]
fn one_signature_is_not_enough() {
    let data = finished(&wallet(0), 7, &[ether_to(1, 5)]);
    // the packed signatures: 130 bytes behind their length, padded to 160
    let (head, packed) = data.split_at(data.len() - 192);
    let length = crate::ethereum::U256::from(65).to_be_bytes::<32>();
    let one = [head, &length, &packed[32..97], &[0; 31]].concat();
    let no = SignedSafeTx::read(&one, 7, &wallet(0)).unwrap_err();
    assert_eq!(no, CheckError::Signature(SignatureError::NotTwoOwners));
}

#[test]
fn the_gas_that_is_computed_grows_with_what_is_kept_and_carried() {
    let gas = |count: u8| {
        let payees: Vec<_> = (1..=count).map(|n| ether_to(n, 5)).collect();
        SignedSafeTx::read(&finished(&wallet(0), 7, &payees), 7, &wallet(0)).unwrap().gas_limit(0).unwrap()
    };
    assert!(gas(1) > 60_000 + 2_500 + 21_000 && gas(1) < 250_000, "{}", gas(1));
    assert!(gas(100) > gas(1) + 100 * 500 && gas(100) < 1_000_000, "{}", gas(100));
}
