"""An enclave server of the VerifyVASP network as its public documentation describes it, of the standard library alone.

    enclave_server.py --own ID --peer ID --customers FILE [--token TOKEN]... [--header NAME] [--delay SECONDS]
                      [--vasp-api URL --vasp-token TOKEN]

Listens on a free port of 127.0.0.1, prints `ready <port>` and serves until its input ends. It plays our own enclave server
and, behind it, the one other VASP: a person is verified by FILE (address -> name, kyc). Several tokens are several callers.

What it does wrong is set from outside, until it is told `well` again:
    POST /control/mood {"call": C, "mood": M, "token": T}   C: order, item, list, tx, error, vasps, self; T: one caller, or all
    POST /control/lie  {"set": {"path": value}, "token": T} what records say instead of the truth
    POST /control/delay {"seconds": S}                      how long a result takes
Moods: broken (500), busy (503), garbage, redirect, silent, slow, lost (done, but answered with 500), refused (400), unknown (404).
What came in is told under /control/seen, what is kept under /control/records.
"""

import argparse
import json
import sys
import threading
import time
import urllib.request
import uuid
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

LOCK = threading.RLock()
RECORDS, SEEN, MOODS, LIES, HEARD = {}, [], {}, [], []


def now():
    return datetime.now(timezone.utc)


def iso(moment):
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def names(persons):
    for one in persons:
        for name in one.get("naturalPerson", {}).get("name", {}).get("nameIdentifier", []):
            yield [name["primaryIdentifier"], name.get("secondaryIdentifier", "")]


def verdict(order):
    """What the other VASP says."""
    beneficiary = order["payload"]["ivms101"]["beneficiary"]
    address = beneficiary["accountNumber"][0]
    customer = CUSTOMERS.get(address)
    if order["assetInfo"]["symbol"] != "BTC":
        return "DENIED", "UNKNOWN-SYMBOL", order["assetInfo"]["symbol"], address
    if customer is None:
        return "DENIED", "UNKNOWN-ADDRESS", address, address
    if not customer["kyc"]:
        return "DENIED", "UNVERIFIED-KYC", "-", address
    if order["assetInfo"]["isExceedingThreshold"] and customer["name"] not in names(beneficiary["beneficiaryPersons"]):
        return "DENIED", "MISMATCHED-NAME", "-", address
    if customer.get("gives", address) != address:
        return "DENIED", "BENEFICIARY-ACCOUNT-NOT-MATCHED", "-", address
    return "VERIFIED", "OK", None, address


def settle(record):
    """A result comes when its time has come."""
    if record["result"] == "WAIT" and time.monotonic() >= record["_due"]:
        record["result"], record["reason"], record["message"], _ = verdict(record["_order"])
        record["verifiedAt"] = iso(now())
        if ARGS.vasp_api:
            data = {"verificationUuid": record["verificationUuid"], "verificationResult": record["result"],
                    "reason": record["reason"], "message": record["message"]}
            vasp_api("callback", {"callbackType": "VERIFICATION_RESULT", "data": data})
    return record


