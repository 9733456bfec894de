//! Owns the table of fuzz targets: every reader of bytes from outside, with the laws it is held to and the seeds it begins with.
//!
//! Each law stands beside its reader (`fuzzing.rs` of the room). The crate `fuzz/` drives the table by coverage; the tests below
//! drive it by seeds, by what was found before (`fuzz/seeds`), and by a bounded number of changes to both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::cli::config::fuzzing as config;
use crate::enclave::exchange::fuzzing as exchange;
use crate::enclave::ivms::fuzzing as ivms;
use crate::enclave::wall::fuzzing as wall;
use crate::enclave::wire::fuzzing as letters;
use crate::withdrawal::Network;
use crate::{audit, bitcoin, enclave, ethereum, evidence, keys, node, pki, relay, store, wire, withdrawal};

/// One reader, or a few that read the same bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: of the folder of its seeds, and on the command line.
    pub name: &'static str,
    /// Reads the bytes and panics where a law does not hold.
    pub run: fn(&[u8]),
    /// What coverage begins with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

/// Every target, from the ground up.
pub const TARGETS: &[Target] = &[
    target("words", withdrawal::fuzzing::words, withdrawal::fuzzing::word_seeds),
    target("texts", evidence::fuzzing::texts, evidence::fuzzing::text_seeds),
    target("trust", evidence::fuzzing::trust, evidence::fuzzing::trust_seeds),
    target("sshsig", evidence::fuzzing::ssh_signature, evidence::fuzzing::ssh_signature_seeds),
    target("keystore", keys::fuzzing::keystore, keys::fuzzing::keystore_seeds),
    target("phrase", keys::fuzzing::phrase, keys::fuzzing::phrase_seeds),
    target("address", bitcoin::fuzzing::address, bitcoin::fuzzing::address_seeds),
    target("descriptor", descriptor, bitcoin::fuzzing::descriptor_seeds),
    target("psbt", bitcoin::fuzzing::psbt, bitcoin::fuzzing::psbt_seeds),
    target("custody", bitcoin::fuzzing::custody, bitcoin::fuzzing::custody_seeds),
    target("transaction", bitcoin::fuzzing::transaction, bitcoin::fuzzing::transaction_seeds),
    target("message", bitcoin::fuzzing::message, bitcoin::fuzzing::message_seeds),
    target("evm_words", ethereum::fuzzing::words, ethereum::fuzzing::word_seeds),
    target("calldata", ethereum::fuzzing::calldata, ethereum::fuzzing::calldata_seeds),
    target("proposal", ethereum::fuzzing::proposal, ethereum::fuzzing::proposal_seeds),
    target("evm_transaction", ethereum::fuzzing::transaction, ethereum::fuzzing::transaction_seeds),
    target("packed", ethereum::fuzzing::packed, ethereum::fuzzing::packed_seeds),
    target("receipt", ethereum::fuzzing::receipt, ethereum::fuzzing::receipt_seeds),
    target("typed", ethereum::fuzzing::typed, ethereum::fuzzing::typed_seeds),
    target("rpc", node::fuzzing::answers, node::fuzzing::answer_seeds),
    target("entry", audit::fuzzing::entry, audit::fuzzing::entry_seeds),
    target("note", audit::fuzzing::note, audit::fuzzing::note_seeds),
    target("proof", audit::fuzzing::proof, audit::fuzzing::proof_seeds),
    target("certificate", pki::fuzzing::certificate, pki::fuzzing::certificate_seeds),
    target("grpc", wire::fuzzing::message, wire::fuzzing::message_seeds),
    target("store_url", store::fuzzing::url, store::fuzzing::url_seeds),
    target("ivms", ivms::payload, ivms::payload_seeds),
    target("names", enclave::fuzzing::names, enclave::fuzzing::name_seeds),
    target("lists", enclave::fuzzing::lists, enclave::fuzzing::list_seeds),
    target("places", enclave::fuzzing::places, enclave::fuzzing::place_seeds),
    target("orders", exchange::order, exchange::order_seeds),
    target("answers", exchange::answer, exchange::answer_seeds),
    target("queries", exchange::queries, exchange::query_seeds),
    target("letters", letters::letters, letters::letter_seeds),
    target("envelope", letters::envelope, letters::envelope_seeds),
    target("head", letters::head, letters::head_seeds),
    target("wall", wall::frames, wall::frame_seeds),
    target("relay", relay::fuzzing::config, relay::fuzzing::config_seeds),
    target("config", config::files, config::file_seeds),
    target("variables", config::variables, config::variable_seeds),
    target("policy", config::policy_settings, config::policy_settings_seeds),
    target("rules", config::policy_rules, config::policy_rules_seeds),
];

