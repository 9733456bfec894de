//! What `--check` says of the observer of EVM chains. No node is asked, and no signer.

use super::{Checks, role_certificate};
use crate::cli::answer::Answer;
use crate::cli::config::load;
use crate::cli::config::observer::{ChainSettings, ObserverSettings};
use crate::cli::problem::Problem;
use crate::cli::run::observer::{check_begun, statement_key, watch};
use crate::desk::Role;
use crate::evidence::Trust;
use crate::observer::{State, StateFault};

/// Checks the observer's settings.
pub fn observer(settings: &ObserverSettings) -> Answer {
    let mut checks = Checks::default();
    let every = settings.every.as_secs();
    checks.add(
        "configuration",
        Ok(format!("`{}`, every {every} s, to {}", settings.observer, settings.signer)),
    );
    checks.add("certificate", role_certificate(&settings.tls, Role::Observer));
    let trust = load::trust(&settings.trust);
    let version = |trust: &Trust| format!("version {}", trust.version());
    checks.add("trust file", trust.as_ref().map(version).map_err(Clone::clone));
    let Ok(trust) = trust else { return checks.answer() };
    checks.add(
        "statement key",
        statement_key(settings, &trust).map(|_| "speaks of all that is watched".to_owned()),
    );
    let state = State::open(&settings.state);
    let taken = matches!(state, Err(StateFault::Taken(_)));
    for chain in &settings.chains {
        checks.add("nodes", nodes(chain, &trust));
        if let Ok(state) = &state {
            checks.add("state", begun(state, chain, &trust));
        }
    }
    match state {
        Ok(_) => {}
        Err(_) if taken => checks.unseen("state", "an observer that runs has it".to_owned()),
        Err(fault) => checks.add("state", Err(fault.into())),
    }
    checks.answer()
}

fn nodes(chain: &ChainSettings, trust: &Trust) -> Result<String, Problem> {
    let watch = watch(chain, trust)?;
    let (count, quorum) = (chain.nodes.nodes.len(), chain.nodes.quorum);
    let (safes, tokens) = (watch.safes().count(), watch.tokens().len());
    let deposits = watch.deposits().map(|deposits| format!(", deposit addresses of {}", deposits.treasury()));
    Ok(format!(
        "{}: {quorum} of {count} must agree (not asked); {safes} Safes, {tokens} tokens{}",
        watch.chain(),
        deposits.unwrap_or_default()
    ))
}

fn begun(state: &State, chain: &ChainSettings, trust: &Trust) -> Result<String, Problem> {
    let watch = watch(chain, trust)?;
    check_begun(state, &watch)?;
    Ok(format!("every Safe on {} has begun", watch.chain()))
}
