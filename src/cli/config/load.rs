//! Opens what the settings name: trust file, wallets, policy, keystore, keys in files. Creates nothing and starts nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wallet_policy::{Guard, Policy, Settings};

use super::settings::{PartyPlaces, StorePlace, TrustPlaces};
use crate::bitcoin::WalletDescriptor;
use crate::cli::problem::Problem;
use crate::evidence::{Directory, NotProven, Quorum, Trust};
use crate::flow::rail::Safes;
use crate::flow::rail::pins::SafePins;
use crate::keys::{self, KeyRole, KeystoreRole, OpenKeystore, PassphraseSource, Secret32};
use crate::store::StoreUrl;
use crate::withdrawal::{Asset, Code, Network};

/// What a party believes and decides by.
pub struct Beliefs {
    /// Whom it trusts.
    pub trust: Arc<Trust>,
    /// The hot wallet.
    pub hot: Arc<WalletDescriptor>,
    /// The cold wallet.
    pub cold: Arc<WalletDescriptor>,
    /// The Safes of every EVM chain.
    pub safes: Safes,
    /// May this leave?
    pub policy: Arc<Policy>,
}

impl Beliefs {
    /// Opens all of it.
    pub fn open(party: &PartyPlaces) -> Result<Self, Problem> {
        let trust = trust(&party.trust)?;
        let (hot, cold) = wallets(party, &trust)?;
        let safes = safes(&trust)?;
        let policy = policy(party, &trust)?;
        Ok(Self {
            trust: Arc::new(trust),
            hot: Arc::new(hot),
            cold: Arc::new(cold),
            safes,
            policy: Arc::new(policy),
        })
    }
}

fn read(field: &str, path: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(path).map_err(|error| {
        let no = Problem::file(path, &error);
        Problem { text: format!("`{}`: {}", path.display(), no.text), ..no }.at(field)
    })
}

/// Opens who is who in the travel-rule network, with its signatures.
pub fn directory(places: &TrustPlaces) -> Result<Directory, Problem> {
    signed(places, Directory::open)
}

/// Opens a trust file with its signatures.
pub fn trust(places: &TrustPlaces) -> Result<Trust, Problem> {
    signed(places, |text, signatures, quorum| Trust::open(text, signatures, quorum, 0))
}

fn signed<T>(
    places: &TrustPlaces,
    open: impl FnOnce(&str, &[&str], &Quorum) -> Result<T, NotProven>,
) -> Result<T, Problem> {
    let quorum = Quorum::new(places.threshold, &places.people)
        .map_err(|no| Problem::config("trust.quorum", no.problem, no.cure))?;
    let text = read("trust.file", &places.file)?;
    let signatures = places.signatures.iter().map(|path| read("trust.signatures", path));
    let signatures = signatures.collect::<Result<Vec<_>, _>>()?;
    let signatures: Vec<&str> = signatures.iter().map(String::as_str).collect();
    open(&text, &signatures, &quorum).map_err(|no| {
        let no = Problem::from(no);
        let field =
            no.field.clone().map_or_else(|| "trust.file".to_owned(), |inner| format!("trust.file: {inner}"));
        Problem { exit: super::super::problem::Exit::Usage, ..no }.at(field)
    })
}

/// Opens both wallets of the network and compares their fingerprints with those that were pinned.
pub fn wallets(party: &PartyPlaces, trust: &Trust) -> Result<(WalletDescriptor, WalletDescriptor), Problem> {
    let network = party.network;
    let find = |which: &str, text: Option<&str>| {
        text.map(str::to_owned).ok_or_else(|| {
            let problem = format!("the trust file has no {which} wallet for {network}");
            Problem::config(
                "network",
                problem,
                "set the network of the keystore, or have the trust file's quorum add the wallet",
            )
        })
    };
    let hot = WalletDescriptor::parse(network, &find("hot", trust.hot_descriptor(network))?)
        .map_err(|no| Problem::from(no).at("trust.file: wallets.hot"))?;
    let cold = WalletDescriptor::parse(network, &find("cold", trust.cold_descriptor(network))?)
        .map_err(|no| Problem::from(no).at("trust.file: wallets.cold"))?;
    pinned("wallet.hot_fingerprint", &party.hot_fingerprint, &hot)?;
    pinned("wallet.cold_fingerprint", &party.cold_fingerprint, &cold)?;
    if hot.shares_key_with(&cold) {
        let cure = "have the trust file's quorum name a cold wallet with keys of its own";
        return Err(Problem::config("trust.file: wallets.cold", "shares a key with the hot wallet", cure));
    }
    Ok((hot, cold))
}

/// The Safes that the trust file pins.
pub fn safes(trust: &Trust) -> Result<Safes, Problem> {
    SafePins::of(trust).map_err(|no| {
        let field = format!("trust.file: {}", no.field);
        Problem::from(no).at(field)
    })
}

fn pinned(field: &str, pinned: &str, wallet: &WalletDescriptor) -> Result<(), Problem> {
    let found = wallet.fingerprint();
    if found == pinned {
        return Ok(());
    }
    let problem = format!("is {pinned}, the trust file's wallet has {found}");
    let cure = "compare the fingerprint with the paper; pin it with `countersign descriptor pin` only if the paper says so";
    Err(Problem::config(field, problem, cure))
}

