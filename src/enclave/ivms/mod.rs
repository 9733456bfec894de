//! Owns IVMS101: reads the VerifyVASP dialect, checks the standard's constraints, and gives the one canonical form that is hashed.
//!
//! Personal data stands in these types and nowhere else: they wipe themselves, print `…`, and every error names elements, not values.

mod element;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod raw;
mod required;
mod rules;
mod schema;

use zeroize::Zeroizing;

use self::element::{Element, Problem, fit};
use self::raw::DUPLICATE;
pub(super) use self::raw::Raw;
pub use self::raw::Text;
pub use self::required::{REQUIRED_CODES, are_required_codes};
use self::rules::{Side, check_party};
use crate::withdrawal::{Code, Invalid, Seconds};

/// Longest payload, in bytes.
pub const PAYLOAD_LEN_MAX: usize = 32 * 1024;

pub(super) const CURE: &str = "correct the element named here (IVMS101.2023, VerifyVASP spelling); sizes and codes are those of the standard";

/// A transfer's persons, checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload {
    root: Element,
}

/// A beneficiary by itself, as it comes back in an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Beneficiary {
    root: Element,
}

/// One name of a person: family name (or the whole name) and given name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// `primaryIdentifier`, or `legalPersonName`.
    pub primary: Text,
    /// `secondaryIdentifier`.
    pub secondary: Option<Text>,
}

/// The names of one person, Latin and local together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Whether it is a company.
    pub is_legal: bool,
    /// Its names.
    pub names: Vec<Name>,
    /// How they are pronounced: looked for on the sanctions lists, and never a match of its own.
    pub phonetic: Vec<Name>,
}

impl Payload {
    /// Reads a payload: `{originator, beneficiary}`, or the same inside `{version: "1.0", ivms101: {…}}`.
    ///
    /// `now` settles which dates lie in the past (C2). Errors: [`Code::IvmsMalformed`] naming the element, [`Code::FieldTooLong`].
    pub fn parse(bytes: &[u8], now: Seconds) -> Result<Self, Invalid> {
        Self::of(read(bytes)?, now)
    }

    /// The same of JSON that was read as part of a message.
    pub(super) fn of(raw: Raw, now: Seconds) -> Result<Self, Invalid> {
        let root = fit(&schema::PAYLOAD, unwrap(raw)?, "").map_err(invalid)?;
        let today = day(now);
        if let Some(originator) = root.member("originator") {
            check_party(Side::Originator, originator, "originator", &today).map_err(invalid)?;
        }
        if let Some(beneficiary) = root.member("beneficiary") {
            check_party(Side::Beneficiary, beneficiary, "beneficiary", &today).map_err(invalid)?;
        }
        Ok(Self { root })
    }

    /// Says no unless both sides name a person, as a user verification needs.
    pub fn demand_persons(&self) -> Result<(), Invalid> {
        let absent = |path| Err(invalid(Problem::at(path, "is missing")));
        if self.root.member("originator").is_none() {
            return absent("originator");
        }
        if self.root.member("beneficiary").is_none_or(|b| b.list("beneficiaryPersons").is_empty()) {
            return absent("beneficiary.beneficiaryPersons");
        }
        Ok(())
    }

    /// The canonical bytes (RFC 8785 over canonical spellings and NFC texts): equal for equal content.
    pub fn canonical(&self) -> Zeroizing<String> {
        canonical(&self.root)
    }

    /// The canonical bytes of the beneficiary alone.
    pub fn beneficiary_canonical(&self) -> Zeroizing<String> {
        self.root.member("beneficiary").map(canonical).unwrap_or_default()
    }

    /// The canonical bytes of the originator alone; empty if there is none.
    pub fn originator_canonical(&self) -> Zeroizing<String> {
        self.root.member("originator").map(canonical).unwrap_or_default()
    }

    /// The originator's account; empty if it was not given.
    pub fn originator_account(&self) -> &str {
        self.root.member("originator").and_then(account).unwrap_or_default()
    }

    /// Says no unless the originator names persons and account, and the beneficiary persons where names are compared.
    pub fn demand_order(&self, needs_names: bool) -> Result<(), Invalid> {
        let absent = |path| Err(invalid(Problem::at(path, "is missing")));
        if self.root.member("originator").is_none() {
            return absent("originator");
        }
        if self.originator_account().is_empty() {
            return absent("originator.accountNumber");
        }
        if needs_names && self.beneficiaries().is_empty() {
            return absent("beneficiary.beneficiaryPersons");
        }
        Ok(())
    }

    /// The beneficiary's account: the address to be paid.
    pub fn account(&self) -> &str {
        self.root.member("beneficiary").and_then(account).unwrap_or_default()
    }

    /// The originators with all their names.
    pub fn originators(&self) -> Vec<Person> {
        self.root.member("originator").map(|party| persons(party, "originatorPersons")).unwrap_or_default()
    }

