//! Owns the processes: starts this same binary in another role, waits until it answers, keeps its last log lines, and
//! stops each by its own process id.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child as Process, Command};
use tokio::time::{Instant, sleep, timeout};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Fault;
use crate::grpc::Client;

/// How many log lines of a child are kept to be shown when it fails.
const LINES_KEPT: usize = 12;
/// How long a child may take to answer.
const READY_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a child may take to end once it is told to.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

type Lines = Arc<Mutex<VecDeque<String>>>;

/// A child process that serves.
pub struct Child {
    name: &'static str,
    process: Process,
    lines: Lines,
}

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Has another program than this one play the parties: for whoever is no `countersign` itself, once, before the first of them.
pub fn use_program(program: PathBuf) {
    let _ = PROGRAM.set(program);
}

fn command(arguments: &[OsString]) -> Result<Command, Fault> {
    let program = match PROGRAM.get() {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(|source| Fault::file("this program", source))?,
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    // A Ctrl-C of the terminal reaches the sandbox alone, which then stops its children in order.
    command.process_group(0);
    // What a child says is kept and perhaps shown again, in a document even.
    command.env("NO_COLOR", "1");
    Ok(command)
}

/// Runs this program once and gives what it printed; what it complained of is the fault.
pub async fn run(name: &'static str, arguments: &[OsString]) -> Result<String, Fault> {
    let output = command(arguments)?.output().await.map_err(|source| Fault::file("this program", source))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    let lines = [said(&output.stderr), said(&output.stdout)].join("\n");
    Err(Fault::Child { name, problem: ended(output.status), lines: lines.trim().to_owned() })
}

fn ended(status: ExitStatus) -> String {
    format!("ended with {status}")
}

impl Child {
    /// Starts this program with these arguments.
    pub fn start(name: &'static str, arguments: &[OsString]) -> Result<Self, Fault> {
        let mut command = command(arguments)?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|source| Fault::file("this program", source))?;
        let lines = Lines::default();
        if let Some(out) = process.stdout.take() {
            tokio::spawn(keep(out, lines.clone()));
        }
        if let Some(out) = process.stderr.take() {
            tokio::spawn(keep(out, lines.clone()));
        }
        Ok(Self { name, process, lines })
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its process id; none once it has ended.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until somebody listens there.
    pub async fn listens(&mut self, address: SocketAddr) -> Result<(), Fault> {
        let until = Instant::now() + READY_TIME_MAX;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            self.look(until).await?;
        }
        Ok(())
    }

    /// Waits until it says over gRPC that it serves.
    pub async fn serves(&mut self, client: &Client) -> Result<(), Fault> {
        let until = Instant::now() + READY_TIME_MAX;
        loop {
            let asked = HealthClient::new(client.channel()).check(HealthCheckRequest::default()).await;
            if asked.is_ok_and(|answer| answer.get_ref().status() == ServingStatus::Serving) {
                return Ok(());
            }
            self.look(until).await?;
        }
    }

    async fn look(&mut self, until: Instant) -> Result<(), Fault> {
        if let Ok(Some(status)) = self.process.try_wait() {
            // The readers may be a moment behind.
            sleep(LOOK_AGAIN * 4).await;
            return Err(self.fault(ended(status)));
        }
        if Instant::now() > until {
            return Err(self.fault(format!("did not answer within {} s", READY_TIME_MAX.as_secs())));
        }
        sleep(LOOK_AGAIN).await;
        Ok(())
    }

    /// Whether it has ended by itself, and how.
    pub fn has_ended(&mut self) -> Option<Fault> {
        let status = self.process.try_wait().ok().flatten()?;
        Some(self.fault(ended(status)))
    }

    /// Its last log lines.
    pub fn last_lines(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn fault(&self, problem: String) -> Fault {
        Fault::Child { name: self.name, problem, lines: self.last_lines() }
    }

    /// Ends it as a power cut would: it hears nothing of it and finishes nothing.
    pub async fn kill(mut self) {
        let _ = self.process.kill().await;
    }

    /// Asks it to end, and ends it if it does not.
    pub async fn stop(mut self) {
        let pid =
            self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if timeout(STOP_TIME_MAX, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await;
        }
    }
}

async fn keep(out: impl AsyncRead + Unpin, lines: Lines) {
    let mut read = BufReader::new(out).lines();
    while let Ok(Some(line)) = read.next_line().await {
        let mut kept = lines.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(line);
        if kept.len() > LINES_KEPT {
            kept.pop_front();
        }
    }
}

/// All children, in the order they were started.
#[derive(Default)]
pub struct Children(Vec<Child>);

impl Children {
    /// Adds one and gives its place.
    pub fn add(&mut self, child: Child) -> usize {
        self.0.push(child);
        self.0.len() - 1
    }

    /// The child at a place.
    pub fn at(&mut self, place: usize) -> Result<&mut Child, Fault> {
        self.0.get_mut(place).ok_or_else(|| Fault::setup("a process", "there is none at this place"))
    }

    /// The process id of a child.
    pub fn id(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|child| child.name() == name).and_then(Child::id)
    }

    /// The first that has ended by itself.
    pub fn ended(&mut self) -> Option<Fault> {
        self.0.iter_mut().find_map(Child::has_ended)
    }

    /// A fault together with what the children said last: one that ended explains more than the call that failed.
    pub fn explain(&mut self, fault: Fault) -> Fault {
        if matches!(
            fault,
            Fault::Interrupted | Fault::Child { .. } | Fault::Cases(_) | Fault::Unexpected { .. }
        ) {
            return fault;
        }
        let told: Vec<String> = match self.ended() {
            Some(ended) => vec![ended.to_string()],
            None => self
                .0
                .iter()
                .map(|child| format!("{} said last:\n{}", child.name(), child.last_lines()))
                .collect(),
        };
        if told.is_empty() { fault } else { Fault::Told { fault: Box::new(fault), lines: told.join("\n\n") } }
    }

    /// Stops all, the last started first.
    pub async fn stop(mut self) {
        while let Some(child) = self.0.pop() {
            child.stop().await;
        }
    }
}
