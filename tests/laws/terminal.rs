//! A terminal in a world: pages of procedures whose commands are run, and whose answers are those of the program.
//!
//! A page under `docs/` is prose with blocks of ```` ```console ````. In such a block each line that begins with `$ ` is a command (a
//! line that ends with `\` goes on), and what follows is what it printed. A line `<!-- world: … -->` between blocks is no
//! command: it says what happens in the world meanwhile, see [`super::happens`]. [`page`] runs the whole page from the top and
//! compares every answer; with `COUNTERSIGN_WRITE_DOCS=1` it writes them. So a page is written by hand without answers,
//! and gets a test that makes its world and calls [`page`].
//!
//! The commands run in a shell, in a folder with `keys/<person>` and `keys/<person>.pub`, a profile `<person>.toml` for each
//! person, and the real program. An SSH agent stands by, empty. What changes from run to run is shown by its name in angle brackets.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use countersign::desk::Role;
use countersign::grpc::freeze::{Apart, serve_apart};
use countersign::grpc::{Desks, Limits, Server, system_clock};
use countersign::pki::{self, Authority, LeafOrder, PemFiles, Validity};
use countersign::withdrawal::*;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::happens::happens;
use super::masked::masked;
use super::world::*;

const VALID: Validity = Validity { not_before: Seconds(1_000_000_000), not_after: Seconds(4_000_000_000) };
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Who sits at the terminal, with which certificate and, for operators, which SSH key.
pub const PEOPLE: [(&str, Role, Option<u8>); 5] = [
    ("kim", Role::Operator, Some(KIM)),
    ("lee", Role::Operator, Some(LEE)),
    ("cho", Role::Operator, Some(13)),
    ("exchange", Role::Exchange, None),
    ("auditor", Role::Auditor, None),
];

/// A folder, the parties' listeners, an agent.
pub struct Terminal {
    folder: tempfile::TempDir,
    names: Vec<(String, String)>,
    variables: Vec<(String, String)>,
    serving: Vec<JoinHandle<()>>,
    _brakes: Vec<Apart>,
    agent: Child,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

impl Terminal {
    /// Opens a terminal; nothing where OpenSSH is not installed.
    pub async fn at(world: &World) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let agent = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let Ok(agent) = agent else {
            assert!(
                std::env::var_os("COUNTERSIGN_REQUIRE_SSH_KEYGEN").is_none(),
                "ssh-agent is not installed"
            );
            let loud = "\n*** SKIPPED: a page of commands: ssh-agent is not installed ***\n\n";
            std::io::Write::write_all(&mut std::io::stderr(), loud.as_bytes()).unwrap();
            return None;
        };
        let mut terminal = Self {
            folder,
            names: Vec::new(),
            variables: Vec::new(),
            serving: Vec::new(),
            _brakes: Vec::new(),
            agent,
        };
        std::fs::create_dir(terminal.path("bin")).unwrap();
        let program = terminal.path("bin/countersign");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_countersign"), program).unwrap();
        let authority = Authority::create("test authority", VALID).unwrap();
        std::fs::create_dir(terminal.path("tls")).unwrap();
        std::fs::write(terminal.path("tls/ca.pem"), authority.certificate_pem()).unwrap();
        for (role, name) in [(Role::Signer, "signer"), (Role::Cosigner, "cosigner")] {
            terminal.certificate(&authority, role, name);
        }
        let signer = terminal.serve(world, &authority).await;
        let brakes = [(KeyRole::Signer, "signer"), (KeyRole::Cosigner, "cosigner")]
            .map(|(party, name)| terminal.brake(world, &authority, party, name));
        terminal.write_papers(&authority, &signer, &brakes);
        for (hash, name) in [(world.policy_hash(), "signer's"), (world.cosigner_policy_hash(), "co-signer's")]
        {
            terminal.name(&hash, &format!("<hash of the {name} policy>"));
        }
        while !socket.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Some(terminal)
    }

    /// A place in the folder where the commands run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on this text is shown by that name.
    pub fn name(&mut self, text: &str, shown: &str) {
        self.names.push((text.to_owned(), shown.to_owned()));
    }

    /// From now on the commands find this under that name in their environment.
    pub fn set(&mut self, name: &str, value: String) {
        self.variables.push((name.to_owned(), value));
    }

    fn certificate(&self, authority: &Authority, role: Role, name: &str) {
        let order = LeafOrder { role, name: name.into(), hosts: vec!["127.0.0.1".into()], validity: VALID };
        let files = PemFiles::in_folder(&self.path("tls"), name);
        files.write(&authority.issue(&order).unwrap()).unwrap();
    }

