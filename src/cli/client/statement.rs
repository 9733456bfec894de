//! The daily statement: one entry of the log, and what follows from it, as text, as CSV, or as a document.
//!
//! Everything shown is read from the entry's own bytes. The same day gives the same bytes for ever.

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use serde_json::json;

use super::connect::ConnectArgs;
use super::view;
use crate::audit::{Entry, EntryKind, LeafHash};
use crate::cli::answer::{Answer, Facts};
use crate::cli::problem::Problem;
use crate::desk::DailyStatement;
use crate::wire::v1;
use crate::withdrawal::{Amount, Asset, Code, Seconds};

/// What can be stated to an authority.
#[derive(Debug, Subcommand)]
pub enum StatementCommand {
    /// What rested hot and cold at the end of a day
    #[command(after_help = "\
Examples:
  countersign statement daily --profile auditor.toml --date 2026-11-21
  countersign statement daily --profile auditor.toml --date 2026-11-21 --csv
  countersign statement daily --profile auditor.toml --date 2026-11-21 --json

The day is Korea's (UTC+9). The service closes it by an entry of its log with the first second of the next day, or as soon
as it runs again. The statement is that entry: the same day gives the same bytes. It names the entry's index and the head
of the log right after it; `countersign audit verify` proves the log.")]
    Daily(DailyArgs),
}

/// What `daily` takes.
#[derive(Debug, Args)]
pub struct DailyArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The day, as 2026-11-21
    #[arg(long, value_name = "DATE")]
    pub date: String,
    /// Print lines of comma-separated values
    #[arg(long)]
    pub csv: bool,
}

/// Shows one.
pub async fn run(command: &StatementCommand) -> Result<Answer, Problem> {
    let StatementCommand::Daily(args) = command;
    let session = args.connect.open()?;
    let message = v1::GetDailyStatementRequest { date: args.date.clone() };
    let answer = session.client.positions().get_daily_statement(session.request(message)).await?;
    shown(&answer.into_inner().try_into()?, &args.date, args.csv)
}

fn shown(statement: &DailyStatement, date: &str, csv: bool) -> Result<Answer, Problem> {
    let close = Close::read(statement, date)?;
    let text = if csv { close.csv() } else { close.text() };
    Ok(Answer::ok(close.document(), text))
}

/// A day's close as it stands in the log.
struct Close<'a> {
    statement: &'a DailyStatement,
    entry: Entry,
    asset: Asset,
}

impl<'a> Close<'a> {
    fn read(statement: &'a DailyStatement, date: &str) -> Result<Self, Problem> {
        let no = |problem: String| Problem::of(Code::Internal, problem);
        let entry = Entry::parse(&statement.leaf).map_err(|invalid| no(invalid.to_string()))?;
        let is_it = entry.kind() == EntryKind::DailyPosition && entry.field("date") == Some(date);
        if !is_it || statement.log_index.checked_add(1) != Some(statement.tree_size) {
            return Err(no(format!("entry {} is not the close of {date}", statement.log_index)));
        }
        let asset = Asset::parse(entry.field("asset").unwrap_or_default())?;
        Ok(Self { statement, entry, asset })
    }

    fn field(&self, name: &str) -> &str {
        self.entry.field(name).unwrap_or_default()
    }

    fn number(&self, name: &str) -> Option<u128> {
        self.field(name).parse().ok()
    }

    fn at(&self, name: &str) -> Option<Seconds> {
        self.field(name).parse().ok().map(Seconds)
    }

    fn age(&self, name: &str) -> Option<u64> {
        self.at(name).and_then(|at| self.entry.at().since(at))
    }

    /// The hot part in ten-thousandths, rounded up.
    fn share_bp(&self, hot: &str, cold: &str) -> Option<u128> {
        let (hot, cold) = (self.number(hot)?, self.number(cold)?);
        Some(hot.checked_mul(10_000)?.div_ceil(hot.checked_add(cold)?.max(1)))
    }

    fn total(&self, hot: &str, cold: &str) -> Option<u128> {
        self.number(hot)?.checked_add(self.number(cold)?)
    }

    fn kind(&self) -> String {
        match self.asset.denomination() {
            Some(known) => format!("{} ({})", known.symbol(), self.asset),
            None => self.asset.to_string(),
        }
    }

    fn text(&self) -> String {
        let coin =
            |units: Option<u128>| view::coin(Amount::from_units(units.unwrap_or_default()), self.asset);
        let won = |krw: Option<u128>| krw.map_or_else(|| "no price".to_owned(), |krw| format!("{krw} KRW"));
        let percent =
            |bp: Option<u128>| bp.map_or_else(String::new, |bp| format!("{}.{:02} %", bp / 100, bp % 100));
        let line =
            |part: &str| format!("{}, {}", coin(self.number(part)), won(self.number(&format!("{part}_krw"))));
        let stated = |name| match (self.at(name), self.age(name)) {
            (Some(at), Some(age)) => format!("stated {at}, {age} s before"),
            _ => "never stated".to_owned(),
        };
        Facts::new()
            .line("day", format!("{} (Korea)", self.field("date")))
            .line("at", self.entry.at())
            .line("kind", self.kind())
            .line(
                "quantity",
                format!("{}, {}", coin(self.total("hot", "cold")), won(self.total("hot_krw", "cold_krw"))),
            )
            .line("hot", line("hot"))
            .line("cold", line("cold"))
            .line(
                "share",
                format!("{} hot, at most {}", percent(self.share_bp("hot", "cold")), self.field("share_max")),
            )
            .maybe(
                "total share",
                self.entry.field("total_share_max").map(|max| {
                    format!("{} hot by value, at most {max}", percent(self.share_bp("hot_krw", "cold_krw")))
                }),
            )
            .line("reserve", won(self.number("reserve_krw")))
            .line("position", stated("position_at"))
            .line("price", format!("{}, {}", won(self.number("price_krw")), stated("price_at")))
            .line("policy", self.field("policy"))
            .line("log", &self.statement.origin)
            .line("log index", self.statement.log_index)
            .line("leaf hash", self.leaf_hash())
            .line("head", format!("{} {}", self.statement.tree_size, HEXLOWER.encode(&self.statement.root)))
            .text()
    }

