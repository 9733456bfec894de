//! The exchange and the observer: everything comes over mutual TLS, signed, as strangers would send it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bitcoin::consensus::encode::{deserialize, serialize};
use bitcoin::hashes::Hash;
use countersign::desk::{Payload, Role, SignedText, WithdrawalOrder};
use countersign::ethereum::{Action, SignedSafeTx, Units};
use countersign::evidence::*;
use countersign::grpc::Client;
use countersign::pki;
use countersign::wire::v1;
use countersign::withdrawal::*;
use futures_util::stream::{self, StreamExt};

use crate::world::*;

/// Addresses in one batch of the stream, and coins in one statement.
pub const BATCH: usize = 1_000;

pub fn now() -> Seconds {
    Seconds(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs())
}

fn signed(signed: Signed, key_id: &str) -> v1::SignedText {
    SignedText { text: signed.text, key_id: key_id.to_owned(), signature: signed.signature }.into()
}

fn client(dir: &Path, name: &str, address: &str) -> Client {
    let (authorities, identity) = pem(dir, name);
    let tls = pki::client_config(&authorities, identity).unwrap();
    Client::with_tls(address.to_owned(), tls, Role::Signer).unwrap()
}

/// The observer.
pub struct Observer {
    client: Client,
    numbers: BTreeMap<StatementKind, u64>,
}

impl Observer {
    pub fn new(dir: &Path, address: &str) -> Self {
        Self { client: client(dir, "watcher", address), numbers: BTreeMap::new() }
    }

    pub async fn state(&mut self, body: Body) {
        let last = self.numbers.entry(body.kind()).or_default();
        let after = std::mem::replace(last, *last + 1);
        let statement = Statement { observer: "watcher".into(), number: *last, after, at: now(), body };
        let statement = signed(sign_statement(&statement, ed25519(&key(OBSERVER))).unwrap(), "watcher");
        let request = v1::SubmitStatementRequest { statement: Some(statement) };
        self.client.statements().submit_statement(request).await.unwrap();
    }

    /// Price, fee rate, tip and a cold balance that leaves the hot share far below its limit.
    pub async fn state_facts(&mut self, coins: usize) {
        self.state(Body::Price(vec![(ASSET, Krw(PRICE))])).await;
        let fact = ChainFact { chain: Chain::Bitcoin(NETWORK), height: 200, fee_rate: FeeRate(2_000) };
        self.state(Body::Chain(vec![fact])).await;
        let cold = Amount::from_sat(COIN_SAT * 10 * coins as u64 + 100_000_000);
        self.state(Body::Position { cold: vec![(ASSET, cold)], swept: Vec::new() }).await;
    }

    /// One coin for each address, a thousand in one transaction.
    pub async fn fund(&mut self, addresses: &[String]) {
        for (n, part) in addresses.chunks(BATCH).enumerate() {
            let (transaction, txid) = deposit(n as u64, part);
            let coins = (0..part.len() as u32).map(|vout| Coin { txid, vout, confirmations: 6 }).collect();
            self.state(Body::Coins { transactions: vec![transaction], coins }).await;
        }
    }
}

fn deposit(salt: u64, addresses: &[String]) -> (Vec<u8>, [u8; 32]) {
    let mut previous = [7u8; 32];
    previous[..8].copy_from_slice(&salt.to_be_bytes());
    let output = |address: &String| bitcoin::TxOut {
        value: bitcoin::Amount::from_sat(COIN_SAT),
        script_pubkey: address
            .parse::<bitcoin::Address<_>>()
            .unwrap()
            .require_network(bitcoin::Network::Regtest)
            .unwrap()
            .script_pubkey(),
    };
    let transaction = bitcoin::Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![bitcoin::TxIn {
            previous_output: bitcoin::OutPoint { txid: bitcoin::Txid::from_byte_array(previous), vout: 0 },
            ..bitcoin::TxIn::default()
        }],
        output: addresses.iter().map(output).collect(),
    };
    (serialize(&transaction), transaction.compute_txid().to_byte_array())
}

/// The exchange, over a few connections.
pub struct Exchange {
    clients: Vec<Client>,
}

/// One request, signed, with its travel-rule payload.
pub type Order = v1::CreateWithdrawalRequest;

impl Exchange {
    pub fn new(dir: &Path, address: &str, connections: usize) -> Self {
        Self { clients: (0..connections).map(|_| client(dir, "acme", address)).collect() }
    }

    fn client(&self, at: usize) -> &Client {
        &self.clients[at % self.clients.len()]
    }

    /// Asks for that many addresses in streamed batches; each is attested by the co-signer before it is given.
    pub async fn addresses(&self, count: usize) -> Vec<String> {
        let request = |n: usize| v1::CreateAddressRequest {
            organisation: "acme".into(),
            asset: ASSET.to_string(),
            customer_ref: format!("customer-{n}"),
        };
        let batches: Vec<_> = (0..count)
            .collect::<Vec<_>>()
            .chunks(BATCH)
            .map(|part| v1::BatchCreateAddressesRequest {
                requests: part.iter().map(|n| request(*n)).collect(),
            })
            .collect();
        let mut given = Vec::with_capacity(count);
        let answer = self.client(0).addresses().batch_create_addresses(stream::iter(batches)).await.unwrap();
        let mut answer = answer.into_inner();
        while let Some(batch) = answer.message().await.unwrap() {
            given.extend(batch.addresses.into_iter().map(|a| a.address));
        }
        given
    }

    /// Signed requests with ids of their own.
    pub fn orders(&self, from: usize, count: usize) -> Vec<Order> {
        self.orders_of(from..from + count, |_, request| request)
    }

