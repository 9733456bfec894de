//! The room against the standards' vectors, against second implementations, and against attackers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod derivation;
mod ecdsa;
mod identity;
mod keystore;
mod phrases;
mod seats;
mod secrecy;
mod signing;

use sha2::{Digest, Sha256};

use super::mnemonic::Seed;
use super::{KeyRole, KeystoreTerms, OpenKeystore, Phrase, SealCost, Secret, SecretBytes, open, seal};
use crate::withdrawal::Network;

const ABANDON: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// Rows of a vector file, without its comments.
fn rows(file: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    file.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::take_from(&mut text.as_bytes().to_vec())
}

fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap()
}

/// Bytes that look random and are the same on every run.
fn bytes_of(label: &str, n: u32) -> [u8; 32] {
    Sha256::digest(format!("{label} {n}")).into()
}

fn phrase_seed(words: &str) -> Seed {
    Phrase::parse(&secret(words)).ok().unwrap().to_seed(&secret("")).ok().unwrap()
}

fn seed_of(n: u32) -> Seed {
    Seed::of(Secret::fill_with(|to| {
        to[..32].copy_from_slice(&bytes_of("left", n));
        to[32..].copy_from_slice(&bytes_of("right", n));
    }))
}

fn terms(network: Network) -> KeystoreTerms {
    KeystoreTerms { role: KeyRole::Signer.into(), network, account: 0, cost: SealCost::danger_cheap() }
}

fn sealed(seed: &Seed, terms: KeystoreTerms) -> Vec<u8> {
    seal(seed, terms, &secret("correct horse"), [1; 16], [2; 24]).ok().unwrap()
}

fn opened(seed: &Seed, network: Network) -> OpenKeystore {
    open(&sealed(seed, terms(network)), &secret("correct horse")).ok().unwrap()
}
