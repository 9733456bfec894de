//! The lines of deposit addresses in a statement: what lies at one page of a treasury's addresses at one final block. Judges none
//! of it.
//!
//! A page is stated as a whole: what was looked at and has no line there is zero.

use alloy_primitives::{Address, B256};

use super::canonical::{Reader, Writer, malformed};
use super::field;
use super::statement::each_once;
use super::statement_body::{asset_and, facts, pair};
use super::statement_safe::{address, hash};
use crate::withdrawal::evm_address::{is_payable, spell};
use crate::withdrawal::{Amount, Asset, Chain, ChainId, EvmAsset, Invalid};

/// How many indices a page has: page 0 those from 0 to 99, and so on.
pub const PAGE_LEN: u32 = 100;
/// The last page.
pub const PAGE_MAX: u32 = super::attestation::INDEX_MAX / PAGE_LEN;
/// The most assets of one chain that are looked at.
pub const DEPOSIT_ASSETS_MAX: usize = 32;
/// The most lines of what lies on a page: every asset at every index.
const HELD_MAX: usize = 3_200;

/// What lies at one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    /// The index of the address.
    pub index: u32,
    /// What lies there.
    pub asset: EvmAsset,
    /// All of it, never zero.
    pub amount: Amount,
}

/// What is stated of one page of deposit addresses, all of it read at one final block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositsFact {
    /// The chain.
    pub chain: ChainId,
    /// The treasury Safe that owns the addresses.
    pub treasury: Address,
    /// The height of the block.
    pub height: u64,
    /// The hash of the block.
    pub block_hash: B256,
    /// Which page.
    pub page: u32,
    /// What was looked at, each asset once. What is not here is not known.
    pub assets: Vec<EvmAsset>,
    /// The indices at which something lies and the Safe stands already, in ascending order.
    pub deployed: Vec<u32>,
    /// What lies there, in ascending order of index and asset; of an asset that was looked at and has no line, nothing.
    pub held: Vec<Held>,
}

/// Adds the lines of a page.
pub(super) fn write_deposits(writer: Writer, fact: &DepositsFact) -> Writer {
    writer
        .line("network", fact.chain)
        .line("safe", spell(fact.treasury))
        .line("block", format!("{} {:x}", fact.height, fact.block_hash))
        .line("page", fact.page)
        .lines("asset", fact.assets.iter())
        .lines("deployed", fact.deployed.iter())
        .lines("held", fact.held.iter().map(|held| format!("{} {} {}", held.index, held.asset, held.amount)))
}

/// Reads the lines of a page.
pub(super) fn parse_deposits(reader: &mut Reader<'_>) -> Result<DepositsFact, Invalid> {
    let chain = ChainId::parse(reader.take("network")?).map_err(|no| Invalid { field: "network", ..no })?;
    let treasury = address("safe", reader.take("safe")?)?;
    if !is_payable(treasury) {
        return Err(malformed("safe", "is the zero address or a precompiled contract"));
    }
    let (height, block_hash) = pair("block", reader.take("block")?)?;
    let (height, block_hash) = (field::number("block", height)?, hash("block", block_hash)?);
    let page = field::number_32("page", reader.take("page")?)?;
    if page > PAGE_MAX {
        return Err(malformed("page", format!("is above {PAGE_MAX}")));
    }
    let mut fact = DepositsFact {
        chain,
        treasury,
        height,
        block_hash,
        page,
        assets: facts(reader, "asset", |text| evm_asset("asset", field::asset("asset", text)?, chain))?,
        deployed: Vec::new(),
        held: Vec::new(),
    };
    if fact.assets.len() > DEPOSIT_ASSETS_MAX {
        return Err(malformed("asset", format!("stands there more than {DEPOSIT_ASSETS_MAX} times")));
    }
    each_once("asset", fact.assets.iter().copied())?;
    let deployed = reader.take_all("deployed", PAGE_LEN as usize)?;
    fact.deployed =
        deployed.into_iter().map(|text| field::number_32("deployed", text)).collect::<Result<_, _>>()?;
    let held = reader.take_all("held", HELD_MAX)?;
    fact.held = held.into_iter().map(|text| read_held(text, &fact)).collect::<Result<_, _>>()?;
    check_order(&fact)?;
    Ok(fact)
}

fn read_held(text: &str, fact: &DepositsFact) -> Result<Held, Invalid> {
    let (index, rest) = pair("held", text)?;
    let (asset, units) = asset_and("held", rest)?;
    let amount = field::amount("held", units, asset)?;
    let asset = evm_asset("held", asset, fact.chain)?;
    if !fact.assets.contains(&asset) {
        return Err(malformed("held", "is of an asset that was not looked at"));
    }
    Ok(Held { index: field::number_32("held", index)?, asset, amount })
}

fn evm_asset(field: &'static str, asset: Asset, chain: ChainId) -> Result<EvmAsset, Invalid> {
    match asset {
        Asset::Evm(asset) if asset.chain() == chain => Ok(asset),
        _ => Err(malformed(field, format!("is no asset of {}", Chain::Evm(chain)))),
    }
}

/// Every index is on the page, and nothing stands twice.
fn check_order(fact: &DepositsFact) -> Result<(), Invalid> {
    let on_page = |index: &u32| index / PAGE_LEN == fact.page;
    let places: Vec<_> = fact.held.iter().map(|held| (held.index, held.asset)).collect();
    if !fact.held.iter().all(|held| on_page(&held.index)) || !places.is_sorted_by(|a, b| a < b) {
        return Err(malformed(
            "held",
            "is of an index of another page, or not in ascending order, each once",
        ));
    }
    let is_held = |index: &u32| fact.held.iter().any(|held| held.index == *index);
    if !fact.deployed.iter().all(is_held) || !fact.deployed.is_sorted_by(|a, b| a < b) {
        return Err(malformed(
            "deployed",
            "is no index at which something lies, or not in ascending order, each once",
        ));
    }
    Ok(())
}
