//! The wallet's descriptor: one key out of a keystore, three keys into a wallet, and the fingerprint that people compare.

mod safe;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{Answer, Facts};
use super::config::{self, load};
use super::init::PassphraseArgs;
use super::now;
use super::problem::{Exit, Problem};
use crate::bitcoin::{AccountKey, Branch, WalletDescriptor};
use crate::ethereum::{Address, address_of, verify_possession};
use crate::evidence::PossessionText;
use crate::keys::{self, AccountXpub, KeyRole, KeystoreRole, Seat, SeatKeys};
use crate::withdrawal::evm_address::{read as read_account, spell};
use crate::withdrawal::{Code, Network};

pub use safe::SafeArgs;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum DescriptorCommand {
    /// Print the account key of a keystore, with a proof that its holder has it
    #[command(after_help = EXPORT_HELP)]
    Export(ExportArgs),
    /// Put three account keys together into the wallet's descriptor
    #[command(after_help = ASSEMBLE_HELP)]
    Assemble(AssembleArgs),
    /// Find the Safe of three owners: where the canonical factory puts it, and the lines that pin it
    #[command(after_help = safe::HELP)]
    Safe(SafeArgs),
    /// Print the fingerprints of a wallet and the lines that pin it, or compare with what is pinned
    #[command(after_help = PIN_HELP)]
    Pin(PinArgs),
}

const EXPORT_HELP: &str = "\
Examples:
  countersign descriptor export --keystore keystore --passphrase-file pass --json > a.json
  countersign descriptor export --config signer.toml

The JSON form goes to `descriptor assemble` and `descriptor safe`. Nothing in it is secret.";

const ASSEMBLE_HELP: &str = "\
Examples:
  countersign descriptor assemble --network mainnet --key a.json --key b.json --key c.json
  countersign descriptor assemble --network regtest --cold --key c1.json --key c2.json --key c3.json

Give the keys in the order signer, co-signer, vault. A key is the file that `descriptor export --json` wrote, whose proof of
possession is checked, or the key expression itself, for which nothing is proved.";

const PIN_HELP: &str = "\
Examples:
  countersign descriptor pin --network mainnet --hot 'wsh(...)#abcdefgh' --cold 'wsh(...)#abcdefgh'
  countersign descriptor pin --config signer.toml

The first prints the lines for the trust file and for the configuration; the second compares what the trust file holds with
what the configuration pins. Compare the sixteen digits with the paper, on each machine by itself.";

/// What `export` takes.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The keystore
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    pub keystore: Option<PathBuf>,
    /// What opens the keystore.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Take both from a signer's or co-signer's configuration
    #[arg(long, value_name = "FILE", conflicts_with = "keystore")]
    pub config: Option<PathBuf>,
}

/// What `assemble` takes.
#[derive(Debug, Args)]
pub struct AssembleArgs {
    /// mainnet, testnet4, signet or regtest
    #[arg(long, value_parser = Network::parse)]
    pub network: Network,
    /// A key expression, or a file of `descriptor export --json`; three times, in the order A, B, C
    #[arg(long = "key", value_name = "KEY", required = true)]
    pub keys: Vec<String>,
    /// It is the cold wallet: all three keys are a vault's
    #[arg(long)]
    pub cold: bool,
}

/// What `pin` takes.
#[derive(Debug, Args)]
pub struct PinArgs {
    /// mainnet, testnet4, signet or regtest
    #[arg(long, value_parser = Network::parse, required_unless_present = "config")]
    pub network: Option<Network>,
    /// The hot wallet's descriptor, or a file that holds it
    #[arg(long, value_name = "DESCRIPTOR", required_unless_present = "config")]
    pub hot: Option<String>,
    /// The cold wallet's descriptor, or a file that holds it
    #[arg(long, value_name = "DESCRIPTOR")]
    pub cold: Option<String>,
    /// Compare the trust file with what this signer's or co-signer's configuration pins
    #[arg(long, value_name = "FILE", conflicts_with_all = ["network", "hot", "cold"])]
    pub config: Option<PathBuf>,
}

