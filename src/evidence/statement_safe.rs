//! The lines of a Safe in a statement: what stood at one final block, and what became of its transactions. Judges none of it.
//!
//! Each party compares the facts with its own pins. What is not stated is not known, and nobody takes it for zero.

use std::str::FromStr;

use alloy_primitives::{Address, B256, U256};

use super::canonical::{Reader, Writer, malformed};
use super::field;
use super::statement::{COINS_MAX, STATEMENT, each_once};
use super::statement_body::{asset_and, facts, pair};
use crate::withdrawal::evm_address::{is_payable, spell};
use crate::withdrawal::{Amount, Asset, Chain, ChainId, Code, EvmAsset, Invalid};

/// The longest version a contract may tell of itself, in bytes.
const VERSION_LEN_MAX: usize = 64;

/// A contract, and the Keccak-256 hash of its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contract {
    /// Where it stands.
    pub address: Address,
    /// The hash of its runtime code.
    pub code_hash: B256,
}

/// What became of a Safe transaction that used up its nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// It was executed, and every token that it pays moved exactly as it says.
    Paid,
    /// It reverted: the nonce is used up, and nobody was paid.
    Reverted,
    /// It was executed, and not as it says, or nobody can tell: an alarm, never a payment.
    Odd,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 3] = [Self::Paid, Self::Reverted, Self::Odd];

    /// The word in the text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Reverted => "reverted",
            Self::Odd => "odd",
        }
    }
}

/// A Safe transaction that is in the chain for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutedFact {
    /// The nonce of the Safe that it used up.
    pub nonce: u64,
    /// Its hash, as the Safe's own event names it.
    pub safe_tx_hash: B256,
    /// What became of it.
    pub ending: Ending,
    /// The transaction that executed it, whoever sent that.
    pub transaction: B256,
    /// The height of that transaction's block.
    pub height: u64,
}

/// What is stated of one Safe, all of it read at one final block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeFact {
    /// The chain.
    pub chain: ChainId,
    /// Where the facts were read.
    pub safe: Address,
    /// The height of the block.
    pub height: u64,
    /// The hash of the block.
    pub block_hash: B256,
    /// The hash of the code at the Safe's address.
    pub proxy_code_hash: B256,
    /// The singleton behind it.
    pub singleton: Contract,
    /// What `VERSION()` answers.
    pub version: String,
    /// What `getOwners()` answers, in the order of the contract's own list.
    pub owners: Vec<Address>,
    /// What `getThreshold()` answers.
    pub threshold: U256,
    /// Every enabled module.
    pub modules: Vec<Address>,
    /// The guard; the zero address where none is set.
    pub guard: Address,
    /// The guard of modules; the zero address where none is set.
    pub module_guard: Address,
    /// The fallback handler.
    pub fallback_handler: Contract,
    /// `MultiSendCallOnly` of the release that the observer was told of.
    pub multi_send: Contract,
    /// What `nonce()` answers.
    pub nonce: U256,
    /// What the Safe has, each asset once; zero is a fact too. What needs more than 128 bits has no line, as what did not answer.
    pub balances: Vec<(Asset, Amount)>,
    /// The decimals that each token's contract tells of itself; what did not answer has no line.
    pub decimals: Vec<(EvmAsset, u8)>,
    /// What became of the nonces since the last statement, without a gap and in ascending order.
    pub executed: Vec<ExecutedFact>,
}

/// Adds the lines of a Safe.
pub(super) fn write_safe(writer: Writer, fact: &SafeFact) -> Writer {
    writer
        .line("network", fact.chain)
        .line("safe", spell(fact.safe))
        .line("block", format!("{} {:x}", fact.height, fact.block_hash))
        .line("proxy_code", format!("{:x}", fact.proxy_code_hash))
        .line("singleton", write_contract(&fact.singleton))
        .line("version", &fact.version)
        .lines("owner", fact.owners.iter().copied().map(spell))
        .line("threshold", fact.threshold)
        .lines("module", fact.modules.iter().copied().map(spell))
        .line("guard", spell(fact.guard))
        .line("module_guard", spell(fact.module_guard))
        .line("fallback_handler", write_contract(&fact.fallback_handler))
        .line("multi_send", write_contract(&fact.multi_send))
        .line("nonce", fact.nonce)
        .lines("balance", fact.balances.iter().map(|(asset, amount)| format!("{asset} {amount}")))
        .lines("decimals", fact.decimals.iter().map(|(token, decimals)| format!("{token} {decimals}")))
        .lines("executed", fact.executed.iter().map(write_executed))
}

