//! Owns the other half of the wall, in the enclave's process: takes the socket it was given, and answers until it is closed.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::AddressFamily;
use rustix::net::sockopt::{socket_domain, socket_peercred};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::WallFault;
use super::frame::{self, Frame};
use super::line::{HELLO, READ_AT_ONCE};
use super::pen::Pen;
use super::words::{Asked, Told};
use crate::enclave::door::{Door, LookAsk};
use crate::withdrawal::Code;

/// How many questions are worked on at once; more wait in the socket.
const AT_ONCE_MAX: usize = 4_096;
/// Longer than the signer waits for any answer: what takes longer holds its place for nobody.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// The socket to the signer, before anything has been said.
pub struct Inside(StdStream);

/// Why the enclave cannot work, in the words of the configuration.
pub struct NotStarted {
    /// The stable code.
    pub code: Option<Code>,
    /// The setting that is wrong.
    pub field: Option<String>,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub cure: String,
}

impl Inside {
    /// Takes the socket from the standard input, where the signer put it, and lets go of whatever else was inherited. The first thing
    /// the process does.
    ///
    /// Errors: it was started by hand, or by somebody who did not make the socket.
    pub fn take() -> Result<Self, WallFault> {
        let no = |_| WallFault::NotAChild("the standard input is no line to a signer");
        let stdin = io::stdin();
        if socket_domain(stdin.as_fd()).map_err(no)? != AddressFamily::UNIX {
            return Err(WallFault::NotAChild("the standard input is no line to a signer"));
        }
        // Who made the pair is who started this process.
        let maker = socket_peercred(stdin.as_fd()).map_err(no)?;
        if Some(maker.pid) != getppid() {
            return Err(WallFault::NotAChild("the line was made by somebody else"));
        }
        let socket = stdin.as_fd().try_clone_to_owned().map_err(WallFault::Spawn)?;
        let nothing = File::open("/dev/null").map_err(WallFault::Spawn)?;
        rustix::stdio::dup2_stdin(&nothing).map_err(|error| WallFault::Spawn(error.into()))?;
        drop(nothing);
        let socket = StdStream::from(socket);
        close_all_but(socket.as_raw_fd()).map_err(WallFault::Spawn)?;
        // A signer that is dead by now has closed the line as well.
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| WallFault::Spawn(error.into()))?;
        socket.set_nonblocking(true).map_err(WallFault::Spawn)?;
        Ok(Self(socket))
    }

    /// A line of one's own making, for tests.
    #[cfg(test)]
    pub(super) fn over(socket: StdStream) -> Self {
        Self(socket)
    }

    /// Says why there will be no answers.
    pub fn refuse(self, why: NotStarted) {
        let NotStarted { code, field, text, cure } = why;
        let code = code.map(|code| code.as_str().to_owned());
        let _ = self.say(&Told::NotStarted { code, field, text, cure });
    }

    /// Says that questions are taken, and answers them until the signer closes the line. What was begun is dropped then: all of it
    /// is durable, and taken up at the next start.
    pub async fn serve(self, door: Arc<dyn Door>, address: SocketAddr) -> io::Result<()> {
        self.say(&Told::Ready { address })?;
        let (read, write) = UnixStream::from_std(self.0)?.into_split();
        let pen = Arc::new(Pen::new(write));
        let writing = tokio::spawn({
            let pen = pen.clone();
            async move { pen.run().await }
        });
        let places = Arc::new(Semaphore::new(AT_ONCE_MAX));
        let mut half = BufReader::with_capacity(READ_AT_ONCE, read);
        let mut working = JoinSet::new();
        let ended = loop {
            let frame = match frame::read(&mut half).await {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            let asked: Asked = match frame.head() {
                Ok(asked) => asked,
                Err(error) => break Err(error),
            };
            let Ok(place) = places.clone().acquire_owned().await else { break Ok(()) };
            let (door, pen) = (door.clone(), pen.clone());
            working.spawn(async move {
                let told = tokio::time::timeout(ANSWER_MAX, answer(door.as_ref(), &asked, &frame)).await;
                if let Ok(Some(told)) = told {
                    let _ = frame::lay_out(frame.id, &told, &[]).and_then(|frame| pen.send(frame));
                }
                drop(place);
            });
            while working.try_join_next().is_some() {}
        };
        writing.abort();
        working.abort_all();
        ended
    }

    fn say(&self, told: &Told) -> io::Result<()> {
        let frame = frame::lay_out(HELLO, told, &[])?;
        // The first words of a line always fit into it.
        io::Write::write_all(&mut &self.0, &frame)
    }
}

/// Nothing, if the question cannot be one of ours: the signer then sees no answer in time.
async fn answer(door: &dyn Door, asked: &Asked, frame: &Frame) -> Option<Told> {
    let payload = Some(frame.body()).filter(|body| !body.is_empty());
    Some(match asked {
        Asked::Look { digest } => Told::looked(&door.look(LookAsk { request_digest: digest, payload }).await),
        Asked::Verify { .. } => {
            Told::verified(&door.verify(asked.to_verify(payload.map(<[u8]>::to_vec))?).await)
        }
        Asked::Tell { .. } => Told::reported(&door.tell(asked.to_tell()?).await),
        Asked::Health {} => Told::healthy(&door.health().await),
    })
}

/// Closes every descriptor but the standard ones and this: a passphrase that came by descriptor is not ours.
fn close_all_but(kept: i32) -> io::Result<()> {
    let open = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|number| *number > 2 && *number != kept)
        .collect::<Vec<_>>();
    for number in open {
        // One of them was the list's own, and is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}
