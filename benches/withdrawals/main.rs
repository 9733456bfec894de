//! Complete withdrawals: from a signed request over mutual TLS to a transaction with both signatures, SQLite FULL, every
//! check on, co-signer and signer in processes of their own.
//!
//! `cargo bench --bench withdrawals -- --coins 100000 --withdrawals 6000 --open-rate 750 --open-s 10`
//! Without arguments it is a small smoke run, which says nothing about speed.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_arithmetic
)]

mod chain;
mod exchange;
mod meter;
#[path = "../../tests/parties/mod.rs"]
mod parties;
mod party;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Parser;
use countersign::desk::Role;
use countersign::enclave::Enclave;
use countersign::enclave::wall::Inside;
use countersign::pki::{Authority, LeafOrder, PemFiles, Validity};
use countersign::relay::robot::{Customer, Robot};
use countersign::relay::{self, Member, Standing};
use countersign::withdrawal::Seconds;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::chain::{Chain, Told};
use self::exchange::{Exchange, Observer, Order, Released};
use self::meter::{Meter, Watched, quantile};
use self::party::{Party, enclave_settings};
use self::world::*;

/// As in the program.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What to run.
#[derive(Parser)]
struct Args {
    /// How many coins the wallet has, and how many addresses.
    #[arg(long, default_value_t = 2_000)]
    coins: usize,
    /// How many withdrawals the closed loop asks for.
    #[arg(long, default_value_t = 300)]
    withdrawals: usize,
    /// How many are in flight in the closed loop.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// How many a second the open loop asks for.
    #[arg(long, default_value_t = 100)]
    open_rate: usize,
    /// How long the open loop runs, in seconds.
    #[arg(long, default_value_t = 2)]
    open_s: usize,
    /// How many times the closed loop runs.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    /// How many connections the exchange keeps.
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// Waits that long before each loop, for a profiler to be attached.
    #[arg(long, default_value_t = 0)]
    pause_s: u64,
    /// Worker threads of each process's runtime.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Pays a token from a Safe, and not bitcoin: as many at once as are ready together, and each transaction stated as paid after.
    #[arg(long)]
    token: bool,
    /// States nothing as paid while a token's loop runs: what is measured ends with both signatures, as the target says.
    #[arg(long, requires = "token")]
    signed_only: bool,
    /// Keeps the enclave in the signer's process: what the wall costs is the difference.
    #[arg(long)]
    no_wall: bool,
    /// Where to work; a new folder if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    #[arg(long, hide = true)]
    role: Option<String>,
    #[arg(long, hide = true, default_value = "")]
    cosigner: String,
    #[arg(long, hide = true, default_value = "")]
    relay: String,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let line = (args.role.as_deref() == Some("enclave")).then(|| Inside::take().unwrap());
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.workers)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match args.role.as_deref() {
            Some("cosigner") => party::cosigner(args.dir.unwrap(), args.token).await,
            Some("signer") => party::signer(args).await,
            Some("enclave") => party::enclave(&args.dir.unwrap(), &args.relay, line.unwrap()).await,
            Some(other) => panic!("no role `{other}`"),
            None => drive(args).await,
        }
    });
}

fn certificates(dir: &Path) {
    let validity = Validity { not_before: Seconds(0), not_after: Seconds(4_000_000_000) };
    let ca = Authority::create("bench", validity).unwrap();
    std::fs::write(dir.join("ca.pem"), ca.certificate_pem()).unwrap();
    let leaves = [
        (Role::Signer, "signer"),
        (Role::Cosigner, "cosigner"),
        (Role::Signer, "travel"),
        (Role::Exchange, "acme"),
        (Role::Observer, "watcher"),
    ];
    for (role, name) in leaves {
        let order = LeafOrder { role, name: name.into(), hosts: vec!["127.0.0.1".into()], validity };
        PemFiles::in_folder(dir, name).write(&ca.issue(&order).unwrap()).unwrap();
    }
}

