"""A client written from docs/requests.md, proto/ and the RFCs alone: nothing of Countersign's own code is used.

    client.py CONFIG.json

It carries one withdrawal through over mutual TLS and believes nothing it is told: the transaction's id is computed from
its bytes, the deposit address from its attestation's signature, the log's root from the log's entries. Prints one line
for each thing that held and ends with status 0; the first thing that does not hold ends it with status 1.
"""

import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import grpc
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from chain import segwit_script, transaction


def stubs(protos):
    """Generates the Python stubs from the .proto files and imports them."""
    out = tempfile.mkdtemp(prefix="countersign-stubs.")
    files = sorted(str(path) for path in pathlib.Path(protos).glob("countersign/v1/*.proto"))
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{protos}", f"--python_out={out}", f"--grpc_python_out={out}", *files],
        check=True,
    )
    sys.path.insert(0, out)
    names = ["address_service", "audit_service", "signed_text", "withdrawal", "withdrawal_service"]
    modules = {}
    for name in names:
        module = __import__(f"countersign.v1.{name}_pb2", fromlist=["x"])
        modules.update(vars(module))
        if name.endswith("service"):
            modules.update(vars(__import__(f"countersign.v1.{name}_pb2_grpc", fromlist=["x"])))
    return type("Proto", (), modules)


def held(what, is_so, seen=None):
    if not is_so:
        print(f"DOES NOT HOLD: {what}: {seen}", flush=True)
        sys.exit(1)
    print(f"held: {what}", flush=True)


# -- the canonical text ------------------------------------------------------------------------------------------------

def canonical(heading, lines):
    return "".join([f"{heading}\n"] + [f"{key}: {value}\n" for key, value in lines])


def read(text, heading, keys):
    """Reads a canonical text strictly: heading, these keys in this order, nothing else."""
    lines = text.split("\n")
    held(f"the text is a {heading}", lines[0] == heading and lines[-1] == "" and len(lines) == len(keys) + 2, text)
    values = {}
    for key, line in zip(keys, lines[1:]):
        held(f"its line {key}", line.startswith(f"{key}: "), line)
        values[key] = line[len(key) + 2:]
    return values


def withdrawal_id(organisation, request_id):
    parts = [b"countersign withdrawal id v1", organisation.encode(), request_id.encode()]
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()
    return f"wd_{digest[:32]}"


# -- the log (RFC 6962, RFC 9162, C2SP) --------------------------------------------------------------------------------

