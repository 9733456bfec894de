//! Owns reading the members of a JSON object by name. What is wrong is told by the member's path, never by its value.

use crate::enclave::ivms::{Raw, Text, read_json};

/// What is wrong with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is not there, or empty.
    Missing,
    /// It is not what it should be.
    Malformed,
    /// It is longer than its limit.
    TooLong,
    /// It is given, and there is no such member.
    Unknown,
}

/// A member that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Where it stands.
    pub(super) path: String,
    /// What kind of mistake it is.
    pub(super) flaw: Flaw,
    /// What is wrong, in one clause.
    pub(super) problem: String,
}

impl Wrong {
    /// Says no to one member.
    pub(super) fn new(path: impl Into<String>, flaw: Flaw, problem: impl Into<String>) -> Self {
        Self { path: path.into(), flaw, problem: problem.into() }
    }
}

/// The members of an object that were not taken yet. The first spelling of a name is the documented one; others are read as it.
pub(super) struct Fields {
    path: String,
    members: Vec<(String, Raw)>,
}

impl Fields {
    /// Reads a whole message.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Wrong> {
        let raw = read_json(bytes).map_err(|no| Wrong::new("body", Flaw::Malformed, no.problem))?;
        Self::of(raw, "")
    }

    fn of(raw: Raw, path: &str) -> Result<Self, Wrong> {
        match raw {
            Raw::Object(members) => Ok(Self { path: path.to_owned(), members }),
            _ if path.is_empty() => Err(Wrong::new("body", Flaw::Malformed, "is not an object")),
            _ => Err(Wrong::new(path, Flaw::Malformed, "is not an object")),
        }
    }

    /// The path of a member.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a member out, whatever it is; `null` and empty texts and lists are as good as absent.
    pub(super) fn take(&mut self, names: &[&str]) -> Result<Option<Raw>, Wrong> {
        let name = names.first().copied().unwrap_or_default();
        let is_named = |(given, _): &mut (String, Raw)| names.contains(&given.as_str());
        let mut found = self.members.extract_if(.., is_named).map(|(_, value)| value);
        let first = found.next();
        if found.next().is_some() {
            drop(found);
            return Err(Wrong::new(self.path(name), Flaw::Malformed, "is given twice, under two spellings"));
        }
        drop(found);
        Ok(first.filter(|raw| !raw.is_absent()))
    }

    /// Takes a text of at most `max` characters, none of them a control character.
    pub(super) fn text(&mut self, names: &[&str], max: usize) -> Result<Option<Text>, Wrong> {
        let path = self.path(names.first().copied().unwrap_or_default());
        match self.take(names)? {
            None => Ok(None),
            Some(Raw::Text(text)) => check_text(text, max, path).map(Some),
            Some(_) => Err(Wrong::new(path, Flaw::Malformed, "is not a text")),
        }
    }

    /// Takes a text that must be there.
    pub(super) fn needed(&mut self, names: &[&str], max: usize) -> Result<Text, Wrong> {
        let path = self.path(names.first().copied().unwrap_or_default());
        self.text(names, max)?.ok_or_else(|| Wrong::new(path, Flaw::Missing, "is missing"))
    }

    /// Takes a text, or a whole number as its digits.
    pub(super) fn text_or_number(&mut self, names: &[&str], max: usize) -> Result<Option<Text>, Wrong> {
        let path = self.path(names.first().copied().unwrap_or_default());
        match self.take(names)? {
            None => Ok(None),
            Some(Raw::Number(digits)) if digits.as_str().bytes().all(|b| b.is_ascii_digit()) => {
                check_text(digits, max, path).map(Some)
            }
            Some(Raw::Text(text)) => check_text(text, max, path).map(Some),
            Some(_) => Err(Wrong::new(path, Flaw::Malformed, "is neither a text nor a whole number")),
        }
    }

    /// Takes a truth value that must be there; 0 and 1 are read as one.
    pub(super) fn truth(&mut self, names: &[&str]) -> Result<bool, Wrong> {
        let path = self.path(names.first().copied().unwrap_or_default());
        match self.take(names)? {
            None => Err(Wrong::new(path, Flaw::Missing, "is missing")),
            Some(Raw::Truth(truth)) => Ok(truth),
            Some(Raw::Number(digits)) if ["0", "1"].contains(&digits.as_str()) => Ok(digits.as_str() == "1"),
            Some(_) => Err(Wrong::new(path, Flaw::Malformed, "is neither true nor false")),
        }
    }

    /// Takes an object that must be there.
    pub(super) fn object(&mut self, names: &[&str]) -> Result<Self, Wrong> {
        let path = self.path(names.first().copied().unwrap_or_default());
        match self.take(names)? {
            None => Err(Wrong::new(path, Flaw::Missing, "is missing")),
            Some(raw) => Self::of(raw, &path),
        }
    }

    /// Says no if anything is left. Its name is not repeated: it might be somebody's name in the wrong place.
    pub(super) fn end(self) -> Result<(), Wrong> {
        let path = if self.path.is_empty() { "body".to_owned() } else { self.path };
        match self.members.len() {
            0 => Ok(()),
            n => Err(Wrong::new(path, Flaw::Unknown, format!("has {n} members that do not exist"))),
        }
    }
}

