//! The Python programs as child processes: an exchange's backend, an enclave server.

#![allow(dead_code)]

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// Whoever is asked for, or the usual one, if it runs.
fn python() -> Option<OsString> {
    let named = std::env::var_os("COUNTERSIGN_PYTHON").filter(|path| !path.is_empty());
    let python = named.unwrap_or_else(|| "python3".into());
    let runs = Command::new(&python).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if runs.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    let required = std::env::var_os("COUNTERSIGN_REQUIRE_PYTHON").is_some_and(|value| value == "1");
    assert!(!required, "COUNTERSIGN_REQUIRE_PYTHON=1, but there is no Python");
    let loud =
        "\n*** SKIPPED: the Python backend: there is no python3, and COUNTERSIGN_PYTHON names none ***\n\n";
    std::io::stderr().write_all(loud.as_bytes()).unwrap();
    None
}

/// A backend that runs until it is dropped.
pub struct PythonBackend {
    child: Child,
    pub port: u16,
    scheme: &'static str,
    client: reqwest::Client,
}

impl PythonBackend {
    /// Starts one; nothing where there is no Python.
    pub fn start(args: &[&str]) -> Option<Self> {
        Self::play_as("http", client(), "exchange.py", args)
    }

    /// The same over https, with the certificate and key of these files, which lead to that CA.
    pub fn start_secured([cert, key, ca]: [&Path; 3], args: &[&str]) -> Option<Self> {
        let files = [cert, key].map(|path| path.to_str().unwrap());
        let args = [&["--tls"][..], &files, args].concat();
        Self::play_as("https", client_of(ca), "exchange.py", &args)
    }

    /// Starts any of the foreign programs that serve until their input ends.
    pub fn play(script: &str, args: &[&str]) -> Option<Self> {
        Self::play_as("http", client(), script, args)
    }

    fn play_as(scheme: &'static str, client: reqwest::Client, script: &str, args: &[&str]) -> Option<Self> {
        let mut command = Command::new(python()?);
        command.arg(format!("{}/tests/foreign/{script}", env!("CARGO_MANIFEST_DIR"))).args(args);
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("ready ").expect("the backend says where it listens");
        Some(Self { child, port: port.parse().unwrap(), scheme, client })
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}/{path}", self.scheme, self.port)
    }

    /// What it says under `/control`.
    pub async fn told(&self, path: &str) -> Vec<Value> {
        let answer = self.client.get(self.url(&format!("control/{path}"))).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Tells it something under `/control`.
    pub async fn tell(&self, path: &str, what: &Value) -> Value {
        let answer = client().post(self.url(&format!("control/{path}"))).json(what).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {what}");
        answer.json().await.unwrap()
    }

    /// Sets how far a transfer has come.
    pub async fn set_transfer(&self, transfer: &Value) {
        let answer = self.client.post(self.url("control/transfer")).json(transfer).send().await.unwrap();
        assert!(answer.status().is_success());
    }
}

/// Its input ends, and so does it.
impl Drop for PythonBackend {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A plain client of the tests' own.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap()
}

/// The same, which believes this CA and no other.
pub fn client_of(ca: &Path) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = reqwest::Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
    let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20));
    builder.tls_certs_only([ca]).build().unwrap()
}
