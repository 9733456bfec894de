//! The fence: floors, purity, first lines and vouching doors, read from the sources themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up. A room may use rooms on lower floors only.
const FLOORS: &[&[&str]] = &[
    &["withdrawal"],
    &["desk"],
    &["keys", "evidence", "bitcoin", "ethereum", "audit"],
    &["pki"],
    &["wire"],
    &["store", "enclave", "node", "cosigner", "freeze"],
    &["custodian"],
    &["flow"],
    &["grpc"],
    &["relay", "executor", "observer"],
    &["cli"],
    &["sandbox"],
];

/// Rooms that compute and nothing else: no clock, no randomness, no input or output.
const PURE: &[&str] = &["withdrawal", "desk", "evidence", "bitcoin", "ethereum", "audit"];

/// Rooms that read the clock in one file only, and draw no randomness at all.
const ONE_CLOCK: &[(&str, &str)] = &[("executor", "executor/run.rs")];

/// What a pure room may not name, and why.
const IMPURE: &[(&str, &str)] = &[
    ("SystemTime", "time is an argument"),
    ("Instant::now", "time is an argument"),
    ("Timestamp::now", "time is an argument"),
    ("getrandom", "randomness is an argument"),
    ("OsRng", "randomness is an argument"),
    ("std::fs", "files belong to doors and faces"),
    ("std::net", "sockets belong to doors and faces"),
    ("tokio::", "a rule waits for nothing"),
];

/// Functions that vouch for something, and the only rooms that may call them.
const VOUCHING: &[(&str, &[&str])] = &[
    ("danger_vouch_for", &["keys", "flow", "executor"]),
    ("danger_vouch_own", &["bitcoin", "ethereum", "flow"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Every source file with its room (the first path element below `src`) and its code without tests and comments.
fn code() -> Vec<(PathBuf, String, String)> {
    let src = root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&src).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
            let room = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code = without_tests(&text);
            (inside.to_owned(), room, code)
        })
        .filter(|(path, _, _)| !is_test_file(path))
        .collect()
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|c| {
        let name = c.as_os_str().to_string_lossy();
        name == "tests"
            || name == "tests.rs"
            || name == "suite.rs"
            || name.ends_with("_tests.rs")
            || name == "testing.rs"
            || name == "fuzzing.rs"
    })
}

