//! Owns the codes by which an originator says which parts of the beneficiary it needs, and what is given back of it.

use super::Beneficiary;
use super::element::Element;
use super::raw::Text;

/// Every code of `requiredBeneficiaryInfo`.
pub const REQUIRED_CODES: [&str; 21] = [
    "ACCOUNT_NUMBER",
    "NATURAL_PERSON_NAME",
    "LOCAL_NATURAL_PERSON_NAME",
    "NATURAL_PERSON_DATE_AND_PLACE_OF_BIRTH",
    "NATURAL_PERSON_NATIONALITY",
    "NATURAL_PERSON_GEOGRAPHIC_ADDRESS",
    "NATURAL_PERSON_NATIONAL_IDENTIFICATION",
    "NATURAL_PERSON_CUSTOMER_IDENTIFICATION",
    "NATURAL_PERSON_COUNTRY_OF_RESIDENCE",
    "LEGAL_PERSON_NAME",
    "LOCAL_LEGAL_PERSON_NAME",
    "CORPORATE_REPRESENTATIVE_NAME",
    "LOCAL_CORPORATE_REPRESENTATIVE_NAME",
    "CORPORATE_REPRESENTATIVE_DATE_AND_PLACE_OF_BIRTH",
    "CORPORATE_REPRESENTATIVE_NATIONALITY",
    "HEAD_OFFICE_GEOGRAPHIC_ADDRESS",
    "BRANCH_OFFICE_GEOGRAPHIC_ADDRESS",
    "LEGAL_PERSON_CUSTOMER_IDENTIFICATION",
    "LEGAL_PERSON_NATIONAL_IDENTIFICATION",
    "LEGAL_PERSON_COUNTRY_OF_REGISTRATION",
    "LEGAL_PERSON_DATE_OF_INCORPORATION",
];

