//! The wallets and tokens of a trust file: each chain once, each word in its one spelling.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::field;
use super::trust::{CURE, twice};
use super::trust_file::{
    EmptiedEntry, EmptyingEntry, ExecutorEntry, SafeEntry, TokenEntry, TrustContent, WalletEntry,
};
use crate::withdrawal::evm_address::{is_payable, read};
use crate::withdrawal::{Asset, Chain, ChainId, Code, Denomination, EvmAsset, Invalid};

/// The most hot Safes of one chain: an observer reads and states each of them in every round.
const HOT_SAFES_MAX: usize = 16;

/// What may be kept for a transfer of a token: more than the first touch of two balances takes, and a quarter of what one
/// transaction may keep.
const TOKEN_GAS: RangeInclusive<u64> = 50_000..=2_000_000;

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
    if entry.safe.is_some()
        || entry.executor.is_some()
        || entry.emptying.is_some()
        || !entry.tokens.is_empty()
    {
        let problem =
            "stands at a network of Bitcoin, which has no Safe, no executor, no emptying and no tokens";
        return Err(no("wallets.safe", problem));
    }
    Ok(())
}

fn check_safes(chain: ChainId, entry: &WalletEntry) -> Result<(), Invalid> {
    let safe = entry.safe.as_ref().ok_or_else(|| {
        Invalid::new(Code::FieldMissing, "wallets.safe", "is missing at a wallet of an EVM chain", CURE)
    })?;
    let SafeEntry { release, singleton, signer, cosigner, vault, also_hot, treasury } = safe;
    field::graphic("wallets.safe.release", release)?;
    if !["l1", "l2"].contains(&singleton.as_str()) {
        return Err(no("wallets.safe.singleton", "is neither `l1` nor `l2`"));
    }
    if also_hot.len() >= HOT_SAFES_MAX {
        let problem = format!("names more hot Safes than {HOT_SAFES_MAX}, less the one of `wallets.hot`");
        return Err(Invalid::new(Code::FieldTooLong, "wallets.safe.also_hot", problem, CURE));
    }
    let mut seen = BTreeSet::new();
    let also_hot = also_hot.iter().map(|address| ("wallets.safe.also_hot", Some(address)));
    let named = [
        ("wallets.hot", Some(&entry.hot)),
        ("wallets.cold", entry.cold.as_ref()),
        ("wallets.safe.signer", Some(signer)),
        ("wallets.safe.cosigner", Some(cosigner)),
        ("wallets.safe.vault", Some(vault)),
        ("wallets.safe.treasury", treasury.as_ref()),
        ("wallets.executor.address", entry.executor.as_ref().map(|executor| &executor.address)),
    ];
    for (field, address) in named.into_iter().chain(also_hot) {
        let Some(address) = address else { continue };
        if !seen.insert(evm_address(field, address)?) {
            return Err(twice(field, "an address"));
        }
    }
    entry.executor.as_ref().map_or(Ok(()), |executor| check_caps(chain, executor))?;
    entry.emptying.as_ref().map_or(Ok(()), |emptying| check_emptying(chain, entry, emptying))
}

/// What is emptied belongs to a treasury, and is ether or a pinned token, each once.
fn check_emptying(chain: ChainId, entry: &WalletEntry, emptying: &EmptyingEntry) -> Result<(), Invalid> {
    let field = "wallets.emptying";
    if entry.safe.as_ref().is_none_or(|safe| safe.treasury.is_none()) {
        return Err(no(field, "stands where `wallets.safe.treasury` is missing"));
    }
    if emptying.addresses == 0 || emptying.assets.is_empty() {
        return Err(no(field, "names no asset, or empties as soon as nothing lies there"));
    }
    let ether = Asset::Evm(EvmAsset::Ether(chain));
    field::amount("wallets.emptying.day_fee_wei_max", &emptying.day_fee_wei_max, ether)?;
    let tokens = entry.tokens.iter().map(|token| read_token(chain, token).map(|(asset, _)| asset));
    let known = [Ok(ether)].into_iter().chain(tokens).collect::<Result<BTreeSet<_>, _>>()?;
    let mut seen = BTreeSet::new();
    for EmptiedEntry { asset, level, least } in &emptying.assets {
        let field = "wallets.emptying.assets";
        let asset = field::asset(field, asset)?;
        if !known.contains(&asset) {
            return Err(no(
                field,
                "names an asset that is neither the chain's ether nor a pinned token of it",
            ));
        }
        if !seen.insert(asset) {
            return Err(twice(field, "an asset"));
        }
        if field::amount(field, least, asset)? > field::amount(field, level, asset)? {
            return Err(no(field, "leaves more at one address than is enough at all together"));
        }
    }
    Ok(())
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
    let TokenEntry { contract, symbol, decimals, gas, reviewed_to: _ } = token;
    if gas.is_some_and(|gas| !TOKEN_GAS.contains(&gas)) {
        let (least, most) = (TOKEN_GAS.start(), TOKEN_GAS.end());
        return Err(no("wallets.tokens.gas", &format!("is not between {least} and {most}")));
    }
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
