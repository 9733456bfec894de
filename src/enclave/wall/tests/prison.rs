//! What a process that was shut in can still do: its work, and nothing else.

use std::fs::{self, File, OpenOptions};
use std::net::ToSocketAddrs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::enclave::wall::{confine, drop_rights};
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Pid, Signal, kill_process};

fn in_a_child(test: &str) -> (ExitStatus, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("enclave::wall::tests::prison::{test}"), "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    (output.status, String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_process_that_was_shut_in_reaches_its_database_and_nothing_else() {
    let (status, said) = in_a_child("child_tries_everything");
    assert!(status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_process_that_was_shut_in_dies_when_it_would_be_another_program() {
    let (status, said) = in_a_child("child_becomes_another_program");
    // SIGSYS, on every processor we build for
    assert_eq!(status.signal(), Some(31), "{status}: {said}");
}

fn shut_in(folder: &Path) -> std::path::PathBuf {
    let database = folder.join("enclave.db");
    fs::write(&database, "rows").unwrap();
    fs::write(folder.join("keystore"), "a seed").unwrap();
    drop_rights().unwrap();
    assert!(confine(&database, None).unwrap(), "this kernel has no Landlock");
    database
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_tries_everything() {
    let folder = tempfile::tempdir().unwrap();
    let database = shut_in(folder.path());
    // its work
    assert_eq!(fs::read_to_string(&database).unwrap(), "rows");
    fs::write(&database, "more rows").unwrap();
    OpenOptions::new().append(true).open(folder.path().join("enclave.db-wal")).unwrap();
    std::thread::spawn(|| 7).join().unwrap();
    let mut random = [0; 8];
    getrandom::fill(&mut random).unwrap();
    assert!(
        std::net::TcpStream::connect("127.0.0.1:1").unwrap_err().kind()
            == std::io::ErrorKind::ConnectionRefused
    );
    // names are looked up, in the file of hosts and beyond it
    let found: Vec<_> = ("localhost", 1).to_socket_addrs().unwrap().collect();
    assert!(found.iter().all(|address| address.ip().is_loopback()) && !found.is_empty(), "{found:?}");
    assert!(("countersign.invalid", 1).to_socket_addrs().is_err());
    // other files, even beside it; other names
    for path in ["/etc/passwd", "/proc/self/environ", "/proc/self/mem", "/root"] {
        assert!(File::open(path).is_err(), "{path} can be read");
    }
    assert!(File::open(folder.path().join("keystore")).is_err());
    assert!(fs::write(folder.path().join("new"), "x").is_err());
    assert!(fs::remove_file(folder.path().join("keystore")).is_err());
    assert!(fs::rename(folder.path().join("keystore"), folder.path().join("taken")).is_err());
    assert!(fs::set_permissions(folder.path(), fs::metadata("/").unwrap().permissions()).is_err());
    // other programs, other processes
    assert!(Command::new("/bin/true").spawn().is_err());
    let init = Pid::from_raw(1).unwrap();
    assert!(kill_process(init, Signal::CONT).is_err());
    // other sockets, other listeners
    for family in [AddressFamily::NETLINK, AddressFamily::PACKET, AddressFamily::VSOCK] {
        assert!(socket(family, SocketType::RAW, None).is_err(), "{family:?} can be opened");
    }
    assert!(std::net::TcpListener::bind("127.0.0.1:0").is_err());
    // rights do not come back
    assert!(
        rustix::process::setrlimit(
            rustix::process::Resource::Core,
            rustix::process::Rlimit { current: Some(1), maximum: Some(1) }
        )
        .is_err()
    );
    assert!(fs::read_to_string("/proc/self/status").is_err());
    std::mem::forget(folder);
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_becomes_another_program() {
    let folder = tempfile::tempdir().unwrap();
    shut_in(folder.path());
    let _ = Command::new("/bin/true").exec();
    panic!("it lives on");
}
