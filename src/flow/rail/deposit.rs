//! Deposit addresses: how an index becomes an address on either chain, and which assets have any. Each party derives by its own
//! pins (law L19).

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::pins::SafePins;
use crate::bitcoin::{Branch, OwnScript, WalletDescriptor};
use crate::ethereum::{Address, Deposits};
use crate::evidence::attestation::INDEX_MAX;
use crate::flow::context::Context;
use crate::flow::ledger::Treasury;
use crate::flow::ledger::journal::JournalFault;
use crate::flow::ledger::rows::AddressRow;
use crate::withdrawal::evm_address::{read, spell};
use crate::withdrawal::{Asset, Chain, ChainId, Code, CustomerRef, Invalid, Organisation};

/// The branch of the Bitcoin wallet on which deposit addresses stand; the indices of a treasury count as the same.
pub const BRANCH: Branch = Branch::Deposit;

/// How a party derives a script of its Bitcoin wallet, once.
pub type Scripts<'a> = &'a mut dyn FnMut(&WalletDescriptor, u32) -> Result<Arc<OwnScript>, Invalid>;

/// A deposit address as this party derived it.
pub struct Derived {
    /// What it is derived from, as the attestation names it: the descriptor's fingerprint, or the treasury Safe in lower-case
    /// hex.
    pub wallet: String,
    /// The address in its one spelling.
    pub address: String,
    /// How it is recognised.
    pub own: Own,
}

/// How an address of our own is recognised.
pub enum Own {
    /// By its script.
    Script(Arc<OwnScript>),
    /// By itself.
    Account(ChainId, Address),
}

/// The key of a customer's address row at either party: a hash, because references may be long.
pub fn customer_key(chain: Chain, organisation: &Organisation, customer_ref: &CustomerRef) -> String {
    let mut hash = Sha256::new();
    hash.update(organisation.as_str().as_bytes());
    hash.update([0]);
    hash.update(customer_ref.as_str().as_bytes());
    if let Chain::Evm(chain) = chain {
        hash.update([0]);
        hash.update(chain.to_string().as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    data_encoding::HEXLOWER.encode(&digest)
}

/// Whether an asset has deposit addresses here; refuses one that has not, with the cure.
pub fn has_addresses(context: &Context, asset: Asset) -> Result<(), Invalid> {
    if !context.pays(asset) {
        let problem = format!("`{asset}` is no asset of this party's wallets");
        return Err(unknown(
            problem,
            "send an asset that the trust file has a wallet and, if it is a token, a pin for",
        ));
    }
    match asset.chain() {
        Chain::Bitcoin(_) => Ok(()),
        Chain::Evm(chain) => deposits(context, chain).map(|_| ()),
    }
}

fn deposits(context: &Context, chain: ChainId) -> Result<&Deposits, Invalid> {
    let pinned = context.safes.get(&chain).and_then(|pins: &SafePins| pins.deposits.as_ref());
    pinned.ok_or_else(|| {
        let problem = format!("{chain} has no deposit addresses: its wallet pins no treasury Safe");
        unknown(
            problem,
            "pin `wallets.safe.treasury` in the trust file of each party and have its quorum sign it",
        )
    })
}

fn unknown(problem: String, cure: &'static str) -> Invalid {
    Invalid::new(Code::AssetUnknown, "asset", problem, cure)
}

/// Derives the address at an index of a chain.
pub fn derive(context: &Context, chain: Chain, index: u32, scripts: Scripts<'_>) -> Result<Derived, Invalid> {
    if index > INDEX_MAX {
        let (problem, cure) =
            (format!("is above {INDEX_MAX}"), "no more addresses can be given on this chain");
        return Err(Invalid::new(Code::FieldMalformed, "index", problem, cure));
    }
    match chain {
        Chain::Bitcoin(network) if network == context.wallet.network() => {
            let script = scripts(&context.wallet, index)?;
            let address = script.address(network);
            Ok(Derived { wallet: context.wallet.fingerprint(), address, own: Own::Script(script) })
        }
        Chain::Bitcoin(network) => Err(unknown(
            format!("there is no wallet for {network}"),
            "send the network of the Bitcoin wallet",
        )),
        Chain::Evm(chain) => {
            let deposits = deposits(context, chain)?;
            let account = deposits.address(u64::from(index));
            let wallet = data_encoding::HEXLOWER.encode(deposits.treasury().as_slice());
            Ok(Derived { wallet, address: spell(account), own: Own::Account(chain, account) })
        }
    }
}

impl Derived {
    /// Its row, for the customer who gets it.
    pub fn row(&self, organisation: &Organisation, customer_ref: &CustomerRef, index: u32) -> AddressRow {
        let (chain, script_pubkey) = match &self.own {
            Own::Script(script) => (None, script.script_pubkey().to_hex_string()),
            Own::Account(chain, _) => (Some(chain.to_string()), String::new()),
        };
        AddressRow {
            organisation: organisation.to_string(),
            customer_ref: customer_ref.to_string(),
            index,
            address: self.address.clone(),
            chain,
            script_pubkey,
            attestation: None,
        }
    }
}

/// Puts a row of an EVM chain's address back into memory; gives a row of the Bitcoin wallet back.
pub fn take_back(treasury: &mut Treasury, row: AddressRow) -> Result<Option<AddressRow>, JournalFault> {
    let Some(chain) = row.chain.as_deref() else { return Ok(Some(row)) };
    let unreadable = || JournalFault::Unreadable(row.address.clone());
    let chain = ChainId::parse(chain).map_err(|_| unreadable())?;
    let organisation = Organisation::parse(&row.organisation).map_err(|_| unreadable())?;
    let customer_ref = CustomerRef::parse(&row.customer_ref).map_err(|_| unreadable())?;
    let address = read(&row.address).map_err(|_| unreadable())?;
    let key = customer_key(Chain::Evm(chain), &organisation, &customer_ref);
    treasury.deposits.put(chain, key, row, address);
    Ok(None)
}
