//! The body lines of each kind of statement, read and written.

use data_encoding::HEXLOWER;

use super::canonical::{Reader, Writer, malformed};
use super::field;
use super::statement::{Body, COINS_MAX, ChainFact, Coin, StatementKind, each_once};
use super::statement_deposits::{parse_deposits, write_deposits};
use super::statement_ownership::{parse_ownership, write_ownership};
use super::statement_safe::{parse_safe, write_safe};
use crate::withdrawal::{Amount, Asset, Code, FeeRate, Invalid, Krw};

/// Adds the lines of a body.
pub(super) fn write_body(writer: Writer, body: &Body) -> Writer {
    match body {
        Body::Coins { transactions, coins } => writer
            .lines("transaction", transactions.iter().map(|raw| HEXLOWER.encode(raw)))
            .lines("coin", coins.iter().map(write_coin)),
        Body::Position { cold, swept } => writer
            .lines("cold", cold.iter().map(|(asset, amount)| format!("{asset} {amount}")))
            .lines("swept", swept.iter().map(shown)),
        Body::Price(prices) => {
            writer.lines("price", prices.iter().map(|(asset, krw)| format!("{asset} {krw}")))
        }
        Body::Chain(chains) => writer
            .lines("tip", chains.iter().map(|c| format!("{} {}", c.chain, c.height)))
            .lines("fee_rate", chains.iter().map(|c| format!("{} {}", c.chain, c.fee_rate))),
        Body::Safe(fact) => write_safe(writer, fact),
        Body::Ownership(fact) => write_ownership(writer, fact),
        Body::Deposits(fact) => write_deposits(writer, fact),
    }
}

/// Reads the lines of a body; at least one fact must be there, but for coins: that none changed is news.
pub(super) fn parse_body(kind: StatementKind, reader: &mut Reader<'_>) -> Result<Body, Invalid> {
    match kind {
        StatementKind::Coins => parse_coins(reader),
        StatementKind::Position => {
            let cold = facts(reader, "cold", |text| {
                let (asset, units) = asset_and("cold", text)?;
                let amount = if units == "0" { Amount::ZERO } else { field::amount("cold", units, asset)? };
                Ok((asset, amount))
            })?;
            each_once("cold", cold.iter().map(|(asset, _)| *asset))?;
            let swept = reader.take_all("swept", COINS_MAX)?;
            let swept =
                swept.into_iter().map(|txid| internal("swept", txid)).collect::<Result<Vec<_>, _>>()?;
            each_once("swept", swept.iter().copied())?;
            Ok(Body::Position { cold, swept })
        }
        StatementKind::Price => {
            let prices = facts(reader, "price", |text| {
                let (asset, krw) = asset_and("price", text)?;
                match field::number("price", krw)? {
                    0 => Err(Invalid::new(Code::AmountZero, "price", "is zero", "state a positive price")),
                    krw => Ok((asset, Krw(krw.into()))),
                }
            })?;
            each_once("price", prices.iter().map(|(asset, _)| *asset))?;
            Ok(Body::Price(prices))
        }
        StatementKind::Chain => parse_chain(reader),
        StatementKind::Safe => parse_safe(reader).map(|fact| Body::Safe(Box::new(fact))),
        StatementKind::Ownership => parse_ownership(reader).map(Body::Ownership),
        StatementKind::Deposits => parse_deposits(reader).map(|fact| Body::Deposits(Box::new(fact))),
    }
}

fn parse_coins(reader: &mut Reader<'_>) -> Result<Body, Invalid> {
    let transactions = reader.take_all("transaction", COINS_MAX)?;
    each_once("transaction", transactions.iter().copied())?;
    let transactions = transactions
        .into_iter()
        .map(|hex| {
            HEXLOWER.decode(hex.as_bytes()).map_err(|_| malformed("transaction", "is not lower-case hex"))
        })
        .collect::<Result<_, _>>()?;
    let coins = reader.take_all("coin", COINS_MAX)?.into_iter().map(parse_coin);
    let coins = coins.collect::<Result<Vec<_>, _>>()?;
    each_once("coin", coins.iter().map(|coin| (coin.txid, coin.vout)))?;
    Ok(Body::Coins { transactions, coins })
}

fn write_coin(coin: &Coin) -> String {
    format!("{}:{} {}", shown(&coin.txid), coin.vout, coin.confirmations)
}

/// A transaction id as explorers print it.
fn shown(txid: &[u8; 32]) -> String {
    let mut shown = *txid;
    shown.reverse();
    HEXLOWER.encode(&shown)
}

/// The internal byte order of a transaction id as explorers print it.
fn internal(field: &'static str, text: &str) -> Result<[u8; 32], Invalid> {
    let mut txid = field::hex::<32>(field, text)?;
    txid.reverse();
    Ok(txid)
}

fn parse_coin(text: &str) -> Result<Coin, Invalid> {
    let parts = text.split_once(' ').and_then(|(point, depth)| Some((point.split_once(':')?, depth)));
    let Some(((txid, vout), depth)) = parts else {
        return Err(malformed("coin", "is not `<txid>:<vout> <confirmations>`"));
    };
    let txid = internal("coin", txid)?;
    let vout = field::number_32("coin", vout)?;
    Ok(Coin { txid, vout, confirmations: field::number_32("coin", depth)? })
}

fn parse_chain(reader: &mut Reader<'_>) -> Result<Body, Invalid> {
    let tips = facts(reader, "tip", |text| {
        let (chain, height) = pair("tip", text)?;
        Ok((field::chain("tip", chain)?, field::number_32("tip", height)?))
    })?;
    let rates = facts(reader, "fee_rate", |text| {
        let (chain, rate) = pair("fee_rate", text)?;
        Ok((field::chain("fee_rate", chain)?, FeeRate(field::number("fee_rate", rate)?)))
    })?;
    each_once("tip", tips.iter().map(|(chain, _)| *chain))?;
    each_once("fee_rate", rates.iter().map(|(chain, _)| *chain))?;
    if !tips.iter().map(|(chain, _)| chain).eq(rates.iter().map(|(chain, _)| chain)) {
        return Err(malformed("fee_rate", "does not name the networks of the `tip` lines in their order"));
    }
    let chains = tips.into_iter().zip(rates);
    Ok(Body::Chain(
        chains.map(|((chain, height), (_, fee_rate))| ChainFact { chain, height, fee_rate }).collect(),
    ))
}

pub(super) fn facts<T>(
    reader: &mut Reader<'_>,
    key: &'static str,
    read: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Vec<T>, Invalid> {
    let lines = reader.take_all(key, COINS_MAX)?;
    if lines.is_empty() {
        // Names what stands there instead.
        reader.take(key)?;
    }
    lines.into_iter().map(read).collect()
}

pub(super) fn pair<'a>(field: &'static str, text: &'a str) -> Result<(&'a str, &'a str), Invalid> {
    text.split_once(' ').ok_or_else(|| malformed(field, "is not two words with one blank between"))
}

pub(super) fn asset_and<'a>(field: &'static str, text: &'a str) -> Result<(Asset, &'a str), Invalid> {
    let (asset, rest) = pair(field, text)?;
    Ok((field::asset(field, asset)?, rest))
}
