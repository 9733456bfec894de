//! A node that misbehaves: it stands before a real chain and changes, delays or withholds what that says.

use std::sync::{Arc, Mutex};

use alloy_primitives::{Bytes, keccak256};
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::{Value, json};

use super::chance::Chance;

/// How a node behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    Honest,
    /// Other balances, code and storage; receipts that say the opposite; no logs; blocks that are far ahead.
    Lies,
    /// Knows nothing after that block.
    Lags(u64),
    /// Follows the chain at that address.
    Forks(String),
    Hangs,
    OtherChain,
    /// Says more than anybody reads.
    Floods,
    /// Speaks no JSON.
    Babbles,
    /// Does not know the tags `finalized` and `safe`.
    Tagless,
    /// Answers nobody without that token.
    Wants(&'static str),
    /// Takes no question about more than so many blocks of logs.
    Narrow(u64),
    /// In so many of a hundred cases: late, broken, or a transaction swallowed, or taken without a word.
    Chaos(u64),
}

#[derive(Clone)]
struct Before {
    url: String,
    manner: Arc<Mutex<Manner>>,
    client: reqwest::Client,
    asked: Arc<Mutex<Vec<String>>>,
    chance: Arc<Mutex<Chance>>,
}

pub struct Proxy {
    pub url: String,
    before: Before,
}

impl Proxy {
    pub async fn start(url: &str, manner: Manner) -> Self {
        Self::seeded(url, manner, 0).await
    }

    /// One whose chaos is decided by a seed.
    pub async fn seeded(url: &str, manner: Manner, seed: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = Arc::default();
        let (manner, chance) = (Arc::new(Mutex::new(manner)), Arc::new(Mutex::new(Chance::new(seed))));
        let before = Before { url: url.to_owned(), manner, client, asked, chance };
        let router = Router::new().route("/", post(answer)).with_state(before.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url: own, before }
    }

    pub fn behave(&self, manner: Manner) {
        *self.before.manner.lock().unwrap() = manner;
    }

    /// Every method that was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.before.asked.lock().unwrap().clone()
    }
}

async fn answer(State(before): State<Before>, headers: HeaderMap, body: String) -> String {
    let question: Value = serde_json::from_str(&body).unwrap();
    let manner = before.manner.lock().unwrap().clone();
    let method = question["method"].as_str().unwrap().to_owned();
    before.asked.lock().unwrap().push(method.clone());
    let result =
        |result: Value| json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string();
    let error = |code: i64, text: &str| {
        json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": code, "message": text}}).to_string()
    };
    match &manner {
        Manner::Hangs => std::future::pending().await,
        Manner::Floods => return format!("\"{}\"", "f".repeat(9 * 1024 * 1024)),
        Manner::Babbles => return "<html>".to_owned(),
        Manner::Wants(token) if headers.get("authorization").is_none_or(|shown| shown != token) => {
            return error(-32001, "no token");
        }
        Manner::OtherChain if method == "eth_chainId" => return result(json!("0x1")),
        Manner::Tagless if question["params"][0] == "finalized" => return error(-32602, "unknown block"),
        Manner::Narrow(most) if method == "eth_getLogs" => {
            let end = |name: &str| {
                let text = question["params"][0][name].as_str().unwrap().trim_start_matches("0x").to_owned();
                u64::from_str_radix(&text, 16).unwrap()
            };
            if end("toBlock") - end("fromBlock") >= *most {
                return error(-32005, "query returned more than 10000 results");
            }
        }
        Manner::Lags(known) => match method.as_str() {
            "eth_chainId" => {}
            "eth_getBlockByNumber" => {
                let asked = question["params"][0].as_str().unwrap();
                let number = asked.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16).unwrap());
                match number {
                    Some(number) if number > *known => return result(Value::Null),
                    Some(_) => {}
                    None => {
                        let behind = json!({"jsonrpc": "2.0", "id": question["id"], "method": method,
                            "params": [format!("0x{known:x}"), false]});
                        return pass(&before, &before.url, behind.to_string()).await;
                    }
                }
            }
            "eth_getLogs" => return result(json!([])),
            "eth_getTransactionReceipt" => return result(Value::Null),
            _ => return error(-32000, "header not found"),
        },
        Manner::Chaos(percent) => {
            let (hit, what, late) = {
                let mut chance = before.chance.lock().unwrap();
                (chance.below(100) < *percent, chance.below(4), chance.below(300))
            };
            let raw = (method == "eth_sendRawTransaction").then(|| question["params"][0].as_str().unwrap());
            match (hit, what, raw) {
                (false, _, _) => {}
                (true, 0, _) => tokio::time::sleep(std::time::Duration::from_millis(late)).await,
                (true, 1, _) => return "not today".to_owned(),
                (true, 2, Some(raw)) => {
                    let bytes: Bytes = raw.parse().unwrap();
                    return result(json!(keccak256(bytes).to_string()));
                }
                (true, _, Some(_)) => {
                    pass(&before, &before.url, body).await;
                    return "taken, and not a word".to_owned();
                }
                (true, _, None) => return error(-32005, "limit exceeded"),
            }
        }
        _ => {}
    }
    let url = if let Manner::Forks(other) = &manner { other } else { &before.url };
    let text = pass(&before, url, body).await;
    if manner == Manner::Lies && method != "eth_chainId" { lie(&method, &text) } else { text }
}

async fn pass(before: &Before, url: &str, body: String) -> String {
    let sent = before.client.post(url).header("content-type", "application/json").body(body);
    sent.send().await.unwrap().text().await.unwrap()
}

/// Another answer of the same form.
fn lie(method: &str, text: &str) -> String {
    let mut answer: Value = serde_json::from_str(text).unwrap();
    match &mut answer["result"] {
        Value::String(hex) if hex.len() > 2 => {
            let other = if hex.ends_with('7') { '8' } else { '7' };
            hex.pop();
            hex.push(other);
        }
        Value::String(hex) => hex.push_str("77"),
        Value::Array(logs) => logs.clear(),
        receipt @ Value::Object(_) if method == "eth_getTransactionReceipt" => {
            let other = if receipt["status"] == "0x1" { "0x0" } else { "0x1" };
            receipt["status"] = json!(other);
        }
        block @ Value::Object(_) if method == "eth_getBlockByNumber" => {
            block["number"] = json!("0xfffffff");
        }
        other => *other = Value::Null,
    }
    answer.to_string()
}