fn write_contract(contract: &Contract) -> String {
    format!("{} {:x}", spell(contract.address), contract.code_hash)
}

fn write_executed(done: &ExecutedFact) -> String {
    let ExecutedFact { nonce, safe_tx_hash, ending, transaction, height } = done;
    format!("{nonce} {safe_tx_hash:x} {} {transaction:x} {height}", ending.as_str())
}

/// Reads the lines of a Safe.
pub(super) fn parse_safe(reader: &mut Reader<'_>) -> Result<SafeFact, Invalid> {
    let chain = ChainId::parse(reader.take("network")?).map_err(|no| Invalid { field: "network", ..no })?;
    let safe = address("safe", reader.take("safe")?)?;
    if !is_payable(safe) {
        return Err(malformed("safe", "is the zero address or a precompiled contract"));
    }
    let (height, block_hash) = pair("block", reader.take("block")?)?;
    let mut fact = SafeFact {
        chain,
        safe,
        height: field::number("block", height)?,
        block_hash: hash("block", block_hash)?,
        proxy_code_hash: hash("proxy_code", reader.take("proxy_code")?)?,
        singleton: contract("singleton", reader.take("singleton")?)?,
        version: version(reader.take("version")?)?,
        owners: facts(reader, "owner", |text| address("owner", text))?,
        threshold: number_256("threshold", reader.take("threshold")?)?,
        modules: addresses(reader, "module")?,
        guard: address("guard", reader.take("guard")?)?,
        module_guard: address("module_guard", reader.take("module_guard")?)?,
        fallback_handler: contract("fallback_handler", reader.take("fallback_handler")?)?,
        multi_send: contract("multi_send", reader.take("multi_send")?)?,
        nonce: number_256("nonce", reader.take("nonce")?)?,
        balances: Vec::new(),
        decimals: Vec::new(),
        executed: Vec::new(),
    };
    fact.balances = balances(reader, chain)?;
    fact.decimals = decimals(reader, chain)?;
    fact.executed = executed(reader, &fact)?;
    Ok(fact)
}

impl SafeFact {
    /// Reads the lines of a Safe alone, as they stand in a statement.
    pub fn parse(lines: &str) -> Result<Self, Invalid> {
        let text = format!("{}\n{lines}", STATEMENT.heading);
        let mut reader = Reader::open(&text, &STATEMENT)?;
        let fact = parse_safe(&mut reader)?;
        reader.close()?;
        Ok(fact)
    }
}

fn balances(reader: &mut Reader<'_>, chain: ChainId) -> Result<Vec<(Asset, Amount)>, Invalid> {
    let read = |text: &str| {
        let (asset, units) = asset_and("balance", text)?;
        if asset.chain() != Chain::Evm(chain) {
            return Err(malformed("balance", "is of an asset of another chain"));
        }
        let amount = if units == "0" { Amount::ZERO } else { field::amount("balance", units, asset)? };
        Ok((asset, amount))
    };
    let lines = reader.take_all("balance", COINS_MAX)?;
    let all = lines.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    each_once("balance", all.iter().map(|(asset, _)| *asset))?;
    Ok(all)
}

