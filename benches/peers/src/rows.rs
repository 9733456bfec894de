//! Rows of a table that run in turn, so that whatever else the machine does meets all of them; thread CPU time.

use std::hint::black_box;

/// One row: what it is called, what is run, and how often that is done in one run.
pub struct Row<'a> {
    name: &'static str,
    runs: f64,
    run: Box<dyn FnMut() + 'a>,
}

/// A row whose run does it once.
pub fn row<'a, T>(name: &'static str, mut run: impl FnMut() -> T + 'a) -> Row<'a> {
    Row { name, runs: 1.0, run: Box::new(move || drop(black_box(run()))) }
}

/// A row whose run does what it is called a thousand times.
pub fn thousand<'a, T>(name: &'static str, run: impl FnMut() -> T + 'a) -> Row<'a> {
    Row { runs: 1_000.0, ..row(name, run) }
}

/// What must not be missed: a row, less another one where the target leaves it out.
#[derive(Clone, Copy)]
pub struct Target {
    /// What the judged row is called.
    pub name: &'static str,
    /// The row.
    pub row: usize,
    /// The row that is taken off it.
    pub less: Option<usize>,
    /// The most it may be.
    pub limit: Limit,
}

/// The most it may be.
#[derive(Clone, Copy)]
pub enum Limit {
    /// So many times a row.
    Floors(f64, usize),
    /// So many µs.
    Micros(f64),
}

fn cpu_ns() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as f64 * 1e9 + t.tv_nsec as f64
}

fn median(mut list: Vec<f64>) -> f64 {
    list.sort_by(f64::total_cmp);
    list[list.len() / 2]
}

/// Runs the rows in turn; prints medians in µs, the median of the rounds' ratios to the first row, and which targets are met.
/// Gives back the first row's median.
///
/// # Panics
///
/// Without a round.
pub fn table(title: &str, mut rows: Vec<Row<'_>>, rounds: usize, targets: &[Target]) -> f64 {
    rows.iter_mut().for_each(|row| (0..3).for_each(|_| (row.run)()));
    let mut times = vec![Vec::with_capacity(rounds); rows.len()];
    for _ in 0..rounds {
        for (row, times) in rows.iter_mut().zip(&mut times) {
            let from = cpu_ns();
            (row.run)();
            times.push((cpu_ns() - from) / 1_000.0 / row.runs);
        }
    }
    println!("\n{title}\n{:<58} {:>10} {:>9}", "row", "median µs", "× first");
    let print = |name: &str, list: &[f64]| {
        println!("{name:<58} {:>10.2} {:>9.2}", median(list.to_vec()), ratio(list, &times[0]));
    };
    rows.iter().zip(&times).for_each(|(row, list)| print(row.name, list));
    for target in targets {
        let less = |at: usize| target.less.map_or(0.0, |row| times[row][at]);
        let judged: Vec<f64> = (0..rounds).map(|at| times[target.row][at] - less(at)).collect();
        print(target.name, &judged);
        let (is, most, unit) = match target.limit {
            Limit::Floors(most, row) => (ratio(&judged, &times[row]), most, rows[row].name),
            Limit::Micros(most) => (median(judged), most, "1 µs"),
        };
        let word = if is <= most { "met" } else { "MISSED" };
        println!("  target: at most {most} × {unit}: {is:.2}, {word}");
    }
    median(times[0].clone())
}

/// The median of the rounds' own ratios.
fn ratio(list: &[f64], to: &[f64]) -> f64 {
    median(list.iter().zip(to).map(|(a, b)| a / b).collect())
}