fn check_text(text: Text, max: usize, path: String) -> Result<Text, Wrong> {
    if text.as_str().chars().any(char::is_control) {
        return Err(Wrong::new(path, Flaw::Malformed, "holds a control character"));
    }
    match text.as_str().chars().count() {
        n if n > max => {
            Err(Wrong::new(path, Flaw::TooLong, format!("is {n} characters long, the limit is {max}")))
        }
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn spellings_are_read_as_one_and_never_twice() {
        let names = &["tradeISODatetime", "tradeISODateTime"];
        let read = |json: &str| fields(json).text(names, 40).map(|t| t.map(|t| t.as_str().to_owned()));
        assert_eq!(read(r#"{"tradeISODateTime":"x"}"#), Ok(Some("x".into())));
        assert_eq!(read(r#"{"tradeISODatetime":""}"#), Ok(None));
        let twice = read(r#"{"tradeISODatetime":"x","tradeISODateTime":"x"}"#).unwrap_err();
        assert_eq!((twice.path.as_str(), twice.flaw), ("tradeISODatetime", Flaw::Malformed));
    }

    #[test]
    fn a_truth_value_may_be_written_as_a_number() {
        let read = |json: &str| fields(json).truth(&["x"]).map_err(|w| w.flaw);
        for (json, expected) in [
            (r#"{"x":true}"#, Ok(true)),
            (r#"{"x":0}"#, Ok(false)),
            (r#"{"x":1}"#, Ok(true)),
            (r#"{"x":2}"#, Err(Flaw::Malformed)),
            (r#"{"x":"true"}"#, Err(Flaw::Malformed)),
            (r#"{}"#, Err(Flaw::Missing)),
            (r#"{"x":null}"#, Err(Flaw::Missing)),
        ] {
            assert_eq!(read(json), expected, "{json}");
        }
    }

    #[test]
    fn a_member_by_the_private_name_of_a_number_is_no_number() {
        let body = |text: &str| format!(r#"{{"x":{{"$serde_json::private::Number":"{text}"}}}}"#);
        assert!(Fields::parse(body("Kim").as_bytes()).is_err());
        assert!(Fields::parse(body("1 2").as_bytes()).is_err());
        let number = fields(r#"{"x":150}"#).text_or_number(&["x"], 9).unwrap();
        assert_eq!(number.unwrap().as_str(), "150");
    }

    #[test]
    fn what_is_wrong_is_told_without_the_value() {
        let wrong = |json: &str| {
            let mut outer = fields(json);
            let read = outer.object(&["a"]).and_then(|mut a| {
                a.needed(&["name"], 3)?;
                a.end()
            });
            read.unwrap_err()
        };
        for (json, path, flaw) in [
            (r#"{"a":{"name":"Kim Minsu"}}"#, "a.name", Flaw::TooLong),
            (r#"{"a":{"name":7}}"#, "a.name", Flaw::Malformed),
            (r#"{"a":{"name":"a\u0000b"}}"#, "a.name", Flaw::Malformed),
            (r#"{"a":{"name":"Kim","Minsu":1}}"#, "a", Flaw::Unknown),
            (r#"{"a":"Kim"}"#, "a", Flaw::Malformed),
            (r#"{"a":{}}"#, "a.name", Flaw::Missing),
            (r#"{}"#, "a", Flaw::Missing),
        ] {
            let no = wrong(json);
            assert_eq!((no.path.as_str(), no.flaw), (path, flaw), "{json}");
            assert!(!no.problem.contains("Kim") && !no.problem.contains("Minsu"), "{no:?}");
        }
        for bad in ["", "[", "7", "[]", r#"{"Kim":1,"Kim":2}"#] {
            let no = Fields::parse(bad.as_bytes()).err().unwrap();
            assert_eq!(no.path, "body", "{bad}");
            assert!(!no.problem.contains("Kim"), "{no:?}");
        }
    }
}
