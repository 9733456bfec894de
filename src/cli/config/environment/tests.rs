//! Tests of the documented variables: their defaults and minimums, each mistake by the variable's name, no value in two places.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use super::super::secrets::DataKeySource;
use super::super::travel_rule::StandaloneSettings;
use super::*;
use crate::cli::problem::Exit;

const KEY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A whole configuration in variables alone.
fn whole() -> Vec<(String, String)> {
    [
        ("VEGA_ENCLAVE_PUBLIC_ENDPOINT", "https://travel-rule.exchange.example"),
        ("VEGA_API_ENDPOINT", "https://relay.example:7404"),
        ("VEGA_VERIFICATION_API_PATH", "http://10.0.0.9:8080/verify/user"),
        ("VEGA_VERIFICATION_ACCOUNT_API_PATH", "http://10.0.0.9:8080/verify/account"),
        ("VEGA_VERIFICATION_TRANSACTION_API_PATH", "http://10.0.0.9:8080/verify/transaction"),
        ("VEGA_VERIFICATION_CALLBACK_API_PATH", "http://10.0.0.9:8080/callback"),
        ("VEGA_VERIFICATION_AUTHORIZATION_TOKEN", "hunter2"),
        ("VEGA_ENCRYPTION_KEY_BASE64", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ("COUNTERSIGN_ENCLAVE_DATABASE", "enclave.db"),
        ("COUNTERSIGN_ENCLAVE_IDENTITY_KEY_FILE", "identity.key"),
        ("COUNTERSIGN_ENCLAVE_TLS_CA", "ca.pem"),
        ("COUNTERSIGN_ENCLAVE_TLS_CERT", "cert.pem"),
        ("COUNTERSIGN_ENCLAVE_TLS_KEY", "cert.key"),
        ("COUNTERSIGN_ENCLAVE_RELAY_KEY", KEY),
        ("COUNTERSIGN_ENCLAVE_LISTENER", "127.0.0.1:21118"),
        ("COUNTERSIGN_ENCLAVE_LISTENER_TOKEN_FILE", "listener-token"),
        ("COUNTERSIGN_ENCLAVE_TRUST_FILE", "trust.toml"),
        ("COUNTERSIGN_ENCLAVE_TRUST_SIGNATURES", "kim.sig, lee.sig"),
        ("COUNTERSIGN_ENCLAVE_TRUST_THRESHOLD", "2"),
        ("COUNTERSIGN_ENCLAVE_TRUST_PEOPLE", "kim=ssh-ed25519 AAAA kim; lee=ssh-ed25519 BBBB lee"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn with(name: &str, value: Option<&str>) -> Result<StandaloneSettings, Problem> {
    let mut all = whole();
    all.retain(|(known, _)| known != name);
    all.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    Variables::of(all).settings("", Path::new("/etc/x"))
}

#[test]
fn the_variables_alone_are_a_whole_configuration_with_the_documented_defaults() {
    let settings = Variables::of(whole()).settings("", Path::new("/etc/x")).unwrap();
    let enclave = &settings.enclave;
    assert_eq!(enclave.listen.to_string(), "0.0.0.0:21117");
    assert_eq!(enclave.key_ttl, Duration::from_millis(1_800_000));
    assert_eq!(enclave.retention_days, None);
    assert_eq!(enclave.database, Path::new("/etc/x/enclave.db"));
    let listener = enclave.exchange.as_ref().unwrap().listener.as_ref().unwrap();
    assert_eq!(listener.keepalive, Duration::from_millis(5_000));
    assert_eq!((settings.trust.signatures.len(), settings.trust.people.len()), (2, 2));
    assert_eq!(settings.tracing.filter, "info");
    assert!(matches!(enclave.data_key, DataKeySource::Plain(_)));
    assert!(
        settings.notices.iter().any(|notice| notice.contains("VEGA_DECRYPT_API_ENDPOINT")),
        "a plain key is said loudly"
    );
    assert!(!format!("{settings:?}").contains("hunter2"), "no secret is shown");
}

#[test]
fn each_mistake_is_told_by_the_variables_name() {
    let table: &[(&str, Option<&str>, &str)] = &[
        ("VEGA_ENCLAVE_PUBLIC_ENDPOINT", None, "missing"),
        ("VEGA_ENCLAVE_PUBLIC_ENDPOINT", Some("http://travel-rule.exchange.example"), "no such address"),
        ("VEGA_ENCLAVE_PUBLIC_ENDPOINT", Some("https://host/path"), "no such address"),
        ("VEGA_ENCLAVE_PUBLIC_ENDPOINT", Some(""), "empty"),
        ("VEGA_PUBLIC_KEY_TTL", Some("599999"), "600000 (10 minutes)"),
        ("VEGA_PUBLIC_KEY_TTL", Some("3600001"), "3600000 (1 hour)"),
        ("VEGA_PUBLIC_KEY_TTL", Some("30m"), "whole number"),
        ("VEGA_PUBLIC_KEY_TTL", Some("1800000.5"), "whole number"),
        ("VEGA_PUBLIC_KEY_TTL", Some("-1"), "whole number"),
        ("VEGA_VERIFICATION_RETENTION_DAYS", Some("five years"), "whole number"),
        ("VEGA_VERIFICATION_RETENTION_DAYS", Some("0"), "five years (1827 days)"),
        ("VEGA_VERIFICATION_RETENTION_DAYS", Some("1826"), "five years (1827 days)"),
        ("VEGA_VERIFICATION_RETENTION_DAYS", Some("-5"), "whole number"),
        ("VEGA_SERVER_PORT", Some("70000"), "no port"),
        ("VEGA_SERVER_PORT", Some("0"), "no port"),
        ("VEGA_SERVER_KEEPALIVE_TIMEOUT_MS", Some("0"), "zero"),
        ("VEGA_SERVER_KEEPALIVE_TIMEOUT_MS", Some("5s"), "whole number"),
        ("VEGA_ENCLAVE_MODE", Some("TR,VN2"), "all this module serves"),
        ("VEGA_ENCLAVE_MODE", Some("VN2"), "all this module serves"),
        ("VEGA_LOG_LEVEL", Some("verbose"), "no level"),
        ("VEGA_API_ENDPOINT", None, "missing"),
        ("VEGA_API_ENDPOINT", Some("http://relay.example"), "no such address"),
        ("VEGA_VERIFICATION_API_PATH", None, "missing"),
        ("VEGA_VERIFICATION_API_PATH", Some("/verify"), "no http"),
        ("VEGA_VERIFICATION_API_PATH", Some("http://8.8.8.8/verify"), "plain http"),
        ("VEGA_VERIFICATION_ACCOUNT_API_PATH", None, "missing"),
        ("VEGA_VERIFICATION_ADDRESSES_API_PATH", Some("http://10.0.0.9/a"), "twice"),
        ("VEGA_VERIFICATION_AUTHORIZATION_KEY", Some("X Api Key"), "no name of a header"),
        ("VEGA_VERIFICATION_AUTHORIZATION_KEY", Some("Host"), "no name of a header"),
        ("VEGA_VERIFICATION_VERIFYNAME_TRANSACTION_API_PATH", Some("http://10.0.0.9/n"), "is set"),
        ("VEGA_CHAINALYSIS_KYT_API_KEY", Some("k"), "is set"),
        ("VEGA_ENCRYPTION_KEY_BASE64", None, "missing"),
        ("VEGA_DECRYPT_API_ENDPOINT", Some("ftp://kms"), "no http"),
        ("VEGA_PUBLIC_KEY_TLL", Some("1800000"), "not a variable we know"),
        ("COUNTERSIGN_ENCLAVE_RELAY_ALLOW", Some("relay.example"), "names are not allowed"),
        ("COUNTERSIGN_ENCLAVE_RELAY_ALLOW", Some("10.1.2.3/8"), "outside its prefix"),
        ("COUNTERSIGN_ENCLAVE_EXCHANGE_ALLOW", Some("10.1.0.0/16"), "allow-list"),
        ("COUNTERSIGN_ENCLAVE_LISTENER", Some("0.0.0.0:21118"), "open to the world"),
        ("COUNTERSIGN_ENCLAVE_LISTENER", Some("203.0.113.7:21118"), "open to the world"),
        ("COUNTERSIGN_ENCLAVE_RELAY_KEY", Some("00"), "64"),
        ("COUNTERSIGN_ENCLAVE_TRUST_PEOPLE", Some("kim"), "without a key"),
        ("COUNTERSIGN_ENCLAVE_TRUST_THRESHOLD", Some("3"), "3 of 2"),
        ("COUNTERSIGN_ENCLAVE_DATABASE", None, "missing"),
    ];
    for (name, value, word) in table {
        let problem = with(name, *value).err().unwrap_or_else(|| panic!("{name}={value:?} passed"));
        let named = problem.field.as_deref().unwrap_or_default();
        // A backend beyond its list is told by the backend's own variable, an old name by itself or by its twin.
        let twin = ["VEGA_VERIFICATION_API_PATH", "VEGA_VERIFICATION_ADDRESSES_API_PATH"].contains(&named);
        assert!(named == *name || twin && word != &"missing", "{name}={value:?}: {problem}");
        assert!(problem.text.contains(word), "{name}={value:?}: {problem}");
        assert!(!problem.cure.is_empty() && problem.exit == Exit::Usage, "{problem}");
        assert!(
            !problem.to_string().contains("hunter2") && !problem.to_string().contains("AAECAw"),
            "no secret is repeated"
        );
    }
}

#[test]
fn minimums_themselves_are_allowed() {
    for (name, value) in [
        ("VEGA_PUBLIC_KEY_TTL", "600000"),
        ("VEGA_PUBLIC_KEY_TTL", "3600000"),
        ("VEGA_VERIFICATION_RETENTION_DAYS", "1827"),
        ("VEGA_ENCLAVE_MODE", "TR"),
        ("VEGA_LOG_LEVEL", "none"),
        ("VEGA_SERVER_PORT", "443"),
        ("VEGA_VERIFICATION_AUTHORIZATION_KEY", "X-Api-Key"),
        ("VEGA_VERIFICATION_CALLBACK_API_PATH", "http://backend:8080/callback"),
    ] {
        with(name, Some(value)).unwrap_or_else(|problem| panic!("{name}={value}: {problem}"));
    }
}

#[test]
fn a_header_without_a_token_is_refused_and_no_token_is_said() {
    let no_token = with("VEGA_VERIFICATION_AUTHORIZATION_TOKEN", None).unwrap();
    assert!(no_token.notices.iter().any(|notice| notice.contains("VEGA_VERIFICATION_AUTHORIZATION_TOKEN")));
    let mut all = whole();
    all.retain(|(name, _)| name != "VEGA_VERIFICATION_AUTHORIZATION_TOKEN");
    all.push(("VEGA_VERIFICATION_AUTHORIZATION_KEY".into(), "X-Api-Key".into()));
    let problem = Variables::of(all).settings("", Path::new("/")).unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("VEGA_VERIFICATION_AUTHORIZATION_KEY"), "{problem}");
}

#[test]
fn with_a_service_that_unwraps_it_the_key_may_be_anything() {
    let mut all = whole();
    all.retain(|(name, _)| name != "VEGA_ENCRYPTION_KEY_BASE64");
    all.push(("VEGA_ENCRYPTION_KEY_BASE64".into(), "arn:aws:kms:ap-northeast-2:1:key/2".into()));
    all.push(("VEGA_DECRYPT_API_ENDPOINT".into(), "http://127.0.0.1:9/decrypt".into()));
    let settings = Variables::of(all).settings("", Path::new("/")).unwrap();
    assert!(matches!(settings.enclave.data_key, DataKeySource::Wrapped(..)));
}

#[test]
fn mysql_variables_are_recognised_and_said_to_be_of_no_use() {
    for name in [
        "VEGA_DATABASE_CLIENT",
        "VEGA_DATABASE_PASSWORD",
        "VEGA_DATABASE_SSL_CAPATH",
        "VEGA_ALLIANCE_SECRET_KEY",
    ] {
        let settings = with(name, Some("hunter2")).unwrap();
        let notice = settings.notices.iter().find(|notice| notice.starts_with(name)).unwrap();
        assert!(notice.contains("not used: ") && !notice.contains("hunter2"), "{notice}");
    }
}

#[test]
fn a_value_in_two_places_is_refused_and_the_rest_may_stand_in_either() {
    let file =
        "[enclave]\npublic_endpoint = \"https://other.example\"\n[enclave.limits]\nkey_ttl_ms = 600000\n";
    let twice = Variables::of(whole()).settings(file, Path::new("/")).unwrap_err();
    assert_eq!(twice.field.as_deref(), Some("VEGA_ENCLAVE_PUBLIC_ENDPOINT"), "{twice}");
    assert!(twice.text.contains("twice: enclave.public_endpoint"), "{twice}");
    let mut all = whole();
    all.retain(|(name, _)| name != "VEGA_ENCLAVE_PUBLIC_ENDPOINT");
    let both = Variables::of(all.clone()).settings(file, Path::new("/")).unwrap();
    assert_eq!(both.enclave.public_endpoint, "https://other.example");
    assert_eq!(both.enclave.key_ttl, Duration::from_millis(600_000));
    let unknown = Variables::of(all).settings(&format!("{file}colour = 1\n"), Path::new("/")).unwrap_err();
    assert!(unknown.field.as_deref().unwrap().ends_with("colour"), "{unknown}");
}

#[test]
fn a_file_cannot_name_a_variable_by_itself() {
    let mut all = whole();
    all.retain(|(name, _)| name != "VEGA_VERIFICATION_AUTHORIZATION_TOKEN");
    let file = "[enclave.exchange]\ntoken = { variable = \"HOME\" }\n";
    let problem = Variables::of(all).settings(file, Path::new("/")).unwrap_err();
    assert!(problem.text.contains("names a variable"), "{problem}");
}

#[test]
fn a_field_has_one_variable() {
    let mut seen = std::collections::BTreeMap::new();
    for (name, path, _) in VARIABLES.iter().filter(|(_, path, _)| !path.is_empty()) {
        if let Some(other) = seen.insert(path, name) {
            assert!(other.ends_with("ACCOUNT_API_PATH") && name.ends_with("ADDRESSES_API_PATH"), "{path}");
        }
    }
}
