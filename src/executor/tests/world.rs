//! Seeded worlds: everything that can go wrong, at random, and then calm. Each seed is a world that can be played again.

use std::collections::BTreeSet;

use super::super::change::Change;
use super::super::job::{Effect, Job, JobKey, Outcome};
use super::made_up::{DEPTH, Played, job, safe};
use crate::ethereum::GasTerms;

/// SplitMix64: small, seeded, the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

fn jobs() -> Vec<Job> {
    (0..2).flat_map(|n| (0..12).map(move |nonce| job(&safe(n), nonce))).collect()
}

/// Every attempt keeps to the caps, and replaces the one before as nodes want it.
fn attempts_are_in_order(played: &Played) {
    for slot in played.ledger.slots.values() {
        let pairs = slot.attempts.iter().zip(slot.attempts.iter().skip(1));
        for (old, new) in pairs {
            let (old, new): (GasTerms, GasTerms) = (old.gas, new.gas);
            assert!(new.replaces(&old), "{old:?} {new:?}");
        }
        let cap = played.rules.fee_per_gas_cap;
        assert!(
            slot.attempts
                .iter()
                .all(|one| one.gas.fee_per_gas_max <= cap
                    && one.gas.tip_per_gas_max <= one.gas.fee_per_gas_max)
        );
    }
}

/// Nonces were booked one after the other, without a gap, and each is in the ledger or has ended.
fn nonces_have_no_gap(played: &Played) {
    let booked: BTreeSet<u64> = played
        .history
        .iter()
        .filter_map(|change| match change {
            Change::Booked { nonce, .. } => Some(*nonce),
            _ => None,
        })
        .collect();
    let next = played.ledger.next.unwrap_or(0);
    assert_eq!(booked, (0..next).collect(), "a gap");
}

/// A settled job stays settled, and what it says is what the chain did.
fn what_is_final_is_true(played: &Played) {
    let last = played.chain.height() - DEPTH;
    let done = played.chain.executions(last);
    for change in &played.history {
        let Change::Settled { job, outcome } = change else { continue };
        let Outcome::Executed { effect, txid, block, .. } = outcome else { panic!("{job} was not found") };
        assert!(done.iter().any(|(key, at, by)| key == job && at.number == *block && by == txid), "{job}");
        let expected = if played.chain.refusing.contains(job) { Effect::Reverted } else { Effect::Paid };
        assert_eq!(*effect, expected);
    }
}

fn play(seed: u64) {
    let mut chance = Chance(seed);
    let (mut played, mut coming) = (Played::new(), jobs());
    let keys: Vec<JobKey> = coming.iter().map(|job| job.key).collect();
    played.chain.refusing = keys.iter().copied().filter(|_| chance.one_in(5)).collect();
    for _ in 0..120 {
        if !coming.is_empty() && chance.one_in(2) {
            let at = usize::try_from(chance.next()).unwrap_or(0) % coming.len();
            played.take(coming.swap_remove(at));
        }
        played.chain.base_fee = match chance.next() % 12 {
            0 => 90_000,
            1 => 200_000,
            2..=5 => 3_000,
            _ => 1_000,
        };
        let deaf = chance.one_in(6);
        played.turn_with(|| !deaf || !chance.one_in(3));
        let lossy = chance.one_in(3);
        played.send(|| !lossy || !chance.one_in(2));
        if chance.one_in(6) {
            played.chain.pool.pop_first();
        }
        let height = played.chain.height();
        let strangers = keys.iter().filter(|key| {
            played.chain.safe_nonce(key.safe, height) == key.nonce && played.chain.jobs.contains_key(key)
        });
        let strangers: Vec<_> =
            strangers.filter(|_| chance.one_in(8)).map(|key| Played::stranger(*key)).collect();
        match chance.next() % 10 {
            0 => played.chain.reorg(1 + chance.next() % (DEPTH - 1), true),
            1 => played.chain.reorg(1 + chance.next() % (DEPTH - 1), false),
            2 => {}
            _ => played.chain.mine(strangers),
        }
        attempts_are_in_order(&played);
        nonces_have_no_gap(&played);
        what_is_final_is_true(&played);
    }
    calm(seed, played, coming);
}

fn calm(seed: u64, mut played: Played, coming: Vec<Job>) {
    played.chain.base_fee = 1_000;
    coming.into_iter().for_each(|job| played.take(job));
    played.go_on(150);
    attempts_are_in_order(&played);
    nonces_have_no_gap(&played);
    what_is_final_is_true(&played);
    let all = played.chain.executions(played.chain.height());
    assert_eq!(all.len(), played.chain.jobs.len(), "seed {seed}: somebody was not paid");
    assert!(played.ledger.jobs.is_empty(), "seed {seed}: {:?}", played.ledger.jobs.keys());
    assert!(played.ledger.slots.is_empty(), "seed {seed}: {:?}", played.ledger.slots);
    assert_eq!(played.ledger.next, Some(played.chain.nonce(played.chain.height())), "seed {seed}: a gap");
    assert!(played.chain.pool.is_empty(), "seed {seed}: {:?}", played.chain.pool);
}

#[test]
fn whatever_chain_pool_and_strangers_do_every_job_is_executed_once_and_no_nonce_is_left() {
    for seed in 0..20 {
        // the seed of a failure stands in its own line, whichever assertion fails
        let world = std::panic::catch_unwind(|| play(seed));
        assert!(world.is_ok(), "the world of seed {seed}");
    }
}
