//! The words of the door: counting, settings, strict answers, splitting questions, following a chain.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answering;

use alloy_primitives::{Address, B256};
use rustls::RootCertStore;
use zeroize::Zeroizing;

use super::block::RawBlock;
use super::fuzzing::last;
use super::hex::{Data, Quantity};
use super::json::{self, RpcError};
use super::said::Tally;
use super::send::SendWord;
use super::transfers::Part;
use super::*;
use crate::ethereum::ChainId;
use crate::withdrawal::Code;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn count(quorum: usize, words: &[(&str, Result<u8, EndpointFault>)]) -> Result<Agreed<u8>, NotAgreed> {
    let mut tally = Tally::new("a number", quorum);
    for (by, word) in words {
        tally.hear(name(by), word.clone());
    }
    tally.close()
}

#[test]
fn only_as_many_equal_words_as_the_quorum_make_a_fact_and_who_spoke_otherwise_is_named() {
    let agreed = count(2, &[("a", Ok(1)), ("liar", Ok(2)), ("b", Ok(1))]).unwrap();
    assert_eq!(
        (*agreed.value(), agreed.by(), agreed.against()),
        (1, &[name("a"), name("b")][..], &[name("liar")][..])
    );
    let no = count(2, &[("a", Ok(1)), ("b", Ok(2)), ("c", Err(EndpointFault::Late))]).unwrap_err();
    assert_eq!((no.code(), no.voices.len()), (Code::NodesNotAgreed, 3));
    assert_eq!(
        no.to_string(),
        "2 nodes do not agree on a number; `a` said something of its own; `b` said something of its own; \
         `c`: it does not answer in time"
    );
}

fn settings(urls: &[&str], quorum: usize, depth: u64) -> Result<Settings, crate::withdrawal::Invalid> {
    let places = urls.iter().enumerate().map(|(at, url)| Place::new(name(&format!("n{at}")), url, None));
    let places = places.collect::<Result<Vec<_>, _>>()?;
    let finality = Finality { tag: Some(Tag::Finalized), depth };
    let roots = RootCertStore::empty();
    Settings::new(ChainId::MAINNET, (places, quorum), finality, Bounds::default(), roots)
}

#[test]
fn no_settings_let_one_node_be_believed_alone() {
    let (a, b, c) = ("https://a.example", "https://b.example/key", "http://10.0.0.1:8545");
    assert!(settings(&[a, b], 2, 1).is_ok() && settings(&[a, b, c], 2, 1).is_ok());
    let no = |urls: &[&str], quorum, depth| settings(urls, quorum, depth).err().map(|no| no.field);
    assert_eq!(no(&[a], 1, 1), Some("nodes.quorum"));
    assert_eq!(no(&[a, b, c], 1, 1), Some("nodes.quorum"));
    assert_eq!(no(&[a, b, c, "https://d.example"], 2, 1), Some("nodes.quorum"), "half is no majority");
    assert_eq!(no(&[a, b], 3, 1), Some("nodes.quorum"));
    assert_eq!(no(&[a, a, b], 2, 1), Some("nodes"), "one node counted twice");
    assert_eq!(no(&[a, b], 2, 0), Some("nodes.depth"));
    for url in
        ["http://a.example", "http://8.8.8.8", "ftp://a", "https://u:p@a", "https://a\n", "https:/a", ""]
    {
        assert_eq!(no(&[a, url], 2, 1), Some("nodes.url"), "{url}");
    }
    let token = Some(Zeroizing::new("two lines\n".to_owned()));
    assert_eq!(Place::new(name("a"), a, token).err().map(|no| no.field), Some("nodes.bearer"));
    assert!(Name::parse("Has Blanks").is_err());
}