fn decimals(reader: &mut Reader<'_>, chain: ChainId) -> Result<Vec<(EvmAsset, u8)>, Invalid> {
    let read = |text: &str| {
        let (asset, count) = asset_and("decimals", text)?;
        let token = match asset {
            Asset::Evm(token @ EvmAsset::Token(of, _)) if of == chain => token,
            _ => return Err(malformed("decimals", "is of no token of this chain")),
        };
        let count = u8::try_from(field::number("decimals", count)?).ok();
        Ok((token, count.ok_or_else(|| malformed("decimals", "is above 255"))?))
    };
    let lines = reader.take_all("decimals", COINS_MAX)?;
    let all = lines.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    each_once("decimals", all.iter().map(|(token, _)| *token))?;
    Ok(all)
}

/// Each nonce follows the one before and is used up at the block; a transaction is not later than the block, nor earlier than
/// the one before it.
fn executed(reader: &mut Reader<'_>, fact: &SafeFact) -> Result<Vec<ExecutedFact>, Invalid> {
    let lines = reader.take_all("executed", COINS_MAX)?;
    let all = lines.into_iter().map(parse_executed).collect::<Result<Vec<_>, _>>()?;
    each_once("executed", all.iter().map(|done| done.safe_tx_hash))?;
    let follows = |(one, next): (&ExecutedFact, &ExecutedFact)| {
        one.nonce.checked_add(1) == Some(next.nonce) && one.height <= next.height
    };
    if !all.iter().zip(all.iter().skip(1)).all(follows) {
        return Err(malformed("executed", "has a gap, or is not in the order in which it happened"));
    }
    match all.last() {
        Some(last) if U256::from(last.nonce) >= fact.nonce => {
            Err(malformed("executed", "uses a nonce that is not used up yet"))
        }
        Some(last) if last.height > fact.height => Err(malformed("executed", "is later than the block")),
        _ => Ok(all),
    }
}

fn parse_executed(text: &str) -> Result<ExecutedFact, Invalid> {
    let parts: Vec<&str> = text.split(' ').collect();
    let [nonce, safe_tx_hash, ending, transaction, height] = parts.as_slice() else {
        return Err(malformed(
            "executed",
            "is not `<nonce> <Safe transaction> <ending> <transaction> <height>`",
        ));
    };
    let ending = Ending::ALL.into_iter().find(|known| known.as_str() == *ending);
    Ok(ExecutedFact {
        nonce: field::number("executed", nonce)?,
        safe_tx_hash: hash("executed", safe_tx_hash)?,
        ending: ending.ok_or_else(|| malformed("executed", "is neither paid, reverted nor odd"))?,
        transaction: hash("executed", transaction)?,
        height: field::number("executed", height)?,
    })
}

fn addresses(reader: &mut Reader<'_>, key: &'static str) -> Result<Vec<Address>, Invalid> {
    reader.take_all(key, COINS_MAX)?.into_iter().map(|text| address(key, text)).collect()
}

pub(super) fn address(field: &'static str, text: &str) -> Result<Address, Invalid> {
    crate::withdrawal::evm_address::read(text).map_err(|problem| malformed(field, problem))
}

fn contract(field: &'static str, text: &str) -> Result<Contract, Invalid> {
    let (at, code_hash) = pair(field, text)?;
    Ok(Contract { address: address(field, at)?, code_hash: hash(field, code_hash)? })
}

pub(super) fn hash(field: &'static str, text: &str) -> Result<B256, Invalid> {
    field::hex::<32>(field, text).map(B256::from)
}

fn version(text: &str) -> Result<String, Invalid> {
    if text.len() > VERSION_LEN_MAX {
        let problem = format!("is {} bytes long, the limit is {VERSION_LEN_MAX}", text.len());
        return Err(Invalid::new(Code::FieldTooLong, "version", problem, "state what `VERSION()` answers"));
    }
    field::graphic("version", text)
}

/// A decimal number of up to 256 bits, without sign or leading zero.
fn number_256(field: &'static str, text: &str) -> Result<U256, Invalid> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let read = U256::from_str(text).ok().filter(|number| digits && number.to_string() == text);
    read.ok_or_else(|| malformed(field, "is not a plain decimal number of up to 256 bits"))
}
