//! Tests of the terminal: what `init` makes and refuses, how a wallet comes together, what `--check` finds, and the page of help.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod checking;
mod custodian;
mod executor;
mod safe;
mod starting;

use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use serde_json::Value;

use super::answer::{Answer, Out};
use super::problem::{Exit, Problem};
use super::{Cli, config};
use crate::evidence::{NAMESPACE_TRUST, sign_ssh};
use crate::withdrawal::Code;

/// Runs a command line as the program would.
fn play(line: &str) -> Result<Answer, Problem> {
    let words = line.split_whitespace();
    let cli = Cli::try_parse_from(std::iter::once("countersign").chain(words))
        .unwrap_or_else(|error| panic!("{error}"));
    super::run(cli.command, Out { json: true })
}

fn no(line: &str) -> Problem {
    match play(line) {
        Err(problem) => problem,
        Ok(answer) => panic!("{line}: {}", answer.text),
    }
}

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.write("pass", "correct horse\n");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        super::keyfile::write_new(&self.path(name), text).unwrap();
        self.path(name)
    }

    /// Runs a command line in which `@` stands for this desk.
    fn play(&self, line: &str) -> Result<Answer, Problem> {
        play(&line.replace('@', &format!("{}/", self.0.path().display())))
    }

    fn no(&self, line: &str) -> Problem {
        no(&line.replace('@', &format!("{}/", self.0.path().display())))
    }

    fn init_vault(&self, name: &str) -> Answer {
        let line = format!(
            "init --role vault --network regtest --cost cheap --keystore @{name} --passphrase-file @pass --words-file @{name}.words"
        );
        self.play(&line).unwrap()
    }

    fn init_signer(&self) -> Answer {
        self.play(SIGNER).unwrap()
    }
}

const SIGNER: &str = "init --role signer --network regtest --cost cheap --keystore @a --passphrase-file @pass --words-file @a.words \
    --store sqlite:@a.db --origin x.example/signer --enclave-database @e.db --enclave-data-key @e.key --enclave-identity-key @v.key \
    --freeze-folder @freeze";
const COSIGNER: &str = "init --role cosigner --network regtest --cost cheap --keystore @b --passphrase-file @pass --words-file @b.words \
    --store sqlite:@b.db --origin x.example/cosigner";

#[test]
fn init_makes_everything_of_a_signer_once_and_prints_what_the_trust_file_needs() {
    let desk = Desk::new();
    let made = desk.init_signer().json;
    assert!(made["key"].as_str().unwrap().starts_with('['));
    assert!(made["log_key"].as_str().unwrap().starts_with("x.example/signer+"));
    assert_eq!(made["enclave_identity_key"].as_str().unwrap().len(), 64);
    for file in ["a", "a.db", "a.words", "e.db", "e.key", "v.key"] {
        assert!(desk.path(file).is_file(), "{file}");
    }
    let words = std::fs::read_to_string(desk.path("a.words")).unwrap();
    assert_eq!(words.split_whitespace().count(), 24);
    // a field's name may be one of the words by chance, half of them may not
    let said = made.to_string();
    assert!(words.split_whitespace().filter(|word| said.contains(*word)).count() < 12, "{said}");
    let again = desk.no(SIGNER);
    assert_eq!((again.exit, again.field.as_deref()), (Exit::Usage, Some("keystore")), "{again}");
    assert!(again.cure.contains("--existing"), "{again}");
}

#[test]
fn existing_things_are_kept_and_only_what_is_missing_is_made() {
    let desk = Desk::new();
    let first = desk.init_signer().json;
    std::fs::remove_file(desk.path("e.db")).unwrap();
    let before = std::fs::read(desk.path("a")).unwrap();
    let second =
        desk.play(&format!("{} --existing", SIGNER.replace("--words-file @a.words", ""))).unwrap().json;
    assert_eq!(first, second);
    assert_eq!(std::fs::read(desk.path("a")).unwrap(), before);
    assert!(desk.path("e.db").is_file());
}

