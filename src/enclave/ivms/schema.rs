//! Owns the classes of IVMS101 as tables: members, cardinalities, types, and the spellings other systems use.
//!
//! Source: IVMS101.2023 data model; tolerated spellings and the extensions `nationality` and `dateOfIncorporation` are those of the
//! VerifyVASP dialect. A member that is not in the table does not exist.

/// What a member's value must look like.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// 1 to that many characters of any script, none of them a control character.
    Text(usize),
    /// ISO 3166-1 alpha-2, or `XX` (constraint C3).
    Country,
    /// `YYYY-MM-DD`.
    Date,
    /// `RA` and six digits.
    Authority,
    /// One of a closed list.
    Code(&'static [&'static str]),
    /// Another class.
    Object(&'static Class),
}

/// How often a member may stand.
#[derive(Clone, Copy)]
pub(super) enum Times {
    Once,
    AtMostOnce,
    /// A list of that many to that many.
    List(usize, usize),
}

/// One member of a class.
pub(super) struct Member {
    pub(super) name: &'static str,
    /// Other spellings that are read as this one.
    pub(super) also: &'static [&'static str],
    pub(super) times: Times,
    pub(super) shape: Shape,
}

/// A class.
pub(super) struct Class {
    pub(super) members: &'static [Member],
}

const fn member(name: &'static str, times: Times, shape: Shape) -> Member {
    Member { name, also: &[], times, shape }
}

