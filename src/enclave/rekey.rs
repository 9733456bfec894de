//! Owns changing the data key while the enclave runs: the new key is handed over, sealed to a key that only the running process has.
//!
//! Who holds the old data key and a copy of the database learns nothing of the new one. The database lets nothing be written that was
//! sealed with a key it has given up, so whoever missed the change fails and loses nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::database::vault::{DataKey, Place, Vault};
use super::database::{Database, Handover, KeyUse};
use super::room::{Room, entropy};
use super::wire::seal::{self, Binding, Direction, Envelope, KeyPair, PublicKey, Suite};
use super::{Clock, EnclaveFault};
use crate::withdrawal::VaspId;

/// How often the database is looked at for a key that is not here.
const POLL: Duration = Duration::from_secs(1);
/// How long the database is left to others between two goes at sealing it anew.
const BREATH: Duration = Duration::from_millis(20);
/// How long it waits where something failed.
const AGAIN: Duration = Duration::from_secs(10);
/// Who asks more than this ago, in seconds, is gone.
const GONE_S: u64 = 10;
const SUITE: Suite = Suite::XWing;

/// What a process that runs asks for a new key with.
struct Asking {
    instance: String,
    public_key: String,
    private: Zeroizing<Vec<u8>>,
}

/// Takes new data keys over, and seals with the current one what an older one has sealed, for ever.
pub(super) async fn work(room: Arc<Room>) {
    let mut asking = None;
    loop {
        let pause = match step(&room, &mut asking).await {
            Ok(true) => BREATH,
            Ok(false) => POLL,
            Err(fault) => {
                tracing::error!(%fault, "the enclave's data key cannot be changed now; it is tried again");
                AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Whether there is more to do at once.
async fn step(room: &Room, asking: &mut Option<Asking>) -> Result<bool, EnclaveFault> {
    let (missing, is_current) = room.db.missing_keys().await?;
    if !is_current {
        tracing::error!("the data key of this process is not the database's any more: start it again");
        return Ok(false);
    }
    if missing.is_empty() {
        *asking = None;
        return Ok(room.db.reseal_some().await?);
    }
    let asked = match asking {
        Some(asked) => asked,
        None => asking.insert(Asking::new(&room.db.vault())?),
    };
    let given = room.db.handover_ask(&asked.instance, &asked.public_key, (room.now)()).await?;
    let Some(key) = given.and_then(|envelope| asked.open(&envelope)) else { return Ok(false) };
    let is_taken = room.db.take_over(&missing, &key).map_err(super::database::DatabaseFault::from)?;
    if is_taken {
        tracing::info!(key = %room.db.vault().key_id(), "a new data key was taken over");
        room.db.handover_taken(&asked.instance, (room.now)()).await?;
    } else {
        tracing::warn!(
            "a data key was handed over that is none of those that are missing; it is asked for again"
        );
        room.db.handover_left(&asked.instance).await?;
    }
    *asking = None;
    Ok(is_taken)
}

impl Asking {
    fn new(vault: &Vault) -> Result<Self, EnclaveFault> {
        let instance = HEXLOWER.encode(&*entropy::<16>()?);
        let pair = KeyPair::derive(SUITE, &entropy()?);
        // Whoever has none of the data keys cannot put another key in its place.
        let sealed = vault.seal(place(&instance), pair.public.bytes());
        let sealed = sealed.map_err(super::database::DatabaseFault::from)?;
        Ok(Self { public_key: HEXLOWER.encode(&sealed), instance, private: pair.private })
    }

    fn open(&self, envelope: &str) -> Option<DataKey> {
        let envelope: Envelope = serde_json::from_str(envelope).ok()?;
        let plain = seal::open(&self.private, binding(&self.instance), &envelope).ok()?;
        let bytes = Zeroizing::new(<[u8; 32]>::try_from(plain.as_slice()).ok()?);
        Some(DataKey::new(&bytes))
    }
}

fn place(instance: &str) -> Place<'_> {
    Place { table: "handovers", column: "public_key", row: instance }
}

fn binding(instance: &str) -> Binding<'_> {
    let nobody = VaspId(0);
    Binding { direction: Direction::Handover, uuid: instance, from: nobody, to: nobody, key_type: "data-key" }
}

/// How handing the new key over stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedOver {
    /// Nobody has asked for it.
    Nobody,
    /// A process that runs asks and does not have it yet.
    Asked,
    /// That many have it, and nobody asks.
    Taken(usize),
}

/// Changing the data key of a database, whether an enclave runs on it or not.
pub struct Rekey {
    db: Database,
    key: Zeroizing<[u8; 32]>,
    now: Clock,
}

impl Rekey {
    /// Opens the database with the new key and those before it. From now on an enclave that runs on it asks for the new one.
    ///
    /// Errors: [`crate::withdrawal::Code::StoreOtherKey`] if a key is missing that has sealed something.
    pub async fn open(path: &Path, key: &DataKey, now: Clock) -> Result<Self, EnclaveFault> {
        let vault = Vault::new(key).map_err(|e| EnclaveFault::Config(e.to_string()))?;
        Ok(Self { db: Database::open(path, vault).await?, key: Zeroizing::new(*key.bytes()), now })
    }

    /// How many values stand sealed with which key, in any database: no key is needed to see it.
    pub async fn uses_of(path: &Path) -> Result<Vec<KeyUse>, EnclaveFault> {
        Ok(Database::uses_of(path).await?)
    }

    /// The same of this one.
    pub async fn uses(&self) -> Result<Vec<KeyUse>, EnclaveFault> {
        Ok(self.db.key_uses().await?)
    }

    /// The new key's public id, in hex.
    pub fn key_id(&self) -> String {
        self.db.vault().key_id().to_string()
    }

    /// Gives the new key to whoever asks for it.
    pub async fn hand_over(&self) -> Result<HandedOver, EnclaveFault> {
        let (mut taken, mut asked) = (0_usize, false);
        for one in self.db.handovers().await? {
            if one.is_taken {
                taken = taken.saturating_add(1);
            } else if (self.now)().since(one.seen_at).is_none_or(|age| age <= GONE_S) {
                asked = true;
                if one.envelope.is_none() {
                    self.give(&one).await?;
                }
            }
        }
        Ok(match (asked, taken) {
            (true, _) => HandedOver::Asked,
            (false, 0) => HandedOver::Nobody,
            (false, taken) => HandedOver::Taken(taken),
        })
    }

    async fn give(&self, one: &Handover) -> Result<(), EnclaveFault> {
        let sealed = HEXLOWER.decode(one.public_key.as_bytes()).unwrap_or_default();
        let public = self.db.vault().open(place(&one.instance), &sealed).ok();
        let Some(public) = public.and_then(|public| PublicKey::new(SUITE, public.to_vec())) else {
            tracing::warn!("somebody without a data key of this database asks for the new one");
            return Ok(());
        };
        let envelope = seal::seal(&public, binding(&one.instance), &*self.key, entropy()?);
        let text = envelope.ok().and_then(|envelope| serde_json::to_string(&envelope).ok());
        match text {
            Some(text) => Ok(self.db.handover_give(&one.instance, &text).await?),
            None => Ok(()),
        }
    }

    /// Seals some of what an older key has sealed with the new one; whether there may be more.
    pub async fn go_on(&self) -> Result<bool, EnclaveFault> {
        Ok(self.db.reseal_some().await?)
    }

    /// Everything is sealed with the new key: lets go of what was handed over, and closes.
    pub async fn end(self) -> Result<(), EnclaveFault> {
        self.db.handovers_forget().await?;
        self.db.close().await;
        Ok(())
    }
}
