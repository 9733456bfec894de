//! Own scripts: the 2-of-3 script of a wallet at one branch and index, derived by hand from cached branch keys.

use ::bitcoin::bip32::{ChildNumber, Xpub};
use ::bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256, sha512};
use ::bitcoin::secp256k1::{PublicKey, Scalar};
use ::bitcoin::{Script, ScriptBuf};

use super::account_key::HARDENED_FROM;
use super::descriptor::KeySlot;
use super::verifier;
use crate::withdrawal::{Code, Invalid, Network};

/// The two branches of a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Branch {
    /// Branch 0: addresses given to customers.
    Deposit,
    /// Branch 1: change, refill and consolidation; never a deposit.
    Change,
}

impl Branch {
    /// The step in the path.
    pub const fn number(self) -> u32 {
        match self {
            Self::Deposit => 0,
            Self::Change => 1,
        }
    }

    /// The branch of that step, if there is one.
    pub const fn of_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Deposit),
            1 => Some(Self::Change),
            _ => None,
        }
    }
}

/// An extended public key at branch level, with its HMAC state already keyed by the chain code and fed with the key.
#[derive(Clone)]
pub(super) struct BranchKey {
    public: PublicKey,
    keyed: HmacEngine<sha512::Hash>,
}

impl BranchKey {
    pub(super) fn of(account: &Xpub, branch: Branch) -> Option<Self> {
        let step = ChildNumber::from_normal_idx(branch.number()).ok()?;
        let xpub = account.ckd_pub(verifier(), step).ok()?;
        let mut keyed = HmacEngine::new(xpub.chain_code.as_ref());
        keyed.input(&xpub.public_key.serialize());
        Some(Self { public: xpub.public_key, keyed })
    }

    /// CKDpub of BIP-0032, without the parts nobody uses (child chain code, parent fingerprint).
    fn child(&self, index: u32) -> Option<PublicKey> {
        let mut engine = self.keyed.clone();
        engine.input(&index.to_be_bytes());
        let digest = Hmac::from_engine(engine).to_byte_array();
        let left: [u8; 32] = *digest.first_chunk()?;
        let tweak = Scalar::from_be_bytes(left).ok()?;
        self.public.add_exp_tweak(verifier(), &tweak).ok()
    }
}

/// The script of an own address. It exists only if a [`super::WalletDescriptor`] derived it.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnScript {
    wallet: [u8; 8],
    branch: Branch,
    index: u32,
    pubkeys: [PublicKey; 3],
    script_pubkey: ScriptBuf,
    witness_script: ScriptBuf,
}

impl OwnScript {
    pub(super) fn derive(
        wallet: [u8; 8],
        keys: &[BranchKey; 3],
        branch: Branch,
        index: u32,
    ) -> Result<Self, Invalid> {
        if index >= HARDENED_FROM {
            return Err(no(format!("index {index} is above 2^31 - 1")));
        }
        let [a, b, c] = keys;
        let child = |key: &BranchKey| key.child(index).ok_or_else(|| no(format!("index {index} has no key")));
        let pubkeys = [child(a)?, child(b)?, child(c)?];
        let witness_script = two_of_three(&pubkeys);
        let script_pubkey = pay_to(&witness_script);
        Ok(Self { wallet, branch, index, pubkeys, script_pubkey, witness_script })
    }

    /// The digest of the wallet it belongs to ([`super::WalletDescriptor::digest`]).
    pub fn wallet(&self) -> [u8; 8] {
        self.wallet
    }

    /// The branch it stands on.
    pub fn branch(&self) -> Branch {
        self.branch
    }

    /// The index on its branch.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The public keys in the order A, B, C (in the script they stand sorted).
    pub fn pubkeys(&self) -> &[PublicKey; 3] {
        &self.pubkeys
    }

    /// The public key of one party.
    pub fn pubkey(&self, slot: KeySlot) -> &PublicKey {
        slot.of(&self.pubkeys)
    }

    /// The output script, `OP_0 <sha256 of the witness script>` (BIP-0141).
    pub fn script_pubkey(&self) -> &Script {
        &self.script_pubkey
    }

    /// The witness script, `2 <key> <key> <key> 3 CHECKMULTISIG`.
    pub fn witness_script(&self) -> &Script {
        &self.witness_script
    }

    /// The address as the network spells it.
    pub fn address(&self, network: Network) -> String {
        super::address::spell_p2wsh(network, &self.script_pubkey)
    }
}

/// `2 <key> <key> <key> 3 CHECKMULTISIG` with the keys sorted by their 33 bytes (BIP-0067).
pub(super) fn two_of_three(pubkeys: &[PublicKey; 3]) -> ScriptBuf {
    const OP_2: u8 = 0x52;
    const OP_3: u8 = 0x53;
    const OP_CHECKMULTISIG: u8 = 0xae;
    const PUSH_33: u8 = 33;
    let mut keys = pubkeys.map(|key| key.serialize());
    keys.sort_unstable();
    let mut script = Vec::with_capacity(super::fee::WITNESS_SCRIPT_LEN);
    script.push(OP_2);
    for key in &keys {
        script.push(PUSH_33);
        script.extend_from_slice(key);
    }
    script.extend_from_slice(&[OP_3, OP_CHECKMULTISIG]);
    ScriptBuf::from_bytes(script)
}

fn pay_to(witness_script: &Script) -> ScriptBuf {
    const OP_0: u8 = 0x00;
    const PUSH_32: u8 = 32;
    let mut script = Vec::with_capacity(34);
    script.extend_from_slice(&[OP_0, PUSH_32]);
    script.extend_from_slice(sha256::Hash::hash(witness_script.as_bytes()).as_byte_array());
    ScriptBuf::from_bytes(script)
}

fn no(problem: String) -> Invalid {
    Invalid::new(Code::FieldMalformed, "index", problem, "use an index below 2,147,483,648")
}