/// An account key with its proof, as it travels between machines.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    role: String,
    network: String,
    key: String,
    master_fingerprint: String,
    path: String,
    possession_text: String,
    possession_signature: String,
    /// The seat's account on EVM chains; files of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<SeatExport>,
}

/// The account that is an owner of Safes, and its signature over the same text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeatExport {
    address: String,
    possession_signature: String,
}

impl SeatExport {
    fn of(seat: &SeatKeys, text: &str) -> Result<Self, Problem> {
        let account = address_of(&seat.public_key(Seat::Owner)?);
        let account = account.ok_or_else(|| Problem::of(Code::Internal, "the seat's key is no point"))?;
        let signed = seat.prove_possession(text)?;
        let signature = [signed.compact().as_slice(), &[signed.recovery_id()]].concat();
        Ok(Self { address: spell(account), possession_signature: HEXLOWER.encode(&signature) })
    }

    /// The account, if its key signed that text.
    fn proved(&self, text: &str) -> Option<Address> {
        let account = read_account(&self.address).ok()?;
        let signature = HEXLOWER.decode(self.possession_signature.as_bytes()).ok()?;
        let (compact, id) = signature.split_first_chunk::<64>()?;
        let [id] = id else { return None };
        verify_possession(account, text, compact, *id).then_some(account)
    }
}

/// Runs one of the commands.
pub fn run(command: &DescriptorCommand) -> Result<Answer, Problem> {
    match command {
        DescriptorCommand::Export(args) => export(args),
        DescriptorCommand::Assemble(args) => assemble(args),
        DescriptorCommand::Safe(args) => safe::run(args),
        DescriptorCommand::Pin(args) => pin(args),
    }
}

/// Reads a configuration of either party.
pub fn party_of(path: &Path) -> Result<config::PartyPlaces, Problem> {
    match config::signer(path) {
        Ok(settings) => Ok(settings.party),
        Err(as_signer) => config::cosigner(path).map(|settings| settings.party).map_err(|as_cosigner| {
            // The signer's file has tables that the co-signer's refuses; the error of the nearer one helps.
            let is_signer = std::fs::read_to_string(path).is_ok_and(|text| text.contains("[enclave]"));
            if is_signer { as_signer } else { as_cosigner }
        }),
    }
}

fn export(args: &ExportArgs) -> Result<Answer, Problem> {
    let (path, source) = match (&args.config, &args.keystore) {
        (Some(config), _) => {
            let party = party_of(config)?;
            if config::cosigner(config).is_ok_and(|settings| settings.custodian.is_some()) {
                let cure = "take key B from the custodian, and give it to `descriptor assemble`";
                return Err(Problem::config(
                    "custodian",
                    "holds key B: this keystore has no key of the wallet",
                    cure,
                ));
            }
            (party.keystore, args.passphrase.source().unwrap_or(party.passphrase))
        }
        (None, Some(keystore)) => (keystore.clone(), args.passphrase.required()?),
        (None, None) => return Err(super::init::missing("--keystore", "name the keystore")),
    };
    let keystore = keys::open(&keys::read_file(&path)?, &source.read()?)?;
    let hot = keystore.hot_key()?;
    let xpub = hot.xpub();
    let KeystoreRole::Party(role) = keystore.terms().role else {
        let problem = "is an executor's: it has no key of a wallet";
        return Err(Problem::config("keystore", problem, "name the keystore of a party or of the vault"));
    };
    let text = PossessionText { role, network: xpub.network(), key: xpub.to_string(), at: now() };
    let text = text.render();
    let export = Export {
        role: role.as_str().to_owned(),
        network: xpub.network().to_string(),
        key: xpub.to_string(),
        master_fingerprint: xpub.fingerprint(),
        path: xpub.path(),
        possession_signature: HEXLOWER.encode(&hot.prove_possession(&text)?.der()),
        owner: Some(SeatExport::of(&keystore.seat_keys()?, &text)?),
        possession_text: text,
    };
    let facts = Facts::new()
        .line("role", &export.role)
        .line("network", &export.network)
        .line("path", &export.path)
        .line("master fingerprint", &export.master_fingerprint)
        .line("key", &export.key)
        .maybe("owner of Safes", export.owner.as_ref().map(|owner| &owner.address));
    let shown = format!(
        "{}Use --json to hand it to `descriptor assemble` and `descriptor safe` with its proofs of possession.\n",
        facts.text()
    );
    let json = serde_json::to_value(&export)
        .map_err(|error| Problem::of(crate::withdrawal::Code::Internal, error.to_string()))?;
    Ok(Answer::ok(json, shown))
}

