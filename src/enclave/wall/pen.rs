//! Owns writing to the line: whoever has something to say writes at once, and what the socket does not take waits here, bounded.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Mutex, PoisonError};

use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// How much may wait to be written, in bytes.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many frames are given to the system at once.
const AT_ONCE: usize = 64;

/// The writing end of the line.
pub(super) struct Pen {
    half: OwnedWriteHalf,
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Zeroizing<Vec<u8>>>,
    /// How much of the first frame is written.
    written: usize,
    bytes: usize,
}

impl Pen {
    pub(super) fn new(half: OwnedWriteHalf) -> Self {
        Self { half, queue: Mutex::default(), wake: Notify::new() }
    }

    /// Writes a frame now, as far as the socket takes it; the rest is written by [`Pen::run`].
    pub(super) fn send(&self, frame: Zeroizing<Vec<u8>>) -> io::Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.bytes += frame.len();
        if queue.bytes > WAITING_BYTES_MAX {
            queue.bytes -= frame.len();
            return Err(io::Error::new(io::ErrorKind::StorageFull, "too much waits to be written"));
        }
        queue.frames.push_back(frame);
        // Behind others it waits for its turn.
        if queue.frames.len() == 1 {
            self.write(&mut queue)?;
        }
        if !queue.frames.is_empty() {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Writes what waits, until the line breaks.
    pub(super) async fn run(&self) -> io::Result<()> {
        loop {
            self.wake.notified().await;
            while self.write(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))? {
                self.half.writable().await?;
            }
        }
    }

    /// Writes as much as the socket takes; whether something is left.
    fn write(&self, queue: &mut Queue) -> io::Result<bool> {
        while !queue.frames.is_empty() {
            let from = |at: usize| if at == 0 { queue.written } else { 0 };
            let slices: Vec<IoSlice<'_>> = queue
                .frames
                .iter()
                .take(AT_ONCE)
                .enumerate()
                .map(|(at, frame)| IoSlice::new(frame.get(from(at)..).unwrap_or_default()))
                .collect();
            match self.half.try_write_vectored(&slices) {
                Ok(taken) => queue.take(taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

impl Queue {
    fn take(&mut self, mut taken: usize) {
        while let Some(first) = self.frames.front() {
            let left = first.len() - self.written;
            if taken < left {
                self.written += taken;
                return;
            }
            taken -= left;
            self.bytes -= first.len();
            self.written = 0;
            self.frames.pop_front();
        }
    }
}
