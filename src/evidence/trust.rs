//! The trust file: whom this party believes. One door, which an offline quorum opens (DESIGN section 2).
//!
//! Nothing in it ever comes from the other party. Descriptors, log keys and guard values are opaque here.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey;
use ssh_key::public::KeyData;

use super::canonical::check_value;
use super::signature::read_public_key;
use super::trust_file::{self, OperatorEntry, TRUST_SIZE_MAX, TrustContent, VaspEntry, WalletEntry};
use super::trust_wallets as wallets;
use super::{NotProven, Quorum, StatementKind, digest, field, sshsig};
use crate::withdrawal::{
    Asset, Chain, Code, Denomination, EvmAsset, Finding, Invalid, Network, Organisation, Seconds, VaspId,
};

/// The network whose VASPs sign nothing.
pub const NETWORK_VERIFYVASP: &str = "verifyvasp";

pub(super) const CURE: &str = "correct the trust file and have its quorum sign it again";

/// A counterparty VASP.
#[derive(Debug)]
pub struct Vasp {
    /// Its id.
    pub id: VaspId,
    /// Its name, as operators see it.
    pub name: String,
    /// The key that signs its answers. Without one it signs nothing: an enclave server of [`NETWORK_VERIFYVASP`] speaks for
    /// it, each party asks its own, and the lower limit counts (law L4).
    pub identity_key: Option<VerifyingKey>,
    /// Whose travel-rule law binds it, where that is known.
    pub jurisdiction: Option<String>,
    /// Whether its answers clear anything now.
    pub active: bool,
}

/// A person who approves.
#[derive(Debug, PartialEq, Eq)]
pub struct Operator {
    /// The person.
    pub name: String,
    /// The groups they belong to.
    pub groups: BTreeSet<String>,
}

#[derive(Debug)]
struct RequestKey {
    key: VerifyingKey,
    not_after: Option<Seconds>,
    people: BTreeSet<String>,
}

#[derive(Debug)]
struct StatementKey {
    key: VerifyingKey,
    kinds: BTreeSet<StatementKind>,
}

/// An opened trust file.
#[derive(Debug)]
pub struct Trust {
    content: TrustContent,
    text: String,
    digest: [u8; 32],
    signers: BTreeSet<String>,
    vasp_id: VaspId,
    attestation_key: VerifyingKey,
    custodian_key: Option<VerifyingKey>,
    wallets: BTreeMap<Chain, WalletEntry>,
    tokens: BTreeMap<Asset, Denomination>,
    request_keys: BTreeMap<String, BTreeMap<String, RequestKey>>,
    statement_keys: BTreeMap<String, Vec<StatementKey>>,
    operators: Vec<Operator>,
    operator_keys: BTreeMap<KeyData, usize>,
    vasps: BTreeMap<VaspId, Vasp>,
}

impl Trust {
    /// The one door. The quorum's signatures must hold over exactly these bytes, and the version must not be below
    /// `version_min`, the highest this party has ever seen. Nothing is read before the signatures hold.
    pub fn open(
        text: &str,
        signatures: &[&str],
        quorum: &Quorum,
        version_min: u64,
    ) -> Result<Self, NotProven> {
        if text.len() > TRUST_SIZE_MAX {
            let problem = format!("is {} bytes long, the limit is {TRUST_SIZE_MAX}", text.len());
            return Err(Invalid::new(Code::MessageTooLarge, "trust file", problem, CURE).into());
        }
        let signers = quorum.signers(text, signatures)?;
        let trust = Self::read(text, signers)?;
        if trust.version() < version_min {
            let detail = format!("version {} after {version_min} was seen", trust.version());
            return Err(NotProven::refused(Code::TrustFileInvalid, detail));
        }
        Ok(trust)
    }

