//! Owns the laws of what comes from a chain and from the other party: one spelling, two readers that agree, and what is found good does what was expected.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::OnceLock;

use alloy_primitives::{Address, B256, U256, keccak256};
use data_encoding::HEXLOWER;

use super::action::{multi_send, payment_call, read_actions};
use super::fixture::*;
use super::pins::V1_5_0;
use super::receipt::Log;
use super::revert::Revert;
use super::signature::{PackedSignatures, SIGNATURE_LEN, recover};
use super::*;
use crate::withdrawal::fuzzing::{same, told};
use crate::withdrawal::{Amount, Code, KeyRole};

fn hot() -> &'static TrustedSafe {
    static HOT: OnceLock<TrustedSafe> = OnceLock::new();
    HOT.get_or_init(|| trusted(&wallet(0), 5))
}

/// Addresses, chains, assets and amounts: one spelling each; an address has the checksum that EIP-55 describes.
pub(crate) fn words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Destination::parse(text) {
        Err(no) => told(&no),
        Ok(found) => {
            assert_eq!(found.as_str(), text);
            assert_eq!(HEXLOWER.encode(found.address().as_slice()), text[2..].to_ascii_lowercase());
            let hash = keccak256(text[2..].to_ascii_lowercase());
            let cased = text[2..].bytes().enumerate().all(|(at, byte)| {
                let nibble = hash[at / 2] >> (4 * (1 - at % 2)) & 15;
                !byte.is_ascii_alphabetic() || byte.is_ascii_uppercase() == (nibble > 7)
            });
            assert!(cased && !found.address().is_zero());
        }
    }
    same(text, ChainId::parse(text));
    if let Some(asset) = same(text, EvmAsset::parse(text)) {
        assert!(text.starts_with(&asset.chain().to_string()));
    }
    let units = same(text, Units::parse("amount", text));
    if let Ok(amount) = Amount::parse("amount", text) {
        assert_eq!(units.and_then(Units::amount), Some(amount), "the two words for an amount differ");
    }
    for decimals in [0, 6, 18, 77] {
        if let Some(units) = units {
            let coin = units.in_coin(decimals);
            assert_eq!(Units::parse_coin("amount", &coin, decimals), Ok(units), "{coin}");
        }
        match Units::parse_coin("amount", text, decimals) {
            Err(no) => told(&no),
            Ok(units) => {
                let coin = units.in_coin(decimals);
                assert!(coin.starts_with(text) && coin[text.len()..].bytes().all(|b| b == b'0' || b == b'.'));
            }
        }
    }
}

