//! From what a party knows to what its policy is told. Signer and co-signer both ask here, each with its own treasury.

use std::collections::BTreeSet;

use wallet_policy::facts::{
    Approval as GivenApproval, Clearance as GivenClearance, Destination, Facts, Fee, Kind,
};
use wallet_policy::ratio::{Holding, InTotal, Position, TotalKrw};
use wallet_policy::{Krw as PolicyKrw, Policy, Seconds as PolicySeconds, Units, Verdict};

use super::context::Context;
use super::ledger::Treasury;
use crate::evidence::approval::Approval;
use crate::evidence::{Passage, TravelRule, Trust, VerifiedRequest};
use crate::freeze::{Brake, Leaving};
use crate::withdrawal::{Amount, Asset, Code, Finding, Outcome, Seconds};

/// How an asset rests.
#[derive(Debug, Clone, Copy)]
pub struct Resting {
    /// Which.
    pub asset: Asset,
    /// Hot and cold, as the share is judged.
    pub position: Position,
}

/// What a party sees of its own wallet at one moment.
pub struct Sight<'a> {
    /// The asset.
    pub asset: Asset,
    /// Whom it believes.
    pub trust: &'a Trust,
    /// Coins, facts and sums.
    pub treasury: &'a Treasury,
    /// What rests hot.
    pub hot: Amount,
    /// What of it can be spent now.
    pub spendable: Amount,
    /// How the party's other assets rest.
    pub others: Vec<Resting>,
    /// Whether it may sign.
    pub brake: &'a Brake,
    /// How long a sweep may be on its way.
    pub transit_s_max: u64,
    /// How old the price may be by which the total is judged.
    pub price_s_max: u64,
    /// The party's own clock.
    pub now: Seconds,
}

/// The fee of a transaction; nothing is known of it where no fee rate was ever stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeeSeen {
    /// Base units per 1,000 virtual bytes, or units of gas.
    pub rate: u128,
    /// Base units of the asset in which the chain takes fees.
    pub paid: u128,
    /// What of it leaves the wallet in the asset itself: gas is paid by another account.
    pub leaving: u128,
    /// Base units committed by all transactions for the same withdrawal, this one included.
    pub lineage: u128,
    /// What of it falls on one of the requests that the transaction pays; together never less than the fee.
    pub share: u128,
}

impl FeeSeen {
    /// The fee of one Bitcoin transaction of that size.
    pub fn of_bytes(fee_sat: u64, vbytes: u64) -> Self {
        let paid = u128::from(fee_sat);
        let rate = paid.saturating_mul(1_000).checked_div(u128::from(vbytes)).unwrap_or(u128::MAX);
        Self { rate, paid, leaving: paid, lineage: paid, share: paid }
    }

    /// As the policy takes it, with the most that a request allows; what nobody asked for allows whatever the limits do.
    fn told(self, request_max: Option<Amount>) -> Fee {
        Fee {
            rate: Units(self.rate),
            paid: Units(self.paid),
            leaving: Units(self.leaving),
            lineage: Units(self.lineage),
            share: Units(self.share),
            request_max: request_max.map(|most| Units(most.units())),
        }
    }
}

impl<'a> Sight<'a> {
    /// What a party sees of one of its assets; `hot` says what rests hot of each.
    pub fn new(
        context: &'a Context,
        treasury: &'a Treasury,
        asset: Asset,
        hot: &dyn Fn(Asset) -> Amount,
        now: Seconds,
    ) -> Self {
        let sight = |asset| Self {
            asset,
            trust: &context.trust,
            treasury,
            hot: hot(asset),
            spendable: treasury.spendable(asset, hot(asset)),
            others: Vec::new(),
            brake: &context.brake,
            transit_s_max: context.settings.transit_s_max,
            price_s_max: context.policy.settings().ages.price_s,
            now,
        };
        // Only a share in total wants to know of them.
        let is_asked = context.share_rule(asset).total.is_some();
        let others = treasury.accounts().map(|(other, _)| other).filter(|other| is_asked && *other != asset);
        let others =
            others.map(|other| Resting { asset: other, position: sight(other).position() }).collect();
        Self { others, ..sight(asset) }
    }
}

