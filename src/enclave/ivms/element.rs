//! Owns fitting a raw tree to the tables: the result has only known members, canonical spellings and NFC texts, and wipes itself.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::raw::{Raw, Text};
use super::schema::{Class, Member, Shape, Times, is_country};

/// A checked value. It never prints what it holds.
#[derive(PartialEq, Eq)]
pub(super) enum Element {
    Text(Text),
    List(Vec<Element>),
    /// Members in the order of their names.
    Object(Vec<(&'static str, Element)>),
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What is wrong and where; holds member names and rules, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) path: String,
    pub(super) what: String,
}

impl Problem {
    pub(super) fn at(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), what: what.into() }
    }
}

impl Element {
    /// The member of that name.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(n, _)| *n == name).map(|(_, e)| e),
            _ => None,
        }
    }

    /// The members of that list, none if it is absent.
    pub(super) fn list(&self, name: &str) -> &[Self] {
        match self.member(name) {
            Some(Self::List(items)) => items,
            _ => &[],
        }
    }

    /// The text of that member.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.member(name).and_then(Self::as_text)
    }

    /// The text itself.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Writes the canonical form (RFC 8785): members by name, no blanks, minimal escapes.
    pub(super) fn write(&self, out: &mut Zeroizing<String>) {
        match self {
            Self::Text(text) => write_text(text.as_str(), out),
            Self::List(items) => write_all('[', items.iter().map(|i| (None, i)), ']', out),
            Self::Object(members) => write_all('{', members.iter().map(|(n, e)| (Some(*n), e)), '}', out),
        }
    }
}

fn write_all<'a>(
    open: char,
    items: impl Iterator<Item = (Option<&'static str>, &'a Element)>,
    close: char,
    out: &mut Zeroizing<String>,
) {
    out.push(open);
    for (n, (name, item)) in items.enumerate() {
        if n > 0 {
            out.push(',');
        }
        if let Some(name) = name {
            write_text(name, out);
            out.push(':');
        }
        item.write(out);
    }
    out.push(close);
}

/// Texts hold no control characters here, so only two characters need an escape.
fn write_text(text: &str, out: &mut Zeroizing<String>) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// Fits a raw tree to a class.
pub(super) fn fit(class: &Class, raw: Raw, path: &str) -> Result<Element, Problem> {
    let Raw::Object(given) = raw else {
        return Err(Problem::at(path, "is not an object"));
    };
    let mut found: Vec<(&'static str, Element)> = Vec::new();
    for (n, (name, value)) in given.into_iter().enumerate() {
        let Some(member) = class.members.iter().find(|m| m.name == name || m.also.contains(&name.as_str()))
        else {
            // Its name is not repeated: it might be somebody's name in the wrong place.
            return Err(Problem::at(
                path,
                format!("has a member, number {}, which the standard does not know", n + 1),
            ));
        };
        let path = join(path, member.name);
        if found.iter().any(|(n, _)| *n == member.name) {
            return Err(Problem::at(&path, "is given twice, under two spellings"));
        }
        if let Some(element) = fit_member(member, value, &path)? {
            found.push((member.name, element));
        }
    }
    if let Some(absent) =
        class.members.iter().find(|m| is_needed(m) && found.iter().all(|(n, _)| *n != m.name))
    {
        return Err(Problem::at(&join(path, absent.name), "is missing"));
    }
    found.sort_by_key(|(name, _)| *name);
    Ok(Element::Object(found))
}

fn is_needed(member: &Member) -> bool {
    matches!(member.times, Times::Once | Times::List(1.., _))
}

fn fit_member(member: &Member, raw: Raw, path: &str) -> Result<Option<Element>, Problem> {
    if raw.is_absent() {
        return Ok(None);
    }
    let Times::List(_, max) = member.times else {
        return fit_shape(member.shape, raw, path).map(Some);
    };
    let Raw::List(items) = raw else {
        return Err(Problem::at(path, "is not a list"));
    };
    if items.len() > max {
        return Err(Problem::at(path, format!("has {} entries, the limit is {max}", items.len())));
    }
    let fitted =
        items.into_iter().enumerate().map(|(n, item)| fit_shape(member.shape, item, &format!("{path}[{n}]")));
    fitted.collect::<Result<Vec<_>, _>>().map(|list| Some(Element::List(list)))
}

fn fit_shape(shape: Shape, raw: Raw, path: &str) -> Result<Element, Problem> {
    if let Shape::Object(class) = shape {
        return fit(class, raw, path);
    }
    let Raw::Text(text) = raw else {
        return Err(Problem::at(path, "is not a text"));
    };
    let text = Text::new(text.as_str().nfc().collect());
    check_text(shape, text.as_str()).map_err(|what| Problem::at(path, what))?;
    Ok(Element::Text(text))
}

fn check_text(shape: Shape, text: &str) -> Result<(), String> {
    let ok = match shape {
        Shape::Text(max) => return check_length(text, max),
        Shape::Country => is_country(text),
        Shape::Date => is_date(text),
        Shape::Authority => {
            text.strip_prefix("RA").is_some_and(|n| n.len() == 6 && n.bytes().all(|b| b.is_ascii_digit()))
        }
        Shape::Code(list) => list.contains(&text),
        Shape::Object(_) => false,
    };
    if ok { Ok(()) } else { Err(expected(shape)) }
}

fn check_length(text: &str, max: usize) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err("holds a control character".into());
    }
    if text.trim().is_empty() {
        return Err("is blank".into());
    }
    match text.chars().count() {
        n if n > max => Err(format!("is {n} characters long, the limit is {max}")),
        _ => Ok(()),
    }
}

fn expected(shape: Shape) -> String {
    match shape {
        Shape::Country => "is no ISO 3166-1 alpha-2 code (C3)".into(),
        Shape::Date => "is no date of the form YYYY-MM-DD".into(),
        Shape::Authority => "is no registration authority (RA and six digits)".into(),
        Shape::Code(list) => format!("is none of {}", list.join(", ")),
        Shape::Text(_) | Shape::Object(_) => "is malformed".into(),
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.is_ascii() && text.parse::<jiff::civil::Date>().is_ok()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
