//! The counter of the co-signer: one question at a time, from the witnessed head to the signatures.
//!
//! Order: witness → prove each item by itself (on every core) → decide in order → ONE commit → sign. A question asked
//! twice gives the same bytes, because the same transaction is signed again (RFC 6979).

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tracing::{error, info};

use super::judge::{self, Proven, Yes};
use super::load::{self, STOPPED, Seen, WITNESSED};
use super::state::{DEPOSIT_AHEAD_MAX, Past, State};
use crate::audit::{
    Accepted, ConsistencyProof, Cosignature, EntryKind, LogKey, Submission, VerifiedCheckpoint, Witness,
    WitnessKey, witness::witness,
};
use crate::bitcoin::{Branch, KeySlot};
use crate::bitcoin::{CheckedTransaction, TransactionKind};
use crate::desk::{
    AttestationOrder, CosignDesk, CosignItem, CosignOrder, CosignOutcome, CosignStatus, DeskError,
    HeadAnswer, ItemVerdict, Recalled, Refusal, SignedText, StatementReceipt,
};
use crate::evidence::NotProven;
use crate::evidence::attestation::{AddressAttestation, render_attestation};
use crate::evidence::statement::{parse_statement, verify_statement};
use crate::flow::context::Context;
use crate::flow::finish::order_items;
use crate::flow::ledger::coins::{Coin, CoinState};
use crate::flow::ledger::journal::{Draft, Journal, JournalFault, LogView};
use crate::flow::ledger::rows::{self, AddressRow, CosignedRow, SeenRequestRow, Signed, SpentRow};
use crate::flow::ledger::treasury::SweepInFlight;
use crate::flow::statement::{self, Taking};
use crate::flow::treasury::write_coin;
use crate::flow::writer::read_coins;
use crate::keys::{HotKey, IdentityKey, SigningOrder};
use crate::store::{StoreSecret, StoreUrl, Table};
use crate::withdrawal::{Code, Finding, ReservationId, WithdrawalId};

/// What a co-signer is made of.
pub struct CosignerParts {
    /// What it decides with: its own.
    pub context: Arc<Context>,
    /// Its own store.
    pub store: StoreUrl,
    /// The secret of its rows' tags.
    pub secret: StoreSecret,
    /// The key its own log signs with.
    pub log_key: LogKey,
    /// The identity behind its log.
    pub log_identity: Arc<IdentityKey>,
    /// The key it cosigns the signer's heads with.
    pub witness_key: WitnessKey,
    /// The identity behind that key.
    pub witness_identity: Arc<IdentityKey>,
    /// The identity it attests addresses with.
    pub attestation: Arc<IdentityKey>,
    /// Key B.
    pub hot_key: Arc<HotKey>,
}

struct Core {
    journal: Journal,
    state: State,
}

/// A running co-signer.
///
/// Every question runs in a task of its own: a caller who hangs up must not leave memory ahead of the store.
#[derive(Clone)]
pub struct Cosigner(Arc<Party>);

struct Party {
    context: Arc<Context>,
    signer_log: LogKey,
    witness_key: WitnessKey,
    witness_identity: Arc<IdentityKey>,
    attestation: Arc<IdentityKey>,
    key: Arc<HotKey>,
    log: Arc<LogView>,
    core: Mutex<Core>,
}

impl Cosigner {
    /// Opens its store and reads back what it knows.
    pub async fn start(parts: CosignerParts) -> Result<Self, crate::flow::signer::StartFault> {
        Ok(Self(Arc::new(Party::open(parts).await?)))
    }

    /// Its own log.
    pub fn log(&self) -> Arc<LogView> {
        self.0.log.clone()
    }

    async fn finish<T: Send + 'static>(
        &self,
        question: impl Future<Output = Result<T, DeskError>> + Send + 'static,
    ) -> Result<T, DeskError> {
        match tokio::spawn(question).await {
            Ok(answer) => answer,
            Err(broken) => {
                error!(code = %Code::Internal, "a question broke off: {broken}");
                let mut core = self.0.core.lock().await;
                self.0.reload(&mut core).await;
                Err(DeskError::may_have_happened(Code::Internal, "the question broke off; ask it again"))
            }
        }
    }
}

