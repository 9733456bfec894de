//! Makes what a role needs, once: keystore, store, the enclave's database and keys. Never writes over anything, and shows the
//! words of a new seed once.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::answer::{Answer, Facts};
use super::config::custodian::{CustodianSettings, INBOUND_INBOX};
use super::config::secrets::DataKeySource;
use super::config::verifyvasp::TravelRule;
use super::config::{self, load};
use super::instance::{Books, Witnessing};
use super::problem::Problem;
use super::{keyfile, words};
use crate::enclave::{DataKey, Enclave};
use crate::keys::{
    self, KeyRole, KeystoreRole, KeystoreTerms, OpenKeystore, PassphraseSource, SealCost, SecretBytes,
};
use crate::store::StoreUrl;
use crate::withdrawal::Network;

/// What can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InitRole {
    /// Key A, the ledger, the travel-rule database and its keys
    Signer,
    /// Key B and its own store
    Cosigner,
    /// Key C, or a key of the cold wallet: a keystore only, for an offline machine
    Vault,
    /// The travel-rule database and its keys, for an enclave that stands alone
    Enclave,
    /// The relay's Ed25519 key
    Relay,
    /// A VASP's identity key (Ed25519), where it is made apart from the signer
    VaspIdentity,
    /// The exchange's request key (Ed25519)
    Exchange,
    /// An observer's statement key (Ed25519)
    Observer,
    /// The account that pays gas, and the ledger of its nonces
    Executor,
}

/// What guessing a passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cost {
    /// 64 MiB and three passes of Argon2id
    Standard,
    /// Nearly nothing: for throwaway keys, never on mainnet
    Cheap,
}

/// A list of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// The English list of BIP-39
    English,
    /// The Korean list of BIP-39
    Korean,
}

/// What `init` takes.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Whose things are made
    #[arg(long, value_enum)]
    pub role: InitRole,
    /// Take network, places and passphrase from the service's own configuration file (signer, cosigner, enclave, executor)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// mainnet, testnet4, signet or regtest
    #[arg(long, value_parser = Network::parse)]
    pub network: Option<Network>,
    /// The account of BIP-48, `m/48'/coin'/account'/2'`
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub account: u32,
    /// Where the keystore is to be
    #[arg(long, value_name = "FILE")]
    pub keystore: Option<PathBuf>,
    /// What opens the keystore.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Where the store is to be: sqlite:/absolute/path, or mysql:// without a password
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// A file that holds the store's whole url, for one with a password
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    pub store_url_file: Option<PathBuf>,
    /// The name of the party's log, as its configuration says (`log.origin`)
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// The folder that is to hold the marker of a freeze, as the party's configuration says (`freeze.folder`)
    #[arg(long, value_name = "FOLDER")]
    pub freeze_folder: Option<PathBuf>,
    /// Write the new words into this file (mode 0600) instead of showing them on the terminal
    #[arg(long, value_name = "FILE", conflicts_with = "words_from")]
    pub words_file: Option<PathBuf>,
    /// Restore: read 12 to 24 words, English or Korean, from this file
    #[arg(long, value_name = "FILE")]
    pub words_from: Option<PathBuf>,
    /// A BIP-39 passphrase of the words (often none); not the one that opens the keystore
    #[arg(long, value_name = "FILE")]
    pub words_passphrase_file: Option<PathBuf>,
    /// The list of new words
    #[arg(long, value_enum, default_value = "english")]
    pub language: Language,
    /// What guessing the keystore's passphrase costs
    #[arg(long, value_enum, default_value = "standard")]
    pub cost: Cost,
    /// Where the travel-rule database is to be (signer, enclave)
    #[arg(long, value_name = "FILE")]
    pub enclave_database: Option<PathBuf>,
    /// Where the key that seals it is to be (signer, enclave)
    #[arg(long, value_name = "FILE")]
    pub enclave_data_key: Option<PathBuf>,
    /// Where our VASP's identity key is to be (signer, enclave)
    #[arg(long, value_name = "FILE")]
    pub enclave_identity_key: Option<PathBuf>,
    /// Where the Ed25519 key is to be (relay, vasp-identity, exchange, observer)
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Keep keystore, keys and stores that are there already, and make only what is missing
    #[arg(long)]
    pub existing: bool,
}

