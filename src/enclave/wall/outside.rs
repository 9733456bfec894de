//! Owns the signer's half of the wall: the door to an enclave that may be away for a moment. Holds no persons longer than a call.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::keeper::{self, Launch};
use super::line::{Line, Unanswered};
use super::words::{Asked, Told};
use super::{WallFault, frame};
use crate::enclave::backend::Working;
use crate::enclave::door::{Door, LookAsk, Looked, TELL_MAX, TellAsk, Tellings};
use crate::enclave::{EnclaveFault, Health, VerifyAsk, VerifyReply, ivms};

/// How long a call waits for a process that is being started again.
const AWAY_MAX: Duration = Duration::from_millis(1_500);
/// How long a question may take that asks nobody.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// How long one about a verification may take, beside the counterparty's time.
const VERIFY_MAX: Duration = Duration::from_secs(30);
/// How long reports may take that are only written down.
const TELLING_MAX: Duration = Duration::from_secs(30);

/// The line that stands now, if one does.
pub(super) type Standing = watch::Receiver<Option<Arc<Line>>>;

/// The enclave's process, as the signer sees it.
pub struct Outside {
    standing: Standing,
    address: SocketAddr,
    verify_max: Duration,
    stop: CancellationToken,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Outside {
    /// Starts the process and waits until it takes questions. From then on it is started again whenever it dies.
    pub async fn start(launch: Launch) -> Result<Self, WallFault> {
        let stop = CancellationToken::new();
        let verify_max = VERIFY_MAX + launch.answer_wait;
        let (standing, first, keeper) = keeper::keep(launch, stop.clone())?;
        let stop_early = stop.clone().drop_guard();
        let address = first.await.map_err(|_| WallFault::Silent)??;
        stop_early.disarm();
        Ok(Self { standing, address, verify_max, stop, keeper: Mutex::new(Some(keeper)) })
    }

    /// In front of a line that a test made.
    #[cfg(test)]
    pub(super) fn over(line: Arc<Line>) -> Self {
        let (_, standing) = watch::channel(Some(line));
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let (verify_max, stop) = (VERIFY_MAX, CancellationToken::new());
        Self { standing, address, verify_max, stop, keeper: Mutex::new(None) }
    }

    /// Where the process's public listener was when it first stood.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the line, and waits until the process has finished what it had begun and is gone.
    pub async fn stop(&self) {
        self.stop.cancel();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            let _ = tokio::task::spawn_blocking(move || keeper.join()).await;
        }
    }

    /// Asks once, and once more if the line broke meanwhile: every question of the door may be asked again.
    async fn call<T>(
        &self,
        (asked, payload): (&Asked, &[u8]),
        time: Duration,
        read: impl Fn(Told) -> Option<Result<T, EnclaveFault>>,
    ) -> Result<T, EnclaveFault> {
        // What is too long for a payload is too long for the wall.
        ivms::check_len(payload)?;
        let until = Instant::now() + time;
        for last in [false, true] {
            let line = self.line().await?;
            match timeout_at(until, line.ask(asked, payload)).await {
                Err(_) => return Err(EnclaveFault::away("the enclave's process does not answer in time")),
                Ok(Err(Unanswered::Over)) if !last => {}
                Ok(Err(no)) => return Err(no.into()),
                Ok(Ok(told)) => {
                    return read(told).unwrap_or_else(|| {
                        // An answer to another question: nothing it says is believed any more.
                        tracing::error!("{}", frame::bad("the enclave's process answers another question"));
                        line.end();
                        Err(Unanswered::Over.into())
                    });
                }
            }
        }
        Err(Unanswered::Over.into())
    }

    /// The line that stands, waited for a moment where none does.
    async fn line(&self) -> Result<Arc<Line>, EnclaveFault> {
        let mut standing = self.standing.clone();
        let stands = |line: &Option<Arc<Line>>| line.as_ref().is_some_and(|line| !line.is_over());
        let found = tokio::time::timeout(AWAY_MAX, standing.wait_for(stands)).await;
        let found = found.ok().and_then(|found| found.ok().and_then(|line| line.clone()));
        found.ok_or_else(|| Unanswered::Over.into())
    }
}

impl Door for Outside {
    fn look<'a>(&'a self, ask: LookAsk<'a>) -> Working<'a, Result<Looked, EnclaveFault>> {
        Box::pin(async move {
            let asked = Asked::Look { digest: ask.request_digest.to_owned() };
            let payload = ask.payload.unwrap_or_default();
            let looked: Looked = self.call((&asked, payload), LOOK_MAX, Told::into_looked).await?;
            if looked.fingerprint.is_some() == ask.payload.is_some() {
                return Ok(looked);
            }
            Err(EnclaveFault::away("the enclave's process answered about another payload"))
        })
    }

    fn verify(&self, mut ask: VerifyAsk) -> Working<'_, Result<VerifyReply, EnclaveFault>> {
        Box::pin(async move {
            let payload = Zeroizing::new(ask.payload.take().unwrap_or_default());
            self.call((&Asked::verify(&ask), &payload), self.verify_max, Told::into_reply).await
        })
    }

    fn tell(&self, asks: Vec<TellAsk>) -> Working<'_, Result<Tellings, EnclaveFault>> {
        Box::pin(async move {
            if asks.len() > TELL_MAX {
                return Err(EnclaveFault::QueueFull(u64::try_from(asks.len()).unwrap_or(u64::MAX)));
            }
            let read = |told: Told| told.into_reported(asks.len());
            self.call((&Asked::tell(&asks), &[]), TELLING_MAX, read).await
        })
    }

    fn health(&self) -> Working<'_, Result<Health, EnclaveFault>> {
        Box::pin(self.call((&Asked::Health {}, &[]), LOOK_MAX, Told::into_health))
    }
}

/// A dropped half serves nobody: the process learns it by its line.
impl Drop for Outside {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