impl Party {
    async fn open(parts: CosignerParts) -> Result<Self, crate::flow::signer::StartFault> {
        let CosignerParts { context, store, secret, log_key, log_identity, .. } = parts;
        let mut seen = Seen::default();
        let mut journal =
            Journal::open(&store, &secret, log_key, log_identity, &mut |row| seen.visit(row)).await?;
        crate::flow::signer::enter_start(&context, &mut journal).await?;
        let state = load::load(&context, seen)?;
        let unreadable = |_| crate::flow::signer::StartFault::Trust("key of the signer's log cannot be read");
        let signer_log = LogKey::parse(context.trust.signer_log_key()).map_err(unreadable)?;
        info!(coins = state.treasury.coins.len(), "the co-signer's ledger is loaded");
        Ok(Self {
            log: journal.view(),
            core: Mutex::new(Core { journal, state }),
            context,
            signer_log,
            witness_key: parts.witness_key,
            witness_identity: parts.witness_identity,
            attestation: parts.attestation,
            key: parts.hot_key,
        })
    }

    /// Signs a checked transaction with key B; what leaves carries B's signature and no other.
    fn sign(&self, reservation: ReservationId, checked: &CheckedTransaction) -> Result<Vec<u8>, Finding> {
        let broken = |detail: String| Finding::new(Code::Internal, detail);
        let order = SigningOrder::danger_vouch_for(reservation, order_items(checked, KeySlot::B)?);
        let signatures = self.key.sign(&order).map_err(|e| broken(e.to_string()))?;
        let signatures = signatures.iter().map(|s| *s.signature()).collect();
        let verified = checked.verify(KeySlot::B, signatures).map_err(|e| broken(e.to_string()))?;
        checked.psbt_with(&verified).map_err(|e| broken(e.to_string()))
    }

    fn witness(&self, core: &Core, order: &CosignOrder) -> Result<Witnessing, DeskError> {
        let invalid = |problem: String| {
            let cure = "send the newest checkpoint of the signer's own log";
            DeskError::Invalid(crate::withdrawal::Invalid::new(
                Code::FieldMalformed,
                "checkpoint",
                problem,
                cure,
            ))
        };
        let checkpoint = VerifiedCheckpoint::open(&order.checkpoint, &self.signer_log)
            .map_err(|e| invalid(e.to_string()))?;
        let proof = ConsistencyProof::from_wire(&order.consistency).map_err(|e| invalid(e.to_string()))?;
        let known = core.state.witness_of(self.signer_log.name(), None);
        let submission = Submission { checkpoint: &checkpoint, old_size: order.old_size, proof: &proof };
        Ok(match witness(&known, &submission) {
            Witness::Accept(accepted) => Witnessing::Accepted(accepted),
            Witness::Known { size } => Witnessing::Known(size),
            Witness::Fork(fork) => Witnessing::Fork(format!("{fork:?} at size {}", checkpoint.head().size)),
            Witness::OtherLog => return Err(invalid("is of another log".to_owned())),
            Witness::Malformed => return Err(invalid("its old size is above its size".to_owned())),
        })
    }

    async fn past(&self, journal: &Journal, order: &CosignOrder) -> Result<Past, JournalFault> {
        let mut past = Past::default();
        let keys: Vec<String> = order.items.iter().map(|i| i.reservation.to_string()).collect();
        for row in journal.rows(Table::SignedReservation, &keys).await? {
            let unreadable = || JournalFault::Unreadable(row.key().to_owned());
            let id = ReservationId::parse(row.key()).map_err(|_| unreadable())?;
            past.reservations.insert(id, rows::read(row.key(), row.content()).map_err(|_| unreadable())?);
        }
        let payments = || order.items.iter().flat_map(|i| &i.payments);
        let requests =
            payments().filter_map(|p| crate::evidence::request::parse_request(&p.request.text).ok());
        let keys: Vec<String> = requests.map(|r| r.id().to_string()).collect();
        for row in journal.rows(Table::SeenRequest, &keys).await? {
            let unreadable = || JournalFault::Unreadable(row.key().to_owned());
            let id = WithdrawalId::parse(row.key()).map_err(|_| unreadable())?;
            past.requests.insert(id, rows::read(row.key(), row.content()).map_err(|_| unreadable())?);
        }
        let answers = payments().filter_map(|p| match &p.clearance {
            Some(crate::desk::ClearanceEvidence::Answer(answer)) => {
                crate::evidence::answer::parse_answer(&answer.text).ok()
            }
            None => None,
        });
        let keys: Vec<String> = answers.map(|a| a.uuid.to_string()).collect();
        for row in journal.rows(Table::UsedVerification, &keys).await? {
            past.uuids.insert(row.key().to_owned(), row.content().to_owned());
        }
        Ok(past)
    }

