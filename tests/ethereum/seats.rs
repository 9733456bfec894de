//! Who signs: keystores as the service opens them, and orders as `flow` will give them.

use alloy_primitives::{Address, B256};
use countersign::ethereum::{Owners, address_of};
use countersign::keys::{
    self, ChildIndex, KeyRole, KeystoreTerms, OpenKeystore, Phrase, SealCost, Seat, SeatKeys, SeatOrder,
    SeatSignature, Secret, SecretBytes, WordList,
};
use countersign::withdrawal::{Network, ReservationId};

pub const EXECUTOR: Seat = Seat::Executor(match ChildIndex::new(0) {
    Some(index) => index,
    None => panic!(),
});

/// A keystore as a service opens it.
pub fn opened(role: KeyRole, seed: u8) -> OpenKeystore {
    let entropy = Secret::fill_with(|to: &mut [u8; 32]| to.fill(seed));
    let phrase = Phrase::from_entropy(WordList::English, &entropy).unwrap();
    let seed = phrase.to_seed(&SecretBytes::take_from(&mut [])).unwrap();
    let terms = KeystoreTerms {
        role: role.into(),
        network: Network::Regtest,
        account: 0,
        cost: SealCost::danger_cheap(),
    };
    let passphrase = SecretBytes::take_from(&mut b"open".to_vec());
    let sealed = keys::seal(&seed, terms, &passphrase, [1; 16], [2; 24]).unwrap();
    keys::open(&sealed, &passphrase).unwrap()
}

pub fn seat_keys(role: KeyRole, seed: u8) -> SeatKeys {
    opened(role, seed).seat_keys().unwrap()
}

/// The three owners' keys; each would be in a process of its own.
pub struct Party {
    keys: [SeatKeys; 3],
}

impl Party {
    pub fn new(seed: u8) -> Self {
        let each = |at: usize| seat_keys(KeyRole::ALL[at], seed + u8::try_from(at).unwrap());
        Self { keys: [each(0), each(1), each(2)] }
    }

    fn of(&self, role: KeyRole) -> &SeatKeys {
        &self.keys[KeyRole::ALL.iter().position(|one| *one == role).unwrap()]
    }

    pub fn address(&self, role: KeyRole) -> Address {
        address_of(&self.of(role).public_key(Seat::Owner).unwrap()).unwrap()
    }

    pub fn owners(&self) -> Owners {
        let [a, b, c] = KeyRole::ALL.map(|role| self.address(role));
        Owners::new(a, b, c).unwrap()
    }

    pub fn executor(&self) -> Address {
        address_of(&self.of(KeyRole::Signer).public_key(EXECUTOR).unwrap()).unwrap()
    }

    pub fn sign(&self, role: KeyRole, seat: Seat, digest: B256) -> SeatSignature {
        let order = SeatOrder::danger_vouch_for(ReservationId::of_txid(&digest.0), seat, digest.0);
        self.of(role).sign(&order).unwrap()
    }
}
