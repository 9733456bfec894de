//! Thirty days of a treasury, through the policy's own functions: heavy-tailed deposits and withdrawals, moving prices.
//!
//! After each step's sweeps have settled, the resting share is at or below the limit, of each asset and of the total in won.
//! The number of cold ceremonies is printed beside an offline optimum. The short version runs with the tests; the long one
//! with `cargo test --release -p wallet-policy --test simulation -- --ignored --nocapture`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::VecDeque;

use wallet_policy::ratio::{Holding, Position, Share, TotalKrw, refill_allowed, within};
use wallet_policy::refill::{self, Flow};
use wallet_policy::settings::{Fill, RefillSettings};
use wallet_policy::sweep::{allot, due};
use wallet_policy::{Krw, Units};

/// Steps of ten minutes in a day.
const DAY: usize = 144;
/// The cold room opens every four hours, if anything waits: a withdrawal is held at most so long.
const WINDOW: usize = 24;
const MIN_SWEEP: Units = Units(1_000_000);
const DECIMALS: u32 = 8;
/// The smallest deposit or withdrawal, in base units.
const BASE: u128 = 6_000_000;

/// SplitMix64: the same seed gives the same month.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Heavy-tailed in whole numbers: twice as much half as often, up to five hundred times, and noise.
    fn heavy(&mut self, base: u128) -> u128 {
        let doublings = self.next().trailing_ones().min(9);
        (base << doublings) + u128::from(self.below(u64::try_from(base).unwrap()))
    }
}

/// One asset's month: what came and what was asked for at each step.
#[derive(PartialEq)]
struct Month {
    came: Vec<u128>,
    asked: Vec<u128>,
}

impl Month {
    /// Each day has its own mood: how often somebody pays in, and how often somebody takes out. Nobody takes more than a
    /// quarter of what there is.
    fn drawn(chance: &mut Chance, steps: usize, mut worth: u128) -> Self {
        let (mut came, mut asked, mut mood) = (Vec::new(), Vec::new(), (3, 3));
        for step in 0..steps {
            if step % DAY == 0 {
                mood = (2 + chance.below(4), 2 + chance.below(4));
            }
            let mut one = |odds| if chance.below(odds) == 0 { chance.heavy(BASE) } else { 0 };
            let (deposit, withdrawal) = (one(mood.0), one(mood.1).min(worth / 4));
            worth = worth + deposit - withdrawal;
            came.push(deposit);
            asked.push(withdrawal);
        }
        Self { came, asked }
    }
}

struct Asset {
    position: Position,
    price: Krw,
    month: Month,
    held: VecDeque<u128>,
    sweeps: u32,
    ceremonies: u32,
    caps: Vec<u128>,
}

impl Asset {
    fn holding(&self) -> Holding {
        Holding { position: self.position, price: self.price, decimals: DECIMALS }
    }

    fn held(&self) -> Units {
        Units(self.held.iter().sum())
    }

    fn flow(&self, step: usize) -> Flow {
        let day = step.saturating_sub(DAY)..step;
        let sum = |of: &[u128]| Units(of[day.clone()].iter().sum());
        Flow { left: sum(&self.month.asked), came: sum(&self.month.came), window_s: 86_400 }
    }

    fn pay(&mut self) {
        while let Some(next) = self.held.front() {
            let Some(left) = self.position.hot.minus(Units(*next)) else { break };
            self.position.hot = left;
            self.held.pop_front();
        }
    }

    /// A ceremony: what is needed comes, as far as the share lets it, and what was held leaves.
    fn ceremony(&mut self, step: usize, (share, fill): (Share, Fill)) {
        let held = self.held();
        let settings = RefillSettings { fill, ..RefillSettings::default() };
        let need = refill::need(held, self.flow(step), settings.horizon_s).unwrap();
        let short = need.minus(self.position.hot).unwrap_or_default();
        let fill_to = (settings.fill == Fill::Target).then(|| share.target());
        let asked = refill::ask(short, self.position, held, fill_to).unwrap();
        let amount = asked.min(refill::most(self.position, held, share).unwrap());
        assert_eq!(refill_allowed(self.position, amount, held, share), Some(true), "step {step}");
        self.position.hot = self.position.hot.plus(amount).unwrap();
        self.position.cold = self.position.cold.minus(amount).unwrap();
        self.ceremonies += 1;
        self.pay();
        assert!(self.held.is_empty(), "step {step}: a ceremony pays what waits");
    }
}

