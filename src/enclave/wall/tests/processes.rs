//! The enclave as a real process: this test program again, started by the keeper.

use super::*;
use crate::enclave::wall::{Launch, Owner, WallFault};
use rustix::process::{Pid, Signal, kill_process};

const HERE: &str = "enclave::wall::tests::processes";

/// A process of this program whose whole work is that test.
fn launch(test: &str) -> Launch {
    let name = format!("{HERE}::{test}");
    Launch {
        program: std::env::current_exe().unwrap(),
        arguments: [name.as_str(), "--exact", "--ignored", "--test-threads=1"].map(Into::into).into(),
        owner: None,
        answer_wait: Duration::from_secs(1),
    }
}

fn in_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

#[test]
#[ignore = "the body of an enclave's process"]
fn child_is_an_enclave() {
    let line = Inside::take().unwrap();
    in_a_runtime(async { line.serve(Arc::new(Parrot), SocketAddr::from(ADDRESS)).await }).unwrap();
}

#[test]
#[ignore = "the body of an enclave's process"]
fn child_says_why_it_cannot_work() {
    let field = Some("enclave.database".to_owned());
    let (text, cure) = ("is not there".to_owned(), "make it".to_owned());
    let code = Some(Code::StoreMissing);
    Inside::take().unwrap().refuse(super::super::NotStarted { code, field, text, cure });
}

#[test]
#[ignore = "the body of an enclave's process"]
fn child_says_who_it_is() {
    let line = Inside::take().unwrap();
    let groups: Vec<u32> = rustix::process::getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let may = std::fs::read("/etc/shadow").is_ok();
    let text = format!("user {user} group {group} groups {groups:?} root's files {may}");
    line.refuse(super::super::NotStarted { code: None, field: None, text, cure: String::new() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_another_user_has_nothing_left_of_this_one() {
    if !rustix::process::geteuid().is_root() {
        let loud = "\n*** SKIPPED: `enclave.user`: only root can start a process as somebody else ***\n\n";
        std::io::Write::write_all(&mut std::io::stderr(), loud.as_bytes()).unwrap();
        return;
    }
    let owner = Some(Owner { user: 65_534, group: 65_533 });
    let launch = Launch { owner, ..launch("child_says_who_it_is") };
    let Err(WallFault::NotStarted { text, .. }) = Outside::start(launch).await else { panic!("it started") };
    let groups =
        ["[]", "[65533]"].map(|groups| format!("user 65534 group 65533 groups {groups} root's files false"));
    assert!(groups.contains(&text), "{text}");
}

#[test]
#[ignore = "the body of an enclave's process"]
fn child_ends_without_a_word() {
    let _line = Inside::take().unwrap();
    std::process::exit(9);
}

#[test]
#[ignore = "the body of an enclave's process"]
fn child_hears_nobody() {
    let line = Inside::take().unwrap();
    in_a_runtime(async {
        let _ = line.serve(Arc::new(Parrot), SocketAddr::from(ADDRESS)).await;
        std::future::pending::<()>().await;
    });
}

/// One of these tests at a time: one of them kills every process that this one has started.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The processes that this one has started.
fn children() -> Vec<Pid> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |task: std::path::PathBuf| std::fs::read_to_string(task.join("children")).unwrap_or_default();
    let named = |test: &str, pid: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(test))
    };
    let listed: Vec<String> = tasks.filter_map(|task| Some(of(task.ok()?.path()))).collect();
    let pids = listed.iter().flat_map(|list| list.split_whitespace());
    let pids = pids.filter(|pid| named("child_is_an_enclave", pid) || named("child_hears_nobody", pid));
    pids.map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_comes_back_and_calls_only_waited() {
    let _alone = ALONE.lock().await;
    let door = Arc::new(Outside::start(launch("child_is_an_enclave")).await.unwrap());
    assert_eq!(door.address(), SocketAddr::from(ADDRESS));
    for round in 0..3 {
        let never = tokio::spawn({
            let door = door.clone();
            async move { door.look(look("never", None)).await }
        });
        assert!(door.look(look("x", Some(b"y"))).await.is_ok());
        children().iter().for_each(|pid| kill_process(*pid, Signal::KILL).unwrap_or(()));
        let looked = door.look(look("known x", Some(b"y"))).await;
        assert!(looked.is_ok() || round > 0, "{looked:?}");
        while door.look(look("known x", Some(b"y"))).await.is_err() {}
        never.abort();
    }
    door.stop().await;
    assert_eq!(code(door.look(look("x", None)).await), Code::EnclaveUnavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_kills_the_process_gets_a_fault_and_the_next_one_an_answer() {
    let _alone = ALONE.lock().await;
    let door = Outside::start(launch("child_is_an_enclave")).await.unwrap();
    assert_eq!(code(door.look(look("die", None)).await), Code::EnclaveUnavailable);
    while door.look(look("x", None)).await.is_err() {}
    door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_a_process_that_answers_nobody() {
    let _alone = ALONE.lock().await;
    let door = Outside::start(launch("child_is_an_enclave")).await.unwrap();
    let begun = std::time::Instant::now();
    door.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "a process without work took that long to end");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_process_lacks_is_said_by_the_signer() {
    let _alone = ALONE.lock().await;
    let fault = Outside::start(launch("child_says_why_it_cannot_work")).await.err().unwrap();
    assert_eq!(fault.code(), Code::StoreMissing);
    let WallFault::NotStarted { field, text, cure, .. } = fault else { panic!("{fault}") };
    assert_eq!(
        (field.as_deref(), text.as_str(), cure.as_str()),
        (Some("enclave.database"), "is not there", "make it")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_before_it_is_ready_is_no_enclave() {
    let _alone = ALONE.lock().await;
    let fault = Outside::start(launch("child_ends_without_a_word")).await.err().unwrap();
    assert!(matches!(fault, WallFault::Ended(status) if status.code() == Some(9)), "{fault}");
    let nowhere = Launch { program: "/nonexistent".into(), ..launch("") };
    assert!(matches!(Outside::start(nowhere).await.err().unwrap(), WallFault::Spawn(_)));
}

#[test]
fn without_a_line_to_its_own_signer_there_is_no_enclave() {
    let _alone = ALONE.blocking_lock();
    // as somebody would start it by hand: with nothing, with a pipe, with a socket of a stranger's
    let start = |input: std::process::Stdio| {
        let Launch { program, arguments, .. } = launch("child_is_an_enclave");
        let mut command = std::process::Command::new(program);
        command
            .args(arguments)
            .stdin(input)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command.status().unwrap()
    };
    assert!(!start(std::process::Stdio::null()).success());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(!start(std::os::fd::OwnedFd::from(stream).into()).success());
}

/// What the wall costs: `cargo test --release --lib -- --ignored --nocapture round_trip`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints what a round trip costs"]
async fn round_trip() {
    let door = Arc::new(Outside::start(launch("child_is_an_enclave")).await.unwrap());
    let payload = vec![b'x'; 1_500];
    for in_flight in [1usize, 64] {
        const CALLS: usize = 40_000;
        let begun = std::time::Instant::now();
        let tasks: Vec<_> = (0..in_flight)
            .map(|_| {
                let (door, payload) = (door.clone(), payload.clone());
                tokio::spawn(async move {
                    for _ in 0..CALLS / in_flight {
                        door.look(look("known answer", Some(&payload))).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let each = begun.elapsed().as_secs_f64() * 1e6 / CALLS as f64;
        println!("{in_flight} in flight: {each:.1} µs each, {:.0}/s", 1e6 / each);
    }
    door.stop().await;
}
