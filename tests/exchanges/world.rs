//! Two exchanges and a relay, every one a process of its own: `countersign relay`, `countersign enclave` twice, Python twice.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use countersign::evidence::{NAMESPACE_TRUST, sign_ssh};
use data_encoding::HEXLOWER;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::parties::{OWN, OWN_VASP, QUORUM, RELAY, ROBOT, ROBOT_VASP, public, ssh_private, ssh_public};
use super::play::{PythonBackend, client, client_of};

/// The token of both private listeners.
pub const OWN_TOKEN: &str = "0123456789abcdef0123456789abcdef-own";
/// The token that both backends want to see.
pub const TOKEN: &str = "a-token-of-the-exchange";

/// What the other exchange's service turns into the next data key, and that key.
pub const NEW_INPUT: &str = "arn:aws:kms:ap-northeast-2:111122223333:key/next";
const NEW_KEY: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// One of our programs, until it is dropped.
pub struct Program {
    child: Child,
    listeners: Value,
    pub log: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn countersign() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

impl Program {
    fn start(dir: &Path, name: &str, mut command: Command) -> Self {
        let log = dir.join(format!("{name}.log"));
        let complaints = std::fs::File::create(&log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(complaints).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        assert_eq!(said["ready"], true, "{name}: {line}\n{}", std::fs::read_to_string(&log).unwrap());
        Self { child, listeners: said["listeners"].clone(), log }
    }
}

/// An exchange: its enclave and its backend.
pub struct Exchange {
    pub backend: PythonBackend,
    pub enclave: Program,
    private: String,
    pub public: String,
    pub client: reqwest::Client,
}

impl Exchange {
    /// Asks the private listener with its token.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request =
            self.client.request(method, format!("{}{path}", self.private)).bearer_auth(OWN_TOKEN);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(Method::POST, path, Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    /// A private listener's URL.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.private)
    }