    /// Proves every item that was not decided before, on every core.
    fn prove_all(
        &self,
        state: &State,
        accepted: &Accepted,
        past: &Past,
        order: &CosignOrder,
    ) -> Vec<Option<Result<Proven, Refusal>>> {
        let now = self.context.now();
        let policy = data_encoding::HEXLOWER.decode(order.policy.as_bytes()).ok();
        let policy = policy.and_then(|p| p.try_into().ok()).unwrap_or([0; 32]);
        let prove = |item: &CosignItem| {
            let fresh = !past.reservations.contains_key(&item.reservation);
            fresh.then(|| judge::prove(&self.context, state, accepted, policy, item, now))
        };
        on_every_core(&order.items, &prove)
    }

    async fn decide_and_sign(
        &self,
        core: &mut Core,
        accepted: Accepted,
        order: CosignOrder,
    ) -> Result<CosignOutcome, DeskError> {
        let mut past = self.past(&core.journal, &order).await.map_err(|f| f.desk_error())?;
        let proofs = tokio::task::block_in_place(|| self.prove_all(&core.state, &accepted, &past, &order));
        let mut draft = core.journal.draft(self.context.now());
        self.enter_witnessed(&mut draft, &accepted);
        let mut decided = Vec::with_capacity(order.items.len());
        for (item, proof) in order.items.iter().zip(proofs) {
            decided.push(self.decide_one(core, &mut draft, &mut past, item, proof));
        }
        if let Err(fault) = core.journal.commit(draft).await {
            self.reload(core).await;
            return Err(fault.desk_error());
        }
        core.state.witnessed = Some(*accepted.head());
        let head = self.cosign(&accepted)?;
        let sign = |decided: &Decided| self.answer(decided);
        let verdicts = tokio::task::block_in_place(|| on_every_core(&decided, &sign));
        let verdicts = order.items.iter().map(|i| i.reservation).zip(verdicts).collect();
        Ok(CosignOutcome { head, verdicts })
    }

    fn enter_witnessed(&self, draft: &mut Draft, accepted: &Accepted) {
        let head = accepted.head();
        draft.entry(
            EntryKind::Witnessed,
            &[
                ("origin", &accepted.origin()),
                ("size", &head.size),
                ("root", &data_encoding::HEXLOWER.encode(&head.root.0)),
                ("old_size", &accepted.from().size),
            ],
        );
        draft.row(
            Table::WitnessedLog,
            WITNESSED.to_owned(),
            "witnessed",
            draft.now(),
            load::write_head(head),
        );
    }

    fn cosign(&self, accepted: &Accepted) -> Result<HeadAnswer, DeskError> {
        let sign = |message: &[u8]| self.witness_identity.sign_note(message).unwrap_or([0; 64]);
        let line =
            Cosignature::sign(accepted, &self.witness_key, self.context.now(), &sign).and_then(|c| c.line());
        let broken =
            |e: crate::audit::CosignatureInvalid| DeskError::may_have_happened(Code::Internal, e.to_string());
        Ok(HeadAnswer::Cosigned(line.map_err(broken)?))
    }

