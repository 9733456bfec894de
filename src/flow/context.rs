//! What never changes while a party runs: its wallet, what it trusts, its policy, its clock.

use std::sync::Arc;
use std::time::Duration;

use wallet_policy::price::Band;
use wallet_policy::settings::{AssetSettings, ShareRule};
use wallet_policy::threshold::Direction;
use wallet_policy::{Policy, Seconds as PolicySeconds};

use super::ledger::Treasury;
use super::policies::Policies;
use super::rail::Safes;
use crate::bitcoin::WalletDescriptor;
use crate::evidence::{NameMatch, Trust};
use crate::freeze::Brake;
use crate::withdrawal::{Asset, Chain, Krw, Seconds, VaspId};

/// A party's clock. Below the flow, time is an argument.
pub type Clock = Arc<dyn Fn() -> Seconds + Send + Sync>;

/// The clock of the machine.
pub fn machine_clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Seconds(since.map_or(0, |d| d.as_secs()))
    })
}

/// Numbers that are a party's own to choose.
#[derive(Debug, Clone)]
pub struct PartySettings {
    /// Oldest signed request that is admitted, in seconds.
    pub request_age_s_max: u64,
    /// Oldest statement that is taken, in seconds.
    pub statement_age_s_max: u64,
    /// Oldest travel-rule answer that clears, in seconds.
    pub clearance_age_s_max: u64,
    /// How long an approval counts, in seconds.
    pub approval_age_s_max: u64,
    /// How long a withdrawal may be held, in seconds.
    pub hold_s_max: u64,
    /// How long a sweep may be unconfirmed and still count as cold, in seconds.
    pub transit_s_max: u64,
    /// Depth at which a coin is credited.
    pub depth_min: u32,
    /// How long a caller of `create` waits for an outcome.
    pub create_wait: Duration,
    /// How long to wait before something that failed is tried again.
    pub retry: Duration,
    /// How long an entry waits to be witnessed when no reservation follows it.
    pub witness_every: Duration,
    /// How many commands may wait for the writer.
    pub queue_max: usize,
    /// How many withdrawals may be open.
    pub open_max: usize,
}

impl Default for PartySettings {
    fn default() -> Self {
        Self {
            request_age_s_max: 600,
            statement_age_s_max: 900,
            clearance_age_s_max: 1_800,
            approval_age_s_max: 86_400,
            hold_s_max: 86_400,
            transit_s_max: 7_200,
            depth_min: 6,
            create_wait: Duration::from_secs(2),
            retry: Duration::from_millis(500),
            witness_every: Duration::from_millis(250),
            queue_max: 4_096,
            open_max: 20_000,
        }
    }
}

/// What a party decides with.
pub struct Context {
    /// The asset of the Bitcoin wallet.
    pub asset: Asset,
    /// The hot wallet.
    pub wallet: Arc<WalletDescriptor>,
    /// The cold wallet, watch-only.
    pub cold: Arc<WalletDescriptor>,
    /// The Safes.
    pub safes: Safes,
    /// Whom the party trusts.
    pub trust: Arc<Trust>,
    /// Its own policy.
    pub policy: Arc<Policy>,
    /// What it knows of policies besides.
    pub policies: std::sync::RwLock<Policies>,
    /// Whether it may sign at this moment.
    pub brake: Arc<Brake>,
    /// Its own settings.
    pub settings: PartySettings,
    /// Its own clock.
    pub clock: Clock,
}

impl Context {
    /// The party's own time.
    pub fn now(&self) -> Seconds {
        (self.clock)()
    }

    /// The hash of the party's own policy, hex.
    pub fn policy_hash(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.policy.hash())
    }

    /// Whether a transfer of that worth to that VASP needs the beneficiary's name (laws L3, L4). One whose worth is unknown
    /// does.
    pub fn needs_name(&self, value: Option<Krw>, beneficiary: VaspId, now: Seconds) -> NameMatch {
        let law = self.trust.vasp(beneficiary).and_then(|vasp| vasp.jurisdiction.as_deref());
        let thresholds = &self.policy.settings().travel_rule;
        let floor = thresholds.floor(Direction::Outgoing, law, PolicySeconds(now.0));
        match value {
            Some(value) if value.0 < floor.0 => NameMatch::NotRequired,
            _ => NameMatch::Required,
        }
    }

    /// The assets that this party pays, each with its decimals.
    pub fn assets(&self) -> impl Iterator<Item = (Asset, u32)> {
        let paid = self.trust.assets().filter(|asset| self.pays(*asset));
        paid.filter_map(|asset| Some((asset, self.trust.denomination(asset)?.decimals())))
    }

    /// Whether an asset is one of this party's wallets.
    pub fn pays(&self, asset: Asset) -> bool {
        match asset.chain() {
            Chain::Bitcoin(_) => asset == self.asset,
            Chain::Evm(chain) => self.safes.contains_key(&chain) && self.trust.enables(asset),
        }
    }

    /// A treasury of this party's wallets, in which nothing is known yet.
    pub fn treasury(&self) -> Treasury {
        self.safes.values().fold(Treasury::new(self.settings.depth_min, self.assets()), Treasury::with_safes)
    }

    /// What the party's policy sets for an asset.
    pub fn limits(&self, asset: Asset) -> Option<&AssetSettings> {
        self.policy.settings().assets.get(&asset.to_string())
    }

    /// The figures of the share in force for an asset.
    pub fn share_rule(&self, asset: Asset) -> ShareRule {
        self.policy.settings().share_rule(&asset.to_string())
    }

    /// How the price of an asset may move.
    pub fn band(&self, asset: Asset) -> Band {
        // Without limits nothing is released; a price that may not move at all is then the strictest band.
        self.limits(asset).map_or(Band { move_bp_max: 0, settle_s: u64::MAX }, |l| Band {
            move_bp_max: l.price_move_bp_max,
            settle_s: l.price_settle_s,
        })
    }

    /// Random numbers for what must not be guessed: the place of the change, the lock time.
    pub fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        match getrandom::fill(&mut bytes) {
            Ok(()) => u64::from_le_bytes(bytes),
            // Without randomness the place of the change can be guessed; nothing else depends on it.
            Err(_) => 0,
        }
    }
}
