//! What operators look at: what waits for them, in the words that would be signed.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::connect::{ConnectArgs, Session};
use super::view;
use crate::cli::answer::{Answer, Out, table};
use crate::cli::problem::{Exit, Problem};
use crate::desk::PendingApproval;
use crate::evidence::ApprovalText;
use crate::wire::v1;
use crate::withdrawal::{Amount, Asset, Code};

/// What `approvals` takes.
#[derive(Debug, Args)]
pub struct ApprovalsArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Go on, and print what begins to wait or gets an approval, until interrupted
    #[arg(long)]
    pub watch: bool,
}

/// Lists what waits for operators.
pub async fn list(args: &ApprovalsArgs, out: Out) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    if args.watch {
        return watch(&session, out).await;
    }
    let waiting = pending(&session).await?;
    let mut text: String = waiting.iter().map(shown).collect();
    match waiting.as_slice() {
        [] => text.push_str("nothing waits for an approval\n"),
        [_] => {}
        several => text.push_str(&together(several)?),
    }
    let documents: Vec<Value> = waiting.iter().map(document).collect();
    Ok(Answer::ok(json!({ "approvals": documents }), text))
}

/// Prints what waits, and then each that begins to wait or gets an approval; a change of any withdrawal has it look again.
async fn watch(session: &Session, out: Out) -> Result<Answer, Problem> {
    let message = v1::WatchWithdrawalsRequest { from_log_index: None, filter: None };
    // A stream has no deadline of its own.
    let mut stream = session.client.withdrawals().watch_withdrawals(message).await?.into_inner();
    let mut known = BTreeMap::new();
    loop {
        let waiting = pending(session).await?;
        for one in &waiting {
            let is = (one.text.clone(), one.given.len());
            if known.insert(one.withdrawal, is.clone()) != Some(is) {
                out.print(&document(one), &shown(one));
            }
        }
        known.retain(|id, _| waiting.iter().any(|one| one.withdrawal == *id));
        let next = tokio::select! {
            next = stream.message() => next,
            _ = tokio::signal::ctrl_c() => return Ok(Answer::silent(Exit::Ok)),
        };
        if next?.is_none() {
            return Ok(Answer::silent(Exit::Ok));
        }
    }
}

/// One that waits, for people: exactly the text that would be signed, and what is missing.
fn shown(one: &PendingApproval) -> String {
    let mut text = format!("{}\n", one.text);
    for finding in &one.findings {
        text.push_str(&format!("missing: {} {}\n", finding.code, finding.detail));
    }
    for given in &one.given {
        text.push_str(&format!("given:   {} for {} at {}\n", given.operator, given.group, given.at));
    }
    text.push_str(&format!("\n  countersign approve {}\n\n", one.withdrawal));
    text
}

/// The same for programs.
fn document(one: &PendingApproval) -> Value {
    let findings = one.findings.iter().map(|f| json!({ "code": f.code.as_str(), "detail": f.detail }));
    let given = one.given.iter().map(|g| json!({ "operator": g.operator, "group": g.group, "at": g.at.0 }));
    json!({
        "withdrawal": one.withdrawal.to_string(),
        "text": one.text,
        "expires_at": one.expires_at.0,
        "findings": findings.collect::<Vec<_>>(),
        "given": given.collect::<Vec<_>>(),
    })
}

/// Several at a glance, by the texts that would be signed, with the sum of each asset.
fn together(several: &[PendingApproval]) -> Result<String, Problem> {
    let (mut rows, mut sums) = (Vec::new(), BTreeMap::<Asset, Amount>::new());
    for one in several {
        let subject = ApprovalText::parse(&one.text)?.subject;
        let coin = coins(subject.amount, subject.asset);
        rows.push([one.withdrawal.to_string(), coin, subject.destination, subject.request_id.to_string()]);
        let sum = sums.entry(subject.asset).or_insert(Amount::ZERO);
        let too_much = || Problem::of(Code::Internal, "the sum does not fit");
        *sum = sum.plus(subject.amount).ok_or_else(too_much)?;
    }
    let mut text = table(["withdrawal", "amount", "destination", "request id"], &rows);
    for (asset, sum) in sums {
        text.push_str(&format!("{} withdrawals, {} in all\n", several.len(), coins(sum, asset)));
    }
    let ids: Vec<String> = several.iter().map(|one| one.withdrawal.to_string()).collect();
    text.push_str(&format!("\n  countersign approve {}\n", ids.join(" ")));
    Ok(text)
}

/// What is shown before several are signed: every text in full, then all at a glance.
pub(super) fn in_full(several: &[PendingApproval]) -> Result<String, Problem> {
    let texts: Vec<&str> = several.iter().map(|one| one.text.as_str()).collect();
    Ok(format!("{}\n{}", texts.join("\n"), together(several)?))
}

fn coins(amount: Amount, asset: Asset) -> String {
    format!("{} ({amount})", view::coin(amount, asset))
}

/// Everything that waits, page by page.
pub(super) async fn pending(session: &Session) -> Result<Vec<PendingApproval>, Problem> {
    let mut client = session.client.approvals();
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let message = v1::ListApprovalsRequest { page_size: 500, page_token };
        let page = client.list_approvals(session.request(message)).await?.into_inner();
        for approval in page.approvals {
            all.push(PendingApproval::try_from(approval)?);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}