    /// Waits until a record says so.
    pub async fn record(&self, uuid: &str, result: &str) -> Value {
        for _ in 0..200 {
            let record = self.get(&format!("/v1/verifications/{uuid}")).await;
            if record["result"] == result {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(&self.enclave.log).unwrap();
        panic!(
            "{uuid} never became {result}: {}\n{log}",
            self.get(&format!("/v1/verifications/{uuid}")).await
        );
    }

    /// Waits until the backend was told this of that verification.
    pub async fn told(&self, kind: &str, uuid: &str) -> Value {
        for _ in 0..200 {
            let all = self.backend.told("callbacks").await;
            let mine =
                |told: &&Value| told["callbackType"] == kind && told["data"]["verificationUuid"] == uuid;
            if let Some(told) = all.iter().find(mine) {
                return told["data"].clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{kind} of {uuid} was never told\n{}", std::fs::read_to_string(&self.enclave.log).unwrap());
    }
}

/// Both exchanges, and the relay between them.
pub struct World {
    pub dir: tempfile::TempDir,
    _relay: Program,
    /// From a TOML file, with a data key of its own; TLS to the backend and on the private listener.
    pub ours: Exchange,
    /// From the documented variables alone, with a wrapped data key and a header of its own.
    pub theirs: Exchange,
}

impl World {
    /// Nothing where there is no Python.
    pub async fn new() -> Option<Self> {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let theirs =
            ["--token", TOKEN, "--header", "X-Api-Key", "--key", key, "--key-of", NEW_INPUT, NEW_KEY];
        let theirs = PythonBackend::start(&theirs)?;
        let dir = tempfile::tempdir().unwrap();
        papers(dir.path());
        let [cert, key, ca] = ["ours.pem", "ours.tls", "ca.pem"].map(|name| dir.path().join(name));
        let ours = PythonBackend::start_secured([&cert, &key, &ca], &["--token", TOKEN])?;
        let relay = Program::start(dir.path(), "relay", relay(dir.path()));
        let relay_url = format!("https://{}", relay.listeners["https"].as_str().unwrap());
        let secured = ("https", client_of(&ca));
        let ours = Exchange::start(dir.path(), "ours", secured, ours, |port, backend| {
            from_file(dir.path(), &relay_url, port, backend)
        });
        let theirs = Exchange::start(dir.path(), "theirs", ("http", client()), theirs, |port, backend| {
            from_variables(dir.path(), &relay_url, port, backend)
        });
        let world = Self { _relay: relay, ours, theirs, dir };
        world.meet().await;
        Some(world)
    }

    /// Waits until each sees the other.
    async fn meet(&self) {
        for exchange in [&self.ours, &self.theirs] {
            for _ in 0..200 {
                if exchange.get("/v1/vasps").await["vasps"][0]["health"] == "UP" {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Exchange {
    fn start(
        dir: &Path,
        name: &str,
        (scheme, client): (&str, reqwest::Client),
        backend: PythonBackend,
        command: impl FnOnce(u16, &PythonBackend) -> Command,
    ) -> Self {
        let port = countersign::sandbox::ports::free().unwrap().port();
        let enclave = Program::start(dir, name, command(port, &backend));
        let private = format!("{scheme}://{}", enclave.listeners["exchange"].as_str().unwrap());
        Self { backend, enclave, private, public: format!("https://127.0.0.1:{port}"), client }
    }
}

fn write(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// Keys, certificates, directories and databases.
fn papers(dir: &Path) {
    let hex = |seed: u8| HEXLOWER.encode(&[seed; 32]);
    for (name, seed) in [("ours", OWN), ("theirs", ROBOT), ("relay", RELAY)] {
        write(&dir.join(format!("{name}.key")), &hex(seed));
    }
    write(&dir.join("token"), TOKEN);
    write(&dir.join("own-token"), OWN_TOKEN);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write(&dir.join("ca.pem"), &params.self_signed(&key).unwrap().pem());
    let ca = Issuer::new(params, key);
    for name in ["ours", "theirs", "relay"] {
        let key = KeyPair::generate().unwrap();
        let leaf =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        write(&dir.join(format!("{name}.pem")), &leaf.pem());
        write(&dir.join(format!("{name}.tls")), &key.serialize_pem());
    }
    for (name, own, other, seed) in
        [("ours", OWN_VASP, ROBOT_VASP, ROBOT), ("theirs", ROBOT_VASP, OWN_VASP, OWN)]
    {
        let key = public(seed);
        let text = format!(
            "version = 1\n[vasp]\nid = \"{own}\"\nname = \"{name}\"\n\
             [[vasps]]\nid = \"{other}\"\nname = \"The Other\"\nidentity_key = \"{key}\"\nactive = true\n"
        );
        write(&dir.join(format!("{name}.directory")), &text);
        for person in &QUORUM[..2] {
            let signature = sign_ssh(&ssh_private(*person), NAMESPACE_TRUST, &text).unwrap();
            write(&dir.join(format!("{name}.directory.{person}.sig")), &signature);
        }
        let mut init = countersign();
        init.args(["init", "--role", "enclave", "--existing", "--enclave-identity-key"])
            .arg(dir.join(format!("{name}.key")));
        init.arg("--enclave-database").arg(dir.join(format!("{name}.db")));
        if name == "ours" {
            init.arg("--enclave-data-key").arg(dir.join("ours.data"));
        }
        let made = init.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

fn relay(dir: &Path) -> Command {
    let (ours, theirs) = (public(OWN), public(ROBOT));
    let text = format!(
        "listen = \"127.0.0.1:0\"\nkey = {{ file = \"relay.key\" }}\n\
         [tls]\nca = \"ca.pem\"\ncert = \"relay.pem\"\nkey = \"relay.tls\"\n\
         [[member]]\nvasp = \"{OWN_VASP}\"\nidentity_key = \"{ours}\"\n\
         [[member]]\nvasp = \"{ROBOT_VASP}\"\nidentity_key = \"{theirs}\"\n[limits]\nprobe_s = 1\n"
    );
    write(&dir.join("relay.toml"), &text);
    let mut command = countersign();
    command.args(["--json", "relay", "--config"]).arg(dir.join("relay.toml"));
    command
}

fn people() -> Vec<(String, String)> {
    QUORUM.iter().map(|seed| (format!("p{seed}"), ssh_public(*seed))).collect()
}

fn from_file(dir: &Path, relay_url: &str, port: u16, backend: &PythonBackend) -> Command {
    let people: Vec<String> =
        people().iter().map(|(name, key)| format!("{{ name = \"{name}\", key = {} }}", json!(key))).collect();
    let (people, relay_key, [first, second, _]) = (people.join(", "), public(RELAY), QUORUM);
    let url = |call: &str| backend.url(&format!("well/{call}"));
    let (user, account, transaction, callback) =
        (url("user"), url("account"), url("transaction"), url("callback"));
    let text = format!(
        r#"memory_lock = false
[trust]
file = "ours.directory"
signatures = ["ours.directory.{first}.sig", "ours.directory.{second}.sig"]
[trust.quorum]
threshold = 2
people = [{people}]
[enclave]
database = "ours.db"
data_key = {{ file = "ours.data" }}
identity_key = {{ file = "ours.key" }}
listen = "127.0.0.1:{port}"
public_endpoint = "https://127.0.0.1:{port}"
networks = ["regtest"]
retention_days = 1827
[enclave.tls]
ca = "ca.pem"
cert = "ours.pem"
key = "ours.tls"
[enclave.relay]
url = "{relay_url}"
key = "{relay_key}"
allow = ["127.0.0.1"]
[enclave.exchange]
verify_user_url = "{user}"
verify_account_url = "{account}"
transaction_url = "{transaction}"
callback_url = "{callback}"
token = {{ file = "token" }}
ca = "ca.pem"
allow = ["127.0.0.0/8"]
[enclave.exchange.listener]
listen = "127.0.0.1:0"
token = {{ file = "own-token" }}
allow = ["127.0.0.1"]
tls = {{ cert = "ours.pem", key = "ours.tls" }}
[tracing]
filter = "debug"
"#
    );
    write(&dir.join("ours.toml"), &text);
    let mut command = countersign();
    command.args(["--json", "enclave", "--config"]).arg(dir.join("ours.toml"));
    command
}

/// The variables of the other exchange.
pub fn variables(
    dir: &Path,
    relay_url: &str,
    port: u16,
    backend: &PythonBackend,
) -> Vec<(&'static str, String)> {
    let at = |name: &str| dir.join(name).display().to_string();
    let url = |call: &str| backend.url(&format!("well/{call}"));
    let people: Vec<String> = people().iter().map(|(name, key)| format!("{name}={key}")).collect();
    let signatures = QUORUM[..2].iter().map(|person| at(&format!("theirs.directory.{person}.sig")));
    vec![
        ("VEGA_SERVER_PORT", port.to_string()),
        ("VEGA_SERVER_KEEPALIVE_TIMEOUT_MS", "65000".into()),
        ("VEGA_ENCLAVE_MODE", "TR".into()),
        ("VEGA_ENCLAVE_PUBLIC_ENDPOINT", format!("https://127.0.0.1:{port}")),
        ("VEGA_LOG_LEVEL", "debug".into()),
        ("VEGA_API_ENDPOINT", relay_url.to_owned()),
        ("VEGA_DATABASE_CLIENT", "mysql2".into()),
        ("VEGA_VERIFICATION_API_PATH", url("user")),
        ("VEGA_VERIFICATION_ACCOUNT_API_PATH", url("account")),
        ("VEGA_VERIFICATION_TRANSACTION_API_PATH", url("transaction")),
        ("VEGA_VERIFICATION_CALLBACK_API_PATH", url("callback")),
        ("VEGA_VERIFICATION_AUTHORIZATION_TOKEN", TOKEN.into()),
        ("VEGA_VERIFICATION_AUTHORIZATION_KEY", "X-Api-Key".into()),
        ("VEGA_PUBLIC_KEY_TTL", "600000".into()),
        ("VEGA_ENCRYPTION_KEY_BASE64", "arn:aws:kms:ap-northeast-2:111122223333:key/theirs".into()),
        ("VEGA_DECRYPT_API_ENDPOINT", url("decrypt")),
        ("COUNTERSIGN_ENCLAVE_DATABASE", at("theirs.db")),
        ("COUNTERSIGN_ENCLAVE_NETWORKS", "regtest".into()),
        ("COUNTERSIGN_ENCLAVE_MEMORY_LOCK", "false".into()),
        ("COUNTERSIGN_ENCLAVE_IDENTITY_KEY_FILE", at("theirs.key")),
        ("COUNTERSIGN_ENCLAVE_TLS_CA", at("ca.pem")),
        ("COUNTERSIGN_ENCLAVE_TLS_CERT", at("theirs.pem")),
        ("COUNTERSIGN_ENCLAVE_TLS_KEY", at("theirs.tls")),
        ("COUNTERSIGN_ENCLAVE_RELAY_KEY", public(RELAY)),
        ("COUNTERSIGN_ENCLAVE_LISTENER", "127.0.0.1:0".into()),
        ("COUNTERSIGN_ENCLAVE_LISTENER_TOKEN_FILE", at("own-token")),
        ("COUNTERSIGN_ENCLAVE_TRUST_FILE", at("theirs.directory")),
        ("COUNTERSIGN_ENCLAVE_TRUST_SIGNATURES", signatures.collect::<Vec<_>>().join(",")),
        ("COUNTERSIGN_ENCLAVE_TRUST_THRESHOLD", "2".into()),
        ("COUNTERSIGN_ENCLAVE_TRUST_PEOPLE", people.join(";")),
    ]
}

fn from_variables(dir: &Path, relay_url: &str, port: u16, backend: &PythonBackend) -> Command {
    let mut command = countersign();
    command.args(["--json", "enclave", "--from-env"]).envs(variables(dir, relay_url, port, backend));
    command
}
