//! What one party derives from its seed: its coin key, the secret of its store, and its identities, under fixed labels.

use std::sync::Arc;

use super::problem::Problem;
use crate::audit::{LogKey, WitnessKey};
use crate::bitcoin::{KeySlot, WalletDescriptor};
use crate::evidence::Trust;
use crate::flow::rail::Safes;
use crate::keys::{HotKey, IdentityKey, KeyRole, OpenKeystore, SeatKeys};
use crate::store::StoreSecret;

// Changing a label changes a key for ever: what was made under the old one cannot be opened or verified any more.
const STORE: &str = "store";
const LOG: &str = "log";
const WITNESS: &str = "witness";
const ATTESTATION: &str = "attestation";
const CUSTODY: &str = "custody";

/// What everybody derives who has a store and a log.
pub struct Books {
    /// The secret of the store's tags.
    pub store: StoreSecret,
    /// The identity under the log.
    pub log_identity: Arc<IdentityKey>,
    /// The public half with its name.
    pub log_key: LogKey,
}

impl Books {
    /// Derives them; the keystore can be dropped afterwards.
    pub fn of(keystore: &OpenKeystore, origin: &str) -> Result<Self, Problem> {
        let mut secret = *keystore.instance_secret(STORE)?.expose();
        let log_identity = keystore.ed25519_identity(LOG)?;
        Ok(Self {
            store: StoreSecret::take(&mut secret),
            log_key: LogKey::new(origin, &log_identity.public_key())?,
            log_identity: Arc::new(log_identity),
        })
    }
}

/// What both parties derive.
pub struct Instance {
    /// The coin key.
    pub hot_key: Arc<HotKey>,
    /// The seat among the owners of the Safes.
    pub seat: Arc<SeatKeys>,
    /// The secret of the store's tags.
    pub store: StoreSecret,
    /// The identity under the party's own log.
    pub log_identity: Arc<IdentityKey>,
    /// The public half with its name.
    pub log_key: LogKey,
}

impl Instance {
    /// Derives it; the keystore can be dropped afterwards.
    pub fn of(keystore: &OpenKeystore, origin: &str) -> Result<Self, Problem> {
        let Books { store, log_identity, log_key } = Books::of(keystore, origin)?;
        let hot_key = Arc::new(keystore.hot_key()?);
        Ok(Self { hot_key, seat: Arc::new(keystore.seat_keys()?), store, log_identity, log_key })
    }

    /// Whether the wallet's key in this place is the one of this seed.
    pub fn check_slot(&self, wallet: &WalletDescriptor, slot: KeySlot) -> Result<(), Problem> {
        if slot.of(wallet.keys()).to_string() == self.hot_key.xpub().to_string() {
            return Ok(());
        }
        let problem = format!("key {slot:?} of the wallet is not the key of this keystore");
        let cure = "name the right keystore, or have the trust file's quorum pin the right wallet";
        Err(Problem::config("keystore.path", problem, cure))
    }

    /// Whether the wallet has no key of this seed: where a custodian holds key B, no other party of the wallet is here.
    pub fn check_no_slot(&self, wallet: &WalletDescriptor) -> Result<(), Problem> {
        let own = self.hot_key.xpub().to_string();
        let Some(slot) = KeySlot::ALL.into_iter().find(|slot| slot.of(wallet.keys()).to_string() == own)
        else {
            return Ok(());
        };
        let problem = format!("is set, and key {slot:?} of the wallet is the key of this keystore");
        let cure = "leave [custodian] out if key B is kept here; where a custodian holds it, make a keystore of its own \
                    (`countersign init`), whose coin key is used for nothing";
        Err(Problem::config("custodian", problem, cure))
    }

    /// Whether this seed has the party's seat among the owners of every Safe.
    pub fn check_seats(&self, safes: &Safes, role: KeyRole) -> Result<(), Problem> {
        let Some(other) = safes.values().find(|pins| !pins.is_seat_of(role, &self.seat)) else {
            return Ok(());
        };
        let (safe, role) = (other.hot.address(), role.as_str());
        let problem = format!("the {role}'s owner of the Safe {safe} is not the account of this keystore");
        let cure = "name the right keystore, or have the trust file's quorum pin the right owners";
        Err(Problem::config("keystore.path", problem, cure))
    }

    /// Whether the trust file names the log of this seed.
    pub fn check_log(&self, trust: &Trust) -> Result<(), Problem> {
        named("log.signer", trust.signer_log_key(), &self.log_key.to_string())
    }
}

/// What only the co-signer derives.
pub struct Witnessing {
    /// The identity under its cosignatures.
    pub identity: Arc<IdentityKey>,
    /// The public half with its name.
    pub key: WitnessKey,
    /// The identity under its address attestations.
    pub attestation: Arc<IdentityKey>,
    /// The identity under what it hands over to an outside custodian.
    pub custody: Arc<IdentityKey>,
}

impl Witnessing {
    /// Derives it.
    pub fn of(keystore: &OpenKeystore, origin: &str) -> Result<Self, Problem> {
        let identity = keystore.ed25519_identity(WITNESS)?;
        let key = WitnessKey::new(origin, &identity.public_key())?;
        let attestation = Arc::new(keystore.ed25519_identity(ATTESTATION)?);
        let custody = Arc::new(keystore.ed25519_identity(CUSTODY)?);
        Ok(Self { identity: Arc::new(identity), key, attestation, custody })
    }

    /// Whether the trust file names the keys of this seed.
    pub fn check(&self, trust: &Trust) -> Result<(), Problem> {
        named("log.cosigner", trust.cosigner_log_key(), &self.key.to_string())?;
        let hex = |bytes: &[u8; 32]| data_encoding::HEXLOWER.encode(bytes);
        let (told, own) = (hex(trust.attestation_key().as_bytes()), hex(&self.attestation.public_key()));
        named("cosigner.attestation_key", &told, &own)
    }
}

fn named(field: &str, told: &str, own: &str) -> Result<(), Problem> {
    if told == own {
        return Ok(());
    }
    let problem = format!("is `{told}`, the keystore and `log.origin` give `{own}`");
    let cure =
        "check log.origin and the keystore; if they are right, have the trust file's quorum correct the key";
    Err(Problem::config(format!("trust.file: {field}"), problem, cure))
}
