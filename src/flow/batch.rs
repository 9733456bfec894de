//! Withdrawals of one asset that are ready in the same turn, gathered for one transaction: as many as their chain lets it carry.

use std::collections::BTreeMap;

use super::context::Context;
use super::ledger::Ledger;
use super::ledger::treasury::Spend;
use super::rail::{self, Picked};
use super::weigh::weigh;
use super::writer::Turn;
use super::{Effect, reserve, withdraw};
use crate::withdrawal::{Asset, Outcome, Seconds, WithdrawalId};

/// Withdrawals that one transaction is to pay.
pub struct Batch {
    /// What it moves.
    pub asset: Asset,
    /// Whom it pays, in the order asked.
    pub withdrawals: Vec<WithdrawalId>,
    /// What pays all of them.
    pub picked: Picked,
    /// What the payments together come to, in base units.
    pub amount: u128,
    /// What they add to the sums, without the fee; one that was charged before adds nothing.
    pub spend: Spend,
    /// Those that add something.
    pub charged: Vec<WithdrawalId>,
}

impl Batch {
    /// What a payment behind it finds on top of the sums. Its fee counts for one that does not join it.
    pub fn before(&self, joins: bool) -> Spend {
        let fee = self.picked.fee();
        let (leaving, paid) = if joins { (0, 0) } else { (fee.leaving, fee.paid) };
        Spend { leaving: self.spend.leaving.saturating_add(leaving), fee: paid, ..self.spend }
    }
}

/// What is gathered in a turn. Nothing of it is left at its end.
#[derive(Default)]
pub struct Batches(BTreeMap<Asset, Batch>);

impl Batches {
    /// Weighs a withdrawal behind those gathered, and takes it up if it is to be paid. One that does not fit with them is weighed
    /// by itself: what holds it, or refuses it, touches none of them.
    pub fn weigh(
        &mut self,
        context: &Context,
        ledger: &mut Ledger,
        turn: &mut Turn,
        id: WithdrawalId,
    ) -> Option<Outcome> {
        let now = turn.draft.now();
        let open = ledger.open.get(&id)?;
        let asset = open.request.request().asset;
        let gathered = self.0.get(&asset);
        let (mut outcome, mut picked) = weigh(context, ledger, open, now, (gathered, true));
        let joins = outcome == Outcome::Moving;
        if !joins && gathered.is_some() {
            (outcome, picked) = weigh(context, ledger, open, now, (gathered, false));
        }
        let picked = match outcome {
            Outcome::Moving => picked?,
            _ => return Some(outcome),
        };
        if !joins && let Some(full) = self.0.remove(&asset) {
            book(context, ledger, turn, full);
        }
        self.take_up(ledger, now, id, picked)?;
        let most = rail::payments_max(context, asset).min(ledger.at_once(asset));
        if self.0.get(&asset).is_some_and(|batch| batch.withdrawals.len() >= most)
            && let Some(full) = self.0.remove(&asset)
        {
            book(context, ledger, turn, full);
        }
        None
    }

    fn take_up(&mut self, ledger: &Ledger, now: Seconds, id: WithdrawalId, picked: Picked) -> Option<()> {
        let open = ledger.open.get(&id)?;
        let request = open.request.request();
        let (asset, amount) = (request.asset, request.amount.units());
        let gathered = self.0.remove(&asset);
        let (mut withdrawals, mut charged, mut spend, before) =
            gathered.map_or_else(Default::default, |b| (b.withdrawals, b.charged, b.spend, b.amount));
        withdrawals.push(id);
        if let Some(own) = reserve::charge(ledger, open, now) {
            charged.push(id);
            spend = spend.plus(&own);
        }
        let amount = before.saturating_add(amount);
        self.0.insert(asset, Batch { asset, withdrawals, picked, amount, spend, charged });
        Some(())
    }

    /// Books what is gathered.
    pub fn book(self, context: &Context, ledger: &mut Ledger, turn: &mut Turn) {
        for batch in self.0.into_values() {
            book(context, ledger, turn, batch);
        }
    }
}

fn book(context: &Context, ledger: &mut Ledger, turn: &mut Turn, batch: Batch) {
    match reserve::reserve_withdrawals(context, ledger, turn, &batch) {
        Ok(parcel) => turn.effects.push(Effect::Cosign(parcel)),
        Err(finding) => {
            for id in batch.withdrawals {
                withdraw::settle_by_id(ledger, turn, id, Outcome::Held(vec![finding.clone()]));
            }
        }
    }
}
