//! The process's memory: kept out of swap and out of core dumps. Knows no secret.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Less than this may be locked: too little for a service that hashes passphrases in 64 MiB and runs many threads.
const LOCKABLE_BYTES_MIN: u64 = 1 << 30;

/// Memory could not be protected. Each says the cure.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The limit of lockable memory is so low that later allocations would fail.
    #[error(
        "only {limit_bytes} bytes of memory may be locked; set `LimitMEMLOCK=infinity` in the systemd unit, `ulimit -l unlimited`, or grant CAP_IPC_LOCK"
    )]
    LimitTooLow {
        /// The limit as it stands.
        limit_bytes: u64,
    },
    /// The system refused to lock.
    #[error(
        "memory cannot be locked: {0}; set `LimitMEMLOCK=infinity` in the systemd unit, `ulimit -l unlimited`, or grant CAP_IPC_LOCK"
    )]
    LockRefused(rustix::io::Errno),
    /// The system refused to switch core dumps off.
    #[error(
        "core dumps cannot be switched off: {0}; set `LimitCORE=0` in the systemd unit and allow prctl in its filter"
    )]
    DumpsAllowed(rustix::io::Errno),
}

/// Locks all memory of the process, present and future, so that no secret is swapped out (mlockall(2)).
///
/// Pages are locked when they are first touched, so that unused thread stacks cost nothing. Refuses under a low
/// limit even where locking would succeed now: the next large allocation would kill the process while it signs.
pub fn lock_process_memory() -> Result<(), MemoryError> {
    raise_soft_limit();
    if let Some(limit_bytes) = getrlimit(Resource::Memlock).current
        && limit_bytes < LOCKABLE_BYTES_MIN
        && !may_lock_beyond_limit()
    {
        return Err(MemoryError::LimitTooLow { limit_bytes });
    }
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE;
    match mlockall(all | MlockAllFlags::ONFAULT) {
        Err(rustix::io::Errno::INVAL) => mlockall(all).map_err(MemoryError::LockRefused),
        other => other.map_err(MemoryError::LockRefused),
    }
}

/// Switches core dumps off: RLIMIT_CORE 0, soft and hard, and PR_SET_DUMPABLE 0, which also keeps debuggers away.
pub fn forbid_core_dumps() -> Result<(), MemoryError> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(MemoryError::DumpsAllowed)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(MemoryError::DumpsAllowed)
}

fn raise_soft_limit() {
    let limit = getrlimit(Resource::Memlock);
    // A refusal changes nothing: the check that follows reads what holds.
    let _ = setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Whether the process has CAP_IPC_LOCK (bit 14 of the effective set), for which the limit does not count.
fn may_lock_beyond_limit() -> bool {
    const CAP_IPC_LOCK: u64 = 1 << 14;
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
            u64::from_str_radix(line.trim(), 16).ok()
        })
        .is_some_and(|effective| effective & CAP_IPC_LOCK != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn in_a_child(test: &str) -> bool {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("keys::memory::tests::{test}"), "--ignored", "--test-threads=1"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("1 passed") || text.contains("1 failed"), "the child ran no test: {text}");
        output.status.success()
    }

    #[test]
    fn protection_holds_in_a_process_of_its_own() {
        assert!(in_a_child("child_forbids_core_dumps"));
        assert!(in_a_child("child_locks_memory_or_says_the_cure"));
        assert!(in_a_child("child_under_a_low_limit_is_told_the_cure"));
    }

    #[test]
    #[ignore = "runs in a process of its own"]
    fn child_forbids_core_dumps() {
        forbid_core_dumps().unwrap();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }

    #[test]
    #[ignore = "runs in a process of its own"]
    fn child_locks_memory_or_says_the_cure() {
        match lock_process_memory() {
            Ok(()) => {
                let status = std::fs::read_to_string("/proc/self/status").unwrap();
                let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
                assert!(!locked.trim().starts_with("0 "), "VmLck is {locked}");
            }
            Err(error) => assert!(error.to_string().contains("LimitMEMLOCK=infinity")),
        }
    }

    #[test]
    #[ignore = "runs in a process of its own"]
    fn child_under_a_low_limit_is_told_the_cure() {
        let low = Rlimit { current: Some(65_536), maximum: Some(65_536) };
        setrlimit(Resource::Memlock, low).unwrap();
        let answer = lock_process_memory();
        if may_lock_beyond_limit() {
            answer.unwrap();
        } else {
            assert!(matches!(answer, Err(MemoryError::LimitTooLow { limit_bytes: 65_536 })));
        }
    }
}
