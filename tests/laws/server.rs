//! An enclave server that shares no line with us, in Python, and the two parties' own credentials there.

use std::time::Duration;

use countersign::enclave::exchange::{Auth, Line};
use countersign::enclave::verifyvasp::{self, Names, Route};
use rustls::RootCertStore;
use serde_json::{Value, json};

use super::play::{PythonBackend, client};
use super::world::*;

/// What the signer's adapter shows, and what the co-signer's route shows.
pub const SIGNER_TOKEN: &str = "the-signers-own-token";
pub const COSIGNER_TOKEN: &str = "the-cosigners-own-token";

/// The network's name for our chain.
pub const CHAIN: &str = "Bitcoin";

/// The server with our own VASP before it and the robot behind it.
pub struct Server(pub PythonBackend);

impl Server {
    /// Nothing where there is no Python.
    pub fn start(dir: &std::path::Path, extra: &[&str]) -> Option<Self> {
        let customers = json!({
            TAYLOR: { "name": ["Robbins", "Taylor"], "kyc": true },
            ETHAN: { "name": ["Cook", "Ethan"], "kyc": false },
            MINSU: { "name": ["KIM", "MINSU"], "kyc": true, "gives": TAYLOR },
        });
        let file = dir.join("customers.json");
        std::fs::write(&file, customers.to_string()).unwrap();
        let (own, peer) = (OWN_VASP.to_string(), ROBOT_VASP.to_string());
        let mut args = vec!["--own", &own, "--peer", &peer, "--customers", file.to_str().unwrap()];
        args.extend(["--token", SIGNER_TOKEN, "--token", COSIGNER_TOKEN]);
        args.extend(extra);
        PythonBackend::play("enclave_server.py", &args).map(Self)
    }

    /// The way there with a token.
    pub fn settings(&self, token: &str) -> verifyvasp::Settings {
        let line = Line::new(RootCertStore::empty(), Some(Auth::new(token, None).unwrap()), None).unwrap();
        verifyvasp::Settings {
            url: format!("http://127.0.0.1:{}", self.0.port),
            line,
            names: Names::new(ASSET, CHAIN).unwrap(),
            time: Duration::from_secs(2),
        }
    }

    /// The co-signer's own route.
    pub fn route(&self) -> Route {
        Route::new(self.settings(COSIGNER_TOKEN))
    }

    /// From now on a call goes wrong in this way, for one caller or for all; `well` ends it.
    pub async fn mood(&self, call: &str, mood: &str, token: Option<&str>) {
        self.0.tell("mood", &json!({ "call": call, "mood": mood, "token": token })).await;
    }

    /// From now on one caller is told this of every record; nothing ends it.
    pub async fn lie(&self, token: &str, lies: Value) {
        self.0.tell("lie", &json!({ "set": lies, "token": token })).await;
    }

    /// How long results take from now on.
    pub async fn delay(&self, seconds: u64) {
        self.0.tell("delay", &json!({ "seconds": seconds })).await;
    }

    /// Everything that is kept.
    pub async fn records(&self) -> Vec<Value> {
        self.0.told("records").await
    }

    /// How often a call came from a caller.
    pub async fn calls(&self, call: &str, token: &str) -> usize {
        let seen = self.0.told("seen").await;
        seen.iter().filter(|seen| seen["call"] == call && seen["token"] == token).count()
    }

    /// Has the robot asked by hand, and gives the verification.
    pub async fn order(&self, address: &str, amount: &str, name: [&str; 2]) -> String {
        let person = |name: [&str; 2]| {
            json!([{ "naturalPerson": { "name": { "nameIdentifier": [{ "primaryIdentifier": name[0],
                "secondaryIdentifier": name[1], "nameIdentifierType": "LEGL" }] } } }])
        };
        let order = json!({
            "keyType": "PerVasp", "beneficiaryVaspId": ROBOT_VASP.to_string(),
            "assetInfo": { "symbol": "BTC", "network": CHAIN, "amount": amount, "isExceedingThreshold": true,
                "tradePrice": "1", "tradeCurrency": "KRW", "tradeISODatetime": "2026-01-31T00:00:00.000Z" },
            "requiredBeneficiaryInfo": "ACCOUNT_NUMBER,NATURAL_PERSON_NAME",
            "payload": { "version": "1.0", "ivms101": {
                "originator": { "originatorPersons": person(["LEE", "JIHYE"]), "accountNumber": ["c-1"] },
                "beneficiary": { "beneficiaryPersons": person(name), "accountNumber": [address] } } },
        });
        let call = client().post(self.0.url("v1/verifications")).bearer_auth(SIGNER_TOKEN).json(&order);
        let answer: Value = call.send().await.unwrap().json().await.unwrap();
        answer["verificationUuid"].as_str().unwrap().to_owned()
    }
}
