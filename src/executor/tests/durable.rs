//! What is written is what is read: a world is played over a real store, and read back after each turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::account::Account;
use super::super::ledger::Ledger;
use super::super::load::Reader;
use super::super::record::record;
use super::super::view::{Changes, Reader as Views, State};
use super::made_up::{Played, job, safe};
use crate::audit::LogKey;
use crate::ethereum::ChainId;
use crate::ethereum::fixture::CHAIN;
use crate::flow::ledger::journal::Journal;
use crate::flow::signer::create_store;
use crate::keys::{
    self, ChildIndex, KeyRole, KeystoreTerms, Phrase, SealCost, Secret, SecretBytes, WordList,
};
use crate::store::{StoreSecret, StoreUrl};
use crate::withdrawal::{Network, Seconds};

fn opened(seed: u8) -> keys::OpenKeystore {
    let entropy = Secret::fill_with(|to: &mut [u8; 32]| to.fill(seed));
    let phrase = Phrase::from_entropy(WordList::English, &entropy).unwrap();
    let seed = phrase.to_seed(&SecretBytes::take_from(&mut [])).unwrap();
    let cost = SealCost::danger_cheap();
    let terms = KeystoreTerms { role: KeyRole::Signer.into(), network: Network::Regtest, account: 0, cost };
    let passphrase = SecretBytes::take_from(&mut b"open".to_vec());
    let sealed = keys::seal(&seed, terms, &passphrase, [1; 16], [2; 24]).unwrap();
    keys::open(&sealed, &passphrase).unwrap()
}

fn account(chain: ChainId) -> Account {
    Account::new(chain, opened(7).seat_keys().unwrap(), ChildIndex::new(0).unwrap()).unwrap()
}

fn unsigned(ledger: &Ledger) -> Ledger {
    let mut ledger = ledger.clone();
    ledger.slots.values_mut().flat_map(|slot| slot.attempts.iter_mut()).for_each(|one| one.txid = None);
    ledger
}

#[tokio::test]
async fn the_ledger_comes_back_from_its_rows_after_every_turn() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::parse(&format!("sqlite:{}", folder.path().join("executor.db").display())).unwrap();
    let identity = Arc::new(opened(7).ed25519_identity("log").unwrap());
    let key = LogKey::new("executor.example/log", &identity.public_key()).unwrap();
    let secret = || StoreSecret::take(&mut [5; 32]);
    create_store(&url, &secret(), key.clone(), identity.clone(), ("executor", Seconds(1))).await.unwrap();
    let mut journal = Journal::open(&url, &secret(), key, identity, &mut |_| {}).await.unwrap();
    let account = account(CHAIN);
    let wallets: BTreeMap<_, _> = (0..2).map(safe).map(|safe| (safe.address(), safe)).collect();

    let mut played = Played::new();
    (0..2).for_each(|n| (0..3).for_each(|nonce| played.take(job(&safe(n), nonce))));
    let first = played.ledger.jobs.values().next().unwrap().key;
    played.chain.refusing = vec![first];
    let (mut written, mut cursor, mut seen) = (0, String::new(), Vec::new());
    for step in 0..24 {
        let before = played.ledger.clone();
        let changes = played.turn();
        let mut after = before;
        changes.iter().for_each(|change| after.apply(change));
        let all: Vec<_> = played.history[written..].to_vec();
        written = played.history.len();
        if !all.is_empty() {
            let mut draft = journal.draft(Seconds(step + 2));
            record(&mut draft, &account, &after, &all);
            journal.commit(draft).await.unwrap();
        }
        let mut reader = Reader::new(&wallets);
        journal.catch_up(&mut |row| reader.take(row)).await.unwrap();
        let (read, row) = reader.finish().unwrap();
        assert_eq!(read, unsigned(&played.ledger), "step {step}");
        assert_eq!(row.unwrap().account, account.address());
        let Changes { jobs, cursor: next } = Views(journal.store()).changes(&cursor, 4).await.unwrap();
        (cursor, seen) = (next, [seen, jobs].concat());
        match step {
            3 => played.chain.reorg(2, false),
            6 => played.chain.pool.clear(),
            _ => played.chain.mine(Vec::new()),
        }
    }
    assert!(played.ledger.jobs.is_empty() && played.ledger.slots.is_empty());
    loop {
        let Changes { jobs, cursor: next } = Views(journal.store()).changes(&cursor, 4).await.unwrap();
        if jobs.is_empty() {
            assert_eq!(next, cursor, "a cursor at the end stays where it is");
            break;
        }
        (cursor, seen) = (next, [seen, jobs].concat());
    }
    let told = |n: u64, nonce: u64| {
        let of = |view: &&super::super::view::JobView| {
            view.key.safe == safe(n).address() && view.key.nonce == nonce
        };
        seen.iter().rfind(of).unwrap()
    };
    for (n, nonce) in [(0, 0), (0, 1), (1, 2)] {
        let view = told(n, nonce);
        assert!(matches!(view.state, State::Final(_)) && view.gas_paid > 0 && !view.open, "{view:?}");
    }
}

#[tokio::test]
async fn a_row_of_another_safe_or_one_that_cannot_be_read_stops_the_start() {
    use super::super::job::JobKey;
    let wallets = BTreeMap::from([(safe(0).address(), safe(0))]);
    let reader = Reader::new(&wallets);
    assert_eq!(reader.finish().unwrap(), (Ledger::default(), None));
    let key = JobKey { safe: safe(0).address(), nonce: 7 };
    assert_eq!(JobKey::parse(&key.to_string()), Some(key));
    for text in ["", "7", &key.to_string().to_lowercase(), &format!("{key}0x"), &format!("{}:07", key.safe)] {
        assert_eq!(JobKey::parse(text), None, "{text}");
    }
}
