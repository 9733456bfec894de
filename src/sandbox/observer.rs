//! Plays the observer: signed, numbered, dated statements of the chain, the price, the cold balance and the coins.
//!
//! There is no node here. The deposits are transactions that no block holds, and the observer's word that they are deep;
//! signer and co-signer check everything about a coin that can be checked without a chain.

use std::collections::BTreeMap;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, consensus};
use ed25519_dalek::SigningKey;

use super::evm::{COLD, ETHER, PRICES};
use super::folder::fresh;
use super::papers::OBSERVER;
use super::{ASSET, Fault, NETWORK, now};
use crate::bitcoin::Destination;
use crate::evidence::statement::Body;
use crate::evidence::{ChainFact, Coin, SafeFact, Statement, StatementKind, ed25519, sign_statement};
use crate::grpc::{Client, explain};
use crate::wire::v1;
use crate::withdrawal::{Amount, Chain, FeeRate, Krw};

/// The tip it states.
pub const HEIGHT: u32 = 900;
/// The fee rate it states: 2 sat/vB.
pub const FEE_RATE: FeeRate = FeeRate(2_000);
/// What it states gas to cost, in wei for 1,000 units: 20 gwei for one.
pub const GAS_RATE: FeeRate = FeeRate(20_000_000_000_000);
/// The price it states, in won for a whole coin.
pub const PRICE: Krw = Krw(150_000_000);
/// What it states to lie cold, in satoshi.
pub const COLD_SAT: u64 = 100_000_000;
/// How deep it states a coin to be.
pub const CONFIRMATIONS: u32 = 12;

/// A deposit: an amount in satoshi to an address.
pub struct Deposit {
    /// The address.
    pub address: String,
    /// The amount.
    pub amount_sat: u64,
}

/// The observer.
pub struct Observer {
    client: Client,
    key: SigningKey,
    numbers: BTreeMap<StatementKind, u64>,
    /// What it says of the Safe, where nobody reads a chain.
    safe: Option<SafeFact>,
}

impl Observer {
    /// An observer that has said nothing yet.
    pub const fn new(client: Client, key: SigningKey, safe: Option<SafeFact>) -> Self {
        Self { client, key, numbers: BTreeMap::new(), safe }
    }

    /// States chain, price and position: the cold balances, and that no coin has changed; and the Safe.
    pub async fn state_facts(&mut self) -> Result<(), Fault> {
        let bitcoin = ChainFact { chain: Chain::Bitcoin(NETWORK), height: HEIGHT, fee_rate: FEE_RATE };
        let evm = ChainFact { chain: ETHER.chain(), height: HEIGHT, fee_rate: GAS_RATE };
        let evm = self.safe.as_ref().map(|_| evm);
        self.state(Body::Chain([bitcoin].into_iter().chain(evm).collect())).await?;
        self.state(Body::Price([(ASSET, PRICE)].into_iter().chain(PRICES).collect())).await?;
        self.state(Body::Coins { transactions: Vec::new(), coins: Vec::new() }).await?;
        let cold = [(ASSET, Amount::from_sat(COLD_SAT))].into_iter().chain(COLD).collect();
        self.state(Body::Position { cold, swept: Vec::new() }).await?;
        match self.safe.clone() {
            Some(fact) => self.state(Body::Safe(Box::new(fact))).await,
            None => Ok(()),
        }
    }

    /// States deposits, each with the raw transaction that proves its amount (law L18).
    pub async fn state_deposits(&mut self, deposits: &[Deposit]) -> Result<(), Fault> {
        let (mut transactions, mut coins) = (Vec::new(), Vec::new());
        for deposit in deposits {
            let transaction = funding(deposit)?;
            let txid = transaction.compute_txid().to_byte_array();
            transactions.push(consensus::encode::serialize(&transaction));
            coins.push(Coin { txid, vout: 0, confirmations: CONFIRMATIONS });
        }
        self.state(Body::Coins { transactions, coins }).await
    }

    async fn state(&mut self, body: Body) -> Result<(), Fault> {
        let last = self.numbers.entry(body.kind()).or_default();
        // By the clock, as the command line numbers them: people may state something between, with the same key.
        let (after, number) = (*last, last.saturating_add(1).max(now().0.saturating_mul(1_000)));
        *last = number;
        let statement = Statement { observer: OBSERVER.into(), number, after, at: now(), body };
        let signed = sign_statement(&statement, ed25519(&self.key))
            .map_err(|invalid| Fault::call("SubmitStatement", &invalid.to_string()))?;
        let statement = v1::SignedText {
            text: signed.text,
            key_id: OBSERVER.into(),
            signature: signed.signature.to_vec(),
        };
        let order = v1::SubmitStatementRequest { statement: Some(statement) };
        let answer = self.client.statements().submit_statement(order).await;
        answer.map(drop).map_err(|status| Fault::call("SubmitStatement", &explain(&status)))
    }
}

/// A transaction that pays a deposit out of nowhere.
fn funding(deposit: &Deposit) -> Result<Transaction, Fault> {
    let destination = Destination::parse(&deposit.address, NETWORK)
        .map_err(|invalid| Fault::setup("a deposit", invalid))?;
    let nowhere = OutPoint { txid: Txid::from_byte_array(fresh()?), vout: 0 };
    let input = TxIn {
        previous_output: nowhere,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let output = TxOut {
        value: bitcoin::Amount::from_sat(deposit.amount_sat),
        script_pubkey: destination.script_pubkey().to_owned(),
    };
    Ok(Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![output],
    })
}
