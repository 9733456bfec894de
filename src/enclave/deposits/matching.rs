//! Which verification a deposit belongs to. Pure: candidates in, one of them, several or none out.

use super::words::DepositReason;
use crate::withdrawal::Seconds;

/// How much later than its coins a transfer may first have been verified to be known by its amount, in seconds: clocks differ.
const LATE_S: u64 = 300;

/// An open verification of the deposit's address and asset. Several of the same transfer, asked about again, have the same `transfer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::enclave) struct Candidate {
    /// Its row.
    pub(in crate::enclave) row_key: String,
    pub(in crate::enclave) uuid: String,
    /// Sender and request: what is one transfer.
    pub(in crate::enclave) transfer: String,
    /// In base units; nothing where an address alone was asked about.
    pub(in crate::enclave) units: Option<String>,
    pub(in crate::enclave) tx_hash: Option<String>,
    pub(in crate::enclave) vout: Option<String>,
    /// When its transfer was first asked about.
    pub(in crate::enclave) created_at: Seconds,
}

/// The output that is to be matched.
#[derive(Debug, Clone, Copy)]
pub(in crate::enclave) struct Output<'a> {
    pub(in crate::enclave) tx_hash: &'a str,
    pub(in crate::enclave) vout: Option<&'a str>,
    pub(in crate::enclave) units: &'a str,
    /// When its coins arrived.
    pub(in crate::enclave) received_at: Seconds,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::enclave) enum Found {
    One(Candidate, DepositReason),
    /// At least two transfers fit.
    Several(Vec<Candidate>),
    /// The senders of these can be asked.
    None {
        open: Vec<Candidate>,
        /// Whether one of them was reported with this very output, and verified with another amount.
        other_amount: bool,
    },
}

/// By the transaction that was reported; otherwise by the amount, among those without one that were verified before the coins arrived:
/// who verifies afterwards names the transaction, or another sender's coins would be its own.
///
/// `all` are the newest first, and the newest of a transfer speaks for it unless another one has its transaction.
pub(in crate::enclave) fn matched(output: Output<'_>, all: Vec<Candidate>) -> Found {
    let all = one_each(output, all);
    let named: Vec<&Candidate> = all.iter().filter(|candidate| is_named(output, candidate)).collect();
    let is_whole =
        |candidate: &&Candidate| candidate.units.as_deref().is_none_or(|units| units == output.units);
    let by_tx: Vec<Candidate> = named.iter().copied().filter(is_whole).cloned().collect();
    if let Some(found) = found(by_tx, DepositReason::Tx) {
        return found;
    }
    let by_amount = |candidate: &&Candidate| {
        candidate.tx_hash.is_none()
            && candidate.units.as_deref() == Some(output.units)
            && candidate.created_at <= output.received_at.plus(LATE_S)
    };
    let by_amount: Vec<Candidate> = all.iter().filter(by_amount).cloned().collect();
    let other_amount = !named.is_empty();
    found(by_amount, DepositReason::Amount).unwrap_or(Found::None { open: all, other_amount })
}

fn found(mut fit: Vec<Candidate>, by: DepositReason) -> Option<Found> {
    match fit.len() {
        0 => None,
        1 => fit.pop().map(|one| Found::One(one, by)),
        _ => Some(Found::Several(fit)),
    }
}

fn is_named(output: Output<'_>, candidate: &Candidate) -> bool {
    let same = candidate.vout.as_deref().zip(output.vout).is_none_or(|(told, seen)| told == seen);
    candidate.tx_hash.as_deref() == Some(output.tx_hash) && same
}

