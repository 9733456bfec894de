//! The questions that are put to contracts, as Solidity spells them.

#![allow(missing_docs)]

use alloy_sol_types::{SolCall, sol};

sol! {
    function VERSION() returns (string version);
    function getOwners() returns (address[] owners);
    function getThreshold() returns (uint256 threshold);
    function getModulesPaginated(address start, uint256 pageSize) returns (address[] array, address next);
    function nonce() returns (uint256 nonce);
    function balanceOf(address holder) returns (uint256 balance);
    function decimals() returns (uint8 decimals);

    event ExecutionSuccess(bytes32 indexed txHash, uint256 payment);
    event ExecutionFailure(bytes32 indexed txHash, uint256 payment);
    event Transfer(address indexed from, address indexed to, uint256 value);
}

/// Reads what a call returned, in its one spelling.
pub(super) fn read_return<C: SolCall>(returned: &[u8]) -> Option<C::Return> {
    // the decoder takes parts in any order, and parts that overlap
    C::abi_decode_returns_validate(returned).ok().filter(|read| C::abi_encode_returns(read) == returned)
}