/// Opens the policy, bounded by the trust file's guard.
pub fn policy(party: &PartyPlaces, trust: &Trust) -> Result<Policy, Problem> {
    let text = read("policy.settings", &party.policy_settings)?;
    let settings: Settings = super::read::parse(&text, "policy.settings")?;
    let guard = trust.guards().get("policy").ok_or_else(|| {
        let cure = "have the trust file's quorum add [guard] policy, as trust.example.toml shows";
        Problem::config("trust.file: guard.policy", "is missing", cure)
    })?;
    let guard: Guard = super::read::parse(guard, "trust.file: guard.policy")?;
    let loaded = match &party.policy_rules {
        None => Policy::built_in(settings, &guard),
        Some(folder) => {
            let files = cedar_files(folder)?;
            let files: Vec<(&str, &str)> =
                files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            Policy::load(&files, settings, &guard)
        }
    };
    let policy = loaded.map_err(|error| {
        Problem::config("policy", error.to_string(), "correct the policy's settings or rules")
    })?;
    let asset = Asset::Bitcoin(party.network).to_string();
    if !policy.settings().assets.contains_key(&asset) {
        let problem = format!("sets nothing for {asset}, the asset of {}", party.network);
        return Err(Problem::config(
            "policy.settings",
            problem,
            "add its table; without limits nothing starts",
        ));
    }
    Ok(policy)
}

fn cedar_files(folder: &Path) -> Result<Vec<(String, String)>, Problem> {
    let list = std::fs::read_dir(folder).map_err(|error| Problem::file(folder, &error).at("policy.rules"))?;
    let mut paths: Vec<PathBuf> = list.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "cedar"));
    paths.sort();
    if paths.is_empty() {
        let problem = format!("`{}` holds no *.cedar file", folder.display());
        return Err(Problem::config(
            "policy.rules",
            problem,
            "name the folder of the rules, or write \"built-in\"",
        ));
    }
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    paths.iter().map(|path| Ok((name(path), read("policy.rules", path)?))).collect()
}

/// Opens a party's keystore; one of another role or network is refused, so that no process ever has two keys.
pub fn keystore(party: &PartyPlaces, role: KeyRole) -> Result<OpenKeystore, Problem> {
    keystore_at(&party.keystore, &party.passphrase, (role.into(), party.network))
}

/// Opens a keystore; one of another role or network is refused.
pub fn keystore_at(
    path: &Path,
    passphrase: &PassphraseSource,
    (role, network): (KeystoreRole, Network),
) -> Result<OpenKeystore, Problem> {
    let bytes = keys::read_file(path).map_err(|error| Problem::from(error).at("keystore.path"))?;
    let terms = keys::read_terms(&bytes).map_err(|error| Problem::from(error).at("keystore.path"))?;
    if terms.role != role {
        let problem = format!("holds the key of the {}, this is the {}", terms.role.as_str(), role.as_str());
        return Err(Problem::config(
            "keystore.path",
            problem,
            "name the keystore of this party; no two keys ever meet on one machine",
        ));
    }
    if terms.network != network {
        let problem = format!("holds a key for {}, the network is {network}", terms.network);
        return Err(Problem::config("keystore.path", problem, "set the network of the keystore"));
    }
    let passphrase = passphrase.read().map_err(|error| Problem::from(error).at("keystore.passphrase"))?;
    keys::open(&bytes, &passphrase).map_err(|error| {
        let field =
            if error.code() == Code::PassphraseWrong { "keystore.passphrase" } else { "keystore.path" };
        Problem::from(error).at(field)
    })
}

/// The address of the store.
pub fn store_url(place: &StorePlace) -> Result<StoreUrl, Problem> {
    let text = match place {
        StorePlace::Url(url) => url.clone(),
        StorePlace::File(path) => {
            let source = PassphraseSource::File(path.clone());
            let secret = source.read().map_err(|error| Problem::from(error).at("store.url_file"))?;
            secret.expose_text().unwrap_or_default().trim().to_owned()
        }
    };
    super::settings::check_url("store", &text)?;
    Ok(StoreUrl::parse(&text)?)
}

/// Reads 32 secret bytes that stand as 64 hex digits in a file or behind a descriptor.
pub fn hex_key(field: &str, source: &PassphraseSource) -> Result<Secret32, Problem> {
    let read = source.read().map_err(|error| Problem {
        text: error.to_string().replace("passphrase", "key"),
        ..Problem::from(error)
            .at(field)
            .cure("`countersign init` makes such files; keep them at mode 0400 or 0600")
    })?;
    let no = || {
        Problem::config(field, "is not 64 lower-case hex digits", "use the file that `countersign init` made")
    };
    let digits = read.expose();
    if digits.len() != 64 {
        return Err(no());
    }
    Secret32::try_fill_with(|to| data_encoding::HEXLOWER.decode_mut(digits, to).map(|_| ()).map_err(|_| no()))
}