def leaf_hash(leaf):
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes):
    """RFC 6962, section 2.1: the split is at the largest power of two below the count."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(root_of(hashes[:split]), root_of(hashes[split:]))


def root_by_inclusion(index, size, leaf, path):
    """RFC 9162, section 2.1.3.2."""
    if index >= size:
        return None
    number, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            return None
        if number & 1 or number == last:
            root = node_hash(step, root)
            while number & 1 == 0 and number:
                number, last = number >> 1, last >> 1
        else:
            root = node_hash(root, step)
        number, last = number >> 1, last >> 1
    return root if last == 0 else None


def roots_by_consistency(first, second, first_root, path):
    """RFC 9162, section 2.1.4.2, for 0 < first < second. Gives the two roots that the path leads to."""
    path = list(path)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    number, last = first - 1, second - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    older = newer = path[0]
    for step in path[1:]:
        if last == 0:
            return None, None
        if number & 1 or number == last:
            older, newer = node_hash(step, older), node_hash(step, newer)
            while number & 1 == 0 and number:
                number, last = number >> 1, last >> 1
        else:
            newer = node_hash(newer, step)
        number, last = number >> 1, last >> 1
    return (older, newer) if last == 0 else (None, None)


def verifier_key(text):
    """Reads `name+hash+base64` (C2SP signed-note). Gives name, key hash, type and public key."""
    name, key_hash, key = text.split("+", 2)
    key = base64.b64decode(key)
    assert hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() == key_hash, "key hash"
    return name, bytes.fromhex(key_hash), key[0], VerifyKey(key[1:])


def signature_in(note, name, key_hash):
    for line in note.split("\n\n", 1)[1].splitlines():
        dash, signer, blob = line.split(" ", 2)
        blob = base64.b64decode(blob)
        if dash == "—" and signer == name and blob[:4] == key_hash:
            return blob[4:]
    return None


def checkpoint_of(config, answer):
    """Verifies both signatures of a checkpoint; gives its size and root as the signed note says them."""
    note = answer.note
    body = note.split("\n\n", 1)[0] + "\n"
    origin, size, root = body.split("\n")[:3]
    name, key_hash, kind, key = verifier_key(config["log_key"])
    held("the checkpoint is of the signer's log", origin == name and kind == 1, origin)
    key.verify(body.encode(), signature_in(note, name, key_hash))
    held("the signer signed the checkpoint", True)
    name, key_hash, kind, key = verifier_key(config["witness_key"])
    blob = signature_in(note, name, key_hash)
    held("the checkpoint carries the co-signer's cosignature", blob is not None and kind == 4 and len(blob) == 72, note)
    at = int.from_bytes(blob[:8], "big")
    key.verify(f"cosignature/v1\ntime {at}\n{body}".encode(), blob[8:])
    held("the co-signer cosigned the checkpoint just now", abs(time.time() - at) < 120, at)
    root = base64.b64decode(root)
    held("the answer's size and root are those of the note", (answer.tree_size, answer.root_hash) == (int(size), root))
    return int(size), root


# -- the calls ---------------------------------------------------------------------------------------------------------

class Client:
    def __init__(self, config):
        self.config = config
        self.proto = stubs(config["protos"])
        self.key = SigningKey(bytes.fromhex(config["request_seed"]))

    def channel(self, who):
        files = self.config["files"]
        ca = pathlib.Path(files["ca"]).read_bytes()
        if who is None:
            credentials = grpc.ssl_channel_credentials(ca)
        else:
            key, chain = (pathlib.Path(files[f"{who}_{part}"]).read_bytes() for part in ("key", "cert"))
            credentials = grpc.ssl_channel_credentials(ca, key, chain)
        return grpc.secure_channel(self.config["address"], credentials)

    def signed(self, text, key=None):
        signature = (key or self.key).sign(text.encode()).signature
        return self.proto.SignedText(text=text, key_id=self.config["key_id"], signature=signature)

    def request(self, request_id, amount, **changes):
        lines = {
            "organisation": self.config["organisation"],
            "request_id": request_id,
            "customer_ref": "customer 31337",
            "asset": self.config["asset"],
            "destination": self.config["destination"],
            "amount": amount,
            "fee_max": 20000,
            "beneficiary_vasp": self.config["beneficiary_vasp"],
            "asked_at": int(time.time()),
        }
        return canonical("countersign withdrawal-request v1", {**lines, **changes}.items())

    def payload(self):
        """IVMS101 as JSON: who pays, who is paid."""
        def person(primary, secondary):
            identifier = {"primaryIdentifier": primary, "secondaryIdentifier": secondary, "nameIdentifierType": "LEGL"}
            return {"naturalPerson": {"name": {"nameIdentifier": [identifier]}, "customerIdentification": "c-31337"}}

        primary, secondary = self.config["beneficiary_name"]
        return json.dumps({
            "originator": {"originatorPersons": [person("KIM", "YUNA")], "accountNumber": ["c-31337"]},
            "beneficiary": {
                "beneficiaryPersons": [person(primary, secondary)],
                "accountNumber": [self.config["destination"]],
            },
        }).encode()

    def create(self, stub, signed):
        message = self.proto.CreateWithdrawalRequest(request=signed, ivms101_payload=self.payload())
        return stub.CreateWithdrawal(message, timeout=30)


def refused(what, call, code, stable):
    """The call must end with this gRPC code, and the stable code must stand in the status details."""
    try:
        answer = call()
    except grpc.RpcError as error:
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        held(f"{what} is {code.name} {stable}", error.code() == code and stable.encode() in details, (error.code(), error.details(), details))
    else:
        held(f"{what} is refused", False, answer)


def check_address(client, channel):
    config, proto = client.config, client.proto
    stub = proto.AddressServiceStub(channel)
    ask = proto.CreateAddressRequest(organisation=config["organisation"], asset=config["asset"], customer_ref="customer 31337")
    address = stub.CreateAddress(ask, timeout=30)
    keys = ["organisation", "customer_ref", "wallet", "network", "branch", "index", "address", "attested_at"]
    said = read(address.attestation.text, "countersign address-attestation v1", keys)
    key = VerifyKey(bytes.fromhex(config["attestation_key"]))
    key.verify(address.attestation.text.encode(), address.attestation.signature)
    held("the co-signer's attestation key signed the address", True)
    held("the attestation is for this address of this wallet", said["address"] == address.address and said["wallet"] == config["wallet"], said)
    held("and for this customer", (said["organisation"], said["customer_ref"]) == (config["organisation"], "customer 31337"), said)
    held("on the branch of deposits", (said["branch"], said["index"], said["network"]) == ("0", str(address.index), "regtest"), said)
    held("the address can be read", len(segwit_script(address.address)) == 34)
    try:
        key.verify(address.attestation.text.replace("index: ", "index: 1").encode(), address.attestation.signature)
        held("an altered attestation does not verify", False)
    except BadSignatureError:
        held("an altered attestation does not verify", True)
    again = stub.CreateAddress(ask, timeout=30)
    held("the same customer gets the same address", again.address == address.address, again.address)


def check_released(client, answer, request_id, amount):
    config, proto = client.config, client.proto
    held(f"{request_id} is released", answer.outcome == proto.WITHDRAWAL_OUTCOME_RELEASED, answer)
    held("its name is the id that the request gives", answer.name == f"withdrawals/{withdrawal_id(config['organisation'], request_id)}", answer.name)
    txid, inputs, outputs, witnesses = transaction(answer.raw_transaction)
    held("its txid is the double SHA-256 of the stripped transaction", txid == answer.txid, (txid, answer.txid))
    prevouts = [(prevout.txid, prevout.vout) for prevout in answer.prevouts]
    held("its prevouts are its inputs in order", prevouts == inputs, (prevouts, inputs))
    paid = [value for value, script in outputs if script == segwit_script(config["destination"])]
    held("the payee gets exactly the amount, once", paid == [amount], outputs)
    fee = sum(int(prevout.value_sat) for prevout in answer.prevouts) - sum(value for value, _ in outputs)
    held("the fee is what the inputs leave", fee == int(answer.fee) and 0 < fee <= 20000, fee)
    scripts = [b"\x00\x20" + hashlib.sha256(stack[-1]).digest() for stack in witnesses]
    held("each input shows the script it was locked with", scripts == [p.script_pubkey for p in answer.prevouts])
    held("each input carries two signatures, all of them SIGHASH_ALL", all(
        len(stack) == 4 and stack[0] == b"" and stack[1][-1] == stack[2][-1] == 1 for stack in witnesses
    ))
    return txid


def entries_of(client, stub, size):
    ask = client.proto.ListEntriesRequest(start_index=0, end_index=size)
    entries = [entry for page in stub.ListEntries(ask, timeout=30) for entry in page.entries]
    held("the entries come in order and without gaps", [entry.index for entry in entries] == list(range(size)), len(entries))
    return [entry.leaf for entry in entries]


def check_log(client, channel, txids, before):
    """Rebuilds the root from the entries; finds the transactions in them; verifies the proofs. Gives the head."""
    proto = client.proto
    stub = proto.AuditServiceStub(channel)
    size, root = checkpoint_of(client.config, stub.GetCheckpoint(proto.GetCheckpointRequest(), timeout=30))
    leaves = entries_of(client, stub, size)
    hashes = [leaf_hash(leaf) for leaf in leaves]
    held(f"the root rebuilt from {size} entries is the checkpoint's", root_of(hashes) == root, root.hex())
    held("the first entry begins the log", json.loads(leaves[0])["kind"] == "log_started", leaves[0])
    for leaf in leaves:
        spelled = json.dumps(json.loads(leaf), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if spelled != leaf:
            held("each leaf is in the spelling of RFC 8785", False, leaf)
    reserved = [at for at, leaf in enumerate(leaves) if json.loads(leaf)["kind"] == "reserved"]
    booked = [json.loads(leaves[at])["txid"] for at in reserved]
    held("each transaction was booked in the log once", booked == txids, booked)
    for index in reserved:
        proof = stub.GetInclusionProof(proto.GetInclusionProofRequest(index=index, tree_size=size), timeout=30)
        found = root_by_inclusion(index, size, hashes[index], proof.hashes)
        held(f"the inclusion proof of entry {index} leads to the root", found == root and proof.root_hash == root)
        other = root_by_inclusion(index, size, leaf_hash(b"{}"), proof.hashes)
        held("and not from another entry", other != root)
    if before:
        old_size, old_root = before
        held("the older checkpoint is the beginning of this log", root_of(hashes[:old_size]) == old_root)
        ask = proto.GetConsistencyProofRequest(old_tree_size=old_size, tree_size=size)
        proof = stub.GetConsistencyProof(ask, timeout=30)
        held("the consistency proof leads to both roots", roots_by_consistency(old_size, size, old_root, proof.hashes) == (old_root, root))
        released = [json.loads(leaf)["txid"] for leaf in leaves if json.loads(leaf)["kind"] == "released"]
        held("the first release stands in the log", released[:1] == txids[:1], released)
    return size, root


def check_refusals(client, channel, auditor, text, amount):
    proto = client.proto
    stub = proto.WithdrawalServiceStub(channel)
    other = client.signed(text.replace(f"amount: {amount}\n", f"amount: {amount + 1}\n"))
    refused("the same request id with another amount", lambda: client.create(stub, other), grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    stranger = client.signed(client.request("py-stranger", amount), SigningKey(bytes([99] * 32)))
    refused("a stranger's signature", lambda: client.create(stub, stranger), grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_SIGNATURE_INVALID")
    doubled = client.signed(client.request("py-double", amount).replace("amount: ", "amount: 1\namount: "))
    refused("a text with a field twice", lambda: client.create(stub, doubled), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_")
    wrong = proto.WithdrawalServiceStub(auditor)
    refused("an auditor who asks for money", lambda: client.create(wrong, client.signed(text)), grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
    nobody = client.channel(None)
    refused("a caller without a certificate", lambda: client.create(proto.WithdrawalServiceStub(nobody), client.signed(text)), grpc.StatusCode.UNAVAILABLE, "")


def watched(client, channel, name):
    """The changes of a withdrawal as the watch tells them from the beginning of the log."""
    proto = client.proto
    stub = proto.WithdrawalServiceStub(channel)
    changes = []
    for change in stub.WatchWithdrawals(proto.WatchWithdrawalsRequest(from_log_index=0), timeout=30):
        if change.withdrawal.name == name:
            changes.append(change.withdrawal)
            if change.withdrawal.outcome == proto.WITHDRAWAL_OUTCOME_RELEASED:
                return changes
    return changes


def main():
    config = json.loads(pathlib.Path(sys.argv[1]).read_text())
    client = Client(config)
    proto = client.proto
    with client.channel("exchange") as channel, client.channel("auditor") as auditor:
        check_address(client, channel)
        stub = proto.WithdrawalServiceStub(channel)
        text = client.request("py-1", 2_000_000)
        answer = client.create(stub, client.signed(text))
        txid = check_released(client, answer, "py-1", 2_000_000)
        again = client.create(stub, client.signed(text))
        held("the same request again gets the same bytes", again.raw_transaction == answer.raw_transaction)
        picked = proto.GetWithdrawalRequest(name=answer.name)
        held("it is found by its name", stub.GetWithdrawal(picked, timeout=30).txid == txid)
        changes = watched(client, channel, answer.name)
        held("the watch ends with the release", changes and changes[-1].raw_transaction == answer.raw_transaction, changes)
        before = check_log(client, auditor, [txid], None)
        check_refusals(client, channel, auditor, text, 2_000_000)
        second = client.create(stub, client.signed(client.request("py-2", 3_000_000)))
        second_txid = check_released(client, second, "py-2", 3_000_000)
        check_log(client, auditor, [txid, second_txid], before)
    print(f"done: {txid}", flush=True)


if __name__ == "__main__":
    main()
