"""Ethereum's bytes with nothing but Python's standard library: Keccak-256, EIP-55, recovery on secp256k1, and a Safe's own hash."""

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
     0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)


def _permute(lanes):
    rotate = lambda word, by: (word << by | word >> (64 - by)) & (2**64 - 1) if by else word
    register = 1
    for _ in range(24):
        column = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
        mix = [column[(x + 4) % 5] ^ rotate(column[(x + 1) % 5], 1) for x in range(5)]
        lanes = [[lanes[x][y] ^ mix[x] for y in range(5)] for x in range(5)]
        x, y, current = 1, 0, lanes[1][0]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, lanes[x][y] = lanes[x][y], rotate(current, (t + 1) * (t + 2) // 2 % 64)
        for y in range(5):
            row = [lanes[x][y] for x in range(5)]
            for x in range(5):
                lanes[x][y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5])
        for j in range(7):
            register = (register << 1 ^ (register >> 7) * 0x71) % 256
            if register & 2:
                lanes[0][0] ^= 1 << ((1 << j) - 1)
    return lanes


def keccak(data):
    """Keccak-256 with the padding of before SHA-3."""
    padded = bytearray(data) + b"\x01" + bytes(-(len(data) + 1) % 136)
    padded[-1] |= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), 136):
        for i in range(17):
            lanes[i % 5][i // 5] ^= int.from_bytes(padded[start + 8 * i:start + 8 * i + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lanes[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


def _add(one, other):
    if one is None or other is None:
        return one or other
    if one[0] == other[0] and (one[1] + other[1]) % P == 0:
        return None
    slope = 3 * one[0] * one[0] * pow(2 * one[1], -1, P) if one == other else (other[1] - one[1]) * pow(other[0] - one[0], -1, P)
    x = (slope * slope - one[0] - other[0]) % P
    return x, (slope * (one[0] - x) - one[1]) % P


def _times(point, number):
    result = None
    while number:
        result = _add(result, point) if number & 1 else result
        point, number = _add(point, point), number >> 1
    return result


def signer(digest, signature):
    """Whose signature (r, s, v) over a digest this is; a high S is nobody's (EIP-2)."""
    assert len(signature) == 65 and signature[64] in (27, 28), "65 bytes, v 27 or 28"
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    assert 0 < r < N and 0 < s <= N // 2, "r and a low s"
    y = pow(r**3 + 7, (P + 1) // 4, P)
    assert (y * y - r**3 - 7) % P == 0, "r is on the curve"
    y = y if y % 2 == signature[64] - 27 else P - y
    inverse = pow(r, -1, N)
    key = _add(_times((r, y), s * inverse % N), _times(G, -int.from_bytes(digest, "big") * inverse % N))
    return "0x" + keccak(key[0].to_bytes(32, "big") + key[1].to_bytes(32, "big"))[12:].hex()


def checksum(address):
    """The one spelling of EIP-55."""
    digits = address[2:].lower()
    mask = keccak(digits.encode()).hex()
    return "0x" + "".join(c.upper() if int(m, 16) > 7 else c for c, m in zip(digits, mask))


def word(value):
    return value.to_bytes(32, "big") if isinstance(value, int) else bytes.fromhex(value[2:]).rjust(32, b"\0")


def execution(data):
    """Reads the call of `execTransaction`. Gives the ten words that matter, with data and signatures as bytes."""
    name = b"execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
    assert data[:4] == keccak(name)[:4], "calls execTransaction"
    body = data[4:]
    words = [int.from_bytes(body[at:at + 32], "big") for at in range(0, 320, 32)]

    def part(at):
        size = int.from_bytes(body[at:at + 32], "big")
        assert at + 32 + size <= len(body), "the call is cut short"
        return body[at + 32:at + 32 + size]

    to = "0x" + body[12:32].hex()
    return to, words[1], part(words[2]), words[3:9], part(words[9])


def safe_hash(chain_id, safe, nonce, to, value, data, kept):
    """What the owners of a Safe sign (EIP-712); gas and refund are zero."""
    domain = keccak(keccak(b"EIP712Domain(uint256 chainId,address verifyingContract)") + word(chain_id) + word(safe))
    kind = keccak(b"SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,"
                  b"address gasToken,address refundReceiver,uint256 nonce)")
    message = keccak(kind + word(to) + word(value) + keccak(data) + word(0) + word(kept) + bytes(128) + word(nonce))
    return keccak(b"\x19\x01" + domain + message)
