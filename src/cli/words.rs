//! The words of a seed, once: shown on the terminal itself or written into a file, or read from one. Never on an output
//! that could be kept by accident.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use zeroize::Zeroizing;

use super::init::{InitArgs, Language};
use super::keyfile;
use super::problem::Problem;
use crate::keys::mnemonic::PHRASE_LEN_MAX;
use crate::keys::{Phrase, SecretBytes, WordList};

/// Reads the words that are to be restored, or makes 24 new ones and shows them; with a line to say so.
pub fn obtain(args: &InitArgs) -> Result<(Phrase, String), Problem> {
    if let Some(file) = &args.words_from {
        return Ok((read(file)?, "The seed was restored from the words given.\n".to_owned()));
    }
    let list = match args.language {
        Language::English => WordList::English,
        Language::Korean => WordList::Korean,
    };
    let phrase = Phrase::from_entropy(list, &keyfile::fresh()?)?;
    let shown = match &args.words_file {
        Some(file) => {
            keyfile::write_new(file, &text(&phrase)).map_err(|no| no.at("--words-file"))?;
            format!("The words are in `{}`: copy them onto paper and destroy the file.\n", file.display())
        }
        None => {
            show(&phrase)?;
            "The words were shown on the terminal, and will not be shown again.\n".to_owned()
        }
    };
    Ok((phrase, shown))
}

fn read(file: &Path) -> Result<Phrase, Problem> {
    let mut source =
        std::fs::File::open(file).map_err(|error| Problem::file(file, &error).at("--words-from"))?;
    let words =
        SecretBytes::read_from(&mut source, PHRASE_LEN_MAX).map_err(|error| Problem::file(file, &error))?;
    let too_long = || {
        Problem::config(
            "--words-from",
            format!("is longer than {PHRASE_LEN_MAX} bytes"),
            "name the file of the words",
        )
    };
    let words = words.ok_or_else(too_long)?.without_last_line_feed();
    Phrase::parse(&words).map_err(|error| Problem::from(error).at("--words-from"))
}

fn text(phrase: &Phrase) -> Zeroizing<String> {
    // Long enough for every phrase, so that growing leaves nothing behind.
    let mut text = Zeroizing::new(String::with_capacity(PHRASE_LEN_MAX));
    for (at, word) in phrase.words().enumerate() {
        text.push_str(if at == 0 { "" } else { " " });
        text.push_str(word);
    }
    text.push('\n');
    text
}

/// To the terminal and nowhere else: not to an output that may be a file or a log.
fn show(phrase: &Phrase) -> Result<(), Problem> {
    let no = |_| {
        let cure = "run it on a terminal, or give --words-file (written with mode 0600)";
        Problem::config("--words-file", "there is no terminal to show the new words on", cure)
    };
    let mut terminal = OpenOptions::new().write(true).open("/dev/tty").map_err(no)?;
    let mut lines = Zeroizing::new(String::with_capacity(2 * PHRASE_LEN_MAX));
    for (at, word) in (1..).zip(phrase.words()) {
        lines.push_str(&format!("{at:>4}. "));
        lines.push_str(word);
        lines.push('\n');
    }
    let head = "\nThese words restore the key. Write them on paper, now; they are not shown again.\n\n";
    let written = terminal.write_all(head.as_bytes()).and_then(|()| terminal.write_all(lines.as_bytes()));
    written.and_then(|()| terminal.write_all(b"\n")).map_err(no)
}