#[test]
fn a_travel_rule_database_gets_no_second_data_key() {
    let desk = Desk::new();
    desk.init_signer();
    let again = format!("{} --existing", SIGNER.replace("--words-file @a.words", ""));
    std::fs::rename(desk.path("e.key"), desk.path("e.key.away")).unwrap();
    let lost = desk.no(&again);
    assert_eq!((lost.exit, lost.field.as_deref()), (Exit::Usage, Some("enclave data key")), "{lost}");
    assert!(!desk.path("e.key").exists());
    desk.write("e.key", &format!("{}\n", "17".repeat(32)));
    let other = desk.no(&again);
    assert_eq!(other.code, Some(Code::StoreOtherKey), "{other}");
    assert!(other.text.contains("e.db"), "{other}");
    std::fs::rename(desk.path("e.key.away"), desk.path("e.key")).unwrap();
    desk.play(&again).unwrap();
}

#[test]
fn words_restore_the_same_key_in_english_and_in_korean() {
    let desk = Desk::new();
    let line = "init --role vault --network regtest --cost cheap --passphrase-file @pass --language korean";
    let first = desk.play(&format!("{line} --keystore @one --words-file @words")).unwrap();
    let second = desk.play(&format!("{line} --keystore @two --words-from @words")).unwrap();
    assert_eq!(first.json["key"], second.json["key"]);
    desk.write("bip39", "an extra passphrase\n");
    let other = desk
        .play(&format!("{line} --keystore @three --words-from @words --words-passphrase-file @bip39"))
        .unwrap();
    assert_ne!(first.json["key"], other.json["key"]);
    desk.write("wrong", "abandon abandon abandon\n");
    let wrong = desk.no(&format!("{line} --keystore @four --words-from @wrong"));
    assert_eq!(wrong.field.as_deref(), Some("--words-from"), "{wrong}");
    assert!(!wrong.to_string().contains("abandon"), "no error repeats a word");
}

#[test]
fn a_cheap_keystore_is_refused_on_mainnet() {
    let desk = Desk::new();
    let refused = desk.no("init --role vault --network mainnet --cost cheap --keystore @c --passphrase-file @pass --words-file @w");
    assert_eq!(refused.field.as_deref(), Some("--cost"), "{refused}");
    assert!(!desk.path("c").exists() && !desk.path("w").exists());
}

#[test]
fn a_flag_that_a_role_needs_is_named() {
    let desk = Desk::new();
    for (line, flag) in [
        ("init --role relay", "--key-file"),
        ("init --role vault --network regtest --keystore @c", "--passphrase-file"),
        ("init --role cosigner --network regtest --keystore @c --passphrase-file @pass", "--store"),
        (
            "init --role cosigner --network regtest --keystore @c --passphrase-file @pass --store sqlite:@d",
            "--origin",
        ),
    ] {
        assert_eq!(desk.no(line).field.as_deref(), Some(flag), "{line}");
    }
}

#[test]
fn a_machines_key_is_made_once() {
    let desk = Desk::new();
    let made = desk.play("init --role exchange --key-file @request.key").unwrap().json;
    let text = std::fs::read_to_string(desk.path("request.key")).unwrap();
    assert_eq!((text.len(), made["public_key"].as_str().unwrap().len()), (65, 64));
    assert_eq!(desk.no("init --role exchange --key-file @request.key").field.as_deref(), Some("--key-file"));
}

#[test]
fn a_wrong_passphrase_and_a_damaged_keystore_are_told_apart() {
    let desk = Desk::new();
    desk.init_vault("c");
    desk.write("other", "battery staple\n");
    let wrong = desk.no("descriptor export --keystore @c --passphrase-file @other");
    assert_eq!((wrong.code, wrong.exit), (Some(Code::PassphraseWrong), Exit::Usage), "{wrong}");
    let damaged = std::fs::read_to_string(desk.path("c")).unwrap().replace("lanes: 1", "lanes: 2");
    desk.write("d", &damaged);
    let wrong = desk.no("descriptor export --keystore @d --passphrase-file @pass");
    assert_eq!(wrong.code, Some(Code::KeystoreCorrupted), "{wrong}");
    let wrong = desk.no("descriptor export --keystore @nowhere --passphrase-file @pass");
    assert_eq!(wrong.code, Some(Code::KeystoreMissing), "{wrong}");
}