impl Sight<'_> {
    /// Hot and cold as the share is judged.
    pub fn position(&self) -> Position {
        let cold = self.treasury.cold(self.asset, self.now, self.transit_s_max);
        let stuck = self.treasury.of(self.asset).stuck(self.now, self.transit_s_max);
        let hot = self.hot.units().saturating_add(stuck.units());
        Position { hot: Units(hot), cold: Units(cold.units()) }
    }

    /// The asset as a part of the total in won; nothing, where the price of any asset is missing or too old.
    pub fn in_total(&self) -> Option<InTotal> {
        let holdings = self.holdings()?;
        let (own, others) = holdings.split_first()?;
        Some(InTotal { others: TotalKrw::of(others)?, price: own.price, decimals: own.decimals })
    }

    /// Every asset of the party as a part of the total, its own first; nothing, where a price is missing or too old.
    pub fn holdings(&self) -> Option<Vec<Holding>> {
        let own = Resting { asset: self.asset, position: self.position() };
        let each = std::iter::once(&own).chain(&self.others).map(|resting| {
            let (price, decimals) = self.priced(resting.asset)?;
            Some(Holding { position: resting.position, price, decimals })
        });
        each.collect()
    }

    /// The price of an asset that is fresh enough to judge the total by, and its decimals.
    fn priced(&self, asset: Asset) -> Option<(PolicyKrw, u32)> {
        let account = self.treasury.of(asset);
        let price = account.facts.price()?;
        let is_fresh = self.now.since(price.at).is_some_and(|age| age <= self.price_s_max);
        is_fresh.then_some((PolicyKrw(price.value.0), account.decimals))
    }

    fn facts(
        &self,
        kind: Kind,
        amount: Amount,
        destination: Destination,
        fee: Fee,
    ) -> Result<Facts, Finding> {
        let spent = self
            .treasury
            .of(self.asset)
            .sums
            .spent(self.now)
            .map_err(|e| Finding::new(Code::ClockWentBack, e.to_string()))?;
        Ok(Facts {
            kind,
            organisation: String::new(),
            asset: self.asset.to_string(),
            now: PolicySeconds(self.now.0),
            requesters: BTreeSet::new(),
            destination,
            beneficiary_vasp: String::new(),
            amount: Units(amount.units()),
            value: self.treasury.of(self.asset).value(amount).map(|v| PolicyKrw(v.0)),
            clearance: GivenClearance::Absent,
            fee,
            spent,
            stated: self.treasury.stated(self.asset, self.trust),
            price_moved: self.treasury.of(self.asset).facts.price.is_moved(),
            position: self.position(),
            in_total: self.in_total(),
            earmarked: Units(0),
            spendable: Units(self.spendable.units()),
            approvals: Vec::new(),
            frozen: !self.brake.is_free(if kind == Kind::Sweep { Leaving::Sweep } else { Leaving::Payment }),
            queued: false,
        })
    }

    /// The facts of a customer withdrawal.
    pub fn of_withdrawal(
        &self,
        verified: &VerifiedRequest,
        own_destination: bool,
        clearance: Option<&Passage>,
        approvals: &[&Approval],
        fee: FeeSeen,
    ) -> Result<Facts, Finding> {
        let request = verified.request();
        let queued = self.brake.is_queued(request.asked_at, None);
        let destination =
            Destination { address: request.destination.clone(), own: own_destination, pinned: false };
        let fee = fee.told(Some(request.fee_max));
        let facts = self.facts(Kind::Withdraw, request.amount, destination, fee)?;
        Ok(Facts {
            organisation: request.organisation.to_string(),
            requesters: self.trust.requesters(&request.organisation, verified.signed().key_id()),
            beneficiary_vasp: request.beneficiary_vasp.to_string(),
            clearance: clearance.map_or(GivenClearance::Pending, |clearance| self.given(clearance)),
            approvals: approvals.iter().map(|a| approval(a)).collect(),
            queued,
            ..facts
        })
    }

    /// An exemption does not grow old: it was found in force just now. The customer is our own, so the name is known.
    fn given(&self, clearance: &Passage) -> GivenClearance {
        let at = clearance.heard_at().unwrap_or(self.now);
        GivenClearance::Given {
            at: PolicySeconds(at.0),
            expires_at: PolicySeconds(clearance.expires_at().unwrap_or(self.now).plus(1).0),
            named: clearance.travel_rule() != TravelRule::AddressOnly,
            signed: clearance.travel_rule() != TravelRule::Unsigned,
        }
    }

    /// The facts of a refill to an own address, judged by the position before it and what is earmarked of it in satoshi.
    pub fn of_refill(
        &self,
        (amount, address): (Amount, String),
        fee: FeeSeen,
        (position, earmarked_sat): (Position, u64),
    ) -> Result<Facts, Finding> {
        let fee = fee.told(None);
        let destination = Destination { address, own: true, pinned: true };
        let facts = self.facts(Kind::Refill, amount, destination, fee)?;
        Ok(Facts { position, earmarked: Units(u128::from(earmarked_sat)), ..facts })
    }

    /// The facts of a refuel of the pinned account that pays gas.
    pub fn of_refuel(&self, amount: Amount, address: String, fee: FeeSeen) -> Result<Facts, Finding> {
        let fee = fee.told(None);
        self.facts(Kind::Refuel, amount, Destination { address, own: false, pinned: true }, fee)
    }

    /// The facts of an emptying of own deposit addresses into a hot Safe: nothing leaves but the fee.
    pub fn of_emptying(&self, address: String, fee: FeeSeen) -> Result<Facts, Finding> {
        let destination = Destination { address, own: true, pinned: true };
        self.facts(Kind::Consolidate, Amount::ZERO, destination, fee.told(None))
    }

    /// The facts of a sweep to the pinned cold descriptor.
    pub fn of_sweep(&self, amount: Amount, address: String, fee: FeeSeen) -> Result<Facts, Finding> {
        let fee = fee.told(None);
        self.facts(Kind::Sweep, amount, Destination { address, own: false, pinned: true }, fee)
    }
}

