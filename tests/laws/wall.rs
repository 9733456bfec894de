//! L5 and the wall: the program itself, as a sandbox starts it. What the signer's process may hold and what its enclave's may,
//! read from the system's own tables; and a payment over the death of the enclave.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");

/// A sandbox that stays up.
struct Sandbox {
    process: Child,
    folder: PathBuf,
    said: Value,
    _dir: tempfile::TempDir,
}

impl Sandbox {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("s");
        let mut process = Command::new(PROGRAM)
            .args(["sandbox", "--json", "--serve", "--keep"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = serde_json::Deserializer::from_reader(process.stdout.take().unwrap());
        let said = said.into_iter::<Value>().next().unwrap().unwrap();
        Self { process, folder, said, _dir: dir }
    }

    fn listener(&self, name: &str) -> SocketAddr {
        self.said["listeners"][name].as_str().unwrap().trim_start_matches("https://").parse().unwrap()
    }

    fn signer(&self) -> u32 {
        child_of(self.process.id(), "signer").expect("the signer runs")
    }

    /// The enclave that runs now, once it listens.
    fn enclave(&self) -> u32 {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let found = child_of(self.signer(), "enclave-room");
            if let Some(pid) = found.filter(|pid| listens(*pid, self.listener("enclave"))) {
                return pid;
            }
            assert!(Instant::now() < until, "no enclave listens");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks as the sandbox's exchange, until it is released; how it stands is printed by the program itself.
    fn withdraw(&self, id: &str) -> String {
        let mut request = cases()["cases"][0]["request"].clone();
        request["request_id"] = json!(id);
        let names = self.folder.join("names.json");
        std::fs::write(&names, request["ivms101"].to_string()).unwrap();
        let text = |field: &str| request[field].to_string().trim_matches('"').to_owned();
        let until = Instant::now() + Duration::from_secs(60);
        let asked_at = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().to_string();
        loop {
            let output = Command::new(PROGRAM)
                .args(["withdraw", "--json", "--profile"])
                .arg(self.folder.join("profiles/exchange.toml"))
                .args(["--request-id", id, "--asset", "regtest", "--asked-at", &asked_at])
                .args(["--customer-ref", &text("customer_ref"), "--destination", &text("destination")])
                .args(["--amount", &text("amount_sat"), "--fee-max", &text("fee_sat_max")])
                .args(["--beneficiary-vasp", "4855741808338010592", "--ivms101"])
                .arg(&names)
                .output()
                .unwrap();
            let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if let Some(txid) = said["txid"].as_str().filter(|txid| !txid.is_empty()) {
                return txid.to_owned();
            }
            let cried = String::from_utf8_lossy(&output.stderr);
            assert!(Instant::now() < until, "{id} was not released: {said} {cried}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.process.id().try_into().unwrap()).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.process.wait();
    }
}

fn cases() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox/withdrawals.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn child_of(parent: u32, word: &str) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).ok()?;
    let of = |task: PathBuf| std::fs::read_to_string(task.join("children")).unwrap_or_default();
    let listed: Vec<String> = tasks.filter_map(|task| Some(of(task.ok()?.path()))).collect();
    let mut pids = listed.iter().flat_map(|list| list.split_whitespace());
    pids.find_map(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let named = line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes());
        named.then(|| pid.parse().unwrap())
    })
}

/// What a process has open, as the system names it.
fn open_in(pid: u32) -> BTreeSet<String> {
    let Ok(list) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeSet::new() };
    let links = list.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.map(|link| link.display().to_string()).collect()
}

/// Whether this process holds the socket that listens there.
fn listens(pid: u32, address: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!("0100007F:{:04X}", address.port());
    let inode = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // 0A: it listens
        (fields[1] == local && fields[3] == "0A").then(|| fields[9].to_owned())
    });
    inode.is_some_and(|inode| open_in(pid).contains(&format!("socket:[{inode}]")))
}

/// How often these bytes stand in a process's writable memory.
fn in_memory(pid: u32, wanted: &[u8]) -> usize {
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).unwrap().starts_with("rw")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut at = from;
        while at < to {
            // an overlap, so that nothing is missed at a border
            let mut piece = vec![0; usize::try_from((to - at).min(1 << 20)).unwrap() + wanted.len()];
            let read = memory.read_at(&mut piece, at).unwrap_or(0);
            found += count(&piece[..read], wanted);
            at += 1 << 20;
        }
    }
    found
}

