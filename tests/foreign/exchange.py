"""An exchange's backend as the network documents it, of the standard library alone: the other side of the enclave's calls.

    exchange.py [--token TOKEN] [--header NAME] [--key BASE64] [--key-of INPUT BASE64] [--tls CERT KEY] [--customers FILE]

Listens on a free port of 127.0.0.1, prints `ready <port>` and serves until its input ends. The path's last part is the
call (user, account, transaction, callback, decrypt); the part before it is a mood: `/well/user` answers, `/slow/user`
takes too long, and so on. Calls without the right header get 401. What came in is told under `/control/seen`.
"""

import argparse
import base64
import hmac
import json
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CUSTOMERS = {
    "bc1q-checked": {"name": ["Robbins", "Taylor"], "kyc": True},
    "bc1q-unchecked": {"name": ["Cook", "Ethan"], "kyc": False},
}
SEEN, CALLBACKS, TRANSFERS, LOCK = [], [], {}, threading.Lock()
NOW = "2026-01-31T00:00:00.000Z"


def person(name):
    identifier = {"primaryIdentifier": name[0], "secondaryIdentifier": name[1], "nameIdentifierType": "LEGL"}
    return {"naturalPerson": {"name": {"nameIdentifier": [identifier]}}}


def names(persons):
    for one in persons:
        for name in one.get("naturalPerson", {}).get("name", {}).get("nameIdentifier", []):
            yield [name["primaryIdentifier"], name.get("secondaryIdentifier", "")]


def account(asked):
    if asked["symbol"] != "BTC":
        return {"accountVerificationResult": "DENIED", "reason": "UNKNOWN-SYMBOL", "verifiedAt": NOW}
    known = asked["ivms101"]["beneficiary"]["accountNumber"][0] in CUSTOMERS
    if known:
        return {"accountVerificationResult": "VERIFIED", "verifiedAt": NOW}
    return {"accountVerificationResult": "DENIED", "reason": "UNKNOWN-ADDRESS", "verifiedAt": NOW}


def user(asked):
    for field in ("verificationUuid", "assetInfo", "requiredBeneficiaryInfo", "originatingVaspId", "version"):
        if field not in asked:
            return {"result": "ERROR", "reason": "UNDEFINED-ERROR", "message": f"no {field}", "version": "1.0"}
    beneficiary = asked["ivms101"]["beneficiary"]
    address = beneficiary["accountNumber"][0]
    customer = CUSTOMERS.get(address)
    deny = lambda reason, message="-": {"result": "DENIED", "reason": reason, "message": message, "version": "1.0"}
    if customer is None:
        return deny("UNKNOWN-ADDRESS", address)
    if "NATURAL_PERSON_NATIONALITY" in asked["requiredBeneficiaryInfo"]:
        return deny("UNAVAILABLE-INFORMATION", "NATURAL_PERSON_NATIONALITY")
    if not customer["kyc"]:
        return deny("UNVERIFIED-KYC")
    if asked["assetInfo"]["isExceedingThreshold"] and customer["name"] not in names(beneficiary["beneficiaryPersons"]):
        return deny("MISMATCHED-NAME")
    given = customer.get("gives", address)
    own = {"beneficiaryPersons": [person(customer["name"])], "accountNumber": [given]}
    return {"result": "VERIFIED", "reason": "OK", "version": "1.0", "ivms101": {"beneficiary": own}}


def transaction(asked):
    uuid = asked["verificationUuid"]
    return {"verificationUuid": uuid, **TRANSFERS.get(uuid, {"transactionStatus": "PENDING", "txHash": ""})}


def callback(asked):
    with LOCK:
        CALLBACKS.append(asked)
    return {}


def decrypt(asked):
    return {"outputKey": dict(ARGS.key_of).get(asked["inputKey"], ARGS.key)}


CALLS = {"user": user, "account": account, "transaction": transaction, "callback": callback, "decrypt": decrypt}


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_):
        pass

    def is_let_in(self):
        name, value = (ARGS.header, ARGS.token) if ARGS.header else ("Authorization", f"Bearer {ARGS.token}")
        if ARGS.token is None:
            return "Authorization" not in self.headers
        given = self.headers.get_all(name) or []
        return len(given) == 1 and hmac.compare_digest(given[0].encode(), value.encode())

    def say(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with LOCK:
            told = {"/control/seen": SEEN, "/control/callbacks": CALLBACKS}.get(self.path)
            body = json.dumps(told).encode()
        self.say(200 if told is not None else 404, body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/control/transfer":
            asked = json.loads(body)
            TRANSFERS[asked.pop("verificationUuid")] = asked
            return self.say(200, b"{}")
        with LOCK:
            SEEN.append({"path": self.path, "port": self.client_address[1], "headers": dict(self.headers.items())})
        if not self.is_let_in():
            return self.say(401, b"{}")
        mood, call = (["well"] + self.path.strip("/").split("/"))[-2:]
        if mood == "slow":
            time.sleep(7 if call == "user" else 2)
        if mood == "redirect":
            return self.say(307, b"", [("Location", f"/well/{call}")])
        if mood == "broken":
            return self.say(500, b'{"result":"VERIFIED"}')
        if mood == "created":
            return self.say(201, json.dumps(CALLS[call](json.loads(body))).encode())
        if mood == "garbage":
            return self.say(200, b"\xff\x00<html>VERIFIED</html>")
        if mood == "silent":
            self.close_connection = True
            return None
        if mood == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(80):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
            return None
        answer = CALLS[call](json.loads(body))
        if mood == "huge":
            answer["message"] = "x" * (10 * 1024 * 1024)
        if mood == "stranger":
            answer["verificationUuid"] = "00000000-0000-4000-8000-000000000000"
        return self.say(200, json.dumps(answer).encode(), [("Content-Type", "application/json")])


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # clients that hang up are part of the play
    handle_error = lambda *_: None


parser = argparse.ArgumentParser()
parser.add_argument("--token")
parser.add_argument("--header")
parser.add_argument("--key", default=base64.b64encode(bytes(range(32))).decode())
parser.add_argument("--key-of", nargs=2, action="append", default=[], metavar=("INPUT", "BASE64"))
parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
parser.add_argument("--customers")
ARGS = parser.parse_args()
if ARGS.customers:
    with open(ARGS.customers, encoding="utf-8") as file:
        CUSTOMERS = json.load(file)
server = Server(("127.0.0.1", 0), Backend)
if ARGS.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(*ARGS.tls)
    server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"ready {server.server_port}", flush=True)
sys.stdin.read()
