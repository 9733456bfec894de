//! What is measured: time, processor time of each process, and bytes on disk.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A process under measurement.
#[derive(Clone)]
pub struct Watched {
    pub name: &'static str,
    pub pid: u32,
}

/// Processor time so far, in seconds: user and system.
fn cpu_s(pid: u32) -> (f64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0) / 100.0;
    (ticks(11), ticks(12))
}

/// Bytes sent to the disk so far, and how many calls wrote anything anywhere.
fn written(pid: u32) -> (f64, f64) {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let of = |name: &str| {
        let line = io.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0)
    };
    (of("write_bytes"), of("syscw"))
}

/// What each thread group spent so far, in seconds, by the threads' names without their numbers.
pub fn threads(pid: u32) -> BTreeMap<String, f64> {
    let mut by_name = BTreeMap::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return by_name };
    for task in tasks.flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let spent = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let ns = spent.split(' ').next().and_then(|s| s.parse::<f64>().ok()).unwrap_or(0.0);
        let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
        *by_name.entry(name).or_insert(0.0) += ns / 1e9;
    }
    by_name
}

/// A process, its CPU seconds (user, system), its threads', and what it had written at the start.
type Before = (Watched, (f64, f64), BTreeMap<String, f64>, (f64, f64));

/// A measurement under way.
pub struct Meter {
    from: Instant,
    before: Vec<Before>,
}

impl Meter {
    pub fn start(watched: &[Watched]) -> Self {
        let now = |w: &Watched| (w.clone(), cpu_s(w.pid), threads(w.pid), written(w.pid));
        let before = watched.iter().map(now).collect();
        Self { from: Instant::now(), before }
    }

    /// Prints what `done` items cost each process, and returns the time it took.
    pub fn stop(self, title: &str, done: usize) -> Duration {
        let took = self.from.elapsed();
        let each = |s: f64| s * 1e6 / done.max(1) as f64;
        println!(
            "\n{title}: {done} in {:.2} s = {:.0}/s",
            took.as_secs_f64(),
            done as f64 / took.as_secs_f64()
        );
        let mut total = 0.0;
        for (watched, (user, system), before, (bytes, calls)) in self.before {
            let (user, system) = (cpu_s(watched.pid).0 - user, cpu_s(watched.pid).1 - system);
            total += user + system;
            let mut parts: Vec<(String, f64)> = threads(watched.pid)
                .into_iter()
                .map(|(name, s)| (name.clone(), s - before.get(&name).copied().unwrap_or(0.0)))
                .filter(|(_, s)| each(*s) >= 5.0)
                .collect();
            parts.sort_by(|a, b| b.1.total_cmp(&a.1));
            let parts: Vec<String> = parts.iter().map(|(n, s)| format!("{n} {:.0}", each(*s))).collect();
            println!(
                "  {:<10} {:>7.0} µs of CPU each ({:.0} user, {:.0} system), {:.1} KiB written by {:.1} calls: {}",
                watched.name,
                each(user + system),
                each(user),
                each(system),
                (written(watched.pid).0 - bytes) / 1024.0 / done.max(1) as f64,
                (written(watched.pid).1 - calls) / done.max(1) as f64,
                parts.join(", ")
            );
        }
        println!(
            "  together   {:>7.0} µs of CPU each: two whole cores would carry {:.0}/s",
            each(total),
            2e6 / each(total).max(1.0)
        );
        took
    }
}

/// The value below which `share` of the list lies, in ms.
pub fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).map_or(0.0, |d| d.as_secs_f64() * 1e3)
}