pub(crate) fn word_seeds() -> Vec<Vec<u8>> {
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x0000000000000000000000000000000000000000",
        "eip155:1",
        "eip155:1/slip44:60",
        "eip155:137/erc20:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "115792089237316195423570985008687907853269984665640564039457584007913129639935",
        "0.000001",
        "1.5",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Calldata: as a Safe's own call, within a batch, and as a reason of a revert. What is read as a payment is written back the same.
pub(crate) fn calldata(data: &[u8]) {
    assert!(!Revert::read(data).to_string().is_empty());
    let wallet = hot().wallet();
    match SignedSafeTx::read(data, 7, wallet) {
        Err(CheckError::Unreadable(no)) => told(&no),
        Err(no) => assert!(!no.to_string().is_empty()),
        Ok(read) => {
            assert_eq!((read.data(), read.nonce(), read.safe()), (data, 7, wallet.address()));
            assert_eq!(read.hash(), read.call().hash(wallet).unwrap());
            assert!(read.gas_limit(0).is_none_or(|gas| gas > read.call().safe_tx_gas));
        }
    }
    let release = wallet.make().release;
    for (to, operation) in [
        (stranger(200), Operation::Call),
        (wallet.address(), Operation::Call),
        (release.factory.address, Operation::Call),
        (release.multi_send.address, Operation::DelegateCall),
        (stranger(200), Operation::DelegateCall),
    ] {
        let call = SafeCall {
            to,
            value: U256::ZERO,
            data: Bytes::copy_from_slice(data),
            operation,
            safe_tx_gas: 1,
            nonce: 0,
        };
        let Ok(actions) = read_actions(&call, wallet) else { continue };
        assert!(!actions.is_empty() && actions.len() <= action::CALLS_MAX);
        assert!(operation == Operation::Call || to == release.multi_send.address);
        let payees: Vec<&Payee> = actions
            .iter()
            .filter_map(|action| if let Action::Pay(payee) = action { Some(payee) } else { None })
            .collect();
        assert!(payees.iter().all(|payee| !payee.amount.is_zero() && !payee.to.is_zero()));
        if payees.len() == actions.len() {
            let calls: Vec<_> = payees.iter().map(|payee| payment_call(payee)).collect();
            let written = match operation {
                Operation::Call => calls[0].2.to_vec(),
                Operation::DelegateCall => multi_send(&calls),
            };
            assert_eq!(written, data, "a payment has two spellings");
        }
    }
}

pub(crate) fn calldata_seeds() -> Vec<Vec<u8>> {
    let data = |task| {
        let plan = UnsignedPlan { nonce: 7, safe_tx_gas: 9, task };
        Unsigned::build(hot(), &plan).unwrap().call().data.to_vec()
    };
    let deposits = Deposits::of(hot().wallet());
    let due = |asset, deploy| DepositDue {
        index: 3,
        asset,
        amount: Units::new(U256::from(9)),
        deploy,
        safe_tx_gas: 5,
    };
    vec![
        finished(hot().wallet(), 7, &[ether_to(1, 5), token_to(2, 6)]),
        data(Task::Pay(vec![token_to(1, 5)])),
        data(Task::Pay(vec![token_to(1, 5), ether_to(2, 7)])),
        data(Task::Empty {
            deposits: &deposits,
            hot: stranger(9),
            due: vec![due(token(), true), due(EvmAsset::Ether(CHAIN), false)],
        }),
        data(Task::Rotate(swap_of(hot(), KeyRole::Cosigner, stranger(77)).unwrap())),
        HEXLOWER.decode(b"08c379a0000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000000000000054753303236000000000000000000000000000000000000000000000000000000").unwrap(),
        HEXLOWER.decode(b"4e487b710000000000000000000000000000000000000000000000000000000000000011").unwrap(),
    ]
}

/// Proposals: one spelling; what is found good pays the payee and nobody else, for this Safe, chain and nonce.
pub(crate) fn proposal(data: &[u8]) {
    match Proposal::read(data) {
        Err(CheckError::Unreadable(no)) => told(&no),
        Err(no) => assert_eq!(no.code(), Code::CallNotAllowed),
        Ok(read) => assert_eq!(read.bytes(), data),
    }
    let payees = [token_to(1, 5), ether_to(2, 7)];
    if let Ok(checked) = check_proposal(data, hot(), &expecting(&payees)) {
        assert_eq!(checked.kind(), TransactionKind::Withdrawal);
        assert_eq!(checked.actions().len(), 2);
        assert!(
            checked.actions().iter().all(|action| payees.iter().any(|payee| *action == Action::Pay(*payee)))
        );
        assert!(checked.call().nonce == 7 && checked.signature().is_none());
    }
    if let Ok(checked) = check_proposal(data, hot(), &expecting(&[])) {
        let to = |action: &Action| matches!(action, Action::Pay(payee) if [stranger(250), stranger(251)].contains(&payee.to));
        assert!(checked.actions().iter().all(to), "an unpinned place is paid");
    }
}

pub(crate) fn proposal_seeds() -> Vec<Vec<u8>> {
    let built = |payees: &[Payee]| Unsigned::build(hot(), &plan(payees)).unwrap();
    let both = built(&[token_to(1, 5), ether_to(2, 7)]);
    let expected = [token_to(1, 5), ether_to(2, 7)];
    let checked = check_proposal(&both.proposal(), hot(), &expecting(&expected)).unwrap();
    let (compact, id) = sign(KeyRole::Cosigner, checked.hash());
    let signed = checked.verify(KeyRole::Cosigner, &compact, id).unwrap();
    vec![
        both.proposal(),
        built(&[ether_to(2, 7)]).proposal(),
        built(&[ether_to(250, 7)]).proposal(),
        checked.proposal_with(&signed).unwrap(),
    ]
}

/// Transactions: what is read is written the same, and its sender is found by another implementation, too.
pub(crate) fn transaction(data: &[u8]) {
    match execution::SignedTransaction::read(data) {
        Err(no) => told(&no),
        Ok(read) => {
            assert_eq!(read.hash, keccak256(data));
            assert!(!read.sender.is_zero());
        }
    }
}

pub(crate) fn transaction_seeds() -> Vec<Vec<u8>> {
    let vectors = include_str!("../../tests/vectors/ethereum/transactions.txt");
    let hex =
        vectors.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit("0x").next());
    hex.map(|hex| HEXLOWER.decode(hex.as_bytes()).unwrap()).collect()
}

