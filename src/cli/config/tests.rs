//! Tests of the configuration: the files in `deploy` are its specification, and each mistake is told by its field.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use super::*;
use crate::cli::problem::{Exit, Problem};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn text_of(name: &str) -> String {
    std::fs::read_to_string(example(name)).unwrap()
}

fn signer_of(text: &str) -> Result<SignerSettings, Problem> {
    SignerSettings::new(read::parse(text, "")?, Path::new("/etc/x"))
}

fn cosigner_of(text: &str) -> Result<CosignerSettings, Problem> {
    CosignerSettings::new(read::parse(text, "")?, Path::new("/etc/x"))
}

fn relay_of(text: &str) -> Result<RelaySettings, Problem> {
    RelaySettings::new(read::parse(text, "")?, text, Path::new("/etc/x"))
}

fn observer_of(text: &str) -> Result<observer::ObserverSettings, Problem> {
    observer::ObserverSettings::new(read::parse(text, "")?, Path::new("/etc/x"))
}

fn executor_of(text: &str) -> Result<executor::ExecutorSettings, Problem> {
    executor::ExecutorSettings::new(read::parse(text, "")?, Path::new("/etc/x"))
}

fn enclave_of(text: &str) -> Result<StandaloneSettings, Problem> {
    StandaloneSettings::new(read::parse(text, "")?, Path::new("/etc/x"), &secrets::Given::default())
}

#[test]
fn the_example_files_are_what_the_program_reads() {
    let signer = signer(&example("signer.example.toml")).unwrap();
    assert_eq!(signer.party.listen.to_string(), "10.20.0.5:7401");
    assert_eq!(
        signer.party.tls.key,
        example("tls/signer.key"),
        "a relative path counts from the file's folder"
    );
    assert_eq!(
        signer.cosigner_tls, signer.party.tls,
        "without its own table the certificate of [tls] is shown"
    );
    assert_eq!(signer.party.trust.people.len(), 3);
    let cosigner = cosigner(&example("cosigner.example.toml")).unwrap();
    assert_eq!(cosigner.party.origin, "exchange.example/countersign/cosigner");
    let relay = relay(&example("relay.example.toml")).unwrap();
    assert_eq!(relay.config.members.len(), 2);
    let observer = observer(&example("observer.example.toml")).unwrap();
    let nodes = &observer.chains.first().unwrap().nodes;
    assert_eq!((nodes.chain.to_string().as_str(), nodes.nodes.len(), nodes.quorum), ("eip155:1", 3, 2));
    let executor = executor(&example("executor.example.toml")).unwrap();
    assert_eq!((executor.nodes.chain.to_string().as_str(), executor.nodes.nodes.len()), ("eip155:1", 3));
    assert_eq!(executor.rules, crate::executor::Rules::default(), "the defaults are the executor's own");
    let enclave = enclave(Some(&example("enclave.example.toml")), None).unwrap();
    assert_eq!(enclave.enclave.retention_days, Some(travel_rule::RETENTION_DAYS_MIN));
    assert_eq!(enclave.notices, [""; 0], "the example is what we would run");
}

#[test]
fn every_mistake_of_an_executor_is_told_by_the_fields_whole_name() {
    let text = text_of("executor.example.toml");
    let table: &[(&str, &str, &str)] = &[
        ("network = \"mainnet\"", "network = \"main\"", "network"),
        ("name = \"executor-1\"", "name = \"Executor 1\"", "name"),
        ("# key_index = 0", "key_index = 2147483648", "key_index"),
        ("network = \"eip155:1\"", "network = \"eip155:01\"", "chain.network"),
        ("# finality = \"finalized\" ", "finality = \"sure\" ", "chain.finality"),
        ("# depth = 64 ", "depth = 0 ", "chain.depth"),
        ("name = \"own\"", "name = \"Own\"", "chain.nodes.name"),
        ("# fee_per_gas_cap = \"200000000000\" ", "fee_per_gas_cap = \"0x1\" ", "gas.fee_per_gas_cap"),
        ("# fee_per_gas_cap = \"200000000000\" ", "fee_per_gas_cap = \"0\" ", "gas.fee_per_gas_cap"),
        ("# balance_target = \"2000000000000000000\" ", "balance_target = \"1\" ", "gas.balance_target"),
        ("# window = 16 ", "window = 0 ", "limits.window"),
        ("# attempts_max = 40 ", "attempts_max = 1 ", "limits.attempts_max"),
        ("# follow_ms = 1000 ", "follow_ms = 0 ", "limits.follow_ms"),
        ("# pause_ms = 2000 ", "pauses_ms = 2 ", "limits.pauses_ms"),
    ];
    for (from, to, field) in table {
        assert!(text.contains(from), "{from}");
        let no = executor_of(&text.replacen(from, to, 1)).unwrap_err();
        assert_eq!((no.exit, no.field.as_deref()), (Exit::Usage, Some(*field)), "{to}: {no}");
    }
}

