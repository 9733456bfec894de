//! Owns the robot: a counterparty VASP with invented customers, for tests and the sandbox. Its three personas are the network's.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::enclave::ivms::{Beneficiary, Name, Person, Text};
use crate::enclave::name::same_name;
use crate::enclave::{Backend, Question, Reason, Verdict, Working};
use crate::withdrawal::Seconds;

/// The assets the robot knows.
const SYMBOLS: [&str; 3] = ["BTC", "ETH", "USDT"];

/// How many personas there are.
const PERSONAS: usize = 3;
/// Invented customers: family name, given name, and both in Hangul.
const KOREANS: [(&str, &str, (&str, &str)); 8] = [
    ("KIM", "MINSU", ("김", "민수")),
    ("LEE", "SEOYEON", ("이", "서연")),
    ("PARK", "JIHOON", ("박", "지훈")),
    ("CHOI", "YUJIN", ("최", "유진")),
    ("JUNG", "HAEUN", ("정", "하은")),
    ("KANG", "DOYUN", ("강", "도윤")),
    ("YOON", "SOHEE", ("윤", "소희")),
    ("NAMGUNG", "MIN", ("남궁", "민")),
];

/// A name in two parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobotName {
    /// Family name, or the whole name.
    pub primary: String,
    /// Given name.
    #[serde(default)]
    pub secondary: String,
}

/// One invented customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Its names; the first is the one given back, in Latin letters if it has any.
    pub names: Vec<RobotName>,
    /// The same in the local script.
    #[serde(default)]
    pub local_names: Vec<RobotName>,
    /// A company's representatives; a person has none.
    #[serde(default)]
    pub representatives: Vec<RobotName>,
    /// Whether it is a company.
    #[serde(default)]
    pub company: bool,
    /// Whether its identity was checked.
    pub kyc: bool,
    /// The addresses it holds.
    pub addresses: Vec<String>,
}

/// The robot's customers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robot {
    /// All of them.
    pub customers: Vec<Customer>,
}

fn name(primary: &str, secondary: &str) -> RobotName {
    RobotName { primary: primary.to_owned(), secondary: secondary.to_owned() }
}

impl Customer {
    /// A person whose identity was checked.
    pub fn person(primary: &str, secondary: &str, addresses: &[&str]) -> Self {
        Self {
            names: vec![name(primary, secondary)],
            local_names: Vec::new(),
            representatives: Vec::new(),
            company: false,
            kyc: true,
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
        }
    }

    /// The same with a name in the local script.
    pub fn with_local_name(mut self, primary: &str, secondary: &str) -> Self {
        self.local_names.push(name(primary, secondary));
        self
    }
}

impl Robot {
    /// The three personas of the network's test VASP, each with one address: Robbins Taylor with an identity check, Cook Ethan without,
    /// and the company Garrit Studio represented by Clarke Jason.
    pub fn personas(checked: &str, unchecked: &str, company: &str) -> Self {
        let garrit = Customer {
            names: vec![name("Garrit Studio", "")],
            representatives: vec![name("Clarke", "Jason")],
            company: true,
            ..Customer::person("", "", &[company])
        };
        let cook = Customer { kyc: false, ..Customer::person("Cook", "Ethan", &[unchecked]) };
        Self { customers: vec![Customer::person("Robbins", "Taylor", &[checked]), cook, garrit] }
    }

    /// A robot that holds all these addresses: the first three are the personas', the others go round among invented Korean customers,
    /// who are verified under their Hangul and their Latin names.
    pub fn holding<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let mut robot = Self::personas("", "", "");
        let koreans = KOREANS.map(|(family, given, in_hangul)| {
            Customer::person(family, given, &[]).with_local_name(in_hangul.0, in_hangul.1)
        });
        robot.customers.iter_mut().for_each(|persona| persona.addresses.clear());
        robot.customers.extend(koreans);
        for (n, address) in addresses.into_iter().enumerate() {
            let place = if n < PERSONAS { n } else { PERSONAS + (n - PERSONAS) % KOREANS.len() };
            robot.customers.get_mut(place).into_iter().for_each(|c| c.addresses.push(address.to_owned()));
        }
        robot
    }

    /// With one more customer.
    pub fn with(mut self, customer: Customer) -> Self {
        self.customers.push(customer);
        self
    }

    fn holder(&self, question: &Question<'_>) -> Result<&Customer, Reason> {
        if !SYMBOLS.contains(&question.symbol) {
            return Err(Reason::UnknownSymbol);
        }
        let holds = |c: &&Customer| c.addresses.iter().any(|a| a == question.destination);
        self.customers.iter().find(holds).ok_or(Reason::UnknownAddress)
    }

    fn judge_account(&self, question: &Question<'_>) -> Verdict {
        self.holder(question).map_or_else(Verdict::denied, |_| Verdict::verified(None))
    }

    fn judge_user(&self, question: &Question<'_>) -> Verdict {
        let asked = question.payload.map(|p| p.beneficiaries()).unwrap_or_default();
        let checked = self.holder(question).and_then(|customer| match customer {
            c if !c.is_named(&asked) => Err(Reason::MismatchedName),
            c if !c.kyc => Err(Reason::UnverifiedKyc),
            c => Ok(c),
        });
        match checked.map(|c| c.beneficiary(question.destination)) {
            Ok(Some(beneficiary)) => Verdict::verified(Some(beneficiary)),
            Ok(None) => Verdict::error(),
            Err(reason) => Verdict::denied(reason),
        }
    }
}

