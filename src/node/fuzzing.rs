//! Owns the laws of what nodes answer: our own id, one result or one error, numbers within bounds, nothing that nobody asked for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use alloy_primitives::{Address, B256, U256, keccak256};
use serde_json::Value;

use super::abi::{getModulesPaginatedCall, getOwnersCall, read_return};
use super::block::{Block, RawBlock};
use super::call::revert;
use super::executions::Wanted;
use super::fault::EndpointFault;
use super::fees::RawHistory;
use super::hex::{Data, Quantity, Word};
use super::history::{self, RawTransaction};
use super::json::{RpcError, read};
use super::receipt::RawReceipt;
use super::send::SendWord;
use super::transfers::{Part, RawLog, in_order};

/// What the questions were about; the seeds answer them.
const ID: u64 = 7;
const TRANSACTION: B256 = B256::repeat_byte(0x22);
const BLOCK_HASH: B256 = B256::repeat_byte(0x33);
const TOKEN: Address = Address::repeat_byte(0x44);
const HOLDER: Address = Address::repeat_byte(0x55);

pub(crate) fn last() -> Block {
    Block { number: 20, hash: BLOCK_HASH, parent: B256::ZERO, time_s: 1, base_fee: None }
}

fn part() -> Part {
    Part { tokens: [TOKEN].into(), accounts: vec![HOLDER], first: 10, last: 20 }
}

/// Answers of a node, one reader after the other.
pub(crate) fn answers(data: &[u8]) {
    let Ok(parsed) = serde_json::from_slice::<Value>(data) else { return unread(data) };
    let result = |name: &str| parsed["result"][name].clone();
    let ours = |read_at_all: bool| {
        let ours = parsed["jsonrpc"] == "2.0" && parsed["id"] == ID;
        assert!(!read_at_all || ours, "another question's answer was taken");
    };
    if let Ok(answer) = read::<Quantity>(data, ID) {
        ours(true);
        match answer {
            Ok(Some(number)) => assert_eq!(spelled(number.0), lower(&parsed["result"])),
            Ok(None) => assert!(parsed["result"].is_null()),
            Err(no) => error(&no),
        }
    }
    if let Ok(Ok(Some(bytes))) = read::<Data>(data, ID) {
        let text = format!("0x{}", data_encoding::HEXLOWER.encode(&bytes.0));
        assert_eq!(text, lower(&parsed["result"]));
        returned(&bytes.0);
    }
    if let Ok(Ok(Some(raw))) = read::<RawBlock>(data, ID)
        && let Ok(block) = raw.read()
    {
        assert_eq!(spelled(U256::from(block.number)), lower(&result("number")));
        assert_eq!(block.hash.to_string(), lower(&result("hash")));
        assert_eq!(block.parent.to_string(), lower(&result("parentHash")));
    }
    if let Ok(Ok(Some(raw))) = read::<RawReceipt>(data, ID)
        && let Ok(found) = raw.read(TRANSACTION)
    {
        assert_eq!(lower(&result("transactionHash")), TRANSACTION.to_string());
        assert_eq!(found.receipt.succeeded, result("status") == "0x1");
        assert!(found.receipt.succeeded || result("status") == "0x0");
        assert_eq!(found.receipt.logs.len(), result("logs").as_array().unwrap().len());
        for log in result("logs").as_array().unwrap() {
            assert_eq!(lower(&log["blockHash"]), found.block_hash.to_string());
            assert_eq!(lower(&log["transactionHash"]), TRANSACTION.to_string());
        }
    }
    if let Ok(Ok(Some(raw))) = read::<RawHistory>(data, ID)
        && let Ok((base, _)) = raw.read(20)
    {
        let fees = result("baseFeePerGas");
        assert_eq!(spelled(U256::from(base)), lower(fees.as_array().unwrap().last().unwrap()));
    }
    transfers(data, &parsed);
    executions(data);
    history_of(data);
    if let Ok(Ok(Some(raw))) = read::<RawTransaction>(data, ID)
        && let Ok(input) = raw.read(TRANSACTION)
    {
        assert_eq!(lower(&result("hash")), TRANSACTION.to_string());
        assert_eq!(lower(&result("input")), format!("0x{}", data_encoding::HEXLOWER.encode(&input)));
    }
    let _ = read::<Word>(data, ID);
}

/// What the second reader cannot read, no reader takes.
fn unread(data: &[u8]) {
    let taken = read::<Quantity>(data, ID).is_ok()
        || read::<Data>(data, ID).is_ok()
        || read::<RawBlock>(data, ID).is_ok()
        || read::<RawReceipt>(data, ID).is_ok()
        || read::<RawHistory>(data, ID).is_ok()
        || read::<Vec<RawLog>>(data, ID).is_ok();
    assert!(!taken, "an answer was taken that is no JSON");
}

fn transfers(data: &[u8], parsed: &Value) {
    let Ok(Ok(Some(raw))) = read::<Vec<RawLog>>(data, ID) else { return };
    let Ok(found) = part().read(raw) else { return };
    let Ok(found) = in_order(found, &last()) else { return };
    assert!(found.len() <= parsed["result"].as_array().unwrap().len());
    for log in &found {
        assert!(log.token == TOKEN && log.to == HOLDER && (10..=20).contains(&log.block));
        assert!(log.block != 20 || log.block_hash == BLOCK_HASH);
    }
    let places: Vec<_> = found.iter().map(|log| (log.block, log.log_index)).collect();
    assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "a log counts twice");
}

