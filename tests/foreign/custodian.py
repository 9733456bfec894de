"""A custodian who holds key B, of the standard library alone: PSBTs in, signatures out, by files and over HTTPS.

    custodian.py --words "twelve ... words" --refusal-seed HEX [--order-key HEX]
                 [--outbox FOLDER --inbox FOLDER] [--tls CERT KEY --token TOKEN]
                 [--calls FILE --calls-ca CA --calls-token TOKEN]

Prints `ready <port>` of its control server (plain http, for the test alone) and serves until its input ends. Its curves are
its own (BIP-32, BIP-143, BIP-174, RFC 8032 from their texts), and its nonces are random: asked twice, it signs differently.

    POST /control/mood {"mood": M}   what it does from now on
    POST /control/again {}           it answers everything once more
    GET  /control/seen               what was handed over: how, which, and whether the co-signer's signature holds
    GET  /control/where              [port of the HTTPS server, or 0]
    POST /control/call {...}         it calls the co-signer once, as `call` says, and gives [status, body]; 0 where it gets no answer
With --calls it is never asked: it calls each answer in at the address that FILE holds, until it is taken or known to be over.
Moods: well, base64, raw; late (no answer); garbage, truncated, empty, foreign, wrong_key, extra, fewer, single, high_s, finished,
refuse, forged_refusal; over HTTPS also broken (500), redirect, silent, lost (404).
"""

import argparse
import base64
import hashlib
import hmac
import http.client
import json
import os
import secrets
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chain import Bytes

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
HARD = 1 << 31
ALL, SINGLE = 1, 3

LOCK = threading.RLock()
STATE = {"mood": "well", "round": 0, "given": {}}
SEEN, POSTED = [], {}
SILENT = ("late", "broken", "redirect", "silent", "lost")


# -- secp256k1 ---------------------------------------------------------------------------------------------------------


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(number, point=G):
    result = None
    while number:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


def compressed(secret):
    x, y = times(secret)
    return bytes([2 + (y & 1)]) + x.to_bytes(32, "big")


