//! The Safe transaction and its hash (EIP-712), computed twice: by alloy's typed data and by hand. They must agree.

use alloy_primitives::{Address, B256, Bytes, U256, b256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct};

use super::abi::SafeTx;
use super::wallet::SafeWallet;
use crate::withdrawal::ChainId;

/// Keccak-256 of `EIP712Domain(uint256 chainId,address verifyingContract)`.
const DOMAIN_TYPE_HASH: B256 = b256!("0x47e79534a245952e8b16893a336b85a3d9ea9fa8c573f3d803afb92a79469218");

/// Keccak-256 of the type of a Safe transaction.
const SAFE_TX_TYPE_HASH: B256 = b256!("0xbb8310d486368db6bd6f849402fdd73ad53d316b5a4b2644ad6efe0f941286d8");

/// How the Safe calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// CALL.
    Call,
    /// DELEGATECALL: the called code runs as the Safe. Only ever to the pinned MultiSendCallOnly.
    DelegateCall,
}

impl Operation {
    /// The number in the contract.
    pub const fn number(self) -> u8 {
        match self {
            Self::Call => 0,
            Self::DelegateCall => 1,
        }
    }

    /// Reads that number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Call),
            1 => Some(Self::DelegateCall),
            _ => None,
        }
    }
}

/// The two computations of a hash gave two results: a defect in one of them, and nothing may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the two computations of the Safe transaction's hash disagree; nothing may be signed")]
pub struct HashesDisagree;

/// What a Safe is asked to do. Gas price, base gas, gas token and refund receiver are always nothing and have no place here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeCall {
    /// Who is called.
    pub to: Address,
    /// The wei sent along.
    pub value: U256,
    /// The call's data.
    pub data: Bytes,
    /// How it is called.
    pub operation: Operation,
    /// The gas kept for it; never zero, so that a payee that reverts uses up the nonce instead of blocking it.
    pub safe_tx_gas: u64,
    /// The Safe's nonce.
    pub nonce: u64,
}

impl SafeCall {
    /// The hash that the owners of this wallet sign.
    pub fn hash(&self, wallet: &SafeWallet) -> Result<B256, HashesDisagree> {
        let (alloy, plain) = (self.hash_by_alloy(wallet), self.hash_by_hand(wallet));
        if alloy == plain { Ok(alloy) } else { Err(HashesDisagree) }
    }

    fn hash_by_alloy(&self, wallet: &SafeWallet) -> B256 {
        let domain = Eip712Domain {
            chain_id: Some(U256::from(wallet.chain().number())),
            verifying_contract: Some(wallet.address()),
            ..Eip712Domain::default()
        };
        let typed = SafeTx {
            to: self.to,
            value: self.value,
            data: self.data.clone(),
            operation: self.operation.number(),
            safeTxGas: U256::from(self.safe_tx_gas),
            baseGas: U256::ZERO,
            gasPrice: U256::ZERO,
            gasToken: Address::ZERO,
            refundReceiver: Address::ZERO,
            nonce: U256::from(self.nonce),
        };
        typed.eip712_signing_hash(&domain)
    }

    /// As `getTransactionHash` of the contract writes it out, word by word.
    fn hash_by_hand(&self, wallet: &SafeWallet) -> B256 {
        let words: [B256; 11] = [
            SAFE_TX_TYPE_HASH,
            self.to.into_word(),
            self.value.into(),
            keccak256(&self.data),
            U256::from(self.operation.number()).into(),
            U256::from(self.safe_tx_gas).into(),
            B256::ZERO,
            B256::ZERO,
            B256::ZERO,
            B256::ZERO,
            U256::from(self.nonce).into(),
        ];
        typed_data_hash(wallet.domain(), keccak256(joined(&words)))
    }
}

/// The domain separator of a Safe from 1.3.0 on.
pub fn domain_separator(chain: ChainId, safe: Address) -> B256 {
    let words = [DOMAIN_TYPE_HASH, U256::from(chain.number()).into(), safe.into_word()];
    keccak256(joined(&words))
}

/// `keccak256(0x19 ‖ 0x01 ‖ domain separator ‖ struct hash)` (EIP-712).
fn typed_data_hash(domain: B256, message: B256) -> B256 {
    let mut bytes = [0u8; 66];
    let (head, rest) = bytes.split_at_mut(2);
    let (left, right) = rest.split_at_mut(32);
    head.copy_from_slice(&[0x19, 0x01]);
    left.copy_from_slice(domain.as_slice());
    right.copy_from_slice(message.as_slice());
    keccak256(bytes)
}

/// Words one after the other.
fn joined(words: &[B256]) -> Vec<u8> {
    words.iter().flat_map(|word| word.0).collect()
}
