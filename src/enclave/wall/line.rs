//! Owns one line to one process: who waits for which answer. It ends once and is never mended; a new process has a new line.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::frame;
use super::pen::Pen;
use super::words::{Asked, Told};
use crate::enclave::EnclaveFault;

/// How many calls may wait for their answers.
const CALLS_MAX: usize = 16_384;
/// The bytes read at once.
pub(super) const READ_AT_ONCE: usize = 64 * 1024;
/// The call nobody makes: the process says by itself whether it is ready.
pub(super) const HELLO: u64 = 0;

/// The signer's half of a line.
pub(super) struct Line {
    /// The same socket, to close it whoever still holds a half.
    socket: StdStream,
    pen: Pen,
    waiting: Mutex<Waiting>,
    answered: AtomicBool,
    over: CancellationToken,
}

struct Waiting {
    next: u64,
    calls: HashMap<u64, oneshot::Sender<Told>>,
    over: bool,
}

/// Why a call got no answer.
pub(super) enum Unanswered {
    /// The line is over.
    Over,
    /// Too many wait.
    Full(u64),
    /// What is asked is too long to be asked.
    TooLong,
}

impl From<Unanswered> for EnclaveFault {
    fn from(no: Unanswered) -> Self {
        match no {
            Unanswered::Over => Self::away("the enclave's process is being started again"),
            Unanswered::Full(waiting) => Self::QueueFull(waiting),
            Unanswered::TooLong => Self::away("the question is longer than the wall lets pass"),
        }
    }
}

impl Line {
    /// Takes a socket; what the process says first comes through the receiver. Runs on the runtime it is called in.
    pub(super) fn open(socket: StdStream) -> io::Result<(Arc<Self>, oneshot::Receiver<Told>)> {
        socket.set_nonblocking(true)?;
        let (read, write) = UnixStream::from_std(socket.try_clone()?)?.into_split();
        let (hello, said) = oneshot::channel();
        let waiting =
            Mutex::new(Waiting { next: HELLO + 1, calls: HashMap::from([(HELLO, hello)]), over: false });
        let line = Arc::new(Self {
            socket,
            pen: Pen::new(write),
            waiting,
            answered: AtomicBool::new(false),
            over: CancellationToken::new(),
        });
        let this = line.clone();
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = this.listen(read) => ended,
                ended = this.pen.run() => ended,
                () = this.over.cancelled() => Ok(()),
            };
            if let Err(error) = ended {
                tracing::warn!("the line to the enclave's process broke: {error}");
            }
            this.end();
        });
        Ok((line, said))
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, asked: &Asked, payload: &[u8]) -> Result<Told, Unanswered> {
        let (answer, told) = oneshot::channel();
        let id = self.register(answer)?;
        // However the call ends, its place is given back.
        let place = Place { line: self, id };
        let frame = frame::lay_out(id, asked, payload).map_err(|_| Unanswered::TooLong)?;
        if self.pen.send(frame).is_err() {
            self.end();
        }
        let told = told.await.map_err(|_| Unanswered::Over);
        drop(place);
        told
    }

    fn register(&self, answer: oneshot::Sender<Told>) -> Result<u64, Unanswered> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.over {
            return Err(Unanswered::Over);
        }
        if waiting.calls.len() >= CALLS_MAX {
            return Err(Unanswered::Full(CALLS_MAX as u64));
        }
        let id = waiting.next;
        waiting.next += 1;
        waiting.calls.insert(id, answer);
        Ok(id)
    }

    /// Hands answers to those who wait, until the line is over.
    async fn listen(&self, half: OwnedReadHalf) -> io::Result<()> {
        let mut half = BufReader::with_capacity(READ_AT_ONCE, half);
        while let Some(frame) = frame::read(&mut half).await? {
            if !frame.body().is_empty() {
                return Err(frame::bad("an answer with a body"));
            }
            let told = frame.head()?;
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            match waiting.calls.remove(&frame.id) {
                // Who asked may have gone away meanwhile.
                Some(answer) => {
                    self.answered.fetch_or(frame.id != HELLO, Ordering::Relaxed);
                    drop(answer.send(told));
                }
                None if frame.id < waiting.next => {}
                None => return Err(frame::bad("an answer to no question")),
            }
        }
        Ok(())
    }

    /// Ends it: those who wait learn that there is no answer, and the process that its signer is gone.
    pub(super) fn end(&self) {
        self.over.cancel();
        let _ = self.socket.shutdown(Shutdown::Both);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.over = true;
        waiting.calls.clear();
    }

    /// How many wait for something, the first words among them.
    #[cfg(test)]
    pub(super) fn calls_waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).calls.len()
    }

    /// Whether a question was answered.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Until it is over.
    pub(super) async fn ended(&self) {
        self.over.cancelled().await;
    }
}

struct Place<'a> {
    line: &'a Line,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.waiting.lock().unwrap_or_else(PoisonError::into_inner).calls.remove(&self.id);
    }
}