/// The fewest ceremonies of anybody who knew the month in advance: an optimum where the share is each asset's own, a lower
/// bound where it is the total's. `caps` is the most that may rest hot after each step.
///
/// What counts is hot less what is owed. It moves with the month alone, is cut to the cap by sweeps, and a ceremony can lift
/// it to the cap and no higher; more of it is never worse. So whoever waits until a ceremony is forced (something is owed
/// and the cold room opens) and then takes all that the share allows is at no step behind anybody with as few.
fn fewest(month: &Month, start: Position, caps: &[u128]) -> u32 {
    let signed = |units: u128| i128::try_from(units).unwrap();
    let (mut free, mut ceremonies) = (signed(start.hot.0), 0);
    for (step, cap) in caps.iter().enumerate() {
        free += signed(month.came[step]) - signed(month.asked[step]);
        if step % WINDOW == 0 && free < 0 {
            ceremonies += 1;
            free = signed(*cap);
        }
        free = free.min(signed(*cap));
    }
    ceremonies
}

/// The most of this asset that may rest hot once nothing is owed, for [`fewest`]: of its own share, or of everything there
/// is in won, what is owed for at most a window included.
fn cap(assets: &[Asset], at: usize, share: Share, total: Option<Share>) -> u128 {
    let of = |share: Share, all: u128| all * u128::from(share.num()) / u128::from(share.den());
    let all = |asset: &Asset| asset.position.hot.0 + asset.position.cold.0;
    let own = of(share, all(&assets[at]) - assets[at].held().0) + MIN_SWEEP.0;
    let Some(total) = total else { return own };
    let won: u128 = assets.iter().map(|asset| all(asset) * asset.price.0).sum();
    own.min(of(total, won) / assets[at].price.0 + 1)
}

/// Plays some days and gives the ceremonies and sweeps of each asset, and the lower bound of its ceremonies.
fn play(seed: u64, days: usize, fill: Fill, (share, total): (Share, Option<Share>)) -> Vec<Played> {
    let mut chance = Chance(seed);
    let start = Position { hot: Units(6_000_000_000), cold: Units(24_000_000_000) };
    let (steps, worth) = (days * DAY, start.hot.0 + start.cold.0);
    let asset = |price: u128, month| Asset {
        position: start,
        price: Krw(price),
        month,
        held: VecDeque::new(),
        sweeps: 0,
        ceremonies: 0,
        caps: Vec::new(),
    };
    let mut assets: Vec<Asset> = [150_000_000, 5_000_000, 250_000]
        .into_iter()
        .map(|price| asset(price, Month::drawn(&mut chance, steps, worth)))
        .collect();
    let tightest = total.map_or(share, |total| if total.at_most(share) { total } else { share });
    for step in 0..steps {
        for asset in &mut assets {
            // up to one per cent either way, and once in a while a tenth
            let size = if chance.below(500) == 0 { 1_000 } else { 100 };
            let up = asset.price.0 * u128::from(chance.below(2 * size + 1)) / 10_000;
            asset.price = Krw(asset.price.0 * u128::from(10_000 - size) / 10_000 + up);
            asset.position.hot = asset.position.hot.plus(Units(asset.month.came[step])).unwrap();
            if asset.month.asked[step] > 0 {
                asset.held.push_back(asset.month.asked[step]);
            }
            asset.pay();
            if step % WINDOW == 0 && !asset.held.is_empty() {
                asset.ceremony(step, (tightest, fill));
            }
        }
        settle(&mut assets, share, total);
        rest_within(&assets, share, total, step);
        for at in 0..assets.len() {
            let cap = cap(&assets, at, share, total);
            assets[at].caps.push(cap);
        }
    }
    assets.iter().map(|a| (a.ceremonies, a.sweeps, fewest(&a.month, start, &a.caps))).collect()
}

