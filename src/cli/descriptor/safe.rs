//! The Safe of three owners, before it stands: its address, the factory's call that puts it there, and the lines that pin it.

use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::json;

use super::{not_exported, read_export, three};
use crate::cli::answer::{Answer, Facts};
use crate::cli::problem::Problem;
use crate::ethereum::{Address, Blueprint, Make, Owners, Release, SafeWallet, Singleton, U256};
use crate::withdrawal::evm_address::spell;
use crate::withdrawal::{Chain, ChainId, KeyRole, Network};

/// What is said below the help.
pub const HELP: &str = "\
Examples:
  countersign descriptor safe --network mainnet --chain eip155:1 --key a.json --key b.json --key c.json
  countersign descriptor safe --network mainnet --chain eip155:1 --cold --key c1.json --key c2.json --key c3.json

Give the files of `descriptor export --json` in the order signer, co-signer, vault; each proof of possession is checked. Asks no
node: the same owners and salt have the same address on every chain, and anybody may send the factory the call that is printed.";

/// What `safe` takes.
#[derive(Debug, Args)]
pub struct SafeArgs {
    /// The network of the keystores: mainnet, testnet4, signet or regtest
    #[arg(long, value_parser = Network::parse)]
    pub network: Network,
    /// The chain it will stand on, such as eip155:1
    #[arg(long, value_parser = chain_of)]
    pub chain: ChainId,
    /// A file of `descriptor export --json`; three times, in the order A, B, C
    #[arg(long = "key", value_name = "FILE", required = true)]
    pub keys: Vec<String>,
    /// It is the cold Safe: all three keys are a vault's
    #[arg(long)]
    pub cold: bool,
    /// Another number, another address
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub salt: u64,
    /// The release of its contracts: 1.4.1 or 1.5.0
    #[arg(long, default_value = "1.4.1", value_parser = release_of)]
    pub release: &'static Release,
    /// The contract that its proxy runs: l1 is `Safe`, l2 is `SafeL2`, which tells more in events
    #[arg(long, default_value = "l2", value_parser = ["l1", "l2"])]
    pub singleton: String,
}

fn chain_of(text: &str) -> Result<ChainId, String> {
    match Chain::parse(text) {
        Ok(Chain::Evm(chain)) => Ok(chain),
        _ => Err("is no chain such as eip155:1".to_owned()),
    }
}

fn release_of(text: &str) -> Result<&'static Release, String> {
    Release::of(text).ok_or_else(|| "is neither 1.4.1 nor 1.5.0".to_owned())
}

/// Finds the Safe.
pub fn run(args: &SafeArgs) -> Result<Answer, Problem> {
    let ([a, b, c], [for_a, for_b, for_c]) = three(&args.keys, args.cold)?;
    let owner = |key, role| owner_of(args.network, key, role);
    let (a, b, c) = (owner(a, for_a)?, owner(b, for_b)?, owner(c, for_c)?);
    let owners = Owners::new(a, b, c).ok_or_else(|| {
        Problem::config("--key", "gives one owner twice", "give the files of three seeds, each of its own")
    })?;
    let singleton = if args.singleton == "l2" { Singleton::Telling } else { Singleton::Plain };
    let make = Make { release: args.release, singleton };
    let salt = U256::from(args.salt);
    let safe = SafeWallet::predict(args.chain, make, owners, salt);
    let call = Blueprint::new(make, &owners.all(), crate::ethereum::wallet::THRESHOLD).deployment(salt);
    Ok(shown(args, &safe, &call))
}

fn owner_of(network: Network, text: &str, role: KeyRole) -> Result<Address, Problem> {
    let export = read_export(network, text, role)?;
    let owner = export.owner.as_ref().ok_or_else(|| not_exported(text, "names no owner of Safes".into()))?;
    let proved = owner.proved(&export.possession_text);
    proved.ok_or_else(|| not_exported(text, "the owner's proof of possession does not hold".into()))
}

fn shown(args: &SafeArgs, safe: &SafeWallet, call: &[u8]) -> Answer {
    let (address, factory) = (spell(safe.address()), spell(args.release.factory.address));
    let [a, b, c] = safe.owners().all().map(spell);
    let (call, version) = (format!("0x{}", HEXLOWER.encode(call)), args.release.version);
    let facts = Facts::new()
        .line("chain", args.chain)
        .line("safe", &address)
        .line("owners", format!("{a} {b} {c}, two must sign"))
        .line("factory", &factory)
        .line("call that puts it there", &call);
    let lines = match args.cold {
        true => format!("cold = \"{address}\"\n"),
        false => format!(
            "[[wallets]]\nnetwork = \"{}\"\nhot = \"{address}\"\n[wallets.safe]\nrelease = \"{version}\"\nsingleton = \"{}\"\n\
             signer = \"{a}\"\ncosigner = \"{b}\"\nvault = \"{c}\"\n",
            args.chain, args.singleton
        ),
    };
    let json = json!({
        "chain": args.chain.to_string(), "safe": address, "owners": [a, b, c], "release": version,
        "singleton": args.singleton, "salt": args.salt, "factory": factory, "deployment": call,
    });
    Answer::ok(json, format!("{}\nFor the trust file:\n\n{lines}", facts.text()))
}
