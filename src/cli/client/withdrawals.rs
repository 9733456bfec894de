//! Following withdrawals: one, all that match, or each change as it is written down.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::connect::{ConnectArgs, Session, given};
use super::view;
use crate::cli::answer::{Answer, Out, table};
use crate::cli::problem::{Exit, Problem};
use crate::desk::WithdrawalFilter;
use crate::wire::v1::{self, get_withdrawal_request::Pick};
use crate::wire::withdrawals as wire;
use crate::withdrawal::{Organisation, Outcome, Stage, WithdrawalId};

/// Which withdrawals.
#[derive(Debug, Args)]
pub struct FilterArgs {
    /// Only this organisation's
    #[arg(long, value_name = "NAME")]
    pub organisation: Option<String>,
    /// Only those at this stage
    #[arg(long, value_enum)]
    pub stage: Option<StageArg>,
    /// Only those with this outcome
    #[arg(long, value_enum)]
    pub outcome: Option<OutcomeArg>,
}

/// A stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum StageArg {
    Asked,
    Cleared,
    Reserved,
    Signed,
    Released,
}

/// An outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum OutcomeArg {
    Moving,
    Held,
    Refused,
    Released,
}

impl FilterArgs {
    fn wire(&self) -> Result<v1::WithdrawalFilter, Problem> {
        let stage = self.stage.map(|stage| match stage {
            StageArg::Asked => Stage::Asked,
            StageArg::Cleared => Stage::Cleared,
            StageArg::Reserved => Stage::Reserved,
            StageArg::Signed => Stage::Signed,
            StageArg::Released => Stage::Released,
        });
        let outcome = self.outcome.map(|outcome| match outcome {
            OutcomeArg::Moving => Outcome::Moving,
            OutcomeArg::Held => Outcome::Held(Vec::new()),
            OutcomeArg::Refused => Outcome::Refused(Vec::new()),
            OutcomeArg::Released => Outcome::Released,
        });
        let organisation = self.organisation.as_deref().map(Organisation::parse).transpose()?;
        Ok(wire::filter_to_wire(WithdrawalFilter { organisation, stage, outcome }))
    }
}

/// What `status` takes.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The withdrawal, `wd_…`; without it and without --request-id all that match are listed
    #[arg(value_name = "WITHDRAWAL")]
    pub withdrawal: Option<String>,
    /// What the exchange called it
    #[arg(long, value_name = "ID", conflicts_with = "withdrawal")]
    pub request_id: Option<String>,
    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Shows one withdrawal, or lists those that match.
pub async fn status(args: &StatusArgs) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let pick = match (&args.withdrawal, &args.request_id) {
        (Some(id), _) => Pick::Name(wire::name(WithdrawalId::parse(id.trim_start_matches("withdrawals/"))?)),
        (None, Some(request_id)) => Pick::RequestKey(v1::RequestKey {
            organisation: given(
                "--organisation",
                args.filter.organisation.as_ref(),
                session.profile.organisation.as_ref(),
            )?,
            request_id: request_id.clone(),
        }),
        (None, None) => return list(&session, &args.filter).await,
    };
    let message = v1::GetWithdrawalRequest { pick: Some(pick) };
    let found = session.client.withdrawals().get_withdrawal(session.request(message)).await?;
    view::answer(found.into_inner())
}

async fn list(session: &Session, filter: &FilterArgs) -> Result<Answer, Problem> {
    let mut client = session.client.withdrawals();
    let (mut rows, mut documents, mut page_token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let message = v1::ListWithdrawalsRequest { page_size: 500, page_token, filter: Some(filter.wire()?) };
        let page = client.list_withdrawals(session.request(message)).await?.into_inner();
        for withdrawal in page.withdrawals {
            let view = view::read(withdrawal)?;
            let code = view::findings(&view.outcome).first().map(|f| f.code.to_string()).unwrap_or_default();
            documents.push(view::document(&view));
            rows.push([
                view.id.to_string(),
                view.request.request_id.to_string(),
                view.request.amount.to_string(),
                view.stage.as_str().to_owned(),
                view::word(&view.outcome).to_owned(),
                code,
            ]);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let text = table(["withdrawal", "request id", "amount", "stage", "outcome", "code"], &rows);
    Ok(Answer::ok(json!({ "withdrawals": documents }), text))
}

/// What `watch` takes.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Begin with what last changed at this log index or later; without it, with the next change
    #[arg(long, value_name = "INDEX")]
    pub from: Option<u64>,
    /// End when this withdrawal is released or refused
    #[arg(long, value_name = "WITHDRAWAL")]
    pub until: Option<String>,
}

/// Prints each change as it comes, one line each, until interrupted.
pub async fn watch(args: &WatchArgs, out: Out) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let until = args.until.as_deref().map(WithdrawalId::parse).transpose()?;
    let message =
        v1::WatchWithdrawalsRequest { from_log_index: args.from, filter: Some(args.filter.wire()?) };
    // A stream has no deadline of its own.
    let mut stream = session.client.withdrawals().watch_withdrawals(message).await?.into_inner();
    let mut last = args.from;
    loop {
        let next = tokio::select! {
            next = stream.message() => next,
            _ = tokio::signal::ctrl_c() => return Ok(Answer::silent(Exit::Ok)),
        };
        let change = match next {
            Ok(Some(change)) => change,
            Ok(None) => return Ok(Answer::silent(Exit::Ok)),
            Err(status) => return Err(resumable(status.into(), last)),
        };
        let Some(withdrawal) = change.withdrawal else { continue };
        let view = view::read(withdrawal)?;
        last = Some(view.log_index);
        let code = view::findings(&view.outcome).first().map(|f| f.code.as_str()).unwrap_or_default();
        let line = format!(
            "{:>8}  {}  {}  {}  {:<8}  {:<8}  {code}",
            view.log_index,
            view.updated_at,
            view.id,
            view.request.request_id,
            view.stage.as_str(),
            view::word(&view.outcome),
        );
        out.print(&view::document(&view), &line);
        if until == Some(view.id) && matches!(view.outcome, Outcome::Released | Outcome::Refused(_)) {
            return Ok(Answer::silent(view::exit(&view.outcome)));
        }
    }
}

fn resumable(problem: Problem, last: Option<u64>) -> Problem {
    match last {
        Some(index) => {
            let cure = format!("{}; go on with --from {index}", problem.cure);
            problem.cure(cure)
        }
        None => problem,
    }
}
