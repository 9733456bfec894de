//! The wallets and tokens of a trust file: each chain once, each word in its one spelling.

use std::collections::{BTreeMap, BTreeSet};

use super::field;
use super::trust::{CURE, twice};
use super::trust_file::{ExecutorEntry, SafeEntry, TokenEntry, TrustContent, WalletEntry};
use crate::withdrawal::evm_address::{is_payable, read};
use crate::withdrawal::{Asset, Chain, ChainId, Code, Denomination, EvmAsset, Invalid};

pub(super) fn read_wallets(content: &TrustContent) -> Result<BTreeMap<Chain, WalletEntry>, Invalid> {
    let mut wallets = BTreeMap::new();
    for entry in &content.wallets {
        let chain = field::chain("wallets.network", &entry.network)?;
        match chain {
            Chain::Bitcoin(_) => check_descriptors(entry)?,
            Chain::Evm(id) => check_safes(id, entry)?,
        }
        if wallets.insert(chain, entry.clone()).is_some() {
            return Err(twice("wallets.network", "a network"));
        }
    }
    Ok(wallets)
}

fn check_descriptors(entry: &WalletEntry) -> Result<(), Invalid> {
    field::graphic("wallets.hot", &entry.hot)?;
    entry.cold.as_ref().map_or(Ok(String::new()), |cold| field::graphic("wallets.cold", cold))?;
    if entry.safe.is_some() || entry.executor.is_some() || !entry.tokens.is_empty() {
        let problem = "stands at a network of Bitcoin, which has no Safe, no executor and no tokens";
        return Err(no("wallets.safe", problem));
    }
    Ok(())
}

fn check_safes(chain: ChainId, entry: &WalletEntry) -> Result<(), Invalid> {
    let safe = entry.safe.as_ref().ok_or_else(|| {
        Invalid::new(Code::FieldMissing, "wallets.safe", "is missing at a wallet of an EVM chain", CURE)
    })?;
    let SafeEntry { release, singleton, signer, cosigner, vault, treasury } = safe;
    field::graphic("wallets.safe.release", release)?;
    if !["l1", "l2"].contains(&singleton.as_str()) {
        return Err(no("wallets.safe.singleton", "is neither `l1` nor `l2`"));
    }
    let mut seen = BTreeSet::new();
    let named = [
        ("wallets.hot", Some(&entry.hot)),
        ("wallets.cold", entry.cold.as_ref()),
        ("wallets.safe.signer", Some(signer)),
        ("wallets.safe.cosigner", Some(cosigner)),
        ("wallets.safe.vault", Some(vault)),
        ("wallets.safe.treasury", treasury.as_ref()),
        ("wallets.executor.address", entry.executor.as_ref().map(|executor| &executor.address)),
    ];
    for (field, address) in named {
        let Some(address) = address else { continue };
        if !seen.insert(evm_address(field, address)?) {
            return Err(twice(field, "an address"));
        }
    }
    entry.executor.as_ref().map_or(Ok(()), |executor| check_caps(chain, executor))
}

fn check_caps(chain: ChainId, executor: &ExecutorEntry) -> Result<(), Invalid> {
    let ether = Asset::Evm(EvmAsset::Ether(chain));
    let wei = |field, text: &str| field::amount(field, text, ether);
    wei("wallets.executor.level_wei", &executor.level_wei)?;
    let once = wei("wallets.executor.refuel_wei_max", &executor.refuel_wei_max)?;
    let day = wei("wallets.executor.day_wei_max", &executor.day_wei_max)?;
    if once > day {
        return Err(no("wallets.executor.day_wei_max", "is below what it gets at once"));
    }
    Ok(())
}

fn evm_address(field: &'static str, text: &str) -> Result<[u8; 20], Invalid> {
    let address = read(text).map_err(|problem| no(field, problem))?;
    if !is_payable(address) {
        return Err(no(field, "is the zero address or a precompiled contract"));
    }
    Ok(address.into_array())
}

/// The pinned tokens of every chain. Two of one ticker on one chain could be taken for each other.
pub(super) fn read_tokens(content: &TrustContent) -> Result<BTreeMap<Asset, Denomination>, Invalid> {
    let mut tokens = BTreeMap::new();
    for entry in &content.wallets {
        let Chain::Evm(chain) = field::chain("wallets.network", &entry.network)? else { continue };
        let mut symbols = BTreeSet::from(["ETH"]);
        for token in &entry.tokens {
            let (asset, denomination) = read_token(chain, token)?;
            let is_new = symbols.insert(&token.symbol) && tokens.insert(asset, denomination).is_none();
            if !is_new {
                return Err(twice("wallets.tokens", "a contract or a ticker of one chain"));
            }
        }
    }
    Ok(tokens)
}

fn read_token(chain: ChainId, token: &TokenEntry) -> Result<(Asset, Denomination), Invalid> {
    let TokenEntry { contract, symbol, decimals } = token;
    let field = "wallets.tokens.contract";
    let address = read(contract).map_err(|problem| no(field, problem))?;
    evm_address(field, contract)?;
    let denomination =
        Denomination::new(symbol, *decimals).map_err(|problem| no("wallets.tokens", problem))?;
    Ok((Asset::Evm(EvmAsset::Token(chain, address)), denomination))
}

fn no(field: &'static str, problem: &str) -> Invalid {
    Invalid::new(Code::FieldMalformed, field, problem, CURE)
}
