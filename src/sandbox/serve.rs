//! Owns what comes after the story: how to go on, and staying up with fresh facts until somebody ends it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::children::Children;
use super::configs::Listeners;
use super::folder::Folder;
use super::report::Report;
use super::{Fault, World};

/// How often the observer states its facts anew, well before they are too old.
const STATE_AGAIN: Duration = Duration::from_secs(120);
/// How often it is looked whether every child still lives.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Ends when somebody presses Ctrl-C or asks the process to end.
pub async fn interrupted() {
    let term = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => drop(term.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = term => {}
    }
}

/// Stays up until it is interrupted, or until a child ends by itself.
pub async fn serve(world: &mut World, children: &mut Children) -> Result<(), Fault> {
    let (mut state, mut look) = (interval(STATE_AGAIN), interval(LOOK_AGAIN));
    state.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once, and the facts are fresh.
    state.tick().await;
    let end = interrupted();
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return Ok(()),
            _ = state.tick() => world.cast.observer.state_facts().await?,
            _ = look.tick() => if let Some(ended) = children.ended() { return Err(ended) },
        }
    }
}

/// How a stranger goes on.
pub struct GoOn {
    listeners: Option<Listeners>,
    folder: Option<String>,
}

impl GoOn {
    /// What is there to go on with: listeners where it stays up, the folder where it stays.
    pub fn new(folder: &Folder, listeners: &Listeners, serves: bool) -> Self {
        let stays = serves || folder.is_kept();
        Self {
            listeners: serves.then_some(*listeners),
            folder: stays.then(|| folder.path().display().to_string()),
        }
    }

    /// The listeners, for programs.
    pub fn listeners(&self) -> Option<Value> {
        let at = self.listeners?;
        Some(json!({
            "signer": at.signer.to_string(),
            "cosigner": at.cosigner.to_string(),
            "relay": format!("https://{}", at.relay),
            "enclave": format!("https://{}", at.enclave),
            "robot": format!("https://{}", at.robot),
            "folder": self.folder,
        }))
    }

    /// A client call that works as it stands.
    pub fn call(&self) -> Option<String> {
        let folder = self.folder.as_ref().filter(|_| self.listeners.is_some())?;
        let program = std::env::current_exe().ok()?;
        let exchange = format!("{folder}/profiles/exchange.toml");
        Some(format!("{} status --profile {exchange} --request-id w-0001", program.display()))
    }

    /// For people.
    pub fn tell(&self, report: Report) {
        report.section("How to go on");
        if let (Some(at), Some(call)) = (self.listeners, self.call()) {
            report.fact("signer", &format!("{}  gRPC, mutual TLS 1.3, reflection and health", at.signer));
            report.fact("cosigner", &format!("{}  gRPC, mutual TLS 1.3: for the signer", at.cosigner));
            report.fact("relay", &format!("https://{}  for enclaves", at.relay));
            report.fact("enclave", &format!("https://{}  the signer's, for the relay", at.enclave));
            report.fact("robot", &format!("https://{}  the counterparty's, for the relay", at.robot));
            report.fact("call", &call);
            report.fact("", "watch --from 0, withdraw, address: with the same profile");
            report.fact("", "approvals, approve, position: with profiles/operator.toml");
            report.fact("", "audit verify: with profiles/auditor.toml");
            report.fact("end", "Ctrl-C stops every process and removes the folder");
        } else {
            report.fact("stay up", "countersign sandbox --serve    every listener, and a ready client call");
            report.fact("programs", "countersign sandbox --json     one document: cases, transactions, log");
            report
                .fact("your own", "countersign sandbox --file FILE    the form of sandbox/withdrawals.json");
        }
        if let Some(folder) = &self.folder {
            report.fact(
                "folder",
                &format!("{folder}  profiles, keys, certificates, trust file, configurations"),
            );
        }
        report.fact("read", "README.md, then docs/ARCHITECTURE.md");
    }
}
