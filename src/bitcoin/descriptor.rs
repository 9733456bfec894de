//! The wallet descriptor: exactly `wsh(sortedmulti(2,A,B,C))` over BIP-0048 keys with branches `<0;1>`, and nothing else.
//!
//! It knows what the three keys are; it does not know where a private one is, nor which indexes are in use.

use std::fmt;

use ::bitcoin::hashes::{Hash, sha256};
use miniscript::descriptor::checksum;

use super::account_key::AccountKey;
use super::own_script::{Branch, BranchKey, OwnScript};
use crate::withdrawal::{Code, Invalid, Network};

/// Longest descriptor that is read, in bytes; ours are about 550 long.
pub const DESCRIPTOR_LEN_MAX: usize = 1_000;

const SHAPE: &str = "give `wsh(sortedmulti(2,A/<0;1>/*,B/<0;1>/*,C/<0;1>/*))#checksum`, as `countersign descriptor export` prints it";

/// Whose key it is: A the signer's, B the co-signer's, C the vault's. In the descriptor they stand in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySlot {
    /// The signer's.
    A,
    /// The co-signer's.
    B,
    /// The vault's.
    C,
}

impl KeySlot {
    /// The three in order.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// Picks this one's out of three.
    pub fn of<T>(self, three: &[T; 3]) -> &T {
        let [a, b, c] = three;
        match self {
            Self::A => a,
            Self::B => b,
            Self::C => c,
        }
    }
}

/// A 2-of-3 wallet, hot or cold (law L16).
///
/// The branch keys `xpub/0` and `xpub/1` are derived once, at construction: deriving an address costs three curve
/// multiplications and no more.
pub struct WalletDescriptor {
    network: Network,
    keys: [AccountKey; 3],
    deposit: [BranchKey; 3],
    change: [BranchKey; 3],
    text: String,
    digest: [u8; 8],
}

impl WalletDescriptor {
    /// Puts a wallet together from three account keys, in the order A, B, C. Refuses two keys of one master.
    pub fn assemble(network: Network, keys: [AccountKey; 3]) -> Result<Self, Invalid> {
        let [a, b, c] = &keys;
        if a.shares_master(b) || a.shares_master(c) || b.shares_master(c) {
            return Err(no("two of the three keys are the same or come from one master key"));
        }
        // INVARIANT: all three are of this network; `AccountKey` checked version bytes against a network of its own.
        if keys.iter().any(|key| AccountKey::parse(network, &key.to_string()).is_err()) {
            return Err(no(format!("a key is not of {network}")));
        }
        let text = canonical(&keys)?;
        let digest = first_8(sha256::Hash::hash(text.as_bytes()).to_byte_array());
        let deposit = branch_keys(&keys, Branch::Deposit)?;
        let change = branch_keys(&keys, Branch::Change)?;
        Ok(Self { network, keys, deposit, change, text, digest })
    }

    /// Reads a descriptor. The checksum of BIP-0380 is required; `h` is accepted for `'`.
    pub fn parse(network: Network, text: &str) -> Result<Self, Invalid> {
        if text.len() > DESCRIPTOR_LEN_MAX {
            let problem = format!("is {} bytes long, the limit is {DESCRIPTOR_LEN_MAX}", text.len());
            return Err(Invalid::new(Code::FieldTooLong, "descriptor", problem, SHAPE));
        }
        let body = verified_body(text)?;
        let inner = body.strip_prefix("wsh(sortedmulti(").and_then(|rest| rest.strip_suffix("))"));
        let inner = inner.ok_or_else(|| no("is not of the form `wsh(sortedmulti(…))`"))?;
        let parts: Vec<&str> = inner.split(',').collect();
        let [threshold, a, b, c] = parts.as_slice() else {
            return Err(no("does not have a threshold and exactly three keys"));
        };
        if *threshold != "2" {
            return Err(no("has a threshold other than 2"));
        }
        Self::assemble(network, [read_key(network, a)?, read_key(network, b)?, read_key(network, c)?])
    }