    fn server(&self, authority: &Authority, name: &str, desks: Desks) -> Server {
        let files = PemFiles::in_folder(&self.path("tls"), name);
        let identity = pki::read_identity(&files.certificate, &files.key).unwrap();
        let tls = pki::server_config(std::slice::from_ref(authority.certificate()), identity).unwrap();
        Server { tls, limits: Limits::default(), clock: system_clock(), desks }
    }

    /// The signer's listener, with every desk that people and exchanges stand at.
    async fn serve(&mut self, world: &World, authority: &Authority) -> String {
        let server = self.server(authority, "signer", Desks::of_signer(&world.desk()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            let _ = server.serve(listener, std::future::pending()).await;
        });
        self.serving.push(serving);
        address
    }

    /// The listener of a party's brake.
    fn brake(&mut self, world: &World, authority: &Authority, party: KeyRole, name: &str) -> String {
        let desks = Desks { freeze: Some(Arc::new(world.counter(party))), ..Desks::default() };
        let server = self.server(authority, name, desks);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        self._brakes.push(serve_apart(server, listener).unwrap());
        address
    }

    /// Keys, certificates and profiles of everybody.
    fn write_papers(&self, authority: &Authority, signer: &str, brakes: &[String; 2]) {
        std::fs::create_dir(self.path("keys")).unwrap();
        let attestation = data_encoding::HEXLOWER.encode(&identity(0xb, "attestation").public_key());
        for (name, role, seed) in PEOPLE {
            self.certificate(authority, role, name);
            let mut profile = format!(
                "connect = \"{signer}\"\nca = \"tls/ca.pem\"\ncert = \"tls/{name}.pem\"\nkey = \"tls/{name}.key\"\n\
                 network = \"{NETWORK}\"\nattestation_key = \"{attestation}\"\noperator = \"{name}\"\n\
                 signer_freeze = \"{}\"\ncosigner_freeze = \"{}\"\n",
                brakes[0], brakes[1]
            );
            if let Some(seed) = seed {
                self.write_secret(&format!("keys/{name}"), &ssh_private(seed));
                self.write_secret(&format!("keys/{name}.pub"), &format!("{} {name}\n", ssh_public(seed)));
                profile.push_str(&format!("ssh_key = \"keys/{name}\"\n"));
            }
            std::fs::write(self.path(&format!("{name}.toml")), profile).unwrap();
        }
    }

    fn write_secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs one command line, and gives what it printed as the page shows it, with how it ended unless that is 0.
    pub async fn run(&self, line: &str) -> String {
        let mut command = Command::new("sh");
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.arg("-c").arg(format!("exec 2>&1; {line}")).current_dir(self.folder.path());
        command.env("PATH", path).env("SSH_AUTH_SOCK", self.path("agent")).env("LC_ALL", "C");
        command.env("HOME", self.folder.path()).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let mut text = String::from_utf8(output.stdout).unwrap();
        if !output.status.success() {
            text.push_str(&format!("(exit {})\n", output.status.code().unwrap_or(-1)));
        }
        self.shown(&text)
    }

    fn shown(&self, text: &str) -> String {
        let text = text.replace(&format!("{}/", self.folder.path().display()), "");
        let named = self.names.iter().fold(text, |text, (from, to)| text.replace(from, to));
        named.lines().map(|line| format!("{}\n", masked(line).trim_end())).collect()
    }
}

/// Runs a page from the top: its commands, and what happens between them.
pub async fn page(name: &str, world: &World, mut terminal: Terminal) {
    let path = Path::new(ROOT).join(name);
    let written = std::fs::read_to_string(&path).unwrap();
    let mut fresh = String::new();
    let mut lines = written.lines().peekable();
    while let Some(line) = lines.next() {
        fresh.push_str(&format!("{line}\n"));
        if let Some(what) = line.strip_prefix("<!-- world: ").and_then(|rest| rest.strip_suffix(" -->")) {
            happens(world, &mut terminal, what).await;
        }
        if line != "```console" {
            continue;
        }
        while let Some(line) = lines.next_if(|line| *line != "```") {
            let Some(first) = line.strip_prefix("$ ") else { continue };
            let mut command = first.to_owned();
            fresh.push_str(&format!("{line}\n"));
            while command.ends_with('\\') {
                let more = lines.next().expect("a command goes on");
                fresh.push_str(&format!("{more}\n"));
                command = format!("{} {}", command.trim_end_matches('\\'), more.trim_start());
            }
            fresh.push_str(&terminal.run(&command).await);
        }
    }
    if std::env::var_os("COUNTERSIGN_WRITE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
        return;
    }
    let differs = written.lines().zip(fresh.lines()).find(|(a, b)| a != b);
    assert!(
        written == fresh,
        "{name} is not what its commands print, first at {differs:?}; COUNTERSIGN_WRITE_DOCS=1 writes it"
    );
}