/// Exports a keystore into a file, as `--json` would print it.
fn export(desk: &Desk, name: &str) -> Value {
    let export =
        desk.play(&format!("descriptor export --keystore @{name} --passphrase-file @pass")).unwrap().json;
    desk.write(&format!("{name}.json"), &export.to_string());
    export
}

#[test]
fn three_exports_with_proofs_become_a_wallet_and_its_fingerprint_is_pinned() {
    let desk = Desk::new();
    desk.init_signer();
    desk.play(COSIGNER).unwrap();
    desk.init_vault("c");
    let keys = ["a", "b", "c"].map(|name| export(&desk, name)["key"].as_str().unwrap().to_owned());
    let wallet = desk
        .play("descriptor assemble --network regtest --key @a.json --key @b.json --key @c.json")
        .unwrap()
        .json;
    assert_eq!(wallet["proved"], serde_json::json!([true, true, true]));
    let line = format!(
        "descriptor assemble --network regtest --key {} --key {} --key {}",
        keys[0], keys[1], keys[2]
    );
    let bare = play(&line).unwrap();
    assert_eq!(bare.json["descriptor"], wallet["descriptor"]);
    assert!(bare.text.contains("NOT given"), "{}", bare.text);
    let pinned =
        play(&format!("descriptor pin --network regtest --hot {}", wallet["descriptor"].as_str().unwrap()))
            .unwrap();
    assert_eq!(pinned.json["hot_fingerprint"], wallet["fingerprint"]);
    let swapped = desk.no("descriptor assemble --network regtest --key @b.json --key @a.json --key @c.json");
    assert!(swapped.text.contains("expected the signer's"), "{swapped}");
    let twice =
        no(&format!("descriptor assemble --network regtest --key {0} --key {0} --key {1}", keys[0], keys[1]));
    assert_eq!(twice.code, Some(Code::DescriptorMalformed), "{twice}");
}

#[test]
fn a_proof_of_possession_for_another_key_is_refused() {
    let desk = Desk::new();
    for name in ["c1", "c2", "c3"] {
        desk.init_vault(name);
        export(&desk, name);
    }
    let mut forged: Value =
        serde_json::from_str(&std::fs::read_to_string(desk.path("c1.json")).unwrap()).unwrap();
    let other: Value = serde_json::from_str(&std::fs::read_to_string(desk.path("c2.json")).unwrap()).unwrap();
    forged["key"] = other["key"].clone();
    desk.write("forged.json", &forged.to_string());
    let cold = "descriptor assemble --network regtest --cold --key @c3.json --key @c2.json --key";
    assert!(desk.play(&format!("{cold} @c1.json")).is_ok());
    let refused = desk.no(&format!("{cold} @forged.json"));
    assert!(refused.text.contains("possession"), "{refused}");
}

const PEOPLE: [&str; 2] = ["kim", "park"];

fn ssh_key(seed: u8) -> ssh_key::PrivateKey {
    let pair = ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]);
    ssh_key::PrivateKey::new(pair.into(), "x").unwrap()
}

