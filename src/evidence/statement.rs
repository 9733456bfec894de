//! What an observer signed: coins, cold balance, prices, chains and Safes, numbered and dated (law L10). Believes no caller.
//!
//! The caller says what the last number was; this room keeps nothing.

use std::collections::BTreeSet;

use super::canonical::{Form, Reader, Writer, malformed, same};
use super::signature::{Signed, holds, read_signature};
use super::statement_body::{parse_body, write_body};
use super::statement_deposits::DepositsFact;
use super::statement_ownership::OwnershipFact;
use super::statement_safe::SafeFact;
use super::{NotProven, SKEW_S_MAX, Trust, digest, field};
use crate::withdrawal::{Amount, Asset, Chain, Code, FeeRate, Invalid, Krw, Seconds};

/// The most lines of one key in a statement.
pub const COINS_MAX: usize = 1000;
/// The longest statement, in bytes.
pub const STATEMENT_SIZE_MAX: usize = 4_000_000;

/// The form of a statement; the body lines depend on its kind.
pub static STATEMENT: Form = Form::new(
    "countersign statement v1",
    &[
        "observer",
        "kind",
        "number",
        "after",
        "at",
        "transaction",
        "coin",
        "cold",
        "swept",
        "price",
        "tip",
        "fee_rate",
        "network",
        "safe",
        "block",
        "proxy_code",
        "singleton",
        "version",
        "owner",
        "threshold",
        "module",
        "guard",
        "module_guard",
        "fallback_handler",
        "multi_send",
        "nonce",
        "balance",
        "decimals",
        "executed",
        "executor",
        "contract",
        "message",
        "proof",
        "page",
        "asset",
        "deployed",
        "held",
    ],
)
.limits(STATEMENT_SIZE_MAX, STATEMENT_SIZE_MAX);

/// What a statement speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatementKind {
    /// Coins of the hot wallet, with the transactions that made them.
    Coins,
    /// What lies cold.
    Position,
    /// What a whole coin costs.
    Price,
    /// Height and fee rate.
    Chain,
    /// One Safe at one final block, and what became of its transactions.
    Safe,
    /// A contract accepted a proof for a message, at one final block.
    Ownership,
    /// What lies at a page of deposit addresses at one final block.
    Deposits,
}

impl StatementKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Coins, Self::Position, Self::Price, Self::Chain, Self::Safe, Self::Deposits, Self::Ownership];

    /// The word in the text and in the trust file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coins => "coins",
            Self::Position => "position",
            Self::Price => "price",
            Self::Chain => "chain",
            Self::Safe => "safe",
            Self::Ownership => "ownership",
            Self::Deposits => "deposits",
        }
    }

    /// Reads that word.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let cure = "write coins, position, price, chain, safe, deposits or ownership";
            Invalid::new(Code::FieldMalformed, "kind", "is no kind of statement", cure)
        })
    }
}

/// One coin of the wallet, as the observer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coin {
    /// The transaction's id in internal byte order (the text has it reversed, as explorers print it).
    pub txid: [u8; 32],
    /// The output's index.
    pub vout: u32,
    /// Blocks on top, its own included; zero while unconfirmed.
    pub confirmations: u32,
}

/// Tip and fee rate of one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainFact {
    /// Which chain.
    pub chain: Chain,
    /// The height of the best block.
    pub height: u32,
    /// What a transaction should pay now; on an EVM chain in wei for 1,000 units of gas.
    pub fee_rate: FeeRate,
}

/// What is stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Coins, and raw transactions that prove the amounts of those not stated before (law L18). None is news too: that
    /// nothing has changed.
    Coins {
        /// Raw transactions in network serialisation.
        transactions: Vec<Vec<u8>>,
        /// The coins, no outpoint twice.
        coins: Vec<Coin>,
    },
    /// What lies cold of each asset; zero is a fact too.
    Position {
        /// The balances.
        cold: Vec<(Asset, Amount)>,
        /// Sweeps that are in these balances already: their transaction ids in internal byte order.
        swept: Vec<[u8; 32]>,
    },
    /// The price of a whole coin of each asset.
    Price(Vec<(Asset, Krw)>),
    /// The state of each chain.
    Chain(Vec<ChainFact>),
    /// One Safe at one final block.
    Safe(Box<SafeFact>),
    /// A contract wallet's yes. It changes nothing by itself: a registration carries it.
    Ownership(OwnershipFact),
    /// One page of deposit addresses at one final block.
    Deposits(Box<DepositsFact>),
}

