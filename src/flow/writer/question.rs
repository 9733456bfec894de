//! What may be asked of the writer between two batches.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::Writer;
use crate::desk::{WalletView, WithdrawalView};
use crate::evidence::{ApprovalText, VerifiedRequest};
use crate::flow::transactions::Transactions;
use crate::flow::{approve, position, refill, wallet};
use crate::withdrawal::{Amount, Asset, ChainId, Krw, Organisation, Outcome, WithdrawalId};

/// The texts of a withdrawal that may be approved, and who asked for it.
pub type Approvable = (Vec<ApprovalText>, Arc<VerifiedRequest>);

/// What readers ask of the ledger in memory.
pub enum Question {
    /// How a withdrawal stands, if it is open.
    View(WithdrawalId, oneshot::Sender<Option<WithdrawalView>>),
    /// What waits for operators.
    Pending(oneshot::Sender<Vec<crate::desk::PendingApproval>>),
    /// The request and texts of an open withdrawal, for an operator's signature to be verified.
    Approvable(WithdrawalId, oneshot::Sender<Option<Approvable>>),
    /// The verified request of an open withdrawal.
    Request(WithdrawalId, oneshot::Sender<Option<Arc<crate::evidence::VerifiedRequest>>>),
    /// The last number of an observer and kind.
    LastNumber(String, crate::evidence::statement::StatementKind, oneshot::Sender<Option<u64>>),
    /// What an amount is worth at the price that stands.
    Value(Asset, Amount, oneshot::Sender<Option<Krw>>),
    /// A registration of a customer's own wallet, by its name.
    Wallet(String, oneshot::Sender<Option<WalletView>>),
    /// The registrations, all or those of one organisation.
    Wallets(Option<Organisation>, oneshot::Sender<Vec<WalletView>>),
    /// Whether a withdrawal to the customer's own wallet would be exempt now.
    Exempt(Arc<VerifiedRequest>, oneshot::Sender<Outcome>),
    /// A refill, by its id.
    Refill(String, oneshot::Sender<Option<crate::desk::RefillView>>),
    /// Every refill.
    Refills(oneshot::Sender<Vec<crate::desk::RefillView>>),
    /// What the co-signer is told of a refill.
    RefillOrder(String, oneshot::Sender<Option<crate::desk::RefillAttestOrder>>),
    /// How many indices of deposit addresses of a chain customers have.
    DepositAddresses(ChainId, oneshot::Sender<u32>),
    /// Where everything stands.
    Position(oneshot::Sender<crate::desk::PositionView>),
}

impl Writer {
    pub(super) fn answer(&self, question: Question) {
        match question {
            Question::View(id, to) => {
                let _ = to.send(self.view(id, (&HashMap::new(), &Transactions::default())));
            }
            Question::Pending(to) => {
                let _ = to.send(approve::pending(&self.context, &self.ledger));
            }
            Question::Approvable(id, to) => {
                let open = self.ledger.open.get(&id);
                let found = open
                    .and_then(|open| Some((approve::texts_of(&self.context, open)?, open.request.clone())));
                let _ = to.send(found);
            }
            Question::Request(id, to) => {
                let _ = to.send(self.ledger.open.get(&id).map(|open| open.request.clone()));
            }
            Question::LastNumber(observer, kind, to) => {
                let _ = to.send(self.ledger.treasury.heard.last_number(&observer, kind));
            }
            Question::Value(asset, amount, to) => {
                let _ = to.send(self.ledger.treasury.of(asset).value(amount));
            }
            Question::Wallet(name, to) => {
                let found = self.ledger.registrations.named(&name);
                let _ = to.send(found.and_then(|found| wallet::view(&self.context, &name, found).ok()));
            }
            Question::Wallets(organisation, to) => {
                let _ = to.send(wallet::views(&self.context, &self.ledger, organisation.as_ref()));
            }
            Question::Exempt(request, to) => {
                let _ = to.send(wallet::foretell(&self.context, &self.ledger, &request));
            }
            Question::Refill(id, to) => {
                let _ = to.send(refill::view(&self.context, &self.ledger, &id));
            }
            Question::Refills(to) => {
                let _ = to.send(refill::views(&self.context, &self.ledger));
            }
            Question::RefillOrder(id, to) => {
                let _ = to.send(refill::attest_order(&self.ledger, &id, self.context.now()));
            }
            Question::DepositAddresses(chain, to) => {
                let _ = to.send(self.ledger.treasury.deposits.next_index(chain));
            }
            Question::Position(to) => {
                let _ = to.send(position::view(&self.context, &self.ledger, self.context.now()));
            }
        }
    }
}