/// Where a keystore's passphrase comes from. Never an argument itself, never an environment variable.
#[derive(Debug, Args)]
pub struct PassphraseArgs {
    /// A file that holds the keystore's passphrase, and nothing else
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// The number of an open file descriptor to read the passphrase from
    #[arg(long, value_name = "NUMBER", conflicts_with = "passphrase_file")]
    pub passphrase_fd: Option<u32>,
}

impl PassphraseArgs {
    /// What was given.
    pub fn source(&self) -> Option<PassphraseSource> {
        let file = self.passphrase_file.clone().map(PassphraseSource::File);
        file.or_else(|| self.passphrase_fd.map(PassphraseSource::Descriptor))
    }

    /// What was given, or what to give.
    pub fn required(&self) -> Result<PassphraseSource, Problem> {
        self.source().ok_or_else(|| {
            missing("--passphrase-file", "name the file of the passphrase, or --passphrase-fd")
        })
    }
}

/// A flag that this role needs.
pub fn missing(flag: &str, cure: &str) -> Problem {
    Problem::config(flag, "is missing", cure)
}

/// Makes what the role needs.
pub async fn run(args: InitArgs) -> Result<Answer, Problem> {
    match args.role {
        InitRole::Signer => party(args, KeyRole::Signer).await,
        InitRole::Cosigner => party(args, KeyRole::Cosigner).await,
        InitRole::Vault => party(args, KeyRole::Vault).await,
        InitRole::Enclave => enclave(args).await,
        InitRole::Relay => machine_key(&args, "relay", "goes into each member's [enclave.relay] key"),
        InitRole::VaspIdentity => {
            machine_key(&args, "vasp-identity", "goes into the trust files of other VASPs and to the relay")
        }
        InitRole::Exchange => machine_key(&args, "exchange", "goes into the trust file, [[request_keys]]"),
        InitRole::Executor => executor(args).await,
        InitRole::Observer => machine_key(&args, "observer", "goes into the trust file, [[statement_keys]]"),
    }
}

fn machine_key(args: &InitArgs, role: &str, goes: &str) -> Result<Answer, Problem> {
    let path = args
        .key_file
        .as_deref()
        .ok_or_else(|| missing("--key-file", "name the file that is to hold the key"))?;
    let public = made_or_kept(path, "--key-file", args.existing)?;
    let text =
        Facts::new().line("role", role).line("key file", path.display()).line("public key", &public).text();
    Ok(Answer::ok(
        json!({ "role": role, "key_file": path, "public_key": public }),
        format!("{text}The public key {goes}.\n"),
    ))
}

/// Makes an Ed25519 key file, or takes up the one that is there; gives the public half.
fn made_or_kept(path: &Path, field: &str, existing: bool) -> Result<String, Problem> {
    if existing && path.exists() {
        let secret = load::hex_key(field, &PassphraseSource::File(path.to_owned()))?;
        return Ok(keyfile::public_hex(&secret));
    }
    let secret = keyfile::fresh()?;
    keyfile::create(path, &secret).map_err(|no| no.at(field))?;
    Ok(keyfile::public_hex(&secret))
}

/// What a party is made of, after flags and configuration were put together.
struct Plan {
    network: Network,
    keystore: PathBuf,
    passphrase: PassphraseSource,
    store: Option<StoreUrl>,
    origin: Option<String>,
    freeze: Option<PathBuf>,
    enclave: Option<EnclavePlan>,
    custodian: Option<CustodianSettings>,
}

struct EnclavePlan {
    database: PathBuf,
    /// Made here, unless the exchange brings the key itself.
    data_key: Option<PathBuf>,
    /// None for an adapter: the network's own enclave server has the keys.
    identity_key: Option<PathBuf>,
}

impl EnclavePlan {
    fn of(enclave: config::EnclaveSettings) -> Result<Self, Problem> {
        Ok(Self {
            database: enclave.database,
            data_key: data_key_file(enclave.data_key)?,
            identity_key: Some(file_of("enclave.identity_key", enclave.identity_key)?),
        })
    }