#[test]
fn every_mistake_of_the_travel_rule_is_told_by_the_fields_whole_name() {
    let text = text_of("enclave.example.toml");
    let table: &[(&str, &str, &str, &str)] = &[
        ("retention_days = 1827", "retention_days = 1826", "enclave.retention_days", "five years"),
        ("retention_days = 1827", "retention_days = \"x\"", "enclave.retention_days", "invalid type"),
        ("# key_ttl_ms = 1800000", "key_ttl_ms = 599999", "enclave.limits.key_ttl_ms", "600000"),
        ("# networks = [\"mainnet\"]", "networks = [\"main\"]", "enclave.networks", "no network"),
        ("# [[enclave.assets]]", "[[enclave.assets]]", "enclave.assets.symbol", "is missing"),
        (
            "# [[enclave.assets]]",
            "[[enclave.assets]]\nsymbol = \"ETH\"\nnetwork = \"Ethereum\"\ncaip19 = \"ether\"\ndecimals = 18",
            "enclave.assets",
            "CAIP-19",
        ),
        (
            "addresses = [\"addresses.txt\"]",
            "addresses = [\"../addresses.txt\"]",
            "enclave.screening",
            "no plain file",
        ),
        ("names = [\"names.txt\"]", "names = [\"a/names.txt\"]", "enclave.screening", "no plain file"),
        (
            "addresses = [\"addresses.txt\"]\nnames = [\"names.txt\"]\n",
            "",
            "enclave.screening",
            "names no list",
        ),
        (
            "public_endpoint = \"https:",
            "public_endpoint = \"http:",
            "enclave.public_endpoint",
            "no such address",
        ),
        (
            "public_endpoint = \"https://travel-rule.exchange.example\"\n",
            "",
            "enclave.public_endpoint",
            "missing",
        ),
        ("decrypt_url = \"https:", "decrypt_url = \"ftp:", "enclave.decrypt_url", "no http"),
        ("encryption_key = {", "data_key = {", "enclave.decrypt_url", "without encryption_key"),
        (
            "encryption_key = {",
            "data_key = { descriptor = 3 }\nencryption_key = {",
            "enclave.encryption_key",
            "beside",
        ),
        (
            "encryption_key = { file = ",
            "encryption_key = { variable = ",
            "enclave.encryption_key",
            "names a variable",
        ),
        ("\"203.0.113.7\"", "\"relay.example\"", "enclave.relay.allow", "names are not allowed"),
        ("allow = [\"203.0.113.7\", \"203.0.113.8/31\"]", "allow = []", "enclave.relay.allow", "empty"),
        (
            "url = \"https://relay.example:7404\"",
            "url = \"https://192.0.2.1:7404\"",
            "enclave.relay.url",
            "not in",
        ),
        (
            "https://backend.inner.example/travel-rule/user",
            "http://8.8.8.8/user",
            "enclave.exchange.verify_user_url",
            "plain http",
        ),
        (
            "https://backend.inner.example/travel-rule/account",
            "https://u:p@b/x",
            "enclave.exchange.verify_account_url",
            "user or password",
        ),
        (
            "https://backend.inner.example/travel-rule/callback",
            "https://192.0.2.9/x",
            "enclave.exchange.callback_url",
            "allow-list",
        ),
        ("ca = \"tls/inner-ca.pem\"\n", "", "enclave.exchange.ca", "missing"),
        (
            "token_header = \"X-Api-Key\"",
            "token_header = \"Host\"",
            "enclave.exchange.token_header",
            "no name",
        ),
        (
            "listen = \"10.20.0.6:21118\"",
            "listen = \"0.0.0.0:21118\"",
            "enclave.exchange.listener.listen",
            "open to the world",
        ),
        ("# keepalive_ms = 5000", "keepalive_ms = 0", "enclave.exchange.listener.keepalive_ms", "zero"),
        ("# keepalive_ms = 5000", "keepalive = 1", "enclave.exchange.listener.keepalive", "not a field"),
    ];
    for (from, to, field, word) in table {
        assert!(text.contains(from), "{from}");
        let problem = enclave_of(&text.replacen(from, to, 1)).err().unwrap_or_else(|| panic!("{to} passed"));
        assert_eq!(problem.field.as_deref(), Some(*field), "{to}: {problem}");
        assert!(problem.text.contains(word), "{to}: {problem}");
        assert!(!problem.cure.is_empty() && problem.exit == Exit::Usage, "{to}: {problem}");
    }
    let (before, _) = text.split_once("# Your own backend").unwrap();
    let without =
        enclave_of(&before.replace("encryption_key", "data_key").replace("decrypt_url", "# decrypt_url"));
    assert_eq!(without.unwrap_err().field.as_deref(), Some("enclave.exchange"));
}