    fn read(text: &str, signers: BTreeSet<String>) -> Result<Self, Invalid> {
        let content = trust_file::parse(text)?;
        let mut keys = MachineKeys::default();
        let vasp_id = real_vasp("vasp.id", &content.vasp.id)?;
        check_value("vasp.name", &content.vasp.name, 256)?;
        let operators = content.operators.iter().map(read_operator).collect::<Result<_, _>>()?;
        Ok(Self {
            vasp_id,
            attestation_key: keys.read("cosigner.attestation_key", &content.cosigner.attestation_key)?,
            custodian_key: match &content.cosigner.custodian_key {
                Some(key) => Some(keys.read("cosigner.custodian_key", key)?),
                None => None,
            },
            wallets: wallets::read_wallets(&content)?,
            tokens: wallets::read_tokens(&content)?,
            request_keys: read_request_keys(&content, &mut keys)?,
            statement_keys: read_statement_keys(&content, &mut keys)?,
            operators,
            operator_keys: read_operator_keys(&content)?,
            vasps: read_vasps(&content.vasps, vasp_id, &mut keys)?,
            digest: digest(text),
            text: text.to_owned(),
            content,
            signers,
        })
    }

    /// Refuses a file that is another one under a version already seen.
    pub fn check_follows(&self, version: u64, digest: &[u8; 32]) -> Result<(), Finding> {
        if self.version() > version || (self.version() == version && self.digest == *digest) {
            return Ok(());
        }
        Err(Finding::new(Code::TrustFileInvalid, format!("another file was seen under version {version}")))
    }

    /// Only grows.
    pub fn version(&self) -> u64 {
        self.content.version
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The exact text that was signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The people of the quorum who signed it.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.signers.iter().map(String::as_str)
    }

    /// Our own id in the travel-rule network.
    pub fn vasp_id(&self) -> VaspId {
        self.vasp_id
    }

    /// Our own name there.
    pub fn vasp_name(&self) -> &str {
        &self.content.vasp.name
    }

    /// The enabled chains.
    pub fn chains(&self) -> impl Iterator<Item = Chain> {
        self.wallets.keys().copied()
    }

    /// The wallets of a chain.
    pub fn wallet(&self, chain: Chain) -> Option<&WalletEntry> {
        self.wallets.get(&chain)
    }

    /// Whether an asset is paid here: its chain has a wallet, and a token is pinned.
    pub fn enables(&self, asset: Asset) -> bool {
        self.wallets.contains_key(&asset.chain()) && self.denomination(asset).is_some()
    }

    /// How people read an amount of an asset, by this file alone: no contract is asked.
    pub fn denomination(&self, asset: Asset) -> Option<Denomination> {
        asset.denomination().or_else(|| self.tokens.get(&asset).cloned())
    }

    /// The assets that are paid here: the coin of each chain, and the pinned tokens.
    pub fn assets(&self) -> impl Iterator<Item = Asset> {
        let coin = |chain: &Chain| match *chain {
            Chain::Bitcoin(network) => Asset::Bitcoin(network),
            Chain::Evm(chain) => Asset::Evm(EvmAsset::Ether(chain)),
        };
        self.wallets.keys().map(coin).chain(self.tokens.keys().copied())
    }

    /// The hot wallet's descriptor.
    pub fn hot_descriptor(&self, network: Network) -> Option<&str> {
        self.wallet(Chain::Bitcoin(network)).map(|wallet| wallet.hot.as_str())
    }

    /// The cold wallet's descriptor; without one the asset is not enabled (law L11).
    pub fn cold_descriptor(&self, network: Network) -> Option<&str> {
        self.wallet(Chain::Bitcoin(network)).and_then(|wallet| wallet.cold.as_deref())
    }

    /// A request key, and the last second at which it signs.
    pub fn request_key(
        &self,
        organisation: &Organisation,
        id: &str,
    ) -> Option<(&VerifyingKey, Option<Seconds>)> {
        let entry = self.request_keys.get(organisation.as_str())?.get(id)?;
        Some((&entry.key, entry.not_after))
    }

    /// Who asks with that key: the organisation, and the people who can sign with it. None of them approves what it asked
    /// for (law L14).
    pub fn requesters(&self, organisation: &Organisation, id: &str) -> BTreeSet<String> {
        let entry = self.request_keys.get(organisation.as_str()).and_then(|keys| keys.get(id));
        let people = entry.into_iter().flat_map(|entry| entry.people.iter().cloned());
        people.chain([organisation.to_string()]).collect()
    }

