//! The stolen signer before the treasury Safe: the co-signer empties what it knows to lie at addresses that it derived itself, into
//! the hot Safe, and signs nothing else of that Safe. And a stolen observer that invents deposits.

use countersign::audit::EntryKind;
use countersign::ethereum::{
    Address, Bytes, DepositDue, Deposits, Operation, OwnerSwap, Payee, Proposal, SafeCall, SafeWallet, Task,
    TrustedSafe, U256, Units, Unsigned, UnsignedPlan,
};
use countersign::evidence::statement::Body;
use countersign::evidence::{DepositsFact, SafeFact};
use countersign::flow::ledger::lane::judged;

use super::super::deposits::page;
use super::super::emptying::{DAY, LEAST, plan};
use super::super::safes::{ETHER, USDT};
use super::*;

const NESTED: [u8; 4] = [0x6a, 0x76, 0x12, 0x02];
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];
const APPROVE: [u8; 4] = [0x09, 0x5e, 0xa7, 0xb3];

pub(super) struct Digger {
    pub world: World,
    pub thief: Thief,
    gas: u64,
}

impl Digger {
    /// Four customers have addresses; enough ether lies at the first three, and a token at the second.
    pub async fn new() -> Self {
        let (world, thief) = Thief::with(plan(), 1, 40 * COIN).await;
        let digger = Self { world, thief, gas: 0 };
        for index in 0..4u32 {
            digger.attest(index).await;
        }
        tell_around(&digger.world).await;
        let balances = [(ether(), 10 * ETHER), (token(), 10_000 * USDT)];
        digger.state(safe_fact(100, 0, &balances)).await;
        digger.state(treasury_fact(100, 0)).await;
        digger
    }

    async fn attest(&self, index: u32) {
        let order = AttestationOrder {
            organisation: Organisation::parse("acme").unwrap(),
            customer_ref: CustomerRef::parse(&format!("customer-{index}")).unwrap(),
            network: Chain::Evm(EVM),
            branch: 0,
            index,
        };
        self.world.cosigner().attest_addresses(vec![order]).await.unwrap();
    }

    pub async fn state(&self, fact: SafeFact) {
        tell(&self.world, Body::Safe(Box::new(fact))).await.unwrap();
    }

    pub async fn lies(&self, fact: DepositsFact) {
        tell(&self.world, Body::Deposits(Box::new(fact))).await.unwrap();
    }

    /// A call that no attempt before had.
    fn build(&mut self, safe: &SafeWallet, (nonce, more): (u64, u64), task: Task<'_>) -> SafeCall {
        self.gas += 1;
        let plan = UnsignedPlan { nonce, safe_tx_gas: more + self.gas, task };
        Unsigned::build(&trusted(safe), &plan).unwrap().call().clone()
    }

    /// Everything of these to that place, as the honest signer builds it.
    pub fn empty(&mut self, nonce: u64, to: Address, due: Vec<DepositDue>) -> SafeCall {
        let treasury = treasury_safe();
        let deposits = Deposits::of(&treasury);
        let gas: u64 =
            due.iter().map(|one| one.safe_tx_gas + 90_000 + if one.deploy { 300_000 } else { 0 }).sum();
        self.build(&treasury, (nonce, gas), Task::Empty { deposits: &deposits, hot: to, due })
    }

    pub fn book(&mut self, safe: &SafeWallet, call: SafeCall, asset: Asset) -> Loot {
        let hash = call.hash(safe).unwrap();
        let reservation = ReservationId::of_txid(&hash.0);
        let (id, asset, txid) = (reservation.to_string(), asset.to_string(), hash.to_string());
        let fields = [
            ("reservation", id.as_str()),
            ("purpose", "emptying"),
            ("asset", &asset),
            ("amount", "0"),
            ("fee", "1"),
            ("txid", &txid),
        ];
        let (leaf, leaf_index) = self.thief.log(EntryKind::Reserved, &fields);
        let psbt = Proposal::new(safe, call).bytes();
        Loot { reservation, txid, psbt, leaf, leaf_index, payments: Vec::new() }
    }

    async fn ask_of(&mut self, safe: &SafeWallet, call: SafeCall) -> ItemVerdict {
        let loot = self.book(safe, call, ether());
        self.thief.ask_one(&self.world, &loot).await
    }

    pub async fn ask(&mut self, call: SafeCall) -> ItemVerdict {
        self.ask_of(&treasury_safe(), call).await
    }

    /// The first address alone, as it should be.
    async fn honest(&mut self, nonce: u64) -> ItemVerdict {
        let call = self.empty(nonce, hot(), vec![due(0, ether(), 3 * ETHER, true)]);
        self.ask(call).await
    }
}