/// Packed signatures: those that are read are sorted, low, owners', and recovered by k256 to the same accounts.
pub(crate) fn packed(data: &[u8]) {
    let hash = keccak256("packed");
    if let Ok(read) = PackedSignatures::read(data, hash, &owners()) {
        let joined: Vec<u8> = read.all().iter().flat_map(|one| *one.bytes()).collect();
        assert_eq!(joined, data);
        let by: Vec<Address> = read.all().iter().map(|one| owner(one.role())).collect();
        assert!(by.windows(2).all(|pair| pair[0] < pair[1]));
        for (one, owner) in read.all().iter().zip(by) {
            assert_eq!(recovered_by_k256(&hash, one.bytes()), Some(owner));
        }
    }
    if let Some(bytes) = data.first_chunk::<SIGNATURE_LEN>() {
        let ours = recover(&hash, bytes);
        assert!(ours.is_none() || ours == recovered_by_k256(&hash, bytes), "two implementations differ");
    }
}

fn recovered_by_k256(hash: &B256, bytes: &[u8; SIGNATURE_LEN]) -> Option<Address> {
    let signature = k256::ecdsa::Signature::from_slice(&bytes[..64]).ok()?;
    let id = k256::ecdsa::RecoveryId::from_byte(bytes[64].checked_sub(27)?)?;
    let key = k256::ecdsa::VerifyingKey::recover_from_prehash(hash.as_slice(), &signature, id).ok()?;
    Some(Address::from_word(keccak256(&key.to_sec1_point(false).as_bytes()[1..])))
}

pub(crate) fn packed_seeds() -> Vec<Vec<u8>> {
    let hash = keccak256("packed");
    let one = |role| {
        let (compact, id) = sign(role, hash);
        (owner(role), [compact.as_slice(), &[id + 27]].concat())
    };
    let mut all = KeyRole::ALL.map(one);
    all.sort();
    let [a, b, c] = all.map(|(_, bytes)| bytes);
    vec![a.clone(), [a.clone(), b.clone()].concat(), [b.clone(), a.clone()].concat(), [a, b, c].concat()]
}

/// Receipts: the first byte says how the rest is cut into logs. What is found paid says so in the right words, once.
pub(crate) fn receipt(data: &[u8]) {
    let hash = keccak256("receipt");
    let logs: Vec<Log> = data
        .chunks(84)
        .filter(|chunk| chunk.len() == 84)
        .map(|chunk| Log {
            address: Address::from_slice(&chunk[..20]),
            topics: vec![B256::from_slice(&chunk[20..52]), B256::from_slice(&chunk[52..84])],
            data: vec![0; 32],
        })
        .collect();
    let safe = stranger(1);
    let found = judge_receipt(&Receipt { succeeded: true, logs: logs.clone() }, safe, hash, &[]);
    let of_it = logs.iter().filter(|log| log.address == safe && log.topics[1] == hash).count();
    assert!(found == Verdict::Absent || of_it > 0);
    let paying =
        judge_receipt(&Receipt { succeeded: true, logs }, safe, hash, &[Action::Pay(token_to(3, 4))]);
    assert_ne!(paying, Verdict::Paid, "paid without the token's word");
}

pub(crate) fn receipt_seeds() -> Vec<Vec<u8>> {
    let log = |topic: &str| {
        [stranger(1).as_slice(), keccak256(topic).as_slice(), keccak256("receipt").as_slice()].concat()
    };
    let (yes, no) = (log("ExecutionSuccess(bytes32,uint256)"), log("ExecutionFailure(bytes32,uint256)"));
    vec![yes.clone(), no.clone(), [yes, no].concat()]
}

/// Typed data and proofs: the hash by alloy is the hash by hand, whatever is hashed; a proof holds for its message alone.
pub(crate) fn typed(data: &[u8]) {
    let mut words = data.chunks(32).map(|chunk| {
        let mut word = [0; 32];
        word[..chunk.len()].copy_from_slice(chunk);
        U256::from_be_bytes(word)
    });
    let mut next = || words.next().unwrap_or_default();
    let number = |word: U256| word.as_limbs()[0];
    let chain = ChainId::new(number(next())).unwrap_or(CHAIN);
    let safe = SafeWallet::adopt(
        chain,
        Make { release: &V1_5_0, ..make() },
        owners(),
        Address::from_word(next().into()),
    );
    let call = SafeCall {
        to: Address::from_word(next().into()),
        value: next(),
        operation: if next().bit(0) { Operation::DelegateCall } else { Operation::Call },
        safe_tx_gas: number(next()),
        nonce: number(next()),
        data: Bytes::copy_from_slice(data),
    };
    call.hash(&safe).expect("both computations agree");
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(verify_message(owner(KeyRole::Signer), "a message", text).is_err());
        if let Ok(call) = ownership_call("a message", text) {
            assert!(call.len() % 32 == 4);
        }
    }
}

pub(crate) fn typed_seeds() -> Vec<Vec<u8>> {
    let vectors = include_str!("../../tests/vectors/ethereum/messages.txt");
    let signatures =
        vectors.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').nth(1));
    signatures.map(|text| text.as_bytes().to_vec()).chain([vec![1; 300]]).collect()
}
