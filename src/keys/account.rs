//! The account's extended public key with its origin: what goes into a descriptor. Knows no private key.

use std::fmt;

use bip32::{ChildNumber, ExtendedPublicKey, Prefix};
use data_encoding::HEXLOWER;

use super::hd::{AccountKey, HdPublic};
use crate::withdrawal::Network;

/// Longest key expression read, in bytes.
const EXPRESSION_LEN_MAX: usize = 200;

/// A key expression cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XpubError {
    /// Not of the form `[fingerprint/48'/coin'/account'/2']xpub`.
    #[error("the key is not of the form `[fingerprint/48'/coin'/account'/2']xpub…`: {0}")]
    Form(&'static str),
    /// The extended key itself does not decode.
    #[error("the extended key does not decode: wrong checksum, version, or no point of the curve")]
    Key,
    /// It belongs to another network or to another place in the tree than its origin says.
    #[error("the extended key {0}")]
    Place(&'static str),
}

/// The public side of one party's account: `[fingerprint/48'/coin'/account'/2']xpub…`.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountXpub {
    fingerprint: [u8; 4],
    network: Network,
    account: u32,
    public_key: [u8; 33],
    xpub: String,
}

impl AccountXpub {
    pub(super) fn of(key: &AccountKey, network: Network, account: u32) -> Self {
        Self {
            fingerprint: key.master_fingerprint,
            network,
            account,
            public_key: key.public_key(),
            xpub: key.xprv.public_key().to_string(prefix(network)),
        }
    }

    /// Reads a key expression of BIP-0380 for `network`; hardened steps may be written `'` or `h`.
    ///
    /// Stricter than BIP-0032 asks: only depth 4, only the child number 2', only this network's version bytes.
    pub fn parse(text: &str, network: Network) -> Result<Self, XpubError> {
        if text.len() > EXPRESSION_LEN_MAX {
            return Err(XpubError::Form("it is too long"));
        }
        let (origin, xpub) = text
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .ok_or(XpubError::Form("the origin in brackets is missing"))?;
        let (fingerprint, account) = read_origin(origin, network)?;
        let key: ExtendedPublicKey<HdPublic> = read_xpub(xpub, network)?;
        Ok(Self { fingerprint, network, account, public_key: key.to_bytes(), xpub: xpub.to_owned() })
    }

    /// The fingerprint of the master key (BIP-0032), as hex digits.
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&self.fingerprint)
    }

    /// The network whose version bytes and coin type it has.
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The account's number.
    pub const fn account(&self) -> u32 {
        self.account
    }

    /// The path from the master, `m/48'/coin'/account'/2'`.
    pub fn path(&self) -> String {
        format!("m/48'/{}'/{}'/2'", self.network.coin_type(), self.account)
    }

    /// The extended public key alone: `xpub…` on mainnet, `tpub…` elsewhere.
    pub fn xpub(&self) -> &str {
        &self.xpub
    }

    /// The account's own public key, compressed.
    pub const fn public_key(&self) -> &[u8; 33] {
        &self.public_key
    }
}

impl fmt::Display for AccountXpub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (coin, account) = (self.network.coin_type(), self.account);
        write!(f, "[{}/48'/{coin}'/{account}'/2']{}", self.fingerprint(), self.xpub)
    }
}

impl fmt::Debug for AccountXpub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const fn prefix(network: Network) -> Prefix {
    match network {
        Network::Mainnet => Prefix::XPUB,
        Network::Testnet4 | Network::Signet | Network::Regtest => Prefix::TPUB,
    }
}

fn read_origin(origin: &str, network: Network) -> Result<([u8; 4], u32), XpubError> {
    let mut steps = origin.split('/');
    let fingerprint = steps
        .next()
        .and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(XpubError::Form("the fingerprint is not 8 lower-case hex digits"))?;
    let mut step = || hardened_step(steps.next().unwrap_or(""));
    if step() != Some(48) {
        return Err(XpubError::Form("the path does not start with 48'"));
    }
    if step() != Some(network.coin_type()) {
        return Err(XpubError::Place("is of another coin type than the network's"));
    }
    let account = step().ok_or(XpubError::Form("the account is not a hardened number"))?;
    if step() != Some(2) || steps.next().is_some() {
        return Err(XpubError::Form("the path does not end with 2'"));
    }
    Ok((fingerprint, account))
}

/// Reads `7'` or `7h`; one spelling a number, so no sign and no leading zero.
fn hardened_step(text: &str) -> Option<u32> {
    let digits = text.strip_suffix(['\'', 'h'])?;
    let number = digits.parse::<u32>().ok()?;
    (number.to_string() == digits && number < ChildNumber::HARDENED_FLAG).then_some(number)
}

fn read_xpub(text: &str, network: Network) -> Result<ExtendedPublicKey<HdPublic>, XpubError> {
    let raw: bip32::ExtendedKey = text.parse().map_err(|_| XpubError::Key)?;
    if raw.prefix != prefix(network) {
        return Err(XpubError::Place("has the version bytes of another network, or is no public key"));
    }
    if raw.attrs.depth != 4 || raw.attrs.child_number != ChildNumber(2 | ChildNumber::HARDENED_FLAG) {
        return Err(XpubError::Place("does not lie at the place its origin says (depth 4, child 2')"));
    }
    raw.try_into().map_err(|_| XpubError::Key)
}
