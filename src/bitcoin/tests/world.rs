//! Throwaway wallets for the tests: three masters, their account keys, and a signer over them.

use ::bitcoin::NetworkKind;
use ::bitcoin::bip32::{ChildNumber, Xpriv, Xpub};
use ::bitcoin::secp256k1::{Secp256k1, SecretKey};

use crate::bitcoin::{AccountKey, Branch, KeySlot, WalletDescriptor};
use crate::withdrawal::Network;

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
