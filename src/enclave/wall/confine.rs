//! Owns shutting the enclave's process in: no capability, no other file than its database, no program, no other process. Cannot be undone.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

use super::filter;

/// What names are looked up by, and the libraries that do it. Beside the database nothing else can be opened.
const READABLE: &[&str] = &[
    "/dev/null",
    "/dev/urandom",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/services",
    "/lib",
    "/lib64",
    "/run/systemd/resolve",
    "/usr/lib",
    "/usr/lib64",
];

/// The process cannot be shut in, and does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfineFault {
    /// A right that it has cannot be given up.
    #[error("the enclave's process cannot give up its rights: {0}")]
    Rights(rustix::io::Errno),
    /// The files beside the database cannot be made.
    #[error("`{0}` cannot be made beside the enclave's database: {1}")]
    Beside(String, std::io::Error),
    /// The kernel takes no rule on files.
    #[error("files cannot be closed off: {0}")]
    Files(#[from] RulesetError),
    /// The kernel takes no filter on system calls.
    #[error("system calls cannot be filtered: {0}")]
    Calls(#[from] seccompiler::Error),
    /// No filter is written for this processor.
    #[error("there is no filter of system calls for this processor")]
    Processor,
}

/// Gives up every capability, after asking for as much locked memory as the process may have.
///
/// Errors: the kernel says no.
pub fn drop_rights() -> Result<(), ConfineFault> {
    // Without its capabilities it locks memory within the limit alone. A refusal changes nothing: locking will say so.
    let all = Rlimit { current: None, maximum: None };
    let _ = setrlimit(Resource::Memlock, all);
    set_no_new_privs(true).map_err(ConfineFault::Rights)?;
    let none = CapabilitySet::empty();
    let held = capabilities(None).map_err(ConfineFault::Rights)?;
    if held.permitted.is_empty() && held.inheritable.is_empty() {
        // Where there is nothing to give up, a unit's filter may well forbid the call.
        return Ok(());
    }
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, none).map_err(ConfineFault::Rights)
}

/// Shuts this thread and all that it will start in: files first, then system calls. Whether files are closed off, which takes Linux 5.13.
///
/// Beside the database only the files of one folder can be read, if one is named. Sockets and files that are open stay open. Call it before there are other threads: they would not be shut in.
pub fn confine(database: &Path, readable: Option<&Path>) -> Result<bool, ConfineFault> {
    let own = beside(database)?;
    let closed = close_files(&own, readable)?;
    filter::apply()?;
    Ok(closed)
}

/// The database and what SQLite writes beside it, there before the folder is closed: it can make no file afterwards.
fn beside(database: &Path) -> Result<Vec<PathBuf>, ConfineFault> {
    let named = |end: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    for path in [named("-wal"), named("-shm")] {
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        made.map_err(|error| ConfineFault::Beside(path.display().to_string(), error))?;
    }
    Ok(vec![database.to_owned(), named("-wal"), named("-shm")])
}

fn close_files(own: &[PathBuf], readable: Option<&Path>) -> Result<bool, ConfineFault> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(READABLE, read))?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(own, write))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}