impl Backend for Robot {
    fn verify_account<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        Box::pin(async { self.judge_account(question) })
    }

    fn verify_user<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        Box::pin(async { self.judge_user(question) })
    }
}

impl Customer {
    /// Whether these persons are this customer; a company also needs one of its representatives among them.
    fn is_named(&self, asked: &[Person]) -> bool {
        let Some((first, others)) = asked.split_first() else { return false };
        let own = person(self.company, self.names.iter().chain(&self.local_names));
        let represented = || {
            let known = self.representatives.iter().map(|r| person(false, [r]));
            known.into_iter().any(|known| others.iter().any(|other| same_name(&known, other).is_some()))
        };
        same_name(&own, first).is_some() && (!self.company || represented())
    }

    fn beneficiary(&self, address: &str) -> Option<Beneficiary> {
        let natural = |name: &RobotName| match name.secondary.as_str() {
            "" => json!({"primaryIdentifier": name.primary, "nameIdentifierType": "LEGL"}),
            given => {
                json!({"primaryIdentifier": name.primary, "secondaryIdentifier": given, "nameIdentifierType": "LEGL"})
            }
        };
        let all = |names: &[RobotName]| names.iter().map(natural).collect::<Vec<_>>();
        let mut persons = Vec::new();
        if self.company {
            let legal = |n: &RobotName| json!({"legalPersonName": n.primary, "legalPersonNameIdentifierType": "LEGL"});
            let names: Vec<_> = self.names.iter().map(legal).collect();
            persons.push(json!({"legalPerson": {"name": {"nameIdentifier": names}}}));
            let representative = |r| json!({"naturalPerson": {"name": {"nameIdentifier": [natural(r)]}}});
            persons.extend(self.representatives.iter().map(representative));
        } else {
            let names =
                json!({"nameIdentifier": all(&self.names), "localNameIdentifier": all(&self.local_names)});
            persons.push(json!({"naturalPerson": {"name": names}}));
        }
        let text = json!({"beneficiaryPersons": persons, "accountNumber": [address]}).to_string();
        // No date stands in it, so any time will do.
        Beneficiary::parse(text.as_bytes(), Seconds(0)).ok()
    }
}

fn person<'a>(is_legal: bool, names: impl IntoIterator<Item = &'a RobotName>) -> Person {
    let text = |t: &str| Text::new(t.to_owned());
    let one = |n: &RobotName| Name {
        primary: text(&n.primary),
        secondary: (!n.secondary.is_empty()).then(|| text(&n.secondary)),
    };
    Person { is_legal, names: names.into_iter().map(one).collect(), phonetic: Vec::new() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_robot_is_read_from_json_and_written_back() {
        let text = r#"{"customers":[
            {"names":[{"primary":"KIM","secondary":"MINSU"}],"local_names":[{"primary":"김","secondary":"민수"}],
             "kyc":true,"addresses":["bcrt1q-a","bcrt1q-b"]},
            {"names":[{"primary":"Garrit Studio"}],"representatives":[{"primary":"Clarke","secondary":"Jason"}],
             "company":true,"kyc":true,"addresses":["bcrt1q-c"]}]}"#;
        let robot: Robot = serde_json::from_str(text).unwrap();
        let kim = Customer::person("KIM", "MINSU", &["bcrt1q-a", "bcrt1q-b"]).with_local_name("김", "민수");
        assert_eq!(robot.customers.first(), Some(&kim));
        let again = serde_json::to_string(&robot).unwrap();
        assert_eq!(serde_json::from_str::<Robot>(&again).unwrap(), robot);
        assert!(serde_json::from_str::<Robot>(&text.replace("kyc", "kyb")).is_err());
        // The persons of each can be given back as IVMS101.
        assert!(robot.customers.iter().all(|c| c.beneficiary("bcrt1q-a").is_some()));
    }

    #[test]
    fn every_address_has_one_holder_and_the_first_three_are_the_personas() {
        let addresses: Vec<String> = (0..30).map(|n| format!("bcrt1q-{n}")).collect();
        let robot = Robot::holding(addresses.iter().map(String::as_str));
        for address in &addresses {
            assert_eq!(
                robot.customers.iter().filter(|c| c.addresses.contains(address)).count(),
                1,
                "{address}"
            );
        }
        let personas = Robot::personas("bcrt1q-0", "bcrt1q-1", "bcrt1q-2");
        assert_eq!(robot.customers.get(..PERSONAS), Some(&*personas.customers));
        assert!(robot.customers.iter().skip(PERSONAS).all(|c| c.kyc && c.local_names.len() == 1));
        assert!(robot.customers.iter().all(|c| c.beneficiary("bcrt1q-0").is_some()));
    }
}