const fn spelled(name: &'static str, also: &'static [&'static str], times: Times, shape: Shape) -> Member {
    Member { name, also, times, shape }
}

use Shape::{Authority, Code, Country, Date, Object, Text};
use Times::{AtMostOnce, List, Once};

const NATURAL_NAME_TYPES: &[&str] = &["ALIA", "BIRT", "MAID", "LEGL", "MISC"];
const LEGAL_NAME_TYPES: &[&str] = &["LEGL", "SHRT", "TRAD"];
const ADDRESS_TYPES: &[&str] = &["HOME", "BIZZ", "GEOG"];
const IDENTIFIER_TYPES: &[&str] =
    &["ARNU", "CCPT", "RAID", "DRLC", "FIIN", "TXID", "SOCS", "IDCD", "LEIX", "MISC"];
const LIST_MAX: usize = 10;

pub(super) static PAYLOAD: Class = Class {
    members: &[
        member("originator", AtMostOnce, Object(&ORIGINATOR)),
        member("beneficiary", Once, Object(&BENEFICIARY)),
    ],
};

pub(super) static ORIGINATOR: Class = Class {
    members: &[
        spelled("originatorPersons", &["originatorPerson"], List(1, LIST_MAX), Object(&PERSON)),
        member("accountNumber", List(0, LIST_MAX), Text(512)),
    ],
};

pub(super) static BENEFICIARY: Class = Class {
    members: &[
        spelled("beneficiaryPersons", &["beneficiaryPerson"], List(0, LIST_MAX), Object(&PERSON)),
        member("accountNumber", List(1, 1), Text(512)),
    ],
};

static PERSON: Class = Class {
    members: &[
        member("naturalPerson", AtMostOnce, Object(&NATURAL)),
        member("legalPerson", AtMostOnce, Object(&LEGAL)),
    ],
};

static NATURAL: Class = Class {
    members: &[
        member("name", Once, Object(&NATURAL_NAMES)),
        member("geographicAddress", List(0, LIST_MAX), Object(&ADDRESS)),
        member("nationalIdentification", AtMostOnce, Object(&IDENTIFICATION)),
        spelled("customerIdentification", &["customerNumber"], AtMostOnce, Text(50)),
        spelled("dateAndPlaceOfBirth", &["dataAndPlaceOfBirth"], AtMostOnce, Object(&BIRTH)),
        member("countryOfResidence", AtMostOnce, Country),
        member("nationality", AtMostOnce, Country),
    ],
};

static NATURAL_NAMES: Class = Class {
    members: &[
        member("nameIdentifier", List(1, LIST_MAX), Object(&NATURAL_NAME)),
        member("localNameIdentifier", List(0, LIST_MAX), Object(&NATURAL_NAME)),
        member("phoneticNameIdentifier", List(0, LIST_MAX), Object(&NATURAL_NAME)),
    ],
};

static NATURAL_NAME: Class = Class {
    members: &[
        member("primaryIdentifier", Once, Text(100)),
        member("secondaryIdentifier", AtMostOnce, Text(100)),
        spelled("nameIdentifierType", &["naturalPersonNameIdentifierType"], Once, Code(NATURAL_NAME_TYPES)),
    ],
};

static LEGAL: Class = Class {
    members: &[
        member("name", Once, Object(&LEGAL_NAMES)),
        member("geographicAddress", List(0, LIST_MAX), Object(&ADDRESS)),
        spelled("customerIdentification", &["customerNumber"], AtMostOnce, Text(50)),
        member("nationalIdentification", AtMostOnce, Object(&IDENTIFICATION)),
        member("countryOfRegistration", AtMostOnce, Country),
        member("dateOfIncorporation", AtMostOnce, Date),
    ],
};

static LEGAL_NAMES: Class = Class {
    members: &[
        member("nameIdentifier", List(1, LIST_MAX), Object(&LEGAL_NAME)),
        member("localNameIdentifier", List(0, LIST_MAX), Object(&LEGAL_NAME)),
        member("phoneticNameIdentifier", List(0, LIST_MAX), Object(&LEGAL_NAME)),
    ],
};

static LEGAL_NAME: Class = Class {
    members: &[
        member("legalPersonName", Once, Text(100)),
        spelled("legalPersonNameIdentifierType", &["nameIdentifierType"], Once, Code(LEGAL_NAME_TYPES)),
    ],
};

static ADDRESS: Class = Class {
    members: &[
        member("addressType", Once, Code(ADDRESS_TYPES)),
        member("department", AtMostOnce, Text(50)),
        member("subDepartment", AtMostOnce, Text(70)),
        member("streetName", AtMostOnce, Text(70)),
        member("buildingNumber", AtMostOnce, Text(16)),
        member("buildingName", AtMostOnce, Text(35)),
        member("floor", AtMostOnce, Text(70)),
        member("postBox", AtMostOnce, Text(16)),
        member("room", AtMostOnce, Text(70)),
        spelled("postcode", &["postCode"], AtMostOnce, Text(16)),
        member("townName", AtMostOnce, Text(35)),
        member("townLocationName", AtMostOnce, Text(35)),
        member("districtName", AtMostOnce, Text(35)),
        member("countrySubDivision", AtMostOnce, Text(35)),
        member("addressLine", List(0, 7), Text(70)),
        member("country", Once, Country),
    ],
};

static BIRTH: Class =
    Class { members: &[member("dateOfBirth", Once, Date), member("placeOfBirth", Once, Text(70))] };

static IDENTIFICATION: Class = Class {
    members: &[
        member("nationalIdentifier", Once, Text(35)),
        member("nationalIdentifierType", Once, Code(IDENTIFIER_TYPES)),
        member("countryOfIssue", AtMostOnce, Country),
        member("registrationAuthority", AtMostOnce, Authority),
    ],
};

/// The officially assigned codes of ISO 3166-1 alpha-2.
const COUNTRIES: &str = "\
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT \
MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG \
UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XX";

/// Whether that is a country code of constraint C3.
pub(super) fn is_country(text: &str) -> bool {
    text.len() == 2 && COUNTRIES.split(' ').any(|code| code == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_249_countries_and_the_unknown_one() {
        assert_eq!(COUNTRIES.split(' ').count(), 250);
        assert!(
            is_country("KR") && is_country("XX") && !is_country("UK") && !is_country("kr") && !is_country("")
        );
    }
}
