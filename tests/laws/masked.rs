//! What a page shows in place of what changes from run to run.

/// What a text that begins like this is shown as: `d` stands for a digit, `h` for a hexadecimal one.
const SHAPES: [(&str, &str); 4] = [
    ("dddd-dd-ddTdd:dd:ddZ", "<time>"),
    ("dddd-dd-dd", "<date>"),
    ("rf_dddddddd", "<refill id>"),
    ("fz_hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh", "<freeze id>"),
];
/// What a number is shown as that stands after this.
const AFTER: [(&str, &str); 9] = [
    ("log index:", "<index>"),
    ("\"log_index\":", "<index>"),
    ("to entry", "<index>"),
    ("reviewed:", "<index>"),
    ("log entries:", "<size>"),
    ("head:", "<size>"),
    ("\"tree_size\":", "<size>"),
    ("price_age_s\":", "<age>"),
    ("position_age_s\":", "<age>"),
];
/// What a number is shown as that stands before this.
const BEFORE: [(&str, &str); 2] = [(" s old", "<age>"), (" s before", "<age>")];
const FINGERPRINT: &str = "SHA256:";
/// As `ssh-keygen -l` prints it: SHA-256 in base64 without padding.
const FINGERPRINT_LEN: usize = 50;

/// A line without what changes from run to run: times, hashes, keys, transactions, indices of the log.
pub fn masked(line: &str) -> String {
    // whether the log has heard of a freeze when its answer leaves is a matter of milliseconds
    if let Some(rest) = line.strip_prefix("  log:")
        && (rest.contains("not noted yet") || rest.contains("entry "))
    {
        let blanks = rest.len() - rest.trim_start().len();
        return format!("  log:{}<entry in the log>", " ".repeat(blanks));
    }
    let mut out = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let shown = shape(rest).or_else(|| named(&out, rest, word)).or_else(|| fingerprint(rest));
        let length = match shown {
            Some((_, length)) => length,
            None => word.max(first.len_utf8()),
        };
        out.push_str(shown.map_or(&rest[..length], |(name, _)| name));
        rest = &rest[length..];
    }
    out
}

fn shape(text: &str) -> Option<(&'static str, usize)> {
    let fits = |(pattern, byte): (u8, u8)| match pattern {
        b'd' => byte.is_ascii_digit(),
        b'h' => byte.is_ascii_hexdigit(),
        other => other == byte,
    };
    let begins = |pattern: &str| text.len() >= pattern.len() && pattern.bytes().zip(text.bytes()).all(fits);
    SHAPES.iter().find(|(pattern, _)| begins(pattern)).map(|(pattern, name)| (*name, pattern.len()))
}

/// A word that is a hash, a time in seconds, or a number whose neighbours say what it counts.
fn named(before: &str, rest: &str, word: usize) -> Option<(&'static str, usize)> {
    let (text, after) = rest.split_at(word);
    if word >= 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(("<hex>", word));
    }
    if word == 0 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if word == 10 && (text.starts_with("17") || text.starts_with("18")) {
        return Some(("<unix time>", word));
    }
    // a column of a table before the one with the hash
    let hash = after.strip_prefix(',').and_then(|next| next.as_bytes().get(..64));
    if hash.is_some_and(|hash| hash.iter().all(u8::is_ascii_hexdigit)) {
        return Some(("<index>", word));
    }
    let follows = AFTER.iter().find(|(key, _)| before.trim_end().ends_with(key));
    let found = follows.or_else(|| BEFORE.iter().find(|(key, _)| after.starts_with(key)));
    found.map(|(_, name)| (*name, word))
}

fn fingerprint(text: &str) -> Option<(&'static str, usize)> {
    (text.starts_with(FINGERPRINT) && text.len() >= FINGERPRINT_LEN)
        .then_some(("<fingerprint>", FINGERPRINT_LEN))
}

#[test]
fn what_changes_from_run_to_run_is_shown_by_its_name() {
    let hash = "ab".repeat(32);
    let cases = [
        ("updated: 2026-11-22T11:33:23Z.", "updated: <time>."),
        (&format!("x {hash}, {hash}00"), "x <hex>, <hex>"),
        ("\"at\":1763811203,\"amount\":\"1000000000000\"", "\"at\":<unix time>,\"amount\":\"1000000000000\""),
        ("per_tx_limit=1000000000", "per_tx_limit=1000000000"),
        ("log index:        57", "log index:        <index>"),
        ("{\"log_index\":57,\"a\":1}", "{\"log_index\":<index>,\"a\":1}"),
        (
            "wd_7ed2f1a5c08e34b14f3f1d9d2ab6dc0e 0.20000000 BTC",
            "wd_7ed2f1a5c08e34b14f3f1d9d2ab6dc0e 0.20000000 BTC",
        ),
        (&format!("key SHA256:{}.", "A/b".repeat(14) + "+"), "key <fingerprint>."),
        ("rf_00000042 of 2026-11-22", "<refill id> of <date>"),
        (&format!("fz_{}.", "0a".repeat(16)), "<freeze id>."),
        ("  log:      not noted yet", "  log:      <entry in the log>"),
        ("  log:      entry 18 of 22", "  log:      <entry in the log>"),
        ("resumes: all, reviewed to entry 18, by kim", "resumes: all, reviewed to entry <index>, by kim"),
        (&format!("signer,16,{hash},17"), "signer,<index>,<hex>,17"),
        (&format!("17,{hash}"), "<index>,<hex>"),
        ("stated (12 s old), 3 s before, 4 s", "stated (<age> s old), <age> s before, 4 s"),
        ("홍길동 2026", "홍길동 2026"),
    ];
    for (line, shown) in cases {
        assert_eq!(masked(line), shown);
    }
}