def der(r, s, sighash):
    def integer(number):
        data = number.to_bytes((number.bit_length() + 8) // 8, "big")
        return b"\x02" + bytes([len(data)]) + data

    body = integer(r) + integer(s)
    return b"\x30" + bytes([len(body)]) + body + bytes([sighash])


def ecdsa(secret, digest, sighash, high):
    """A signature with a fresh random nonce; S is low unless it is to be high."""
    while True:
        nonce = secrets.randbelow(N - 1) + 1
        r = times(nonce)[0] % N
        s = pow(nonce, -1, N) * (int.from_bytes(digest, "big") + r * secret) % N
        if r and s:
            s = min(s, N - s)
            return der(r, N - s if high else s, sighash)


# -- keys --------------------------------------------------------------------------------------------------------------


def child(secret, code, index):
    data = b"\x00" + secret.to_bytes(32, "big") if index >= HARD else compressed(secret)
    both = hmac.new(code, data + index.to_bytes(4, "big"), hashlib.sha512).digest()
    return (int.from_bytes(both[:32], "big") + secret) % N, both[32:]


def account(words):
    """The account key m/48'/1'/0'/2' of the words."""
    seed = hashlib.pbkdf2_hmac("sha512", words.encode(), b"mnemonic", 2048)
    both = hmac.new(b"Bitcoin seed", seed, hashlib.sha512).digest()
    key = int.from_bytes(both[:32], "big"), both[32:]
    for index in (48 + HARD, 1 + HARD, HARD, 2 + HARD):
        key = child(*key, index)
    return key


# -- Ed25519, as RFC 8032 section 6 has it -----------------------------------------------------------------------------

ED_P, ED_L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
ED_D = -121665 * pow(121666, -1, ED_P) % ED_P


def ed_x(y, sign):
    x2 = (y * y - 1) * pow(ED_D * y * y + 1, -1, ED_P) % ED_P
    x = pow(x2, (ED_P + 3) // 8, ED_P)
    if (x * x - x2) % ED_P:
        x = x * pow(2, (ED_P - 1) // 4, ED_P) % ED_P
    assert (x * x - x2) % ED_P == 0, "no point"
    return x if (x & 1) == sign else ED_P - x


ED_G = (ed_x(4 * pow(5, -1, ED_P) % ED_P, 0), 4 * pow(5, -1, ED_P) % ED_P)


def ed_add(a, b):
    product = ED_D * a[0] * b[0] * a[1] * b[1] % ED_P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, -1, ED_P) % ED_P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, ED_P) % ED_P


def ed_times(number, point):
    result = (0, 1)
    while number:
        if number & 1:
            result = ed_add(result, point)
        point, number = ed_add(point, point), number >> 1
    return result


def ed_bytes(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def ed_point(data):
    number = int.from_bytes(data, "little")
    y = number & (2**255 - 1)
    return ed_x(y, number >> 255), y


def ed_hash(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ED_L


def ed_sign(seed, message):
    both = hashlib.sha512(seed).digest()
    secret = int.from_bytes(both[:32], "little") & ((1 << 254) - 8) | 1 << 254
    public = ed_bytes(ed_times(secret, ED_G))
    nonce = ed_hash(both[32:], message)
    point = ed_bytes(ed_times(nonce, ED_G))
    return point + ((nonce + ed_hash(point, public, message) * secret) % ED_L).to_bytes(32, "little")


def ed_holds(public, message, signature):
    left = ed_times(int.from_bytes(signature[32:], "little"), ED_G)
    right = ed_add(
        ed_point(signature[:32]), ed_times(ed_hash(signature[:32], public, message), ed_point(public))
    )
    return left == right


# -- PSBT --------------------------------------------------------------------------------------------------------------


def size(number):
    return bytes([number]) if number < 0xFD else b"\xfd" + number.to_bytes(2, "little")


def read_map(source):
    pairs = []
    while True:
        length = source.count()
        if length == 0:
            return pairs
        key = source.take(length)
        pairs.append((key, source.take(source.count())))


def write_map(pairs):
    return b"".join(size(len(k)) + k + size(len(v)) + v for k, v in pairs) + b"\x00"


def unsigned(raw):
    source = Bytes(raw)
    version = source.take(4)
    inputs = []
    for _ in range(source.count()):
        outpoint = source.take(36)
        assert source.take(source.count()) == b"", "a script in an unsigned transaction"
        inputs.append((outpoint, source.take(4)))
    outputs = []
    for _ in range(source.count()):
        value = source.take(8)
        outputs.append((value, source.take(source.count())))
    return version, inputs, outputs, source.take(4)


def write_unsigned(version, inputs, outputs, lock_time):
    body = version + size(len(inputs)) + b"".join(point + b"\x00" + sequence for point, sequence in inputs)
    return body + size(len(outputs)) + b"".join(v + size(len(s)) + s for v, s in outputs) + lock_time


def twice(data):
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def digest(transaction, at, script, amount, sighash):
    """BIP-143, for SIGHASH_ALL and SIGHASH_SINGLE."""
    version, inputs, outputs, lock_time = transaction
    zero = bytes(32)
    sequences = twice(b"".join(sequence for _, sequence in inputs)) if sighash == ALL else zero
    chosen = outputs if sighash == ALL else outputs[at:at + 1]
    paid = twice(b"".join(v + size(len(s)) + s for v, s in chosen)) if chosen else zero
    parts = [version, twice(b"".join(point for point, _ in inputs)), sequences, inputs[at][0]]
    parts += [size(len(script)) + script, amount, inputs[at][1], paid, lock_time, sighash.to_bytes(4, "little")]
    return twice(b"".join(parts))


def sign(raw, mood):
    """The PSBT with a signature at every input; or what the mood makes of it. Gives (psbt, signatures)."""
    assert raw[:5] == b"psbt\xff", "no PSBT"
    source = Bytes(raw[5:])
    top = read_map(source)
    transaction = unsigned(next(value for key, value in top if key == b"\x00"))
    if mood == "foreign":
        version, inputs, outputs, lock_time = transaction
        outputs[0] = ((int.from_bytes(outputs[0][0], "little") - 1).to_bytes(8, "little"), outputs[0][1])
        transaction = version, inputs, outputs, lock_time
        top = [(b"\x00", write_unsigned(*transaction))]
    maps = [read_map(source) for _ in transaction[1]]
    rest = source.data[source.at:]
    sighash = SINGLE if mood == "single" else ALL
    signatures = []
    for at, pairs in enumerate(maps):
        fields = {key[:1]: value for key, value in pairs}
        amount, script = fields[b"\x01"][:8], fields[b"\x05"]
        [(key, path)] = [(key[1:], value) for key, value in pairs if key[:1] == b"\x06"]
        branch, index = (int.from_bytes(path[i:i + 4], "little") for i in (-8, -4 + len(path)))
        secret, _ = child(*child(*ACCOUNT, branch), index)
        assert compressed(secret) == key, "the derivation does not lead to the key"
        if mood == "wrong_key":
            secret = secret + 1
        one = ecdsa(secret, digest(transaction, at, script, amount, sighash), sighash, mood == "high_s")
        signatures.append(one)
        if mood == "fewer" and at == 0:
            continue
        pairs.append((b"\x02" + compressed(secret), one))
        if mood == "extra":
            other = ecdsa(secret + 1, digest(transaction, at, script, amount, sighash), sighash, False)
            pairs.append((b"\x02" + compressed(secret + 1), other))
        if mood == "finished":
            pairs.append((b"\x08", b"\x02\x00" + size(len(one)) + one))
    return b"psbt\xff" + write_map(top) + b"".join(write_map(pairs) for pairs in maps) + rest, signatures


def refusal(reservation, raw, forged):
    top = read_map(Bytes(raw[5:]))
    txid = twice(next(value for key, value in top if key == b"\x00"))[::-1].hex()
    text = (
        f"countersign custody-refusal v1\nreservation: {reservation}\ntxid: {txid}\n"
        f"reason: not on our list\nrefused_at: {int(time.time())}\n"
    )
    seed = bytes(32) if forged else bytes.fromhex(ARGS.refusal_seed)
    return f"{text}signature: {ed_sign(seed, text.encode()).hex()}\n".encode()


def answer(reservation, raw, mood):
    """What is handed back in this mood, and how its file is called; nothing where it is late."""
    if mood in SILENT:
        return None
    if mood == "garbage":
        return secrets.token_bytes(64), "psbt"
    if mood == "empty":
        return b"", "psbt"
    if mood in ("refuse", "forged_refusal"):
        return refusal(reservation, raw, mood == "forged_refusal"), "refusal"
    psbt, signatures = sign(raw, mood)
    if mood == "base64":
        return base64.b64encode(psbt) + b"\n", "psbt"
    if mood == "raw":
        return "".join(one.hex() + "\n" for one in signatures).encode(), "sig"
    return psbt[:-40] if mood == "truncated" else psbt, "psbt"


def order_holds(order, signature, raw):
    """The co-signer's signature, and that its order names this very PSBT."""
    if not ARGS.order_key:
        return None
    named = f"psbt_digest: {hashlib.sha256(raw).hexdigest()}\n" in order
    return named and ed_holds(bytes.fromhex(ARGS.order_key), order.encode(), bytes.fromhex(signature))


# -- by files ----------------------------------------------------------------------------------------------------------


def watch():
    """Looks into the outbox; answers each PSBT once for each mood and round, whole files only."""
    told = {}
    while True:
        if not os.path.isdir(ARGS.outbox):
            return
        for name in sorted(os.listdir(ARGS.outbox)):
            reservation, _, ending = name.rpartition(".")
            if ending != "psbt" or name.startswith("."):
                continue
            with LOCK:
                mood, now = STATE["mood"], (STATE["mood"], STATE["round"])
            if told.get(reservation) == now:
                continue
            try:
                with open(os.path.join(ARGS.outbox, name), "rb") as file:
                    raw = file.read()
                with open(os.path.join(ARGS.outbox, f"{reservation}.order"), encoding="ascii") as file:
                    order, _, last = file.read().rstrip("\n").rpartition("\n")
            except FileNotFoundError:
                continue
            holds = order_holds(order + "\n", last.removeprefix("signature: "), raw)
            with LOCK:
                SEEN.append({"by": "file", "reservation": reservation, "holds": holds, "mood": mood})
            if ARGS.calls:
                with LOCK:
                    POSTED[reservation] = raw
            given = None if ARGS.calls else answer(reservation, raw, mood)
            if given:
                put(reservation, *given)
            told[reservation] = now
        time.sleep(0.01)


def put(reservation, data, ending):
    place = os.path.join(ARGS.inbox, f"{reservation}.{ending}")
    with open(f"{place}.part", "wb") as file:
        file.write(data)
    os.rename(f"{place}.part", place)


# -- by its own calls --------------------------------------------------------------------------------------------------


def call(told):
    """One call to the co-signer: {reservation, mood} and whatever is to be otherwise. `as` names bytes that are sent again."""
    reservation, mood = told["reservation"], told.get("mood", "well")
    name = tuple(told["as"]) if "as" in told else secrets.token_hex(8)
    with LOCK:
        data = STATE["given"].get((reservation, name))
    if data is None:
        data = bytes(told["size"]) if "size" in told else answer(reservation, POSTED[reservation], mood)[0]
        with LOCK:
            STATE["given"][reservation, name] = data
    token = told.get("token", f"Bearer {ARGS.calls_token}")
    headers = {"Authorization": token} if token else {}
    if told.get("half"):
        headers["Content-Length"] = str(len(data) + 1)
    line = None
    try:
        with open(ARGS.calls, encoding="ascii") as file:
            host, port = file.read().split(":")
        line = http.client.HTTPSConnection(
            host, int(port), timeout=15, source_address=(told.get("from", "127.0.0.1"), 0),
            context=ssl.create_default_context(cafile=ARGS.calls_ca),
        )
        line.request(told.get("method", "POST"), told.get("path", f"/custody/answers/{reservation}"), data, headers)
        if told.get("half"):
            return [0, "hung up"]
        said = line.getresponse()
        return [said.status, said.read().decode()]
    except OSError as error:
        return [0, str(error)]
    finally:
        if line:
            line.close()


def keep_calling():
    """Calls each answer in once for each mood and round, until it is taken or known to be over."""
    told = {}
    while True:
        with LOCK:
            posted, mood, now = list(POSTED), STATE["mood"], (STATE["mood"], STATE["round"])
        for reservation in posted:
            if mood not in SILENT and told.get(reservation) != now:
                if call({"reservation": reservation, "mood": mood, "as": now})[0] in (202, 404):
                    told[reservation] = now
        time.sleep(0.01)


# -- over HTTPS --------------------------------------------------------------------------------------------------------


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def say(self, status, data=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def is_off(self):
        """Whether it is in a mood in which it does not do what is asked."""
        mood = STATE["mood"]
        if self.headers.get("Authorization") != f"Bearer {ARGS.token}":
            self.say(401)
        elif mood == "broken":
            self.say(500, b"out of order")
        elif mood == "redirect":
            self.say(302, headers=[("Location", f"https://127.0.0.1:{ARGS.api_port}/elsewhere{self.path}")])
        elif mood == "silent":
            time.sleep(3)
            self.close_connection = True
        else:
            return False
        return True

    def do_POST(self):
        told = json.loads(self.body())
        if self.is_off():
            return
        raw = base64.b64decode(told["psbt"])
        holds = order_holds(told["order"], self.headers.get("Countersign-Signature", ""), raw)
        with LOCK:
            has = told["reservation"] in POSTED and STATE["mood"] != "lost"
            SEEN.append({"by": "post", "reservation": told["reservation"], "holds": holds, "mood": STATE["mood"]})
            POSTED[told["reservation"]] = raw
        self.say(409 if has else 202)

    def do_GET(self):
        if self.is_off():
            return
        if ARGS.calls:
            with LOCK:
                SEEN.append({"by": "get", "reservation": self.path, "holds": False, "mood": STATE["mood"]})
            return self.say(405)
        reservation = self.path.rpartition("/")[2]
        with LOCK:
            raw, mood = POSTED.get(reservation), STATE["mood"]
        if raw is None or mood == "lost" or "/elsewhere/" in self.path:
            return self.say(404)
        given = answer(reservation, raw, mood)
        return self.say(200, given[0]) if given else self.say(202)

    def log_message(self, *_):
        pass


class Control(Api):
    def do_POST(self):
        told = json.loads(self.body())
        if self.path == "/control/call":
            return self.say(200, json.dumps(call(told)).encode())
        with LOCK:
            if self.path == "/control/mood":
                STATE["mood"] = told["mood"]
            else:
                STATE["round"] += 1
        return self.say(200, b"[]")

    def do_GET(self):
        with LOCK:
            told = list(SEEN) if self.path == "/control/seen" else [ARGS.api_port]
        self.say(200, json.dumps(told).encode())


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A caller that was killed hangs up; that is no news."""


def serve(handler, tls=None):
    server = Server(("127.0.0.1", 0), handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def main():
    ARGS.api_port = serve(Api, ARGS.tls) if ARGS.tls else 0
    port = serve(Control)
    if ARGS.outbox:
        threading.Thread(target=watch, daemon=True).start()
    if ARGS.calls:
        threading.Thread(target=keep_calling, daemon=True).start()
    print(f"ready {port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--words", required=True)
    parser.add_argument("--refusal-seed", required=True)
    parser.add_argument("--order-key")
    parser.add_argument("--outbox")
    parser.add_argument("--inbox")
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--token")
    parser.add_argument("--calls")
    parser.add_argument("--calls-ca")
    parser.add_argument("--calls-token")
    ARGS = parser.parse_args()
    ACCOUNT = account(ARGS.words)
    main()