fn assemble(args: &AssembleArgs) -> Result<Answer, Problem> {
    let ([a, b, c], roles) = three(&args.keys, args.cold)?;
    let mut proved = Vec::new();
    let mut read = |text: &str, role| -> Result<AccountKey, Problem> {
        let (key, has_proof) = read_key(args.network, text, role)?;
        proved.push(has_proof);
        Ok(AccountKey::parse(args.network, &key)?)
    };
    let [for_a, for_b, for_c] = roles;
    let keys = [read(a, for_a)?, read(b, for_b)?, read(c, for_c)?];
    let wallet = WalletDescriptor::assemble(args.network, keys)?;
    let first = wallet.address(Branch::Deposit, 0)?;
    let all = proved.iter().all(|has_proof| *has_proof);
    let facts = Facts::new()
        .line("network", args.network)
        .line("descriptor", wallet.as_str())
        .line("fingerprint", wallet.fingerprint())
        .line("first address", &first)
        .line("proofs of possession", if all { "all three hold" } else { "NOT given for every key" });
    let warning = if all {
        ""
    } else {
        "A wallet without proofs may hold a key that nobody has. Use the files of `descriptor export --json`.\n"
    };
    Ok(Answer::ok(
        json!({
            "network": args.network.as_str(), "descriptor": wallet.as_str(), "fingerprint": wallet.fingerprint(),
            "first_address": first, "proved": proved,
        }),
        format!("{}{warning}", facts.text()),
    ))
}

/// A key expression, and whether its possession was proved.
fn read_key(network: Network, text: &str, role: KeyRole) -> Result<(String, bool), Problem> {
    if text.starts_with('[') {
        return Ok((text.to_owned(), false));
    }
    read_export(network, text, role).map(|export| (export.key, true))
}

/// The three keys of a wallet, and whose each must be.
fn three(keys: &[String], cold: bool) -> Result<([&String; 3], [KeyRole; 3]), Problem> {
    let roles = match cold {
        true => [KeyRole::Vault; 3],
        false => [KeyRole::Signer, KeyRole::Cosigner, KeyRole::Vault],
    };
    let [a, b, c] = keys else {
        let problem = format!("is given {} times", keys.len());
        return Err(Problem::config("--key", problem, "give exactly three keys, in the order A, B, C"));
    };
    Ok(([a, b, c], roles))
}

/// What `export` wrote, with the proof of possession of its account key verified.
fn read_export(network: Network, text: &str, role: KeyRole) -> Result<Export, Problem> {
    let path = Path::new(text);
    let content = std::fs::read_to_string(path).map_err(|error| Problem::file(path, &error).at("--key"))?;
    let no = |problem: String| not_exported(text, problem);
    let export: Export =
        serde_json::from_str(&content).map_err(|error| no(format!("cannot be read: {error}")))?;
    if export.network != network.as_str() || export.role != role.as_str() {
        let problem = format!(
            "is the {}'s key on {}, expected the {}'s on {network}",
            export.role,
            export.network,
            role.as_str()
        );
        return Err(no(problem));
    }
    let said = PossessionText::parse(&export.possession_text).map_err(|invalid| no(invalid.to_string()))?;
    let key = AccountXpub::parse(&export.key, network).map_err(|error| no(error.to_string()))?;
    let der = HEXLOWER.decode(export.possession_signature.as_bytes()).unwrap_or_default();
    let holds = said.key == export.key && said.network == network && said.role == role;
    if !holds || !keys::verify_possession(&key, &export.possession_text, &der) {
        return Err(no("its proof of possession does not hold".into()));
    }
    Ok(export)
}

