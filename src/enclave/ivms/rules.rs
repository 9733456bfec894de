//! Owns the constraints C1 to C9 and C11 of IVMS101.2023, and the network's rule of one customer a side. Knows no names.

use super::element::{Element, Problem};

/// Which side of the transfer a party stands on; the originator owes more about itself (C1, C4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Originator,
    Beneficiary,
}

/// Checks a party's persons. `today` is `YYYY-MM-DD`.
pub(super) fn check_party(side: Side, party: &Element, path: &str, today: &str) -> Result<(), Problem> {
    let list = match side {
        Side::Originator => "originatorPersons",
        Side::Beneficiary => "beneficiaryPersons",
    };
    for (n, person) in party.list(list).iter().enumerate() {
        let path = format!("{path}.{list}[{n}]");
        match (person.member("naturalPerson"), person.member("legalPerson")) {
            (Some(natural), None) => {
                check_natural(side, natural, n, &format!("{path}.naturalPerson"), today)?
            }
            (None, Some(legal)) if n == 0 => check_legal(side, legal, &format!("{path}.legalPerson"))?,
            (None, Some(_)) => {
                return Err(Problem::at(&path, "is a legal person, which may only stand first"));
            }
            _ => return Err(Problem::at(&path, "is not exactly one of naturalPerson and legalPerson")),
        }
    }
    check_one_customer(party.list(list), &format!("{path}.{list}"))
}

/// A natural person stands alone; natural persons after a legal one are its representatives.
fn check_one_customer(persons: &[Element], path: &str) -> Result<(), Problem> {
    let first_is_natural = persons.first().is_some_and(|p| p.member("naturalPerson").is_some());
    if first_is_natural && persons.len() > 1 {
        return Err(Problem::at(path, "names several customers, one is allowed"));
    }
    Ok(())
}

fn check_natural(side: Side, person: &Element, n: usize, path: &str, today: &str) -> Result<(), Problem> {
    check_legal_name_given(person, "nameIdentifierType", "C6", path)?;
    check_addresses(person, path)?;
    if let Some(born) = person.member("dateAndPlaceOfBirth").and_then(|b| b.text("dateOfBirth"))
        && born >= today
    {
        let path = format!("{path}.dateAndPlaceOfBirth.dateOfBirth");
        return Err(Problem::at(&path, "is not in the past (C2)"));
    }
    let known =
        ["geographicAddress", "customerIdentification", "nationalIdentification", "dateAndPlaceOfBirth"];
    if side == Side::Originator && n == 0 && known.iter().all(|name| person.member(name).is_none()) {
        let what = "needs geographicAddress, customerIdentification, nationalIdentification or dateAndPlaceOfBirth (C1)";
        return Err(Problem::at(path, what));
    }
    Ok(())
}

fn check_legal(side: Side, person: &Element, path: &str) -> Result<(), Problem> {
    check_legal_name_given(person, "legalPersonNameIdentifierType", "C5", path)?;
    check_addresses(person, path)?;
    if let Some(identification) = person.member("nationalIdentification") {
        check_legal_identification(identification, &format!("{path}.nationalIdentification"))?;
    }
    let known = ["geographicAddress", "customerIdentification", "nationalIdentification"];
    if side == Side::Originator && known.iter().all(|name| person.member(name).is_none()) {
        let what = "needs geographicAddress, customerIdentification or nationalIdentification (C4)";
        return Err(Problem::at(path, what));
    }
    Ok(())
}

fn check_legal_name_given(person: &Element, type_of: &str, rule: &str, path: &str) -> Result<(), Problem> {
    let names = person.member("name").map(|n| n.list("nameIdentifier")).unwrap_or_default();
    if names.iter().any(|name| name.text(type_of) == Some("LEGL")) {
        return Ok(());
    }
    Err(Problem::at(&format!("{path}.name.nameIdentifier"), format!("has no name of type LEGL ({rule})")))
}

fn check_addresses(person: &Element, path: &str) -> Result<(), Problem> {
    for (n, address) in person.list("geographicAddress").iter().enumerate() {
        let street = address.member("streetName").is_some()
            && (address.member("buildingName").is_some() || address.member("buildingNumber").is_some());
        if address.list("addressLine").is_empty() && !street {
            let what = "needs an addressLine, or a streetName with buildingName or buildingNumber (C8)";
            return Err(Problem::at(&format!("{path}.geographicAddress[{n}]"), what));
        }
    }
    Ok(())
}

fn check_legal_identification(identification: &Element, path: &str) -> Result<(), Problem> {
    let kind = identification.text("nationalIdentifierType").unwrap_or_default();
    let authority = identification.member("registrationAuthority").is_some();
    let lei = kind == "LEIX";
    if !["RAID", "MISC", "LEIX", "TXID"].contains(&kind) {
        let what = "is not RAID, MISC, LEIX or TXID, as a legal person's must be (C7)";
        return Err(Problem::at(&format!("{path}.nationalIdentifierType"), what));
    }
    if identification.member("countryOfIssue").is_some() {
        return Err(Problem::at(&format!("{path}.countryOfIssue"), "is not for legal persons (C9)"));
    }
    if authority == lei {
        let what = if lei { "is not for an LEI (C9)" } else { "is missing (C9)" };
        return Err(Problem::at(&format!("{path}.registrationAuthority"), what));
    }
    if lei && !identification.text("nationalIdentifier").is_some_and(is_lei) {
        return Err(Problem::at(&format!("{path}.nationalIdentifier"), "is no LEI (C11, ISO 17442)"));
    }
    Ok(())
}

/// ISO 17442: 18 letters or digits and two check digits, remainder 1 by ISO 7064 mod 97-10.
pub(super) fn is_lei(text: &str) -> bool {
    let shape = text.len() == 20
        && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        && text.bytes().skip(18).all(|b| b.is_ascii_digit());
    let remainder = text.chars().filter_map(|c| c.to_digit(36)).fold(0, |rest, digit| {
        let shift = if digit < 10 { 10 } else { 100 };
        (rest * shift + digit) % 97
    });
    shape && remainder == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_lei_is_accepted_only_with_its_check_digits() {
        assert!(is_lei("5493001KJTIIGC8Y1R12"));
        assert!(!is_lei("5493001KJTIIGC8Y1R13"));
        assert!(!is_lei("5493001KJTIIGC8Y1R1"));
        assert!(!is_lei("5493001kjtiigc8y1r12"));
    }
}
