//! Operators' approvals: a text per withdrawal, a signature per person, and what becomes of both (law L14).

use super::context::Context;
use super::ledger::rows::{self, ApprovalRow};
use super::ledger::{Ledger, Open};
use super::writer::Turn;
use crate::audit::EntryKind;
use crate::desk::{ApprovalGiven, DeskError, PendingApproval};
use crate::evidence::Passage;
use crate::evidence::Trust;
use crate::evidence::request::VerifiedRequest;
use crate::evidence::{Approval, ApprovalText, NotProven, PolicyHashes, verify_approval};
use crate::store::Table;
use crate::withdrawal::{Code, Finding, Outcome, Seconds, WithdrawalId};

/// The texts of a withdrawal that count, as either party builds them from what it has verified itself: one for each pair of
/// policies that an approval may name. The first names those in force, and is the one that operators are shown.
pub fn texts(
    trust: &Trust,
    request: &VerifiedRequest,
    clearance: &Passage,
    policies: &[PolicyHashes],
    wallet: &str,
    expires_at: Seconds,
) -> Result<Vec<ApprovalText>, Finding> {
    let text = |policies: &PolicyHashes| {
        ApprovalText::of(request, trust, clearance.travel_rule(), *policies, wallet, expires_at)
            .map_err(|e| Finding::new(e.code(), e.to_string()))
    };
    policies.iter().map(text).collect()
}

/// The texts of an open withdrawal that count, if they can be built.
pub fn texts_of(context: &Context, open: &Open) -> Option<Vec<ApprovalText>> {
    let clearance = open.clearance.as_ref()?;
    let expires_at = open.request.request().asked_at.plus(context.settings.approval_age_s_max);
    let wallet = context.wallet.fingerprint();
    let policies = context.approvable();
    let texts = texts(&context.trust, &open.request, clearance, &policies, &wallet, expires_at).ok()?;
    (!texts.is_empty()).then_some(texts)
}

/// Verifies a yes to any of these texts, by somebody who did not ask.
pub fn verify(
    texts: &[ApprovalText],
    armored: &str,
    (trust, request): (&Trust, &VerifiedRequest),
    now: Seconds,
) -> Result<Approval, NotProven> {
    let mut first_no = None;
    for text in texts {
        match verify_approval(text, armored, trust, now) {
            Ok(approval) => return by_another(approval, trust, request),
            // Only over another text may it hold.
            Err(no) if no.code() == Code::ApprovalInvalid => {
                first_no.get_or_insert(no);
            }
            Err(no) => return Err(no),
        }
    }
    let none = || NotProven::Refused(Finding::new(Code::ApprovalInvalid, "there is nothing to approve"));
    Err(first_no.unwrap_or_else(none))
}

/// Who asked never approves (law L14). The policy says so as well; here nothing is lost by the mistake.
fn by_another(approval: Approval, trust: &Trust, request: &VerifiedRequest) -> Result<Approval, NotProven> {
    let asked = trust.requesters(&request.request().organisation, request.signed().key_id());
    if asked.contains(approval.person()) {
        let detail = format!("`{}` can sign with the key that asked", approval.person());
        return Err(NotProven::Refused(Finding::new(Code::RequesterApproves, detail)));
    }
    Ok(approval)
}

/// Verifies yeses from the store, once their texts can be rebuilt: they name the co-signer's policy and the travel rule's
/// result, and after a start either may come late.
pub fn take_up(context: &Context, open: &mut Open, now: Seconds) {
    if open.stored_approvals.is_empty() {
        return;
    }
    let Some(texts) = texts_of(context, open) else { return };
    for armored in std::mem::take(&mut open.stored_approvals) {
        let approval = verify(&texts, &armored, (&context.trust, &open.request), now).ok();
        let known = |a: &Approval| open.approvals.iter().any(|b| b.person() == a.person());
        open.approvals.extend(approval.filter(|a| !known(a)));
    }
}

/// The yeses that count now: to the text as it is today, or as it was under a policy that was only tightened since. Where a
/// party has another policy than they name, they are asked for anew.
pub fn counting<'a>(context: &Context, open: &'a Open, now: Seconds) -> Vec<&'a Approval> {
    if open.approvals.is_empty() {
        return Vec::new();
    }
    let Some(texts) = texts_of(context, open) else { return Vec::new() };
    of_texts(open, &texts).filter(|approval| now <= approval.expires_at()).collect()
}

fn of_texts<'a>(open: &'a Open, texts: &[ApprovalText]) -> impl Iterator<Item = &'a Approval> {
    let digests: Vec<[u8; 32]> = texts.iter().map(ApprovalText::digest).collect();
    open.approvals.iter().filter(move |approval| digests.contains(approval.digest()))
}

/// Takes an operator's verified yes; the same person's second yes to the same text changes nothing.
pub fn approve(
    ledger: &mut Ledger,
    turn: &mut Turn,
    id: WithdrawalId,
    approval: Approval,
) -> Result<(), DeskError> {
    let Some(open) = ledger.open.get_mut(&id) else { return Err(DeskError::not_found(id.to_string())) };
    let is_same = |a: &Approval| a.person() == approval.person() && a.digest() == approval.digest();
    if open.approvals.iter().any(is_same) {
        return Ok(());
    }
    let groups: Vec<&str> = approval.groups().iter().map(String::as_str).collect();
    open.log_index = turn.draft.entry(
        EntryKind::Approved,
        &[
            ("withdrawal", &id),
            ("operator", &approval.person()),
            ("approval", &data_encoding::HEXLOWER.encode(approval.digest())),
            ("groups", &groups.join(" ")),
            ("key", &approval.key_fingerprint()),
            ("expires_at", &approval.expires_at().0),
        ],
    );
    let row = ApprovalRow {
        withdrawal: id.to_string(),
        operator: approval.person().to_owned(),
        armored: approval.signature().to_owned(),
    };
    let key = format!("{id}/{}", approval.person());
    turn.draft.row(Table::Approval, key, "given", turn.draft.now(), rows::write(&row));
    open.approvals.retain(|other| other.person() != approval.person());
    open.approvals.push(approval);
    open.updated_at = turn.draft.now();
    turn.changed.insert(id);
    ledger.ripen(&id);
    Ok(())
}

/// What waits for operators, oldest first.
pub fn pending(context: &Context, ledger: &Ledger) -> Vec<PendingApproval> {
    let waits = |open: &&Open| matches!(open.row.outcome(), Outcome::Held(f) if f.iter().any(|f| f.code == Code::ApprovalRequired));
    let open = ledger.queue.values().filter_map(|id| ledger.open.get(id)).filter(waits);
    open.filter_map(|open| pending_of(context, open)).collect()
}

fn pending_of(context: &Context, open: &Open) -> Option<PendingApproval> {
    let texts = texts_of(context, open)?;
    let findings = match open.row.outcome() {
        Outcome::Held(findings) => findings,
        Outcome::Moving | Outcome::Refused(_) | Outcome::Released => Vec::new(),
    };
    let given = of_texts(open, &texts).map(|approval| ApprovalGiven {
        operator: approval.person().to_owned(),
        group: approval.groups().iter().cloned().collect::<Vec<_>>().join(" "),
        at: open.updated_at,
    });
    let text = texts.first()?;
    Some(PendingApproval {
        withdrawal: open.id,
        expires_at: text.expires_at,
        findings,
        given: given.collect(),
        text: text.render(),
    })
}
