//! Owns reading a TOML file: every mistake is told by the field's whole name, its line, and the cure. Knows no field.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::cli::problem::Problem;

/// Longest configuration file, in bytes.
const LEN_MAX: usize = 1_000_000;

/// Reads a file and gives it with the folder from which its paths count.
pub fn file<T: DeserializeOwned>(path: &Path) -> Result<(T, PathBuf), Problem> {
    let (text, base) = text(path)?;
    Ok((parse(&text, "")?, base))
}

/// Reads a file's text and gives it with its folder, absolute.
pub fn text(path: &Path) -> Result<(String, PathBuf), Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::file(path, &error))?;
    if text.len() > LEN_MAX {
        let problem = format!("is {} bytes long, the limit is {LEN_MAX}", text.len());
        return Err(Problem::config(path.display().to_string(), problem, "name the configuration file"));
    }
    let path = std::path::absolute(path).map_err(|error| Problem::file(path, &error))?;
    Ok((text, path.parent().map(Path::to_owned).unwrap_or_default()))
}

/// Reads TOML; `under` is put before each field's name.
pub fn parse<T: DeserializeOwned>(text: &str, under: &str) -> Result<T, Problem> {
    toml::from_str(text).map_err(|error| told(text, under, &error))
}

fn told(text: &str, under: &str, error: &toml::de::Error) -> Problem {
    let message = error.message().lines().next().unwrap_or_default();
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let number = before.matches('\n').count().saturating_add(1);
    let line = text.lines().nth(number.saturating_sub(1)).unwrap_or_default().trim();
    let table = table_of(text, number);
    let key = line.split_once('=').map_or(line, |(key, _)| key.trim()).trim_matches(['[', ']']);
    let name = message.split('`').nth(1).unwrap_or(key);
    let (name, problem, cure) = match message.split(' ').next() {
        Some("unknown") => (name, "is not a field we know", expected(message)),
        Some("missing") => {
            (name, "is missing", "write it; deploy/*.example.toml shows every field".to_owned())
        }
        Some("duplicate") => (name, "stands twice", "write it once".to_owned()),
        _ => (key, message, "write it as deploy/*.example.toml does".to_owned()),
    };
    // A headline that is itself the mistake names its field already.
    let table = match table.strip_suffix(name) {
        Some(parent) if line.starts_with('[') => parent.trim_end_matches('.').to_owned(),
        _ => table,
    };
    let path =
        [under, &table, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
    let path = if path.is_empty() { "configuration".to_owned() } else { path };
    Problem::config(path, format!("line {number}: {problem}"), cure)
}

/// What a field may be called instead, as the reader says.
fn expected(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((_, names)) => format!("write {names}, or leave it out"),
        None => "leave it out; deploy/*.example.toml shows every field".to_owned(),
    }
}

/// The table that a line of the text belongs to, by the last headline at or above it.
fn table_of(text: &str, number: usize) -> String {
    let headline = text.lines().take(number).filter(|line| line.trim_start().starts_with('[')).last();
    let name = headline.unwrap_or_default().trim().split('#').next().unwrap_or_default().trim();
    // A field can be missing in a table that was not begun yet; the name is then that of the field alone.
    name.trim_matches(['[', ']']).to_owned()
}