    /// The observers that may speak of this kind.
    pub fn observers(&self, kind: StatementKind) -> impl Iterator<Item = &str> {
        let speaks =
            move |entries: &Vec<StatementKey>| entries.iter().any(|entry| entry.kinds.contains(&kind));
        self.statement_keys.iter().filter(move |(_, keys)| speaks(keys)).map(|(name, _)| name.as_str())
    }

    /// The keys by which an observer may speak of this kind.
    pub fn observer_keys(&self, observer: &str, kind: StatementKind) -> impl Iterator<Item = &VerifyingKey> {
        let keys = self.statement_keys.get(observer).into_iter().flatten();
        keys.filter(move |entry| entry.kinds.contains(&kind)).map(|entry| &entry.key)
    }

    /// The person this SSH key belongs to.
    pub fn operator(&self, key: &KeyData) -> Option<&Operator> {
        self.operators.get(*self.operator_keys.get(key)?)
    }

    /// Whether somebody of this name asks for payments, or can sign with a key that does: who asks never counts among those
    /// who end a freeze.
    pub fn asks_for_payments(&self, name: &str) -> bool {
        let mut keys = self.request_keys.values().flat_map(BTreeMap::values);
        self.request_keys.contains_key(name) || keys.any(|key| key.people.contains(name))
    }

    /// Everybody who may approve something.
    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// The counterparty VASPs alone.
    pub(super) fn into_vasps(self) -> BTreeMap<VaspId, Vasp> {
        self.vasps
    }

    /// A counterparty VASP, active or not.
    pub fn vasp(&self, id: VaspId) -> Option<&Vasp> {
        self.vasps.get(&id)
    }

    /// Every counterparty VASP.
    pub fn vasps(&self) -> impl Iterator<Item = &Vasp> {
        self.vasps.values()
    }

    /// The key that signs address attestations.
    pub fn attestation_key(&self) -> &VerifyingKey {
        &self.attestation_key
    }

    /// The key that signs what an outside custodian of key B refuses, where there is one.
    pub fn custodian_key(&self) -> Option<&VerifyingKey> {
        self.custodian_key.as_ref()
    }

    /// The verifier key of the signer's log.
    pub fn signer_log_key(&self) -> &str {
        &self.content.log.signer
    }

    /// The verifier key of the co-signer's cosignatures.
    pub fn cosigner_log_key(&self) -> &str {
        &self.content.log.cosigner
    }

    /// The policy's guard values, by name.
    pub fn guards(&self) -> &BTreeMap<String, String> {
        &self.content.guard
    }

    /// The file as it was read.
    pub fn content(&self) -> &TrustContent {
        &self.content
    }
}

/// Every machine key serves one party in one role: a key that stands twice would let one speak for another.
#[derive(Default)]
pub(super) struct MachineKeys(BTreeSet<[u8; 32]>);

impl MachineKeys {
    fn read(&mut self, field: &'static str, text: &str) -> Result<VerifyingKey, Invalid> {
        let key = read_public_key(field, text)?;
        if !self.0.insert(key.to_bytes()) {
            return Err(twice(field, "a key"));
        }
        Ok(key)
    }
}

fn read_request_keys(
    content: &TrustContent,
    keys: &mut MachineKeys,
) -> Result<BTreeMap<String, BTreeMap<String, RequestKey>>, Invalid> {
    let mut organisations = BTreeMap::<_, BTreeMap<_, _>>::new();
    for entry in &content.request_keys {
        let organisation = field::name("request_keys.organisation", &entry.organisation)?;
        let id = field::name("request_keys.id", &entry.id)?;
        let key = keys.read("request_keys.key", &entry.key)?;
        let people = entry.people.iter().map(|person| field::name("request_keys.people", person));
        let people = people.collect::<Result<_, _>>()?;
        let key = RequestKey { key, not_after: entry.not_after.map(Seconds), people };
        if organisations.entry(organisation).or_default().insert(id, key).is_some() {
            return Err(twice("request_keys.id", "an id of one organisation"));
        }
    }
    Ok(organisations)
}

