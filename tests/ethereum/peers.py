"""Reads Safe transactions as JSON, and writes their hashes as safe-eth-py computes them."""
import json
import sys

from safe_eth.safe.safe_tx import SafeTx

question = json.load(sys.stdin)


def hash_of(call):
    transaction = SafeTx(
        None, question["safe"], call["to"], int(call["value"]), bytes.fromhex(call["data"][2:]), call["operation"],
        int(call["safeTxGas"]), 0, 0, None, None, safe_nonce=int(call["nonce"]), safe_version=question["version"],
        chain_id=question["chain"],
    )
    return "0x" + transaction.safe_tx_hash.hex().removeprefix("0x")


print(json.dumps({"safe-eth-py": [hash_of(call) for call in question["calls"]]}))