/// Relay and counterparty, in the exchange's process. Returns where the relay is.
async fn counterparty(dir: &Path) -> (String, Enclave) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let member = |vasp: countersign::withdrawal::VaspId, seed: u8| Member {
        vasp: vasp.to_string(),
        identity_key: public(seed),
        endpoint: None,
    };
    let limits = relay::Limits {
        parcels_max: 100_000,
        parcels_per_member_max: 100_000,
        bytes_max: 4 << 30,
        bytes_per_member_max: 4 << 30,
        retry_s_max: 1,
        call_s_max: 5,
        probe_s: 1,
        ..relay::Limits::default()
    };
    let config = relay::Config { members: vec![member(OWN_VASP, OWN), member(ROBOT_VASP, ROBOT)], limits };
    let (roots, tls) = travel_tls(dir);
    let now = countersign::flow::context::machine_clock();
    let standing = Standing { key: key(RELAY), tls, roots, now };
    tokio::spawn(relay::serve(config, standing, listener, CancellationToken::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = enclave_settings(dir, (ROBOT_VASP, ROBOT), &at, listener.local_addr().unwrap());
    Enclave::create_database(&settings.database).await.unwrap();
    let robot = Robot::personas(TAYLOR, "bcrt1q-ethan", "bcrt1q-company").with(Customer::person(
        "Vale",
        "Vera",
        &[VERA],
    ));
    (at, Enclave::start(settings, Arc::new(robot), listener).await.unwrap())
}

async fn drive(args: Args) {
    let made = args.dir.is_none().then(|| tempfile::tempdir().unwrap());
    let dir = args.dir.clone().unwrap_or_else(|| made.as_ref().unwrap().path().to_owned());
    certificates(&dir);
    let (relay, robot) = counterparty(&dir).await;
    let workers = args.workers.to_string();
    let mut alone = vec!["--workers", &workers];
    alone.extend(args.token.then_some("--token"));
    let cosigner = Party::start("cosigner", &dir, &alone).await;
    let mut to = vec!["--workers", &workers, "--cosigner", &cosigner.address, "--relay", &relay];
    to.extend(args.no_wall.then_some("--no-wall"));
    to.extend(args.token.then_some("--token"));
    let signer = Party::start("signer", &dir, &to).await;
    let mut watched = vec![Watched { name: "exchange", pid: std::process::id() }];
    watched.extend([&signer, &cosigner].map(|p| Watched { name: p.name, pid: p.pid() }));
    watched.extend(signer.children().into_iter().map(|pid| Watched { name: "enclave", pid }));

    let exchange = Arc::new(Exchange::new(&dir, &signer.address, args.connections));
    let mut observer = Observer::new(&dir, &signer.address);
    if args.token {
        tokens(&exchange, observer, &args, &watched).await;
        signer.stop().await;
        cosigner.stop().await;
        return robot.stop().await;
    }
    let meter = Meter::start(&watched);
    let addresses = exchange.addresses(args.coins).await;
    meter.stop("address attestations (streamed in batches of 1,000, both logs written)", addresses.len());
    observer.state_facts(args.coins).await;
    let meter = Meter::start(&watched);
    observer.fund(&addresses).await;
    meter.stop("coins recorded (statements of 1,000 coins with their transaction)", addresses.len());

    let mut from = 0;
    for run in 0..args.repeat {
        observer.state_facts(args.coins).await;
        let orders = exchange.orders(from, args.withdrawals);
        from += orders.len();
        let meter = Meter::start(&watched);
        exchange.prepare(&orders, args.in_flight).await;
        meter.stop("travel-rule verification round trips", orders.len());
        tokio::time::sleep(Duration::from_secs(args.pause_s)).await;
        closed(&exchange, orders, &args, &watched, (run, None)).await;
    }
    if args.open_s > 0 {
        observer.state_facts(args.coins).await;
        let orders = exchange.orders(from, args.open_rate * args.open_s);
        exchange.prepare(&orders, args.in_flight).await;
        tokio::time::sleep(Duration::from_secs(args.pause_s)).await;
        open(&exchange, orders, &args, &watched).await;
    }
    signer.stop().await;
    cosigner.stop().await;
    robot.stop().await;
}

/// The closed loop with a token: beside it an observer states what was released as paid.
async fn tokens(exchange: &Arc<Exchange>, observer: Observer, args: &Args, watched: &[Watched]) {
    let (told, heard) = tokio::sync::mpsc::unbounded_channel();
    let mut chain = Chain::new(observer);
    chain.state_facts().await;
    let stop = CancellationToken::new();
    let playing = tokio::spawn(chain.play(heard, stop.clone(), !args.signed_only));
    let mut from = 0;
    for run in 0..args.repeat {
        let orders = exchange.token_orders(from, args.withdrawals);
        from += orders.len();
        exchange.prepare(&orders, args.in_flight).await;
        tokio::time::sleep(Duration::from_secs(args.pause_s)).await;
        closed(exchange, orders, args, watched, (run, Some(told.clone()))).await;
    }
    stop.cancel();
    playing.await.unwrap();
}

/// Takes what came back apart: all must be complete, and no two the same.
fn judge(done: Vec<Result<(Released, Duration), String>>) -> Vec<Duration> {
    let (mut ids, mut times, mut wrong) = (BTreeSet::new(), Vec::with_capacity(done.len()), Vec::new());
    let (mut batches, mut paid) = (BTreeMap::new(), 0);
    for one in done {
        match one.and_then(|(r, t)| Ok((r.id_if_complete(&mut batches).ok_or("a signature is missing")?, t)))
        {
            Ok((id, time)) => {
                assert!(ids.insert(id), "one payment for two withdrawals");
                times.push(time);
            }
            Err(why) => wrong.push(why),
        }
    }
    paid += batches.values().sum::<usize>();
    if paid > 0 {
        println!(
            "  {} transactions, {:.1} payments in each",
            batches.len(),
            paid as f64 / batches.len() as f64
        );
        assert!(!wrong.is_empty() || paid == times.len(), "more was paid than was asked");
    }
    if let Some(first) = wrong.first() {
        println!("!! {} were not released; the first: {first}", wrong.len());
    }
    times.sort_unstable();
    times
}

fn print_times(times: &[Duration]) {
    let at = |share| quantile(times, share);
    println!(
        "  latency p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}

async fn closed(
    exchange: &Arc<Exchange>,
    orders: Vec<Order>,
    args: &Args,
    watched: &[Watched],
    (run, told): (usize, Option<Told>),
) {
    let meter = Meter::start(watched);
    let (next, orders) = (Arc::new(AtomicUsize::new(0)), Arc::new(orders));
    let mut tasks = JoinSet::new();
    for _ in 0..args.in_flight {
        let (exchange, next, orders) = (exchange.clone(), next.clone(), orders.clone());
        let told = told.clone();
        tasks.spawn(async move {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(order) = orders.get(at) else { return done };
                let from = Instant::now();
                let came = exchange.withdraw(at, order.clone()).await;
                if let (Some(told), Ok(released)) = (&told, &came) {
                    told.send(released.place()).unwrap();
                }
                done.push(came.map(|r| (r, from.elapsed())));
            }
        });
    }
    let done: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    meter.stop(
        &format!("complete withdrawals, closed loop, {} in flight (run {run})", args.in_flight),
        done.len(),
    );
    print_times(&judge(done));
}

async fn open(exchange: &Arc<Exchange>, orders: Vec<Order>, args: &Args, watched: &[Watched]) {
    let meter = Meter::start(watched);
    let (start, every) = (Instant::now(), Duration::from_secs(1) / args.open_rate as u32);
    let mut tasks = JoinSet::new();
    for (at, order) in orders.into_iter().enumerate() {
        let due = start + every * at as u32;
        sleep_until(due).await;
        let exchange = exchange.clone();
        // From when it was due, not from when it could be sent: waiting is latency too.
        tasks.spawn(async move { exchange.withdraw(at, order).await.map(|r| (r, due.elapsed())) });
    }
    let done = tasks.join_all().await;
    meter.stop(&format!("complete withdrawals, open loop at {}/s", args.open_rate), done.len());
    print_times(&judge(done));
}
