//! Both parties' brakes, each by its own line: what becomes of one says nothing of the other.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use tonic::{Request, Response, Status};

use super::connect::{CallerArgs, Profile};
use crate::cli::answer::{Answer, Facts};
use crate::cli::problem::{Exit, Problem};
use crate::desk::{FreezeView, Role};
use crate::evidence::Addressee;
use crate::grpc::{Client, ClientOrder};
use crate::pki::PemFiles;
use crate::wire::v1;
use crate::withdrawal::KeyRole;

/// How to reach the brakes.
#[derive(Debug, Args)]
pub struct PartiesArgs {
    /// A profile in TOML: signer_freeze, cosigner_freeze, ca, cert, key, operator, ssh_key
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub profile: Option<PathBuf>,
    /// The signer's freeze listener; its host must stand in the signer's certificate
    #[arg(long, value_name = "HOST:PORT", help_heading = "Connection")]
    pub signer: Option<String>,
    /// The co-signer's freeze listener
    #[arg(long, value_name = "HOST:PORT", help_heading = "Connection")]
    pub cosigner: Option<String>,
    /// The operator who calls.
    #[command(flatten)]
    pub caller: CallerArgs,
    /// How long each party may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, help_heading = "Connection")]
    pub deadline: u64,
}

/// What the profile says, and how to reach each party.
pub struct Parties {
    /// The profile, empty where none was given.
    pub profile: Profile,
    files: PemFiles,
    addresses: [Option<String>; 2],
    deadline: Duration,
}

/// What became of each party that was asked.
pub type Outcomes = Vec<(KeyRole, Result<FreezeView, Problem>)>;

impl PartiesArgs {
    /// Reads the profile. Nothing is connected yet.
    pub fn open(&self) -> Result<Parties, Problem> {
        let profile = self.profile.as_deref().map_or_else(|| Ok(Profile::default()), Profile::read)?;
        let files = self.caller.files(&profile)?;
        let addresses = [
            self.signer.clone().or_else(|| profile.signer_freeze.clone()),
            self.cosigner.clone().or_else(|| profile.cosigner_freeze.clone()),
        ];
        Ok(Parties { profile, files, addresses, deadline: Duration::from_secs(self.deadline.max(1)) })
    }
}

impl Parties {
    fn client(&self, party: KeyRole) -> Result<Client, Problem> {
        let [signer, cosigner] = &self.addresses;
        let (address, flag, server_role) = match party {
            KeyRole::Signer => (signer, "--signer", Role::Signer),
            KeyRole::Cosigner | KeyRole::Vault => (cosigner, "--cosigner", Role::Cosigner),
        };
        let cure = "give the address of the party's freeze listener, or write it into the profile";
        let address = address.clone().ok_or_else(|| Problem::config(flag, "is missing", cure))?;
        Ok(Client::open(&ClientOrder { address, files: self.files.clone(), server_role })?)
    }

    async fn ask<M>(
        &self,
        party: KeyRole,
        message: M,
        call: impl AsyncFnOnce(Client, Request<M>) -> Result<Response<v1::FreezeState>, Status>,
    ) -> Result<FreezeView, Problem> {
        let client = self.client(party)?;
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        Ok(FreezeView::try_from(call(client, request).await?.into_inner())?)
    }

    /// How a party stands.
    pub async fn standing(&self, party: KeyRole) -> Result<FreezeView, Problem> {
        let call = async |client: Client, request| client.freezes().get_freeze(request).await;
        self.ask(party, v1::GetFreezeRequest {}, call).await
    }

    /// Freezes a party.
    pub async fn freeze(&self, party: KeyRole, message: v1::FreezeRequest) -> Result<FreezeView, Problem> {
        let call = async |client: Client, request| client.freezes().freeze(request).await;
        self.ask(party, message, call).await
    }

