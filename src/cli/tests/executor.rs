//! The executor's own things: made once, of a role of their own, and taken for nobody else's.

use super::*;

fn config(desk: &Desk, keystore: &str) -> PathBuf {
    let folder = desk.0.path().display().to_string();
    let name = format!("{keystore}.toml");
    let _ = std::fs::remove_file(desk.path(&name));
    desk.write(
        &name,
        &format!(
            r#"
            network = "regtest"
            name = "one"
            keystore = {{ path = "{keystore}", passphrase = {{ file = "pass" }} }}
            store = {{ url = "sqlite:{folder}/executor.db" }}
            log = {{ origin = "x.example/executor" }}
            signer = {{ address = "localhost:7401" }}
            tls = {{ ca = "tls/ca.pem", cert = "tls/executor.pem", key = "tls/executor.key" }}
            trust = {{ file = "trust", signatures = ["sig"], quorum = {{ threshold = 1, people = [{{ name = "a", key = "k" }}] }} }}
            [chain]
            network = "eip155:1"
            quorum = 2
            nodes = [{{ name = "a", url = "http://127.0.0.1:1" }}, {{ name = "b", url = "http://127.0.0.1:2" }}]
            "#
        ),
    )
}

fn part<'a>(answer: &'a Answer, name: &str) -> &'a Value {
    answer.json["checks"].as_array().unwrap().iter().find(|found| found["part"] == name).unwrap()
}

const INIT: &str = "init --role executor --cost cheap --words-file @x.words --config @x.toml";

#[test]
fn an_executors_keystore_and_ledger_are_made_once_and_no_other_keystore_is_taken_for_it() {
    let desk = Desk::new();
    config(&desk, "x");
    let made = desk.play(INIT).unwrap().json;
    let account = made["account"].as_str().unwrap();
    assert!(crate::withdrawal::evm_address::read(account).is_ok(), "{made}");
    assert!(made["log_key"].as_str().unwrap().starts_with("x.example/executor+"));
    let header = std::fs::read_to_string(desk.path("x")).unwrap();
    assert!(header.contains("\nrole: executor\n") && desk.path("executor.db").is_file());
    assert_eq!(desk.no(INIT).field.as_deref(), Some("keystore"));
    let kept = desk.play(&INIT.replace("--words-file @x.words", "--existing")).unwrap().json;
    assert_eq!(kept, made);

    let checked = desk.play("executor --config @x.toml --check").unwrap();
    assert_eq!(part(&checked, "account")["found"], format!("{account} pays gas"));
    for bad in ["certificate", "trust file"] {
        assert_eq!(part(&checked, bad)["ok"], false, "{}", checked.text);
    }
    let empty = desk.play("executor status --config @x.toml").unwrap();
    assert_eq!(
        (&empty.json["account"], empty.json["executions"].as_array().unwrap().len()),
        (&made["account"], 0)
    );

    // neither is taken for the other
    desk.init_vault("a");
    config(&desk, "a");
    let no = desk.play("executor --config @a.toml --check").unwrap();
    assert_eq!(part(&no, "account")["error"]["field"], "keystore.path", "{}", no.text);
    let no = desk.no("descriptor export --keystore @x --passphrase-file @pass");
    assert_eq!(no.field.as_deref(), Some("keystore"), "{no}");
}

#[test]
fn an_executor_is_made_by_its_configuration_only() {
    let desk = Desk::new();
    let no = desk.no("init --role executor --keystore @x --passphrase-file @pass --words-file @w");
    assert_eq!((no.exit, no.field.as_deref()), (Exit::Usage, Some("--config")), "{no}");
    let text = std::fs::read_to_string(config(&desk, "x")).unwrap();
    desk.write("m.toml", &text.replace("\"regtest\"", "\"mainnet\""));
    let no = desk.no(&INIT.replace("x.toml", "m.toml"));
    assert_eq!(no.field.as_deref(), Some("--cost"), "{no}");
}
