//! A seat's next owner: proposed where nodes can be asked, signed on two owners' machines where nothing can.

use std::path::{Path, PathBuf};

use alloy_primitives::hex;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::owner::read_owner;
use crate::cli::answer::{Answer, Facts};
use crate::cli::config::{self, load};
use crate::cli::descriptor::{ExportArgs, role_of};
use crate::cli::problem::Problem;
use crate::cli::run::nodes::nodes;
use crate::ethereum::{Address, CheckedSafeTx, FinishedSafeTx, SafeFacts, SafeWallet, TrustedSafe, judge};
use crate::evidence::Trust;
use crate::flow::rotation::{self, Rotation, SignedRotation};
use crate::keys::KeyRole;
use crate::withdrawal::ChainId;
use crate::withdrawal::evm_address::{read, spell};

/// Which of a chain's Safes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The hot Safe; the first, where there are several.
    Hot,
    /// The treasury, which owns the deposit addresses: they all follow it.
    Treasury,
    /// The one with this address.
    At(Address),
}

impl Which {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "hot" => Ok(Self::Hot),
            "treasury" => Ok(Self::Treasury),
            address => read(address).map(Self::At).map_err(|no| {
                format!("`{address}` is neither `hot` nor `treasury`, and as an address it {no}")
            }),
        }
    }
}

/// Whose seat goes to whom.
#[derive(Debug, Args)]
pub struct SeatArgs {
    /// The chain, by its CAIP-2 id
    #[arg(long, value_name = "eip155:N", value_parser = ChainId::parse)]
    pub chain: ChainId,
    /// Which Safe: `hot`, `treasury` (all deposit addresses follow it), or an address where there are several hot ones
    #[arg(long, value_name = "WHICH", value_parser = Which::parse, default_value = "hot")]
    pub of: Which,
    /// The seat: signer, cosigner or vault
    #[arg(long, value_parser = seat)]
    pub seat: KeyRole,
    /// Its next owner: a file of `safe owner --json`, or an address
    #[arg(long, value_name = "OWNER")]
    pub to: String,
}

/// What `rotate` takes.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// An observer's configuration: the nodes, their quorum, and the trust file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub seat: SeatArgs,
}

/// What `sign` takes.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The paper that `safe rotate --json` or the first owner's `safe sign --json` wrote
    pub paper: PathBuf,
    /// Any configuration with a [trust] table, where --config is not given
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    pub trust: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub keystore: ExportArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub seat: SeatArgs,
}

/// What travels between the machines. Only the list's order, the nonce and the proposal are taken from it, and those are checked.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paper {
    chain: String,
    safe: String,
    nonce: u64,
    seat: String,
    from: String,
    to: String,
    owners_as_listed: Vec<String>,
    safe_tx_hash: String,
    signed_by: Option<String>,
    proposal: String,
}

fn seat(text: &str) -> Result<KeyRole, String> {
    let found = KeyRole::ALL.into_iter().find(|role| role.as_str() == text);
    found.ok_or_else(|| format!("`{text}` is none of signer, cosigner, vault"))
}

impl SeatArgs {
    fn rotation(&self) -> Result<Rotation, Problem> {
        let (to, _) = read_owner(&self.to, self.seat).map_err(|problem| problem.at("--to"))?;
        Ok(Rotation { seat: self.seat, to })
    }

    fn wallet(&self, trust: &Trust) -> Result<SafeWallet, Problem> {
        let no = |field, problem: String| {
            Problem::config(field, problem, "name what the trust file pins, or have its quorum pin it")
        };
        let pins = load::safes(trust)?.remove(&self.chain);
        let pins = pins.ok_or_else(|| no("--chain", format!("no Safe is pinned on {}", self.chain)))?;
        match self.of {
            Which::Hot => Ok(pins.hot),
            Which::At(address) => {
                let pinned = pins.signed_for().find(|safe| safe.address() == address);
                pinned.cloned().ok_or_else(|| no("--of", format!("{} is not pinned", spell(address))))
            }
            Which::Treasury => pins.treasury.ok_or_else(|| no("--of", "no treasury is pinned".to_owned())),
        }
    }
}

/// Reads the Safe from the nodes, and proposes.
pub async fn rotate(args: &RotateArgs) -> Result<Answer, Problem> {
    let settings = config::observer(&args.config)?;
    let trust = load::trust(&settings.trust)?;
    let wallet = args.seat.wallet(&trust)?;
    let known = settings.chains.iter().find(|chain| chain.nodes.chain == args.seat.chain);
    let known = known.ok_or_else(|| {
        let cure = "write a [[chains]] for it into the configuration";
        Problem::config("--chain", format!("is {}, which is not observed", args.seat.chain), cure)
    })?;
    let nodes = nodes(&known.nodes)?;
    let at = nodes.last_final().await.map_err(|no| Problem::of(no.code(), no.to_string()))?.block();
    let facts = nodes.safe(&at, wallet.address(), wallet.make().release).await;
    let facts =
        facts.map_err(|no| Problem::config("--of", no.to_string(), "see `countersign safe check`"))?;
    let safe = judge(&wallet, facts.value()).map_err(|differs| {
        Problem::config("--of", format!("is not as pinned: {differs}"), "see `countersign safe check`")
    })?;
    let rotation = args.seat.rotation()?;
    let proposal = rotation::propose(&safe, rotation).map_err(|no| no_rotation(&no.to_string()))?;
    let checked = checked(&proposal, &safe, rotation, None)?;
    let paper = paper(&checked, &safe, rotation, (None, &proposal));
    let next = "Nothing is signed yet. Freeze both parties, let what is booked come to rest, and take the JSON form to two owners: `safe sign`.\n";
    shown(&paper, next)
}

