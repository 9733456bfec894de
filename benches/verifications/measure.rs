//! What is measured: how long each verification takes, and what each party's threads spend on it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::meter::threads;

/// A runtime for each party, so that none does another's work and their threads can be told apart.
pub struct Runtimes {
    pub origin: Runtime,
    pub relay: Runtime,
    pub beneficiary: Runtime,
}

impl Runtimes {
    pub fn new(workers: usize) -> Self {
        let of = |name: &str| {
            Builder::new_multi_thread()
                .worker_threads(workers)
                .thread_name(name)
                .enable_all()
                .build()
                .unwrap()
        };
        Self { origin: of("originator"), relay: of("relay"), beneficiary: of("beneficiary") }
    }

    pub fn stop(self) {
        [self.origin, self.relay, self.beneficiary].into_iter().for_each(Runtime::shutdown_background);
    }
}

/// A way to verify once.
pub trait Trip {
    type Order: Send + 'static;

    fn name(&self) -> &'static str;
    fn runtimes(&self) -> &Runtimes;
    /// Made beforehand: it is the exchange's work.
    fn order(&self, number: u64) -> Self::Order;
    /// Until the signed answer is durable on both sides, and how long that took.
    fn go(&self, order: Self::Order) -> impl Future<Output = Duration> + Send + 'static;
}

/// What one turn of one way measured.
pub struct Turn {
    pub times: Vec<Duration>,
    pub took: Duration,
    /// Processor seconds by thread name.
    pub spent: BTreeMap<String, f64>,
}

impl Turn {
    pub fn spent_s(&self) -> f64 {
        self.spent.values().sum()
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

/// One turn: `count` verifications, `in_flight` of them at a time.
pub async fn turn<T: Trip + Sync>(way: &T, count: usize, in_flight: usize) -> Turn {
    let orders: Vec<_> = (0..count).map(|_| way.order(NEXT.fetch_add(1, Ordering::Relaxed))).collect();
    let trips: Vec<_> = orders.into_iter().map(|order| way.go(order)).collect();
    let own = std::process::id();
    let (before, from) = (threads(own), Instant::now());
    let left = Arc::new(Mutex::new(trips));
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let left = left.clone();
        let one_by_one = async move {
            let mut times = Vec::new();
            loop {
                let next = left.lock().unwrap().pop();
                let Some(trip) = next else { return times };
                times.push(trip.await);
            }
        };
        tasks.spawn_on(one_by_one, way.runtimes().origin.handle());
    }
    let times: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    let took = from.elapsed();
    // What comes after an answer, such as telling the relay to forget it, is part of the cost.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let spent = threads(own).into_iter();
    let spent = spent.map(|(name, s)| (name.clone(), s - before.get(&name).copied().unwrap_or(0.0)));
    Turn { times, took, spent: spent.collect() }
}

/// All turns of one way.
#[derive(Default)]
pub struct Row {
    pub name: &'static str,
    pub turns: Vec<Turn>,
}

/// What is compared, in microseconds: median and 99th percentile of the latency, wall time and processor time each.
pub struct Figures {
    pub p50: f64,
    pub p99: f64,
    pub each: f64,
    pub cpu: f64,
}

pub fn figures<'a>(turns: impl IntoIterator<Item = &'a Turn>) -> Figures {
    let (mut times, mut took, mut cpu) = (Vec::new(), 0.0, 0.0);
    for turn in turns {
        times.extend(turn.times.iter().copied());
        took += turn.took.as_secs_f64();
        cpu += turn.spent_s();
    }
    times.sort_unstable();
    let count = times.len().max(1) as f64;
    let at = |share| crate::meter::quantile(&times, share) * 1e3;
    Figures { p50: at(0.5), p99: at(0.99), each: took * 1e6 / count, cpu: cpu * 1e6 / count }
}

/// The median over the turns of a figure of one way by the same of the other: both met the same machine.
pub fn ratio(way: &Row, floor: &Row, of: impl Fn(&Figures) -> f64) -> f64 {
    let pairs = way.turns.iter().zip(&floor.turns);
    let mut ratios: Vec<f64> = pairs.map(|(a, b)| of(&figures([a])) / of(&figures([b]))).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

pub fn print(row: &Row) {
    let all = figures(&row.turns);
    let count: usize = row.turns.iter().map(|turn| turn.times.len()).sum();
    println!(
        "  {:<18} p50 {:>8.0} µs, p99 {:>8.0} µs, {:>6.0}/s, {:>6.0} µs of CPU each",
        row.name,
        all.p50,
        all.p99,
        1e6 / all.each,
        all.cpu
    );
    let mut spent: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, s) in row.turns.iter().flat_map(|turn| &turn.spent) {
        *spent.entry(name).or_default() += s * 1e6 / count as f64;
    }
    let parts: Vec<_> =
        spent.iter().filter(|(_, us)| **us >= 1.0).map(|(n, us)| format!("{n} {us:.0}")).collect();
    println!("  {:<18} {}", "", parts.join(", "));
}