    fn decide_one(
        &self,
        core: &mut Core,
        draft: &mut Draft,
        past: &mut Past,
        item: &CosignItem,
        proof: Option<Result<Proven, Refusal>>,
    ) -> Decided {
        // Decided before, be it a moment ago in this very order.
        let proof = match (past.reservations.get(&item.reservation), proof) {
            (Some(row), _) if row.state == "signed" => {
                return Decided::Again(item.reservation, Box::new(row.clone()));
            }
            (None, Some(proof)) => proof,
            (Some(_), _) | (None, None) => {
                let finding =
                    Finding::new(Code::ReservationDead, "this reservation was refused before, for ever");
                return Decided::No(Refusal { is_hold: true, ..judge::no(None, finding) });
            }
        };
        let judged = proof.and_then(|proven| {
            let yes = judge::decide(&self.context, &core.state, past, &proven, draft.now())?;
            Ok((proven, yes))
        });
        match judged {
            Ok((proven, yes)) => match self.book(core, draft, past, &proven, yes, &item.psbt) {
                Ok(()) => Decided::Yes(Box::new(proven)),
                Err(finding) => Decided::No(self.refuse(draft, past, item, judge::no(None, finding))),
            },
            Err(refusal) => Decided::No(self.refuse(draft, past, item, refusal)),
        }
    }

    /// Books a yes: sums first, then everything that makes a second yes impossible.
    fn book(
        &self,
        core: &mut Core,
        draft: &mut Draft,
        past: &mut Past,
        proven: &Proven,
        yes: Yes,
        psbt: &[u8],
    ) -> Result<(), Finding> {
        let now = draft.now();
        let state = &mut core.state;
        state
            .treasury
            .sums
            .spend(now, yes.spend)
            .map_err(|e| Finding::new(Code::ClockWentBack, e.to_string()))?;
        let inputs: Vec<String> =
            proven.checked.inputs().iter().map(|i| i.coin().outpoint.to_string()).collect();
        let withdrawals: Vec<String> = proven.payments.iter().map(|p| p.request.id().to_string()).collect();
        let row = CosignedRow {
            state: "signed".to_owned(),
            psbt: data_encoding::HEXLOWER.encode(psbt),
            txid: proven.checked.txid().to_string(),
            inputs: inputs.clone(),
            coins: proven.checked.inputs().iter().map(|i| SpentRow::of(i.coin())).collect(),
            withdrawals: withdrawals.clone(),
            kind: kind_name(proven.checked.kind()).to_owned(),
            outgoing_sat: yes.outgoing_sat,
            leaving_sat: yes.spend.leaving_sat,
            fee_sat: yes.spend.fee_sat,
            unnamed_krw: yes.spend.unnamed.to_string(),
            change: yes.change.as_ref().map(|(row, _)| *row),
            swept: yes.swept,
            at: now.0,
            code: None,
        };
        for payment in &proven.payments {
            enter_request(draft, payment, &proven.reservation);
        }
        draft.entry(
            EntryKind::Cosigned,
            &[
                ("reservation", &proven.reservation),
                ("purpose", &row.kind),
                ("asset", &self.context.asset),
                ("amount", &yes.outgoing_sat.saturating_sub(yes.spend.fee_sat)),
                ("fee", &yes.spend.fee_sat),
                ("txid", &row.txid),
                ("withdrawals", &withdrawals.join(" ")),
                ("inputs", &inputs.join(" ")),
                ("policy", &self.context.policy_hash()),
            ],
        );
        let anchor = inputs.first().cloned();
        for payment in &proven.payments {
            let id = payment.request.id();
            let uuid = payment.clearance.uuid().to_string();
            let known = past.requests.get(&id).and_then(|r| r.anchor.clone());
            let seen = SeenRequestRow {
                digest: data_encoding::HEXLOWER.encode(payment.request.digest()),
                anchor: known.or_else(|| anchor.clone()),
                reservation: Some(proven.reservation.to_string()),
                uuid: Some(uuid.clone()),
            };
            draft.row(Table::SeenRequest, id.to_string(), "seen", now, rows::write(&seen));
            draft.row(Table::UsedVerification, uuid.clone(), "used", now, id.to_string());
            past.requests.insert(id, seen);
            past.uuids.insert(uuid, id.to_string());
        }
        draft.row(Table::SignedReservation, proven.reservation.to_string(), "signed", now, rows::write(&row));
        past.reservations.insert(proven.reservation, row.clone());
        self.spend_coins(state, draft, proven, &yes, &row.txid);
        Ok(())
    }