def vasp_api(call, body):
    """Calls what VEGA_VERIFICATION_*_API_PATH would name."""
    request = urllib.request.Request(f"{ARGS.vasp_api}/{call}", json.dumps(body).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", f"Bearer {ARGS.vasp_token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            said = [answer.status, json.loads(answer.read() or b"null")]
    except urllib.error.HTTPError as error:
        said = [error.code, json.loads(error.read() or b"null")]
    except OSError:
        said = [0, None]
    with LOCK:
        HEARD.append({"call": call, "answer": said})
    return said


class No(Exception):
    def __init__(self, status, code, message=""):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


def needed(asked, *path):
    for name in path:
        if not isinstance(asked, dict) or name not in asked or asked[name] in (None, "", [], {}):
            raise No(400, "MISSING-PARAMETER", ".".join(path))
        asked = asked[name]
    return asked


def order(asked):
    if needed(asked, "keyType") not in ("PerVasp", "PerAddress", "PerVerification"):
        raise No(400, "INVALID-PARAMETER", "keyType")
    if needed(asked, "beneficiaryVaspId") != ARGS.peer:
        raise No(400, "INACTIVE-VASP", "beneficiaryVaspId")
    if "requiredBeneficiaryInfo" not in asked:
        raise No(400, "MISSING-REQUIRED-BENEFICIARY-INFO")
    for field in ("symbol", "amount", "isExceedingThreshold", "tradePrice", "tradeCurrency", "tradeISODatetime"):
        needed(asked, "assetInfo", field)
    if needed(asked, "payload", "version") != "1.0":
        raise No(400, "INVALID-PARAMETER", "payload.version")
    for side, persons in (("originator", "originatorPersons"), ("beneficiary", "beneficiaryPersons")):
        needed(asked, "payload", "ivms101", side, persons)
        needed(asked, "payload", "ivms101", side, "accountNumber")
    ivms, name, created = asked["payload"]["ivms101"], str(uuid.uuid4()), iso(now())
    with LOCK:
        RECORDS[name] = {
            "verificationId": len(RECORDS) + 1, "verificationUuid": name, "result": "WAIT", "reason": None,
            "message": None, "assetInfo": asked["assetInfo"], "txHash": None, "vout": None,
            "originatingVaspId": ARGS.own, "originatorAccountNumber": ivms["originator"]["accountNumber"][0],
            "ivms101Originator": json.dumps(ivms["originator"]), "ivms101OriginatingVasp": "{}",
            "beneficiaryVaspId": asked["beneficiaryVaspId"],
            "beneficiaryAccountNumber": ivms["beneficiary"]["accountNumber"][0],
            "ivms101Beneficiary": json.dumps(ivms["beneficiary"]), "ivms101BeneficiaryVasp": "{}",
            "verifiedAt": None, "orderedAt": None, "createdAt": created,
            "_order": asked, "_due": time.monotonic() + ARGS.delay,
        }
    if ARGS.vasp_api:
        threading.Timer(ARGS.delay + 0.05, lambda: settle_safely(name)).start()
    return {"verificationUuid": name, "createdAt": created}


def settle_safely(name):
    with LOCK:
        settle(RECORDS[name])


def shown(record, token):
    """A record as that caller sees it, lies included."""
    seen = json.loads(json.dumps({k: v for k, v in settle(record).items() if not k.startswith("_")}))
    if seen["verifiedAt"] is None:
        seen["verifiedAt"] = seen["createdAt"]
    for lie in LIES:
        if lie.get("token") in (None, token):
            for path, value in lie["set"].items():
                at = seen
                *outer, last = path.split(".")
                for part in outer:
                    at = at[part]
                at[last] = value
    return seen


def item(name, token):
    with LOCK:
        if name not in RECORDS:
            raise No(404, "VERIFICATION-NOT-FOUND")
        return shown(RECORDS[name], token)


def listed(query, token):
    one = lambda name, default=None: query.get(name, [default])[0]
    page, rpp = int(one("page", "1")), int(one("rpp", "10"))
    pairs = {"symbol": lambda r: r["assetInfo"]["symbol"], "txHash": lambda r: r["txHash"],
             "result": lambda r: r["result"], "oppositeVaspId": lambda r: r["beneficiaryVaspId"],
             "beneficiaryAccountNumber": lambda r: r["beneficiaryAccountNumber"],
             "originatorAccountNumber": lambda r: r["originatorAccountNumber"]}
    moment = lambda text: datetime.fromisoformat(text.replace("Z", "+00:00"))
    with LOCK:
        found = [r for r in RECORDS.values() if all(one(n) in (None, of(settle(r))) for n, of in pairs.items())]
        if one("actionType") == "RECEIVE":
            found = []
        if one("fromDate"):
            found = [r for r in found if moment(r["createdAt"]) >= moment(one("fromDate"))]
        part = [shown(r, token) for r in found[(page - 1) * rpp:page * rpp]]
    return {"count": len(found), "page": page, "rpp": rpp, "verifications": part}


def tx(asked):
    with LOCK:
        record = RECORDS.get(needed(asked, "verificationUuid"))
        if record is None:
            raise No(404, "VERIFICATION-NOT-FOUND")
        record["txHash"], record["vout"] = needed(asked, "txHash"), asked.get("vout")
        record["orderedAt"] = iso(now())
    return {"result": True}


def error(asked):
    with LOCK:
        record = RECORDS.get(needed(asked, "verificationUuid"))
        if record is None:
            raise No(404, "VERIFICATION-NOT-FOUND")
        record["result"], record["reason"] = needed(asked, "result"), needed(asked, "reason")
    return {"result": True}


def vasps():
    one = {"health": "UP", "vaspId": ARGS.peer, "vaspName": "Robot", "isAlliance": True, "protocol": "VERIFYVASP",
           "licensedStatus": None, "vaspStatus": "VERIFIED-MEMBER", "createdAt": iso(now()), "updatedAt": iso(now())}
    return {"vasps": [one]}


class EnclaveServer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_):
        pass

    def say(self, status, body, headers=()):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def caller(self):
        given = self.headers.get(ARGS.header or "Authorization", "")
        given = given if ARGS.header else given.removeprefix("Bearer ")
        return given if given in ARGS.token else (None if ARGS.token else "")

    def control(self, path, asked):
        with LOCK:
            if path == "/control/mood":
                MOODS[(asked["call"], asked.get("token"))] = asked["mood"]
            elif path == "/control/lie":
                LIES[:] = [lie for lie in LIES if lie.get("token") != asked.get("token")]
                LIES.extend([asked] if asked["set"] else [])
            elif path == "/control/delay":
                ARGS.delay = asked["seconds"]
            elif path == "/control/call":
                return self.say(200, vasp_api(asked["call"], asked["body"]))
            elif path == "/control/seen":
                return self.say(200, SEEN)
            elif path == "/control/heard":
                return self.say(200, HEARD)
            elif path == "/control/records":
                kept = [{k: v for k, v in settle(r).items() if not k.startswith("_")} for r in RECORDS.values()]
                return self.say(200, kept)
        return self.say(200, {})

    def handle_call(self, method):
        url = urlparse(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if url.path.startswith("/control/"):
            return self.control(url.path, json.loads(body or b"{}"))
        token = self.caller()
        parts = url.path.strip("/").split("/")
        call = {("GET", 2, "vasps"): "vasps", ("GET", 3, "self"): "self", ("POST", 2, "verifications"): "order",
                ("GET", 2, "verifications"): "list", ("POST", 3, "tx"): "tx", ("POST", 3, "error"): "error"}
        call = call.get((method, len(parts), parts[-1]), "item" if method == "GET" and len(parts) == 3 else None)
        with LOCK:
            SEEN.append({"method": method, "path": url.path, "call": call, "token": token})
            mood = MOODS.get((call, token)) or MOODS.get((call, None)) or "well"
        if token is None:
            return self.say(401, {"code": "UNAUTHORIZED", "message": "-"})
        if mood == "slow":
            time.sleep(7)
        plain = {"broken": (500, b'{"result":"VERIFIED","reason":"OK"}'), "busy": (503, b"{}"),
                 "garbage": (200, b"\xff\x00<html>VERIFIED</html>"),
                 "refused": (400, b'{"code":"INVALID-PARAMETER","message":"Robbins Taylor"}'),
                 "unknown": (404, b'{"code":"VERIFICATION-NOT-FOUND","message":"-"}')}
        if mood in plain:
            return self.say(*plain[mood])
        if mood == "redirect":
            return self.say(307, b"", [("Location", self.path + "?again=1")])
        if mood == "silent":
            self.close_connection = True
            return None
        try:
            asked = json.loads(body) if method == "POST" else None
            answer = {"vasps": vasps, "self": lambda: {"vaspId": ARGS.own}, "order": lambda: order(asked),
                      "list": lambda: listed(parse_qs(url.query), token), "tx": lambda: tx(asked),
                      "error": lambda: error(asked), "item": lambda: item(parts[-1], token)}[call]()
        except No as no:
            return self.say(no.status, {"code": no.code, "message": no.message})
        except (KeyError, ValueError, TypeError):
            return self.say(400, {"code": "INVALID-PARAMETER", "message": "-"})
        return self.say(500, b"{}") if mood == "lost" else self.say(200, answer)

    def do_GET(self):
        self.handle_call("GET")

    def do_POST(self):
        self.handle_call("POST")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # clients that hang up are part of the play
    handle_error = lambda *_: None


parser = argparse.ArgumentParser()
parser.add_argument("--own", required=True)
parser.add_argument("--peer", required=True)
parser.add_argument("--customers", required=True)
parser.add_argument("--token", action="append", default=[])
parser.add_argument("--header")
parser.add_argument("--delay", type=float, default=0.0)
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--vasp-api")
parser.add_argument("--vasp-token", default="")
ARGS = parser.parse_args()
with open(ARGS.customers, encoding="utf-8") as file:
    CUSTOMERS = json.load(file)
server = Server(("127.0.0.1", ARGS.port), EnclaveServer)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"ready {server.server_port}", flush=True)
sys.stdin.read()
