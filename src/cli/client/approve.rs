//! What operators decide: yes or no with an SSH key, one withdrawal or several, each by a signature of its own.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::approvals::{in_full, pending};
use super::connect::{ConnectArgs, Session};
use super::sign::sign as by_key;
use super::view;
use crate::cli::answer::{Answer, table};
use crate::cli::keyfile;
use crate::cli::problem::{Exit, Problem};
use crate::desk::{PendingApproval, WithdrawalView};
use crate::evidence::signature::read_public_key;
use crate::evidence::{ApprovalText, NAMESPACE_APPROVAL, RejectionText, Subject, verify_void};
use crate::wire::v1::{self, get_withdrawal_request::Pick};
use crate::wire::withdrawals as wire;
use crate::withdrawal::{Code, WithdrawalId};

/// What `approve` takes.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The withdrawals, `wd_…`: each is shown, each gets a signature of its own
    #[arg(value_name = "WITHDRAWAL", required = true)]
    pub withdrawals: Vec<String>,
    /// How it is signed.
    #[command(flatten)]
    pub how: SignArgs,
}

/// What `reject` takes.
#[derive(Debug, Args)]
pub struct RejectArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The withdrawal, `wd_…`
    #[arg(value_name = "WITHDRAWAL")]
    pub withdrawal: String,
    /// Why not, in one line of at most 200 characters, without personal data; part of the signed text
    #[arg(long)]
    pub reason: String,
    /// How it is signed.
    #[command(flatten)]
    pub how: SignArgs,
}

/// How an operator signs.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Sign with this OpenSSH private key (Ed25519 or ECDSA P-256, unencrypted), or, if it is a .pub file, through the agent
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
    /// Hand in the signature that `ssh-keygen -Y sign` made
    #[arg(long, value_name = "FILE", conflicts_with = "ssh_key")]
    pub signature: Option<PathBuf>,
    /// Write the text into this file, for `ssh-keygen -Y sign`, and hand in nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ssh_key", "signature"])]
    pub text_out: Option<PathBuf>,
    /// Do not ask before signing
    #[arg(long)]
    pub yes: bool,
}

/// Says yes to each withdrawal that was named, each with a signature of its own.
pub async fn approve(args: &ApproveArgs) -> Result<Answer, Problem> {
    let ids = named(args)?;
    let session = args.connect.open()?;
    let mut waiting = pending(&session).await?;
    let mut texts = Vec::new();
    for id in &ids {
        texts.push(waits(&mut waiting, *id)?);
    }
    if let [one] = texts.as_slice() {
        let command = format!("countersign approve {}", one.withdrawal);
        return match sign(&args.how, &session, &one.text, &command)? {
            Signing::Signed(signature) => view::done(handed_in(&session, one.withdrawal, signature).await?),
            Signing::Told(answer) => Ok(answer),
        };
    }
    approve_all(args, &session, &texts).await
}

/// The withdrawals that are meant, each once.
fn named(args: &ApproveArgs) -> Result<Vec<WithdrawalId>, Problem> {
    let mut ids = Vec::new();
    for text in &args.withdrawals {
        let id = WithdrawalId::parse(text)?;
        if ids.contains(&id) {
            let problem = format!("names {id} twice; nothing was signed");
            return Err(Problem::config("WITHDRAWAL", problem, "name each withdrawal once"));
        }
        ids.push(id);
    }
    let one_text = args.how.signature.is_some() || args.how.text_out.is_some();
    if ids.len() > 1 && one_text {
        let cure = "give one withdrawal at a time, or sign through the agent with --ssh-key <file>.pub";
        let problem = "are for one withdrawal: each has a text and a signature of its own";
        return Err(Problem::config("--text-out and --signature", problem, cure));
    }
    Ok(ids)
}

fn waits(waiting: &mut Vec<PendingApproval>, id: WithdrawalId) -> Result<PendingApproval, Problem> {
    let at = waiting.iter().position(|one| one.withdrawal == id);
    let one = at.map(|at| waiting.remove(at)).ok_or_else(|| {
        Problem::of(Code::NotFound, format!("{id} does not wait for an approval; nothing was signed"))
            .cure("see `countersign approvals` and `countersign status`")
    })?;
    // What is signed must be an approval of the withdrawal that was named, whatever the service sends.
    if ApprovalText::parse(&one.text)?.withdrawal() != id {
        return Err(Problem::of(Code::ApprovalInvalid, "the service sent the text of another withdrawal"));
    }
    Ok(one)
}