    /// The same for a token, each of another amount.
    pub fn token_orders(&self, from: usize, count: usize) -> Vec<Order> {
        self.orders_of(from..from + count, |n, request| WithdrawalRequest {
            asset: token(),
            destination: VERA.to_owned(),
            amount: Amount::from_units(PAID_UNITS + n as u128),
            fee_max: Amount::from_units(1_000_000_000_000_000),
            ..request
        })
    }

    fn orders_of(
        &self,
        numbers: std::ops::Range<usize>,
        with: impl Fn(usize, WithdrawalRequest) -> WithdrawalRequest,
    ) -> Vec<Order> {
        let payload = |to: &str| {
            if to == VERA { ivms("Vale", "Vera", VERA) } else { ivms("Robbins", "Taylor", TAYLOR) }
        };
        let order = |n: usize| {
            let request = WithdrawalRequest {
                organisation: Organisation::parse("acme").unwrap(),
                request_id: RequestId::parse(&format!("r{n}")).unwrap(),
                customer_ref: CustomerRef::parse(&format!("customer-{n}")).unwrap(),
                asset: ASSET,
                destination: TAYLOR.to_owned(),
                amount: Amount::from_sat(PAID_SAT),
                fee_max: Amount::from_sat(20_000),
                beneficiary_vasp: ROBOT_VASP,
                asked_at: now(),
            };
            let request = with(n, request);
            let ivms101_payload = payload(&request.destination);
            let request = signed(sign_request(&request, ed25519(&key(EXCHANGE))).unwrap(), "k1");
            let wire = v1::CreateWithdrawalRequest { request: Some(request), ivms101_payload };
            // What cannot be read here would be refused there.
            let _: WithdrawalOrder = wire.clone().try_into().unwrap();
            wire
        };
        numbers.map(order).collect()
    }

    /// Has each verified by the counterparty beforehand; all must say yes.
    pub async fn prepare(&self, orders: &[Order], in_flight: usize) -> Duration {
        let from = Instant::now();
        let calls = orders.iter().enumerate().map(|(at, order)| async move {
            let order = v1::PrepareWithdrawalRequest {
                request: order.request.clone(),
                ivms101_payload: order.ivms101_payload.clone(),
            };
            let answer = self.client(at).withdrawals().prepare_withdrawal(order).await.unwrap().into_inner();
            assert_eq!(answer.outcome(), v1::WithdrawalOutcome::Moving, "{:?}", answer.findings);
        });
        stream::iter(calls).buffer_unordered(in_flight).for_each(|()| async {}).await;
        from.elapsed()
    }

    /// Asks for one, and waits until it is released.
    pub async fn withdraw(&self, at: usize, order: Order) -> Result<Released, String> {
        let mut client = self.client(at).withdrawals();
        let answer = client.create_withdrawal(order).await.map_err(|status| status.to_string())?.into_inner();
        match answer.outcome() {
            v1::WithdrawalOutcome::Released => Ok(Released::of(answer)),
            outcome => Err(format!("{outcome:?} {:?}", answer.findings)),
        }
    }
}

/// A withdrawal that came back.
pub struct Released {
    transaction: Vec<u8>,
    txid: String,
    nonce: Option<u64>,
    amount: Option<u128>,
}

impl Released {
    fn of(answer: v1::Withdrawal) -> Self {
        let amount = answer.amount.parse().ok();
        let nonce = answer.safe.map(|safe| safe.nonce);
        Self { transaction: answer.raw_transaction, txid: answer.txid, nonce, amount }
    }

    /// The nonce of its Safe, its hash, and what it pays this one.
    pub fn place(&self) -> (u64, String, u128) {
        (self.nonce.unwrap(), self.txid.clone(), self.amount.unwrap())
    }

    /// The id of the payment, if everything that must be signed is; of a Safe's, how many payments stand beside it.
    pub fn id_if_complete(&self, batches: &mut BTreeMap<u64, usize>) -> Option<String> {
        let Some(nonce) = self.nonce else { return self.bitcoin_id_if_complete().map(|id| id.to_string()) };
        let read = SignedSafeTx::read(&self.transaction, nonce, &hot_safe()).ok()?;
        let amount = Units::from_amount(Amount::from_units(self.amount?));
        let pays = |action: &&Action| matches!(action, Action::Pay(payee) if payee.amount == amount);
        batches.insert(nonce, read.actions().len());
        (read.actions().iter().filter(pays).count() == 1).then(|| format!("{nonce} {}", self.amount.unwrap()))
    }

    /// Whether both signatures are in every input, and what its id is.
    fn bitcoin_id_if_complete(&self) -> Option<bitcoin::Txid> {
        let transaction: bitcoin::Transaction = deserialize(&self.transaction).ok()?;
        let complete = |input: &bitcoin::TxIn| {
            let witness = input.witness.to_vec();
            witness.len() == 4 && witness[1].len() > 60 && witness[2].len() > 60 && witness[1] != witness[2]
        };
        transaction.input.iter().all(complete).then(|| transaction.compute_txid())
    }
}

fn ivms(primary: &str, secondary: &str, account: &str) -> Vec<u8> {
    let person = |primary: &str, secondary: &str| {
        serde_json::json!({"naturalPerson": {
            "name": {"nameIdentifier": [{
                "primaryIdentifier": primary, "secondaryIdentifier": secondary, "nameIdentifierType": "LEGL"
            }]},
            "customerIdentification": "c-1",
        }})
    };
    let payload = serde_json::to_vec(&serde_json::json!({
        "originator": {"originatorPersons": [person("LEE", "JIHYE")], "accountNumber": ["c-1"]},
        "beneficiary": {"beneficiaryPersons": [person(primary, secondary)], "accountNumber": [account]},
    }));
    let payload = payload.unwrap();
    assert!(!Payload::new(payload.clone()).is_empty());
    payload
}