    /// The network of the wallet.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The three keys in the order A, B, C.
    pub fn keys(&self) -> &[AccountKey; 3] {
        &self.keys
    }

    /// The canonical text with its checksum: what is exported, pinned and compared.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Sixteen hex digits people compare on both sides: the first 8 bytes of SHA-256 over [`Self::as_str`].
    pub fn fingerprint(&self) -> String {
        self.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The bytes behind [`Self::fingerprint`].
    pub fn digest(&self) -> [u8; 8] {
        self.digest
    }

    /// Whether any key of this wallet, or its master, is also in the other. Hot and cold must share none.
    pub fn shares_key_with(&self, other: &Self) -> bool {
        self.keys.iter().any(|own| other.keys.iter().any(|theirs| own.shares_master(theirs)))
    }

    /// Derives the script at `index` (below 2^31) of a branch, at the cost of three CKDpub (BIP-0032).
    pub fn script(&self, branch: Branch, index: u32) -> Result<OwnScript, Invalid> {
        let keys = match branch {
            Branch::Deposit => &self.deposit,
            Branch::Change => &self.change,
        };
        OwnScript::derive(self.digest, keys, branch, index)
    }

    /// The address at `index` of a branch, as the network spells it.
    pub fn address(&self, branch: Branch, index: u32) -> Result<String, Invalid> {
        Ok(self.script(branch, index)?.address(self.network))
    }

    /// The scripts of a run of `count` indexes from `first` on.
    pub fn scripts(&self, branch: Branch, first: u32, count: u32) -> Result<Vec<OwnScript>, Invalid> {
        let end = first.checked_add(count).ok_or_else(|| no("the run of indexes ends above 2^31 - 1"))?;
        (first..end).map(|index| self.script(branch, index)).collect()
    }
}

/// The public descriptor; nothing secret is in it.
impl fmt::Debug for WalletDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WalletDescriptor").field(&self.text).finish()
    }
}

fn branch_keys(keys: &[AccountKey; 3], branch: Branch) -> Result<[BranchKey; 3], Invalid> {
    let [a, b, c] = keys;
    let derive = |key: &AccountKey| {
        BranchKey::of(key.xpub(), branch).ok_or_else(|| no("a key has no child on the branch"))
    };
    Ok([derive(a)?, derive(b)?, derive(c)?])
}

fn canonical(keys: &[AccountKey; 3]) -> Result<String, Invalid> {
    let [a, b, c] = keys;
    let body = format!("wsh(sortedmulti(2,{a}/<0;1>/*,{b}/<0;1>/*,{c}/<0;1>/*))");
    let sum = checksum_of(&body)?;
    Ok(format!("{body}#{sum}"))
}

fn read_key(network: Network, text: &str) -> Result<AccountKey, Invalid> {
    let key = text.strip_suffix("/<0;1>/*").ok_or_else(|| no("a key does not end in `/<0;1>/*`"))?;
    AccountKey::parse(network, key)
}

/// The text before the checksum, once the checksum has been found to hold.
fn verified_body(text: &str) -> Result<&str, Invalid> {
    let (body, sum) = text.rsplit_once('#').ok_or_else(|| {
        no("has no checksum; the eight characters after `#` are required here, so that a typing error cannot pass")
    })?;
    if sum.len() != 8 {
        return Err(no("has a checksum that is not eight characters long"));
    }
    if checksum_of(body)? != sum {
        return Err(no("has a checksum that does not hold: some character was changed or lost"));
    }
    Ok(body)
}

/// The BIP-0380 checksum of a descriptor's text.
pub(super) fn checksum_of(body: &str) -> Result<String, Invalid> {
    let mut engine = checksum::Engine::new();
    engine.input(body).map_err(|_| no("holds a character that no descriptor has"))?;
    Ok(engine.checksum())
}

fn first_8(bytes: [u8; 32]) -> [u8; 8] {
    let mut out = [0; 8];
    out.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    out
}

fn no(problem: impl Into<String>) -> Invalid {
    Invalid::new(Code::DescriptorMalformed, "descriptor", problem, SHAPE)
}