fn approval(approval: &Approval) -> GivenApproval {
    GivenApproval {
        person: approval.person().to_owned(),
        groups: approval.groups().iter().cloned().collect(),
    }
}

/// Asks the policy, and says its answer in our words. A code that we do not know refuses or holds by its effect.
pub fn judge(policy: &Policy, facts: &Facts) -> Outcome {
    match policy.decide(facts).into_verdict() {
        Verdict::Release => Outcome::Moving,
        Verdict::Hold(found) => Outcome::Held(found.iter().map(|f| finding(f, Code::PolicyHeld)).collect()),
        Verdict::Refuse(found) => {
            Outcome::Refused(found.iter().map(|f| finding(f, Code::PolicyRefused)).collect())
        }
    }
}

/// The same, where there is only yes or no: what keeps it from moving.
pub fn permit(policy: &Policy, facts: &Facts) -> Result<(), Finding> {
    match judge(policy, facts) {
        Outcome::Moving => Ok(()),
        Outcome::Held(findings) | Outcome::Refused(findings) => {
            let first = findings.into_iter().next();
            Err(first.unwrap_or_else(|| Finding::new(Code::PolicyRefused, "no rule permits it")))
        }
        Outcome::Released => Err(Finding::new(Code::Internal, "a policy releases nothing by itself")),
    }
}

fn finding(found: &wallet_policy::Finding, otherwise: Code) -> Finding {
    match Code::parse(found.code.as_str()) {
        Some(code) => Finding::new(code, found.detail.clone()),
        None => Finding::new(otherwise, format!("{}: {}", found.policy, found.detail)),
    }
}
