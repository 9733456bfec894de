//! Throwaway wallets for the tests: three masters, their account keys, and a signer over them.

use std::sync::Arc;

use ::bitcoin::bip32::{ChildNumber, Xpriv, Xpub};
use ::bitcoin::hashes::{Hash, sha256::Hash as Sha256};
use ::bitcoin::secp256k1::{Message, Secp256k1, SecretKey, ecdsa::Signature};
use ::bitcoin::{NetworkKind, OutPoint, ScriptBuf, Txid};

use crate::bitcoin::{
    AccountKey, Branch, CheckedInput, CheckedTransaction, FeeCaps, KeySlot, OwnCoin, OwnScript,
    SignatureError, VerifiedSignatures, WalletDescriptor,
};
use crate::withdrawal::{FeeRate, Network};

pub struct World {
    pub wallet: WalletDescriptor,
    accounts: [Xpriv; 3],
}

impl World {
    /// A wallet whose masters are a function of `seed`.
    pub fn new(network: Network, seed: u8) -> Self {
        let secp = Secp256k1::new();
        let kind = if network == Network::Mainnet { NetworkKind::Main } else { NetworkKind::Test };
        let masters = [0u8, 1, 2]
            .map(|n| Xpriv::new_master(kind, &[seed, n, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]).unwrap());
        let path = [48, network.coin_type(), 0, 2].map(|i| ChildNumber::Hardened { index: i });
        let accounts = masters.map(|m| m.derive_priv(&secp, &path).unwrap());
        let key = |n: usize| {
            let xpub = Xpub::from_priv(&secp, &accounts[n]).to_string();
            AccountKey::new(network, masters[n].fingerprint(&secp).to_bytes(), 0, &xpub).unwrap()
        };
        let wallet = WalletDescriptor::assemble(network, [key(0), key(1), key(2)]).unwrap();
        Self { wallet, accounts }
    }

    pub fn secret(&self, slot: KeySlot, branch: Branch, index: u32) -> SecretKey {
        let path = [branch.number(), index].map(|index| ChildNumber::Normal { index });
        slot.of(&self.accounts).derive_priv(&Secp256k1::new(), &path).unwrap().private_key
    }
}

impl World {
    /// The script at a place of the wallet.
    pub fn own(&self, branch: Branch, index: u32) -> Arc<OwnScript> {
        Arc::new(self.wallet.script(branch, index).unwrap())
    }

    /// A coin on branch 0 whose outpoint and index are a function of `n`.
    pub fn coin(&self, n: u32, amount_sat: u64) -> OwnCoin {
        OwnCoin { outpoint: outpoint(n), amount_sat, script: self.own(Branch::Deposit, n) }
    }

    /// Signs every input with one party's key.
    pub fn sign(&self, checked: &CheckedTransaction, slot: KeySlot) -> VerifiedSignatures {
        checked.sign_with::<SignatureError>(slot, |input| Ok(self.signature(input, slot))).unwrap()
    }

    /// One signature over an input's digest.
    pub fn signature(&self, input: &CheckedInput, slot: KeySlot) -> Signature {
        let script = &input.coin().script;
        let secret = self.secret(slot, script.branch(), script.index());
        Secp256k1::signing_only().sign_ecdsa(&Message::from_digest(*input.digest()), &secret)
    }
}

pub fn outpoint(n: u32) -> OutPoint {
    OutPoint { txid: Txid::from_byte_array(Sha256::hash(&n.to_be_bytes()).to_byte_array()), vout: n % 7 }
}

/// A P2WPKH script of nobody we know.
pub fn stranger(n: u8) -> ScriptBuf {
    ScriptBuf::from_bytes([&[0x00, 0x14][..], &[n; 20]].concat())
}

pub const CAPS: FeeCaps =
    FeeCaps { rate_max: FeeRate(100_000), transaction_sat_max: 50_000, asked_sat_max: Some(20_000) };