fn not_exported(text: &str, problem: String) -> Problem {
    let cure = "use the file of `countersign descriptor export --json`";
    Problem::config(format!("--key {text}"), problem, cure)
}

fn pin(args: &PinArgs) -> Result<Answer, Problem> {
    if let Some(path) = &args.config {
        return compare(path);
    }
    let network = args.network.ok_or_else(|| super::init::missing("--network", "name it"))?;
    let hot = args.hot.as_deref().ok_or_else(|| super::init::missing("--hot", "give the descriptor"))?;
    let hot = read_wallet(network, hot, "--hot")?;
    let cold = args.cold.as_deref().map(|text| read_wallet(network, text, "--cold")).transpose()?;
    if cold.as_ref().is_some_and(|cold| hot.shares_key_with(cold)) {
        return Err(Problem::config(
            "--cold",
            "shares a key with the hot wallet",
            "make the cold wallet of keys of its own",
        ));
    }
    let cold_print = cold.as_ref().map(WalletDescriptor::fingerprint);
    let mut text = Facts::new()
        .line("hot fingerprint", hot.fingerprint())
        .maybe("cold fingerprint", cold_print.as_ref())
        .text();
    text.push_str(&format!(
        "\nFor the trust file:\n\n[[wallets]]\nnetwork = \"{network}\"\nhot = \"{}\"\n",
        hot.as_str()
    ));
    if let Some(cold) = &cold {
        text.push_str(&format!("cold = \"{}\"\n", cold.as_str()));
    }
    text.push_str(&format!(
        "\nFor the configuration, once compared with the paper:\n\n[wallet]\nhot_fingerprint = \"{}\"\n",
        hot.fingerprint()
    ));
    if let Some(cold) = &cold_print {
        text.push_str(&format!("cold_fingerprint = \"{cold}\"\n"));
    }
    Ok(Answer::ok(
        json!({ "network": network.as_str(), "hot_fingerprint": hot.fingerprint(), "cold_fingerprint": cold_print }),
        text,
    ))
}

fn read_wallet(network: Network, text: &str, flag: &str) -> Result<WalletDescriptor, Problem> {
    let text = match text.starts_with("wsh(") {
        true => text.to_owned(),
        false => {
            std::fs::read_to_string(text).map_err(|error| Problem::file(Path::new(text), &error).at(flag))?
        }
    };
    WalletDescriptor::parse(network, text.trim()).map_err(|no| Problem::from(no).at(flag))
}

fn compare(path: &Path) -> Result<Answer, Problem> {
    let party = party_of(path)?;
    let trust = load::trust(&party.trust)?;
    let mut same = true;
    let mut facts = Facts::new();
    let mut json = json!({ "network": party.network.as_str() });
    let wallets = [
        ("hot", trust.hot_descriptor(party.network), &party.hot_fingerprint),
        ("cold", trust.cold_descriptor(party.network), &party.cold_fingerprint),
    ];
    for (which, descriptor, pinned) in wallets {
        let found = match descriptor {
            Some(text) => WalletDescriptor::parse(party.network, text).map(|wallet| wallet.fingerprint())?,
            None => "none".to_owned(),
        };
        same &= found == *pinned;
        let word = if found == *pinned { "as pinned" } else { "NOT as pinned" };
        facts =
            facts.line(format!("{which} wallet of the trust file"), format!("{found}  {word} ({pinned})"));
        if let Some(map) = json.as_object_mut() {
            map.insert(format!("{which}_fingerprint"), json!(found));
            map.insert(format!("{which}_pinned"), json!(pinned));
        }
    }
    let exit = if same { Exit::Ok } else { Exit::No };
    Ok(Answer { exit, json, text: facts.text() })
}
