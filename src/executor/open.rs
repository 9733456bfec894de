//! Opening: the store is verified, the log rebuilt, every job's bytes and signatures are read anew. It creates nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::audit::LogKey;
use crate::ethereum::{Address, SafeWallet};
use crate::flow::ledger::journal::{Journal, JournalFault};
use crate::keys::IdentityKey;
use crate::node::Nodes;
use crate::store::{StoreSecret, StoreUrl};
use crate::withdrawal::Code;

use super::account::Account;
use super::ledger::Ledger;
use super::load::{Reader, chain_of};
use super::rows::AccountRow;
use super::rules::{Rules, RulesInvalid};

/// What an executor is made of. Its store was created by `init` ([`crate::flow::signer::create_store`]).
pub struct Parts {
    /// Its store.
    pub store: StoreUrl,
    /// The secret of its rows' tags.
    pub secret: StoreSecret,
    /// The key its log signs with.
    pub log_key: LogKey,
    /// The identity behind that key.
    pub identity: Arc<IdentityKey>,
    /// The account that pays gas.
    pub account: Account,
    /// The nodes of its chain.
    pub nodes: Arc<Nodes>,
    /// The Safes whose transactions it carries, as its own configuration pins them.
    pub wallets: Vec<SafeWallet>,
    /// The rules.
    pub rules: Rules,
    /// The name of this process among those that share the store; no two have the same.
    pub name: String,
}

/// Why an executor does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The store or its log.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// A rule makes no sense.
    #[error(transparent)]
    Rules(#[from] RulesInvalid),
    /// Nodes, account and Safes are not of one chain.
    #[error("the nodes, the account and the Safes are not of one chain")]
    Chain,
    /// Two Safes have one address, or there are none.
    #[error("the same Safe is named twice, or none is named")]
    Safes,
    /// The ledger belongs to another account.
    #[error("the store is the ledger of the account {0}")]
    OtherAccount(Address),
}

impl OpenFault {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Journal(fault) => fault.code(),
            Self::Rules(_) | Self::Chain | Self::Safes => Code::ConfigInvalid,
            Self::OtherAccount(_) => Code::StoreOtherKey,
        }
    }
}

/// The Safes by their addresses.
pub(super) type Wallets = BTreeMap<Address, SafeWallet>;

pub(super) fn wallets(parts: &Parts) -> Result<Wallets, OpenFault> {
    let chain = parts.account.chain();
    let same = parts.wallets.iter().all(|wallet| wallet.chain() == chain) && parts.nodes.chain() == chain;
    if !same {
        return Err(OpenFault::Chain);
    }
    let found: Wallets = parts.wallets.iter().map(|wallet| (wallet.address(), wallet.clone())).collect();
    if found.len() == parts.wallets.len() && !found.is_empty() { Ok(found) } else { Err(OpenFault::Safes) }
}

/// Opens the journal, and reads the ledger from its rows.
pub(super) async fn journal(parts: &Parts, wallets: &Wallets) -> Result<(Journal, Ledger), OpenFault> {
    let mut reader = Reader::new(wallets);
    let (identity, key) = (Arc::clone(&parts.identity), parts.log_key.clone());
    let journal =
        Journal::open(&parts.store, &parts.secret, key, identity, &mut |row| reader.take(row)).await?;
    Ok((journal, finished(reader, &parts.account)?))
}

/// Believes only the store again, after a commit that failed or may have, or when the turn was another's.
pub(super) async fn again(
    journal: &mut Journal,
    account: &Account,
    wallets: &Wallets,
) -> Result<Ledger, OpenFault> {
    let mut reader = Reader::new(wallets);
    journal.catch_up(&mut |row| reader.take(row)).await?;
    finished(reader, account)
}

fn finished(reader: Reader<'_>, account: &Account) -> Result<Ledger, OpenFault> {
    let (ledger, row) = reader.finish()?;
    match row {
        Some(row) if !is_of(&row, account) => Err(OpenFault::OtherAccount(row.account)),
        _ => Ok(ledger),
    }
}

fn is_of(row: &AccountRow, account: &Account) -> bool {
    row.account == account.address() && chain_of(row) == Some(account.chain())
}