    fn places(&self) -> Vec<(&'static str, PathBuf)> {
        let mut places = vec![("enclave database", self.database.clone())];
        places.extend(self.data_key.iter().map(|path| ("enclave data key", path.clone())));
        places.extend(self.identity_key.iter().map(|path| ("enclave identity key", path.clone())));
        places
    }

    /// A new data key would open nothing of a database that is there already.
    fn no_lost_key(&self) -> Result<(), Problem> {
        let there = self.data_key.as_ref().is_none_or(|path| path.exists());
        if there || self.database.symlink_metadata().is_err() {
            return Ok(());
        }
        let problem = format!("is missing, and there is a database at `{}` already", self.database.display());
        let cure =
            "put the key file of this database back; without it, move the database away to begin a new one";
        Err(Problem::config("enclave data key", problem, cure))
    }

    /// Makes what is missing; gives the public half of the identity key, if there is one.
    async fn make(&self, existing: bool) -> Result<Option<String>, Problem> {
        let identity = self.identity_key.as_deref();
        let identity =
            identity.map(|path| made_or_kept(path, "enclave identity key", existing)).transpose()?;
        let field = "enclave data key";
        if let Some(path) = &self.data_key {
            made_or_kept(path, field, existing)?;
        }
        if !(existing && self.database.exists()) {
            Enclave::create_database(&self.database).await?;
        }
        let Some(path) = &self.data_key else { return Ok(identity) };
        let key = load::hex_key(field, &PassphraseSource::File(path.clone()))?;
        let tried = Enclave::try_database(&self.database, &DataKey::new(key.expose())).await;
        tried.map_err(|fault| Problem::from(fault).at(field))?;
        Ok(identity)
    }
}

impl Plan {
    fn of(args: &InitArgs, role: KeyRole) -> Result<Self, Problem> {
        let mut plan = match (&args.config, role) {
            (None, _) => Self::of_flags(args, role)?,
            (Some(path), KeyRole::Signer) => {
                let settings = config::signer(path)?;
                let enclave = match settings.travel_rule {
                    TravelRule::Own(enclave) => EnclavePlan::of(*enclave)?,
                    TravelRule::VerifyVasp(adapter) => EnclavePlan {
                        database: adapter.database,
                        data_key: Some(file_of("verifyvasp.data_key", adapter.data_key)?),
                        identity_key: None,
                    },
                };
                Self { enclave: Some(enclave), ..Self::of_config(settings.party)? }
            }
            (Some(path), KeyRole::Cosigner) => {
                let settings = config::cosigner(path)?;
                Self { custodian: settings.custodian, ..Self::of_config(settings.party)? }
            }
            (Some(_), KeyRole::Vault) => {
                return Err(Problem::config(
                    "--config",
                    "is of no use to a vault, which runs no service",
                    "give --network and --keystore",
                ));
            }
        };
        if let Some(source) = args.passphrase.source() {
            plan.passphrase = source;
        }
        Ok(plan)
    }

    fn of_config(party: config::PartyPlaces) -> Result<Self, Problem> {
        Ok(Self {
            network: party.network,
            store: Some(load::store_url(&party.store)?),
            keystore: party.keystore,
            passphrase: party.passphrase,
            origin: Some(party.origin),
            freeze: Some(party.freeze_folder),
            enclave: None,
            custodian: None,
        })
    }