#[test]
fn a_signer_takes_the_same_tables() {
    let exchange = text_of("enclave.example.toml");
    let (_, exchange) = exchange.split_once("[enclave.exchange]").unwrap();
    let (exchange, _) = exchange.split_once("# How long the other side").unwrap();
    let text = format!("{}\n[enclave.exchange]{exchange}", text_of("signer.example.toml"));
    let verifyvasp::TravelRule::Own(own) = signer_of(&text).unwrap().travel_rule else {
        panic!("another one")
    };
    assert!(own.exchange.unwrap().listener.is_some());
    let own = text.replacen("[enclave]\n", "[enclave]\nnetworks = [\"regtest\"]\n", 1);
    assert_eq!(signer_of(&own).unwrap_err().field.as_deref(), Some("enclave.networks"));
}

/// The adapter's tables as docs/travel-rule.md shows them, in the signer's file in place of the enclave's.
fn adapted() -> String {
    let signer = text_of("signer.example.toml");
    let (before, rest) = signer.split_once("[enclave]\n").unwrap();
    let (_, after) = rest.split_once("[limits]\n").unwrap();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/travel-rule.md")).unwrap();
    let (_, shown) = page.split_once("```toml\n[verifyvasp]").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    format!("{before}\n[verifyvasp]\n{shown}[limits]\n{after}")
}

