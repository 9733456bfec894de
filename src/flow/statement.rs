//! Statements arrive: numbers, prices, positions, the chain, and coins with the transactions that prove them (L10, L18).
//! Signer and co-signer take them by the same functions, each into its own treasury.

use std::collections::HashMap;

use ::bitcoin::hashes::Hash;
use ::bitcoin::{OutPoint, Script, Txid};
use wallet_policy::price::Band;

use super::ledger::Treasury;
use super::ledger::coins::{Coin, CoinState, Coins};
use super::ledger::deposits::Moved;
use super::ledger::facts::heard_at;
use super::ledger::journal::Draft;
use super::ledger::lane::{Ended, Told};
use super::ledger::odd;
use super::ledger::rows::{self, CoinRow, Signed, StatementRow};
use super::ledger::treasury::Taken;
use crate::audit::EntryKind;
use crate::bitcoin::coin::RawTransaction;
use crate::evidence::SafeFact;
use crate::evidence::statement::{Body, Statement, VerifiedStatement};
use crate::store::Table;
use crate::withdrawal::{Asset, Code, Finding};

/// How a party recognises its own scripts.
pub trait OwnScripts {
    /// Branch and index of one of our scripts.
    fn find(&self, script: &Script) -> Option<(u32, u32)>;
}

/// The key of a statement's row.
pub fn key(statement: &Statement) -> String {
    format!("{}/{}/{:020}", statement.observer, statement.body.kind().as_str(), statement.number)
}

/// The key of the row that holds the newest statement of an observer and kind. One of an older block than what was stated before
/// (`is_older`) does not take that one's place: its number counts, and nothing else of it.
pub fn latest_key(statement: &Statement, is_older: bool) -> String {
    let of = match &statement.body {
        _ if is_older => "/older".to_owned(),
        // Each Safe's own.
        Body::Safe(fact) => format!("/{}:{}", fact.chain, fact.safe),
        // Each page's own.
        Body::Deposits(fact) => format!("/{}:{}/{}", fact.chain, fact.treasury, fact.page),
        Body::Coins { .. } | Body::Position { .. } | Body::Price(_) | Body::Chain(_) | Body::Ownership(_) => {
            String::new()
        }
    };
    format!("latest/{}/{}{of}", statement.observer, statement.body.kind().as_str())
}

/// The key of the row that holds the statement in which the nonce of its Safe grew last.
fn grown_key(fact: &SafeFact) -> String {
    format!("grown/{}:{}", fact.chain, fact.safe)
}

/// The key of the row that holds the statement whose price of an asset stands.
pub fn accepted_key(asset: Asset) -> String {
    format!("accepted/price/{asset}")
}

/// The coins whose rows a party must read before it takes a statement, so that what was spent is never taken for new:
/// those it does not have in memory, and those it has reserved, which may be spent by the time the statement is taken.
pub fn unsure(coins: &Coins, statement: &Statement) -> Vec<OutPoint> {
    let is_free = |o: &OutPoint| coins.coin(o).is_some_and(|coin| coin.state == CoinState::Free);
    outpoints(statement).into_iter().filter(|outpoint| !is_free(outpoint)).collect()
}

/// The coins a statement speaks of.
fn outpoints(statement: &Statement) -> Vec<OutPoint> {
    match &statement.body {
        Body::Coins { coins, .. } => {
            coins.iter().map(|c| OutPoint { txid: Txid::from_byte_array(c.txid), vout: c.vout }).collect()
        }
        Body::Position { .. }
        | Body::Price(_)
        | Body::Chain(_)
        | Body::Safe(_)
        | Body::Deposits(_)
        | Body::Ownership(_) => Vec::new(),
    }
}

/// What stays the same for every statement a party takes.
pub struct Taking<'a> {
    /// The asset of the Bitcoin wallet.
    pub asset: Asset,
    /// How the price of an asset may move.
    pub band: &'a (dyn Fn(Asset) -> Band + Sync),
    /// The party's own scripts.
    pub scripts: &'a (dyn OwnScripts + Sync),
    /// Rows of the coins that [`unsure`] names, as many as there are, by outpoint.
    pub stored: &'a HashMap<OutPoint, CoinRow>,
    /// The state column of the statement's row.
    pub state: &'static str,
}