    fn of_flags(args: &InitArgs, role: KeyRole) -> Result<Self, Problem> {
        let serves = role != KeyRole::Vault;
        let wanted =
            |flag: &str| missing(flag, "name it, or give --config with the service's configuration file");
        let store = match (&args.store, &args.store_url_file) {
            (Some(url), _) => Some(config::settings::StorePlace::Url(url.clone())),
            (None, Some(file)) => Some(config::settings::StorePlace::File(file.clone())),
            (None, None) if serves => return Err(wanted("--store")),
            (None, None) => None,
        };
        let enclave = match role {
            KeyRole::Signer => Some(EnclavePlan {
                database: args.enclave_database.clone().ok_or_else(|| wanted("--enclave-database"))?,
                data_key: Some(args.enclave_data_key.clone().ok_or_else(|| wanted("--enclave-data-key"))?),
                identity_key: Some(
                    args.enclave_identity_key.clone().ok_or_else(|| wanted("--enclave-identity-key"))?,
                ),
            }),
            KeyRole::Cosigner | KeyRole::Vault => None,
        };
        if serves && args.origin.is_none() {
            return Err(wanted("--origin"));
        }
        Ok(Self {
            network: args.network.ok_or_else(|| wanted("--network"))?,
            keystore: args.keystore.clone().ok_or_else(|| wanted("--keystore"))?,
            passphrase: args.passphrase.required()?,
            store: store.as_ref().map(load::store_url).transpose()?,
            origin: args.origin.clone().filter(|_| serves),
            freeze: args.freeze_folder.clone().filter(|_| serves),
            enclave,
            custodian: None,
        })
    }

    /// Looks at every place before anything is written, so that a half-made party is rare.
    fn nothing_there(&self, existing: bool) -> Result<(), Problem> {
        if existing {
            return self.enclave.as_ref().map_or(Ok(()), EnclavePlan::no_lost_key);
        }
        let mut places = vec![("keystore", self.keystore.clone())];
        places.extend(self.store.as_ref().and_then(config::sqlite_path).map(|path| ("store", path)));
        places.extend(self.enclave.iter().flat_map(EnclavePlan::places));
        free(places)
    }
}

