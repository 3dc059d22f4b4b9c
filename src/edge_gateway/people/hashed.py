"""A secret as its scrypt hash, and whether one fits it; keeps no secret and reads no file.

Cost: N = 2^14, r = 8, p = 5, one of the settings that OWASP's Password Storage Cheat Sheet calls equivalent; 16 MiB for a moment.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from base64 import b64decode, b64encode

from edge_gateway.errors import GatewayError

N, R, P = 1 << 14, 8, 5
_SALT_BYTES, _HASH_BYTES = 16, 32
#: Bounds of a secret, in characters. The upper one only keeps a mistake from being hashed.
LEAST, MOST = 8, 256
#: Costs beyond these are no hash that this program wrote: a file could make every proof last for minutes.
_MOST_N, _MOST_R, _MOST_P = 1 << 17, 16, 16
_FORM = re.compile(r"^scrypt\$(\d{1,7})\$(\d{1,3})\$(\d{1,3})\$([A-Za-z0-9+/=]{8,64})\$([A-Za-z0-9+/=]{43,88})\Z")


class SecretRefused(GatewayError):
    """A secret that is none: choose another one."""


def hashed(secret: str) -> str:
    """``scrypt$N$r$p$salt$hash``. Raises SecretRefused for one that is too short, too long, or not one line of text."""
    if not LEAST <= len(secret) <= MOST or not secret.isprintable() or not secret.strip():
        raise SecretRefused(f"a secret is {LEAST} to {MOST} characters, on one line", hint="several words are easier to remember than signs")
    salt = os.urandom(_SALT_BYTES)
    return f"scrypt${N}${R}${P}${b64encode(salt).decode()}${b64encode(_scrypt(secret, salt, N, R, P)).decode()}"


def sound(text: str) -> bool:
    """Whether this is a hash that ``fits`` can look at."""
    found = _FORM.match(text)
    if found is None:
        return False
    try:
        kept = [b64decode(each, validate=True) for each in found.groups()[3:]]
    except ValueError:
        return False
    n, r, p = (int(number) for number in found.groups()[:3])
    return all(kept) and 1 < n <= _MOST_N and n & (n - 1) == 0 and 0 < r <= _MOST_R and 0 < p <= _MOST_P


def fits(secret: str, text: str) -> bool:
    """Whether the secret is the one of this hash; takes as long either way, but for a text that is no sound hash."""
    found = _FORM.match(text)
    if found is None or not sound(text):
        return False
    n, r, p = (int(number) for number in found.groups()[:3])
    return hmac.compare_digest(_scrypt(secret[:MOST], b64decode(found[4]), n, r, p), b64decode(found[5]))


def mark(text: str) -> str:
    """What tells one hash from another in a record, and gives nobody anything to try secrets against."""
    return hashlib.sha256(b"edge-gateway/people " + text.encode()).hexdigest()[:16]


def _scrypt(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, dklen=_HASH_BYTES, maxmem=256 * n * r + (1 << 20))