/// Takes a verified statement into a treasury and a draft. Coins are proved before anything is changed.
pub fn take(
    treasury: &mut Treasury,
    draft: &mut Draft,
    taking: &Taking<'_>,
    verified: &VerifiedStatement,
) -> Result<(u64, Vec<Ended>), Finding> {
    let statement = verified.statement();
    let coins = prove(treasury, taking, statement)?;
    let digest = data_encoding::HEXLOWER.encode(verified.digest());
    let log_index = draft.entry(
        EntryKind::Statement,
        &[
            ("observer", &statement.observer),
            ("statement", &statement.body.kind().as_str()),
            ("number", &statement.number),
            ("digest", &digest),
            ("stated_at", &statement.at.0),
        ],
    );
    let signed = Signed {
        text: verified.text().to_owned(),
        key_id: statement.observer.clone(),
        signature: data_encoding::HEXLOWER.encode(verified.signature()),
    };
    let content = rows::write(&StatementRow { signed });
    let at = heard_at(statement.at, draft.now());
    let latest = latest_key(statement, treasury.is_older(statement));
    let Taken { accepted, of_safe: Told { ended, grew, doubt }, moved } =
        treasury.take(statement, at, taking.band);
    enter_ended(draft, statement, &ended);
    enter_odd(treasury, draft, statement, &ended);
    enter_deposits(draft, statement, &moved);
    if let Some(doubt) = doubt {
        enter_alarm(draft, &key(statement), &doubt);
    }
    if let (true, Body::Safe(fact)) = (grew, &statement.body) {
        draft.row(Table::Statement, grown_key(fact), "grown", at, content.clone());
    }
    for asset in accepted {
        draft.row(Table::Statement, accepted_key(asset), "accepted", at, content.clone());
    }
    draft.row(Table::Statement, latest, "latest", at, content.clone());
    draft.row(Table::Statement, key(statement), taking.state, at, content);
    if let Body::Position { swept, .. } = &statement.body {
        for txid in swept {
            let txid = Txid::from_byte_array(*txid).to_string();
            if let Some(counted) = treasury.accounts_mut().find_map(|(_, account)| account.count(&txid)) {
                draft.row(
                    Table::Setting,
                    format!("swept/{counted}"),
                    "counted",
                    statement.at,
                    "{}".to_owned(),
                );
            }
            if let Some((id, refill)) = treasury.refills.counted(&txid) {
                draft.row(Table::Refill, id, "counted", statement.at, rows::write(&refill));
            }
        }
    }
    for coin in coins {
        record(treasury, draft, taking, statement, coin);
    }
    Ok((log_index, ended))
}

/// People hear of it with the commit that changes what is known, so once: of a statement that is not believed, until one is again,
/// and of a token that stops.
fn enter_alarm(draft: &mut Draft, subject: &str, finding: &Finding) {
    tracing::error!(code = %finding.code, subject, "{}", finding.detail);
    let detail = Draft::spelled(&finding.detail);
    draft.entry(EntryKind::Alarm, &[("code", &finding.code), ("subject", &subject), ("detail", &detail)]);
}

/// A token that did not pay as asked stands still from now on, after a restart too. One that stands still already is no news.
fn enter_odd(treasury: &mut Treasury, draft: &mut Draft, statement: &Statement, ended: &[Ended]) {
    for ended in ended {
        let asset = ended.claim.asset;
        let was_free = treasury.odd.are_reviewed(asset).is_ok();
        let Some(row) = treasury.odd.note(&statement.observer, ended) else { continue };
        draft.row(Table::Setting, row.key(), odd::STATE, draft.now(), rows::write(&row));
        if let (true, Err(finding)) = (was_free, treasury.odd.are_reviewed(asset)) {
            enter_alarm(draft, &row.asset, &finding);
        }
    }
}