    fn spend_coins(&self, state: &mut State, draft: &mut Draft, proven: &Proven, yes: &Yes, txid: &str) {
        let mut depth = 0u8;
        for input in proven.checked.inputs() {
            let spent = CoinState::Spent(proven.reservation);
            if let Some(coin) = state.treasury.coins.set_state(&input.coin().outpoint, spent) {
                depth = if coin.confirmations == 0 { depth.max(coin.chain_depth) } else { depth };
                write_coin(draft, &coin);
            }
        }
        if let Some((change, script)) = &yes.change {
            let coin = Coin {
                outpoint: ::bitcoin::OutPoint { txid: proven.checked.txid(), vout: change.vout },
                amount_sat: change.amount_sat,
                branch: 1,
                index: change.index,
                confirmations: 0,
                chain_depth: depth.saturating_add(1),
                state: CoinState::Free,
            };
            write_coin(draft, &coin);
            state.treasury.coins.put(coin);
            state.scripts.put(script.clone());
        }
        if let Some((amount_sat, index)) = yes.swept {
            state.cold_highest = state.cold_highest.max(index);
            state.treasury.sweeps.insert(txid.to_owned(), SweepInFlight { amount_sat, since: draft.now() });
        }
    }

    /// Records a no: this very transaction will never be signed (law L20).
    fn refuse(&self, draft: &mut Draft, past: &mut Past, item: &CosignItem, refusal: Refusal) -> Refusal {
        let withdrawal = refusal.withdrawal.map(|w| w.to_string()).unwrap_or_default();
        let detail: String = refusal.finding.detail.chars().take(1_000).collect();
        draft.entry(
            EntryKind::CosignRefused,
            &[
                ("reservation", &item.reservation),
                ("code", &refusal.finding.code),
                ("withdrawal", &withdrawal),
                ("detail", &detail),
            ],
        );
        let row = CosignedRow::dead(refusal.finding.code, draft.now());
        draft.row(
            Table::SignedReservation,
            item.reservation.to_string(),
            "dead",
            draft.now(),
            rows::write(&row),
        );
        past.reservations.insert(item.reservation, row);
        refusal
    }

    fn answer(&self, decided: &Decided) -> ItemVerdict {
        let signed = match decided {
            Decided::No(refusal) => return ItemVerdict::Refused(refusal.clone()),
            Decided::Yes(proven) => self.sign(proven.reservation, &proven.checked),
            Decided::Again(reservation, row) => self.sign_again(*reservation, row),
        };
        match signed {
            Ok(psbt) => ItemVerdict::Signed(psbt),
            // It is booked as signed; asked again it is signed again. Nothing else may be done with these coins.
            Err(finding) => {
                error!(code = %finding.code, "signing failed: {}", finding.detail);
                ItemVerdict::Refused(Refusal { withdrawal: None, finding, is_hold: true })
            }
        }
    }

    /// Signs the stored transaction again. It was judged once; its own bytes are read anew and give the same signatures.
    fn sign_again(&self, reservation: ReservationId, row: &CosignedRow) -> Result<Vec<u8>, Finding> {
        let broken = |detail: &str| Finding::new(Code::Internal, detail);
        let psbt = data_encoding::HEXLOWER.decode(row.psbt.as_bytes()).map_err(|_| broken("stored PSBT"))?;
        let checked = judge::read_again(&self.context, row, &psbt)
            .ok_or_else(|| broken("the stored PSBT cannot be read"))?;
        let same = ReservationId::of_txid(&crate::flow::reserve::txid_bytes(&checked.txid())) == reservation;
        if same {
            self.sign(reservation, &checked)
        } else {
            Err(broken("the stored PSBT is of another transaction"))
        }
    }

    async fn reload(&self, core: &mut Core) {
        loop {
            let mut seen = Seen::default();
            let read = core.journal.catch_up(&mut |row| seen.visit(row)).await;
            match read.and_then(|()| load::load(&self.context, seen)) {
                Ok(state) => {
                    core.state = state;
                    return;
                }
                Err(fault) => {
                    error!(code = %fault.code(), "the co-signer's ledger cannot be read back yet: {fault}");
                    tokio::time::sleep(self.context.settings.retry).await;
                }
            }
        }
    }