/// Descriptors and account keys; the two rooms that read account keys believe the same ones.
fn descriptor(data: &[u8]) {
    bitcoin::fuzzing::descriptor(data);
    keys::fuzzing::account(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    for network in Network::ALL {
        let ours = keys::account::AccountXpub::parse(text, network);
        let theirs = bitcoin::AccountKey::parse(network, text);
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{ours:?} {theirs:?}");
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            assert_eq!((ours.account(), ours.to_string()), (theirs.account(), theirs.to_string()));
            assert_eq!(*ours.public_key(), theirs.xpub().public_key.serialize());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    /// How many changes of each seed are tried. A law that takes a signature or a policy is tried less often.
    const CHANGES: u64 = 40;
    const CHANGES_SLOW: u64 = 2;
    const SLOW: &[&str] = &["trust", "envelope", "rules", "policy", "descriptor", "variables", "config"];

    fn folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
    }

    /// What was found before, and what no code writes.
    fn kept(target: &Target) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(folder().join(target.name)).into_iter().flatten();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    struct Chance(u64);

    impl Chance {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
        }

        /// One seed with a byte changed, a piece taken out, doubled, or put in from another seed.
        fn change(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
            let mut bytes = seed.to_vec();
            for _ in 0..=self.below(3) {
                let (from, to) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
                let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 24));
                match self.below(5) {
                    0 if !bytes.is_empty() => {
                        let at = self.below(bytes.len());
                        bytes[at] = u8::try_from(self.below(256)).unwrap();
                    }
                    1 => drop(bytes.drain(from..to)),
                    2 => {
                        let piece = bytes[from..to].to_vec();
                        bytes.splice(from..from, piece);
                    }
                    3 => {
                        let at = self.below(other.len() + 1);
                        let piece = other[at..other.len().min(at + 24)].to_vec();
                        bytes.splice(from..to, piece);
                    }
                    _ => {
                        const WORDS: [&str; 12] = [
                            "0",
                            "-1",
                            "\n",
                            "\"",
                            "\\u0000",
                            "é",
                            "가",
                            "\u{202e}",
                            "18446744073709551616",
                            "{}",
                            "[]",
                            " ",
                        ];
                        let word = WORDS[self.below(WORDS.len())];
                        bytes.splice(from..to, word.bytes());
                    }
                }
            }
            bytes
        }
    }

    /// Tries everything, and tells the first broken law of each target.
    fn hold(targets: impl Iterator<Item = &'static Target>) {
        let broken: Vec<String> = targets.filter_map(|target| try_all(target).err()).collect();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }

    fn try_all(target: &Target) -> Result<(), String> {
        let seeds: Vec<_> = (target.seeds)().into_iter().chain(kept(target)).collect();
        assert!(!seeds.is_empty(), "{} begins with nothing", target.name);
        let changes = if SLOW.contains(&target.name) { CHANGES_SLOW } else { CHANGES };
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        let try_one = |bytes: &[u8]| {
            let held = std::panic::catch_unwind(|| (target.run)(bytes));
            held.map_err(|_| format!("target {}, input {}", target.name, bytes.escape_ascii()))
        };
        seeds.iter().try_for_each(|seed| try_one(seed))?;
        for seed in &seeds {
            for _ in 0..changes {
                let other = &seeds[chance.below(seeds.len())];
                try_one(&chance.change(seed, other))?;
            }
        }
        Ok(())
    }

    fn part(n: usize) -> impl Iterator<Item = &'static Target> {
        TARGETS.iter().enumerate().filter(move |(at, _)| at % 4 == n).map(|(_, target)| target)
    }

    #[test]
    fn every_law_holds_for_seeds_and_what_was_found_1_of_4() {
        hold(part(0));
    }

    #[test]
    fn every_law_holds_for_seeds_and_what_was_found_2_of_4() {
        hold(part(1));
    }

    #[test]
    fn every_law_holds_for_seeds_and_what_was_found_3_of_4() {
        hold(part(2));
    }

    #[test]
    fn every_law_holds_for_seeds_and_what_was_found_4_of_4() {
        hold(part(3));
    }

    #[test]
    fn every_target_has_one_name_a_line_in_the_list_and_no_folder_is_without_one() {
        let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
        assert_eq!(names.len(), TARGETS.len());
        let list = std::fs::read_to_string(folder().join("../README.md")).unwrap();
        for name in &names {
            assert!(list.contains(&format!("| `{name}` |")), "fuzz/README.md does not list `{name}`");
        }
        for kept in std::fs::read_dir(folder()).into_iter().flatten() {
            let name = kept.unwrap().file_name().into_string().unwrap();
            assert!(names.contains(&name), "fuzz/seeds/{name} belongs to no target");
        }
    }
}
