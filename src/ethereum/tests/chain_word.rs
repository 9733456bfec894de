//! What the chain answers: receipts and reasons.

use alloy_primitives::keccak256;
use alloy_sol_types::{SolCall, SolValue};

use super::super::abi::execTransactionCall;
use super::super::receipt::Log;
use super::*;

fn hash() -> B256 {
    B256::repeat_byte(3)
}

fn event(by: Address, name: &str, hash: B256) -> Log {
    Log { address: by, topics: vec![keccak256(format!("{name}(bytes32,uint256)")), hash], data: vec![0; 32] }
}

fn moved(token: Address, from: Address, to: Address, units: u64) -> Log {
    let topics = vec![keccak256("Transfer(address,address,uint256)"), from.into_word(), to.into_word()];
    Log { address: token, topics, data: U256::from(units).to_be_bytes::<32>().to_vec() }
}

fn told(logs: Vec<Log>, actions: &[Action]) -> Verdict {
    judge_receipt(&Receipt { succeeded: true, logs }, wallet(0).address(), hash(), actions)
}

#[test]
fn paid_is_the_safes_own_word_for_our_hash() {
    let safe = wallet(0).address();
    let pay = [Action::Pay(ether_to(1, 900))];
    let yes = event(safe, "ExecutionSuccess", hash());
    let no = event(safe, "ExecutionFailure", hash());
    assert_eq!(told(vec![yes.clone()], &pay), Verdict::Paid);
    assert_eq!(told(vec![no.clone()], &pay), Verdict::Reverted);
    assert_eq!(told(vec![], &pay), Verdict::Absent);
    assert_eq!(told(vec![event(safe, "ExecutionSuccess", B256::ZERO)], &pay), Verdict::Absent);
    assert_eq!(
        told(vec![event(stranger(1), "ExecutionSuccess", hash())], &pay),
        Verdict::Absent,
        "another's word"
    );
    assert_eq!(told(vec![yes.clone(), no], &pay), Verdict::Contradiction);
    assert_eq!(told(vec![yes.clone(), yes.clone()], &pay), Verdict::Contradiction);
    let failed = Receipt { succeeded: false, logs: vec![yes] };
    assert_eq!(judge_receipt(&failed, safe, hash(), &pay), Verdict::Absent);
}

#[test]
fn a_token_is_paid_when_its_contract_moved_exactly_that_much_once_for_each() {
    let (safe, token) = (wallet(0).address(), token().contract().unwrap());
    let yes = || event(safe, "ExecutionSuccess", hash());
    let payee = token_to(2, 800);
    let pay = [Action::Pay(payee)];
    assert_eq!(told(vec![moved(token, safe, payee.to, 800), yes()], &pay), Verdict::Paid);
    let not = Verdict::NotAsAsked(payee);
    assert_eq!(told(vec![yes()], &pay), not, "a token that returns false");
    assert_eq!(told(vec![moved(token, safe, payee.to, 799), yes()], &pay), not, "a token that takes a fee");
    assert_eq!(told(vec![moved(stranger(9), safe, payee.to, 800), yes()], &pay), not, "another token");
    assert_eq!(told(vec![moved(token, stranger(9), payee.to, 800), yes()], &pay), not, "another's money");
    assert_eq!(told(vec![moved(token, safe, stranger(9), 800), yes()], &pay), not);
    let twice = [Action::Pay(payee), Action::Pay(payee)];
    assert_eq!(told(vec![moved(token, safe, payee.to, 800), yes()], &twice), not, "one log for two payments");
    let mut dirty = moved(token, safe, payee.to, 800);
    dirty.data.push(0);
    assert_eq!(told(vec![dirty, yes()], &pay), not);
}

#[test]
fn each_deposit_tells_itself_whether_it_paid() {
    let (safe, token) = (wallet(0).address(), token().contract().unwrap());
    let deposits = Deposits::of(&wallet(0));
    let nested = |index, payee| Action::Nested { safe: deposits.address(index), payee, safe_tx_gas: 1 };
    let actions = [nested(1, ether_to(9, 5)), nested(1, token_to(9, 6)), nested(2, token_to(9, 7))];
    let own = |index: u64, name: &str| event(deposits.address(index), name, B256::repeat_byte(index as u8));
    let all = |second: &str| {
        vec![
            own(1, "ExecutionSuccess"),
            moved(token, deposits.address(1), stranger(9), 6),
            own(1, second),
            moved(token, deposits.address(2), stranger(9), 7),
            own(2, "ExecutionSuccess"),
            event(safe, "ExecutionSuccess", hash()),
        ]
    };
    assert_eq!(told(all("ExecutionSuccess"), &actions), Verdict::Paid);
    assert_eq!(told(all("ExecutionFailure"), &actions), Verdict::DepositLeft(deposits.address(1)));
    let without: Vec<Log> = all("ExecutionSuccess").into_iter().filter(|log| log.address != token).collect();
    assert_eq!(told(without, &actions), Verdict::NotAsAsked(token_to(9, 6)));
}

#[test]
fn a_revert_is_told_in_words() {
    use alloy_sol_types::{Panic, Revert as Text, SolError};
    let text = |text: &str| Revert::read(&Text::from(text.to_owned()).abi_encode());
    assert_eq!(text("GS026").to_string(), "GS026: not an owner, or signatures not in order");
    assert_eq!(text("GS026").safe_code(), Some("GS026"));
    assert_eq!(text("GS999").to_string(), "`GS999`");
    assert_eq!(text("no\nmoney").to_string(), "`no�money`");
    assert!(text(&"x".repeat(5_000)).to_string().len() < 250);
    let panic = Panic { code: U256::from(0x11) }.abi_encode();
    assert_eq!(Revert::read(&panic).to_string(), "panic 0x11: arithmetic overflow");
    assert_eq!(Revert::read(&[]).to_string(), "no reason was given");
    assert_eq!(Revert::read(&[1, 2, 3, 4, 5]).to_string(), "an error of its own, 0x01020304");
    assert_eq!(Revert::read(&[1]), Revert::Silent);
    let mut cut = Text::from("GS026".to_owned()).abi_encode();
    cut.truncate(60);
    assert_eq!(Revert::read(&cut), Revert::Other([0x08, 0xc3, 0x79, 0xa0]));
}

