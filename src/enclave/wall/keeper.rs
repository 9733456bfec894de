//! Owns the life of the enclave's process: starts it, watches it, starts it again with growing pauses, and ends it.
//!
//! It runs on a thread of its own that lives as long as the signer: the system kills the process when the *thread* that started it ends.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::WallFault;
use super::line::Line;
use super::outside::Standing;
use super::words::{Asked, Told};

/// The pause before it is started again: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long it may take to open its database.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long it may take to finish once its line is closed.
const DRAIN_MAX: Duration = Duration::from_secs(15);
/// How often it is asked for nothing, and how long it may think about that.
const ASK_EVERY: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Whose process it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: u32,
    /// The group; there are no others.
    pub group: u32,
}

/// What is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; none is secret.
    pub arguments: Vec<OsString>,
    /// Another user than the signer's, where one is set.
    pub owner: Option<Owner>,
    /// How long a verification waits for the counterparty.
    pub answer_wait: Duration,
}

type First = oneshot::Sender<Result<SocketAddr, WallFault>>;
/// How the first start ended.
pub(super) type FirstTold = oneshot::Receiver<Result<SocketAddr, WallFault>>;

/// Begins to keep a process; the first one's start is told through the receiver, and if it fails there is no second.
pub(super) fn keep(
    launch: Launch,
    stop: CancellationToken,
) -> Result<(Standing, FirstTold, JoinHandle<()>), WallFault> {
    let (lines, standing) = watch::channel(None);
    let (first, told) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(WallFault::Spawn)?;
    let keeper = Keeper { launch, stop, lines, lives_in: Handle::current() };
    let thread = std::thread::Builder::new()
        .name("enclave-keeper".into())
        .spawn(move || runtime.block_on(keeper.run(first)))
        .map_err(WallFault::Spawn)?;
    Ok((standing, told, thread))
}

struct Keeper {
    launch: Launch,
    stop: CancellationToken,
    lines: watch::Sender<Option<Arc<Line>>>,
    /// The runtime whose tasks speak over the line.
    lives_in: Handle,
}

/// How a process came to its end.
enum End {
    /// It was told to.
    Stopped,
    /// By itself, or because nobody could speak with it any more.
    Lost {
        /// How it was noticed.
        why: String,
        /// Whether it had answered anything.
        served: bool,
    },
}

impl Keeper {
    async fn run(self, first: First) {
        let mut first = Some(first);
        let mut pause = PAUSE_MIN;
        loop {
            let ended = self.one_life(&mut first).await;
            self.lines.send_replace(None);
            let why = match ended {
                Ok(End::Stopped) => return,
                Ok(End::Lost { why, served }) => {
                    // Who was of use is missed at once; who never was may have to wait.
                    pause = if served { PAUSE_MIN } else { pause };
                    why
                }
                Err(fault) => match first.take() {
                    Some(first) => {
                        let _ = first.send(Err(fault));
                        return;
                    }
                    None => fault.to_string(),
                },
            };
            tracing::error!(pause_ms = pause.as_millis(), "the enclave's process is away: {why}");
            tokio::select! {
                () = sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// From the start of a process to its end.
    async fn one_life(&self, first: &mut Option<First>) -> Result<End, WallFault> {
        let (ours, theirs) = StdStream::pair().map_err(WallFault::Spawn)?;
        let mut process = self.spawn(theirs)?;
        let (line, hello) = self.line(ours)?;
        let address = match self.ready(&mut process, hello).await {
            Ok(address) => address,
            Err(fault) => {
                end(&mut process, &line).await;
                return Err(fault);
            }
        };
        tracing::info!(process = process.id(), listens = %address, "the enclave's process is ready");
        self.lines.send_replace(Some(line.clone()));
        if let Some(first) = first.take() {
            let _ = first.send(Ok(address));
        }
        let why = tokio::select! {
            status = process.wait() => Some(match status {
                Ok(status) => format!("it ended with {status}"),
                Err(error) => format!("it cannot be waited for: {error}"),
            }),
            () = line.ended() => Some("its line is over".into()),
            () = unwell(&line) => Some("it answers nothing".into()),
            () = self.stop.cancelled() => None,
        };
        end(&mut process, &line).await;
        Ok(why.map_or(End::Stopped, |why| End::Lost { why, served: line.has_answered() }))
    }

    fn spawn(&self, socket: StdStream) -> Result<Child, WallFault> {
        let Launch { program, arguments, owner, .. } = &self.launch;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().arg0("countersign-enclave");
        // Its standard input is the line. It prints nothing, and its log is the signer's.
        command.stdin(Stdio::from(OwnedFd::from(socket))).stdout(Stdio::null()).stderr(Stdio::inherit());
        command.kill_on_drop(true);
        if let Some(Owner { user, group }) = owner {
            // Whoever may change the user loses the other groups with it.
            command.gid(*group).uid(*user);
        }
        command.spawn().map_err(WallFault::Spawn)
    }

    fn line(&self, socket: StdStream) -> Result<(Arc<Line>, oneshot::Receiver<Told>), WallFault> {
        let _there = self.lives_in.enter();
        Line::open(socket).map_err(WallFault::Spawn)
    }

    /// Until it takes questions, or says why it cannot.
    async fn ready(
        &self,
        process: &mut Child,
        hello: oneshot::Receiver<Told>,
    ) -> Result<SocketAddr, WallFault> {
        let said = tokio::select! {
            said = timeout(READY_MAX, hello) => said.map_err(|_| WallFault::Silent)?,
            () = self.stop.cancelled() => return Err(WallFault::Silent),
        };
        match said {
            Ok(told) => told.into_start(),
            // The line broke: the end of the process says more.
            Err(_) => match timeout(PAUSE_MAX, process.wait()).await {
                Ok(Ok(status)) => Err(WallFault::Ended(status)),
                _ => Err(WallFault::Garbled),
            },
        }
    }
}

/// Returns when it has answered nothing for too long. The question needs no disk: a slow one is no reason to be killed.
async fn unwell(line: &Line) {
    let nothing = Asked::Look { digest: String::new() };
    loop {
        sleep(ASK_EVERY).await;
        if timeout(ANSWER_MAX, line.ask(&nothing, &[])).await.is_err() {
            return;
        }
    }
}

/// Closes the line, lets the process finish, and kills it if it does not.
async fn end(process: &mut Child, line: &Line) {
    line.end();
    if timeout(DRAIN_MAX, process.wait()).await.is_err() {
        tracing::error!("the enclave's process does not finish and is killed");
        let _ = process.kill().await;
    }
}