    /// A fork was seen: writes the marker, and signs nothing any more.
    async fn stop(&self, core: &mut Core, what: &str) -> DeskError {
        let finding = Finding::new(Code::LogForked, what);
        let mut draft = core.journal.draft(self.context.now());
        draft.entry(
            EntryKind::Alarm,
            &[("code", &Code::LogForked), ("origin", &self.signer_log.name()), ("detail", &what)],
        );
        let now = draft.now();
        draft.row(Table::Setting, STOPPED.to_owned(), "stopped", now, what.to_owned());
        core.state.stopped = Some(finding);
        if let Err(fault) = core.journal.commit(draft).await {
            error!(code = %fault.code(), "the stop could not be written down: {fault}");
        }
        error!(code = %Code::LogForked, "the signer's log is forked: {what}");
        DeskError::nothing_happened(Code::LogForked, what)
    }

    async fn take_statement(&self, core: &mut Core, given: &SignedText) -> Result<StatementReceipt, Finding> {
        let unreadable = |no: NotProven| match no {
            NotProven::Refused(finding) => finding,
            NotProven::Unreadable(invalid) => Finding::new(Code::StatementMalformed, invalid.to_string()),
        };
        let said = parse_statement(&given.text).map_err(|e| unreadable(e.into()))?;
        let last = core.state.treasury.facts.last_number(&said.observer, said.body.kind());
        let settings = &self.context.settings;
        // It may have waited at the signer for as long as the connection was down.
        let age = settings.statement_age_s_max.saturating_add(settings.hold_s_max);
        let verified = verify_statement(
            &given.text,
            &given.signature,
            &self.context.trust,
            self.context.now(),
            age,
            |_, _| last,
        )
        .map_err(unreadable)?;
        let unknown = statement::outpoints(verified.statement());
        let unknown = unknown.into_iter().filter(|o| core.state.treasury.coins.coin(o).is_none()).collect();
        let broken = |fault: JournalFault| Finding::new(fault.code(), fault.to_string());
        let stored = read_coins(&core.journal, unknown).await.map_err(broken)?;
        let mut draft = core.journal.draft(self.context.now());
        let taking = Taking {
            asset: self.context.asset,
            band: self.context.band(),
            scripts: &core.state.scripts,
            stored: &stored,
            state: "taken",
        };
        let log_index = statement::take(&mut core.state.treasury, &mut draft, &taking, &verified)?;
        if let Err(fault) = core.journal.commit(draft).await {
            self.reload(core).await;
            return Err(broken(fault));
        }
        Ok(StatementReceipt { number: verified.statement().number, log_index })
    }

    fn attest_one(
        &self,
        core: &mut Core,
        draft: &mut Draft,
        order: &AttestationOrder,
    ) -> Result<SignedText, Finding> {
        let key = customer_key(order);
        if let Some(known) = core.state.addresses.get(&key) {
            if known.index != order.index || order.branch != 0 {
                let detail =
                    format!("this customer's address has index {}, not {}", known.index, order.index);
                return Err(Finding::new(Code::EvidenceInvalid, detail));
            }
            if let Some(word) = known.attestation.as_ref().and_then(Signed::signed_text) {
                return Ok(word);
            }
        }
        let bound = core.state.scripts.highest[0].saturating_add(DEPOSIT_AHEAD_MAX);
        if order.branch != 0 || order.index > bound {
            let detail = format!(
                "branch {} index {} is no deposit address, or too far ahead",
                order.branch, order.index
            );
            return Err(Finding::new(Code::ChangeNotOwn, detail));
        }
        let network = self.context.asset.network();
        let script = core.state.scripts.script(&self.context.wallet, Branch::Deposit, order.index);
        let script = script.map_err(|e| Finding::new(Code::Internal, e.to_string()))?;
        if core.state.addresses.is_taken(order.index) {
            return Err(Finding::new(Code::EvidenceInvalid, "this index belongs to another customer"));
        }
        let attestation = AddressAttestation {
            organisation: order.organisation.clone(),
            customer_ref: order.customer_ref.clone(),
            wallet: self.context.wallet.fingerprint(),
            network,
            branch: 0,
            index: order.index,
            address: script.address(network),
            attested_at: draft.now(),
        };
        let text = render_attestation(&attestation);
        let signature =
            self.attestation.sign_text(&text).map_err(|e| Finding::new(Code::Internal, e.to_string()))?;
        let word = SignedText { text, key_id: "attestation".to_owned(), signature };
        let row = AddressRow {
            organisation: order.organisation.to_string(),
            customer_ref: order.customer_ref.to_string(),
            index: order.index,
            address: attestation.address.clone(),
            script_pubkey: script.script_pubkey().to_hex_string(),
            attestation: Some(Signed::of(&word)),
        };
        draft.entry(
            EntryKind::Attested,
            &[
                ("address", &attestation.address),
                ("wallet", &attestation.wallet),
                ("branch", &0),
                ("index", &order.index),
                ("attestation", &data_encoding::HEXLOWER.encode(&crate::evidence::digest(&word.text))),
            ],
        );
        draft.row(Table::Address, key.clone(), "attested", draft.now(), rows::write(&row));
        core.state.addresses.put(key, row);
        Ok(word)
    }
}

