//! One look at a chain: what is asked of the nodes, and the facts that come of it. Takes the time from its caller.

use alloy_primitives::KECCAK256_EMPTY;
use tokio::try_join;

use super::executed::executed;
use super::state::Cursor;
use super::watch::{Bounds, Watch, counted};
use crate::ethereum::pins::Pin;
use crate::ethereum::{
    Address, MessageError, SafeFacts, SafeWallet, Units, accepts, message_hash, ownership_call,
};
use crate::evidence::{ChainFact, Contract, OwnershipFact, SafeFact, digest};
use crate::node::{Agreed, Block, Call, FinalBlock, Nodes, NotAgreed, Outcome, SafeFault};
use crate::withdrawal::{Amount, Asset, Chain, Code, EvmAsset, FeeRate, Seconds};

/// There is nothing that could be stated now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookFault {
    /// The nodes do not agree.
    #[error(transparent)]
    NotAgreed(#[from] NotAgreed),
    /// No Safe answers there, or nobody knows.
    #[error(transparent)]
    Safe(#[from] SafeFault),
    /// A block is too old: the chain, its finality, or the nodes stand still.
    #[error("the newest {which} is {age_s} s old, the limit is {limit_s}")]
    Stalled {
        /// Which block.
        which: &'static str,
        /// Its age, in seconds.
        age_s: u64,
        /// The limit, in seconds.
        limit_s: u64,
    },
    /// What the nodes say of one thing does not fit what they say of another.
    #[error("what the nodes agree on contradicts itself: {0}")]
    Contradiction(&'static str),
    /// The contract does not accept the proof, or does not answer as a wallet does.
    #[error("the contract {0} does not accept this proof for this message")]
    NotAccepted(Address),
    /// The proof cannot be shown to a contract.
    #[error(transparent)]
    Proof(#[from] MessageError),
    /// A number is larger than a statement holds.
    #[error("{0} is larger than a statement holds")]
    TooLarge(&'static str),
}

impl LookFault {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::NotAgreed(no) => no.code(),
            Self::Safe(no) => no.code(),
            Self::NotAccepted(_) => Code::OwnershipNotProven,
            Self::Proof(no) => no.code(),
            Self::Stalled { .. } => Code::ChainStalled,
            Self::Contradiction(_) | Self::TooLarge(_) => Code::NodesNotAgreed,
        }
    }
}

/// The two blocks that a look is about.
pub(super) struct Blocks {
    /// The newest.
    pub head: Agreed<Block>,
    /// The newest final one.
    pub last: Agreed<FinalBlock>,
}

impl Blocks {
    /// Asks for both; neither may be older than its bound.
    pub async fn ask(nodes: &Nodes, bounds: Bounds, now: Seconds) -> Result<Self, LookFault> {
        let (head, last) = try_join!(nodes.latest(), nodes.last_final())?;
        young("block", head.value(), bounds.head_age_s_max, now)?;
        young("final block", last.value().block(), bounds.final_age_s_max, now)?;
        Ok(Self { head, last })
    }
}

fn young(which: &'static str, block: &Block, limit_s: u64, now: Seconds) -> Result<(), LookFault> {
    // a block's time may run a little ahead of ours
    let age_s = now.since(Seconds(block.time_s)).unwrap_or_default();
    if age_s <= limit_s { Ok(()) } else { Err(LookFault::Stalled { which, age_s, limit_s }) }
}

/// Height, and what gas costs: the next base fee and the usual tip.
pub async fn chain_fact(watch: &Watch, now: Seconds) -> Result<ChainFact, LookFault> {
    let blocks = Blocks::ask(&watch.nodes, watch.bounds, now).await?;
    let fees = watch.nodes.fees(&blocks.head).await?;
    let height = u32::try_from(blocks.head.value().number).map_err(|_| LookFault::TooLarge("the height"))?;
    let rate = fees.base_fee_next.checked_add(fees.tip).and_then(|wei| wei.checked_mul(1_000));
    let rate = rate.and_then(|rate| u64::try_from(rate).ok()).ok_or(LookFault::TooLarge("the fee rate"))?;
    Ok(ChainFact { chain: Chain::Evm(watch.chain()), height, fee_rate: FeeRate(rate) })
}

/// That a contract accepts a proof for a message, at the final block (EIP-1271).
pub async fn ownership_fact(
    watch: &Watch,
    contract: Address,
    (message, proof): (&str, &str),
    now: Seconds,
) -> Result<OwnershipFact, LookFault> {
    let question = Call::question(contract, ownership_call(message, proof)?);
    let blocks = Blocks::ask(&watch.nodes, watch.bounds, now).await?;
    let at = blocks.last.block();
    match watch.nodes.call(&at, question).await?.into_value() {
        Outcome::Returned(answer) if accepts(&answer) => Ok(OwnershipFact {
            chain: watch.chain(),
            height: at.value().number,
            block_hash: at.value().hash,
            contract,
            message_hash: message_hash(message),
            proof_digest: digest(proof),
        }),
        Outcome::Returned(_) | Outcome::Reverted(_) => Err(LookFault::NotAccepted(contract)),
    }
}

/// Everything of one Safe at the final block, and what it executed since the cursor; with the cursor behind that.
pub async fn safe_fact(
    watch: &Watch,
    wallet: &SafeWallet,
    cursor: Cursor,
    now: Seconds,
) -> Result<(SafeFact, Cursor), LookFault> {
    let blocks = Blocks::ask(&watch.nodes, watch.bounds, now).await?;
    let at = blocks.last.block();
    let facts = watch.nodes.safe(&at, wallet.address(), wallet.make().release).await?.into_value();
    let nonce = counted(facts.nonce).ok_or(LookFault::TooLarge("the nonce"))?;
    let balances = balances(watch, &at, wallet).await?;
    let decimals = decimals(watch, &at).await?;
    let (executed, behind) = executed(&watch.nodes, wallet, &blocks, (cursor, nonce)).await?;
    let mut fact = fact_of(facts, at.value());
    (fact.balances, fact.decimals, fact.executed) = (balances, decimals, executed);
    fact.executor = executor(watch, &at, wallet).await?;
    Ok((fact, behind))
}

/// The cursor from which a Safe is told of, if all up to this height is known: the nonce it had there.
pub async fn begin(watch: &Watch, wallet: &SafeWallet, height: u64) -> Result<Cursor, LookFault> {
    let last = watch.nodes.last_final().await?;
    if height > last.value().block().number {
        return Err(LookFault::Contradiction("the height to begin at is not final yet"));
    }
    let at = watch.nodes.block_at(height).await?;
    let code = watch.nodes.code_hash(&at, wallet.address()).await?.into_value();
    if code == KECCAK256_EMPTY {
        return Ok(Cursor { nonce: 0, height });
    }
    let facts = watch.nodes.safe(&at, wallet.address(), wallet.make().release).await?.into_value();
    let nonce = counted(facts.nonce).ok_or(LookFault::TooLarge("the nonce"))?;
    Ok(Cursor { nonce, height })
}

/// What cannot be written is left out: no party takes silence for zero.
async fn balances(
    watch: &Watch,
    at: &Agreed<Block>,
    wallet: &SafeWallet,
) -> Result<Vec<(Asset, Amount)>, LookFault> {
    let coin = EvmAsset::Ether(watch.chain());
    let wei = watch.nodes.balance(at, wallet.address()).await?.into_value();
    let mut found = vec![(coin, Some(wei))];
    for token in &watch.tokens {
        let Some(contract) = token.contract() else { continue };
        let units = watch.nodes.token_balance(at, contract, wallet.address()).await?;
        found.push((*token, units.into_value()));
    }
    let written = |(asset, units): (EvmAsset, Option<Units>)| Some((Asset::Evm(asset), units?.amount()?));
    Ok(found.into_iter().filter_map(written).collect())
}

/// What the account that pays gas has, at the very block of the Safe's nonce: a refuel that is done is in both.
async fn executor(
    watch: &Watch,
    at: &Agreed<Block>,
    wallet: &SafeWallet,
) -> Result<Option<(Address, Amount)>, LookFault> {
    let Some(account) = watch.executor(wallet.address()) else { return Ok(None) };
    let wei = watch.nodes.balance(at, account).await?.into_value();
    Ok(wei.amount().map(|amount| (account, amount)))
}

async fn decimals(watch: &Watch, at: &Agreed<Block>) -> Result<Vec<(EvmAsset, u8)>, LookFault> {
    let mut found = Vec::new();
    for token in &watch.tokens {
        let Some(contract) = token.contract() else { continue };
        let told = watch.nodes.token_decimals(at, contract).await?.into_value();
        found.extend(told.map(|decimals| (*token, decimals)));
    }
    Ok(found)
}

/// The facts of a Safe as a statement has them, without balances and ends.
pub fn fact_of(facts: SafeFacts, at: &Block) -> SafeFact {
    let contract = |pin: Pin| Contract { address: pin.address, code_hash: pin.code_hash };
    SafeFact {
        chain: facts.chain,
        safe: facts.address,
        height: at.number,
        block_hash: at.hash,
        proxy_code_hash: facts.proxy_code_hash,
        singleton: contract(facts.singleton),
        version: facts.version,
        owners: facts.owners,
        threshold: facts.threshold,
        modules: facts.modules,
        guard: facts.guard,
        module_guard: facts.module_guard,
        fallback_handler: contract(facts.fallback_handler),
        multi_send: contract(facts.multi_send),
        nonce: facts.nonce,
        balances: Vec::new(),
        decimals: Vec::new(),
        executor: None,
        executed: Vec::new(),
    }
}
