//! A private MariaDB for the suite: one server for the whole test process, one database for each test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};

/// The script's standard input stays open as long as this lives: until the process ends.
struct Server {
    _script: Child,
    url: String,
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mariadb.sh");

fn start() -> Option<Server> {
    let found = Command::new(SCRIPT).arg("find").status().expect("tests/mariadb.sh is executable");
    if !found.success() {
        assert!(
            std::env::var_os("COUNTERSIGN_REQUIRE_MARIADB").is_none_or(|value| value != "1"),
            "COUNTERSIGN_REQUIRE_MARIADB=1, but mariadbd is not installed: apt-get install mariadb-server"
        );
        // not eprintln!, which the test harness keeps to itself when a test passes
        let loud = "\n*** SKIPPED: the store was NOT tested on MariaDB, because mariadbd is not installed \
                    (apt-get install mariadb-server) ***\n\n";
        std::io::stderr().write_all(loud.as_bytes()).unwrap();
        return None;
    }
    let mut script =
        Command::new(SCRIPT).arg("run").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("ready ").expect("MariaDB did not start; see above").to_owned();
    Some(Server { _script: script, url })
}

/// The address of a new, empty database, or `None` (said loudly) where MariaDB is not installed.
pub(super) async fn database() -> Option<String> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(start).as_ref()?;
    let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut root = MySqlConnection::connect(&server.url).await.unwrap();
    root.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    root.close().await.unwrap();
    Some(server.url.replacen("/?", &format!("/{name}?"), 1))
}