/// One candidate of each transfer.
fn one_each(output: Output<'_>, all: Vec<Candidate>) -> Vec<Candidate> {
    let mut each: Vec<Candidate> = Vec::new();
    for candidate in all {
        let Some(known) = each.iter_mut().find(|known| known.transfer == candidate.transfer) else {
            each.push(candidate);
            continue;
        };
        let created_at = known.created_at.min(candidate.created_at);
        // A report counts, and this deposit's most of all.
        let is_better =
            is_named(output, &candidate) || known.tx_hash.is_none() && candidate.tx_hash.is_some();
        if is_better && !is_named(output, known) {
            *known = candidate;
        }
        known.created_at = created_at;
    }
    each
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, units: &str, tx: Option<(&str, Option<&str>)>) -> Candidate {
        Candidate {
            row_key: name.to_owned(),
            uuid: name.to_owned(),
            transfer: name.trim_end_matches('\'').to_owned(),
            units: Some(units.to_owned()).filter(|units| !units.is_empty()),
            tx_hash: tx.map(|(hash, _)| hash.to_owned()),
            vout: tx.and_then(|(_, vout)| vout).map(str::to_owned),
            created_at: Seconds(1_000),
        }
    }

    const OUTPUT: Output<'_> =
        Output { tx_hash: "ab", vout: Some("1"), units: "5", received_at: Seconds(1_000) };

    /// Who was found: `one by`, `a or b`, or `none`.
    fn said(all: Vec<Candidate>) -> String {
        match matched(OUTPUT, all) {
            Found::One(one, by) => format!("{} {}", one.uuid, by.as_str()),
            Found::Several(several) => several.into_iter().map(|c| c.uuid).collect::<Vec<_>>().join(" or "),
            Found::None { open, other_amount } => {
                let open: Vec<_> = open.into_iter().map(|c| c.uuid).collect();
                format!("none of {}{}", open.join(" "), if other_amount { ", other amount" } else { "" })
            }
        }
    }

    #[test]
    fn a_reported_transaction_counts_before_any_amount() {
        let all = vec![candidate("a", "5", None), candidate("b", "5", Some(("ab", Some("1"))))];
        assert_eq!(said(all), "b TX");
        assert_eq!(said(vec![candidate("a", "5", Some(("ab", None)))]), "a TX");
        // Of one transaction with two outputs to one address, the output tells which.
        let all =
            vec![candidate("a", "5", Some(("ab", Some("0")))), candidate("b", "5", Some(("ab", Some("1"))))];
        assert_eq!(said(all), "b TX");
        let all = vec![candidate("a", "5", Some(("ab", None))), candidate("b", "7", Some(("ab", None)))];
        assert_eq!(said(all), "a TX", "or the amount does");
        assert_eq!(
            said(vec![candidate("a", "", Some(("ab", None)))]),
            "a TX",
            "an address alone was asked about"
        );
    }

    #[test]
    fn without_a_report_one_fitting_amount_counts_and_two_are_ambiguous() {
        assert_eq!(said(vec![candidate("a", "5", None), candidate("b", "6", None)]), "a AMOUNT");
        assert_eq!(said(vec![candidate("a", "5", None), candidate("b", "5", None)]), "a or b");
        assert_eq!(said(vec![candidate("a", "", None)]), "none of a", "no amount is no fitting amount");
        assert_eq!(
            said(vec![candidate("a", "5", Some(("cd", None)))]),
            "none of a",
            "it is another transfer's"
        );
        assert_eq!(said(vec![candidate("a", "6", Some(("ab", Some("1"))))]), "none of a, other amount");
        assert_eq!(said(Vec::new()), "none of ");
    }

    #[test]
    fn coins_are_of_no_transfer_by_amount_that_was_verified_after_they_had_come() {
        let at = |name: &str, tx, created_at| Candidate {
            created_at: Seconds(created_at),
            ..candidate(name, "5", tx)
        };
        assert_eq!(said(vec![at("a", None, 1_300)]), "a AMOUNT", "clocks differ");
        assert_eq!(said(vec![at("a", None, 1_301)]), "none of a", "its sender is asked");
        assert_eq!(said(vec![at("b", None, 1_301), at("a", None, 900)]), "a AMOUNT", "nor does it make two");
        assert_eq!(said(vec![at("a", Some(("ab", None)), 9_000)]), "a TX", "whoever named it had no need to");
        assert_eq!(said(vec![at("a'", None, 9_000), at("a", None, 900)]), "a' AMOUNT", "asked about again");
    }

    #[test]
    fn a_transfer_that_was_asked_about_again_is_one_transfer() {
        assert_eq!(said(vec![candidate("a'", "5", None), candidate("a", "5", None)]), "a' AMOUNT");
        let reported = candidate("a", "5", Some(("ab", Some("1"))));
        assert_eq!(said(vec![candidate("a'", "5", None), reported.clone()]), "a TX");
        assert_eq!(said(vec![reported, candidate("a'", "5", None)]), "a TX");
        let other = candidate("a", "5", Some(("cd", None)));
        assert_eq!(
            said(vec![candidate("a'", "5", None), other]),
            "none of a",
            "it went in another transaction"
        );
    }
}