async fn handed_in(
    session: &Session,
    id: WithdrawalId,
    signature: String,
) -> Result<v1::Withdrawal, Problem> {
    let message = v1::ApproveWithdrawalRequest { name: wire::name(id), signature };
    Ok(session.client.approvals().approve_withdrawal(session.request(message)).await?.into_inner())
}

/// Several: all are shown, one yes is asked for, every one is signed by itself, and what becomes of one hinders no other.
async fn approve_all(
    args: &ApproveArgs,
    session: &Session,
    several: &[PendingApproval],
) -> Result<Answer, Problem> {
    let missing =
        || Problem::config("--ssh-key", "is missing", "several are signed with a key or through the agent");
    let key = args.how.ssh_key.as_ref().or(session.profile.ssh_key.as_ref()).ok_or_else(missing)?;
    if !args.how.yes {
        let question = format!("Sign each of these {}, one signature each?", several.len());
        confirm(&in_full(several)?, &question)?;
    }
    let (mut exit, mut documents, mut rows) = (Exit::Ok, Vec::new(), Vec::new());
    for one in several {
        let given = match by_key(key, NAMESPACE_APPROVAL, &one.text) {
            Ok(signature) => handed_in(session, one.withdrawal, signature).await,
            Err(problem) => Err(problem),
        };
        let given = given.and_then(view::read);
        if let Err(problem) = &given
            && problem.exit.number() > exit.number()
        {
            exit = problem.exit;
        }
        let (document, row) = of_several(one.withdrawal, given);
        documents.push(document);
        rows.push(row);
    }
    let text = table(["withdrawal", "approval", "outcome", "code"], &rows);
    Ok(Answer { exit, json: json!({ "approvals": documents }), text })
}

/// What became of one of several, for programs and for people.
fn of_several(id: WithdrawalId, given: Result<WithdrawalView, Problem>) -> (Value, [String; 4]) {
    match given {
        Ok(view) => {
            let code = view::findings(&view.outcome).first().map_or("", |f| f.code.as_str());
            let row = [id.to_string(), "approved".into(), view::word(&view.outcome).into(), code.into()];
            (json!({ "withdrawal": id.to_string(), "approved": true, "view": view::document(&view) }), row)
        }
        Err(problem) => {
            let code = problem.code.map_or("", Code::as_str);
            let row = [id.to_string(), "NOT approved".into(), problem.text.clone(), code.into()];
            let error = problem.json().get_mut("error").map(Value::take);
            (json!({ "withdrawal": id.to_string(), "approved": false, "error": error }), row)
        }
    }
}

/// Says no.
pub async fn reject(args: &RejectArgs) -> Result<Answer, Problem> {
    let id = WithdrawalId::parse(&args.withdrawal)?;
    let session = args.connect.open()?;
    let message = v1::GetWithdrawalRequest { pick: Some(Pick::Name(wire::name(id))) };
    let asked = view::read(
        session.client.withdrawals().get_withdrawal(session.request(message)).await?.into_inner(),
    )?
    .request;
    let text = RejectionText {
        subject: Subject::of(&asked, asked.asset.denomination()),
        reason: args.reason.clone(),
    };
    if text.withdrawal() != id {
        return Err(Problem::of(Code::ApprovalInvalid, "the service sent another withdrawal"));
    }
    let text = text.render();
    RejectionText::parse(&text)?;
    let command = format!("countersign reject {id} --reason '{}'", args.reason);
    let signature = match sign(&args.how, &session, &text, &command)? {
        Signing::Signed(signature) => signature,
        Signing::Told(answer) => return Ok(answer),
    };
    let message =
        v1::RejectWithdrawalRequest { name: wire::name(id), reason: args.reason.clone(), signature };
    let answer = session.client.approvals().reject_withdrawal(session.request(message)).await?;
    rejected(view::read(answer.into_inner())?, id, session.profile.attestation_key.as_deref())
}