/// A whole signer's deployment in one folder; gives its configuration.
fn deployment(desk: &Desk) -> PathBuf {
    let signer = desk.init_signer().json;
    let cosigner = desk.play(COSIGNER).unwrap().json;
    for name in ["c", "k1", "k2", "k3"] {
        desk.init_vault(name);
    }
    for name in ["a", "b", "c", "k1", "k2", "k3"] {
        export(desk, name);
    }
    let assemble =
        |keys: &str| desk.play(&format!("descriptor assemble --network regtest {keys}")).unwrap().json;
    let hot = assemble("--key @a.json --key @b.json --key @c.json");
    let cold = assemble("--cold --key @k1.json --key @k2.json --key @k3.json");
    desk.play("pki ca --out @tls").unwrap();
    desk.play("pki issue --ca @tls --role signer --name main --host localhost --file signer").unwrap();
    desk.play("pki issue --ca @tls --role server --name enclave --host localhost").unwrap();
    let regtest = crate::withdrawal::Asset::Bitcoin(crate::withdrawal::Network::Regtest).to_string();
    let example = |name: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)).unwrap()
    };
    let mainnet = crate::withdrawal::Asset::Bitcoin(crate::withdrawal::Network::Mainnet).to_string();
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let mut trust: Vec<String> = Vec::new();
    for line in example("trust.example.toml").replace(&mainnet, &regtest).lines() {
        trust.push(match line.split(' ').next().unwrap() {
            "network" => "network = \"regtest\"".into(),
            "hot" => format!("hot = \"{}\"", text(&hot, "descriptor")),
            "cold" => format!("cold = \"{}\"", text(&cold, "descriptor")),
            "signer" => format!("signer = \"{}\"", text(&signer, "log_key")),
            "cosigner" => format!("cosigner = \"{}\"", text(&cosigner, "witness_key")),
            "attestation_key" => format!("attestation_key = \"{}\"", text(&cosigner, "attestation_key")),
            "key" | "identity_key" => {
                let public = super::keyfile::public_hex(&super::keyfile::fresh().unwrap());
                format!("{} = \"{public}\"", line.split(' ').next().unwrap())
            }
            "keys" => format!(
                "keys = [\"{}\"]",
                ssh_key(u8::try_from(trust.len()).unwrap()).public_key().to_openssh().unwrap()
            ),
            _ => line.to_owned(),
        });
    }
    let trust = trust.join("\n") + "\n";
    for (seed, name) in (1..).zip(PEOPLE) {
        let private = ssh_key(seed).to_openssh(ssh_key::LineEnding::LF).unwrap();
        desk.write(&format!("{name}.sig"), &sign_ssh(&private, NAMESPACE_TRUST, &trust).unwrap());
    }
    desk.write("trust.toml", &trust);
    desk.write("policy.toml", &example("policy.example.toml").replace(&mainnet, &regtest));
    let public = |seed: u8| ssh_key(seed).public_key().to_openssh().unwrap();
    let dir = desk.0.path().display();
    let config = format!(
        r#"
        network = "regtest"
        listen = "127.0.0.1:0"
        freeze = {{ listen = "127.0.0.1:0", folder = "freeze" }}
        tls = {{ ca = "tls/ca.pem", cert = "tls/signer.pem", key = "tls/signer.key" }}
        wallet = {{ hot_fingerprint = "{}", cold_fingerprint = "{}" }}
        store = {{ url = "sqlite:{dir}/a.db" }}
        keystore = {{ path = "a", passphrase = {{ file = "pass" }} }}
        policy = {{ settings = "policy.toml", rules = "built-in" }}
        log = {{ origin = "x.example/signer" }}
        cosigner = {{ address = "localhost:1" }}
        [trust]
        file = "trust.toml"
        signatures = ["kim.sig", "park.sig"]
        quorum = {{ threshold = 2, people = [{{ name = "kim", key = "{}" }}, {{ name = "park", key = "{}" }}] }}
        [enclave]
        database = "e.db"
        data_key = {{ file = "e.key" }}
        identity_key = {{ file = "v.key" }}
        listen = "127.0.0.1:0"
        public_endpoint = "https://localhost:1"
        tls = {{ ca = "tls/ca.pem", cert = "tls/enclave.pem", key = "tls/enclave.key" }}
        relay = {{ url = "https://localhost:2", key = "{}" }}
        "#,
        text(&hot, "fingerprint"),
        text(&cold, "fingerprint"),
        public(1),
        public(2),
        "0".repeat(64),
    );
    desk.write("signer.toml", &config)
}

fn checked(path: &Path) -> Answer {
    config::check::signer(&config::signer(path).unwrap())
}

