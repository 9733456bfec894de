//! The canonical text: a heading and `key: value` lines that have exactly one spelling. Knows bytes, no meaning.
//!
//! `docs/requests.md` states the rules. A reader names the first line that breaks one.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use crate::withdrawal::{Code, Invalid};

const CURE: &str = "build the text byte for byte as docs/requests.md shows";

/// What a text of one kind looks like: its heading, its keys in their order, and its limits in bytes.
#[derive(Debug)]
pub struct Form {
    /// The first line, without its line feed.
    pub heading: &'static str,
    /// Every key there is, in the order of the lines.
    pub keys: &'static [&'static str],
    /// The longest text.
    pub size_max: usize,
    /// The longest value.
    pub value_len_max: usize,
}

impl Form {
    /// A form with the usual limits: 4,096 bytes for the text, 512 for a value.
    pub const fn new(heading: &'static str, keys: &'static [&'static str]) -> Self {
        Self { heading, keys, size_max: 4096, value_len_max: 512 }
    }

    /// The form with limits of its own.
    pub const fn limits(self, size_max: usize, value_len_max: usize) -> Self {
        Self { size_max, value_len_max, ..self }
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.keys.iter().position(|k| *k == key)
    }
}

/// Reads bytes as UTF-8, which every canonical text is.
pub fn utf8(bytes: &[u8]) -> Result<&str, Invalid> {
    std::str::from_utf8(bytes)
        .map_err(|e| malformed("text", format!("is not UTF-8 from byte {} on", e.valid_up_to())))
}

/// Whether a character may stand in a value: none that is invisible, that moves others, or that looks like a blank.
pub fn allowed(c: char) -> bool {
    !matches!(u32::from(c),
        0..=0x1f | 0x7f..=0xa0 | 0xad | 0x61c | 0x115f..=0x1160 | 0x1680 | 0x17b4..=0x17b5 | 0x180b..=0x180f
        | 0x2000..=0x200f | 0x2028..=0x202f | 0x205f..=0x206f | 0x2800 | 0x3000 | 0x3164 | 0xfe00..=0xfe0f
        | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0xe0000..=0xe0fff)
}

/// Says what is wrong with a value as a value of any key, if something is.
pub fn check_value(field: &'static str, value: &str, len_max: usize) -> Result<(), Invalid> {
    if value.is_empty() {
        return Err(Invalid::new(Code::FieldMissing, field, "is empty", CURE));
    }
    if value.len() > len_max {
        let problem = format!("is {} bytes long, the limit is {len_max}", value.len());
        return Err(Invalid::new(Code::FieldTooLong, field, problem, CURE));
    }
    if let Some(c) = value.chars().find(|c| !allowed(*c)) {
        return Err(malformed(field, format!("holds U+{:04X}, which no value may hold", u32::from(c))));
    }
    if value.starts_with(' ') || value.ends_with(' ') {
        return Err(malformed(field, "begins or ends with a blank"));
    }
    Ok(())
}

/// Writes a canonical text line by line, in the order of its form.
#[derive(Debug)]
pub struct Writer(String);

impl Writer {
    /// Begins with the heading.
    pub fn new(form: &Form) -> Self {
        Self(format!("{}\n", form.heading))
    }

    /// Adds one line.
    #[must_use]
    pub fn line(mut self, key: &str, value: impl Display) -> Self {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "{key}: {value}");
        self
    }

    /// Adds one line for each value.
    #[must_use]
    pub fn lines<T: Display>(self, key: &str, values: impl IntoIterator<Item = T>) -> Self {
        values.into_iter().fold(self, |writer, value| writer.line(key, value))
    }

    /// The finished text.
    pub fn finish(self) -> String {
        self.0
    }
}