fn count(piece: &[u8], wanted: &[u8]) -> usize {
    let (first, mut at, mut found) = (wanted[0], 0, 0);
    while let Some(next) = piece[at..].iter().position(|byte| *byte == first) {
        at += next;
        found += usize::from(piece[at..].starts_with(wanted));
        at += 1;
    }
    found
}

#[test]
fn l05_the_signers_process_holds_no_listener_file_or_key_of_its_enclave() {
    if !geteuid().is_root() {
        // not eprintln!, which the test harness keeps to itself when a test passes
        let loud = "\n*** SKIPPED: l05, the wall: neither process lets its own user look in; run the tests as root ***\n\n";
        std::io::stderr().write_all(loud.as_bytes()).unwrap();
        return;
    }
    let sandbox = Sandbox::start();
    sandbox.withdraw("wall-1");
    let (signer, enclave) = (sandbox.signer(), sandbox.enclave());
    // listeners
    assert!(listens(enclave, sandbox.listener("enclave")) && !listens(signer, sandbox.listener("enclave")));
    assert!(listens(signer, sandbox.listener("signer")) && !listens(enclave, sandbox.listener("signer")));
    // files
    let (of_signer, of_enclave) = (open_in(signer), open_in(enclave));
    let has = |open: &BTreeSet<String>, name: &str| open.iter().any(|file| file.contains(name));
    assert!(has(&of_signer, "ledger.db") && !has(&of_signer, "enclave"), "{of_signer:?}");
    assert!(has(&of_enclave, "enclave.db"), "{of_enclave:?}");
    for name in ["ledger.db", "keystore", ".toml", ".key", "passphrase"] {
        assert!(!has(&of_enclave, name), "{of_enclave:?}");
    }
    // keys, in memory: the search finds the one that must be there
    let hex = std::fs::read_to_string(sandbox.folder.join("signer/enclave-identity-key")).unwrap();
    let identity = data_encoding::HEXLOWER.decode(hex.trim().as_bytes()).unwrap();
    assert!(in_memory(enclave, &identity) > 0, "the enclave does not hold its own key");
    for name in ["enclave-identity-key", "enclave-data-key"] {
        let hex = std::fs::read_to_string(sandbox.folder.join("signer").join(name)).unwrap();
        let key = data_encoding::HEXLOWER.decode(hex.trim().as_bytes()).unwrap();
        assert_eq!(in_memory(signer, &key), 0, "the signer holds {name}");
        assert_eq!(in_memory(signer, hex.trim().as_bytes()), 0, "the signer has read {name}");
    }
    // and the other way round: the passphrase of key A
    let passphrase = std::fs::read(sandbox.folder.join("signer/passphrase")).unwrap();
    assert_eq!(in_memory(enclave, passphrase.trim_ascii()), 0, "the enclave has read the passphrase");
    // rights
    let status = std::fs::read_to_string(format!("/proc/{enclave}/status")).unwrap();
    for line in ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert_eq!(std::fs::read(format!("/proc/{enclave}/environ")).unwrap(), b"");
}

#[test]
fn an_enclave_that_is_killed_comes_back_and_dies_with_its_signer() {
    let sandbox = Sandbox::start();
    let mut paid = BTreeSet::new();
    for round in 0..3 {
        let pid = Pid::from_raw(sandbox.enclave_by_name().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        assert!(paid.insert(sandbox.withdraw(&format!("wall-k{round}"))), "two requests, one transaction");
    }
    let (signer, enclave) = (sandbox.signer(), sandbox.enclave_by_name());
    kill_process(Pid::from_raw(signer.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while std::fs::read(format!("/proc/{enclave}/cmdline")).is_ok_and(|line| !line.is_empty()) {
        assert!(Instant::now() < until, "the enclave lives on without its signer");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Sandbox {
    fn enclave_by_name(&self) -> u32 {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(pid) = child_of(self.signer(), "enclave-room") {
                return pid;
            }
            assert!(Instant::now() < until, "there is no enclave");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn by_hand_no_enclave_starts() {
    let output = Command::new(PROGRAM)
        .args(["enclave-room", "--config", "/nonexistent"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("only a signer starts this"), "{said}");
}
