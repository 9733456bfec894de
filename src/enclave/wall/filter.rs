//! Owns the list of system calls that the enclave's process may make. What is not on it fails; what only an intruder wants kills.
//!
//! Measured with `strace -ff` over a play of the sandbox, from start to stop; to that comes what the C library looks names up with, which
//! no test here does, and what the other processor calls by another name.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::confine::ConfineFault;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that need no look at their arguments: memory, threads, time, its open files, its sockets.
const PLAIN: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mincore,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
];

/// The older spellings that only this processor has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[i64] = &[];

/// Other programs, other processes, other memory, the kernel itself: who asks for these is not the enclave any more.
const DEADLY: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_open_by_handle_at,
    libc::SYS_reboot,
    libc::SYS_swapon,
];

/// Applies the filter to this thread and all that it will start.
pub(super) fn apply() -> Result<(), ConfineFault> {
    let permission = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let deadly = DEADLY.iter().map(|number| (*number, Vec::new())).collect();
    // Its flags lie in memory, where no filter can look: without it the C library takes `clone`, whose flags are seen.
    let unseen = Rules::from([(libc::SYS_clone3, Vec::new())]);
    install(deadly, SeccompAction::Allow, SeccompAction::KillProcess)?;
    install(unseen, SeccompAction::Allow, missing)?;
    // The last one: with it on, no other can follow.
    install(allowed()?, permission, SeccompAction::Allow)
}

fn install(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> Result<(), ConfineFault> {
    let processor: TargetArch = std::env::consts::ARCH.try_into().map_err(|_| ConfineFault::Processor)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, processor).map_err(Error::Backend)?;
    let program: BpfProgram = filter.try_into().map_err(Error::Backend)?;
    Ok(seccompiler::apply_filter(&program)?)
}

fn allowed() -> Result<Rules, ConfineFault> {
    let mut rules: Rules = PLAIN.iter().chain(OLDER).map(|number| (*number, Vec::new())).collect();
    let mut only = |call: i64, argument: u8, values: &[Compared]| -> Result<(), ConfineFault> {
        rules.insert(call, values.iter().map(|value| rule(argument, value)).collect::<Result<_, _>>()?);
        Ok(())
    };
    // A thread, never a process.
    let thread = number(libc::CLONE_THREAD);
    only(libc::SYS_clone, 0, &[Compared::Masked(thread, thread)])?;
    // Memory is written or run, never both.
    let (write, run) = (number(libc::PROT_WRITE), number(libc::PROT_EXEC));
    let not_both = [Compared::Masked(write, 0), Compared::Masked(run, 0)];
    only(libc::SYS_mmap, 2, &not_both)?;
    only(libc::SYS_mprotect, 2, &not_both)?;
    let families = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX].map(|family| Compared::Is(number(family)));
    only(libc::SYS_socket, 0, &families)?;
    only(libc::SYS_socketpair, 0, &[Compared::Is(number(libc::AF_UNIX))])?;
    let [non_blocking, close_on_exec, terminal] = [libc::FIONBIO, libc::FIOCLEX, libc::TCGETS];
    only(libc::SYS_ioctl, 1, &[non_blocking, close_on_exec, terminal].map(Compared::Is))?;
    only(libc::SYS_prctl, 0, &[Compared::Is(number(libc::PR_SET_NAME))])?;
    // Limits are read; none is set.
    only(libc::SYS_prlimit64, 2, &[Compared::Is(0)])?;
    // Its own threads: how a process aborts.
    let own = u64::from(std::process::id());
    only(libc::SYS_tgkill, 0, &[Compared::Is(own)])?;
    Ok(rules)
}

enum Compared {
    Is(u64),
    Masked(u64, u64),
}

fn rule(argument: u8, compared: &Compared) -> Result<SeccompRule, ConfineFault> {
    let (operator, value) = match compared {
        Compared::Is(value) => (SeccompCmpOp::Eq, *value),
        Compared::Masked(mask, value) => (SeccompCmpOp::MaskedEq(*mask), *value),
    };
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value);
    let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
    Ok(rule.map_err(Error::Backend)?)
}

/// A constant of the C library as a filter compares it.
fn number(constant: libc::c_int) -> u64 {
    u64::from(constant.unsigned_abs())
}
