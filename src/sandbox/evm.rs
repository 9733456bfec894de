//! What the sandbox plays with on an EVM chain: ether and one token, and the Safe of owners A, B and C that holds them.

use std::ffi::OsString;

use data_encoding::HEXLOWER;
use serde_json::Value;

use super::children::run;
use super::folder::Folder;
use super::{ASSET, Fault, NETWORK};
use crate::enclave::Coin;
use crate::ethereum::pins::Pin;
use crate::ethereum::wallet::THRESHOLD;
use crate::ethereum::{Address, B256, Blueprint, Make, Owners, Release, SafeWallet, Singleton, U256};
use crate::evidence::trust_file::{SafeEntry, TokenEntry, WalletEntry};
use crate::evidence::{Contract, SafeFact};
use crate::withdrawal::evm_address::{read, spell};
use crate::withdrawal::{Amount, Asset, ChainId, Denomination, EvmAsset, Krw};

/// The chain: the id that anvil gives itself.
pub const CHAIN: ChainId = match ChainId::new(31_337) {
    Some(chain) => chain,
    None => ChainId::MAINNET,
};
/// The token's contract.
pub const TOKEN: Address = alloy_primitives::address!("0xdAC17F958D2ee523a2206206994597C13D831ec7");
/// Its ticker and decimals.
pub const TOKEN_WORDS: (&str, u32) = ("USDT", 6);
/// Ether.
pub const ETHER: Asset = Asset::Evm(EvmAsset::Ether(CHAIN));
/// The token.
pub const USDT: Asset = Asset::Evm(EvmAsset::Token(CHAIN, TOKEN));
/// What the hot Safe has at the beginning: ten ether and ten thousand of the token.
pub const HOT: [(Asset, Amount); 2] =
    [(ETHER, Amount::from_units(10_000_000_000_000_000_000)), (USDT, Amount::from_units(10_000_000_000))];
/// What is stated to lie in the cold Safe.
pub const COLD: [(Asset, Amount); 2] =
    [(ETHER, Amount::from_units(90_000_000_000_000_000_000)), (USDT, Amount::from_units(90_000_000_000))];
/// Won for a whole coin of each.
pub const PRICES: [(Asset, Krw); 2] = [(ETHER, Krw(5_000_000)), (USDT, Krw(1_400))];

/// The release of the Safe's contracts.
const RELEASE: &str = "1.4.1";
/// Which of them its proxy runs.
const SINGLETON: &str = "l2";

/// How people read an asset.
pub fn denomination(asset: Asset) -> Denomination {
    match asset {
        Asset::Bitcoin(_) => Denomination::bitcoin(),
        USDT => Denomination::new(TOKEN_WORDS.0, TOKEN_WORDS.1).unwrap_or_else(|_| Denomination::bitcoin()),
        Asset::Evm(_) => Denomination::ether(),
    }
}

/// The price that is stated of an asset.
pub fn price(asset: Asset) -> Option<Krw> {
    let known = [(ASSET, super::observer::PRICE)].into_iter().chain(PRICES);
    known.into_iter().find(|(one, _)| *one == asset).map(|(_, price)| price)
}

/// What the travel rule is asked about beside Bitcoin: ticker, network, CAIP-19 id, decimals. A signer calls the network by its
/// CAIP-2 id, and whoever is asked must know it by the same name.
pub fn travel_names() -> [(String, String, String, u32); 2] {
    [ETHER, USDT].map(|asset| {
        let names = denomination(asset);
        (names.symbol().to_owned(), CHAIN.to_string(), asset.to_string(), names.decimals())
    })
}

/// The same as an enclave takes it.
pub fn coins() -> Result<Vec<Coin>, Fault> {
    let coin = |(symbol, network, asset, decimals): &(String, String, String, u32)| {
        Coin::named(symbol, network, asset, *decimals).map_err(|no| Fault::setup("an asset's names", no))
    };
    let own = Ok(Coin::bitcoin(NETWORK));
    std::iter::once(own).chain(travel_names().iter().map(coin)).collect()
}

/// Both Safes, before either stands.
pub struct Safes {
    /// The first hot one: owners A, B and C.
    pub hot: SafeWallet,
    /// More hot ones of the same owners, each with the call of the factory that puts it there.
    also_hot: Vec<(SafeWallet, Vec<u8>)>,
    /// The cold one: three vaults.
    pub cold: Address,
    /// The canonical factory, and the call of it that puts the first hot Safe there.
    pub deployment: (Address, Vec<u8>),
}

