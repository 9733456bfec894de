//! Owns the laws of what a party is configured with: every mistake has a field and a cure, and nothing half-read is run with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::OnceLock;

use wallet_policy::Policy;
use wallet_policy::settings::{Guard, Settings};

use super::environment::Variables;
use super::executor::ExecutorSettings;
use super::observer::ObserverSettings;
use super::secrets::Given;
use super::{CosignerSettings, RelaySettings, SignerSettings, StandaloneSettings, read, typed};
use crate::cli::problem::Problem;

const BASE: &str = "/etc/countersign";

/// A mistake names a field, what is wrong, and what to do.
fn told(problem: &Problem) {
    assert!(problem.field.as_ref().is_some_and(|field| !field.is_empty()), "{problem:?}");
    assert!(!problem.text.is_empty() && !problem.cure.is_empty(), "{problem:?}");
}

/// The files of the parties.
pub(crate) fn files(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let base = Path::new(BASE);
    let signer = read::parse(text, "").and_then(|file: typed::SignerFile| SignerSettings::new(file, base));
    let cosigner =
        read::parse(text, "").and_then(|file: typed::CosignerFile| CosignerSettings::new(file, base));
    let relay = read::parse(text, "").and_then(|file: typed::RelayFile| RelaySettings::new(file, text, base));
    let enclave = read::parse(text, "")
        .and_then(|file: typed::EnclaveFile| StandaloneSettings::new(file, base, &Given::default()));
    let observer =
        read::parse(text, "").and_then(|file: typed::ObserverFile| ObserverSettings::new(file, base));
    let executor =
        read::parse(text, "").and_then(|file: typed::ExecutorFile| ExecutorSettings::new(file, base));
    let read = [
        observer.inspect_err(told).is_ok(),
        executor.inspect_err(told).is_ok(),
        signer.inspect_err(told).is_ok(),
        cosigner.inspect_err(told).is_ok(),
        relay.inspect_err(told).is_ok(),
        enclave.inspect_err(told).is_ok(),
    ];
    assert!(read.into_iter().filter(|read| *read).count() <= 1, "one file for two parties");
}

pub(crate) fn file_seeds() -> Vec<Vec<u8>> {
    vec![
        include_bytes!("../../../deploy/signer.example.toml").to_vec(),
        include_bytes!("../../../deploy/cosigner.example.toml").to_vec(),
        include_bytes!("../../../deploy/relay.example.toml").to_vec(),
        include_bytes!("../../../deploy/enclave.example.toml").to_vec(),
        include_bytes!("../../../deploy/observer.example.toml").to_vec(),
        include_bytes!("../../../deploy/executor.example.toml").to_vec(),
    ]
}

/// The documented variables, one on each line, beside a file after an empty line.
pub(crate) fn variables(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (lines, file) = text.split_once("\n\n").unwrap_or((text, ""));
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    let variables = Variables::of(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let names: Vec<String> = variables.names().into_iter().map(str::to_owned).collect();
    assert!(names.iter().all(|name| name.starts_with("VEGA_") || name.starts_with("COUNTERSIGN_ENCLAVE_")));
    let read = variables.settings(file, Path::new(BASE));
    if let Err(no) = &read {
        told(no);
    }
    // One more that nobody knows is never passed over.
    let more = lines.lines().filter_map(|line| line.split_once('=')).chain([("VEGA_COLOUR", "blue")]);
    let more = Variables::of(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(more.settings(file, Path::new(BASE)).is_err());
}

pub(crate) fn variable_seeds() -> Vec<Vec<u8>> {
    let key = "ab".repeat(32);
    let mut all: Vec<Vec<u8>> = super::environment::fuzzing_names()
        .map(|name| {
            [
                "7",
                "true",
                "0x00",
                "https://a.example/x",
                "name=ssh-ed25519 AAAA;b=c",
                "10.0.0.0/8, 127.0.0.1",
                key.as_str(),
            ]
            .map(|value| format!("{name}={value}\nVEGA_SERVER_PORT=8080\n"))
            .join("\n")
            .into_bytes()
        })
        .collect();
    let together: Vec<_> = super::environment::fuzzing_names().map(|name| format!("{name}=7")).collect();
    all.push(together.join("\n").into_bytes());
    all.push(
        [b"VEGA_LOG_LEVEL=info\n\n".as_slice(), include_bytes!("../../../deploy/enclave.example.toml")]
            .concat(),
    );
    all
}

const POLICY: &str = include_str!("../../../deploy/policy.example.toml");

fn guard() -> &'static Guard {
    static GUARD: OnceLock<Guard> = OnceLock::new();
    GUARD.get_or_init(|| {
        let trust: toml::Table = include_str!("../../../deploy/trust.example.toml").parse().unwrap();
        read::parse(trust["guard"]["policy"].as_str().unwrap(), "").unwrap()
    })
}

/// A policy's settings and the guard over them: what is loaded is within the guard and is the same when read again.
pub(crate) fn policy_settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(no) = read::parse::<Guard>(text, "guard") {
        told(&no);
    }
    match read::parse::<Settings>(text, "policy.settings") {
        Err(no) => told(&no),
        Ok(settings) => {
            let within = settings.validate().is_ok() && guard().check(&settings).is_ok();
            // Loading compiles the rules, which takes a thousand times as long.
            if within
                && text.len() < 6_000
                && text.starts_with("# load")
                && let Ok(policy) = Policy::built_in(settings.clone(), guard())
            {
                assert_eq!(policy.hash(), Policy::built_in(settings, guard()).unwrap().hash());
            }
        }
    }
}

pub(crate) fn policy_settings_seeds() -> Vec<Vec<u8>> {
    let trust: toml::Table = include_str!("../../../deploy/trust.example.toml").parse().unwrap();
    vec![
        POLICY.as_bytes().to_vec(),
        format!("# load\n{POLICY}").into_bytes(),
        trust["guard"]["policy"].as_str().unwrap().as_bytes().to_vec(),
    ]
}

/// Cedar rules: what is loaded loads again as the same, and is not the shipped policy by another name.
pub(crate) fn policy_rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    let settings = SETTINGS.get_or_init(|| read::parse(POLICY, "").unwrap());
    match Policy::load(&[("a.cedar", text)], settings.clone(), guard()) {
        Ok(policy) => {
            let again = Policy::load(&[("a.cedar", text)], settings.clone(), guard()).unwrap();
            assert_eq!(again.hash(), policy.hash());
            assert_ne!(
                Policy::load(&[("b.cedar", text)], settings.clone(), guard()).unwrap().hash(),
                policy.hash()
            );
        }
        Err(no) => assert!(!no.to_string().is_empty()),
    }
}

pub(crate) fn policy_rules_seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        wallet_policy::BUILT_IN.iter().map(|(_, text)| text.as_bytes().to_vec()).collect();
    all.push(
        wallet_policy::BUILT_IN.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n").into_bytes(),
    );
    all
}
