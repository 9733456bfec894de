//! Where a Safe will stand, from its owners alone.

use alloy_primitives::{U256, hex};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::owner::read_owner;
use crate::cli::answer::{Answer, Facts};
use crate::cli::problem::Problem;
use crate::ethereum::wallet::THRESHOLD;
use crate::ethereum::{Blueprint, Make, Owners, Release, SafeWallet, Singleton};
use crate::keys::KeyRole;
use crate::withdrawal::ChainId;
use crate::withdrawal::evm_address::spell;

/// What `predict` takes.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The chain, by its CAIP-2 id
    #[arg(long, value_name = "eip155:N", value_parser = ChainId::parse)]
    pub chain: ChainId,
    /// A file of `safe owner --json`, or an address; three times, in the order A, B, C
    #[arg(long = "owner", value_name = "OWNER", required = true)]
    pub owners: Vec<String>,
    /// It is the cold Safe: all three owners are vaults
    #[arg(long)]
    pub cold: bool,
    /// The release of the contracts
    #[arg(long, default_value = "1.4.1", value_parser = release)]
    pub release: &'static Release,
    /// Which contract its proxy runs: l1 is `Safe`, l2 is `SafeL2`, which tells everything in events
    #[arg(long, value_enum, default_value = "l2")]
    pub singleton: Which,
    /// Tells Safes of the same owners apart
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub salt: u64,
}

/// The singleton's word in the trust file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// `Safe`.
    L1,
    /// `SafeL2`.
    L2,
}

impl Which {
    const fn word(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
        }
    }

    const fn singleton(self) -> Singleton {
        match self {
            Self::L1 => Singleton::Plain,
            Self::L2 => Singleton::Telling,
        }
    }
}

fn release(text: &str) -> Result<&'static Release, String> {
    let known = || Release::ALL.map(|release| release.version).join(", ");
    Release::of(text).ok_or_else(|| format!("`{text}` is no trusted release; known are {}", known()))
}

/// Says where it will stand.
pub fn predict(args: &PredictArgs) -> Result<Answer, Problem> {
    let (owners, proved) = owners(args)?;
    let make = Make { release: args.release, singleton: args.singleton.singleton() };
    let salt = U256::from(args.salt);
    let wallet = SafeWallet::predict(args.chain, make, owners, salt);
    let deployment = Blueprint::new(make, &owners.all(), THRESHOLD).deployment(salt);
    let (safe, factory) = (spell(wallet.address()), spell(args.release.factory.address));
    let data = hex::encode_prefixed(&deployment);
    let all = proved.iter().all(|has_proof| *has_proof);
    let facts = Facts::new()
        .line("chain", args.chain)
        .line("Safe", &safe)
        .line("release", format!("{}, {}, salt {}", args.release.version, args.singleton.word(), args.salt))
        .line("owners", format!("{}, {THRESHOLD} of 3", owners.all().map(spell).join(" ")))
        .line("proofs of possession", if all { "all three hold" } else { "NOT given for every owner" });
    let warning = if all {
        ""
    } else {
        "A Safe without proofs may have an owner whose key nobody has. Use the files of `safe owner --json`.\n"
    };
    let text = format!(
        "{}{warning}\nIt is deployed by this call, from any account:\n\nto:   {factory}\ndata: {data}\n\n{}",
        facts.text(),
        pins(args, &safe, &owners),
    );
    Ok(Answer::ok(document(args, (&safe, &owners), (factory, data), &proved), text))
}

fn owners(args: &PredictArgs) -> Result<(Owners, Vec<bool>), Problem> {
    let roles = if args.cold { [KeyRole::Vault; 3] } else { KeyRole::ALL };
    let [a, b, c] = args.owners.as_slice() else {
        let problem = format!("is given {} times", args.owners.len());
        return Err(Problem::config("--owner", problem, "give exactly three owners, in the order A, B, C"));
    };
    let [for_a, for_b, for_c] = roles;
    let (a, b, c) = (read_owner(a, for_a)?, read_owner(b, for_b)?, read_owner(c, for_c)?);
    let owners = Owners::new(a.0, b.0, c.0).ok_or_else(|| {
        let problem = "are not three different addresses that somebody may hold";
        Problem::config("--owner", problem, "give three owners, each with a key of its own")
    })?;
    Ok((owners, vec![a.1, b.1, c.1]))
}

/// The lines of the trust file.
fn pins(args: &PredictArgs, safe: &str, owners: &Owners) -> String {
    if args.cold {
        return format!("For the trust file, beside the hot Safe of {}:\n\ncold = \"{safe}\"\n", args.chain);
    }
    let [signer, cosigner, vault] = owners.all().map(spell);
    format!(
        "For the trust file:\n\n[[wallets]]\nnetwork = \"{}\"\nhot = \"{safe}\"\n[wallets.safe]\nrelease = \"{}\"\nsingleton = \"{}\"\n\
         signer = \"{signer}\"\ncosigner = \"{cosigner}\"\nvault = \"{vault}\"\n",
        args.chain,
        args.release.version,
        args.singleton.word(),
    )
}

fn document(
    args: &PredictArgs,
    (safe, owners): (&str, &Owners),
    (factory, data): (String, String),
    proved: &[bool],
) -> Value {
    json!({
        "chain": args.chain.to_string(),
        "safe": safe,
        "release": args.release.version,
        "singleton": args.singleton.word(),
        "salt": args.salt,
        "owners": owners.all().map(spell),
        "threshold": THRESHOLD,
        "proved": proved,
        "deployment": { "to": factory, "data": data },
    })
}