/// What a rejection came to. With the co-signer's attestation key in the profile, a yes only with its receipt: the service
/// alone could say so and pay all the same.
fn rejected(
    view: WithdrawalView,
    id: WithdrawalId,
    attestation_key: Option<&str>,
) -> Result<Answer, Problem> {
    if let Some(key) = attestation_key {
        let key = read_public_key("attestation_key", key)?;
        let none = || {
            Problem::of(Code::EvidenceInvalid, "the service shows no receipt of the co-signer for it")
                .cure("it may still be paid; find out who altered the answer, and have the co-signer stopped")
        };
        let receipt = view.void_receipt.as_ref().ok_or_else(none)?;
        verify_void(&receipt.text, &receipt.signature, &key, id)?;
        return Ok(Answer { exit: Exit::Ok, json: view::document(&view), text: view::text_checked(&view) });
    }
    Ok(Answer { exit: Exit::Ok, json: view::document(&view), text: view::text(&view) })
}

enum Signing {
    Signed(String),
    Told(Answer),
}

/// Signs, takes a signature that was made elsewhere, or tells how to make one.
fn sign(how: &SignArgs, session: &Session, text: &str, command: &str) -> Result<Signing, Problem> {
    if let Some(path) = &how.signature {
        let armored =
            std::fs::read_to_string(path).map_err(|error| Problem::file(path, &error).at("--signature"))?;
        return Ok(Signing::Signed(armored));
    }
    let key = match (&how.text_out, how.ssh_key.as_ref().or(session.profile.ssh_key.as_ref())) {
        (None, Some(key)) => key,
        (text_out, _) => return tell(text_out.as_ref(), text, command).map(Signing::Told),
    };
    if !how.yes {
        confirm(text, "Sign exactly this?")?;
    }
    by_key(key, NAMESPACE_APPROVAL, text).map(Signing::Signed)
}

fn confirm(text: &str, question: &str) -> Result<(), Problem> {
    let cure = "read the text, then give --yes";
    if !std::io::stdin().is_terminal() {
        return Err(Problem::config("--yes", "is missing, and there is no terminal to ask on", cure));
    }
    let mut terminal = std::io::stderr().lock();
    let _ = write!(terminal, "{text}\n{question} Type yes: ");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if read.is_ok() && line.trim() == "yes" {
        return Ok(());
    }
    Err(Problem { exit: Exit::No, code: None, ..Problem::config("approval", "nothing was signed", "") })
}