/// Says no if there is a file at one of the places.
fn free(places: Vec<(&'static str, PathBuf)>) -> Result<(), Problem> {
    match places.into_iter().find(|(_, path)| path.symlink_metadata().is_ok()) {
        None => Ok(()),
        Some((what, path)) => {
            let problem = format!("there is a file at `{}` already", path.display());
            let cure = "nothing is ever overwritten: choose another place, or give --existing to keep it and make only what is missing";
            Err(Problem::config(what, problem, cure))
        }
    }
}

fn file_of(field: &str, source: PassphraseSource) -> Result<PathBuf, Problem> {
    match source {
        PassphraseSource::File(path) => Ok(path),
        PassphraseSource::Descriptor(_) => Err(Problem::config(
            field,
            "comes from a descriptor",
            "make the key with --role vasp-identity and hand it over yourself, or name a file",
        )),
    }
}

/// The file of the data key, where `init` makes one.
fn data_key_file(source: DataKeySource) -> Result<Option<PathBuf>, Problem> {
    match source {
        DataKeySource::Hex(source) => file_of("enclave.data_key", source).map(Some),
        DataKeySource::Plain(_) | DataKeySource::Wrapped(..) => Ok(None),
    }
}

/// Makes what an enclave needs that stands alone.
async fn enclave(args: InitArgs) -> Result<Answer, Problem> {
    let wanted =
        |flag: &str| missing(flag, "name it, or give --config with the enclave's configuration file");
    let plan = match &args.config {
        Some(path) => EnclavePlan::of(config::enclave(Some(path), None)?.enclave)?,
        None => EnclavePlan {
            database: args.enclave_database.clone().ok_or_else(|| wanted("--enclave-database"))?,
            data_key: args.enclave_data_key.clone(),
            identity_key: Some(
                args.enclave_identity_key.clone().ok_or_else(|| wanted("--enclave-identity-key"))?,
            ),
        },
    };
    if args.existing {
        plan.no_lost_key()?
    } else {
        free(plan.places())?
    }
    let identity = plan.make(args.existing).await?.unwrap_or_default();
    let facts = Facts::new()
        .line("role", "enclave")
        .line("enclave identity key", &identity)
        .line("enclave database", plan.database.display());
    Ok(Answer::ok(
        json!({ "role": "enclave", "enclave_identity_key": identity, "enclave_database": plan.database }),
        format!(
            "{}The identity key goes into the trust files of other VASPs and to the relay.\n",
            facts.text()
        ),
    ))
}

async fn party(args: InitArgs, role: KeyRole) -> Result<Answer, Problem> {
    let plan = Plan::of(&args, role)?;
    no_cheap_mainnet(&args, plan.network)?;
    plan.nothing_there(args.existing)?;
    let place = KeyPlace {
        role: role.into(),
        network: plan.network,
        path: &plan.keystore,
        passphrase: &plan.passphrase,
    };
    let (keystore, shown) = keystore(&args, &place)?;
    let mut facts = Facts::new().line("role", role.as_str()).line("network", plan.network);
    let xpub = keystore.account_xpub()?;
    facts = facts.line("keystore", plan.keystore.display());
    let mut told = Map::new();
    told.insert("role".into(), json!(role.as_str()));
    told.insert("network".into(), json!(plan.network.as_str()));
    told.insert("keystore".into(), json!(plan.keystore));
    // Where a custodian holds key B, the coin key of this seed is nobody's, and must not come into a wallet by mistake.
    if plan.custodian.is_none() {
        facts = facts.line("key", &xpub).line("master fingerprint", xpub.fingerprint());
        told.insert("key".into(), json!(xpub.to_string()));
        told.insert("master_fingerprint".into(), json!(xpub.fingerprint()));
    }
    let mut tell = |facts: Facts, key: &str, label: &str, value: String| {
        told.insert(key.to_owned(), Value::String(value.clone()));
        facts.line(label, value)
    };
    if let (Some(origin), Some(url)) = (&plan.origin, &plan.store) {
        let books = Books::of(&keystore, origin)?;
        facts = tell(facts, "log_key", "log key", books.log_key.to_string());
        if role == KeyRole::Cosigner {
            let witnessing = Witnessing::of(&keystore, origin)?;
            facts = tell(facts, "witness_key", "witness key", witnessing.key.to_string());
            let attestation = data_encoding::HEXLOWER.encode(&witnessing.attestation.public_key());
            facts = tell(facts, "attestation_key", "attestation key", attestation);
            if plan.custodian.is_some() {
                let key = data_encoding::HEXLOWER.encode(&witnessing.custody.public_key());
                facts = tell(facts, "custody_order_key", "custody order key", key);
            }
        }
        super::run::create_store(url, books, role.as_str(), args.existing).await?;
        facts = tell(facts, "store", "store", url.to_string());
    }
    for (field, folder) in plan.custodian.iter().flat_map(CustodianSettings::folders) {
        make_folder(folder, field)?;
        let label = match field {
            "custodian.outbox" => "custodian outbox",
            INBOUND_INBOX => "custodian calls",
            _ => "custodian inbox",
        };
        facts = tell(facts, &label.replace(' ', "_"), label, folder.display().to_string());
    }
    if let Some(folder) = &plan.freeze {
        make_folder(folder, "freeze.folder")?;
        facts = tell(facts, "freeze_folder", "freeze folder", folder.display().to_string());
    }
    if let Some(enclave) = &plan.enclave {
        let identity = enclave.make(args.existing).await?;
        if let Some(identity) = identity {
            facts = tell(facts, "enclave_identity_key", "enclave identity key", identity);
        }
        facts = tell(facts, "enclave_database", "enclave database", enclave.database.display().to_string());
    }
    let next = if plan.custodian.is_some() { NEXT_CUSTODIAN } else { next(role) };
    let text = format!("{}{shown}{next}\n", facts.text());
    Ok(Answer::ok(Value::Object(told), text))
}

/// Makes a folder for its owner alone; one that is there is kept, with what is in it.
fn make_folder(folder: &Path, field: &str) -> Result<(), Problem> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Ok(()) => Ok(()),
        Err(error) => Err(Problem::file(folder, &error).at(field)),
    }
}

const NEXT_CUSTODIAN: &str = "\
Next: `countersign descriptor assemble` with the custodian's account key as key B; the witness key goes into the trust file's
log.cosigner, the attestation key into cosigner.attestation_key, the custody order key to the custodian, and the custodian's
own refusal key into cosigner.custodian_key.";

const fn next(role: KeyRole) -> &'static str {
    match role {
        KeyRole::Signer => {
            "Next: `countersign descriptor export`; the log key goes into the trust file's log.signer."
        }
        KeyRole::Cosigner => {
            "Next: `countersign descriptor export`; the witness key goes into the trust file's log.cosigner, the \
             attestation key into cosigner.attestation_key."
        }
        KeyRole::Vault => "Next: `countersign descriptor export`.",
    }
}