impl Body {
    /// Which kind it is.
    pub const fn kind(&self) -> StatementKind {
        match self {
            Self::Coins { .. } => StatementKind::Coins,
            Self::Position { .. } => StatementKind::Position,
            Self::Price(_) => StatementKind::Price,
            Self::Chain(_) => StatementKind::Chain,
            Self::Safe(_) => StatementKind::Safe,
            Self::Ownership(_) => StatementKind::Ownership,
            Self::Deposits(_) => StatementKind::Deposits,
        }
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Who states it, as the trust file names them.
    pub observer: String,
    /// Grows with every statement of this observer and kind.
    pub number: u64,
    /// The number of the last statement before it of this observer and kind that was taken; zero for the first. Who did
    /// not hear that one knows by this that something is missing.
    pub after: u64,
    /// When it was true.
    pub at: Seconds,
    /// What is stated.
    pub body: Body,
}

/// The canonical text of a statement.
pub fn render_statement(statement: &Statement) -> String {
    let writer = Writer::new(&STATEMENT)
        .line("observer", &statement.observer)
        .line("kind", statement.body.kind().as_str())
        .line("number", statement.number)
        .line("after", statement.after)
        .line("at", statement.at.0);
    write_body(writer, &statement.body).finish()
}

/// Reads the canonical text of a statement; every other spelling is refused.
pub fn parse_statement(text: &str) -> Result<Statement, Invalid> {
    let mut reader = Reader::open(text, &STATEMENT)?;
    let observer = field::name("observer", reader.take("observer")?)?;
    let kind = StatementKind::parse(reader.take("kind")?)?;
    let number = field::number("number", reader.take("number")?)?;
    let after = field::number("after", reader.take("after")?)?;
    if after >= number {
        return Err(malformed("after", "is not below `number`"));
    }
    let at = field::seconds("at", reader.take("at")?)?;
    let body = parse_body(kind, &mut reader)?;
    reader.close()?;
    let statement = Statement { observer, number, after, at, body };
    same(text, &render_statement(&statement))?;
    Ok(statement)
}

/// Renders and signs a statement, for observers; refuses one that could not be read back.
pub fn sign_statement(
    statement: &Statement,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<Signed, Invalid> {
    let text = render_statement(statement);
    parse_statement(&text)?;
    Ok(Signed::of(text, sign))
}

/// A statement whose signature held under this party's own trust file.
#[derive(Debug)]
pub struct VerifiedStatement {
    statement: Statement,
    digest: [u8; 32],
    text: String,
    signature: [u8; 64],
}

/// The door for a new statement: form, key, signature, number, gap, then age.
///
/// `last_number` answers what the last number of (observer, kind) was, `None` if there was none. Without an `age_s_max`
/// a statement may be of any age: one that was late is still part of the row, and whoever reads a fact looks at its time.
pub fn verify_statement(
    text: &str,
    signature: &[u8],
    trust: &Trust,
    now: Seconds,
    age_s_max: Option<u64>,
    last_number: impl FnOnce(&str, StatementKind) -> Option<u64>,
) -> Result<VerifiedStatement, NotProven> {
    let verified = VerifiedStatement::reverify(text, signature, trust)?;
    let Statement { observer, number, after, at, body } = &verified.statement;
    let last = last_number(observer, body.kind());
    if last.is_some_and(|last| *number <= last) {
        let detail = format!("number {number}, and the last one was {}", last.unwrap_or_default());
        return Err(NotProven::refused(Code::StatementOutOfOrder, detail));
    }
    if *after > last.unwrap_or_default() {
        let detail = format!("it follows {after}, and the last one here was {}", last.unwrap_or_default());
        return Err(NotProven::refused(Code::StatementGap, detail));
    }
    if *at > now.plus(SKEW_S_MAX) {
        return Err(NotProven::refused(Code::StatementTimeOutOfRange, format!("of {at}, it is {now}")));
    }
    let age = now.since(*at).unwrap_or_default();
    if let Some(limit) = age_s_max.filter(|limit| age > *limit) {
        let detail = format!("{age} s old, the limit is {limit}");
        return Err(NotProven::refused(Code::StatementTimeOutOfRange, detail));
    }
    Ok(verified)
}

impl VerifiedStatement {
    /// The door for a statement that was accepted before: form, key and signature; neither number nor age.
    pub fn reverify(text: &str, signature: &[u8], trust: &Trust) -> Result<Self, NotProven> {
        let statement = parse_statement(text)?;
        let signature = read_signature(signature)?;
        let kind = statement.body.kind();
        let held = trust.observer_keys(&statement.observer, kind).any(|key| holds(key, text, &signature));
        if !held {
            let detail = format!("no key of `{}` for {} signed this text", statement.observer, kind.as_str());
            return Err(NotProven::refused(Code::StatementSignatureInvalid, detail));
        }
        Ok(Self { statement, digest: digest(text), text: text.to_owned(), signature })
    }

    /// What was stated.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// SHA-256 of the text.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The exact text that was signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The observer's signature.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }
}

/// Refuses a second line about the same thing.
pub(super) fn each_once<T: Ord>(
    field: &'static str,
    things: impl IntoIterator<Item = T>,
) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    if things.into_iter().all(|thing| seen.insert(thing)) {
        return Ok(());
    }
    Err(Invalid::new(Code::FieldDuplicate, field, "states the same thing twice", "state each thing once"))
}
