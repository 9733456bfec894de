//! Owns what people read while it is played: aligned, one line for each fact, in colour only on a terminal. Programs get
//! one document at the end instead, which is made elsewhere.

use std::io::{IsTerminal, Write};

use super::cases::Case;
use super::evm::denomination;
use super::played::Played;
use crate::withdrawal::{Amount, Asset};

/// Where the labels end.
const LABEL: usize = 13;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A fact.
    Plain,
    /// A yes.
    Yes,
    /// A not-yet.
    Wait,
    /// A no.
    No,
}

/// The readable report, or silence.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    speaks: bool,
    colour: bool,
}

impl Report {
    /// A report for people, or none where programs read.
    pub fn new(silent: bool) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { speaks: !silent, colour }
    }

    fn line(self, text: &str) {
        if self.speaks {
            // A reader that has gone away is no reason to leave children behind.
            let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
        }
    }

    fn paint(self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A headline with an empty line above it.
    pub fn section(self, title: &str) {
        self.line("");
        self.line(&self.paint(title, "1"));
    }

    /// The very first line.
    pub fn title(self, text: &str) {
        self.line(&self.paint(text, "1"));
    }

    /// One fact.
    pub fn fact(self, label: &str, text: &str) {
        self.event(label, text, Tone::Plain);
    }

    /// One thing that happened.
    pub fn event(self, label: &str, text: &str, tone: Tone) {
        let label = format!("{label:<LABEL$}");
        let label = match tone {
            Tone::Plain => label,
            Tone::Yes => self.paint(&label, "32"),
            Tone::Wait => self.paint(&label, "33"),
            Tone::No => self.paint(&label, "31"),
        };
        self.line(&format!("  {label}{text}"));
    }

    /// A text of several lines, as it is.
    pub fn quote(self, text: &str) {
        text.lines().for_each(|line| {
            self.line(&format!("  {:<LABEL$}{}", "", self.paint(&format!("| {line}"), "2")))
        });
    }

    /// What a case asks.
    pub fn case(self, number: usize, case: &Case) {
        self.section(&format!("{number}. {}", case.name));
    }

    /// One entry of the log.
    pub fn entry(self, label: &str, text: &str, index: u64, tone: Tone) {
        self.event(label, &format!("{text}  {}", self.paint(&format!("#{index}"), "2")), tone);
    }

    /// The table at the end.
    pub fn summary(self, played: &[Played]) {
        self.section("Summary");
        let head = ["", "request", "outcome", "code", "fee", "txid"].map(str::to_owned);
        let row = |(number, one): (usize, &Played)| {
            let released = one.released.as_ref();
            [
                number.to_string(),
                one.request_id.clone(),
                one.outcome.to_owned(),
                one.code.map_or_else(String::new, |code| code.to_string()),
                released.map_or_else(String::new, |r| r.fee_words()),
                released.map_or_else(String::new, |r| short(&r.txid)),
            ]
        };
        let rows: Vec<[String; 6]> = std::iter::once(head).chain((1..).zip(played).map(row)).collect();
        let mut width = [0; 6];
        for row in &rows {
            width.iter_mut().zip(row).for_each(|(w, cell)| *w = (*w).max(cell.chars().count()));
        }
        for row in &rows {
            let cells: Vec<String> = row.iter().zip(width).map(|(cell, w)| format!("{cell:<w$}")).collect();
            self.line(&format!("  {}", cells.join("  ")));
        }
    }
}

fn short(txid: &str) -> String {
    format!("{}…", txid.chars().take(16).collect::<String>())
}

/// An amount in coin; of Bitcoin in satoshi too.
pub fn money(asset: Asset, amount: Amount) -> String {
    let words = denomination(asset);
    match asset {
        Asset::Bitcoin(_) => format!("{} ({} sat)", words.words(amount), grouped(amount.units())),
        Asset::Evm(_) => {
            let coins = amount.in_coin(words.decimals());
            let shown = coins.trim_end_matches('0').trim_end_matches('.');
            format!("{} {}", if coins.contains('.') { shown } else { coins.as_str() }, words.symbol())
        }
    }
}

/// A whole number with a comma at every thousand.
pub fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::ASSET;
    use crate::sandbox::evm::ETHER;

    #[test]
    fn amounts_are_read_in_coin_and_those_of_bitcoin_in_satoshi_too() {
        assert_eq!(money(ASSET, Amount::from_sat(1_200_000)), "0.01200000 BTC (1,200,000 sat)");
        let ether = [500_000_000_000_000_000, 10_000_000_000_000_000_000].map(Amount::from_units);
        assert_eq!(ether.map(|wei| money(ETHER, wei)), ["0.5 ETH", "10 ETH"]);
        assert_eq!(
            [grouped(7), grouped(999), grouped(1_000), grouped(13_500_000)],
            ["7", "999", "1,000", "13,500,000"]
        );
    }
}