fn without_tests(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            break;
        }
        if !line.trim_start().starts_with("//") {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

fn rooms_named(code: &str) -> BTreeSet<String> {
    code.match_indices("crate::")
        .map(|(at, token)| {
            let rest = &code[at + token.len()..];
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
        })
        .filter(|name| floor_of(name).is_some())
        .collect()
}

#[test]
fn a_floor_uses_only_floors_below_it() {
    let mut wrong = Vec::new();
    for (path, room, code) in code() {
        if room == "lib" || room == "main" {
            continue;
        }
        let Some(floor) = floor_of(&room) else {
            wrong.push(format!("{}: room `{room}` stands on no floor", path.display()));
            continue;
        };
        for named in rooms_named(&code) {
            if named != room && floor_of(&named).unwrap() >= floor {
                wrong.push(format!("{}: `{room}` uses `{named}`, which is not below it", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rules_read_no_clock_no_randomness_and_no_outside() {
    let mut wrong = Vec::new();
    for (path, room, code) in code() {
        if !PURE.contains(&room.as_str()) {
            continue;
        }
        for (word, why) in IMPURE {
            if code.contains(word) {
                wrong.push(format!("{}: names `{word}`, but {why}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_room_with_one_clock_reads_it_there_alone() {
    let clocks = ["SystemTime", "Instant::now", "Timestamp::now", "getrandom", "OsRng"];
    for (room, home) in ONE_CLOCK {
        let files: Vec<_> = code().into_iter().filter(|(_, of, _)| of == room).collect();
        assert!(files.iter().any(|(path, _, code)| path.ends_with(home) && code.contains("SystemTime")));
        for (path, _, code) in files.iter().filter(|(path, _, _)| !path.ends_with(home)) {
            let named = clocks.iter().find(|word| code.contains(**word));
            assert!(named.is_none(), "{}: names {named:?}", path.display());
        }
    }
}

#[test]
fn the_policy_crate_does_no_input_or_output() {
    let mut files = Vec::new();
    sources(&root().join("wallet-policy/src"), &mut files);
    assert!(!files.is_empty());
    for path in files {
        let code = without_tests(&fs::read_to_string(&path).unwrap());
        for (word, why) in IMPURE {
            assert!(!code.contains(word), "{}: names `{word}`, but {why}", path.display());
        }
    }
}

#[test]
fn sql_stands_in_the_store_and_behind_the_enclaves_wall() {
    for (path, room, code) in code() {
        let speaks = code.contains("sqlx::");
        assert!(!speaks || room == "store" || room == "enclave", "{}: speaks SQL", path.display());
    }
}

#[test]
fn personal_data_is_named_only_in_the_enclave_and_by_the_robot() {
    for (path, room, code) in code() {
        let at_home = ["enclave", "relay", "sandbox"].contains(&room.as_str());
        for word in ["primaryIdentifier", "dateOfBirth", "nationalIdentif"] {
            assert!(at_home || !code.contains(word), "{}: names `{word}`", path.display());
        }
    }
}

#[test]
fn who_vouches_is_listed_here() {
    for (path, room, code) in code() {
        for (word, rooms) in VOUCHING {
            let listed = rooms.contains(&room.as_str());
            assert!(listed || !code.contains(word), "{}: calls `{word}`", path.display());
        }
    }
}

#[test]
fn there_is_no_floating_point_near_money() {
    // Coin selection's library speaks f32; what it chooses is computed again in integers.
    let allowed = ["bitcoin/select.rs"];
    for (path, _, code) in code() {
        if allowed.iter().any(|a| path.ends_with(a)) {
            continue;
        }
        let words: BTreeSet<&str> = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        assert!(!words.contains("f64") && !words.contains("f32"), "{}: uses floats", path.display());
    }
}

#[test]
fn every_module_opens_with_what_it_owns() {
    for (path, _, _) in code() {
        let text = fs::read_to_string(root().join("src").join(&path)).unwrap();
        assert!(text.starts_with("//! "), "{}: the first line does not say what it owns", path.display());
    }
}

#[test]
fn no_room_is_a_drawer() {
    for (path, _, _) in code() {
        let name = path.file_stem().unwrap().to_string_lossy().to_string();
        for drawer in ["util", "utils", "common", "helpers", "helper", "manager", "misc"] {
            assert_ne!(name, drawer, "{}", path.display());
        }
    }
}

#[test]
fn the_page_of_refusals_is_the_table_of_codes() {
    use countersign::withdrawal::{Code, Kind};
    let mut page = String::from(
        "# Refusals\n\nEvery code this service can answer with. Codes are stable: none is renamed or reused.\n\n\
         A no of the signer's is the signer's word alone. What is to be asked again under another request id is cancelled\n\
         first, and the co-signer's receipt is checked: `countersign cancel`, or as [requests.md](requests.md#withdrawal-void)\n\
         shows. Without a receipt that holds, a stolen signer could have both paid.\n",
    );
    let kinds = BTreeMap::from([
        (Kind::Invalid, "Invalid: it could not be read; nothing was written"),
        (Kind::Refuse, "Refuse: no, for good"),
        (Kind::Hold, "Hold: not yet; resumes by itself when what is missing arrives"),
        (Kind::Fault, "Fault: something broke"),
    ]);
    for (kind, title) in kinds {
        page.push_str(&format!("\n## {title}\n\n| code | why | what to do |\n|---|---|---|\n"));
        for code in Code::ALL.iter().filter(|c| c.kind() == kind) {
            page.push_str(&format!("| `{code}` | {} | {} |\n", code.why(), code.cure()));
        }
    }
    let path = root().join("docs/refusals.md");
    if std::env::var_os("COUNTERSIGN_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/refusals.md is not the table; COUNTERSIGN_WRITE_DOCS=1 writes it");
}

/// Licences that a dependency may come under; `deny.toml` has the same list.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "MIT",
    "MIT-0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "CC0-1.0",
    "Unicode-3.0",
    "Zlib",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "0BSD",
    "Unlicense",
    "MITNFA",
];

/// Libraries of which the tree may hold one version only: two would be two opinions on the same bytes.
const ONLY_ONE: &[&str] = &[
    "secp256k1",
    "secp256k1-sys",
    "k256",
    "bitcoin",
    "rustls",
    "ring",
    "libsqlite3-sys",
    "tonic",
    "sqlx",
    "cedar-policy",
    "alloy-primitives",
    "alloy-sol-types",
];

#[test]
fn dependencies_come_from_the_registry_under_known_licences_and_the_vital_ones_once() {
    // The tree as it is built; `cargo metadata` also names optional dependencies that nothing turns on.
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let asked = std::process::Command::new(cargo)
        .args(["tree", "--workspace", "--locked", "--offline", "--prefix", "none", "--format", "{p}|{l}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let tree = String::from_utf8(asked.stdout).unwrap();
    for line in tree.lines().filter(|line| !line.trim().is_empty()) {
        let (package, licence) = line.split_once('|').unwrap();
        let (name, version) = package.split_once(' ').unwrap();
        versions.entry(name.to_owned()).or_default().insert(version.split(' ').next().unwrap().to_owned());
        assert!(!package.contains("git+"), "{package} does not come from the registry");
        assert!(is_allowed(licence.trim_end_matches(" (*)")), "{package} is under `{licence}`");
    }
    for name in ONLY_ONE {
        let found = versions.get(*name).map_or(0, BTreeSet::len);
        assert_eq!(found, 1, "{name}: {:?}", versions.get(*name));
    }
    for name in ["openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"] {
        assert!(!versions.contains_key(name), "{name} is a second TLS stack");
    }
}

/// Whether an SPDX expression can be met with the licences allowed here.
fn is_allowed(licence: &str) -> bool {
    let choices = licence.replace('/', " OR ").replace(['(', ')'], "");
    choices.split(" OR ").any(|choice| {
        choice
            .split(" AND ")
            .all(|one| LICENCES.contains(&one.trim().trim_end_matches(" WITH LLVM-exception")))
    })
}

/// Every test that the page of attacks names is a test in that file, and every test among the attacks is named.
#[test]
fn the_page_of_attacks_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/attacks.md")).unwrap();
    let named: BTreeSet<(&str, &str)> = page
        .split('`')
        .filter_map(|word| word.split_once("::"))
        .filter(|(f, _)| f.ends_with(".rs"))
        .collect();
    assert!(named.len() > 50, "only {} tests are named", named.len());
    for (file, test) in &named {
        let source = fs::read_to_string(root().join("tests/laws").join(file)).unwrap_or_default();
        let stands =
            source.contains(&format!("]\nasync fn {test}()")) || source.contains(&format!("]\nfn {test}()"));
        assert!(stands, "docs/attacks.md names {file}::{test}, which is no test");
    }
    for (path, text) in attack_files() {
        for test in
            text.split("]\nasync fn ").skip(1).filter_map(|rest| rest.split_once('(')).map(|(name, _)| name)
        {
            let known = named.contains(&(path.as_str(), test));
            assert!(known, "docs/attacks.md does not name {path}::{test}");
        }
    }
}

fn attack_files() -> Vec<(String, String)> {
    let folder = fs::read_dir(root().join("tests/laws/attacks")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let name = |path: &Path| format!("attacks/{}", path.file_name().unwrap().to_string_lossy());
    files.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}