/// Signs as one owner.
pub fn sign(args: &SignArgs) -> Result<Answer, Problem> {
    let trust = match (&args.keystore.config, &args.trust) {
        (_, Some(path)) => load::trust(&config::trust_of(path)?)?,
        (Some(config), None) => load::trust(&crate::cli::descriptor::party_of(config)?.trust)?,
        (None, None) => {
            return Err(crate::cli::init::missing("--trust", "name a configuration with a [trust]"));
        }
    };
    let (wallet, rotation) = (args.seat.wallet(&trust)?, args.seat.rotation()?);
    let told = read_paper(&args.paper)?;
    let listed = told.owners_as_listed.iter().map(|one| read(one)).collect::<Result<Vec<Address>, _>>();
    let listed = listed.map_err(|problem| other(&format!("an owner of it {problem}")))?;
    let safe = judge(&wallet, &SafeFacts::supposed(&wallet, listed, told.nonce))
        .map_err(|differs| other(&format!("it is about another Safe: {differs}")))?;
    let first = told.signed_by.as_deref().map(seat).transpose().map_err(|problem| other(&problem))?;
    let proposal = hex::decode(&told.proposal).map_err(|_| other("its proposal is no hex"))?;
    let checked = checked(&proposal, &safe, rotation, first)?;
    if paper(&checked, &safe, rotation, (first, &proposal)) != told {
        return Err(other("it says other things than the proposal in it"));
    }
    let keystore = args.keystore.open()?;
    let role = role_of(&keystore)?;
    let signed = rotation::sign(&checked, role, &keystore.seat_keys()?);
    match signed.map_err(|no| {
        Problem::config(
            "--keystore",
            no.detail,
            "sign as an owner of the Safe, and as another one than the first",
        )
    })? {
        SignedRotation::Once(proposal) => {
            let paper = paper(&checked, &safe, rotation, (Some(role), &proposal));
            shown(&paper, "One owner has signed. Take the JSON form to a second one: `safe sign`.\n")
        }
        SignedRotation::Done(done) => Ok(finished(&told, &done)),
    }
}

fn checked(
    proposal: &[u8],
    safe: &TrustedSafe,
    rotation: Rotation,
    first: Option<KeyRole>,
) -> Result<CheckedSafeTx, Problem> {
    rotation::check(proposal, safe, rotation, first).map_err(|no| other(&no.to_string()))
}

fn paper(
    checked: &CheckedSafeTx,
    safe: &TrustedSafe,
    rotation: Rotation,
    (signed_by, proposal): (Option<KeyRole>, &[u8]),
) -> Paper {
    let wallet = safe.wallet();
    Paper {
        chain: wallet.chain().to_string(),
        safe: spell(wallet.address()),
        nonce: checked.call().nonce,
        seat: rotation.seat.as_str().to_owned(),
        from: spell(wallet.owners().of(rotation.seat)),
        to: spell(rotation.to),
        owners_as_listed: safe.owners_in_order().iter().copied().map(spell).collect(),
        safe_tx_hash: checked.hash().to_string(),
        signed_by: signed_by.map(|role| role.as_str().to_owned()),
        proposal: hex::encode(proposal),
    }
}

fn shown(paper: &Paper, next: &str) -> Result<Answer, Problem> {
    let json = serde_json::to_value(paper).map_err(|no| no_rotation(&no.to_string()))?;
    Ok(Answer::ok(json, format!("{}\n{next}", facts(paper).text())))
}

fn facts(paper: &Paper) -> Facts {
    Facts::new()
        .line("Safe", format!("{} on {}", paper.safe, paper.chain))
        .line("seat of the", &paper.seat)
        .line("from", &paper.from)
        .line("to", &paper.to)
        .line("nonce", paper.nonce)
        .line("Safe transaction", &paper.safe_tx_hash)
}

fn finished(paper: &Paper, done: &FinishedSafeTx) -> Answer {
    let (to, data) = (spell(done.safe()), hex::encode_prefixed(done.data()));
    let text = format!(
        "{}\nBoth owners have signed. Any account may carry it:\n\nto:   {to}\ndata: {data}\n\nWhen it is final, pin the next \
         owner, have the trust file's quorum sign, restart both parties with it, and run `safe check`. Then end the freeze.\n",
        facts(paper).text()
    );
    Answer::ok(serde_json::json!({ "to": to, "data": data, "safe_tx_hash": paper.safe_tx_hash }), text)
}

fn read_paper(path: &Path) -> Result<Paper, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::file(path, &error))?;
    serde_json::from_str(&text).map_err(|error| other(&format!("it cannot be read: {error}")))
}

fn other(problem: &str) -> Problem {
    let cure =
        "compare the paper with what was decided, and make it anew with `countersign safe rotate --json`";
    Problem::config("paper", format!("is not signed: {problem}"), cure)
}

fn no_rotation(problem: &str) -> Problem {
    Problem::config("--to", problem.to_owned(), "name an address that is no owner yet")
}
