//! Plays one case after the other: the exchange asks, the operator signs, the observer states, and each change is told.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::audit::Auditor;
use super::cases::{Case, CaseRequest, Meanwhile};
use super::evm::{COLD, ETHER};
use super::exchange::{Answered, Exchange, id_of};
use super::observer::{CONFIRMATIONS, Deposit, Observer, PRICE};
use super::papers::{OPERATOR, SshKey};
use super::played::{Played, passes};
use super::report::{Report, Tone, grouped, money};
use super::telling::Telling;
use super::{ASSET, Fault, ROBOT_NAME, evm};
use crate::audit::{Entry, EntryKind};
use crate::bitcoin::WalletDescriptor;
use crate::desk::{PendingApproval, PositionView, WithdrawalView};
use crate::ethereum::SafeWallet;
use crate::evidence::{ApprovalText, NAMESPACE_APPROVAL, Trust, sign_ssh};
use crate::grpc::{Client, explain};
use crate::wire::v1;
use crate::withdrawal::evm_address::spell;
use crate::withdrawal::{Amount, Code, Krw, Outcome, WithdrawalId};

/// What rests hot at the beginning, in satoshi: coins of different sizes, one customer each.
const FIRST_DEPOSITS: [u64; 5] = [5_000_000, 4_000_000, 3_000_000, 2_000_000, 1_000_000];
/// What comes in while a withdrawal waits: more than may rest hot.
const LARGE_DEPOSITS: [u64; 2] = [200_000_000, 30_000_000];

/// How long it may take until the observer's process has stated the Safe.
const OBSERVED_TIME_MAX: Duration = Duration::from_secs(30);

/// Everybody who comes to the signer from outside.
pub struct Cast {
    /// The exchange.
    pub exchange: Exchange,
    /// The observer.
    pub observer: Observer,
    /// The operator's connection and SSH key.
    pub operator: (Client, SshKey),
    /// The auditor.
    pub auditor: Auditor,
    /// What the exchange believes: the trust file, and its own copy of the wallet.
    pub trust: Trust,
    /// The hot wallet, watch-only.
    pub wallet: WalletDescriptor,
    /// The hot Safe.
    pub safe: SafeWallet,
    /// The first log entry that was not told yet.
    pub told: u64,
    /// How many customers have an address.
    pub customers: u32,
    /// Whether the Safe stands on a chain, which an observer reads.
    pub on_chain: bool,
    /// Where all is told.
    pub report: Report,
}

impl Cast {
    /// The observer says how the world is, and that the first customers have paid in.
    pub async fn begin(&mut self) -> Result<(), Fault> {
        self.report.section("The observer states, signed and numbered");
        self.observer.state_facts().await?;
        self.report.fact(
            "chain",
            &format!("height {}, {} sat per 1,000 vB", super::observer::HEIGHT, super::observer::FEE_RATE),
        );
        self.report.fact("price", &format!("{} KRW a coin", grouped(PRICE.0)));
        self.report.fact("cold", &money(ASSET, Amount::from_sat(super::observer::COLD_SAT)));
        if self.on_chain {
            self.until_observed().await?;
        }
        self.tell_safe();
        self.deposit(&FIRST_DEPOSITS).await
    }