fn tell(text_out: Option<&PathBuf>, text: &str, command: &str) -> Result<Answer, Problem> {
    let file = text_out.map_or_else(|| "text".to_owned(), |path| path.display().to_string());
    let sign = format!("ssh-keygen -Y sign -n {NAMESPACE_APPROVAL} -f <your key> {file}");
    let send = format!("{command} --signature {file}.sig");
    let mut shown = format!("{text}\n");
    match text_out {
        Some(path) => keyfile::write_new(path, text)?,
        None => shown.push_str(
            "NOTHING WAS SIGNED. Name a key with --ssh-key; to sign with one that this program cannot read, \
                 repeat with --text-out text, then\n",
        ),
    }
    shown.push_str(&format!("  {sign}\n  {send}\n"));
    let json = json!({ "text": text, "namespace": NAMESPACE_APPROVAL, "sign": sign, "send": send });
    // Without a key and without --text-out somebody may believe that this was their word.
    let exit = if text_out.is_some() { Exit::Ok } else { Exit::No };
    Ok(Answer { exit, json, text: shown })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::client::connect::CallerArgs;
    use crate::desk::SignedText;
    use crate::evidence::{TravelRule, VoidCause, WithdrawalVoid, ed25519, sign_void};
    use crate::withdrawal::*;

    fn view(receipt: Option<SignedText>) -> WithdrawalView {
        let request = WithdrawalRequest {
            organisation: Organisation::parse("hanbit").unwrap(),
            request_id: RequestId::parse("w-1").unwrap(),
            customer_ref: CustomerRef::parse("c").unwrap(),
            asset: Asset::Bitcoin(Network::Regtest),
            destination: "bcrt1q".into(),
            amount: Amount::from_sat(5),
            fee_max: Amount::from_sat(5),
            beneficiary_vasp: VaspId(1),
            asked_at: Seconds(1),
        };
        WithdrawalView {
            id: request.id(),
            request,
            stage: Stage::Cleared,
            outcome: Outcome::Refused(vec![Finding::new(Code::RejectedByOperator, "kim: no")]),
            txid: None,
            raw_transaction: Vec::new(),
            safe: None,
            prevouts: Vec::new(),
            fee: None,
            log_index: 1,
            created_at: Seconds(1),
            updated_at: Seconds(1),
            void_receipt: receipt,
        }
    }

    fn waiting(number: u8) -> PendingApproval {
        let request = view(None).request;
        let request_id = RequestId::parse(&format!("w-{number}")).unwrap();
        let text = ApprovalText {
            subject: Subject::of(&WithdrawalRequest { request_id, ..request }, Some(Denomination::bitcoin())),
            beneficiary_vasp: VaspId(1),
            beneficiary_vasp_name: "Robot".into(),
            travel_rule: TravelRule::Cleared,
            fee_max: Amount::from_sat(5),
            signer_policy: [1; 32],
            cosigner_policy: [2; 32],
            wallet: "00aa00aa".into(),
            expires_at: Seconds(9),
        };
        let (withdrawal, findings, given) = (text.withdrawal(), Vec::new(), Vec::new());
        PendingApproval { withdrawal, text: text.render(), findings, given, expires_at: Seconds(9) }
    }

    #[test]
    fn several_are_shown_in_full_and_with_their_sum_before_they_are_signed() {
        let several = [waiting(1), waiting(2), waiting(3)];
        let shown = in_full(&several).unwrap();
        for one in &several {
            assert!(shown.contains(&one.text), "{shown}");
        }
        assert!(shown.contains("3 withdrawals, 0.00000015 BTC (15) in all"), "{shown}");
        let odd = PendingApproval { text: "pay everything\n".into(), ..waiting(4) };
        assert!(in_full(&[waiting(1), odd]).is_err(), "what cannot be read is not shown beside others");
    }

    #[test]
    fn what_was_not_named_or_named_twice_is_not_signed() {
        let id = |number: u8| waiting(number).withdrawal.to_string();
        let how = || SignArgs { ssh_key: None, signature: None, text_out: None, yes: true };
        let connect =
            || ConnectArgs { profile: None, connect: None, caller: CallerArgs::default(), deadline: 1 };
        let named = |ids: Vec<String>, how| named(&ApproveArgs { connect: connect(), withdrawals: ids, how });
        assert_eq!(named(vec![id(1), id(2)], how()).unwrap().len(), 2);
        assert_eq!(named(vec![id(1), id(1)], how()).err().unwrap().field.as_deref(), Some("WITHDRAWAL"));
        let one = || SignArgs { signature: Some("sig".into()), ..how() };
        assert_eq!(named(vec![id(1)], one()).unwrap().len(), 1);
        assert!(named(vec![id(1), id(2)], one()).is_err());
        // the service sends another text than that of the withdrawal that was named
        let swapped = PendingApproval { withdrawal: waiting(1).withdrawal, ..waiting(2) };
        let no = waits(&mut vec![swapped], waiting(1).withdrawal).err().unwrap();
        assert_eq!(no.code, Some(Code::ApprovalInvalid));
        assert_eq!(
            waits(&mut vec![waiting(2)], waiting(1).withdrawal).err().unwrap().code,
            Some(Code::NotFound)
        );
    }

    #[test]
    fn a_rejection_is_believed_with_the_cosigners_receipt_where_its_key_is_known() {
        let signing = |seed: u8| ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let key = data_encoding::HEXLOWER.encode(signing(5).verifying_key().as_bytes());
        let request = view(None).request;
        let void = WithdrawalVoid {
            organisation: request.organisation,
            request_id: request.request_id,
            cause: VoidCause::Rejected,
            evidence: [1; 32],
            voided_at: Seconds(1),
        };
        let by = |seed: u8| {
            let signed = sign_void(&void, ed25519(&signing(seed))).unwrap();
            view(Some(SignedText { text: signed.text, key_id: "b".into(), signature: signed.signature }))
        };
        let id = void.withdrawal();
        assert_eq!(rejected(by(5), id, Some(&key)).unwrap().exit, Exit::Ok);
        for claimed in [by(6), view(None)] {
            let no = rejected(claimed, id, Some(&key)).err().unwrap();
            assert_eq!(no.code, Some(Code::EvidenceInvalid));
        }
        rejected(view(None), id, None).unwrap();
    }
}
