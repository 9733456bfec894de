//! One key of a wallet: an account-level extended public key with its origin, `[fingerprint/48'/coin'/account'/2']xpub`.

use std::fmt;
use std::str::FromStr;

use ::bitcoin::NetworkKind;
use ::bitcoin::bip32::{ChildNumber, Fingerprint, Xpub};

use crate::withdrawal::{Code, Invalid, Network};

/// The script type of BIP-0048 for native segwit (P2WSH).
const SCRIPT_TYPE: u32 = 2;
/// The first index that BIP-0032 reserves for hardened children.
pub(super) const HARDENED_FROM: u32 = 1 << 31;

const CURE: &str = "write each key as `[fingerprint/48'/coin'/account'/2']xpub`, as `countersign descriptor export` prints it";

/// An account-level public key at BIP-0048 path `m/48'/coin'/account'/2'`, with the fingerprint of its master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountKey {
    fingerprint: Fingerprint,
    coin_type: u32,
    account: u32,
    xpub: Xpub,
}

impl AccountKey {
    /// Takes an extended public key with its origin, after checking that it can be what it says: version bytes of the
    /// network, depth 4, last step `2'` (BIP-0032, BIP-0048).
    pub fn new(network: Network, fingerprint: [u8; 4], account: u32, xpub: &str) -> Result<Self, Invalid> {
        if account >= HARDENED_FROM {
            return Err(no(format!("account {account} is above 2^31 - 1")));
        }
        let xpub = read_xpub(network, xpub)?;
        Ok(Self { fingerprint: fingerprint.into(), coin_type: network.coin_type(), account, xpub })
    }

    /// Reads `[fingerprint/48'/coin'/account'/2']xpub`; `h` is accepted for `'`.
    pub fn parse(network: Network, text: &str) -> Result<Self, Invalid> {
        let (origin, xpub) = text
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .ok_or_else(|| no(format!("key `{}` has no origin in brackets", shown(text))))?;
        let (fingerprint, account) = read_origin(network, origin)?;
        Self::new(network, fingerprint, account, xpub)
    }

    /// The fingerprint of the master key.
    pub fn fingerprint(&self) -> [u8; 4] {
        self.fingerprint.to_bytes()
    }

    /// The account number, without the hardening bit.
    pub fn account(&self) -> u32 {
        self.account
    }

    /// The extended public key at the account's level.
    pub fn xpub(&self) -> &Xpub {
        &self.xpub
    }

    /// The path from the master key down to the account, hardening bits set.
    pub fn path(&self) -> [u32; 4] {
        [48, self.coin_type, self.account, SCRIPT_TYPE].map(|step| step | HARDENED_FROM)
    }

    /// Whether the two come from one master key or are one key.
    pub fn shares_master(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint || self.xpub.public_key == other.xpub.public_key
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}/48'/{}'/{}'/2']{}", self.fingerprint, self.coin_type, self.account, self.xpub)
    }
}

fn read_origin(network: Network, origin: &str) -> Result<([u8; 4], u32), Invalid> {
    let wrong = || no(format!("origin `{}` is not `fingerprint/48'/coin'/account'/2'`", shown(origin)));
    let (fingerprint, path) = origin.split_once('/').ok_or_else(wrong)?;
    if fingerprint.len() != 8 || fingerprint.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(wrong());
    }
    let fingerprint = Fingerprint::from_str(fingerprint).map_err(|_| wrong())?;
    let steps = path.split('/').map(hardened_step).collect::<Option<Vec<u32>>>().ok_or_else(wrong)?;
    match steps.as_slice() {
        [48, coin, account, SCRIPT_TYPE] if *coin == network.coin_type() => {
            Ok((fingerprint.to_bytes(), *account))
        }
        [48, coin, _, SCRIPT_TYPE] => {
            Err(no(format!("coin type {coin}' is not that of {network}, which is {}'", network.coin_type())))
        }
        _ => Err(wrong()),
    }
}

/// One hardened step of a path; leading zeros are refused so that each path has one spelling.
fn hardened_step(text: &str) -> Option<u32> {
    let digits = text.strip_suffix(['\'', 'h'])?;
    let step: u32 = digits.parse().ok()?;
    (step < HARDENED_FROM && step.to_string() == digits).then_some(step)
}

fn read_xpub(network: Network, text: &str) -> Result<Xpub, Invalid> {
    if let Some(version) = text.get(..4).filter(|v| matches!(*v, "Zpub" | "Vpub" | "Ypub" | "zpub" | "vpub"))
    {
        return Err(no(format!(
            "`{version}…` uses version bytes of SLIP-0132; a descriptor takes xpub or tpub"
        )));
    }
    let xpub =
        Xpub::from_str(text).map_err(|_| no(format!("`{}` is no extended public key", shown(text))))?;
    let kind = if network == Network::Mainnet { NetworkKind::Main } else { NetworkKind::Test };
    if xpub.network != kind {
        return Err(no(format!("`{}` has version bytes of another network than {network}", shown(text))));
    }
    let at_level = xpub.depth == 4 && xpub.child_number == ChildNumber::Hardened { index: SCRIPT_TYPE };
    if !at_level {
        return Err(no(format!("`{}` is not at depth 4 with last step 2'", shown(text))));
    }
    Ok(xpub)
}

fn no(problem: String) -> Invalid {
    Invalid::new(Code::DescriptorMalformed, "descriptor", problem, CURE)
}

/// The first characters of something given from outside, for an error text.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(24).filter(|c| !c.is_control()).collect()
}