/// The fields of what failed.
fn failed(answer: &Answer) -> Vec<String> {
    let parts = answer.json["checks"].as_array().unwrap().iter().filter(|part| part["ok"] == false);
    parts.map(|part| part["error"]["field"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn check_says_part_by_part_what_a_deployment_lacks() {
    let desk = Desk::new();
    let path = deployment(&desk);
    let good = checked(&path);
    assert_eq!((good.exit, failed(&good).len()), (Exit::Ok, 0), "{}", good.text);
    assert!(good.text.contains("signed by kim, park"), "{}", good.text);
    assert_eq!(play(&format!("descriptor pin --config {}", path.display())).unwrap().exit, Exit::Ok);
    assert_eq!(play(&format!("trust check --config {}", path.display())).unwrap().json["version"], 1);

    let text = std::fs::read_to_string(&path).unwrap();
    let cases: &[(&str, &str, &str)] = &[
        ("keystore = { path = \"a\"", "keystore = { path = \"b\"", "keystore.path"),
        ("keystore = { path = \"a\"", "keystore = { path = \"none\"", "keystore.path"),
        ("passphrase = { file = \"pass\" }", "passphrase = { file = \"e.key\" }", "keystore.passphrase"),
        ("hot_fingerprint = \"", "hot_fingerprint = \"0000000000000000\" } # ", "wallet.hot_fingerprint"),
        ("\"kim.sig\", \"park.sig\"", "\"kim.sig\"", "trust.file"),
        ("settings = \"policy.toml\"", "settings = \"none.toml\"", "policy.settings"),
        ("origin = \"x.example/signer\"", "origin = \"y.example/signer\"", "trust.file: log.signer"),
        ("database = \"e.db\"", "database = \"none.db\"", "enclave.database"),
        ("a.db\"", "none.db\"", "store.url"),
        (
            "cert = \"tls/signer.pem\", key = \"tls/signer.key\"",
            "cert = \"tls/enclave.pem\", key = \"tls/enclave.key\"",
            "certificate",
        ),
    ];
    for (n, (from, to, field)) in cases.iter().enumerate() {
        assert!(text.contains(from), "{from}");
        let mut changed = text.replacen(from, to, 1);
        if to.contains('#') {
            changed = changed
                .replace(" } # ", "\", cold_fingerprint = \"0000000000000000\" } # ")
                .replacen("\"\", ", "\", ", 1);
        }
        let bad = checked(&desk.write(&format!("{n}.toml"), &changed));
        assert_eq!(bad.exit, Exit::Usage, "{to}: {}", bad.text);
        assert!(failed(&bad).iter().any(|f| f == field), "{to}: {}", bad.text);
    }
}

#[test]
fn no_check_shows_a_secret() {
    let desk = Desk::new();
    let path = deployment(&desk);
    let shown = checked(&path);
    let key = std::fs::read_to_string(desk.path("e.key")).unwrap();
    let identity = std::fs::read_to_string(desk.path("v.key")).unwrap();
    for secret in ["correct horse", key.trim(), identity.trim()] {
        assert!(!shown.text.contains(secret) && !shown.json.to_string().contains(secret));
    }
}

#[test]
fn a_request_can_be_signed_without_a_connection_and_reads_back() {
    let desk = Desk::new();
    desk.play("init --role exchange --key-file @request.key").unwrap();
    let line = "withdraw --sign-only --organisation x --request-key @request.key --request-key-id k --request-id r --customer-ref c \
        --asset regtest --destination bcrt1q --amount 5000 --fee-max 100 --beneficiary-vasp 7 --asked-at 9";
    let signed = desk.play(line).unwrap().json;
    let request = crate::evidence::request::parse_request(signed["text"].as_str().unwrap()).unwrap();
    assert_eq!((request.asked_at.0, request.amount.units()), (9, 5_000));
    desk.write("r.json", r#"{"organisation":"x","request_id":"r","customer_ref":"c","asset":"regtest","destination":"bcrt1q","amount":"5000","fee_max":"100","beneficiary_vasp":"7","asked_at":9,"ivms101":{}}"#);
    let from_file = desk
        .play("withdraw --sign-only --request-key @request.key --request-key-id k --request @r.json")
        .unwrap()
        .json;
    assert_eq!(signed, from_file);
    let zero = desk.no(&line.replace("5000", "0"));
    assert_eq!((zero.code, zero.field.as_deref()), (Some(Code::AmountZero), Some("amount")), "{zero}");
    let missing = desk.no(&line.replace("--amount 5000", ""));
    assert_eq!(missing.field.as_deref(), Some("--amount"), "{missing}");
}

#[test]
fn statements_are_numbered_by_the_clock_where_nothing_is_said() {
    let desk = Desk::new();
    desk.play("init --role observer --key-file @s.key").unwrap();
    let unsaid = "observe price --sign-only --observer o --statement-key @s.key --price regtest=1";
    assert_eq!(desk.no(unsaid).field.as_deref(), Some("--after"));
    let observe =
        "observe price --after 0 --sign-only --observer o --statement-key @s.key --price regtest=150000000";
    let text = |line: &str| {
        let signed = desk.play(line).unwrap().json;
        crate::evidence::statement::parse_statement(signed["text"].as_str().unwrap()).unwrap()
    };
    let by_clock = text(observe);
    assert!(by_clock.number > 1_700_000_000_000 && by_clock.number / 1_000 >= by_clock.at.0);
    assert_eq!(text(&format!("{observe} --number 7 --at 8")).number, 7);
    desk.write("s.key.last", "price = 6\n");
    let recorded = text(&observe.replace(" --after 0", ""));
    assert_eq!((recorded.after, recorded.number > 6), (6, true));
    let chain = "observe chain --after 0 --sign-only --observer o --statement-key @s.key --tip regtest=5";
    assert_eq!(desk.no(&format!("{chain} --fee-rate signet=1")).field.as_deref(), Some("--tip"));
    text(&format!("{chain} --fee-rate regtest=1000"));
    let txid = "11".repeat(32);
    text(&format!(
        "observe coins --after 0 --sign-only --observer o --statement-key @s.key --transaction 00ff --coin {txid}:0:6"
    ));
    text(&format!(
        "observe position --after 0 --sign-only --observer o --statement-key @s.key --cold regtest=0 --swept {txid}"
    ));
}

#[test]
fn nobody_at_the_address_is_a_fault_with_advice() {
    let desk = Desk::new();
    desk.play("pki ca --out @tls").unwrap();
    desk.play("pki issue --ca @tls --role operator --name kim").unwrap();
    desk.write("p.toml", "connect = \"127.0.0.1:9\"\nca = \"tls/ca.pem\"\ncert = \"tls/operator-kim.pem\"\nkey = \"tls/operator-kim.key\"\n");
    let problem = desk.no("position --profile @p.toml");
    assert_eq!(problem.exit, Exit::Fault, "{problem}");
    assert!(problem.cure.contains("nobody answers"), "{problem}");
    assert_eq!(desk.no("position --connect 127.0.0.1:9").field.as_deref(), Some("--ca"));
    desk.write("q.toml", "conect = 1\n");
    assert_eq!(desk.no("position --profile @q.toml").field.as_deref(), Some("conect"));
}

/// Every command with its own help, in the order of the commands.
fn page() -> String {
    let mut page = String::from(
        "# The command line\n\nThis page is printed by the program itself: `countersign help <command>`. A test keeps the two equal.\n",
    );
    let mut root = Cli::command();
    root.build();
    describe(&mut page, &mut root, "countersign");
    page
}

fn describe(page: &mut String, command: &mut clap::Command, name: &str) {
    let help = command.clone().bin_name(name).render_long_help().to_string();
    let help: String = help.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    page.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.trim_end()));
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let inner: Vec<String> = shown.map(|sub| sub.get_name().to_owned()).filter(|sub| sub != "help").collect();
    for sub in inner {
        describe(page, command.find_subcommand_mut(&sub).unwrap(), &format!("{name} {sub}"));
    }
}

#[test]
fn the_page_of_commands_is_what_the_program_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    if std::env::var_os("COUNTERSIGN_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/cli.md is not what the program prints; COUNTERSIGN_WRITE_DOCS=1 writes it"
    );
}

#[test]
fn every_command_teaches_by_an_example_and_parses_as_declared() {
    Cli::command().debug_assert();
    let page = page();
    for section in page.split("\n## ").skip(2) {
        let groups = [
            "countersign descriptor\n",
            "countersign trust\n",
            "countersign pki\n",
            "countersign observe\n",
            "countersign wallet\n",
            "countersign audit\n",
            "countersign policy\n",
            "countersign refill\n",
            "countersign safe\n",
            "countersign statement\n",
        ];
        let is_group = groups.iter().any(|group| section.starts_with(group));
        assert!(is_group || section.contains("Example"), "{}", section.lines().next().unwrap_or_default());
    }
}