    /// The observer's process has read the chain, and both parties have heard of the Safe.
    async fn until_observed(&self) -> Result<(), Fault> {
        let until = Instant::now() + OBSERVED_TIME_MAX;
        loop {
            let shown = self.positions().await?;
            let ether = shown.assets.iter().find(|one| one.asset == ETHER);
            if ether.is_some_and(|one| !one.spendable.is_zero() && one.fee_rate.is_some()) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Fault::call("GetPosition", "the observer has not stated the Safe"));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn positions(&self) -> Result<PositionView, Fault> {
        let answer = self.operator.0.positions().get_position(v1::GetPositionRequest::default()).await;
        let shown = answer.map_err(|status| Fault::call("GetPosition", &explain(&status)))?.into_inner();
        PositionView::try_from(shown).map_err(|no| Fault::call("GetPosition", &no.to_string()))
    }

    fn tell_safe(&self) {
        let (hot, cold) = (spell(self.safe.address()), COLD.map(|(asset, units)| money(asset, units)));
        let had = evm::HOT.map(|(asset, units)| money(asset, units)).join(" and ");
        self.report.fact("safe", &format!("{hot} on {}: as pinned, {had}", evm::CHAIN));
        let gas = if self.on_chain { "stated by the observer's process" } else { "gas costs 20 gwei" };
        self.report.fact("", &format!("{} lie cold; {gas}", cold.join(" and ")));
    }

    /// New customers get addresses, and the observer states what was paid to them.
    async fn deposit(&mut self, amounts: &[u64]) -> Result<(), Fault> {
        let mut deposits = Vec::new();
        for &amount_sat in amounts {
            self.customers = self.customers.saturating_add(1);
            let customer = format!("depositor-{}", self.customers);
            let address =
                self.exchange.address(&customer, &self.wallet, self.trust.attestation_key()).await?;
            deposits.push(Deposit { address, amount_sat });
        }
        self.observer.state_deposits(&deposits).await?;
        for deposit in &deposits {
            let amount = money(ASSET, Amount::from_sat(deposit.amount_sat));
            self.report.fact("deposit", &format!("{amount} to {}", deposit.address));
        }
        let text = "addresses attested by the co-signer, amounts proved by their raw transactions";
        self.report.fact("", &format!("{CONFIRMATIONS} confirmations; {text}"));
        Ok(())
    }

    /// Plays one case and checks that it came as the file says.
    pub async fn play(&mut self, case: &Case, before: &[Played]) -> Result<Played, Fault> {
        let played = match (&case.request, &case.repeats) {
            (Some(request), _) => self.ask(case, request).await?,
            (None, Some(request_id)) => self.repeat(case, request_id, before).await?,
            (None, None) => return Err(Fault::Cases(format!("`{}` asks nothing", case.name))),
        };
        played.check(case)?;
        Ok(played)
    }

    async fn ask(&mut self, case: &Case, request: &CaseRequest) -> Result<Played, Fault> {
        let id = id_of(&request.request_id)?;
        self.tell_request(request);
        match self.exchange.ask(request).await? {
            Answered::Refused(code, detail) => self.refused(case, request, (code, &detail)).await,
            Answered::Invalid(code, detail) => {
                self.report.event("invalid", &format!("{code}: {detail}"), Tone::No);
                self.report.fact("", "nobody can ask this: nothing was written, nobody was asked");
                Ok(Played::refused(case, request, code, None))
            }
            Answered::View(_) => self.follow(case, id).await,
        }
    }

    fn tell_request(&self, request: &CaseRequest) {
        let (asset, amount) = (request.asset, request.amount);
        let value = evm::price(asset)
            .and_then(|price| Krw::of(amount, price, evm::denomination(asset).decimals()))
            .map_or_else(String::new, |krw| format!(" · {} KRW", grouped(krw.0)));
        let amount = if value.is_empty() { format!("{amount} of {asset}") } else { money(asset, amount) };
        self.report.fact("request", &format!("{} · {amount}{value}", request.request_id));
        self.report.fact("from", &request.sender());
        self.report.fact("to", &format!("{} at {ROBOT_NAME}", request.receiver()));
        self.report.fact("", &request.destination);
    }

    /// Follows a withdrawal until it is final, and does meanwhile what the case says.
    async fn follow(&mut self, case: &Case, id: WithdrawalId) -> Result<Played, Fault> {
        let is_held = |view: &WithdrawalView| matches!(view.outcome, Outcome::Held(_)) && !is_passing(view);
        let is_final =
            |view: &WithdrawalView| matches!(view.outcome, Outcome::Released | Outcome::Refused(_));
        let mut telling = Telling::of(id);
        let settles = |view: &WithdrawalView| is_final(view) || is_held(view);
        let mut last = self.exchange.watch().until(id, "settled", settles).await?;
        self.tell_log(&mut telling).await?;
        if let (Some(meanwhile), true) = (case.meanwhile, is_held(&last)) {
            match meanwhile {
                Meanwhile::Approve => self.approve(id).await?,
                Meanwhile::Deposit => self.deposit(&LARGE_DEPOSITS).await?,
            }
            last = self.exchange.watch().until(id, "final", is_final).await?;
            self.tell_log(&mut telling).await?;
        }
        let played = Played::of(case, &last, &self.exchange.watch().of(id), &self.safe)?;
        if let Some(released) = &played.released {
            self.report.fact("checked", &released.checked_words());
        }
        Ok(played)
    }

    /// Tells what was written into the log since the last time, as far as it is about this withdrawal.
    async fn tell_log(&mut self, telling: &mut Telling) -> Result<(), Fault> {
        let mut entries = Vec::new();
        for (index, leaf) in self.auditor.entries(self.told, None).await? {
            let entry = Entry::parse(&leaf).map_err(|invalid| Fault::Log(invalid.to_string()))?;
            self.told = index.saturating_add(1);
            entries.push((index, entry));
        }
        telling.tell(self.report, &entries);
        Ok(())
    }

    /// The operator lists what waits, reads the text, signs exactly these bytes, and hands the signature in.
    async fn approve(&self, id: WithdrawalId) -> Result<(), Fault> {
        let (client, key) = &self.operator;
        let no = |what: &'static str| move |status: tonic::Status| Fault::call(what, &explain(&status));
        let ask = v1::ListApprovalsRequest::default();
        let listed = client.approvals().list_approvals(ask).await.map_err(no("ListApprovals"))?.into_inner();
        let pending = listed.approvals.into_iter().filter_map(|one| PendingApproval::try_from(one).ok());
        let pending = pending.into_iter().find(|one| one.withdrawal == id);
        let pending =
            pending.ok_or_else(|| Fault::call("ListApprovals", &format!("{id} is not in the list")))?;
        let unreadable =
            |invalid: crate::withdrawal::Invalid| Fault::call("ListApprovals", &invalid.to_string());
        ApprovalText::parse(&pending.text).map_err(unreadable)?;
        self.report.fact(
            "operator",
            &format!("{OPERATOR} reads this text and signs it (SSHSIG, {NAMESPACE_APPROVAL}):"),
        );
        self.report.quote(&pending.text);
        let signature = sign_ssh(&key.private, NAMESPACE_APPROVAL, &pending.text).map_err(unreadable)?;
        let order = v1::ApproveWithdrawalRequest { name: crate::wire::withdrawals::name(id), signature };
        client.approvals().approve_withdrawal(order).await.map(drop).map_err(no("ApproveWithdrawal"))
    }

    /// Where the money rests in the end, as the operator is shown it.
    pub async fn position(&self) -> Result<(), Fault> {
        let shown = self.positions().await?;
        self.report.section("Where the money rests");
        for asset in shown.assets {
            let sat = |amount: Amount| money(asset.asset, amount);
            let (most, of) = asset.hot_share_max;
            self.report.fact("hot", &sat(asset.hot));
            self.report.fact(
                "cold",
                &format!("{}, of it {} on its way", sat(asset.cold), sat(asset.cold_in_transit)),
            );
            let surplus = if asset.surplus.is_zero() {
                "kept".to_owned()
            } else {
                format!("{} above it", sat(asset.surplus))
            };
            self.report.fact("share", &format!("at most {most}/{of} hot: {surplus}"));
        }
        Ok(())
    }

    async fn repeat(&self, case: &Case, request_id: &str, before: &[Played]) -> Result<Played, Fault> {
        self.report.fact("request", &format!("{request_id}, the same signed bytes"));
        let first = before.iter().find(|one| one.request_id == request_id);
        let no = |problem: &str| Fault::call("CreateWithdrawal", &format!("{request_id}: {problem}"));
        let Answered::View(view) = self.exchange.repeat(request_id).await? else {
            return Err(no("the repeat was refused"));
        };
        self.report.event("released", view.txid.as_deref().unwrap_or_default(), Tone::Yes);
        let played = Played::of(case, &view, &[], &self.safe)?;
        let same = |first: &Played| first.released == played.released && first.log_index == played.log_index;
        if !first.is_some_and(same) {
            return Err(no("the repeat was answered otherwise than the first"));
        }
        self.report.fact("checked", "the first outcome, byte for byte; nothing new was written to the log");
        Ok(played)
    }

    /// A request that became no withdrawal: the no itself stands in the log.
    async fn refused(
        &mut self,
        case: &Case,
        request: &CaseRequest,
        (code, detail): (Code, &str),
    ) -> Result<Played, Fault> {
        let id = id_of(&request.request_id)?;
        let says_so = |entry: &Entry| {
            entry.kind() == EntryKind::Refused
                && entry.field("withdrawal") == Some(&id.to_string())
                && entry.field("code") == Some(code.as_str())
        };
        let entries = self.auditor.entries(self.told, None).await?;
        let found =
            entries.iter().rev().find(|(_, leaf)| Entry::parse(leaf).is_ok_and(|entry| says_so(&entry)));
        let index = found.map(|(index, _)| *index);
        let index = index.ok_or_else(|| Fault::Log(format!("the refusal of {id} is not in it")))?;
        self.told = index.saturating_add(1);
        self.report.entry("refused", &format!("{code}: {detail}"), index, Tone::No);
        Ok(Played::refused(case, request, code, Some(index)))
    }
}

/// A hold that ends without anybody doing anything.
fn is_passing(view: &WithdrawalView) -> bool {
    matches!(&view.outcome, Outcome::Held(findings) if findings.iter().any(|f| passes(f.code)))
}
