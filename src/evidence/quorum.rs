//! The offline quorum behind a trust file: who may sign it, and how many of them must.

use std::collections::{BTreeMap, BTreeSet};

use ssh_key::public::KeyData;

use super::{NAMESPACE_TRUST, NotProven, field, sshsig};
use crate::withdrawal::{Code, Invalid};

/// Who may sign a trust file, and how many of them must. It comes from this party's own configuration.
#[derive(Debug)]
pub struct Quorum {
    threshold: usize,
    keys: BTreeMap<KeyData, String>,
}

impl Quorum {
    /// A quorum of `threshold` different people out of those named; one person may have several keys.
    pub fn new(threshold: usize, people: &[(String, String)]) -> Result<Self, Invalid> {
        let mut keys = BTreeMap::new();
        for (person, key) in people {
            let person = field::name("quorum", person)?;
            let key = sshsig::read_public_key("quorum", key)?.key_data().clone();
            if keys.insert(key, person).is_some() {
                return Err(Invalid::new(
                    Code::FieldDuplicate,
                    "quorum",
                    "names a key twice",
                    "name each key once",
                ));
            }
        }
        let people = keys.values().collect::<BTreeSet<_>>().len();
        if threshold == 0 || threshold > people {
            let problem = format!("needs {threshold} of {people} people");
            return Err(Invalid::new(
                Code::FieldMalformed,
                "quorum",
                problem,
                "name a number from 1 to that of the people",
            ));
        }
        Ok(Self { threshold, keys })
    }

    /// The people who signed exactly this text, if they are enough.
    pub(super) fn signers(&self, text: &str, signatures: &[&str]) -> Result<BTreeSet<String>, NotProven> {
        let mut people = BTreeSet::new();
        for armored in signatures {
            let sig = sshsig::read(armored)?;
            let Some(person) = self.keys.get(sig.public_key()) else { continue };
            sshsig::check(&sig, NAMESPACE_TRUST, text)
                .map_err(|why| NotProven::refused(Code::TrustFileInvalid, format!("`{person}`: {why}")))?;
            people.insert(person.clone());
        }
        if people.len() < self.threshold {
            let detail = format!("{} people of the quorum signed, {} must", people.len(), self.threshold);
            return Err(NotProven::refused(Code::TrustFileInvalid, detail));
        }
        Ok(people)
    }
}