fn read_statement_keys(
    content: &TrustContent,
    keys: &mut MachineKeys,
) -> Result<BTreeMap<String, Vec<StatementKey>>, Invalid> {
    let mut observers = BTreeMap::<_, Vec<_>>::new();
    for entry in &content.statement_keys {
        let observer = field::name("statement_keys.observer", &entry.observer)?;
        let key = keys.read("statement_keys.key", &entry.key)?;
        let kinds = entry.kinds.iter().map(|kind| StatementKind::parse(kind)).collect::<Result<_, _>>()?;
        observers.entry(observer).or_default().push(StatementKey { key, kinds });
    }
    Ok(observers)
}

fn read_operator(entry: &OperatorEntry) -> Result<Operator, Invalid> {
    let groups = entry.groups.iter().map(|group| field::name("operators.groups", group));
    Ok(Operator {
        name: field::name("operators.name", &entry.name)?,
        groups: groups.collect::<Result<_, _>>()?,
    })
}

fn read_operator_keys(content: &TrustContent) -> Result<BTreeMap<KeyData, usize>, Invalid> {
    let mut names = BTreeSet::new();
    let mut keys = BTreeMap::new();
    for (at, entry) in content.operators.iter().enumerate() {
        if !names.insert(&entry.name) {
            return Err(twice("operators.name", "a person"));
        }
        for key in &entry.keys {
            let key = sshsig::read_public_key("operators.keys", key)?;
            if keys.insert(key.key_data().clone(), at).is_some() {
                return Err(twice("operators.keys", "a key"));
            }
        }
    }
    Ok(keys)
}

pub(super) fn read_vasps(
    entries: &[VaspEntry],
    own: VaspId,
    keys: &mut MachineKeys,
) -> Result<BTreeMap<VaspId, Vasp>, Invalid> {
    let mut vasps = BTreeMap::new();
    for entry in entries {
        let id = real_vasp("vasps.id", &entry.id)?;
        if id == own {
            let problem = "is our own id: nobody clears their own payments";
            return Err(Invalid::new(Code::FieldMalformed, "vasps.id", problem, CURE));
        }
        check_value("vasps.name", &entry.name, 256)?;
        let identity_key = read_voice(entry, keys)?;
        let jurisdiction = entry.jurisdiction.clone();
        let vasp = Vasp { id, name: entry.name.clone(), identity_key, jurisdiction, active: entry.active };
        if vasps.insert(id, vasp).is_some() {
            return Err(twice("vasps.id", "a VASP"));
        }
    }
    Ok(vasps)
}

/// A VASP signs its answers, or it is of a network where nobody does: never both, never neither.
fn read_voice(entry: &VaspEntry, keys: &mut MachineKeys) -> Result<Option<VerifyingKey>, Invalid> {
    match (&entry.identity_key, entry.network.as_deref()) {
        (Some(key), None) => keys.read("vasps.identity_key", key).map(Some),
        (None, Some(NETWORK_VERIFYVASP)) => Ok(None),
        (None, None) => {
            let problem = "is missing, and no `network` says that this VASP signs nothing";
            Err(Invalid::new(Code::FieldMissing, "vasps.identity_key", problem, CURE))
        }
        (Some(_), Some(_)) => {
            let problem = "stands beside an identity_key: a VASP that signs needs no network";
            Err(Invalid::new(Code::FieldMalformed, "vasps.network", problem, CURE))
        }
        (None, Some(_)) => {
            Err(Invalid::new(Code::FieldMalformed, "vasps.network", "is not `verifyvasp`", CURE))
        }
    }
}

/// A VASP's id. The one that stands for a self-hosted wallet is nobody's.
fn real_vasp(field: &'static str, text: &str) -> Result<VaspId, Invalid> {
    let id = field::vasp(field, text)?;
    if id.is_self_hosted() {
        return Err(Invalid::new(
            Code::FieldMalformed,
            field,
            "is 0, which stands for a self-hosted wallet",
            CURE,
        ));
    }
    Ok(id)
}

pub(super) fn twice(field: &'static str, what: &str) -> Invalid {
    Invalid::new(Code::FieldDuplicate, field, format!("names {what} twice"), CURE)
}
