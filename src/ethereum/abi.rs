//! The calls, events and typed data that are known, as Solidity spells them. Everything else is unknown, and unknown is a no.

#![allow(missing_docs)]

use alloy_sol_types::{SolCall, sol};

sol! {
    /// A Safe transaction as its owners sign it (EIP-712).
    #[derive(Debug, PartialEq, Eq)]
    struct SafeTx {
        address to;
        uint256 value;
        bytes data;
        uint8 operation;
        uint256 safeTxGas;
        uint256 baseGas;
        uint256 gasPrice;
        address gasToken;
        address refundReceiver;
        uint256 nonce;
    }

    /// What passes between the parties.
    #[derive(Debug, PartialEq, Eq)]
    struct ProposalFields {
        uint256 chainId;
        address safe;
        uint256 nonce;
        bytes execution;
    }

    function setup(
        address[] owners,
        uint256 threshold,
        address to,
        bytes data,
        address fallbackHandler,
        address paymentToken,
        uint256 payment,
        address paymentReceiver
    );
    function createProxyWithNonce(address singleton, bytes initializer, uint256 saltNonce);
    #[derive(Debug, PartialEq, Eq)]
    function execTransaction(
        address to,
        uint256 value,
        bytes data,
        uint8 operation,
        uint256 safeTxGas,
        uint256 baseGas,
        uint256 gasPrice,
        address gasToken,
        address refundReceiver,
        bytes signatures
    );
    function multiSend(bytes transactions);
    function swapOwner(address prevOwner, address oldOwner, address newOwner);
    function transfer(address to, uint256 amount);
    function isValidSignature(bytes32 hash, bytes signature);

    /// What a Safe that tells (`SafeL2`) says of a transaction before it executes it.
    event SafeMultiSigTransaction(
        address to,
        uint256 value,
        bytes data,
        uint8 operation,
        uint256 safeTxGas,
        uint256 baseGas,
        uint256 gasPrice,
        address gasToken,
        address refundReceiver,
        bytes signatures,
        bytes additionalInfo
    );
    event ExecutionSuccess(bytes32 indexed txHash, uint256 payment);
    event ExecutionFailure(bytes32 indexed txHash, uint256 payment);
    event Transfer(address indexed from, address indexed to, uint256 value);
}

/// Reads a call strictly: its selector, its arguments, and nothing else in any other spelling.
pub(super) fn read_call<C: SolCall>(data: &[u8]) -> Option<C> {
    let call = C::abi_decode_validate(data).ok()?;
    (call.abi_encode() == data).then_some(call)
}