/// Reads a canonical text line by line and refuses every other spelling of it.
#[derive(Debug)]
pub struct Reader<'a> {
    form: &'static Form,
    rest: &'a str,
    line: usize,
    taken: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    /// Checks size, heading and last line feed.
    pub fn open(text: &'a str, form: &'static Form) -> Result<Self, Invalid> {
        if text.len() > form.size_max {
            let problem = format!("is {} bytes long, the limit is {}", text.len(), form.size_max);
            return Err(Invalid::new(Code::MessageTooLarge, "text", problem, CURE));
        }
        if text.is_empty() {
            return Err(Invalid::new(Code::FieldMissing, "text", "is empty", CURE));
        }
        let Some(rest) = text.strip_prefix(form.heading).and_then(|t| t.strip_prefix('\n')) else {
            return Err(malformed("heading", format!("line 1 is not exactly `{}`", form.heading)));
        };
        if !text.ends_with('\n') {
            return Err(malformed("text", "does not end with a line feed"));
        }
        Ok(Self { form, rest, line: 1, taken: BTreeSet::new() })
    }

    /// The value of the next line, which must have this key.
    pub fn take(&mut self, key: &'static str) -> Result<&'a str, Invalid> {
        let (line, rest) = self.rest.split_once('\n').ok_or_else(|| missing(key))?;
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name != key {
            return Err(self.misplaced(Some(key), name));
        }
        let value = match value.strip_prefix(' ') {
            Some(value) => value,
            None if value.is_empty() => value,
            None => return Err(malformed(key, "has no blank after the colon")),
        };
        check_value(key, value, self.form.value_len_max)?;
        self.rest = rest;
        self.line += 1;
        self.taken.insert(key);
        Ok(value)
    }

    /// The values of all consecutive lines with this key, at most `count_max`.
    pub fn take_all(&mut self, key: &'static str, count_max: usize) -> Result<Vec<&'a str>, Invalid> {
        let mut values = Vec::new();
        while self.rest.strip_prefix(key).is_some_and(|after| after.starts_with(':')) {
            if values.len() == count_max {
                let problem = format!("stands more than {count_max} times");
                return Err(Invalid::new(Code::StatementMalformed, key, problem, CURE));
            }
            values.push(self.take(key)?);
        }
        Ok(values)
    }

    /// Refuses lines after the last one.
    pub fn close(self) -> Result<(), Invalid> {
        match self.rest.split_once('\n') {
            None => Ok(()),
            Some((line, _)) => Err(self.misplaced(None, line.split_once(':').map_or(line, |(name, _)| name))),
        }
    }

    /// What is wrong with a next line called `name` where `expected` (or the end) should be.
    fn misplaced(&self, expected: Option<&'static str>, name: &str) -> Invalid {
        let line = self.line + 1;
        let Some(at) = self.form.position(name) else {
            if name.is_empty() {
                return malformed("text", format!("line {line} has no key"));
            }
            let name: String = name.chars().take(40).flat_map(char::escape_debug).collect();
            let problem = format!("line {line} begins with `{name}`, which is no key of this text");
            return Invalid::new(Code::FieldUnknown, "text", problem, CURE);
        };
        let found = self.form.keys.get(at).copied().unwrap_or("text");
        if self.taken.contains(found) {
            return Invalid::new(Code::FieldDuplicate, found, format!("stands again on line {line}"), CURE);
        }
        match expected {
            Some(key) if self.form.position(key) < Some(at) => match self.rest.contains(&format!("\n{key}:"))
            {
                true => {
                    malformed(key, format!("stands too late: line {line} must be `{key}` and is `{found}`"))
                }
                false => missing(key),
            },
            _ => Invalid::new(Code::FieldUnknown, found, format!("does not belong on line {line}"), CURE),
        }
    }
}

/// Refuses a text that reads well and is not what its value renders to: no second spelling of a value exists.
pub fn same(text: &str, rendered: &str) -> Result<(), Invalid> {
    if text == rendered { Ok(()) } else { Err(malformed("text", "is not the one spelling of what it says")) }
}

pub(super) fn malformed(field: &'static str, problem: impl Into<String>) -> Invalid {
    Invalid::new(Code::FieldMalformed, field, problem, CURE)
}

fn missing(key: &'static str) -> Invalid {
    Invalid::new(Code::FieldMissing, key, "is missing", CURE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    static FORM: Form = Form::new("countersign test v1", &["one", "two", "three"]).limits(200, 20);

    fn read(text: &str) -> Result<[String; 3], Invalid> {
        let mut reader = Reader::open(text, &FORM)?;
        let values = ["one", "two", "three"].map(|k| reader.take(k).map(str::to_owned));
        let [one, two, three] = values;
        let values = [one?, two?, three?];
        reader.close()?;
        Ok(values)
    }

    const GOOD: &str = "countersign test v1\none: 1\ntwo: 2 b\nthree: 삼\n";

    #[test]
    fn a_text_reads_and_writes_back_byte_for_byte() {
        let [one, two, three] = read(GOOD).unwrap();
        let text = Writer::new(&FORM).line("one", one).line("two", two).line("three", three).finish();
        assert_eq!(text, GOOD);
    }

    #[test]
    fn every_other_spelling_is_refused_and_names_its_line() {
        use Code::*;
        let cases: &[(&str, Code, &str)] = &[
            ("", FieldMissing, "text"),
            ("countersign test v2\none: 1\ntwo: 2\nthree: 3\n", FieldMalformed, "heading"),
            ("countersign test v1\r\none: 1\ntwo: 2\nthree: 3\n", FieldMalformed, "heading"),
            ("\u{feff}countersign test v1\none: 1\ntwo: 2\nthree: 3\n", FieldMalformed, "heading"),
            ("countersign test v1\none: 1\ntwo: 2\nthree: 3", FieldMalformed, "text"),
            ("countersign test v1\none: 1\ntwo: 2\nthree: 3\n\n", FieldMalformed, "text"),
            ("countersign test v1\n\none: 1\ntwo: 2\nthree: 3\n", FieldMalformed, "text"),
            ("countersign test v1\none: 1\ntwo: 2\n", FieldMissing, "three"),
            ("countersign test v1\none: 1\nthree: 3\n", FieldMissing, "two"),
            ("countersign test v1\none: 1\nthree: 3\ntwo: 2\n", FieldMalformed, "two"),
            ("countersign test v1\none: 1\none: 1\ntwo: 2\nthree: 3\n", FieldDuplicate, "one"),
            ("countersign test v1\none: 1\ntwo: 2\nthree: 3\nthree: 3\n", FieldDuplicate, "three"),
            ("countersign test v1\none: 1\ntwo: 2\nthree: 3\none: 1\n", FieldDuplicate, "one"),
            ("countersign test v1\none: 1\ntwo: 2\nthree: 3\nfour: 4\n", FieldUnknown, "text"),
            ("countersign test v1\none: 1\n two: 2\nthree: 3\n", FieldUnknown, "text"),
            ("countersign test v1\none: 1\nTwo: 2\nthree: 3\n", FieldUnknown, "text"),
            ("countersign test v1\none: 1\ntwo:2\nthree: 3\n", FieldMalformed, "two"),
            ("countersign test v1\none: 1\ntwo:  2\nthree: 3\n", FieldMalformed, "two"),
            ("countersign test v1\none: 1\ntwo: 2 \nthree: 3\n", FieldMalformed, "two"),
            ("countersign test v1\none: 1\ntwo: 2\r\nthree: 3\n", FieldMalformed, "two"),
            ("countersign test v1\none: 1\ntwo: 2\t\nthree: 3\n", FieldMalformed, "two"),
            ("countersign test v1\none: 1\ntwo: a\u{202e}b\nthree: 3\n", FieldMalformed, "two"),
            ("countersign test v1\none: 1\ntwo: a\u{3000}b\nthree: 3\n", FieldMalformed, "two"),
            ("countersign test v1\none: 1\ntwo: \nthree: 3\n", FieldMissing, "two"),
            ("countersign test v1\none: 1\ntwo:\nthree: 3\n", FieldMissing, "two"),
            ("countersign test v1\none: 1\ntwo\nthree: 3\n", FieldMissing, "two"),
            ("countersign test v1\none: 1\ntwo: 123456789012345678901\nthree: 3\n", FieldTooLong, "two"),
        ];
        for (text, code, field) in cases {
            let no = read(text).expect_err(text);
            assert_eq!((no.code, no.field), (*code, *field), "{text:?}");
        }
        let no = read(&format!("{GOOD}{}", "x".repeat(200))).unwrap_err();
        assert_eq!((no.code, no.field), (Code::MessageTooLarge, "text"));
        assert!(no.problem.contains("200"), "the limit is named");
        assert!(utf8(b"countersign \xff").unwrap_err().problem.contains("byte 12"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(one in "[!-~]{1,20}", two in "[가-힣a-z]{1,6}") {
            let text = Writer::new(&FORM).line("one", &one).line("two", &two).line("three", 3).finish();
            prop_assert_eq!(read(&text).unwrap(), [one, two, "3".to_owned()]);
        }

        #[test]
        fn a_text_that_reads_is_the_one_spelling(text in "countersign test v1\n(one: [ -~\r]{0,4}\n|two: .{0,3}\n|three: 3\n|x: y\n){0,5}") {
            if let Ok([one, two, three]) = read(&text) {
                let again = Writer::new(&FORM).line("one", one).line("two", two).line("three", three).finish();
                prop_assert_eq!(again, text);
            }
        }
    }
}
