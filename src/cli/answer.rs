//! Owns what a command prints: facts for people, aligned, or one JSON document for programs.

use std::io::Write;

use serde_json::Value;

use super::problem::{Exit, Problem};

/// What a command has to say at its end.
#[derive(Debug)]
pub struct Answer {
    /// How the process ends.
    pub exit: Exit,
    /// For programs; nothing is printed where it is null.
    pub json: Value,
    /// For people.
    pub text: String,
}

impl Answer {
    /// It was done.
    pub fn ok(json: Value, text: impl Into<String>) -> Self {
        Self { exit: Exit::Ok, json, text: text.into() }
    }

    /// Everything was printed on the way.
    pub fn silent(exit: Exit) -> Self {
        Self { exit, json: Value::Null, text: String::new() }
    }
}

/// Where a command prints: people or programs read it.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    /// Whether programs do.
    pub json: bool,
}

impl Out {
    /// Prints a document or a text. A reader that has gone away is no fault of ours.
    pub fn print(self, json: &Value, text: &str) {
        let mut out = std::io::stdout().lock();
        let line = match (self.json, json) {
            (true, Value::Null) => return,
            (true, json) => json.to_string(),
            (false, _) if text.is_empty() => return,
            (false, _) => text.trim_end().to_owned(),
        };
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// Prints an answer or a problem and gives how the process ends.
    pub fn end(self, answer: Result<Answer, Problem>) -> Exit {
        match answer {
            Ok(answer) => {
                self.print(&answer.json, &answer.text);
                answer.exit
            }
            Err(problem) => {
                if self.json {
                    self.print(&problem.json(), "");
                } else {
                    let _ = writeln!(std::io::stderr().lock(), "{problem}");
                }
                problem.exit
            }
        }
    }
}

/// Lines of `key: value`, their values in one column.
#[derive(Debug, Default)]
pub struct Facts(Vec<(String, String)>);

impl Facts {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line; an empty value adds none.
    pub fn line(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        let value = value.to_string();
        if !value.is_empty() {
            self.0.push((key.into(), value));
        }
        self
    }

    /// Adds a line for what may not be there.
    pub fn maybe(self, key: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.line(key, value),
            None => self,
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        let width = self.0.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default();
        self.0
            .iter()
            .map(|(key, value)| format!("{:<1$} {value}\n", format!("{key}:"), width.saturating_add(1)))
            .collect()
    }
}

/// A table with a headline, its columns as wide as what is in them.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut width = head.map(|name| name.chars().count());
    for row in rows {
        width.iter_mut().zip(row).for_each(|(w, cell)| *w = (*w).max(cell.chars().count()));
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(width).map(|(cell, w)| format!("{cell:<w$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(&mut head.into_iter());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_one_column_and_empty_ones_are_left_out() {
        let text = Facts::new().line("a", 1).line("longer", "x").line("none", "").text();
        assert_eq!(text, "a:      1\nlonger: x\n");
    }

    #[test]
    fn a_table_is_as_wide_as_what_is_in_it() {
        let text = table(["id", "amount"], &[["long-id".into(), "1".into()], ["x".into(), "22".into()]]);
        assert_eq!(text, "id       amount\nlong-id  1\nx        22\n");
    }
}