#[test]
fn an_answer_is_ours_and_is_either_a_result_or_an_error() {
    let read = |body: &str| {
        json::read::<Quantity>(body.as_bytes(), 1).map(|answer| answer.map(|it| it.map(|n| n.0.to())))
    };
    assert_eq!(read(r#"{"jsonrpc":"2.0","id":1,"result":"0x10"}"#), Ok(Ok(Some(16_u64))));
    assert_eq!(read(r#"{"jsonrpc":"2.0","id":1,"result":null,"more":[1]}"#), Ok(Ok(None)));
    for body in [
        r#"{"jsonrpc":"2.0","id":2,"result":"0x10"}"#,
        r#"{"jsonrpc":"1.0","id":1,"result":"0x10"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":"0x10","error":{"code":1,"message":""}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":"0x1","result":"0x2"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":"0x010"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":16}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":"0x10"} x"#,
        r#"[{"jsonrpc":"2.0","id":1,"result":"0x10"}]"#,
        r#"["2.0",1,"0x10",null]"#,
        r#"{"jsonrpc":"2.0","id":1,"error":[1,"no",null]}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":"0x10","more":"\ud800"}"#,
        "",
    ] {
        assert!(matches!(read(body), Err(EndpointFault::Malformed(_))), "{body}");
    }
    let no_text =
        [br#"{"jsonrpc":"2.0","id":1,"result":"0x10","more":""#.as_slice(), &[0xff], br#""}"#].concat();
    assert!(json::read::<Quantity>(&no_text, 1).is_err(), "not UTF-8, in a member that nobody reads");
    let deep =
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":"0x1","x":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    assert_eq!(read(&deep), Err(EndpointFault::Malformed("it is nested too deep")));
    let refused = read(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no\nway"}}"#).unwrap();
    assert_eq!(refused.unwrap_err().message, "no�way");
}

#[test]
fn what_stands_in_an_answer_is_read_by_its_names_and_never_by_its_place() {
    let block = |result: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        json::read::<RawBlock>(body.as_bytes(), 1).is_ok()
    };
    let word = B256::ZERO;
    assert!(block(&format!(r#"{{"number":"0x1","hash":"{word}","parentHash":"{word}","timestamp":"0x2"}}"#)));
    assert!(!block(&format!(r#"["0x1","{word}","{word}","0x2",null]"#)));
}

#[test]
fn numbers_and_bytes_have_one_spelling_and_a_bound() {
    let number = |text: &str| Quantity::try_from(text.to_owned()).is_ok();
    assert!(number("0x0") && number(&format!("0x{}", "f".repeat(64))));
    for text in
        ["", "0x", "0", "0x00", "0x01", "-0x1", "0x+1", "0xg", "0X1", &format!("0x1{}", "0".repeat(64))]
    {
        assert!(!number(text), "{text}");
    }
    assert!(Data::try_from("0x0".to_owned()).is_err() && Data::try_from("00".to_owned()).is_err());
    assert!(Data::try_from(format!("0x{}", "00".repeat(600 * 1024))).is_err());
}

#[test]
fn what_a_contract_returns_has_one_spelling() {
    use super::abi::{getModulesPaginatedCall, getOwnersCall, read_return};
    let word = |number: u8| B256::with_last_byte(number).to_vec();
    let owners = [word(32), word(1), word(85)].concat();
    assert_eq!(read_return::<getOwnersCall>(&owners), Some(vec![Address::with_last_byte(85)]));
    assert!(read_return::<getOwnersCall>(&[owners.clone(), word(0)].concat()).is_none());
    // as a page of modules: the list begins within the two words that come first
    assert!(read_return::<getModulesPaginatedCall>(&owners).is_none());
}

#[test]
fn what_nodes_say_to_a_transaction_is_one_of_a_few_words() {
    let word =
        |message: &str| SendWord::of(&RpcError { code: -32000, message: message.to_owned(), data: None });
    for (text, meant) in [
        ("nonce too low: next nonce 5, tx nonce 4", SendWord::NonceTooLow),
        ("OldNonce", SendWord::NonceTooLow),
        ("nonce too high", SendWord::NonceTooHigh),
        ("replacement transaction underpriced", SendWord::ReplacementUnderpriced),
        ("Replacement transaction underpriced", SendWord::ReplacementUnderpriced),
        ("transaction underpriced: gas tip cap 0", SendWord::FeeTooLow),
        ("max fee per gas less than block base fee", SendWord::FeeTooLow),
        ("already known", SendWord::AlreadyKnown),
        ("insufficient funds for gas * price + value", SendWord::InsufficientFunds),
        ("out of cheese", SendWord::Refused("out of cheese".to_owned())),
    ] {
        assert_eq!(word(text), meant, "{text}");
    }
}

#[test]
fn a_question_that_is_too_large_falls_into_two_that_cover_the_same() {
    let accounts = vec![Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3)];
    let part = Part { tokens: [Address::ZERO].into(), accounts, first: 5, last: 8 };
    let (left, right) = part.halves().unwrap();
    assert_eq!((left.first, left.last, right.first, right.last), (5, 6, 7, 8));
    let (one, _) = left.halves().unwrap();
    assert_eq!((one.first, one.last), (5, 5));
    let (some, others) = one.halves().unwrap();
    assert_eq!([some.accounts, others.accounts.clone()].concat(), part.accounts);
    let smallest = Part { accounts: vec![Address::ZERO], ..others };
    assert!(smallest.halves().is_none(), "the smallest ends it");
}

#[test]
fn a_trail_takes_only_the_block_after_its_newest() {
    let block = |number, hash, parent| Block {
        number,
        hash: B256::repeat_byte(hash),
        parent: B256::repeat_byte(parent),
        ..last()
    };
    let mut trail = Trail::resume(vec![block(1, 1, 0), block(2, 2, 1)], 3).unwrap();
    assert!(!trail.add(block(4, 4, 2)) && !trail.add(block(3, 3, 9)) && trail.add(block(3, 3, 2)));
    assert!(trail.add(block(4, 4, 3)));
    assert_eq!(trail.blocks().map(|block| block.number).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(Trail::resume(vec![block(1, 1, 0), block(3, 3, 1)], 3), Err(TrailFault::Broken));
    assert_eq!(Trail::resume(vec![], 3), Err(TrailFault::Broken));
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_left_alone_for_a_while() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let urls = [format!("http://127.0.0.1:{port}/a"), format!("http://127.0.0.1:{port}/b")];
    let nodes = Nodes::new(settings(&[&urls[0], &urls[1]], 2, 1).unwrap()).unwrap();
    let faults = |no: NotAgreed| no.voices.into_iter().map(|(_, voice)| voice).collect::<Vec<_>>();
    let first = faults(nodes.latest().await.unwrap_err());
    assert_eq!(first, vec![Voice::Silent(EndpointFault::Unreachable); 2]);
    let second = faults(nodes.latest().await.unwrap_err());
    assert_eq!(second, vec![Voice::Silent(EndpointFault::Resting); 2]);
}