enum Witnessing {
    Accepted(Accepted),
    Known(u64),
    Fork(String),
}

enum Decided {
    Yes(Box<Proven>),
    Again(ReservationId, Box<CosignedRow>),
    No(Refusal),
}

const fn kind_name(kind: TransactionKind) -> &'static str {
    match kind {
        TransactionKind::Withdrawal => "withdrawal",
        TransactionKind::Sweep => "sweep",
        TransactionKind::Consolidation => "consolidation",
    }
}

fn enter_request(draft: &mut Draft, payment: &judge::ProvenPayment, reservation: &ReservationId) {
    let request = payment.request.request();
    draft.entry(
        EntryKind::RequestSeen,
        &[
            ("organisation", &request.organisation),
            ("request_id", &request.request_id),
            ("request_digest", &data_encoding::HEXLOWER.encode(payment.request.digest())),
            ("withdrawal", &payment.request.id()),
            ("reservation", reservation),
            ("amount", &request.amount),
            ("destination", &request.destination),
            ("evidence", &data_encoding::HEXLOWER.encode(&crate::evidence::digest(payment.clearance.text()))),
        ],
    );
}

fn customer_key(order: &AttestationOrder) -> String {
    let mut hash = Sha256::new();
    hash.update(order.organisation.as_str().as_bytes());
    hash.update([0]);
    hash.update(order.customer_ref.as_str().as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    data_encoding::HEXLOWER.encode(&digest)
}

/// Applies `work` to every item, in order, on as many cores as there are.
fn on_every_core<T: Sync, R: Send>(items: &[T], work: &(dyn Fn(&T) -> R + Sync)) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(1);
    if items.len() <= 1 {
        return items.iter().map(work).collect();
    }
    let (own, others) = items.split_at(share.min(items.len()));
    std::thread::scope(|scope| {
        let parts: Vec<_> = others
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>()))
            .collect();
        let mut done: Vec<R> = own.iter().map(work).collect();
        for part in parts {
            done.extend(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    })
}

#[tonic::async_trait]
impl CosignDesk for Cosigner {
    async fn status(&self) -> Result<CosignStatus, DeskError> {
        self.0.status().await
    }

    async fn submit_statements(
        &self,
        statements: Vec<SignedText>,
    ) -> Result<Vec<Result<StatementReceipt, Finding>>, DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.submit_statements(statements).await }).await
    }

    async fn attest_addresses(&self, orders: Vec<AttestationOrder>) -> Result<Vec<SignedText>, DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.attest_addresses(orders).await }).await
    }

    async fn countersign(&self, order: CosignOrder) -> Result<CosignOutcome, DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.countersign(order).await }).await
    }

    async fn recall(&self, reservations: Vec<ReservationId>) -> Result<Vec<Recalled>, DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.recall(reservations).await }).await
    }
}