fn trusted(safe: &SafeWallet) -> TrustedSafe {
    let fact = if *safe == hot_safe() { safe_fact(100, 0, &[]) } else { treasury_fact(100, 0) };
    let fact = SafeFact { safe: safe.address(), ..fact };
    judged(safe, &fact).unwrap()
}

pub(super) fn hot() -> Address {
    hot_safe().address()
}

pub(super) fn due(index: u64, asset: Asset, units: u128, deploy: bool) -> DepositDue {
    let Asset::Evm(asset) = asset else { panic!("{asset}") };
    let safe_tx_gas = if asset.contract().is_none() { 60_000 } else { 160_000 };
    let amount = Units::from_amount(Amount::from_units(units));
    DepositDue { index, asset, amount, deploy, safe_tx_gas }
}

fn held() -> DepositsFact {
    let held = [
        (0, ether(), 3 * ETHER),
        (1, ether(), 2 * ETHER),
        (1, token(), 600 * USDT),
        (2, ether(), LEAST - 1),
        (3, ether(), LEAST),
        (60, ether(), 9 * ETHER),
    ];
    DepositsFact { deployed: vec![3], ..page(110, &held) }
}

/// The same call with some bytes of its data changed: every place where these stand.
fn changed(call: &SafeCall, from: &[u8], change: impl Fn(&mut [u8])) -> SafeCall {
    let mut data = call.data.to_vec();
    let found: Vec<usize> = (0..data.len() - from.len()).filter(|at| data[*at..].starts_with(from)).collect();
    assert!(!found.is_empty());
    found.into_iter().for_each(|at| change(&mut data[at..]));
    SafeCall { data: Bytes::from(data), ..call.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_treasury_moves_all_that_lies_at_own_addresses_to_the_hot_safe_and_does_nothing_else() {
    let mut digger = Digger::new().await;
    digger.lies(held()).await;
    let thief = Address::repeat_byte(0x66);
    let (treasury, first) = (treasury_safe(), due(0, ether(), 3 * ETHER, true));
    let usdt = due(1, token(), 600 * USDT, true);
    let to_thief = digger.empty(0, thief, vec![first]);
    let to_treasury = digger.empty(0, treasury.address(), vec![first]);
    let to_cold = digger.empty(0, cold_safe(), vec![usdt]);
    let part = digger.empty(0, hot(), vec![due(0, ether(), 3 * ETHER - 1, true)]);
    let more = digger.empty(0, hot(), vec![due(0, ether(), 3 * ETHER + 1, true)]);
    let nobodys = digger.empty(0, hot(), vec![due(60, ether(), 9 * ETHER, true)]);
    let unstated = digger.empty(0, hot(), vec![first, due(7, ether(), ETHER, true)]);
    let nothing_there = digger.empty(0, hot(), vec![due(0, token(), USDT, true)]);
    let undeployed = digger.empty(0, hot(), vec![due(0, ether(), 3 * ETHER, false)]);
    let deployed = digger.empty(0, hot(), vec![due(3, ether(), LEAST, true), first]);
    let twice = digger.empty(0, hot(), vec![first, due(0, ether(), 3 * ETHER, false)]);
    let dust = digger.empty(0, hot(), vec![first, due(2, ether(), LEAST - 1, true)]);
    let gas = digger.empty(0, hot(), vec![DepositDue { safe_tx_gas: 5_000_000, ..first }]);
    let greedy = SafeCall { safe_tx_gas: 7_000_000, ..digger.empty(0, hot(), vec![first]) };
    // another owner's proxies, by the treasury's hand
    let other = SafeWallet::adopt(EVM, treasury.make(), *treasury.owners(), Address::repeat_byte(0xdd));
    let others = Deposits::of(&other);
    let task = Task::Empty { deposits: &others, hot: hot(), due: vec![first] };
    let foreign = digger.build(&other, (0, 500_000), task);
    let elsewhere = digger.empty(0, hot(), vec![first]);
    let ours = Deposits::of(&treasury).address(0);
    let elsewhere =
        changed(&elsewhere, ours.as_slice(), |at| at[..20].copy_from_slice(others.address(0).as_slice()));
    let token_out = digger.empty(0, hot(), vec![usdt]);
    let approve = changed(&token_out, &TRANSFER, |at| at[..4].copy_from_slice(&APPROVE));
    // the fourth word of `execTransaction` is the kind of call
    let delegate = changed(&token_out, &NESTED, |at| at[4 + 3 * 32 + 31] = 1);
    // and the eighth who gets a refund
    let refund =
        changed(&token_out, &NESTED, |at| at[4 + 8 * 32 + 12..][..20].copy_from_slice(thief.as_slice()));
    let owner = treasury.address();
    let prevalidated =
        changed(&token_out, &[&owner.into_word()[..], &[0; 32], &[1]].concat(), |at| at[64] = 0);
    let plain = digger.build(&treasury, (0, 0), Task::Pay(vec![paid(thief, ether(), ETHER)]));
    let plain_token = digger.build(&treasury, (0, 0), Task::Pay(vec![paid(thief, token(), USDT)]));
    let plain_hot = digger.build(&treasury, (0, 0), Task::Pay(vec![paid(hot(), ether(), ETHER)]));
    let plain_cold = digger.build(&treasury, (0, 0), Task::Pay(vec![paid(cold_safe(), ether(), ETHER)]));
    let swap =
        OwnerSwap { previous: Address::with_last_byte(1), old: treasury.owners().all()[0], new: thief };
    let swap = digger.build(&treasury, (0, 0), Task::Rotate(swap));
    let with_payment = mixed(&token_out, &plain);
    let run = SafeCall { to: thief, operation: Operation::DelegateCall, ..token_out.clone() };
    let next = digger.empty(1, hot(), vec![first]);
    let lies = [
        ("to a thief", "TRANSACTION_MISMATCH", to_thief),
        ("to the treasury", "TRANSACTION_MISMATCH", to_treasury),
        ("to the cold Safe", "TRANSACTION_MISMATCH", to_cold),
        ("only a part", "TRANSACTION_MISMATCH", part),
        ("more than there is", "TRANSACTION_MISMATCH", more),
        ("an address that nobody has", "TRANSACTION_MISMATCH", nobodys),
        ("an address of which nothing is stated", "TRANSACTION_MISMATCH", unstated),
        ("what does not lie there", "TRANSACTION_MISMATCH", nothing_there),
        ("without deploying", "TRANSACTION_MISMATCH", undeployed),
        ("deploying what stands", "TRANSACTION_MISMATCH", deployed),
        ("the same twice", "TRANSACTION_MISMATCH", twice),
        ("what is not worth its gas", "EMPTYING_NOT_DUE", dust),
        ("much gas for one", "TRANSACTION_MISMATCH", gas),
        ("much gas for all", "TRANSACTION_MISMATCH", greedy),
        ("another owner's proxy", "TRANSACTION_MISMATCH", elsewhere),
        ("another owner's word for its proxy", "CALL_NOT_ALLOWED", foreign),
        ("a nested approve", "CALL_NOT_ALLOWED", approve),
        ("a nested DELEGATECALL", "CALL_NOT_ALLOWED", delegate),
        ("a nested refund", "CALL_NOT_ALLOWED", refund),
        ("another signature within", "CALL_NOT_ALLOWED", prevalidated),
        ("a plain payment", "TRANSACTION_MISMATCH", plain),
        ("a plain payment of a token", "TRANSACTION_MISMATCH", plain_token),
        ("a plain payment to the hot Safe", "TRANSACTION_MISMATCH", plain_hot),
        ("a plain payment to the cold Safe", "TRANSACTION_MISMATCH", plain_cold),
        ("an owner's seat", "KIND_NOT_ALLOWED", swap),
        ("a payment beside it", "KIND_NOT_ALLOWED", with_payment),
        ("foreign code", "CALL_NOT_ALLOWED", run),
        ("a nonce that is not next", "ANCHOR_MISMATCH", next),
    ];
    let mut wrong = Vec::new();
    for (what, code, call) in lies {
        let found = match digger.ask(call).await {
            ItemVerdict::Refused(refusal) => refusal.finding.code.as_str(),
            ItemVerdict::Signed(_) | ItemVerdict::Pending(_) => "SIGNED",
        };
        if found != code {
            wrong.push(format!("{what}: {found} and not {code}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // the same calls by the hot Safe, or booked as something else
    let by_hot = digger.empty(0, hot(), vec![first]);
    assert_eq!(no(digger.ask_of(&hot_safe(), by_hot).await), "CALL_NOT_ALLOWED", "by the hot Safe");
    let hots = Deposits::of(&hot_safe());
    let task = Task::Empty { deposits: &hots, hot: hot(), due: vec![first] };
    let by_hot = digger.build(&hot_safe(), (0, 0), task);
    assert_eq!(no(digger.ask_of(&hot_safe(), by_hot).await), "KIND_NOT_ALLOWED", "of the hot Safe's own");
    let call = digger.empty(0, hot(), vec![first]);
    let loot = digger.book(&other, call, ether());
    assert_eq!(no(digger.thief.ask_one(&digger.world, &loot).await), "SAFE_NOT_AS_PINNED", "another Safe");
    // all of it as it should be
    let all = vec![first, due(1, ether(), 2 * ETHER, true), due(3, ether(), LEAST, false)];
    let call = digger.empty(0, hot(), all);
    yes(digger.ask(call).await);
}

fn paid(to: Address, asset: Asset, units: u128) -> Payee {
    let Asset::Evm(asset) = asset else { panic!("{asset}") };
    Payee { to, asset, amount: Units::from_amount(Amount::from_units(units)) }
}

/// A batch with a plain payment of ether behind what it did.
fn mixed(batch: &SafeCall, plain: &SafeCall) -> SafeCall {
    let length = U256::from_be_slice(&batch.data[36..68]).to::<usize>();
    let mut packed = batch.data[68..68 + length].to_vec();
    packed.push(0);
    packed.extend_from_slice(plain.to.as_slice());
    packed.extend_from_slice(&plain.value.to_be_bytes::<32>());
    packed.extend_from_slice(&[0; 32]);
    let mut data = batch.data[..36].to_vec();
    data.extend_from_slice(&U256::from(packed.len()).to_be_bytes::<32>());
    data.extend_from_slice(&packed);
    data.resize(data.len() + (32 - packed.len() % 32) % 32, 0);
    SafeCall { data: Bytes::from(data), ..batch.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptying_is_signed_when_the_cosigner_itself_knows_it_is_due_and_what_is_under_way_is_not_taken_twice()
 {
    let mut digger = Digger::new().await;
    assert_eq!(no(digger.honest(0).await), "TRANSACTION_MISMATCH", "nothing was ever stated");
    digger.lies(page(109, &[(0, ether(), 3 * ETHER)])).await;
    assert_eq!(no(digger.honest(0).await), "EMPTYING_NOT_DUE", "3 ether are below the level");
    digger.lies(held()).await;
    digger.state(SafeFact { modules: vec![cold_safe()], ..treasury_fact(101, 0) }).await;
    assert_eq!(no(digger.honest(0).await), "SAFE_NOT_AS_PINNED");
    digger.state(treasury_fact(102, 0)).await;
    // two in one question take the same deposit
    let both = [0, 1].map(|nonce| digger.empty(nonce, hot(), vec![due(0, ether(), 3 * ETHER, true)]));
    let loot = both.map(|call| digger.book(&treasury_safe(), call, ether()));
    let mut verdicts = digger.thief.ask(&digger.world, &loot).await.into_iter();
    yes(verdicts.next().unwrap());
    assert_eq!(no(verdicts.next().unwrap()), "EMPTYING_NOT_DUE");
    digger.world.restart_cosigner().await;
    // under way, also when the chain has it, until what lies there is stated at a block that has it too
    digger.lies(DepositsFact { height: 111, ..held() }).await;
    assert_eq!(no(digger.honest(1).await), "EMPTYING_NOT_DUE");
    digger.state(treasury_fact(112, 1)).await;
    digger.world.restart_cosigner().await;
    assert_eq!(no(digger.honest(1).await), "EMPTYING_NOT_DUE");
    digger.state(safe_fact(113, 0, &[(ether(), 13 * ETHER)])).await;
    digger.lies(DepositsFact { height: 113, ..held() }).await;
    yes(digger.honest(1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_that_invents_deposits_burns_a_days_fee_cap_and_no_more() {
    let mut digger = Digger::new().await;
    let (mut count, mut height) = (0, 110);
    let last = loop {
        digger.lies(DepositsFact { height, ..held() }).await;
        let verdict = digger.honest(count).await;
        let ItemVerdict::Signed(_) = verdict else { break no(verdict) };
        count += 1;
        digger.state(treasury_fact(height + 1, count)).await;
        digger.state(safe_fact(height + 1, 0, &[(ether(), 10 * ETHER)])).await;
        height += 2;
        digger.world.restart_cosigner().await;
        assert!(count < 20, "no end of it");
    };
    assert_eq!(last, "EMPTYING_LIMIT");
    // each may cost some 0.6 million of gas at 20 gwei
    let most = u64::try_from(DAY / (600_000 * 20_000_000_000)).unwrap();
    assert!((1..=most).contains(&count), "{count} of at most {most}");
    digger.world.restart_cosigner().await;
    assert_eq!(no(digger.honest(count).await), "EMPTYING_LIMIT");
    digger.world.later(86_500);
    tell_around(&digger.world).await;
    yes(digger.honest(count).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_a_frozen_cosigner_empties_nothing() {
    let mut digger = Digger::new().await;
    digger.lies(held()).await;
    super::super::freeze::freeze(&digger.world, KeyRole::Cosigner, 1).await;
    let call = digger.empty(0, hot(), vec![due(0, ether(), 3 * ETHER, true)]);
    let loot = digger.book(&treasury_safe(), call, ether());
    let order = digger.thief.order(&[loot]);
    let no = digger.world.cosigner().countersign(order).await.unwrap_err();
    assert_eq!(no.code(), Code::Frozen);
}