    fn leaf_hash(&self) -> String {
        HEXLOWER.encode(&LeafHash::of(&self.statement.leaf).0)
    }

    fn csv(&self) -> String {
        let mut text = String::from(
            "date,at,asset,part,quantity,value_krw,share_bp,share_max,price_krw,price_at,position_at,reserve_krw,log,log_index,leaf_hash,tree_size,root\n",
        );
        let hot_bp = self.share_bp("hot", "cold");
        let cold_bp = hot_bp.map(|bp| 10_000_u128.saturating_sub(bp));
        for (part, share) in [("hot", hot_bp), ("cold", cold_bp)] {
            let cells = [
                self.field("date").to_owned(),
                self.entry.at().0.to_string(),
                self.asset.to_string(),
                part.to_owned(),
                self.field(part).to_owned(),
                self.field(&format!("{part}_krw")).to_owned(),
                share.map(|bp| bp.to_string()).unwrap_or_default(),
                self.field("share_max").to_owned(),
                self.field("price_krw").to_owned(),
                self.field("price_at").to_owned(),
                self.field("position_at").to_owned(),
                self.field("reserve_krw").to_owned(),
                self.statement.origin.clone(),
                self.statement.log_index.to_string(),
                self.leaf_hash(),
                self.statement.tree_size.to_string(),
                HEXLOWER.encode(&self.statement.root),
            ];
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        text
    }

    fn document(&self) -> serde_json::Value {
        let text = |name| self.entry.field(name).map(str::to_owned);
        json!({
            "date": self.field("date"),
            "at": self.entry.at().0,
            "asset": self.asset.to_string(),
            "hot": text("hot"),
            "cold": text("cold"),
            "quantity": self.total("hot", "cold").map(|units| units.to_string()),
            "in_transit": text("in_transit"),
            "hot_krw": text("hot_krw"),
            "cold_krw": text("cold_krw"),
            "value_krw": self.total("hot_krw", "cold_krw").map(|krw| krw.to_string()),
            "hot_share_bp": self.share_bp("hot", "cold").map(|bp| bp.to_string()),
            "hot_share_bp_by_value": self.share_bp("hot_krw", "cold_krw").map(|bp| bp.to_string()),
            "share_max": text("share_max"),
            "total_share_max": text("total_share_max"),
            "reserve_krw": text("reserve_krw"),
            "price_krw": text("price_krw"),
            "price_at": self.at("price_at").map(|at| at.0),
            "price_age_s": self.age("price_at"),
            "position_at": self.at("position_at").map(|at| at.0),
            "position_age_s": self.age("position_at"),
            "policy": text("policy"),
            "log": self.statement.origin,
            "log_index": self.statement.log_index,
            "leaf": String::from_utf8_lossy(&self.statement.leaf),
            "leaf_hash": self.leaf_hash(),
            "tree_size": self.statement.tree_size,
            "root": HEXLOWER.encode(&self.statement.root),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::withdrawal::Network;

    fn statement(priced: bool) -> DailyStatement {
        let asset = Asset::Bitcoin(Network::Mainnet);
        let entry = Entry::builder(EntryKind::DailyPosition, Seconds(1_795_273_200))
            .field("date", "2026-11-21")
            .field("asset", asset)
            .field("hot", 300_000_000)
            .field("cold", 700_000_001)
            .field("share_max", "3/10")
            .field("position_at", 1_795_273_100);
        let entry = if priced {
            entry
                .field("price_krw", 150_000_000)
                .field("price_at", 1_795_273_190)
                .field("hot_krw", 450_000_000)
                .field("cold_krw", 1_050_000_001)
                .field("reserve_krw", 3_000_000_000_u64)
        } else {
            entry
        };
        let leaf = entry.build().unwrap().to_leaf();
        DailyStatement { origin: "x/signer".into(), log_index: 7, leaf, tree_size: 8, root: [9; 32] }
    }

    #[test]
    fn the_same_entry_gives_the_same_bytes_with_figures_ages_and_head() {
        let one = shown(&statement(true), "2026-11-21", false).unwrap();
        assert_eq!(one.text, shown(&statement(true), "2026-11-21", false).unwrap().text);
        for part in [
            "3.00000000 BTC, 450000000 KRW",
            "10.00000001 BTC, 1500000001 KRW",
            "30.00 % hot, at most 3/10",
            "3000000000 KRW",
            "10 s before",
            "100 s before",
            "log index: 7",
            &format!("8 {}", "09".repeat(32)),
        ] {
            assert!(one.text.contains(part), "{part}\n{}", one.text);
        }
        assert_eq!(one.json["price_age_s"], 10);
        let csv = shown(&statement(true), "2026-11-21", true).unwrap().text;
        let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() == 17), "{csv}");
        assert_eq!(lines[1][3..7], ["hot", "300000000", "450000000", "3000"]);
    }

    #[test]
    fn without_a_price_it_says_so_and_another_day_is_no_statement_of_this_one() {
        let text = shown(&statement(false), "2026-11-21", false).unwrap().text;
        assert!(text.contains("no price, never stated"), "{text}");
        assert!(shown(&statement(true), "2026-11-20", false).is_err());
        let moved = DailyStatement { tree_size: 9, ..statement(true) };
        assert!(shown(&moved, "2026-11-21", false).is_err());
    }
}