    /// Hands a party its resume.
    pub async fn resume(&self, party: KeyRole, message: v1::ResumeRequest) -> Result<FreezeView, Problem> {
        let call = async |client: Client, request| client.freezes().resume(request).await;
        self.ask(party, message, call).await
    }
}

/// The parties that are meant.
pub fn named(addressee: Addressee) -> impl Iterator<Item = KeyRole> {
    [KeyRole::Signer, KeyRole::Cosigner].into_iter().filter(move |party| addressee.names(*party))
}

/// Asks each party that is meant, at once.
pub async fn each<F>(addressee: Addressee, ask: impl Fn(KeyRole) -> F) -> Outcomes
where
    F: Future<Output = Result<FreezeView, Problem>>,
{
    let asked = named(addressee).map(|party| {
        let asked = ask(party);
        async move { (party, asked.await) }
    });
    futures_util::future::join_all(asked).await
}

/// The answer to people and programs: one outcome for each party. It ends as the worst of them.
pub fn answer(outcomes: &Outcomes, good: impl Fn(&FreezeView) -> bool) -> Answer {
    let (mut text, mut parties, mut exit) = (String::new(), Map::new(), Exit::Ok);
    for (party, outcome) in outcomes {
        let (shown, json, end) = match outcome {
            Ok(view) => (facts(view), document(view), if good(view) { Exit::Ok } else { Exit::No }),
            Err(problem) => {
                let shown = format!("{}: NOT KNOWN\n{problem}\n", party.as_str());
                (shown, problem.json(), problem.exit)
            }
        };
        if end.number() > exit.number() {
            exit = end;
        }
        text.push_str(&shown);
        text.push('\n');
        parties.insert(party.as_str().to_owned(), json);
    }
    Answer { exit, json: json!({ "parties": parties }), text }
}

fn facts(view: &FreezeView) -> String {
    let party = view.party.as_str();
    let Some(freeze) = &view.in_force else {
        return format!("{party}: not frozen\n{}", Facts::new().line("  log entries", view.log_size).text());
    };
    let id = freeze.freeze.map_or_else(|| "none: the marker cannot be read".to_owned(), |id| id.to_string());
    let noted = |index: u64| format!("entry {index} of {}", view.log_size);
    let goes_on = if freeze.sweeps_resumed { "sweeps to cold, and nothing else" } else { "nothing" };
    let resume = freeze.resume.as_ref().map(|resume| {
        let (scope, by) = (resume.scope.as_str(), resume.people.join(", "));
        format!("{scope}, at {}, reviewed to entry {}, by {by}", resume.effective_at, resume.reviewed)
    });
    let facts = Facts::new()
        .line("  freeze", id)
        .line("  by", &freeze.operator)
        .line("  reason", &freeze.reason)
        .line("  taken", freeze.frozen_at)
        .line("  needs approval if asked from", freeze.since)
        .line("  log", freeze.log_index.map_or_else(|| "not noted yet".to_owned(), noted))
        .line("  signed meanwhile", goes_on)
        .maybe("  resumes", resume);
    format!("{party}: FROZEN\n{}", facts.text())
}

fn document(view: &FreezeView) -> Value {
    let freeze = view.in_force.as_ref().map(|freeze| {
        json!({
            "freeze": freeze.freeze.map(|id| id.to_string()),
            "operator": freeze.operator,
            "reason": freeze.reason,
            "since": freeze.since.0,
            "frozen_at": freeze.frozen_at.0,
            "log_index": freeze.log_index,
            "sweeps_resumed": freeze.sweeps_resumed,
            "resume": freeze.resume.as_ref().map(|resume| json!({
                "scope": resume.scope.as_str(),
                "reviewed": resume.reviewed,
                "effective_at": resume.effective_at.0,
                "operators": resume.people,
            })),
        })
    });
    json!({
        "frozen": view.in_force.is_some(),
        "freeze": freeze,
        "log_size": view.log_size,
        "resume_delay_s": view.resume_delay_s,
        "read_at": view.at.0,
    })
}
