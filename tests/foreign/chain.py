"""Bitcoin's bytes as BIP-144 and BIP-173 have them, read with nothing but Python's standard library."""

import hashlib


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        assert self.at <= len(self.data), "the transaction is cut short"
        return self.data[self.at - count:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def count(self):
        first = self.number(1)
        return first if first < 0xFD else self.number({0xFD: 2, 0xFE: 4, 0xFF: 8}[first])


def transaction(raw):
    """Reads a transaction with witnesses (BIP-144). Gives (txid, inputs, outputs, witnesses)."""
    bytes_ = Bytes(raw)
    version = bytes_.take(4)
    assert bytes_.take(2) == b"\x00\x01", "marker and flag"
    start = bytes_.at
    inputs, outputs = [], []
    for _ in range(bytes_.count()):
        inputs.append((bytes_.take(32)[::-1].hex(), bytes_.number(4)))
        assert bytes_.take(bytes_.count()) == b"", "a script in a segwit input"
        bytes_.take(4)
    for _ in range(bytes_.count()):
        value = bytes_.number(8)
        outputs.append((value, bytes_.take(bytes_.count())))
    body = raw[start:bytes_.at]
    witnesses = [[bytes_.take(bytes_.count()) for _ in range(bytes_.count())] for _ in inputs]
    lock_time = bytes_.take(4)
    assert bytes_.at == len(raw), "bytes after the transaction"
    stripped = version + body + lock_time
    txid = hashlib.sha256(hashlib.sha256(stripped).digest()).digest()[::-1].hex()
    return txid, inputs, outputs, witnesses


BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def segwit_script(address):
    """The script of a bech32 address of witness version 0 (BIP-173)."""
    prefix, _, data = address.rpartition("1")
    values = [BECH32.index(char) for char in data]
    check = 1
    for value in [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + values:
        top, check = check >> 25, ((check & 0x1FFFFFF) << 5) ^ value
        for bit, generator in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
            check ^= generator if (top >> bit) & 1 else 0
    assert check == 1 and values[0] == 0, "no bech32 address of version 0"
    bits = "".join(f"{value:05b}" for value in values[1:-6])
    program = bytes(int(bits[at:at + 8], 2) for at in range(0, len(bits) - len(bits) % 8, 8))
    return bytes([0, len(program)]) + program
