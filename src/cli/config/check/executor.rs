//! What `--check` says of the executor. No node is asked, and no signer.

use super::{Checks, role_certificate, store};
use crate::cli::answer::Answer;
use crate::cli::config::executor::ExecutorSettings;
use crate::cli::config::load;
use crate::cli::run::executor::{account, keystore, nodes, pins, refuelled};
use crate::desk::Role;
use crate::flow::rail::pins::SafePins;

/// Checks the executor's settings.
pub fn executor(settings: &ExecutorSettings) -> Answer {
    let mut checks = Checks::default();
    let chain = settings.nodes.chain;
    checks.add("configuration", Ok(format!("`{}` for {chain}, follows {}", settings.name, settings.signer)));
    checks.add("certificate", role_certificate(&settings.tls, Role::Executor));
    checks.add("store", store(&settings.store));
    let opened = keystore(settings).and_then(|keystore| account(settings, &keystore));
    let account = opened.map(|account| account.address());
    checks
        .add("account", account.as_ref().map(|account| format!("{account} pays gas")).map_err(Clone::clone));
    let trust = load::trust(&settings.trust);
    checks.add(
        "trust file",
        trust.as_ref().map(|trust| format!("version {}", trust.version())).map_err(Clone::clone),
    );
    if let Ok(trust) = trust {
        let pins = pins(settings, &trust);
        if let (Ok(pins), Ok(account)) = (&pins, account) {
            checks.add("refuelled", refuelled(pins, account));
        }
        let names = |pins: SafePins| {
            let each: Vec<String> = pins.signed_for().map(|wallet| wallet.address().to_string()).collect();
            format!("{}, as pinned", each.join(" and "))
        };
        checks.add("safe", pins.map(names));
    }
    let (count, quorum) = (settings.nodes.nodes.len(), settings.nodes.quorum);
    checks.add("nodes", nodes(settings).map(|_| format!("{quorum} of {count} must agree (not asked)")));
    checks.answer()
}
