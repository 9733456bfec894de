//! One look at a page of deposit addresses: what lies there at the final block, by balance, so that what came within a call counts
//! too. Every single answer is agreed on by itself.

use alloy_primitives::KECCAK256_EMPTY;
use futures_util::future::try_join_all;
use sha2::{Digest, Sha256};

use super::look::{Blocks, LookFault};
use super::watch::Watch;
use crate::ethereum::{Address, Deposits, Units};
use crate::evidence::statement_deposits::PAGE_LEN;
use crate::evidence::{DepositsFact, Held};
use crate::node::{Agreed, Block, NotAgreed};
use crate::withdrawal::{Amount, EvmAsset, Seconds};

/// How many pages of a chain are looked at in one turn: those after them come in the next turns, and then the first again.
pub(super) const PAGES_AT_ONCE: u32 = 4;
/// How many addresses are asked about at the same time.
const ADDRESSES_AT_ONCE: usize = 10;
/// How long a page may stay unstated that nothing changed on, in seconds: who lost what was stated hears it again.
const RESTATED_S: u64 = 86_400;

/// Everything at one page of deposit addresses at the final block. All indices of the page are looked at, whoever has them.
pub async fn deposits_fact(
    watch: &Watch,
    deposits: &Deposits,
    page: u32,
    now: Seconds,
) -> Result<DepositsFact, LookFault> {
    let blocks = Blocks::ask(&watch.nodes, watch.bounds, now).await?;
    let at = blocks.last.block();
    let first = page.saturating_mul(PAGE_LEN);
    let places = (first..first.saturating_add(PAGE_LEN)).map(|index| (index, deposits.address(index.into())));
    let places: Vec<(u32, Address)> = places.collect();
    let mut looks: Vec<Look> = Vec::with_capacity(places.len());
    for some in places.chunks(ADDRESSES_AT_ONCE) {
        let each = some.iter().map(|(index, address)| look(watch, &at, *index, *address));
        looks.extend(try_join_all(each).await?);
    }
    let is_told = |asset: &EvmAsset| looks.iter().all(|look| look.amount(*asset).is_some());
    let assets: Vec<EvmAsset> = assets_of(watch).into_iter().filter(is_told).collect();
    let held = looks.iter().flat_map(|look| assets.iter().filter_map(|asset| look.held(*asset))).collect();
    let mut fact = DepositsFact {
        chain: watch.chain(),
        treasury: deposits.treasury(),
        height: at.value().number,
        block_hash: at.value().hash,
        page,
        assets,
        deployed: Vec::new(),
        held,
    };
    fact.deployed = deployed(watch, &at, deposits, &fact.held).await?;
    if fact.assets.is_empty() {
        return Err(LookFault::TooLarge("what lies at every deposit address"));
    }
    Ok(fact)
}

/// What tells one content of a page from another, and is another each day.
pub(super) fn mark(fact: &DepositsFact, now: Seconds) -> String {
    let day = now.0.checked_div(RESTATED_S).unwrap_or_default();
    let content = format!("{day} {:?} {:?} {:?}", fact.assets, fact.deployed, fact.held);
    data_encoding::HEXLOWER.encode(&Sha256::digest(content.as_bytes()))
}

fn assets_of(watch: &Watch) -> Vec<EvmAsset> {
    let mut assets: Vec<EvmAsset> =
        [EvmAsset::Ether(watch.chain())].into_iter().chain(watch.tokens.iter().copied()).collect();
    // the order in which a statement has them
    assets.sort_unstable();
    assets
}

/// What lies at one address; nothing is said of what did not answer, or is larger than a statement holds.
struct Look {
    index: u32,
    amounts: Vec<(EvmAsset, Option<Amount>)>,
}

impl Look {
    fn amount(&self, asset: EvmAsset) -> Option<Amount> {
        self.amounts.iter().find(|(of, _)| *of == asset)?.1
    }

    fn held(&self, asset: EvmAsset) -> Option<Held> {
        let amount = self.amount(asset).filter(|amount| !amount.is_zero())?;
        Some(Held { index: self.index, asset, amount })
    }
}

async fn look(watch: &Watch, at: &Agreed<Block>, index: u32, address: Address) -> Result<Look, NotAgreed> {
    let mut amounts = Vec::with_capacity(watch.tokens.len().saturating_add(1));
    for asset in assets_of(watch) {
        let units = match asset.contract() {
            None => Some(watch.nodes.balance(at, address).await?.into_value()),
            Some(contract) => watch.nodes.token_balance(at, contract, address).await?.into_value(),
        };
        amounts.push((asset, units.and_then(|units: Units| units.amount())));
    }
    Ok(Look { index, amounts })
}

async fn deployed(
    watch: &Watch,
    at: &Agreed<Block>,
    deposits: &Deposits,
    held: &[Held],
) -> Result<Vec<u32>, LookFault> {
    let mut indices: Vec<u32> = held.iter().map(|held| held.index).collect();
    indices.dedup();
    let mut standing = Vec::new();
    for some in indices.chunks(ADDRESSES_AT_ONCE) {
        let each = some.iter().map(|index| async move {
            let code = watch.nodes.code_hash(at, deposits.address((*index).into())).await?.into_value();
            Ok::<_, NotAgreed>((code != KECCAK256_EMPTY).then_some(*index))
        });
        standing.extend(try_join_all(each).await?.into_iter().flatten());
    }
    Ok(standing)
}
