//! Travel-rule verifications: from an order to a signed answer that is durable on both sides, through a relay, against a hand floor with the
//! same HPKE, Ed25519, TLS calls and fsyncs; with X25519 and with X-Wing.
//!
//! `cargo bench --bench verifications -- --turns 20 --single 100 --many 1000`
//! Without arguments it is a small smoke run, which says nothing about speed.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_arithmetic
)]

mod floor;
mod measure;
#[allow(dead_code)]
#[path = "../withdrawals/meter.rs"]
mod meter;
#[path = "../../tests/parties/mod.rs"]
mod parties;
mod sizes;
mod world;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use countersign::enclave::wire::seal::Suite;
use hpke::kem::{X25519HkdfSha256, XWing};

use self::floor::Floor;
use self::measure::{Row, Trip, figures, print, ratio, turn};
use self::world::World;

/// As in the program.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What to run.
#[derive(Parser)]
struct Args {
    /// How many turns each row gets; the rows take turns with one another.
    #[arg(long, default_value_t = 2)]
    turns: usize,
    /// How many verifications one turn has, one in flight.
    #[arg(long, default_value_t = 20)]
    single: usize,
    /// How many one turn has, many in flight.
    #[arg(long, default_value_t = 128)]
    many: usize,
    /// How many are many.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Worker threads of each party's runtime.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Only rows whose name holds this: for a profiler.
    #[arg(long, default_value = "")]
    only: String,
    /// Where to work; a new folder if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(drive(args));
}

async fn drive(args: Args) {
    let made = args.dir.is_none().then(|| tempfile::tempdir().unwrap());
    let dir = args.dir.clone().unwrap_or_else(|| made.as_ref().unwrap().path().to_owned());
    world::certificate(&dir);
    let complete = [
        World::start(&dir, Suite::X25519, args.workers).await,
        World::start(&dir, Suite::XWing, args.workers).await,
    ];
    let classic = Floor::<X25519HkdfSha256>::start(&dir, Suite::X25519, args.workers).await;
    let hybrid = Floor::<XWing>::start(&dir, Suite::XWing, args.workers).await;
    warm(&complete, &classic, &hybrid, &args).await;
    for (in_flight, count) in [(1, args.single), (args.in_flight, args.many)] {
        let mut rows: [Row; 4] = std::array::from_fn(|_| Row::default());
        for _ in 0..args.turns {
            take(&mut rows[0], &classic, (count, in_flight), &args).await;
            take(&mut rows[1], &complete[0], (count, in_flight), &args).await;
            take(&mut rows[2], &hybrid, (count, in_flight), &args).await;
            take(&mut rows[3], &complete[1], (count, in_flight), &args).await;
        }
        report(&rows, in_flight, args.turns * count);
    }
    for world in complete {
        world.stop().await;
    }
    classic.stop();
    hybrid.stop();
}

/// Both pass as many bytes: printed, so that the floor can be checked.
async fn warm(complete: &[World; 2], classic: &Floor<X25519HkdfSha256>, hybrid: &Floor<XWing>, args: &Args) {
    let mut none = Row::default();
    let count = 64;
    println!(
        "bytes over the loopback each, with frames and acknowledgements ({count} verifications, one in flight):"
    );
    let mut passed = passed();
    let mut told = |name: &str| {
        let now = self::passed();
        println!("  {name:<18} {:>6}", (now - std::mem::replace(&mut passed, now)) / count as u64);
    };
    take(&mut none, classic, (count, 1), args).await;
    told(classic.name());
    take(&mut none, &complete[0], (count, 1), args).await;
    told(complete[0].name());
    take(&mut none, hybrid, (count, 1), args).await;
    told(hybrid.name());
    take(&mut none, &complete[1], (count, 1), args).await;
    told(complete[1].name());
}

/// Bytes that the loopback has carried, for whomever.
fn passed() -> u64 {
    let counters = std::fs::read_to_string(Path::new("/proc/net/dev")).unwrap_or_default();
    let line = counters.lines().find_map(|line| line.trim().strip_prefix("lo:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).unwrap_or_default()
}

async fn take<T: Trip + Sync>(row: &mut Row, way: &T, (count, in_flight): (usize, usize), args: &Args) {
    row.name = way.name();
    if way.name().contains(&args.only) {
        row.turns.push(turn(way, count, in_flight).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn report(rows: &[Row; 4], in_flight: usize, count: usize) {
    println!("\n{in_flight} in flight, {count} of each, in turns:");
    rows.iter().filter(|row| !row.turns.is_empty()).for_each(print);
    for pair in rows.chunks(2) {
        let [floor, complete] = pair else { continue };
        if floor.turns.is_empty() || complete.turns.is_empty() {
            continue;
        }
        let of = |of: fn(&measure::Figures) -> f64| {
            let all = of(&figures(&complete.turns)) / of(&figures(&floor.turns));
            format!("{all:.2} ({:.2})", ratio(complete, floor, of))
        };
        println!(
            "  {} / floor, of all (median of the turns): p50 {}, p99 {}, time each {}, CPU {}",
            complete.name,
            of(|f| f.p50),
            of(|f| f.p99),
            of(|f| f.each),
            of(|f| f.cpu)
        );
    }
}
