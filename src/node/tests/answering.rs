//! An endpoint over its line: what is its break, and what is only our own queue, a hiccup, or another kind of no.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep};

use super::*;
use crate::node::endpoint::Endpoint;

/// A node that answers the questions it is asked, counted from zero; where it stands.
async fn node<Answer>(answer: impl Fn(usize, Value) -> Answer + Clone + Send + Sync + 'static) -> String
where
    Answer: Future<Output = Result<Value, StatusCode>> + Send + 'static,
{
    let asked = Arc::new(AtomicUsize::new(0));
    let handler = move |body: String| {
        let question: Value = serde_json::from_str(&body).unwrap();
        let id = question["id"].clone();
        let said = answer(asked.fetch_add(1, Ordering::Relaxed), question);
        async move {
            let mut said = said.await?;
            said["jsonrpc"] = json!("2.0");
            said["id"] = id;
            Ok::<_, StatusCode>(said.to_string())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(handler))).await });
    url
}

fn endpoint(url: &str, bounds: Bounds) -> Endpoint {
    let place = Place::new(name("node"), url, None).unwrap();
    Endpoint::new(ChainId::MAINNET, &place, bounds, RootCertStore::empty()).unwrap()
}

#[tokio::test]
async fn calls_that_were_under_way_together_tell_of_one_break() {
    let many = Bounds::default().at_once_max;
    let all_here = Arc::new(Barrier::new(many));
    let url = node(move |_, _| {
        let all_here = Arc::clone(&all_here);
        async move {
            all_here.wait().await;
            Err(StatusCode::BAD_GATEWAY)
        }
    })
    .await;
    let endpoint = endpoint(&url, Bounds::default());
    let ask = || join_all((0..many).map(|_| endpoint.ask::<Quantity>("eth_blockNumber", json!([]))));
    let (broken, resting) = (EndpointFault::Status(502), EndpointFault::Resting);
    assert!(ask().await.into_iter().all(|said| said.err().as_ref() == Some(&broken)));
    // far less than the rest of sixteen breaks
    let until = Instant::now() + Duration::from_secs(5);
    let mut said = ask().await;
    while said.iter().any(|said| said.as_ref().err() == Some(&resting)) {
        assert!(Instant::now() < until, "one break was counted as many");
        sleep(Duration::from_millis(20)).await;
        said = ask().await;
    }
    assert!(said.into_iter().all(|said| said.err().as_ref() == Some(&broken)));
}

#[tokio::test]
async fn waiting_in_our_own_queue_is_no_fault_of_the_endpoint() {
    let url = node(|asked, _| async move {
        if asked > 0 {
            sleep(Duration::from_secs(1)).await;
        }
        Ok(json!({"result": "0x1"}))
    })
    .await;
    let bounds = Bounds { time: Duration::from_millis(1_500), at_once_max: 1, ..Bounds::default() };
    let endpoint = endpoint(&url, bounds);
    let ask = || endpoint.ask::<Quantity>("eth_blockNumber", json!([]));
    assert!(endpoint.ask_or_none::<Quantity>("eth_chainId", json!([])).await.is_ok());
    let (first, second, third) = tokio::join!(ask(), ask(), ask());
    assert!(first.is_ok(), "{:?}", first.err());
    assert!(second.is_ok(), "it had its whole time once it was sent: {:?}", second.err());
    assert_eq!(third.err(), Some(EndpointFault::Busy));
    assert!(ask().await.is_ok(), "nothing was broken");
}

#[tokio::test]
async fn only_another_number_is_another_chain() {
    for hiccup in [json!(null), json!("0x10000000000000000")] {
        let url = node(move |asked, _| {
            let first = hiccup.clone();
            async move { Ok(json!({"result": if asked == 0 { first } else { json!("0x1") }})) }
        })
        .await;
        let endpoint = endpoint(&url, Bounds::default());
        let ask = || endpoint.ask::<Quantity>("eth_blockNumber", json!([]));
        assert!(matches!(ask().await.err(), Some(EndpointFault::Malformed(_))));
        assert!(ask().await.is_ok(), "it says later what it serves");
    }
    let url = node(|asked, _| async move { Ok(json!({"result": if asked == 0 { "0x2" } else { "0x1" }})) });
    let endpoint = endpoint(&url.await, Bounds::default());
    for _ in 0..2 {
        let said = endpoint.ask::<Quantity>("eth_blockNumber", json!([])).await;
        assert_eq!(said.err(), Some(EndpointFault::WrongChain));
    }
}

/// What is final before two nodes that refuse the tag in these words.
async fn last_final(code: i64, message: &'static str) -> Result<u64, NotAgreed> {
    let answer = move |_, question: Value| async move {
        let block = |number: &str| {
            let hash = B256::repeat_byte(7).to_string();
            json!({"result": {"number": number, "hash": hash, "parentHash": hash, "timestamp": "0x1"}})
        };
        Ok(match question["params"][0].as_str() {
            None => json!({"result": "0x1"}),
            Some("finalized") => json!({"error": {"code": code, "message": message}}),
            Some("latest") => block("0x9"),
            Some(number) => block(number),
        })
    };
    let urls = [node(answer).await, node(answer).await];
    let nodes = Nodes::new(settings(&[&urls[0], &urls[1]], 2, 3).unwrap()).unwrap();
    Ok(nodes.last_final().await?.value().block().number)
}

#[tokio::test]
async fn only_a_node_that_does_not_know_the_tag_is_asked_by_depth() {
    let unknown = [
        (-39_001, "Unknown block"),
        (-32_602, "invalid argument 0: hex string without 0x prefix"),
        (-32_000, "finalized block not found"),
    ];
    for (code, message) in unknown {
        assert_eq!(last_final(code, message).await, Ok(6), "{message}");
    }
    for (code, message) in [(-32_005, "limit exceeded"), (-32_603, "internal error")] {
        let no = last_final(code, message).await.unwrap_err();
        let refused = Voice::Silent(EndpointFault::Refused { code, message: message.to_owned() });
        assert!(no.voices.iter().all(|(_, voice)| *voice == refused), "{no}");
    }
}

#[test]
fn what_may_have_been_taken_or_mined_is_never_said_to_be_nowhere() {
    let sending = |words: &[SendWord], silent: &[EndpointFault]| Sending {
        words: words.iter().map(|word| Said::new(name("a"), word.clone())).collect(),
        silent: silent.iter().map(|fault| (name("b"), fault.clone())).collect(),
    };
    let of = |words: &[SendWord], silent: &[EndpointFault]| sending(words, silent).reached();
    let (low, used) = (SendWord::FeeTooLow, SendWord::NonceTooLow);
    assert_eq!(of(&[used.clone(), SendWord::Taken], &[EndpointFault::Late]), Reached::Pool);
    assert_eq!(of(&[low.clone(), low.clone()], &[EndpointFault::WrongChain]), Reached::Nowhere);
    assert_eq!(of(&[used.clone(), used.clone()], &[]), Reached::Unknown, "it may be mined");
    assert_eq!(of(&[low.clone(), used], &[]), Reached::Unknown);
    assert_eq!(
        of(&[low], &[EndpointFault::Resting]),
        Reached::Unknown,
        "it may have taken it before it broke"
    );
    assert_eq!(of(&[], &[EndpointFault::Resting, EndpointFault::Resting]), Reached::Unknown);
}