/// A signed payment of this wallet's, as it is sent to it, and its hash.
fn sent(nonce: u64, payees: &[Payee]) -> (B256, Vec<u8>) {
    let plan = UnsignedPlan { nonce, ..plan(payees) };
    let unsigned = Unsigned::build(&trusted(&wallet(0), nonce), &plan).unwrap();
    let call = unsigned.call().clone();
    (call.hash(&wallet(0)).unwrap(), super::super::build::execution(&call, vec![7; 130]))
}

fn verdicts(logs: Vec<Log>, input: &[u8], nonce: u64) -> Vec<Option<Verdict>> {
    let told = witness(&Receipt { succeeded: true, logs }, input, &wallet(0), nonce);
    told.into_iter().map(|told| told.verdict).collect()
}

#[test]
fn whoever_built_nothing_tells_what_was_paid_by_the_hash_alone_wherever_the_call_stands() {
    let (safe, token) = (wallet(0).address(), token().contract().unwrap());
    let payee = token_to(2, 800);
    let (hash, input) = sent(4, &[payee]);
    let paid = || vec![moved(token, safe, payee.to, 800), event(safe, "ExecutionSuccess", hash)];
    assert_eq!(verdicts(paid(), &input, 4), [Some(Verdict::Paid)]);
    let wrapped = [&b"something else is called first"[..], &input, &[9; 40]].concat();
    assert_eq!(verdicts(paid(), &wrapped, 4), [Some(Verdict::Paid)]);
    let lied = vec![event(safe, "ExecutionSuccess", hash)];
    assert_eq!(verdicts(lied, &input, 4), [Some(Verdict::NotAsAsked(payee))]);
    assert_eq!(verdicts(paid(), &input, 5), [None], "another nonce, another hash");
    assert_eq!(verdicts(paid(), b"", 4), [None], "nobody can tell what was done");
    assert_eq!(verdicts(paid(), &sent(4, &[token_to(2, 801)]).1, 4), [None], "another payment");
    let failed = vec![event(safe, "ExecutionFailure", hash)];
    assert_eq!(verdicts(failed, b"", 4), [Some(Verdict::Reverted)]);
    assert!(verdicts(vec![event(stranger(3), "ExecutionSuccess", hash)], &input, 4).is_empty());
    let reverted = Receipt { succeeded: false, logs: paid() };
    assert!(witness(&reverted, &input, &wallet(0), 4).is_empty());
}

/// What a Safe that tells says of a call before it executes it.
fn spoken(call: &[u8]) -> Log {
    let name = "SafeMultiSigTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes,bytes)";
    let execution = execTransactionCall::abi_decode(call).unwrap();
    let execTransactionCall { to, value, data, operation, safeTxGas: gas, .. } = execution;
    let nobody = Address::ZERO;
    let told = (
        to,
        value,
        data,
        U256::from(operation),
        gas,
        U256::ZERO,
        U256::ZERO,
        nobody,
        nobody,
        Bytes::new(),
        Bytes::new(),
    );
    Log { address: wallet(0).address(), topics: vec![keccak256(name)], data: told.abi_encode_params() }
}

#[test]
fn a_safe_that_tells_is_read_where_the_call_is_hidden_from_the_data_and_nobody_else_speaks_for_it() {
    let (safe, token) = (wallet(0).address(), token().contract().unwrap());
    let payee = token_to(2, 800);
    let (hash, input) = sent(4, &[payee]);
    let with =
        |word: Log| vec![word, moved(token, safe, payee.to, 800), event(safe, "ExecutionSuccess", hash)];
    assert_eq!(verdicts(with(spoken(&input)), b"", 4), [Some(Verdict::Paid)]);
    let lied = vec![spoken(&input), event(safe, "ExecutionSuccess", hash)];
    assert_eq!(verdicts(lied, b"", 4), [Some(Verdict::NotAsAsked(payee))]);
    assert_eq!(verdicts(with(Log { address: stranger(3), ..spoken(&input) }), b"", 4), [None]);
    assert_eq!(verdicts(with(spoken(&sent(4, &[token_to(2, 801)]).1)), b"", 4), [None], "another payment");
    assert_eq!(verdicts(with(spoken(&input)), b"", 5), [None], "another nonce");
    let mut cut = spoken(&input);
    cut.data.truncate(200);
    assert_eq!(verdicts(with(cut), b"", 4), [None]);
}

#[test]
fn one_movement_pays_for_one_execution_though_two_stand_in_one_transaction() {
    let (safe, token) = (wallet(0).address(), token().contract().unwrap());
    let payee = token_to(2, 800);
    let (one, two) = (sent(4, &[payee]), sent(5, &[payee]));
    let input = [one.1.as_slice(), &two.1].concat();
    let ended = |hash| event(safe, "ExecutionSuccess", hash);
    let movement = || moved(token, safe, payee.to, 800);
    let both = vec![movement(), ended(one.0), movement(), ended(two.0)];
    assert_eq!(verdicts(both, &input, 4), [Some(Verdict::Paid), Some(Verdict::Paid)]);
    let once = vec![movement(), ended(one.0), ended(two.0)];
    assert_eq!(verdicts(once, &input, 4), [Some(Verdict::Paid), Some(Verdict::NotAsAsked(payee))]);
}