impl Party {
    async fn status(&self) -> Result<CosignStatus, DeskError> {
        let core = self.core.lock().await;
        Ok(CosignStatus {
            known_size: core.state.witnessed.map_or(0, |head| head.size),
            wallet: self.context.wallet.fingerprint(),
            policy_hash: self.context.policy_hash(),
            trust_version: self.context.trust.version(),
            attestation_key_id: "attestation".to_owned(),
            attestation_key: self.attestation.public_key(),
            witness_key: self.witness_key.to_string(),
        })
    }

    async fn submit_statements(
        &self,
        statements: Vec<SignedText>,
    ) -> Result<Vec<Result<StatementReceipt, Finding>>, DeskError> {
        let mut core = self.core.lock().await;
        let mut answers = Vec::with_capacity(statements.len());
        for given in &statements {
            answers.push(self.take_statement(&mut core, given).await);
        }
        Ok(answers)
    }

    async fn attest_addresses(&self, orders: Vec<AttestationOrder>) -> Result<Vec<SignedText>, DeskError> {
        let mut core = self.core.lock().await;
        let mut draft = core.journal.draft(self.context.now());
        let mut words = Vec::with_capacity(orders.len());
        for order in &orders {
            match self.attest_one(&mut core, &mut draft, order) {
                Ok(word) => words.push(word),
                Err(finding) => {
                    self.reload(&mut core).await;
                    return Err(DeskError::Refused(finding));
                }
            }
        }
        if !draft.is_empty()
            && let Err(fault) = core.journal.commit(draft).await
        {
            self.reload(&mut core).await;
            return Err(fault.desk_error());
        }
        Ok(words)
    }

    async fn countersign(&self, order: CosignOrder) -> Result<CosignOutcome, DeskError> {
        let mut core = self.core.lock().await;
        if let Some(stopped) = &core.state.stopped {
            return Err(DeskError::nothing_happened(Code::LogForked, stopped.detail.clone()));
        }
        match self.witness(&core, &order)? {
            Witnessing::Known(size) => {
                Ok(CosignOutcome { head: HeadAnswer::KnownSize(size), verdicts: Vec::new() })
            }
            Witnessing::Fork(what) => Err(self.stop(&mut core, &what).await),
            Witnessing::Accepted(accepted) => self.decide_and_sign(&mut core, accepted, order).await,
        }
    }

    async fn recall(&self, reservations: Vec<ReservationId>) -> Result<Vec<Recalled>, DeskError> {
        let mut core = self.core.lock().await;
        if let Some(stopped) = &core.state.stopped {
            return Err(DeskError::nothing_happened(Code::LogForked, stopped.detail.clone()));
        }
        let keys: Vec<String> = reservations.iter().map(ToString::to_string).collect();
        let found = core.journal.rows(Table::SignedReservation, &keys).await.map_err(|f| f.desk_error())?;
        let mut known = HashMap::new();
        for row in found {
            let read: Result<CosignedRow, _> = rows::read(row.key(), row.content());
            let read = read.map_err(|_| JournalFault::Unreadable(row.key().to_owned()).desk_error())?;
            known.insert(row.key().to_owned(), read);
        }
        let mut draft = core.journal.draft(self.context.now());
        let mut answers = Vec::with_capacity(reservations.len());
        for id in reservations {
            match known.get(&id.to_string()) {
                Some(row) if row.state == "signed" => {
                    let psbt = self.sign_again(id, row);
                    let broken = |f: Finding| DeskError::may_have_happened(f.code, f.detail);
                    answers.push(Recalled::Signed(psbt.map_err(broken)?));
                }
                Some(_) => answers.push(Recalled::Dead),
                None => {
                    draft.entry(
                        EntryKind::CosignRefused,
                        &[("reservation", &id), ("code", &Code::ReservationDead)],
                    );
                    let row = CosignedRow::dead(Code::ReservationDead, draft.now());
                    draft.row(
                        Table::SignedReservation,
                        id.to_string(),
                        "dead",
                        draft.now(),
                        rows::write(&row),
                    );
                    answers.push(Recalled::Dead);
                }
            }
        }
        if !draft.is_empty()
            && let Err(fault) = core.journal.commit(draft).await
        {
            self.reload(&mut core).await;
            return Err(fault.desk_error());
        }
        Ok(answers)
    }
}
