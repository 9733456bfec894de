//! Key B at an outside custodian, from `init` to `--check`: the page of the procedure shows these lines.

use super::starting::{block_on, piped};
use super::*;
use crate::cli::run::custodian::{Calls, way};

const TABLE: &str = "[custodian]\nkind = \"file\"\noutbox = \"outbox\"\ninbox = \"inbox\"\n";

/// A co-signer's deployment beside the signer's, whose key B is `b`: somebody else's. Gives its configuration and what `init`
/// said.
fn custodied(desk: &Desk) -> (PathBuf, Answer) {
    custodied_by(desk, TABLE)
}

fn custodied_by(desk: &Desk, table: &str) -> (PathBuf, Answer) {
    let signer = std::fs::read_to_string(deployment(desk)).unwrap();
    desk.play("pki issue --ca @tls --role cosigner --name b --host localhost --file cosigner").unwrap();
    let (head, _) = signer.split_once("[enclave]").unwrap();
    let text: String = head
        .replace("tls/signer.", "tls/cosigner.")
        .replace("folder = \"freeze\"", "folder = \"freeze-b\"")
        .replace("a.db", "ids.db")
        .replace("path = \"a\"", "path = \"ids\"")
        .replace("x.example/signer", "x.example/cosigner")
        .lines()
        .filter(|line| !line.trim().starts_with("cosigner ="))
        .map(|line| format!("{line}\n"))
        .collect();
    let path = desk.write("cosigner.toml", &format!("{text}{table}"));
    let made = desk.play("init --role cosigner --config @cosigner.toml --words-file @ids.words --cost cheap");
    let made = made.unwrap();
    trust_them(desk, &made);
    (path, made)
}

/// The quorum signs the new co-signer's keys and the custodian's.
fn trust_them(desk: &Desk, made: &Answer) {
    let told = |name: &str| made.json[name].as_str().unwrap().to_owned();
    let custodian = desk.play("init --role exchange --key-file @custodian.key").unwrap().json;
    let old = std::fs::read_to_string(desk.path("trust.toml")).unwrap();
    let replaced = old.lines().map(|line| match line.split(' ').next().unwrap_or_default() {
        "cosigner" => format!("cosigner = \"{}\"\n", told("witness_key")),
        "attestation_key" => format!(
            "attestation_key = \"{}\"\ncustodian_key = \"{}\"\n",
            told("attestation_key"),
            custodian["public_key"].as_str().unwrap()
        ),
        _ => format!("{line}\n"),
    });
    let trust: String = replaced.collect();
    sign_trust(desk, &trust);
}

/// Puts another trust file in the place of the one that is there, with its quorum's signatures.
fn sign_trust(desk: &Desk, trust: &str) {
    for (seed, name) in (1..).zip(PEOPLE) {
        let private = ssh_key(seed).to_openssh(ssh_key::LineEnding::LF).unwrap();
        let signature = sign_ssh(&private, NAMESPACE_TRUST, trust).unwrap();
        std::fs::write(desk.path(&format!("{name}.sig")), signature).unwrap();
    }
    std::fs::write(desk.path("trust.toml"), trust).unwrap();
}

fn cosigner_checked(path: &Path) -> Answer {
    config::check::cosigner(&config::cosigner(path).unwrap())
}

#[test]
fn a_co_signer_with_a_custodian_is_made_and_checked_and_has_no_key_of_the_wallet() {
    let desk = Desk::new();
    let (path, made) = custodied(&desk);
    assert!(made.json.get("key").is_none() && !made.text.contains("tpub"), "{}", made.text);
    for line in
        ["custody order key", "custodian outbox", "custodian inbox", "`countersign descriptor assemble`"]
    {
        assert!(made.text.contains(line), "{line}: {}", made.text);
    }
    let good = cosigner_checked(&path);
    assert_eq!((good.exit, failed(&good).len()), (Exit::Ok, 0), "{}", good.text);
    for line in ["no key of the wallet, which a custodian holds", "key B by files: "] {
        assert!(good.text.contains(line), "{line}: {}", good.text);
    }
    assert!(!good.text.contains("can never be given up"), "{}", good.text);
    let export = desk.no("descriptor export --config @cosigner.toml");
    assert_eq!(export.field.as_deref(), Some("custodian"), "{export}");

    // the seed that has key B may not stand beside a custodian, and without one it must
    let text = std::fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let changed = desk.path("changed.toml");
        std::fs::write(&changed, text.replacen(from, to, 1)).unwrap();
        failed(&cosigner_checked(&changed))
    };
    assert_eq!(with("path = \"ids\"", "path = \"b\""), ["custodian"]);
    assert_eq!(with(TABLE, ""), ["keystore.path"]);
    assert_eq!(with("\"inbox\"", "\"none\""), ["custodian.outbox or custodian.inbox"]);
}

