"""Reads what `countersign sandbox --json` prints and checks it without any of Countersign's code.

    countersign sandbox --json | sandbox.py

Each case must have its fields; each released transaction must have the id it is said to have, and its fee must be what
its inputs leave. All that a sandbox is there to show must be shown. Ends with status 0, or names the first thing wrong.
"""

import json
import sys

from chain import transaction

FIELDS = {"name", "request_id", "outcome", "code", "txid", "tx_hex", "prevouts", "fee_sat", "log"}


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


def main():
    cases = json.load(sys.stdin)["cases"]
    by_request = {}
    for case in cases:
        must(FIELDS <= case.keys(), "a case has its fields", sorted(case))
        must(case["outcome"] in ("released", "held", "refused"), f"{case['name']}: outcome", case["outcome"])
        check_log(case)
        if case["outcome"] == "released":
            check_released(case)
        else:
            must(case["code"] and not case["txid"] and not case["tx_hex"], f"{case['name']}: a code and no transaction", case)
        by_request.setdefault(case["request_id"], []).append(case)
    released = {case["txid"] for case in cases if case["outcome"] == "released"}
    payments = {case["request_id"] for case in cases if case["outcome"] == "released"}
    must(len(released) == len(payments) >= 2, "each request is paid by one transaction", (released, payments))
    must(len({case["log"]["root_hex"] for case in cases}) == 1, "all cases stand under one head")
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
