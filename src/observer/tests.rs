//! What the observer keeps, and what it reads in a trust file. Chains, nodes and the wire stand in `tests/ethereum/observer.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::speak::SpeakFault;
use super::state::{Cursor, State, StateFault, Told};
use super::watch::safes_of;
use crate::evidence::fixture::{address, content, open, trust};
use crate::evidence::trust_file::{SafeEntry, TokenEntry, WalletEntry};
use crate::evidence::{StatementKind, Trust};
use crate::withdrawal::{ChainId, Code};

const HOT: &str = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";
const COLD: &str = "0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69";
const CHAIN: ChainId = ChainId::MAINNET;

#[test]
fn what_was_noted_is_there_after_a_restart_and_a_beginning_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.toml");
    assert!(matches!(State::open(&path), Err(StateFault::Missing(_))));
    let (hot, cold) = (address(HOT), address(COLD));
    let first = Cursor { nonce: 3, height: 100 };
    let mut state = State::begin(&path).unwrap();
    assert!(state.begin_safe(CHAIN, hot, first).unwrap());
    assert!(!state.begin_safe(CHAIN, hot, Cursor { nonce: 0, height: 0 }).unwrap());
    state.note(StatementKind::Chain, 7, Told::Nothing).unwrap();
    let told = Told::Safe(CHAIN, hot, Cursor { nonce: 4, height: 101 });
    state.note(StatementKind::Safe, 8, told).unwrap();
    state.note(StatementKind::Deposits, 9, Told::Page(CHAIN, cold, 2, "mark".into())).unwrap();
    drop(state);
    let state = State::open(&path).unwrap();
    assert_eq!((state.last(StatementKind::Chain), state.last(StatementKind::Safe)), (7, 8));
    assert_eq!(state.last(StatementKind::Price), 0);
    assert_eq!(state.cursor(CHAIN, hot), Some(Cursor { nonce: 4, height: 101 }));
    assert_eq!(state.cursor(CHAIN, cold), None);
    assert_eq!((state.page(CHAIN, cold, 2), state.page(CHAIN, cold, 1)), (Some("mark"), None));
    assert_eq!(state.cursor(ChainId::new(10).unwrap(), hot), None, "another chain's Safe is another");
}

#[test]
fn one_process_has_the_state_and_one_that_cannot_be_read_is_no_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.toml");
    let mut state = State::begin(&path).unwrap();
    state.note(StatementKind::Chain, 7, Told::Nothing).unwrap();
    assert!(matches!(State::open(&path), Err(StateFault::Taken(_))));
    drop(state);
    for text in ["numbers = 1", "[numbers]\nchain = -1", "[safes.a]\nnonce = 1", "[other]\n"] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(State::open(&path), Err(StateFault::Unreadable { .. })), "{text}");
    }
}

#[test]
fn a_state_that_cannot_be_written_is_told_and_memory_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.toml");
    let mut state = State::begin(&path).unwrap();
    state.note(StatementKind::Chain, 7, Told::Nothing).unwrap();
    std::fs::create_dir(folder.path().join("state.toml.new")).unwrap();
    assert!(matches!(state.note(StatementKind::Chain, 8, Told::Nothing), Err(StateFault::Unwritable { .. })));
    assert_eq!(state.last(StatementKind::Chain), 7);
}

fn with_safes(change: impl FnOnce(&mut WalletEntry)) -> Trust {
    let mut content = content();
    let mut entry = WalletEntry {
        network: CHAIN.to_string(),
        hot: HOT.into(),
        cold: Some(COLD.into()),
        safe: Some(SafeEntry {
            release: "1.4.1".into(),
            singleton: "l2".into(),
            signer: "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf".into(),
            cosigner: "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF".into(),
            vault: "0x1efF47bc3a10a45D4B230B5d10E37751FE6AA718".into(),
            also_hot: Vec::new(),
            treasury: None,
        }),
        executor: None,
        emptying: None,
        tokens: vec![TokenEntry {
            contract: "0xdAC17F958D2ee523a2206206994597C13D831ec7".into(),
            symbol: "USDT".into(),
            decimals: 6,
            gas: None,
            reviewed_to: None,
        }],
    };
    change(&mut entry);
    content.wallets.push(entry);
    open(&content).unwrap()
}

#[test]
fn the_hot_safe_is_looked_at_and_treasury_and_cold_one_where_there_are_any() {
    let found = |trust: &Trust| {
        let safes = safes_of(trust, CHAIN).unwrap();
        safes.iter().map(|(_, safe)| safe.address()).collect::<Vec<_>>()
    };
    assert_eq!(found(&with_safes(|_| {})), [address(HOT), address(COLD)]);
    assert_eq!(found(&with_safes(|entry| entry.cold = None)), [address(HOT)]);
    let treasury = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    let owned = with_safes(|entry| entry.safe.as_mut().unwrap().treasury = Some(treasury.into()));
    assert_eq!(found(&owned), [address(HOT), address(treasury), address(COLD)]);
    let unknown = with_safes(|entry| entry.safe.as_mut().unwrap().release = "1.3.0".into());
    assert_eq!(safes_of(&unknown, CHAIN).unwrap_err().field, "wallets.safe.release");
    assert_eq!(safes_of(&trust(), CHAIN).unwrap_err().field, "wallets.network", "a chain without a wallet");
}

#[test]
fn only_what_somebody_must_change_ends_the_observer() {
    let refused = |code| SpeakFault::Refused { code, text: String::new() }.is_lasting();
    for code in
        [Code::StatementSignatureInvalid, Code::StatementGap, Code::FieldMalformed, Code::RoleNotAllowed]
    {
        assert!(refused(code), "{code}");
    }
    for code in
        [Code::StatementOutOfOrder, Code::StatementTimeOutOfRange, Code::StoreUnavailable, Code::Frozen]
    {
        assert!(!refused(code), "{code}");
    }
    assert!(!SpeakFault::Unheard("the line broke".into()).is_lasting());
}
