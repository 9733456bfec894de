//! Whether the Safes of the trust file are what is pinned, by the nodes' word.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::answer::{Answer, Facts};
use crate::cli::config::observer::ChainSettings;
use crate::cli::config::{self, load};
use crate::cli::problem::{Exit, Problem};
use crate::cli::run::nodes::nodes;
use crate::ethereum::{SafeFacts, SafeWallet, judge};
use crate::evidence::Trust;
use crate::node::{Agreed, Block, Nodes, SafeFault};
use crate::observer::watch::safes_of;
use crate::withdrawal::evm_address::spell;

/// What `check` takes.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// An observer's configuration: the nodes, their quorum, and the trust file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// What was found of one Safe.
struct Found {
    good: bool,
    text: String,
    json: Value,
}

/// Asks for every Safe of every chain.
pub async fn check(args: &CheckArgs) -> Result<Answer, Problem> {
    let settings = config::observer(&args.config)?;
    let trust = load::trust(&settings.trust)?;
    let mut found = Vec::new();
    for chain in &settings.chains {
        found.extend(check_chain(chain, &trust).await?);
    }
    let exit = if found.iter().all(|safe| safe.good) { Exit::Ok } else { Exit::No };
    let text = found.iter().map(|safe| safe.text.as_str()).collect::<Vec<_>>().join("\n");
    Ok(Answer {
        exit,
        json: json!({ "safes": found.into_iter().map(|safe| safe.json).collect::<Vec<_>>() }),
        text,
    })
}

async fn check_chain(chain: &ChainSettings, trust: &Trust) -> Result<Vec<Found>, Problem> {
    let nodes = nodes(&chain.nodes)?;
    let at = nodes.last_final().await.map_err(|no| Problem::of(no.code(), no.to_string()))?.block();
    let safes = safes_of(trust, nodes.chain())?;
    let mut found = Vec::new();
    for (which, wallet) in &safes {
        found.push(check_safe(&nodes, &at, (*which, wallet)).await?);
    }
    Ok(found)
}

async fn check_safe(
    nodes: &Nodes,
    at: &Agreed<Block>,
    (which, wallet): (&str, &SafeWallet),
) -> Result<Found, Problem> {
    let address = spell(wallet.address());
    let block = at.value();
    let head = Facts::new()
        .line(format!("{which} Safe"), format!("{address} on {}", wallet.chain()))
        .line("at block", format!("{} {}", block.number, block.hash));
    let json = |verdict: &str, facts: Option<&SafeFacts>| {
        json!({
            "which": which, "chain": wallet.chain().to_string(), "safe": address, "block": block.number,
            "block_hash": block.hash.to_string(), "verdict": verdict, "facts": facts.map(document),
        })
    };
    let facts = match nodes.safe(at, wallet.address(), wallet.make().release).await {
        Ok(facts) => facts.into_value(),
        Err(SafeFault::NoSafe(silent)) => {
            let verdict = format!("NO Safe stands there: `{silent}` answers nothing that can be read");
            let text = head.line("verdict", &verdict).text();
            return Ok(Found { good: false, text, json: json(&verdict, None) });
        }
        Err(SafeFault::NotAgreed(no)) => return Err(Problem::of(no.code(), no.to_string())),
    };
    let (good, verdict) = match (which, judge(wallet, &facts)) {
        ("cold", _) => (true, "a Safe; nothing but its address is pinned".to_owned()),
        (_, Ok(_)) => (true, "as pinned".to_owned()),
        (_, Err(differs)) => (false, differs.to_string()),
    };
    let text = shown(head, &facts).line("verdict", &verdict).text();
    Ok(Found { good, text, json: json(&verdict, Some(&facts)) })
}

fn shown(head: Facts, facts: &SafeFacts) -> Facts {
    let list = |addresses: &[_]| addresses.iter().copied().map(spell).collect::<Vec<_>>().join(" ");
    let modules = if facts.modules.is_empty() { "none".to_owned() } else { list(&facts.modules) };
    head.line("version", &facts.version)
        .line("singleton", spell(facts.singleton.address))
        .line("owners", list(&facts.owners))
        .line("threshold", facts.threshold)
        .line("modules", modules)
        .line("guards", format!("{} {}", spell(facts.guard), spell(facts.module_guard)))
        .line("fallback handler", spell(facts.fallback_handler.address))
        .line("nonce", facts.nonce)
}

fn document(facts: &SafeFacts) -> Value {
    let all = |addresses: &[_]| addresses.iter().copied().map(spell).collect::<Vec<_>>();
    json!({
        "version": facts.version,
        "proxy_code_hash": facts.proxy_code_hash.to_string(),
        "singleton": spell(facts.singleton.address),
        "singleton_code_hash": facts.singleton.code_hash.to_string(),
        "owners": all(&facts.owners),
        "threshold": facts.threshold.to_string(),
        "modules": all(&facts.modules),
        "guard": spell(facts.guard),
        "module_guard": spell(facts.module_guard),
        "fallback_handler": spell(facts.fallback_handler.address),
        "nonce": facts.nonce.to_string(),
    })
}
