//! Owns reading the queries of the two lists: of VASPs and of verifications.

use std::collections::BTreeMap;

use reqwest::Url;

use super::fields::{Flaw, Wrong};
use crate::enclave::{Action, DepositSearch, DepositState, Outcome, RPP_MAX, Search};
use crate::withdrawal::{Seconds, VaspId};

/// Longest value of a parameter, in characters.
const VALUE_LEN_MAX: usize = 256;

/// `GET /v1/vasps`: whether our own network is asked for. There are no others here.
pub(super) fn is_own_network(query: &str) -> Result<bool, Wrong> {
    let mut all = parameters(query)?;
    let wrong = |name: &str, problem: &str| Wrong::new(name, Flaw::Malformed, problem);
    let all_of_old = match all.remove("includesAll").as_deref() {
        None | Some("true" | "false" | "1" | "0") => true,
        Some(_) => return Err(wrong("includesAll", "is neither true nor false")),
    };
    let own = match all.remove("protocol").as_deref() {
        None | Some("ALL" | "VERIFYVASP") => all_of_old,
        Some("CODE") => false,
        Some(_) => return Err(wrong("protocol", "is none of VERIFYVASP, CODE, ALL")),
    };
    end(&all)?;
    Ok(own)
}

/// `GET /v1/verifications`.
pub(super) fn search(query: &str) -> Result<Search, Wrong> {
    let mut all = parameters(query)?;
    let found = Search {
        from: time(&mut all, "fromDate", Day::Begins)?,
        to: time(&mut all, "toDate", Day::Ends)?,
        symbol: all.remove("symbol"),
        network: all.remove("network"),
        tx_hash: all.remove("txHash"),
        result: result(&mut all)?,
        action: word(&mut all, "actionType", "is neither SEND nor RECEIVE", Action::parse)?,
        opposite_vasp: word(
            &mut all,
            "oppositeVaspId",
            "is not a decimal number of up to 64 bits",
            |text| VaspId::parse(text).ok(),
        )?,
        originator_account: all.remove("originatorAccountNumber"),
        beneficiary_account: all.remove("beneficiaryAccountNumber"),
        page: number(&mut all, "page", 1, u32::MAX / RPP_MAX)?,
        rpp: number(&mut all, "rpp", 10, RPP_MAX)?,
    };
    end(&all)?;
    Ok(found)
}

/// `GET /v1/deposits`.
pub(super) fn deposits(query: &str) -> Result<DepositSearch, Wrong> {
    let mut all = parameters(query)?;
    let state = "is none of WAITING, AMBIGUOUS, MATCHED, UNMATCHED";
    let found = DepositSearch {
        state: word(&mut all, "state", state, DepositState::parse)?,
        tx_hash: all.remove("txHash"),
        before: word(&mut all, "before", "is no depositId", |text| text.parse().ok())?,
    };
    end(&all)?;
    Ok(found)
}

type Parameters = BTreeMap<String, String>;

/// Empty values are as good as absent.
fn parameters(query: &str) -> Result<Parameters, Wrong> {
    let no = |problem: &str| Wrong::new("query", Flaw::Malformed, problem);
    let url = Url::parse(&format!("http://query/?{query}")).map_err(|_| no("cannot be read"))?;
    let mut all = Parameters::new();
    for (name, value) in url.query_pairs() {
        if value.chars().count() > VALUE_LEN_MAX || value.chars().any(char::is_control) {
            let problem =
                format!("has a value with a control character or longer than {VALUE_LEN_MAX} characters");
            return Err(Wrong::new("query", Flaw::TooLong, problem));
        }
        if all.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(no("has a parameter twice"));
        }
    }
    all.retain(|_, value| !value.is_empty());
    Ok(all)
}

fn end(all: &Parameters) -> Result<(), Wrong> {
    match all.len() {
        0 => Ok(()),
        n => Err(Wrong::new("query", Flaw::Unknown, format!("has {n} parameters that do not exist"))),
    }
}

