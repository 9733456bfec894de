//! Owns from which value on a name must be matched (L3, L4): the thresholds of each jurisdiction's travel rule, with the
//! day each comes into force. Does not know prices: the caller values the amount at its own price.
//!
//! A transfer is bound by the law of one's own jurisdiction and by that of the counterparty's, where one is named: the
//! lower threshold counts. Where a jurisdiction has no step yet, or none for this direction, its threshold is zero.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::amount::{Krw, Seconds};

/// Which way a transfer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To a customer of another.
    Outgoing,
    /// From a customer of another.
    Incoming,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Outgoing, Self::Incoming];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Outgoing => "outgoing",
            Self::Incoming => "incoming",
        }
    }
}

/// One change of one law.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Whose law: an ISO 3166-1 alpha-2 code.
    pub jurisdiction: String,
    /// From when on (RFC 3339 with the offset of that jurisdiction).
    #[serde(deserialize_with = "instant", serialize_with = "written")]
    pub from: Seconds,
    /// For which direction; both where nothing is said.
    #[serde(default)]
    pub direction: Option<Direction>,
    /// From this value on a name is needed, in won.
    pub floor_krw: Krw,
}

/// The thresholds that bind this exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// The exchange's own jurisdiction.
    pub own: String,
    /// The steps of every jurisdiction, in any order.
    pub steps: Vec<Step>,
}

/// Korea's: one million won since 2022-03-25 (Enforcement Decree of the Act on Reporting and Using Specified Financial
/// Transaction Information, art. 10-10), nothing from 2027-02-19 on (Presidential Decree no. 36592).
impl Default for Thresholds {
    fn default() -> Self {
        let step = |from, floor_krw| Step {
            jurisdiction: "KR".to_owned(),
            from: Seconds(from),
            direction: None,
            floor_krw: Krw(floor_krw),
        };
        Self { own: "KR".to_owned(), steps: vec![step(1_648_134_000, 1_000_000), step(1_802_962_800, 0)] }
    }
}

/// Why thresholds cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// Not a code of two capital letters.
    #[error("`{0}` is no ISO 3166-1 alpha-2 code")]
    Jurisdiction(String),
    /// Two steps of the same law at the same time.
    #[error("two steps of `{jurisdiction}` begin at {}", at.0)]
    Twice {
        /// Whose law.
        jurisdiction: String,
        /// When.
        at: Seconds,
    },
    /// The own law has no steps.
    #[error(
        "`{0}` has no step; without one every transfer needs a name, which `floor_krw = \"0\"` says plainly"
    )]
    NoStep(String),
}

impl Thresholds {
    /// Names the first thing that cannot be meant.
    pub fn validate(&self) -> Result<(), ThresholdError> {
        let codes = self.steps.iter().map(|step| &step.jurisdiction).chain([&self.own]);
        if let Some(bad) = codes.into_iter().find(|code| !is_code(code)) {
            return Err(ThresholdError::Jurisdiction(bad.clone()));
        }
        for (at, step) in self.steps.iter().enumerate() {
            let collides = |other: &&Step| {
                other.jurisdiction == step.jurisdiction
                    && other.from == step.from
                    && Direction::ALL.iter().any(|way| other.binds(*way) && step.binds(*way))
            };
            if self.steps.iter().skip(at.saturating_add(1)).any(|other| collides(&other)) {
                return Err(ThresholdError::Twice { jurisdiction: step.jurisdiction.clone(), at: step.from });
            }
        }
        if self.steps.iter().any(|step| step.jurisdiction == self.own) {
            Ok(())
        } else {
            Err(ThresholdError::NoStep(self.own.clone()))
        }
    }

    /// From which value on a name must be matched.
    pub fn floor(&self, way: Direction, counterparty: Option<&str>, now: Seconds) -> Krw {
        let own = self.floor_of(&self.own, way, now).unwrap_or_default();
        // A jurisdiction nobody wrote down binds nobody here; one written down binds before its first step too.
        let theirs = counterparty.filter(|theirs| self.steps.iter().any(|s| s.jurisdiction == *theirs));
        theirs.map_or(own, |theirs| own.min(self.floor_of(theirs, way, now).unwrap_or_default()))
    }

    fn floor_of(&self, jurisdiction: &str, way: Direction, now: Seconds) -> Option<Krw> {
        let begun = |step: &&Step| step.jurisdiction == jurisdiction && step.binds(way) && step.from <= now;
        self.steps.iter().filter(begun).max_by_key(|step| step.from).map(|step| step.floor_krw)
    }

    /// The first moment, direction and jurisdiction at which these thresholds lie above those ones.
    pub(crate) fn looser_at<'a>(&'a self, most: &'a Self) -> Option<(Seconds, Direction, &'a str)> {
        let all = || self.steps.iter().chain(&most.steps);
        let moments = || std::iter::once(Seconds(0)).chain(all().map(|step| step.from));
        let mut cases: Vec<_> = Direction::ALL
            .into_iter()
            .flat_map(|way| {
                all().flat_map(move |step| moments().map(move |at| (at, way, &*step.jurisdiction)))
            })
            .collect();
        cases.sort_unstable();
        cases.dedup();
        let is_looser = |(at, way, whose): &(Seconds, Direction, &str)| {
            self.floor(*way, Some(whose), *at) > most.floor(*way, Some(whose), *at)
        };
        cases.into_iter().find(is_looser)
    }

    /// One line a step, in order.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |step: &Step| {
            let way = step.direction.map_or("both", Direction::as_str);
            format!("{} {} {way} {}", step.jurisdiction, step.from.0, step.floor_krw)
        };
        let mut lines: Vec<_> = self.steps.iter().map(line).collect();
        lines.sort();
        lines
    }
}

impl Step {
    fn binds(&self, way: Direction) -> bool {
        self.direction.is_none_or(|own| own == way)
    }
}

fn is_code(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())
}

fn instant<'de, D: Deserializer<'de>>(de: D) -> Result<Seconds, D::Error> {
    let text = String::deserialize(de)?;
    let no = || {
        serde::de::Error::custom(format!("`{text}` is no RFC 3339 time such as 2027-02-19T00:00:00+09:00"))
    };
    let at: jiff::Timestamp = text.parse().map_err(|_| no())?;
    u64::try_from(at.as_second()).map(Seconds).map_err(|_| no())
}

/// As [`instant`] reads it back.
fn written<S: Serializer>(at: &Seconds, to: S) -> Result<S::Ok, S::Error> {
    let at = i64::try_from(at.0).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    let at = at.ok_or_else(|| serde::ser::Error::custom("the time has no RFC 3339 spelling"))?;
    to.collect_str(&at)
}
