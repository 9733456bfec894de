//! The libraries that only node runs: a script in a child process, JSON in and JSON out.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Where tests/components.sh puts the packages, unless `COUNTERSIGN_EVM` says where they are.
fn packages() -> PathBuf {
    let named = std::env::var_os("COUNTERSIGN_EVM").filter(|path| !path.is_empty()).map(PathBuf::from);
    named
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/components/evm")))
}

/// What the script answers; `None`, and a loud line, where node or its packages are not there.
///
/// # Panics
///
/// When the script fails although everything is there.
pub fn ask(script: &str, question: &Value) -> Option<Value> {
    let packages = packages();
    let skip = |why: &str| eprintln!("\n*** SKIPPED: the rows of viem and ethers: {why} ***\n");
    if !packages.join("complete").is_file() {
        skip(&format!("{} is not complete; tests/components.sh brings it", packages.display()));
        return None;
    }
    let mut node = Command::new("node");
    node.arg(format!("{}/../{script}", env!("CARGO_MANIFEST_DIR"))).env("COUNTERSIGN_EVM", packages);
    let Ok(mut child) = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        skip("node does not start");
        return None;
    };
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(question.to_string().as_bytes()).expect("the script reads");
    drop(input);
    let done = child.wait_with_output().expect("the script ends");
    assert!(done.status.success(), "{script} failed");
    Some(serde_json::from_slice(&done.stdout).expect("JSON"))
}