#[test]
fn the_adapter_stands_in_place_of_the_enclave_and_its_mistakes_are_told_by_name() {
    let text = adapted();
    let verifyvasp::TravelRule::VerifyVasp(adapter) = signer_of(&text).unwrap().travel_rule else {
        panic!("another one")
    };
    assert!(adapter.exchange.unwrap().listener.is_some());
    let (head, tables) = text.split_once("\n[verifyvasp]\n").unwrap();
    let tables: String =
        tables.lines().filter(|line| !line.starts_with("user")).map(|line| format!("{line}\n")).collect();
    let with_user = signer_of(&format!("{head}\n[verifyvasp]\nuser = \"nobody\"\n{tables}")).unwrap();
    assert_eq!(with_user.travel_rule.user(), Some(("verifyvasp.user", "nobody")));
    let (before, rest) = text.split_once("\n[verifyvasp]\n").unwrap();
    let (tables, after) = rest.split_once("\n[limits]\n").unwrap();
    let both = format!("{}\n[verifyvasp]\n{tables}", text_of("signer.example.toml"));
    assert_eq!(signer_of(&both).unwrap_err().field.as_deref(), Some("verifyvasp"));
    let neither = format!("{before}\n[limits]\n{after}");
    assert_eq!(signer_of(&neither).unwrap_err().field.as_deref(), Some("enclave"));
    for (from, to, field) in [
        (
            "url = \"https://enclave.inner.example:21117\"",
            "url = \"https://enclave.inner.example/v1\"",
            "verifyvasp.server.url",
        ),
        (
            "url = \"https://enclave.inner.example:21117\"",
            "url = \"http://8.8.8.8\"",
            "verifyvasp.server.url",
        ),
        ("network_name = \"Bitcoin\"", "network_name = \"\"", "verifyvasp.server.network_name"),
        (
            "network_name = \"Bitcoin\"",
            "network_name = \"Bitcoin\"\ncall_time_ms = 60000",
            "verifyvasp.server.call_time_ms",
        ),
        ("ca = \"tls/enclave-ca.pem\"\n", "", "verifyvasp.server.ca"),
        ("ca = \"tls/backend-ca.pem\"\n", "", "verifyvasp.exchange.ca"),
        ("listen = \"10.20.0.5:7407\"", "listen = \"8.8.8.8:7407\"", "verifyvasp.exchange.listener.listen"),
        (
            "database = \"/var/lib/countersign-signer/adapter.db\"",
            "key_type = \"PerEoa\"\ndatabase = \"/x\"",
            "verifyvasp.key_type",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let problem = signer_of(&text.replacen(from, to, 1)).err().unwrap_or_else(|| panic!("{to} passed"));
        assert_eq!(problem.field.as_deref(), Some(field), "{to}: {problem}");
        assert!(!problem.cure.is_empty() && problem.exit == Exit::Usage, "{to}: {problem}");
    }
}

#[test]
fn the_cosigners_route_is_read_from_its_own_file() {
    let text = text_of("cosigner.example.toml");
    assert!(cosigner_of(&text).unwrap().route.is_none());
    let (before, rest) = text.split_once("# [verifyvasp.server]").unwrap();
    let (shown, after) = rest.split_once("# Bounds of this party.").unwrap();
    let shown = shown.replace("\n#   ", "\n");
    let with = format!("{before}[verifyvasp.server]{shown}#{after}");
    let route = cosigner_of(&with).unwrap().route.unwrap();
    assert_eq!(
        (route.url.as_str(), route.token_header.as_deref()),
        ("https://enclave.inner.example:21117", Some("X-Api-Key"))
    );
    let bare = with.replacen("\ntoken = {", "\n# token = {", 1);
    assert_eq!(cosigner_of(&bare).unwrap_err().field.as_deref(), Some("verifyvasp.server.token_header"));
}

#[test]
fn a_custodian_is_reached_by_folders_or_by_https_and_by_nothing_in_between() {
    let text = text_of("cosigner.example.toml");
    assert!(cosigner_of(&text).unwrap().custodian.is_none());
    let parts: Vec<&str> = text.split("# [custodian]").collect();
    let [_, files, webhook] = parts.as_slice() else { panic!("two kinds are shown") };
    let shown = |table: &str| {
        let lines = table.lines().skip(1).take_while(|line| line.starts_with("#   "));
        lines.map(|line| format!("{}\n", &line[4..])).collect::<String>()
    };
    let (files, webhook) = (shown(files), shown(webhook));
    let with = |table: &str| cosigner_of(&format!("{text}\n[custodian]\n{table}"));
    let by_files = with(&files).unwrap().custodian.unwrap();
    assert_eq!(by_files.every, std::time::Duration::from_secs(1));
    assert_eq!(by_files.folders().len(), 2);
    assert!(with(&webhook).unwrap().custodian.unwrap().folders().is_empty());
    let field = |table: &str| with(table).unwrap_err().field.unwrap_or_default();
    let cases = [
        (files.replace("\"file\"", "\"pigeon\""), "custodian.kind"),
        (format!("{files}token = {{ file = \"t\" }}\n"), "custodian.token"),
        (files.replace("outbox = ", "#"), "custodian.outbox"),
        (files.replace("/inbox", "/outbox"), "custodian.inbox"),
        (files.replace("1000", "0"), "custodian.every_ms"),
        (format!("{webhook}inbox = \"in\"\n"), "custodian.inbox"),
        (webhook.replace("https://", "http://"), "custodian.url"),
        (webhook.replace("/transactions", "?a=b"), "custodian.url"),
        (webhook.replace("token = ", "#"), "custodian.token"),
        (webhook.replace("ca = ", "#"), "custodian.ca"),
        (webhook.replace("X-Api-Key", "Host"), "custodian.token_header"),
        (webhook.replace("5000", "50000"), "custodian.call_time_ms"),
        (webhook.replace("192.0.2.17", "somewhere"), "custodian.allow"),
    ];
    for (table, wanted) in cases {
        assert_eq!(field(&table), wanted, "{table}");
    }
}

#[test]
fn a_custodian_that_calls_has_a_listener_a_folder_a_token_and_addresses_of_its_own() {
    let text = text_of("cosigner.example.toml");
    let (_, shown) = text.split_once("# [custodian.inbound]\n").unwrap();
    let lines = shown.lines().take_while(|line| line.starts_with("#   "));
    let inbound: String = lines.map(|line| format!("{}\n", &line[4..])).collect();
    let files = "kind = \"file\"\noutbox = \"/out\"\ninbox = \"/in\"\n";
    let with = |inbound: &str| {
        cosigner_of(&format!("{text}\n[custodian]\n{files}[custodian.inbound]\n{inbound}"))
            .map(|settings| settings.custodian.unwrap())
    };
    let good = with(&inbound).unwrap();
    assert_eq!(good.folders().len(), 3);
    let calls = good.inbound.unwrap();
    assert_eq!(calls.listen.port(), 7407);
    assert!(calls.allow.admits("192.0.2.17".parse().unwrap()));
    let field = |inbound: &str| with(inbound).unwrap_err().field.unwrap_or_default();
    let cases = [
        (inbound.replace("10.30.0.5:7407", "everywhere"), "custodian.inbound.listen"),
        (inbound.replace(":7407", ":7402"), "custodian.inbound.listen"),
        (inbound.replace(":7407", ":7406"), "custodian.inbound.listen"),
        (inbound.replace("{ file", "{ descriptor = 3, file"), "custodian.inbound.token"),
        (inbound.replace("/var/lib/countersign-cosigner/custodian/calls", "/in"), "custodian.inbound.inbox"),
        (inbound.replace("/var/lib/countersign-cosigner/custodian/calls", "/out"), "custodian.inbound.inbox"),
        (inbound.replace("\"192.0.2.17\"", ""), "custodian.inbound.allow"),
        (inbound.replace("192.0.2.17", "0.0.0.0/0"), "custodian.inbound.allow"),
        (inbound.replace("192.0.2.17", "custodian.example"), "custodian.inbound.allow"),
    ];
    for (inbound, wanted) in cases {
        assert_eq!(field(&inbound), wanted, "{inbound}");
    }
    for left_out in ["listen = ", "cert = ", "key = ", "token = ", "inbox = ", "allow = "] {
        assert!(with(&inbound.replace(left_out, "# ")).is_err(), "{left_out}");
    }
}

/// A commented-out field shows its default: uncommented, nothing changes.
#[test]
fn the_defaults_shown_in_the_examples_are_the_defaults() {
    for name in [
        "signer.example.toml",
        "cosigner.example.toml",
        "relay.example.toml",
        "enclave.example.toml",
        "observer.example.toml",
        "executor.example.toml",
    ] {
        let text = text_of(name);
        let shown: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.split(' ').nth(1) == Some("=") && is_default(rest) => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        assert_ne!(shown, text, "{name} shows defaults");
        let same = |text: &str| match name {
            "signer.example.toml" => format!("{:?}", signer_of(text).unwrap()),
            "cosigner.example.toml" => format!("{:?}", cosigner_of(text).unwrap()),
            "enclave.example.toml" => format!("{:?}", enclave_of(text).unwrap()),
            "observer.example.toml" => format!("{:?}", observer_of(text).unwrap()),
            "executor.example.toml" => format!("{:?}", executor_of(text).unwrap()),
            _ => format!("{:?}", relay_of(text).unwrap()),
        };
        assert_eq!(same(&shown), same(&text), "{name}");
    }
}

/// Alternatives such as `url_file` are no defaults.
fn is_default(line: &str) -> bool {
    let name = line.split(' ').next().unwrap_or_default();
    !["url_file", "passphrase", "user", "ca", "cert", "key"].contains(&name)
}

#[test]
fn every_mistake_is_told_by_the_fields_whole_name() {
    let text = text_of("signer.example.toml");
    let table: &[(&str, &str, &str, &str)] = &[
        // what is replaced, with what, the field, and a word of the problem
        ("network = \"mainnet\"", "network = \"main\"", "network", "no network"),
        ("network = \"mainnet\"\n", "", "network", "missing"),
        ("network = \"mainnet\"", "network = \"mainnet\"\ncolour = 1", "colour", "not a field"),
        ("network = \"mainnet\"", "network = \"mainnet\"\nnetwork = \"regtest\"", "network", "twice"),
        ("listen = \"10.20.0.5:7401\"", "listen = \"localhost:7401\"", "listen", "no address"),
        ("ca = \"tls/ca.pem\"\n", "", "tls.ca", "missing"),
        (
            "hot_fingerprint = \"0000000000000000\"",
            "hot_fingerprint = \"00\"",
            "wallet.hot_fingerprint",
            "16",
        ),
        (
            "cold_fingerprint = \"0000000000000000\"",
            "cold_fingerprint = 7",
            "wallet.cold_fingerprint",
            "invalid type",
        ),
        (
            "url = \"sqlite:/var/lib/countersign-signer/ledger.db\"",
            "url = \"sqlite:ledger.db\"",
            "store.url",
            "absolute",
        ),
        (
            "url = \"sqlite:/var/lib/countersign-signer/ledger.db\"",
            "url = \"mysql://a:hunter2@localhost/b\"",
            "store.url",
            "password",
        ),
        ("url = \"sqlite:/var/lib/countersign-signer/ledger.db\"", "", "store", "neither"),
        ("# url_file =", "url_file =", "store", "both"),
        (
            "passphrase = { file = \"/run/credentials/countersign-signer.service/passphrase\" }",
            "passphrase = { file = \"/x\", descriptor = 3 }",
            "keystore.passphrase",
            "both",
        ),
        (
            "passphrase = { file = \"/run/credentials/countersign-signer.service/passphrase\" }",
            "passphrase = \"secret\"",
            "keystore.passphrase",
            "invalid type",
        ),
        ("threshold = 2", "threshold = 4", "trust.quorum.threshold", "4 of 3"),
        ("threshold = 2", "treshold = 2", "trust.quorum.treshold", "not a field"),
        ("rules = \"built-in\"", "rules = \"\"", "policy.rules", "empty"),
        ("origin = \"exchange.example/countersign/signer\"", "origin = \"a b\"", "log.origin", "name"),
        (
            "address = \"cosigner.inner.example:7402\"",
            "address = \"https://a:1/b\"",
            "cosigner.address",
            "host and port",
        ),
        (
            "url = \"https://relay.example:7404\"",
            "url = \"http://relay.example\"",
            "enclave.relay.url",
            "no such address",
        ),
        (
            "public_endpoint = \"https://travel-rule.exchange.example:7403\"",
            "public_endpoint = \"https://a/b\"",
            "enclave.public_endpoint",
            "no such address",
        ),
        (
            "data_key = { file = \"/run/credentials/countersign-signer.service/enclave-data-key\" }",
            "data_key = { descriptor = 3 }",
            "enclave.data_key",
            "inherits none",
        ),
        ("# answer_wait_ms = 6000", "answer_wait = 1", "enclave.limits.answer_wait", "not a field"),
        ("# queue_max = 4096", "queue_max = 0", "limits.queue_max", "zero"),
        ("# depth_min = 6", "depth_min = -1", "limits.depth_min", "invalid value"),
        ("# format = \"json\"", "format = \"xml\"", "tracing.format", "xml"),
        ("# filter = \"info\"", "filter = \"a=b=c\"", "tracing.filter", "filter"),
    ];
    for (from, to, field, word) in table {
        assert!(text.contains(from), "{from}");
        let problem = signer_of(&text.replacen(from, to, 1)).err().unwrap_or_else(|| panic!("{to} passed"));
        assert_eq!(problem.field.as_deref(), Some(*field), "{to}: {problem}");
        assert!(problem.text.contains(word), "{to}: {problem}");
        assert!(!problem.cure.is_empty() && problem.exit == Exit::Usage, "{to}: {problem}");
        assert!(!problem.to_string().contains("hunter2"), "a password is never repeated");
    }
}

#[test]
fn a_cosigners_file_refuses_what_only_a_signer_has() {
    let text = text_of("cosigner.example.toml");
    let problem = cosigner_of(&format!("{text}\n[enclave]\n")).unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("enclave"), "{problem}");
    let problem = cosigner_of(&text.replace("# drain_s_max = 20", "open_max = 1")).unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("limits.open_max"), "{problem}");
}

#[test]
fn a_relays_members_are_judged_by_the_relay() {
    let text = text_of("relay.example.toml");
    let problem = relay_of(&text.replacen("vasp = \"1001\"", "vasp = \"x\"", 1)).unwrap_err();
    assert!(problem.text.contains("member `x`"), "{problem}");
    let problem = relay_of(&text.replacen("# parcels_max = 10000", "parcels = 1", 1)).unwrap_err();
    assert!(problem.to_string().contains("parcels"), "{problem}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let problem = signer(Path::new("/nowhere/signer.toml")).unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("/nowhere/signer.toml"));
    assert_eq!(problem.exit, Exit::Usage);
}