/// An execution is the Safe's own word on the hash that was asked about, within the blocks that were asked about.
fn executions(data: &[u8]) {
    let Ok(Ok(Some(raw))) = read::<Vec<RawLog>>(data, ID) else { return };
    let Ok(found) = (Wanted { safe: TOKEN, hash: TRANSACTION }).read(raw, (10, 20)) else { return };
    let text = String::from_utf8_lossy(data).to_ascii_lowercase();
    assert!(found.iter().all(|one| (10..=20).contains(&one.block)));
    let named = |word: String| text.contains(&word.to_ascii_lowercase()[2..]);
    assert!(found.is_empty() || (named(TOKEN.to_string()) && named(TRANSACTION.to_string())));
}

/// An execution is the Safe's own word, within the blocks that were asked about, and each counts once.
fn history_of(data: &[u8]) {
    let Ok(Ok(Some(raw))) = read::<Vec<RawLog>>(data, ID) else { return };
    let Ok(found) = (history::Wanted { safe: TOKEN, first: 10, last: 20 }).read(raw) else { return };
    let Ok(found) = history::in_order(found, &last()) else { return };
    let text = String::from_utf8_lossy(data).to_ascii_lowercase();
    let named = |word: String| text.contains(&word.to_ascii_lowercase()[2..]);
    assert!(found.iter().all(|log| (10..=20).contains(&log.block) && named(log.safe_tx_hash.to_string())));
    assert!(found.is_empty() || named(TOKEN.to_string()));
    let places: Vec<_> = found.iter().map(|log| (log.block, log.log_index)).collect();
    assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "a log counts twice");
}

/// What a contract's answer is taken for is written back the same.
fn returned(bytes: &[u8]) {
    use alloy_sol_types::SolCall;
    if let Some(owners) = read_return::<getOwnersCall>(bytes) {
        assert!(owners.len() <= bytes.len() / 32);
        assert_eq!(getOwnersCall::abi_encode_returns(&owners), bytes);
    }
    if let Some(page) = read_return::<getModulesPaginatedCall>(bytes) {
        assert_eq!(getModulesPaginatedCall::abi_encode_returns(&page), bytes);
    }
}

fn error(no: &RpcError) {
    assert!(no.message.chars().count() <= 200 && !no.message.chars().any(char::is_control));
    if let Some(reason) = revert(no) {
        assert!(!reason.to_string().is_empty());
    }
    if let SendWord::Refused(text) = SendWord::of(no) {
        assert_eq!(text, no.message);
    }
    assert!(!EndpointFault::from(no.clone()).to_string().contains('\n'));
}

fn spelled(number: U256) -> String {
    format!("0x{number:x}")
}

fn lower(value: &Value) -> String {
    value.as_str().unwrap().to_ascii_lowercase()
}

pub(crate) fn answer_seeds() -> Vec<Vec<u8>> {
    let block = BLOCK_HASH;
    let topic = keccak256("Transfer(address,address,uint256)");
    let (from, to) = (HOLDER.into_word(), HOLDER.into_word());
    let amount = B256::from(U256::from(5));
    let log = format!(
        r#"{{"address":"{TOKEN}","topics":["{topic}","{from}","{to}"],"data":"{amount}","blockNumber":"0x14","blockHash":"{block}","transactionHash":"{TRANSACTION}","transactionIndex":"0x0","logIndex":"0x1","removed":false}}"#
    );
    let event = keccak256("ExecutionFailure(bytes32,uint256)");
    let executed = format!(
        r#"{{"address":"{TOKEN}","topics":["{event}","{TRANSACTION}"],"data":"{amount}","blockNumber":"0x14","blockHash":"{block}","transactionHash":"{block}","transactionIndex":"0x0","logIndex":"0x1"}}"#
    );
    let owners = format!("0x{:064x}{:064x}{}", 32, 1, &to.to_string()[2..]);
    let page = format!("0x{:064x}{:064x}{:064x}", 64, 1, 0);
    let results = [
        r#""0x7a69""#.to_owned(),
        "null".to_owned(),
        r#""0x""#.to_owned(),
        format!(r#""{owners}""#),
        format!(r#""{page}""#),
        format!(
            r#"{{"number":"0x14","hash":"{block}","parentHash":"{TRANSACTION}","timestamp":"0x65","baseFeePerGas":"0x3b9aca00","transactions":["{TRANSACTION}"]}}"#
        ),
        format!(
            r#"{{"transactionHash":"{TRANSACTION}","blockHash":"{block}","blockNumber":"0x14","from":"{TOKEN}","to":"{HOLDER}","status":"0x1","gasUsed":"0x5208","effectiveGasPrice":"0x1","type":"0x2","logs":[{log}]}}"#
        ),
        format!("[{log}]"),
        format!("[{executed}]"),
        format!(r#"{{"hash":"{TRANSACTION}","input":"0x6a761202","nonce":"0x1","to":"{TOKEN}"}}"#),
        r#"{"oldestBlock":"0x13","baseFeePerGas":["0x1","0x2","0x3"],"gasUsedRatio":[0.5,0.25],"reward":[["0x1"],["0x0"]]}"#.to_owned(),
    ];
    let errors = [
        r#"{"code":3,"message":"execution reverted: GS020","data":"0x08c379a0000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000000000000054753303230000000000000000000000000000000000000000000000000000000"}"#,
        r#"{"code":-32000,"message":"replacement transaction underpriced"}"#,
        r#"{"code":-32015,"message":"VM execution error.","data":"Reverted 0x"}"#,
        r#"{"code":-32000,"message":"revert","data":{"result":"0x"}}"#,
    ];
    let results = results.iter().map(|result| format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#));
    let errors = errors.iter().map(|error| format!(r#"{{"jsonrpc":"2.0","id":7,"error":{error}}}"#));
    results.chain(errors).map(String::into_bytes).collect()
}