/// Where a code points to.
enum Part {
    Account,
    /// A member of the natural person, or of its name.
    Natural(&'static str),
    /// A member of the company, or of its name.
    Legal(&'static str),
    /// A member of a representative, or of its name.
    Representative(&'static str),
    HeadOffice,
    BranchOffice,
}

fn part(code: &str) -> Option<Part> {
    Some(match code {
        "ACCOUNT_NUMBER" => Part::Account,
        "NATURAL_PERSON_NAME" => Part::Natural("nameIdentifier"),
        "LOCAL_NATURAL_PERSON_NAME" => Part::Natural("localNameIdentifier"),
        "NATURAL_PERSON_DATE_AND_PLACE_OF_BIRTH" => Part::Natural("dateAndPlaceOfBirth"),
        "NATURAL_PERSON_NATIONALITY" => Part::Natural("nationality"),
        "NATURAL_PERSON_GEOGRAPHIC_ADDRESS" => Part::Natural("geographicAddress"),
        "NATURAL_PERSON_NATIONAL_IDENTIFICATION" => Part::Natural("nationalIdentification"),
        "NATURAL_PERSON_CUSTOMER_IDENTIFICATION" => Part::Natural("customerIdentification"),
        "NATURAL_PERSON_COUNTRY_OF_RESIDENCE" => Part::Natural("countryOfResidence"),
        "LEGAL_PERSON_NAME" => Part::Legal("nameIdentifier"),
        "LOCAL_LEGAL_PERSON_NAME" => Part::Legal("localNameIdentifier"),
        "CORPORATE_REPRESENTATIVE_NAME" => Part::Representative("nameIdentifier"),
        "LOCAL_CORPORATE_REPRESENTATIVE_NAME" => Part::Representative("localNameIdentifier"),
        "CORPORATE_REPRESENTATIVE_DATE_AND_PLACE_OF_BIRTH" => Part::Representative("dateAndPlaceOfBirth"),
        "CORPORATE_REPRESENTATIVE_NATIONALITY" => Part::Representative("nationality"),
        "HEAD_OFFICE_GEOGRAPHIC_ADDRESS" => Part::HeadOffice,
        "BRANCH_OFFICE_GEOGRAPHIC_ADDRESS" => Part::BranchOffice,
        "LEGAL_PERSON_CUSTOMER_IDENTIFICATION" => Part::Legal("customerIdentification"),
        "LEGAL_PERSON_NATIONAL_IDENTIFICATION" => Part::Legal("nationalIdentification"),
        "LEGAL_PERSON_COUNTRY_OF_REGISTRATION" => Part::Legal("countryOfRegistration"),
        "LEGAL_PERSON_DATE_OF_INCORPORATION" => Part::Legal("dateOfIncorporation"),
        _ => return None,
    })
}

/// Whether these are known codes, each once.
pub fn are_required_codes(codes: &[String]) -> bool {
    let known = codes.iter().all(|code| part(code).is_some());
    known && codes.iter().enumerate().all(|(n, code)| codes.iter().skip(n + 1).all(|other| other != code))
}

impl Beneficiary {
    /// One of whom nothing but the account is known.
    pub fn of_account(account: &str) -> Self {
        let account = Element::Text(Text::new(account.to_owned()));
        Self { root: Element::Object(vec![("accountNumber", Element::List(vec![account]))]) }
    }

    /// Which of the required codes speak of such a beneficiary, a company or not, and are not there.
    pub fn missing(&self, required: &[String], is_legal: bool) -> Vec<&'static str> {
        let codes = REQUIRED_CODES.into_iter().filter(|code| required.iter().any(|r| r == code));
        codes.filter(|code| part(code).is_some_and(|part| !self.has(&part, is_legal))).collect()
    }

    fn has(&self, part: &Part, is_legal: bool) -> bool {
        let persons = self.root.list("beneficiaryPersons");
        let naturals = || persons.iter().filter_map(|person| person.member("naturalPerson"));
        let legal = persons.iter().find_map(|person| person.member("legalPerson"));
        let is_legal = legal.is_some() || (persons.is_empty() && is_legal);
        let offices = legal.map_or(0, |legal| legal.list("geographicAddress").len());
        match part {
            Part::Account => !self.account().is_empty(),
            Part::Natural(name) => is_legal || naturals().next().is_some_and(|person| holds(person, name)),
            Part::Legal(name) => !is_legal || legal.is_some_and(|legal| holds(legal, name)),
            Part::Representative(name) => !is_legal || naturals().any(|person| holds(person, name)),
            Part::HeadOffice => !is_legal || offices > 0,
            Part::BranchOffice => !is_legal || offices > 1,
        }
    }

    /// Without everything that was not required. A person of whom anything is required keeps the name, without which there is none.
    pub fn cut_to(self, required: &[String]) -> Self {
        let parts: Vec<Part> = required.iter().filter_map(|code| part(code)).collect();
        let Element::Object(mut members) = self.root else { return self };
        for (name, member) in &mut members {
            if let ("beneficiaryPersons", Element::List(persons)) = (*name, member) {
                cut_persons(persons, &parts);
            }
        }
        members.retain(|(_, member)| !matches!(member, Element::List(items) if items.is_empty()));
        Self { root: Element::Object(members) }
    }
}

/// Whether a person has that member, or its name has it.
fn holds(person: &Element, name: &str) -> bool {
    let names = person.member("name").is_some_and(|names| !names.list(name).is_empty());
    names || person.member(name).is_some()
}

fn cut_persons(persons: &mut Vec<Element>, parts: &[Part]) {
    let is_legal = persons.iter().any(|person| person.member("legalPerson").is_some());
    let naturals = parts.iter().filter_map(|part| match part {
        Part::Natural(name) if !is_legal => Some(*name),
        Part::Representative(name) if is_legal => Some(*name),
        _ => None,
    });
    let naturals: Vec<&str> = naturals.collect();
    let (head, branches) = (has_part(parts, &Part::HeadOffice), has_part(parts, &Part::BranchOffice));
    let mut legals: Vec<&str> = parts
        .iter()
        .filter_map(|part| if let Part::Legal(name) = part { Some(*name) } else { None })
        .collect();
    if head || branches {
        legals.push("geographicAddress");
    }
    // A representative represents: the company stays with it.
    if is_legal && !naturals.is_empty() && legals.is_empty() {
        legals.push("nameIdentifier");
    }
    persons.retain_mut(|person| {
        let Element::Object(members) = person else { return false };
        for (kind, person) in members.iter_mut() {
            match *kind {
                "legalPerson" => {
                    cut_person(person, &legals);
                    cut_offices(person, head, branches);
                }
                _ => cut_person(person, &naturals),
            }
        }
        members
            .iter()
            .all(|(kind, _)| if *kind == "legalPerson" { !legals.is_empty() } else { !naturals.is_empty() })
    });
}

fn has_part(parts: &[Part], wanted: &Part) -> bool {
    parts.iter().any(|part| std::mem::discriminant(part) == std::mem::discriminant(wanted))
}

fn cut_person(person: &mut Element, keep: &[&str]) {
    let Element::Object(members) = person else { return };
    members.retain(|(name, _)| *name == "name" || keep.contains(name));
    for (name, names) in members {
        if let ("name", Element::Object(lists)) = (*name, names) {
            lists.retain(|(list, _)| *list == "nameIdentifier" || keep.contains(list));
        }
    }
}

/// The head office stands first.
fn cut_offices(legal: &mut Element, head: bool, branches: bool) {
    let Element::Object(members) = legal else { return };
    for (name, offices) in members.iter_mut() {
        if let ("geographicAddress", Element::List(offices)) = (*name, offices) {
            if !branches {
                offices.truncate(1);
            }
            if !head && !offices.is_empty() {
                offices.remove(0);
            }
        }
    }
    members.retain(|(_, member)| !matches!(member, Element::List(items) if items.is_empty()));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::withdrawal::Seconds;

    const NAME: &str = r#""name":{"nameIdentifier":[{"primaryIdentifier":"KIM","nameIdentifierType":"LEGL"}],
        "localNameIdentifier":[{"primaryIdentifier":"김","nameIdentifierType":"LEGL"}]}"#;
    const OFFICE: &str = r#"{"addressType":"BIZZ","addressLine":["1 Street"],"country":"KR"}"#;

    fn beneficiary(persons: &str) -> Beneficiary {
        let text = format!(r#"{{"accountNumber":["a"],"beneficiaryPersons":[{persons}]}}"#);
        Beneficiary::parse(text.as_bytes(), Seconds(1_700_000_000)).unwrap()
    }

    fn natural() -> Beneficiary {
        beneficiary(&format!(
            r#"{{"naturalPerson":{{{NAME},"geographicAddress":[{OFFICE}],"nationality":"KR","countryOfResidence":"KR",
            "customerIdentification":"7","dateAndPlaceOfBirth":{{"dateOfBirth":"1990-01-31","placeOfBirth":"Seoul"}},
            "nationalIdentification":{{"nationalIdentifier":"1","nationalIdentifierType":"CCPT"}}}}}}"#
        ))
    }

    fn legal() -> Beneficiary {
        let name =
            |what: &str| format!(r#""{what}":[{{"legalPersonName":"Studio","nameIdentifierType":"LEGL"}}]"#);
        beneficiary(&format!(
            r#"{{"legalPerson":{{"name":{{{},{}}},"geographicAddress":[{OFFICE},{OFFICE}],"customerIdentification":"7",
            "countryOfRegistration":"KR","dateOfIncorporation":"2020-01-01",
            "nationalIdentification":{{"nationalIdentifier":"1","nationalIdentifierType":"RAID","registrationAuthority":"RA000657"}}}}}},
            {{"naturalPerson":{{{NAME},"nationality":"KR","dateAndPlaceOfBirth":{{"dateOfBirth":"1990-01-31","placeOfBirth":"Seoul"}}}}}}"#,
            name("nameIdentifier"),
            name("localNameIdentifier"),
        ))
    }

    fn bare(is_legal: bool) -> Beneficiary {
        let name = r#""name":{"nameIdentifier":[{"primaryIdentifier":"KIM","nameIdentifierType":"LEGL"}]}"#;
        let company = r#""name":{"nameIdentifier":[{"legalPersonName":"Studio","legalPersonNameIdentifierType":"LEGL"}]}"#;
        match is_legal {
            true => beneficiary(&format!(r#"{{"legalPerson":{{{company}}}}}"#)),
            false => beneficiary(&format!(r#"{{"naturalPerson":{{{name}}}}}"#)),
        }
    }

    fn one(code: &str) -> Vec<String> {
        vec![code.to_owned()]
    }

    #[test]
    fn every_code_is_known_and_each_may_be_named_once() {
        let all = REQUIRED_CODES.map(str::to_owned).to_vec();
        assert!(are_required_codes(&all) && are_required_codes(&[]));
        assert!(!are_required_codes(&one("NAME")));
        assert!(!are_required_codes(&[one("ACCOUNT_NUMBER"), one("ACCOUNT_NUMBER")].concat()));
    }

    #[test]
    fn nothing_is_missing_of_a_full_person_and_every_code_of_a_bare_one_is_named() {
        let all = REQUIRED_CODES.map(str::to_owned).to_vec();
        assert!(natural().missing(&all, false).is_empty());
        assert!(legal().missing(&all, true).is_empty());
        assert_eq!(
            bare(false).missing(&all, false),
            REQUIRED_CODES
                .into_iter()
                .filter(|c| c.contains("NATURAL") && *c != "NATURAL_PERSON_NAME")
                .collect::<Vec<_>>()
        );
        let company =
            |c: &&str| !c.contains("NATURAL") && !["ACCOUNT_NUMBER", "LEGAL_PERSON_NAME"].contains(c);
        assert_eq!(
            bare(true).missing(&all, true),
            REQUIRED_CODES.into_iter().filter(company).collect::<Vec<_>>()
        );
        let nobody = Beneficiary::of_account("a");
        assert_eq!(nobody.missing(&one("NATURAL_PERSON_NAME"), false), ["NATURAL_PERSON_NAME"]);
        assert_eq!(nobody.missing(&one("LEGAL_PERSON_NAME"), true), ["LEGAL_PERSON_NAME"]);
        assert!(nobody.missing(&one("ACCOUNT_NUMBER"), false).is_empty());
    }

    /// What is cut to one code supplies that code, and of the other codes only the names without which there is no person.
    #[test]
    fn what_is_given_back_supplies_what_was_required_and_nothing_else() {
        let names =
            ["ACCOUNT_NUMBER", "NATURAL_PERSON_NAME", "LEGAL_PERSON_NAME", "CORPORATE_REPRESENTATIVE_NAME"];
        for (full, is_legal) in [(natural as fn() -> Beneficiary, false), (legal, true)] {
            for code in REQUIRED_CODES {
                let cut = full().cut_to(&one(code));
                let again = Beneficiary::parse(cut.canonical().as_bytes(), Seconds(1_700_000_000)).unwrap();
                assert_eq!(again, cut, "{code}");
                // Cut to a branch alone, it stands in the head office's place.
                if code == "BRANCH_OFFICE_GEOGRAPHIC_ADDRESS" {
                    continue;
                }
                assert!(cut.missing(&one(code), is_legal).is_empty(), "{code}");
                for other in REQUIRED_CODES.into_iter().filter(|o| *o != code && !names.contains(o)) {
                    let about_him = other.contains("NATURAL") != is_legal;
                    assert_eq!(about_him, cut.missing(&one(other), is_legal) == [other], "{code} {other}");
                }
            }
        }
        let account = natural().cut_to(&one("ACCOUNT_NUMBER"));
        assert_eq!(account.canonical().as_str(), r#"{"accountNumber":["a"]}"#);
    }
}
