//! Owns reading JSON into a tree that wipes itself, refuses a member given twice and never repeats what it read.

use std::fmt;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A piece of personal data: wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// Takes ownership of the characters.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// JSON as it came, before any rule was applied.
pub(in super::super) enum Raw {
    Null,
    Text(Text),
    List(Vec<Raw>),
    Object(Vec<(String, Raw)>),
    /// The persons' model has no place for one; the messages around it do.
    Truth(bool),
    /// As it was written; the persons' model has no place for one either.
    Number(Text),
}

/// How `serde_json` hands over a number that is to be kept as it was written.
const NUMBER: &str = "$serde_json::private::Number";

impl Raw {
    /// Whether a sender would mean "nothing" by it.
    pub(in super::super) fn is_absent(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.as_str().is_empty(),
            Self::List(list) => list.is_empty(),
            _ => false,
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Raw, E> {
        Ok(Raw::Truth(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Raw, E> {
        Ok(Raw::Number(Text::new(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Raw, E> {
        Ok(Raw::Number(Text::new(number.to_string())))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(Text::new(text.to_owned())))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(Text::new(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Raw, A::Error> {
        let mut object: Vec<(String, Raw)> = Vec::new();
        while let Some((name, value)) = members.next_entry::<String, Raw>()? {
            if let (NUMBER, Raw::Text(number)) = (name.as_str(), &value) {
                // An object of a sender may have a member of that name, too.
                let is_number = number.as_str().parse::<serde_json::Number>().is_ok();
                return if is_number {
                    Ok(Raw::Number(number.clone()))
                } else {
                    Err(de::Error::custom("no number"))
                };
            }
            if object.iter().any(|(seen, _)| *seen == name) {
                return Err(de::Error::custom(DUPLICATE));
            }
            object.push((name, value));
        }
        Ok(Raw::Object(object))
    }
}

/// The one message of this reader that is told apart.
pub(super) const DUPLICATE: &str = "a member is given twice";