/// Sweeps what is due of each asset; they are taken as settled.
fn settle(assets: &mut [Asset], share: Share, total: Option<Share>) {
    let holdings: Vec<Holding> = assets.iter().map(Asset::holding).collect();
    let allotted = match total {
        Some(total) => allot(&holdings, total).unwrap(),
        None => vec![Units(0); assets.len()],
    };
    let target = total.filter(|total| total.at_most(share)).unwrap_or(share).target();
    for (asset, part) in assets.iter_mut().zip(allotted) {
        let due = due(asset.position, (Some(share), target), MIN_SWEEP, part, asset.held()).unwrap();
        if due.amount > Units(0) {
            asset.position.hot = asset.position.hot.minus(due.amount).unwrap();
            asset.position.cold = asset.position.cold.plus(due.amount).unwrap();
            asset.sweeps += 1;
        }
    }
}

fn rest_within(assets: &[Asset], share: Share, total: Option<Share>, step: usize) {
    for asset in assets {
        assert_eq!(within(asset.position, share, MIN_SWEEP), Some(true), "step {step}: {:?}", asset.position);
    }
    if let Some(total) = total {
        let holdings: Vec<Holding> = assets.iter().map(Asset::holding).collect();
        let over = TotalKrw::of(&holdings).unwrap().surplus(total).unwrap();
        // hot rounds up and cold down, by one won for each asset
        assert!(over.0 <= holdings.len() as u128, "step {step}: {over:?}");
    }
}

/// Ceremonies and sweeps of one asset, and the fewest ceremonies that anybody needs.
type Played = (u32, u32, u32);

fn report(name: &str, seed: u64, days: usize, played: Vec<Played>) -> Vec<Played> {
    let (mut ceremonies, mut sweeps, mut fewest) = (0, 0, 0);
    for (c, s, f) in &played {
        assert!(f <= c, "{name} seed {seed}: {c} ceremonies, and the bound says {f}");
        (ceremonies, sweeps, fewest) = (ceremonies + c, sweeps + s, fewest + f);
    }
    let steps = days * DAY * played.len();
    println!(
        "{name}: seed {seed}, {days} days, {} assets: {ceremonies} cold ceremonies (fewest possible: {fewest}), \
         {sweeps} sweeps in {steps} steps",
        played.len(),
    );
    played
}

const KISA: Share = Share::KISA_3_7;
const ACT: Share = Share::USER_PROTECTION_ACT_2_8;

/// The rules that are played: a name, the share of each asset, and that of the total.
fn rules() -> [(&'static str, (Share, Option<Share>)); 3] {
    [
        ("kisa-3-7", (KISA, None)),
        ("user-protection-act-2-8", (ACT, Some(ACT))),
        ("total alone", (Share::new(99, 100).unwrap(), Some(ACT))),
    ]
}

fn play_and_report(seeds: u64, days: usize) {
    for (name, rule) in rules() {
        for (filled, fill) in [("to the target", Fill::Target), ("to the need", Fill::Need)] {
            let name = format!("{name}, filled {filled}");
            let all: Vec<Played> = (1..=seeds)
                .flat_map(|seed| report(&name, seed, days, play(seed, days, fill, rule)))
                .collect();
            let sum = |of: fn(&Played) -> u32| all.iter().map(of).sum::<u32>();
            println!(
                "{name}: all {seeds} seeds: {} ceremonies beside {}, {} sweeps",
                sum(|p| p.0),
                sum(|p| p.2),
                sum(|p| p.1)
            );
        }
    }
}

#[test]
fn the_share_rests_within_after_every_step_of_three_days() {
    play_and_report(20, 3);
}

#[test]
fn the_same_seed_gives_the_same_days_and_another_others() {
    let days = |seed| Month::drawn(&mut Chance(seed), 2 * DAY, 30_000_000_000);
    assert!(days(7) == days(7) && days(7) != days(8));
    let play = || play(7, 2, Fill::Target, (KISA, None));
    assert_eq!(play(), play());
}

#[test]
#[ignore = "the long version: thirty days, many seeds"]
fn the_share_rests_within_after_every_step_of_thirty_days() {
    play_and_report(50, 30);
}
