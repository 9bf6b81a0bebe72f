"""Answers to an HTTP proxy's 407: Basic and Digest.  Pure: the client nonce comes in as an argument.

Digest is RFC 7616: MD5, SHA-256 and SHA-512-256, each also as -sess; qop `auth` or the old form without; userhash.
NTLM and Negotiate are recognised, to be named in an error, but not answered.

Source: RFC 9110 section 11, RFC 7616, RFC 7617; auth-helpers.md 5.3 with the vectors of its section 11.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MAX_CHALLENGES = 16
MAX_PARAMETERS = 32  # per challenge

_CHAR = r"[-!#$%&'*+.^_`|~0-9A-Za-z]"
_END = r"(?=[ \t]*(?:,|$))"
_TOKEN = re.compile(rf"{_CHAR}+")
_PARAMETER = re.compile(rf'({_CHAR}+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_CHAR}+)){_END}')
_TOKEN68 = re.compile(rf"[ \t]+([-._~+/0-9A-Za-z]+=*){_END}")
_ESCAPED = re.compile(r"\\(.)")

# Digest algorithms we know, the best first.
_HASHES = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a 401 or 407.  scheme and parameter names: lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    token: str = ""  # a token68, as NTLM and Negotiate use

    @property
    def algorithm(self) -> str:
        """Of a Digest challenge, in upper case; empty: one that we do not know."""
        name = self.parameters.get("algorithm", "MD5").upper()
        return name if name.removesuffix("-SESS") in _HASHES else ""

    @property
    def stale(self) -> bool:
        """Only the nonce was too old; user and password were right."""
        return self.parameters.get("stale", "").lower() == "true"


def parse_challenges(lines: Iterable[str]) -> list[Challenge]:
    """All challenges of some header lines, several in one line allowed; what makes no sense ends its line."""
    found: list[Challenge] = []
    for line in lines:
        found += _parse_line(line)
    return found[:MAX_CHALLENGES]


def _parse_line(line: str) -> list[Challenge]:
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    at = 0
    while at < len(line) and len(found) < MAX_CHALLENGES:
        if line[at] in " \t,":
            at += 1
            continue
        pair = _PARAMETER.match(line, at)
        if pair is not None and found:
            if len(parameters) < MAX_PARAMETERS:
                quoted = pair[2] is not None
                parameters.setdefault(pair[1].lower(), _ESCAPED.sub(r"\1", pair[2]) if quoted else pair[3])
            at = pair.end()
            continue
        scheme = _TOKEN.match(line, at)
        if scheme is None:
            break
        token = _TOKEN68.match(line, scheme.end())
        parameters = {}
        found.append(Challenge(scheme[0].lower(), parameters, token[1] if token else ""))
        at = token.end() if token else scheme.end()
    return found


def best_digest(challenges: Iterable[Challenge]) -> Challenge | None:
    """The Digest challenge with the strongest algorithm that we can answer."""
    order = list(_HASHES)
    usable = [one for one in challenges if one.scheme == "digest" and one.algorithm and _qop(one) is not None]
    usable = [one for one in usable if "nonce" in one.parameters]
    return min(usable, key=lambda one: order.index(one.algorithm.removesuffix("-SESS")), default=None)


def basic(user: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617, UTF-8)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def digest(challenge: Challenge, user: str, password: str, *, method: str, uri: str, cnonce: str) -> str:
    """The value of an Authorization header for a challenge that `best_digest` chose; nc is always 1."""
    given = challenge.parameters
    realm, nonce, qop = given.get("realm", ""), given["nonce"], _qop(challenge)

    def hashed(*parts: str) -> str:
        return hashlib.new(
            _HASHES[challenge.algorithm.removesuffix("-SESS")], ":".join(parts).encode(), usedforsecurity=False
        ).hexdigest()

    secret = hashed(user, realm, password)
    if challenge.algorithm.endswith("-SESS"):
        secret = hashed(secret, nonce, cnonce)
    middle = (nonce, "00000001", cnonce, qop) if qop else (nonce,)
    userhash = given.get("userhash", "").lower() == "true"
    fields = [
        f"username={_quoted(hashed(user, realm) if userhash else user)}",
        f"realm={_quoted(realm)}",
        f"nonce={_quoted(nonce)}",
        f"uri={_quoted(uri)}",
        f'response="{hashed(secret, *middle, hashed(method, uri))}"',
    ]
    if "algorithm" in given:
        fields.append(f"algorithm={given['algorithm']}")
    if "opaque" in given:
        fields.append(f"opaque={_quoted(given['opaque'])}")
    if qop or challenge.algorithm.endswith("-SESS"):
        fields.append(f"cnonce={_quoted(cnonce)}")
    if qop:
        fields += [f"qop={qop}", "nc=00000001"]
    if userhash:
        fields.append("userhash=true")
    return "Digest " + ", ".join(fields)


def _qop(challenge: Challenge) -> str | None:
    """`auth`; empty: the old form without; None: only protections that we do not offer."""
    text = challenge.parameters.get("qop")
    if text is None:
        return ""
    return "auth" if "auth" in (part.strip().lower() for part in text.split(",")) else None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
