//! What became of a Safe's nonces since the last statement: its own logs, the receipts and the data of the transactions around
//! them. The logs must add up to the nonce, or nothing is said.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::look::{Blocks, LookFault};
use super::state::Cursor;
use crate::ethereum::{SafeWallet, Verdict, Witnessed, witness};
use crate::evidence::statement::COINS_MAX;
use crate::evidence::{Ending, ExecutedFact};
use crate::node::{Nodes, SafeLog, Settled};

/// Transactions that are asked about at once.
const AT_ONCE: usize = 4;

/// The executions of one transaction, and the Safe's nonce before the first of them.
struct Group {
    nonce: u64,
    logs: Vec<SafeLog>,
}

/// What a Safe executed after the cursor, up to the final block where it has this nonce; with the cursor behind what is told.
/// As many whole blocks as a statement holds.
pub(super) async fn executed(
    nodes: &Nodes,
    wallet: &SafeWallet,
    blocks: &Blocks,
    (cursor, nonce): (Cursor, u64),
) -> Result<(Vec<ExecutedFact>, Cursor), LookFault> {
    let last = blocks.last.block();
    let height = last.value().number;
    if height < cursor.height {
        return Err(LookFault::Contradiction("the final block lies before the one that was stated last"));
    }
    let mut logs = Vec::new();
    if let Some(first) = cursor.height.checked_add(1).filter(|first| *first <= height) {
        logs = nodes.history(wallet.address(), first, &last).await?.into_value();
    }
    let count = u64::try_from(logs.len()).ok();
    if count.and_then(|count| cursor.nonce.checked_add(count)) != Some(nonce) {
        return Err(LookFault::Contradiction("the executions do not add up to the Safe's nonce"));
    }
    let (logs, behind) = whole_blocks(logs, cursor, Cursor { nonce, height });
    let asked = groups(logs, cursor.nonce).into_iter().map(|group| ending(nodes, wallet, blocks, group));
    let told: Vec<Vec<ExecutedFact>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    Ok((told.into_iter().flatten().collect(), behind))
}

/// The logs that one statement holds, no block cut in two, and the cursor behind them.
fn whole_blocks(mut logs: Vec<SafeLog>, from: Cursor, to: Cursor) -> (Vec<SafeLog>, Cursor) {
    let Some(over) = logs.get(COINS_MAX).map(|log| log.block) else { return (logs, to) };
    logs.retain(|log| log.block < over);
    let told = u64::try_from(logs.len()).unwrap_or_default();
    let height = logs.last().map_or(from.height, |log| log.block);
    (logs, Cursor { nonce: from.nonce.saturating_add(told), height })
}

/// The logs of each transaction together.
fn groups(logs: Vec<SafeLog>, first: u64) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (log, nonce) in logs.into_iter().zip(first..) {
        match groups.last_mut() {
            Some(group) if group.logs.iter().any(|known| known.transaction == log.transaction) => {
                group.logs.push(log);
            }
            _ => groups.push(Group { nonce, logs: vec![log] }),
        }
    }
    groups
}

async fn ending(
    nodes: &Nodes,
    wallet: &SafeWallet,
    blocks: &Blocks,
    group: Group,
) -> Result<Vec<ExecutedFact>, LookFault> {
    let Some(first) = group.logs.first().copied() else { return Ok(Vec::new()) };
    let settled = nodes.settled(first.transaction, &blocks.head, &blocks.last).await?.into_value();
    let Settled::Final(found) = settled else {
        return Err(LookFault::Contradiction("a transaction of a final block is not final"));
    };
    let input = nodes.input(first.transaction).await?.into_value();
    let told = witness(&found.receipt, &input, wallet, group.nonce);
    let same = told.iter().map(|told| told.hash).eq(group.logs.iter().map(|log| log.safe_tx_hash));
    if !same || (found.block, found.block_hash) != (first.block, first.block_hash) {
        return Err(LookFault::Contradiction("a receipt and the logs of its block differ"));
    }
    let fact = |(told, nonce): (&Witnessed, u64)| ExecutedFact {
        nonce,
        safe_tx_hash: told.hash,
        ending: ending_of(told),
        transaction: first.transaction,
        height: first.block,
    };
    Ok(told.iter().zip(group.nonce..).map(fact).collect())
}

fn ending_of(told: &Witnessed) -> Ending {
    match told.verdict {
        Some(Verdict::Paid) => Ending::Paid,
        Some(Verdict::Reverted) => Ending::Reverted,
        Some(Verdict::NotAsAsked(_) | Verdict::DepositLeft(_) | Verdict::Absent | Verdict::Contradiction)
        | None => Ending::Odd,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ethereum::B256;

    fn log(block: u64, transaction: u8) -> SafeLog {
        let transaction = B256::repeat_byte(transaction);
        let (block_hash, safe_tx_hash) = (B256::repeat_byte(1), B256::ZERO);
        SafeLog { block, block_hash, log_index: 0, transaction, safe_tx_hash, succeeded: true }
    }

    #[test]
    fn a_statement_holds_whole_blocks_and_the_next_one_goes_on_behind_them() {
        let (from, to) = (Cursor { nonce: 5, height: 10 }, Cursor { nonce: 1_205, height: 99 });
        let logs: Vec<_> = (0..1_200).map(|at| log(11 + at / 300, 7)).collect();
        let (told, behind) = whole_blocks(logs.clone(), from, to);
        assert_eq!((told.len(), behind), (900, Cursor { nonce: 905, height: 13 }));
        let rest: Vec<_> = logs.into_iter().filter(|log| log.block > behind.height).collect();
        let (told, behind) = whole_blocks(rest, behind, to);
        assert_eq!((told.len(), behind), (300, to));
    }

    #[test]
    fn executions_of_one_transaction_stand_together_with_the_nonce_before_them() {
        let groups = groups(vec![log(1, 1), log(1, 1), log(1, 2), log(2, 3)], 7);
        let nonces: Vec<_> = groups.iter().map(|group| (group.nonce, group.logs.len())).collect();
        assert_eq!(nonces, [(7, 2), (9, 1), (10, 1)]);
    }
}