impl Safes {
    /// Has `countersign safe predict` find both from what the six keystores say of their owners.
    pub async fn make(folder: &Folder) -> Result<Self, Fault> {
        let hot = found(folder, ["signer", "cosigner", "vault"], false).await?;
        let cold = found(folder, ["cold-1", "cold-2", "cold-3"], true).await?;
        let no = |problem: &str| Fault::setup("the Safe", problem);
        let owners = hot.get("owners").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let [a, b, c] = owners else { return Err(no("has not three owners")) };
        let owner = |value: &Value| address(value.as_str());
        let owners = Owners::new(owner(a)?, owner(b)?, owner(c)?).ok_or_else(|| no("has one owner twice"))?;
        let release = Release::of(RELEASE).ok_or_else(|| no("is of no known release"))?;
        let make = Make { release, singleton: Singleton::Telling };
        let wallet = SafeWallet::predict(CHAIN, make, owners, U256::ZERO);
        if wallet.address() != address(text(&hot, "safe"))? {
            return Err(no("was found elsewhere than where it is predicted"));
        }
        let deployment = hot.get("deployment").unwrap_or(&Value::Null);
        let call = text(deployment, "data").and_then(|call| call.strip_prefix("0x"));
        let call = call.and_then(|call| HEXLOWER.decode(call.as_bytes()).ok());
        let call = call.ok_or_else(|| no("has no call of the factory"))?;
        Ok(Self {
            hot: wallet,
            also_hot: Vec::new(),
            cold: address(text(&cold, "safe"))?,
            deployment: (address(text(deployment, "to"))?, call),
        })
    }

    /// Adds a hot Safe of the same owners: the one with this salt.
    pub fn add_hot(&mut self, salt: u64) {
        let (make, owners, salt) = (self.hot.make(), *self.hot.owners(), U256::from(salt));
        let call = Blueprint::new(make, &owners.all(), THRESHOLD).deployment(salt);
        self.also_hot.push((SafeWallet::predict(CHAIN, make, owners, salt), call));
    }

    /// The hot ones, each with the call of the factory that puts it there.
    pub fn hot_safes(&self) -> impl Iterator<Item = (Address, &[u8])> {
        let (_, first) = &self.deployment;
        let others = self.also_hot.iter().map(|(safe, call)| (safe.address(), call.as_slice()));
        std::iter::once((self.hot.address(), first.as_slice())).chain(others)
    }

    /// The Safes and the token as a trust file pins them.
    pub fn entry(&self) -> WalletEntry {
        let [signer, cosigner, vault] = self.hot.owners().all().map(spell);
        let token = TokenEntry {
            contract: spell(TOKEN),
            symbol: TOKEN_WORDS.0.into(),
            decimals: TOKEN_WORDS.1,
            gas: None,
            reviewed_to: None,
        };
        WalletEntry {
            network: CHAIN.to_string(),
            hot: spell(self.hot.address()),
            cold: Some(spell(self.cold)),
            safe: Some(SafeEntry {
                release: RELEASE.into(),
                singleton: SINGLETON.into(),
                signer,
                cosigner,
                vault,
                also_hot: self.also_hot.iter().map(|(safe, _)| spell(safe.address())).collect(),
                treasury: None,
            }),
            executor: None,
            emptying: None,
            tokens: vec![token],
        }
    }

    /// What an observer would say of the hot Safe if it stood as pinned, with what it has at the beginning. There is no chain
    /// that says so: this is what the played observer signs.
    pub fn fact(&self, height: u32) -> SafeFact {
        let make = self.hot.make();
        let contract = |pin: Pin| Contract { address: pin.address, code_hash: pin.code_hash };
        SafeFact {
            chain: CHAIN,
            safe: self.hot.address(),
            height: height.into(),
            block_hash: B256::from(U256::from(height)),
            proxy_code_hash: make.release.proxy_code_hash,
            singleton: contract(make.release.singleton(make.singleton).pin),
            version: make.release.version.to_owned(),
            owners: self.hot.owners().all().to_vec(),
            threshold: U256::from(THRESHOLD),
            modules: Vec::new(),
            guard: Address::ZERO,
            module_guard: Address::ZERO,
            fallback_handler: contract(make.release.fallback_handler),
            multi_send: contract(make.release.multi_send),
            nonce: U256::ZERO,
            balances: HOT.to_vec(),
            decimals: vec![(EvmAsset::Token(CHAIN, TOKEN), u8::try_from(TOKEN_WORDS.1).unwrap_or_default())],
            executor: None,
            executed: Vec::new(),
        }
    }
}

/// What `countersign safe predict` says of three owners.
async fn found(folder: &Folder, places: [&str; 3], cold: bool) -> Result<Value, Fault> {
    let words = ["safe", "predict", "--json", "--release", RELEASE];
    let mut arguments: Vec<OsString> = words.map(OsString::from).into();
    arguments.extend(["--singleton", SINGLETON, "--chain", &CHAIN.to_string()].map(OsString::from));
    for place in places {
        arguments.extend(["--owner".into(), folder.at(&format!("{place}/owner.json")).into()]);
    }
    arguments.extend(cold.then(|| OsString::from("--cold")));
    let told = run("countersign safe predict", &arguments).await?;
    serde_json::from_str(&told).map_err(|no| Fault::setup("safe predict", no))
}

fn text<'a>(told: &'a Value, key: &str) -> Option<&'a str> {
    told.get(key).and_then(Value::as_str)
}

fn address(text: Option<&str>) -> Result<Address, Fault> {
    let read = text.ok_or("is not in what it printed").and_then(read);
    read.map_err(|no| Fault::setup("an address of `safe predict`", no))
}
