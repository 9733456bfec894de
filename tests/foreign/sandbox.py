"""Reads what `countersign sandbox --json` prints and checks it without any of Countersign's code.

    countersign sandbox --json | sandbox.py

Each case must have its fields; each released transaction must have the id it is said to have, and its fee must be what
its inputs leave. Each released Safe transaction must hash to what it is said to be, bear the signatures of owners A and B of the
hot Safe, and pay exactly what was asked. All that a sandbox is there to show must be shown. Ends with status 0, or names the first
thing wrong.
"""

import json
import sys

from chain import transaction
from evm import checksum, execution, keccak, safe_hash, signer, word

FIELDS = {"name", "request_id", "asset", "destination", "amount", "outcome", "code", "txid", "tx_hex", "prevouts", "fee", "safe", "log"}


def must(is_so, what, seen=None):
    if not is_so:
        sys.exit(f"sandbox: {what}: {seen}")


def check_log(case):
    log = case["log"]
    must({"index", "tree_size", "root_hex"} <= log.keys(), f"{case['name']}: log has its fields", log)
    must(int(log["index"]) < int(log["tree_size"]), f"{case['name']}: the entry is in the tree", log)
    must(len(bytes.fromhex(log["root_hex"])) == 32, f"{case['name']}: the root is a SHA-256", log)


def check_released(case):
    name = case["name"]
    txid, inputs, outputs, _ = transaction(bytes.fromhex(case["tx_hex"]))
    must(txid == case["txid"], f"{name}: the txid is that of the bytes", (txid, case["txid"]))
    prevouts = [(prevout["txid"], prevout["vout"]) for prevout in case["prevouts"]]
    must(prevouts == inputs, f"{name}: the prevouts are the inputs", prevouts)
    for prevout in case["prevouts"]:
        must(len(bytes.fromhex(prevout["script_pubkey_hex"])) == 34, f"{name}: the prevout is P2WSH", prevout)
    fee = sum(int(prevout["value_sat"]) for prevout in case["prevouts"]) - sum(value for value, _ in outputs)
    must(fee == int(case["fee_sat"]) > 0, f"{name}: the fee is what the inputs leave", (fee, case["fee_sat"]))


def check_by_safe(case, pinned):
    name, safe = case["name"], case["safe"]
    must(checksum(safe["address"]) == safe["address"] == pinned["hot"], f"{name}: the hot Safe pays", safe)
    must(safe["chain_id"] == pinned["chain_id"], f"{name}: on its chain", safe)
    to, value, data, (operation, kept, *rest), signatures = execution(bytes.fromhex(case["tx_hex"]))
    must(operation == 0 and kept > 0 and not any(rest), f"{name}: a plain call that keeps gas and pays for none", (operation, kept, rest))
    digest = safe_hash(safe["chain_id"], safe["address"], safe["nonce"], to, value, data, kept)
    must("0x" + digest.hex() == case["txid"], f"{name}: it hashes to what it is said to", digest.hex())
    must(len(signatures) == 130, f"{name}: two signatures", len(signatures))
    owners = [checksum(signer(digest, signatures[at:at + 65])) for at in (0, 65)]
    must(owners == sorted(pinned["owners"][:2], key=str.lower) == safe["signed_by"], f"{name}: signed by owners A and B", owners)
    namespace, _, reference = case["asset"].rpartition("/")[2].partition(":")
    amount = int(case["amount"])
    if namespace == "slip44":
        paid = (checksum(to), value, data) == (case["destination"], amount, b"")
    else:
        transfer = keccak(b"transfer(address,uint256)")[:4] + word(case["destination"]) + word(amount)
        paid = (checksum(to), value, data) == (reference, 0, transfer)
    must(paid, f"{name}: it pays exactly what was asked", (to, value, data.hex()))


def main():
    document = json.load(sys.stdin)
    cases = document["cases"]
    by_request = {}
    for case in cases:
        must(FIELDS <= case.keys(), "a case has its fields", sorted(case))
        must(case["outcome"] in ("released", "held", "refused", "invalid"), f"{case['name']}: outcome", case["outcome"])
        if case["outcome"] == "invalid":
            must(case["log"] is None, f"{case['name']}: nothing is written of what cannot be asked", case["log"])
        else:
            check_log(case)
        if case["outcome"] == "released" and case["safe"]:
            check_by_safe(case, document["safe"])
        elif case["outcome"] == "released":
            check_released(case)
        else:
            must(case["code"] and not case["txid"] and not case["tx_hex"], f"{case['name']}: a code and no transaction", case)
        by_request.setdefault(case["request_id"], []).append(case)
    released = {case["txid"] for case in cases if case["outcome"] == "released"}
    payments = {case["request_id"] for case in cases if case["outcome"] == "released"}
    must(len(released) == len(payments) >= 2, "each request is paid by one transaction", (released, payments))
    must(len({case["log"]["root_hex"] for case in cases if case["log"]}) == 1, "all cases stand under one head")
    by_safe = [case for case in cases if case["outcome"] == "released" and case["safe"]]
    must({case["asset"].rpartition("/")[2].split(":")[0] for case in by_safe} == {"slip44", "erc20"}, "the Safe pays ether and a token")
    must([case["safe"]["nonce"] for case in by_safe] == list(range(len(by_safe))), "one nonce after the other", by_safe)
    if "chain" in document:
        paid = {one["request_id"]: one for one in document["chain"]["paid"]}
        must(set(paid) == {case["request_id"] for case in by_safe}, "all that the Safe pays is on the chain", sorted(paid))
        for case in by_safe:
            one = paid[case["request_id"]]
            must((one["payee"], one["payee_has"]) == (case["destination"], case["amount"]), "the payee has it", one)
            must(len(one["transaction"]) == 66 and int(one["gas_paid"]) > 0, "a transaction carried it, and gas was paid", one)
    invalid = {case["code"] for case in cases if case["outcome"] == "invalid"}
    must({"ADDRESS_MALFORMED", "ASSET_UNKNOWN", "ADDRESS_NOT_PAYABLE"} <= invalid, "what cannot be paid cannot be asked", invalid)
    refused = {case["code"] for case in cases if case["outcome"] == "refused"}
    must("REQUEST_ID_REUSED" in refused, "a request id reused with another amount is refused", refused)
    must(len(refused) >= 2, "the travel rule refuses one", refused)
    paid = [[case["tx_hex"] for case in group if case["outcome"] == "released"] for group in by_request.values()]
    must(all(len(set(group)) <= 1 for group in paid), "a request repeated gets the first outcome")
    must(any(len(group) > 1 for group in paid), "a request is repeated")
    held = {code for case in cases for code in case.get("held", []) if case["outcome"] == "released"}
    must({"APPROVAL_REQUIRED", "HOT_SHARE_ABOVE_LIMIT"} <= held, "an approval and the 3:7 rule held one before its release", held)
    print(f"sandbox: {len(cases)} cases, {len(payments)} paid, {len(refused)} kinds of refusal: all as they must be")


if __name__ == "__main__":
    main()