/// Writes down what became of our Safe transactions.
fn enter_ended(draft: &mut Draft, statement: &Statement, ended: &[Ended]) {
    for Ended { claim, fact } in ended {
        let withdrawals: Vec<String> = claim.withdrawals.iter().map(ToString::to_string).collect();
        draft.entry(
            EntryKind::Executed,
            &[
                ("reservation", &claim.reservation),
                ("txid", &claim.hash),
                ("transaction", &fact.transaction),
                ("ending", &fact.ending.as_str()),
                ("asset", &claim.asset),
                ("withdrawals", &withdrawals.join(" ")),
                ("height", &fact.height),
                ("observer", &statement.observer),
                ("number", &statement.number),
            ],
        );
    }
}

/// Writes down what lies at a deposit address, wherever that is another amount than before.
fn enter_deposits(draft: &mut Draft, statement: &Statement, moved: &[Moved]) {
    for Moved { address, held, height } in moved {
        draft.entry(
            EntryKind::Deposit,
            &[
                ("address", &crate::withdrawal::evm_address::spell(*address)),
                ("asset", &Asset::Evm(held.asset)),
                ("index", &held.index),
                ("amount", &held.amount),
                ("height", height),
                ("observer", &statement.observer),
                ("number", &statement.number),
            ],
        );
    }
}

fn record(
    treasury: &mut Treasury,
    draft: &mut Draft,
    taking: &Taking<'_>,
    statement: &Statement,
    coin: Coin,
) {
    let known = treasury.coins.coin(&coin.outpoint).copied();
    if known.is_none() {
        draft.entry(
            EntryKind::Coin,
            &[
                ("outpoint", &coin.outpoint),
                ("asset", &taking.asset),
                ("amount", &coin.amount_sat),
                ("state", &"unspent"),
                ("branch", &coin.branch),
                ("index", &coin.index),
                ("confirmations", &coin.confirmations),
                ("observer", &statement.observer),
                ("number", &statement.number),
            ],
        );
        welcome(treasury, draft, taking, &coin);
    }
    if known != Some(coin) {
        let row = CoinRow::of(&coin);
        draft.row(Table::Coin, coin.outpoint.to_string(), row.state(), draft.now(), rows::write(&row));
        treasury.coins.put(coin);
    }
}

/// A new coin is a customer's, or a refill's that was waited for.
fn welcome(treasury: &mut Treasury, draft: &mut Draft, taking: &Taking<'_>, coin: &Coin) {
    if !coin.is_change() {
        let at = wallet_policy::Seconds(draft.now().0);
        // The window only forecasts need: a clock that went back is told of where it is decided.
        if let Some(account) = treasury.of_mut(taking.asset) {
            let _ = account.sums.came.spend(at, wallet_policy::Units(u128::from(coin.amount_sat)));
        }
    }
    let Some((id, refill)) = treasury.refills.came(&coin.outpoint) else { return };
    draft.entry(
        EntryKind::Refill,
        &[
            ("refill", &id),
            ("state", &"seen"),
            ("asset", &taking.asset),
            ("amount", &coin.amount_sat),
            ("destination", &refill.address),
            ("txids", &coin.outpoint.txid),
        ],
    );
    draft.row(Table::Refill, id, "seen", draft.now(), rows::write(&refill));
}

/// What the stated coins are, each proved by its raw transaction or by what the party recorded before.
fn prove(treasury: &Treasury, taking: &Taking<'_>, statement: &Statement) -> Result<Vec<Coin>, Finding> {
    let Body::Coins { transactions, coins } = &statement.body else { return Ok(Vec::new()) };
    let mut proofs: HashMap<Txid, RawTransaction> = HashMap::with_capacity(transactions.len());
    for raw in transactions {
        let read = RawTransaction::read(raw).map_err(|e| Finding::new(e.code(), e.to_string()))?;
        proofs.insert(read.txid(), read);
    }
    let mut proved = Vec::with_capacity(coins.len());
    for stated in coins {
        let outpoint = OutPoint { txid: Txid::from_byte_array(stated.txid), vout: stated.vout };
        if let Some(known) = treasury.coins.coin(&outpoint) {
            let chain_depth = if stated.confirmations > 0 { 0 } else { known.chain_depth };
            proved.push(Coin { confirmations: stated.confirmations, chain_depth, ..*known });
        } else if taking.stored.contains_key(&outpoint) {
            // Recorded and spent before: the observer may still see it, we never spend it again.
        } else {
            proved.push(prove_new(taking, proofs.get(&outpoint.txid), outpoint, stated.confirmations)?);
        }
    }
    Ok(proved)
}

