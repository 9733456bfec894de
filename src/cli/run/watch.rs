//! Watches the enclave: the health service hears of every change, and the log of the first word as well.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::enclave::{Door, Health};

/// How often the enclave is asked how it is.
const HEALTH_EVERY: Duration = Duration::from_secs(3);

/// Whether the travel rule can be met now: the enclave's process, its database, its relay.
pub fn watch_enclave(door: Arc<dyn Door>) -> watch::Receiver<bool> {
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        // One that is unwell from the start never changes, and is news all the same.
        let mut last = None;
        while !tell.is_closed() {
            let health = door.health().await;
            let is_well = matches!(&health, Ok(Health { database: true, relay: true, registered: true, .. }));
            tell.send_if_modified(|was| std::mem::replace(was, is_well) != is_well);
            match health {
                _ if last.replace(is_well) == Some(is_well) => {}
                Ok(Health { database, relay, registered, waiting }) => {
                    info!(is_well, database, relay, registered, waiting, "how the enclave is");
                }
                Err(fault) => warn!(code = %fault.code(), "the enclave cannot be asked how it is: {fault}"),
            }
            tokio::time::sleep(HEALTH_EVERY).await;
        }
    });
    told
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use super::*;
    use crate::enclave::{EnclaveFault, LookAsk, Looked, TellAsk, Tellings, VerifyAsk, VerifyReply, Working};

    /// An enclave that cannot be asked, or has no relay.
    struct Unwell(Option<Health>);

    impl Door for Unwell {
        fn look<'a>(&'a self, _: LookAsk<'a>) -> Working<'a, Result<Looked, EnclaveFault>> {
            Box::pin(async { Err(EnclaveFault::Entropy) })
        }

        fn verify(&self, _: VerifyAsk) -> Working<'_, Result<VerifyReply, EnclaveFault>> {
            Box::pin(async { Err(EnclaveFault::Entropy) })
        }

        fn tell(&self, _: Vec<TellAsk>) -> Working<'_, Result<Tellings, EnclaveFault>> {
            Box::pin(async { Err(EnclaveFault::Entropy) })
        }

        fn health(&self) -> Working<'_, Result<Health, EnclaveFault>> {
            let health = self.0;
            Box::pin(async move { health.ok_or(EnclaveFault::Entropy) })
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_enclave_that_is_unwell_from_the_start_is_in_the_log() {
        let no_relay = Health { database: true, relay: false, registered: true, waiting: 0 };
        for (health, word) in [(None, "cannot be asked"), (Some(no_relay), "relay=false")] {
            let log = Log::default();
            let written = log.clone();
            let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || written.clone());
            // with one listener alone, `tracing` asks the thread that comes to a line first, which may be another test's
            let _second =
                tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
            let _listening = tracing::subscriber::set_default(lines.finish());
            let told = watch_enclave(Arc::new(Unwell(health)));
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert!(!*told.borrow());
            let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            assert!(text.contains(word), "{text}");
        }
    }
}