/// Which keystore is made, and where.
struct KeyPlace<'a> {
    role: KeystoreRole,
    network: Network,
    path: &'a Path,
    passphrase: &'a PassphraseSource,
}

/// Makes keystore and ledger of an executor, whose configuration names all of it.
async fn executor(args: InitArgs) -> Result<Answer, Problem> {
    let cure = "write the executor's configuration first; deploy/executor.example.toml shows every field";
    let settings = config::executor(args.config.as_deref().ok_or_else(|| missing("--config", cure))?)?;
    no_cheap_mainnet(&args, settings.network)?;
    let url = load::store_url(&settings.store)?;
    if !args.existing {
        let keystore = [("keystore", settings.keystore.clone())];
        free(keystore.into_iter().chain(config::sqlite_path(&url).map(|path| ("store", path))).collect())?;
    }
    let given = args.passphrase.source();
    let place = KeyPlace {
        role: KeystoreRole::Executor,
        network: settings.network,
        path: &settings.keystore,
        passphrase: given.as_ref().unwrap_or(&settings.passphrase),
    };
    let (keystore, shown) = keystore(&args, &place)?;
    let account = super::run::executor::account(&settings, &keystore)?.address().to_string();
    let books = Books::of(&keystore, &settings.origin)?;
    let log_key = books.log_key.to_string();
    super::run::create_store(&url, books, "executor", args.existing).await?;
    let chain = settings.nodes.chain;
    let facts = Facts::new()
        .line("role", "executor")
        .line("keystore", settings.keystore.display())
        .line("account", format!("{account} on {chain}"))
        .line("log key", &log_key)
        .line("store", &url);
    let json = json!({ "role": "executor", "keystore": settings.keystore, "chain": chain.to_string(),
        "account": account, "log_key": log_key, "store": url.to_string() });
    Ok(Answer::ok(json, format!("{}{shown}{NEXT_EXECUTOR}\n", facts.text())))
}

const NEXT_EXECUTOR: &str = "\
Next: send the account some of the chain's coin for gas, and have a certificate issued:
`countersign pki issue --role executor`.";

fn no_cheap_mainnet(args: &InitArgs, network: Network) -> Result<(), Problem> {
    if args.cost != Cost::Cheap || network != Network::Mainnet {
        return Ok(());
    }
    let problem = "cheap is refused on mainnet: the passphrase could be guessed";
    Err(Problem::config("--cost", problem, "leave it out"))
}

/// Makes the keystore, or opens the one that is there; with what to tell of the words.
fn keystore(args: &InitArgs, place: &KeyPlace<'_>) -> Result<(OpenKeystore, String), Problem> {
    let passphrase = place.passphrase.read()?;
    if args.existing && place.path.exists() {
        let open = keys::open(&keys::read_file(place.path)?, &passphrase)?;
        if open.terms().role != place.role || open.terms().network != place.network {
            let cure = "name the keystore of this party and network";
            return Err(Problem::config("keystore", "is another party's or of another network", cure));
        }
        return Ok((open, String::new()));
    }
    let cost = match args.cost {
        Cost::Standard => SealCost::STANDARD,
        Cost::Cheap => SealCost::danger_cheap(),
    };
    let terms = KeystoreTerms { role: place.role, network: place.network, account: args.account, cost };
    let (phrase, shown) = words::obtain(args)?;
    let bip39 = match &args.words_passphrase_file {
        Some(file) => PassphraseSource::File(file.clone()).read()?,
        None => SecretBytes::take_from(&mut []),
    };
    let seed = phrase.to_seed(&bip39)?;
    drop(phrase);
    let (mut salt, mut nonce) = ([0; 16], [0; 24]);
    let random = getrandom::fill(&mut salt).and_then(|()| getrandom::fill(&mut nonce));
    random.map_err(|_| Problem::of(crate::withdrawal::Code::Internal, "the system gives no randomness"))?;
    let sealed = Zeroizing::new(keys::seal(&seed, terms, &passphrase, salt, nonce)?);
    keys::create_file(place.path, &sealed)?;
    Ok((keys::open(&sealed, &passphrase)?, shown))
}