#[test]
fn without_the_custodians_key_in_the_trust_file_a_check_says_what_that_means() {
    let desk = Desk::new();
    let (path, _) = custodied(&desk);
    let trust = std::fs::read_to_string(desk.path("trust.toml")).unwrap();
    let without: String = trust
        .lines()
        .filter(|line| !line.starts_with("custodian_key"))
        .map(|line| format!("{line}\n"))
        .collect();
    sign_trust(&desk, &without);
    let found = cosigner_checked(&path);
    assert!(found.exit == Exit::Ok && found.text.contains("can never be given up"), "{}", found.text);
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The way of a deployment whose custodian calls in.
fn called(desk: &Desk) -> PathBuf {
    let table = format!(
        "{TABLE}[custodian.inbound]\nlisten = \"127.0.0.1:0\"\ncert = \"tls/cosigner.pem\"\nkey = \"tls/cosigner.key\"\n\
         token = {{ file = \"calls.token\" }}\ninbox = \"calls\"\nallow = [\"127.0.0.1\"]\n"
    );
    secret_file(desk, "calls.token", SECRET);
    custodied_by(desk, &table).0
}

fn secret_file(desk: &Desk, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = desk.write(name, text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_check_reads_certificate_key_token_and_folder_of_the_custodians_calls_and_does_not_listen() {
    let desk = Desk::new();
    let path = called(&desk);
    assert!(desk.path("calls").is_dir(), "`init` makes it");
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| {
        let (head, tail) = text.split_once("[custodian.inbound]").unwrap();
        assert!(tail.contains(from), "{from}");
        let changed = desk.path("changed.toml");
        let tail = tail.replacen(from, to, 1);
        std::fs::write(&changed, format!("{head}[custodian.inbound]{tail}")).unwrap();
        cosigner_checked(&changed)
    };
    let taken = with("127.0.0.1:0", &held.local_addr().unwrap().to_string());
    assert_eq!((taken.exit, failed(&taken).len()), (Exit::Ok, 0), "{}", taken.text);
    assert!(taken.text.contains("custodian's calls") && !taken.text.contains(SECRET), "{}", taken.text);
    assert_eq!(failed(&with("inbox = \"calls\"", "inbox = \"none\"")), ["custodian.inbound.inbox"]);
    secret_file(&desk, "short.token", "short");
    for (from, to) in [
        ("calls.token", "no.token"),
        ("calls.token", "short.token"),
        ("cosigner.pem", "no.pem"),
        ("cosigner.key", "no.key"),
    ] {
        let found = with(from, to);
        assert!(found.exit != Exit::Ok && failed(&found).len() == 1, "{from} {to}: {}", found.text);
    }
    // each direction has a token of its own, also where ours can be read only once
    let shown = |token: &str| {
        let server = "kind = \"webhook\"\nurl = \"https://127.0.0.1:1/v1\"\nca = \"tls/ca.pem\"";
        let one = desk.path("one-token.toml");
        let table = format!("[custodian]\n{server}\ntoken = {token}\n");
        std::fs::write(&one, text.replacen(TABLE, &table, 1)).unwrap();
        cosigner_checked(&one)
    };
    assert_eq!(failed(&shown("{ file = \"calls.token\" }")), ["custodian.inbound.token"]);
    let (_pipe, number) = piped(SECRET);
    assert_eq!(failed(&shown(&format!("{{ descriptor = {number} }}"))), ["custodian.inbound.token"]);
    let (_pipe, number) = piped("the-custodians-own-token");
    let found = shown(&format!("{{ descriptor = {number} }}"));
    assert!(failed(&found).is_empty(), "{}", found.text);
}

#[test]
fn the_listener_for_a_custodians_calls_stands_as_configured_and_ends() {
    let desk = Desk::new();
    let settings = config::cosigner(&called(&desk)).unwrap().custodian.unwrap();
    block_on(async {
        let (custodian, shown) = way(&settings).unwrap();
        let calls = Calls::stand(Some(&settings), custodian.inbox(), shown).await.unwrap().unwrap();
        let ca = reqwest::Certificate::from_pem(&std::fs::read(desk.path("tls/ca.pem")).unwrap()).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().unwrap();
        let url = format!("https://localhost:{}/custody/answers/rs_{}", calls.address.port(), "0".repeat(32));
        for (token, status, code) in
            [("x".repeat(32), 401, "UNAUTHORIZED"), (SECRET.to_owned(), 503, "NOT_READY")]
        {
            let said = client.post(&url).bearer_auth(token).body("x").send().await.unwrap();
            assert_eq!(said.status().as_u16(), status);
            assert!(said.text().await.unwrap().contains(code), "{code}");
        }
        assert_eq!(std::fs::read_dir(desk.path("calls")).unwrap().count(), 0);
        calls.end().await;
        assert!(client.post(&url).send().await.is_err());
    });
}
