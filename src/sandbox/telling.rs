//! Tells what became of a withdrawal in the words of the log: each entry about it, in the order written, with its index.

use std::collections::BTreeSet;

use super::ASSET;
use super::evm::ETHER;
use super::report::{Report, Tone, money};
use crate::audit::{Entry, EntryKind};
use crate::withdrawal::{Amount, Asset, Code, WithdrawalId};

/// What is told about one withdrawal, and about the sweeps in between.
pub struct Telling {
    withdrawal: String,
    own: BTreeSet<String>,
    sweeps: BTreeSet<String>,
}

impl Telling {
    /// About this withdrawal.
    pub fn of(withdrawal: WithdrawalId) -> Self {
        Self { withdrawal: withdrawal.to_string(), own: BTreeSet::new(), sweeps: BTreeSet::new() }
    }

    /// Tells the entries that are about it.
    pub fn tell(&mut self, report: Report, entries: &[(u64, Entry)]) {
        for (index, entry) in entries {
            if let Some((label, text, tone)) = self.line(entry) {
                report.entry(label, &text, *index, tone);
            }
        }
    }

    /// An entry names one withdrawal, or all that a transaction pays.
    fn is_about(&self, entry: &Entry) -> bool {
        let named = |field: &str| {
            entry.field(field).is_some_and(|ids| ids.split(' ').any(|id| id == self.withdrawal))
        };
        named("withdrawal") || named("withdrawals")
    }

    fn line(&mut self, entry: &Entry) -> Option<(&'static str, String, Tone)> {
        let field = |name: &str| entry.field(name).unwrap_or_default();
        let reservation = field("reservation");
        match entry.kind() {
            EntryKind::SweepReserved => {
                self.sweeps.insert(reservation.to_owned());
                let text = format!("booked: {} to the cold wallet, {}", amount(entry), field("destination"));
                Some(("sweep", text, Tone::Plain))
            }
            EntryKind::Released if self.sweeps.contains(reservation) => {
                Some(("sweep", format!("signed by both: {}", field("txid")), Tone::Plain))
            }
            EntryKind::Signed | EntryKind::Released if self.own.contains(reservation) => {
                Some(finished(entry))
            }
            _ if !self.is_about(entry) => None,
            EntryKind::Reserved => {
                self.own.insert(reservation.to_owned());
                Some(("reserved", format!("{}; booked before a key is touched", taken(entry)), Tone::Plain))
            }
            _ => about(entry),
        }
    }
}

fn finished(entry: &Entry) -> (&'static str, String, Tone) {
    match entry.kind() {
        EntryKind::Signed => {
            ("cosigned", "key B, after the co-signer decided by itself; then key A".to_owned(), Tone::Plain)
        }
        _ => ("released", entry.field("txid").unwrap_or_default().to_owned(), Tone::Yes),
    }
}

fn about(entry: &Entry) -> Option<(&'static str, String, Tone)> {
    let field = |name: &str| entry.field(name).unwrap_or_default();
    let said = || match field("detail") {
        "" => field("code").to_owned(),
        detail => format!("{}: {detail}", field("code")),
    };
    match entry.kind() {
        EntryKind::Asked => {
            Some(("asked", "the signature holds; written down first".to_owned(), Tone::Plain))
        }
        EntryKind::Held if waits_for_vasp(entry) => {
            Some(("waits", "for the beneficiary's VASP, asked through the relay".to_owned(), Tone::Plain))
        }
        EntryKind::Held => Some(("held", said(), Tone::Wait)),
        EntryKind::Cleared => {
            let text = format!("VASP {} says yes, signed, verification {}", field("vasp"), field("uuid"));
            Some(("cleared", text, Tone::Plain))
        }
        EntryKind::Approved => {
            Some(("approved", format!("by {} of {}", field("operator"), field("groups")), Tone::Plain))
        }
        EntryKind::Refused => Some(("refused", said(), Tone::No)),
        _ => None,
    }
}

fn waits_for_vasp(entry: &Entry) -> bool {
    let codes = entry.field("codes").or_else(|| entry.field("code")).unwrap_or_default();
    codes.split(' ').any(|code| code == Code::ClearancePending.as_str())
}

/// What a reservation takes: coins, or a nonce of the Safe.
fn taken(entry: &Entry) -> String {
    let field = |name: &str| entry.field(name).unwrap_or_default();
    let inputs = field("inputs");
    match asset_of(entry) {
        Asset::Bitcoin(_) => {
            let coins = inputs.split(' ').count();
            let coins = if coins == 1 { "1 coin".to_owned() } else { format!("{coins} coins") };
            format!("{coins}, fee {}", said(ASSET, field("fee")))
        }
        Asset::Evm(_) => {
            let nonce = inputs.rsplit_once('/').map_or(inputs, |(_, nonce)| nonce);
            format!("nonce {nonce} of the Safe, for at most {} of gas", said(ETHER, field("fee")))
        }
    }
}

fn asset_of(entry: &Entry) -> Asset {
    entry.field("asset").and_then(|text| Asset::parse(text).ok()).unwrap_or(ASSET)
}

fn amount(entry: &Entry) -> String {
    said(asset_of(entry), entry.field("amount").unwrap_or_default())
}

fn said(asset: Asset, text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), |units| money(asset, Amount::from_units(units)))
}