fn word<T>(
    all: &mut Parameters,
    name: &str,
    problem: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Wrong> {
    let read = |text: String| read(&text).ok_or_else(|| Wrong::new(name, Flaw::Malformed, problem));
    all.remove(name).map(read).transpose()
}

/// `UNKNOWN` was a result once; it is a `DENIED` now.
fn result(all: &mut Parameters) -> Result<Option<Outcome>, Wrong> {
    word(all, "result", "is none of VERIFIED, DENIED, ERROR", |text| match text {
        "UNKNOWN" => Some(Outcome::Denied),
        text => Outcome::parse(text).filter(|outcome| *outcome != Outcome::Wait),
    })
}

fn number(all: &mut Parameters, name: &str, default: u32, max: u32) -> Result<u32, Wrong> {
    let problem = format!("is not a whole number from 1 to {max}");
    let read = |text: &str| text.parse::<u32>().ok().filter(|n| (1..=max).contains(n));
    Ok(word(all, name, &problem, read)?.unwrap_or(default))
}

/// Which end of a day a date without a time means.
#[derive(Clone, Copy)]
enum Day {
    Begins,
    Ends,
}

fn time(all: &mut Parameters, name: &str, end: Day) -> Result<Option<Seconds>, Wrong> {
    let of_day = |text: &str| {
        let date = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10)?;
        let begin = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
        Some(match end {
            Day::Begins => begin,
            Day::Ends => begin + 86_399,
        })
    };
    let read = |text: &str| {
        let second = of_day(text).or_else(|| text.parse::<jiff::Timestamp>().ok().map(|t| t.as_second()))?;
        Some(Seconds(u64::try_from(second).unwrap_or_default()))
    };
    word(all, name, "is neither a date (YYYY-MM-DD) nor a time with its zone (ISO 8601)", read)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_filter_is_read_and_defaults_are_the_documented_ones() {
        assert_eq!(search("").unwrap(), Search::default());
        let all = "fromDate=2026-01-31&toDate=2026-02-01&symbol=BTC&network=mainnet&txHash=ab&result=DENIED&actionType=SEND\
                   &oppositeVaspId=18446744073709551615&originatorAccountNumber=c%2017&beneficiaryAccountNumber=bc1q&page=2&rpp=100";
        let read = search(all).unwrap();
        assert_eq!((read.from, read.to), (Some(Seconds(1_769_817_600)), Some(Seconds(1_769_990_399))));
        assert_eq!((read.result, read.action), (Some(Outcome::Denied), Some(Action::Send)));
        assert_eq!((read.opposite_vasp, read.page, read.rpp), (Some(VaspId(u64::MAX)), 2, 100));
        assert_eq!(read.originator_account.as_deref(), Some("c 17"));
        assert_eq!(
            search("fromDate=2026-01-31T09:00:00%2B09:00").unwrap().from,
            Some(Seconds(1_769_817_600))
        );
        assert_eq!(search("result=UNKNOWN&txHash=").unwrap().result, Some(Outcome::Denied));
    }

    #[test]
    fn a_wrong_parameter_is_named_and_its_value_is_not_repeated() {
        for (query, path) in [
            ("fromDate=kim", "fromDate"),
            ("toDate=2026-13-01", "toDate"),
            ("fromDate=2026-01-31T00:00:00", "fromDate"),
            ("result=WAIT", "result"),
            ("result=kim", "result"),
            ("actionType=kim", "actionType"),
            ("oppositeVaspId=-1", "oppositeVaspId"),
            ("page=0", "page"),
            ("page=kim", "page"),
            ("rpp=101", "rpp"),
            ("rpp=0", "rpp"),
            ("kim=1", "query"),
            ("page=1&page=2", "query"),
            (&format!("symbol={}", "kim".repeat(100)), "query"),
        ] {
            let no = search(query).unwrap_err();
            assert_eq!(no.path, path, "{query}");
            assert!(!no.problem.contains("kim"), "{no:?}");
        }
    }

    #[test]
    fn the_list_of_vasps_is_filtered_by_network() {
        for (query, own) in [
            ("", true),
            ("protocol=ALL", true),
            ("protocol=VERIFYVASP", true),
            ("protocol=CODE", false),
            ("includesAll=true", true),
        ] {
            assert_eq!(is_own_network(query), Ok(own), "{query}");
        }
        for (query, path) in
            [("protocol=TRP", "protocol"), ("includesAll=x", "includesAll"), ("x=1", "query")]
        {
            assert_eq!(is_own_network(query).unwrap_err().path, path);
        }
    }
}
