"""What comes by DTLS after the request for a tunnel (section 7): the head of an HTTP answer in one record, or PPP.

An answer that was lost is never repeated; the gateway simply begins with PPP.
"""

from __future__ import annotations

import re

from protocols.errors import DatagramsImpossible, MalformedAnswer
from protocols.f5.errors import SessionRejected
from protocols.framing.ppp_prefixed import F5_PREFIX, f5_length
from protocols.text import one_line
from transports.http import Response

MAX_HEADERS = 100
_STATUS = re.compile(r"HTTP/1\.([0-9]) ([0-9]{3})(?: (.*))?")
_HEADER = re.compile(r"([!-9;-~]+):([^\n]*)")


def is_ppp(record: bytes) -> bool:
    """Whether it begins with a whole packet."""
    length = f5_length(record[:F5_PREFIX]) if len(record) > F5_PREFIX else None
    return length is not None and 0 < length <= len(record) - F5_PREFIX


def parse(record: bytes) -> Response | None:
    """The head of an HTTP answer, as its body what follows in the record; None: it is something else.

    Raises MalformedAnswer.
    """
    if not record.startswith(b"HTTP/1."):
        return None
    head, _, behind = record.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").removesuffix("\r\n").split("\r\n")
    status = _STATUS.fullmatch(first)
    if status is None or len(lines) > MAX_HEADERS:
        raise MalformedAnswer(
            "dtls-bad-answer", f"got {one_line(first)[:80]!r} and {len(lines)} headers, want a status"
        )
    found = [_HEADER.fullmatch(line) for line in lines]
    headers = tuple((match[1], match[2].strip(" \t")) for match in found if match is not None)
    if len(headers) != len(lines):
        raise MalformedAnswer("dtls-bad-answer", f"got {len(lines)} lines of which {len(headers)} are headers")
    return Response(int(status[2]), status[3] or "", headers, behind, "", f"1.{status[1]}")


def judge(response: Response) -> None:
    """Raises what a status other than 200 and 201 means."""
    if response.status in (200, 201):
        return
    said = f"{response.status} {one_line(response.reason)[:200]}".rstrip()
    if 400 <= response.status < 500:
        raise SessionRejected(f"the gateway no longer accepts this session ({said}, by DTLS)")
    raise DatagramsImpossible(f"got HTTP status {said} by DTLS, want 200")