    /// The beneficiary's persons: one natural person, or a legal one and its representatives.
    pub fn beneficiaries(&self) -> Vec<Person> {
        self.root.member("beneficiary").map(|party| persons(party, "beneficiaryPersons")).unwrap_or_default()
    }

    /// Everybody who is named, on both sides.
    pub fn persons(&self) -> Vec<Person> {
        [self.beneficiaries(), self.originators()].concat()
    }
}

impl Beneficiary {
    /// Reads one: `{beneficiaryPersons, accountNumber}`. Errors as [`Payload::parse`].
    pub fn parse(bytes: &[u8], now: Seconds) -> Result<Self, Invalid> {
        Self::of(read(bytes)?, now)
    }

    /// The same of JSON that was read as part of a message.
    pub(super) fn of(raw: Raw, now: Seconds) -> Result<Self, Invalid> {
        let root = fit(&schema::BENEFICIARY, raw, "beneficiary").map_err(invalid)?;
        check_party(Side::Beneficiary, &root, "beneficiary", &day(now)).map_err(invalid)?;
        Ok(Self { root })
    }

    /// The canonical bytes.
    pub fn canonical(&self) -> Zeroizing<String> {
        canonical(&self.root)
    }

    /// Its account.
    pub fn account(&self) -> &str {
        account(&self.root).unwrap_or_default()
    }

    /// Its persons.
    pub fn persons(&self) -> Vec<Person> {
        persons(&self.root, "beneficiaryPersons")
    }
}

fn canonical(element: &Element) -> Zeroizing<String> {
    // Room for the largest payload: growing would leave copies behind that nobody wipes.
    let mut out = Zeroizing::new(String::with_capacity(PAYLOAD_LEN_MAX * 2));
    element.write(&mut out);
    out
}

fn account(party: &Element) -> Option<&str> {
    party.list("accountNumber").first().and_then(Element::as_text)
}

fn persons(party: &Element, list: &str) -> Vec<Person> {
    party.list(list).iter().filter_map(person).collect()
}

fn person(element: &Element) -> Option<Person> {
    let (is_legal, of) = match element.member("legalPerson") {
        Some(legal) => (true, legal),
        None => (false, element.member("naturalPerson")?),
    };
    let all = of.member("name")?;
    let of_list = |list| all.list(list).iter().filter_map(name);
    let names = ["nameIdentifier", "localNameIdentifier"].into_iter().flat_map(of_list).collect();
    Some(Person { is_legal, names, phonetic: of_list("phoneticNameIdentifier").collect() })
}

fn name(element: &Element) -> Option<Name> {
    let text = |key| element.text(key).map(|t| Text::new(t.to_owned()));
    let primary = text("primaryIdentifier").or_else(|| text("legalPersonName"))?;
    Some(Name { primary, secondary: text("secondaryIdentifier") })
}

/// Takes the persons out of the network's wrapper, if they are in it.
fn unwrap(raw: Raw) -> Result<Raw, Invalid> {
    let Raw::Object(mut members) = raw else { return Ok(raw) };
    let Some(at) = members.iter().position(|(name, _)| name == "ivms101") else {
        return Ok(Raw::Object(members));
    };
    let (_, inner) = members.swap_remove(at);
    let version = members.pop();
    let plain = version.is_none_or(|(name, value)| {
        name == "version" && matches!(&value, Raw::Text(t) if t.as_str() == "1.0")
    });
    if !plain || !members.is_empty() {
        return Err(invalid(Problem::at("version", "is not `1.0`, or stands beside an unknown member")));
    }
    Ok(inner)
}

/// Says no to a payload that is too long to be looked at.
pub(super) fn check_len(bytes: &[u8]) -> Result<(), Invalid> {
    if bytes.len() <= PAYLOAD_LEN_MAX {
        return Ok(());
    }
    let problem = format!("is {} bytes long, the limit is {PAYLOAD_LEN_MAX}", bytes.len());
    Err(Invalid::new(Code::FieldTooLong, "payload", problem, CURE))
}

fn read(bytes: &[u8]) -> Result<Raw, Invalid> {
    check_len(bytes)?;
    read_json(bytes)
}

/// Reads any JSON; nothing of it is repeated in the error.
pub(super) fn read_json(bytes: &[u8]) -> Result<Raw, Invalid> {
    // The parser's own message may quote the payload, so it is not passed on; line and column are.
    serde_json::from_slice(bytes).map_err(|error: serde_json::Error| {
        let what = if error.to_string().starts_with(DUPLICATE) { DUPLICATE } else { "is not JSON" };
        let problem = format!("{what} (line {}, column {})", error.line(), error.column());
        Invalid::new(Code::IvmsMalformed, "payload", problem, CURE)
    })
}

fn invalid(problem: Problem) -> Invalid {
    let place =
        if problem.path.is_empty() { "the payload".to_owned() } else { format!("`{}`", problem.path) };
    Invalid::new(Code::IvmsMalformed, "payload", format!("{place} {}", problem.what), CURE)
}

fn day(now: Seconds) -> String {
    now.to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests;