fn prove_new(
    taking: &Taking<'_>,
    proof: Option<&RawTransaction>,
    outpoint: OutPoint,
    confirmations: u32,
) -> Result<Coin, Finding> {
    let no = |detail: String| Finding::new(Code::CoinProofInvalid, detail);
    let proof =
        proof.ok_or_else(|| no(format!("the raw transaction of {outpoint} is not in the statement")))?;
    let at = usize::try_from(outpoint.vout).unwrap_or(usize::MAX);
    let (amount_sat, script) = proof
        .outputs()
        .nth(at)
        .ok_or_else(|| no(format!("{outpoint} is not an output of its transaction")))?;
    let (branch, index) = taking
        .scripts
        .find(script)
        .ok_or_else(|| no(format!("{outpoint} does not pay an address of this wallet")))?;
    Ok(Coin {
        outpoint,
        amount_sat,
        branch,
        index,
        confirmations,
        chain_depth: 0,
        coinbase: proof.is_coinbase(),
        state: CoinState::Free,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::statement::Coin as StatedCoin;
    use crate::withdrawal::{Network, ReservationId, Seconds};

    struct Nobody;

    impl OwnScripts for Nobody {
        fn find(&self, _script: &Script) -> Option<(u32, u32)> {
            None
        }
    }

    fn coin(n: u8, state: CoinState) -> Coin {
        let outpoint = OutPoint { txid: Txid::from_byte_array([n; 32]), vout: 0 };
        let (branch, index, confirmations, chain_depth) = (0, 0, 1, 0);
        Coin { outpoint, amount_sat: 100, branch, index, confirmations, chain_depth, coinbase: false, state }
    }

    fn stated(coins: &[Coin]) -> Statement {
        let coin =
            |c: &Coin| StatedCoin { txid: *c.outpoint.txid.as_byte_array(), vout: 0, confirmations: 1 };
        let body = Body::Coins { transactions: Vec::new(), coins: coins.iter().map(coin).collect() };
        Statement { observer: "watcher".to_owned(), number: 1, after: 0, at: Seconds(1), body }
    }

    #[test]
    fn a_coin_spent_between_the_look_at_its_row_and_the_statement_stays_spent() {
        let by = ReservationId::of_txid(&[7; 32]);
        let (reserved, free) = (coin(1, CoinState::Reserved(by)), coin(2, CoinState::Free));
        let mut treasury = Treasury::new(1, std::iter::empty());
        treasury.coins.put(reserved);
        treasury.coins.put(free);
        let statement = stated(&[reserved, free, coin(3, CoinState::Free)]);
        // what the store has of the coins that are read before the batch is decided
        let rows = [reserved, free].map(|coin| (coin.outpoint, CoinRow::of(&coin)));
        let unsure = unsure(&treasury.coins, &statement);
        let stored: HashMap<_, _> = rows.into_iter().filter(|(o, _)| unsure.contains(o)).collect();
        // the command before it in the same batch brings both signatures
        treasury.coins.set_state(&reserved.outpoint, CoinState::Spent(by));
        let asset = Asset::Bitcoin(Network::Regtest);
        let band = |_| Band { move_bp_max: 0, settle_s: 0 };
        let taking = Taking { asset, band: &band, scripts: &Nobody, stored: &stored, state: "undelivered" };
        let proved = prove(&treasury, &taking, &stated(&[reserved, free])).unwrap();
        assert_eq!(proved.iter().map(|coin| coin.outpoint).collect::<Vec<_>>(), [free.outpoint]);
        assert_eq!(prove(&treasury, &taking, &statement).unwrap_err().code, Code::CoinProofInvalid);
    }
}
