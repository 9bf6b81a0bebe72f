"""One HTTP/1 request and its answer, sans-IO: bytes out once, bytes in until `done`.

    HEAD --1xx--> HEAD --answer--> BODY --> DONE        (head only, and 2xx to CONNECT: HEAD --> DONE)

h11 writes the request and frames the body of the answer; the head is read by http_head.py, which is more lenient, and
h11 is shown only the headers that frame.  Texts of h11 are never passed on whole: they may quote a cookie.

Units: bytes.  Source: anyconnect.md section 1; RFC 9112 section 6.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NoReturn

from transports.errors import ConnectionLost, HttpError
from transports.http_head import MAX_HEAD, MAX_LINE, Head, HeadReader

if TYPE_CHECKING:
    import h11

MAX_BODY = 16777216  # bytes of an answer's body, packed and unpacked alike
MAX_OVERHEAD = 1048576  # bytes of chunk sizes and extensions beyond the body: 200 000 chunks
MAX_INTERIM = 16  # 1xx answers before the real one
MAX_CODED = 32  # characters of a content coding's name that an error shows

_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_TARGET = re.compile(r"[\x21-\x7e]+")
_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_FORBIDDEN = re.compile(r"[\r\n\0\x0b\x0c]")
_GZIP = 31  # zlib: a gzip header is wanted, window of 32 KiB

Headers = Sequence[tuple[str, str]]


class GaveNoAnswer(ConnectionLost):
    """The connection ended before a whole status line: the request may be repeated on a new one (Q8)."""


class Phase(Enum):
    HEAD = "head"
    BODY = "body"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent.  Refuses at birth what would inject a line: raises HttpError, never showing a value."""

    method: str
    target: str  # path and query; host:port for a proxy
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if not _METHOD.fullmatch(self.method):
            raise HttpError(f"got method {self.method!r}, want upper-case letters")
        if not _TARGET.fullmatch(self.target):
            raise HttpError("the request's path holds a blank, a control or a non-ASCII character")
        for name, value in self.headers:
            if not _NAME.fullmatch(name):
                raise HttpError(f"got header name {name!r}, want an HTTP token")
            if _FORBIDDEN.search(value):
                raise HttpError(f"header {name}: the value holds a line end or another control character")
            try:
                value.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                raise HttpError(f"header {name}: the value is not valid text") from None


class Exchange:
    """A request and its answer.  Feed until `done`; then `head`, `body`, `unread` and `reusable` are final."""

    def __init__(self, request: Request, where: str, *, head_only: bool = False, max_head: int = MAX_HEAD) -> None:
        """where: the peer's name, for error texts.  head_only: HTTP ends with the head of the answer."""
        import h11  # heavy: only when a request is made

        self._h11 = h11
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_LINE)
        self._request, self._where, self._head_only = request, where, head_only
        self._reader = HeadReader(where, max_head=max_head)
        self._phase = Phase.HEAD
        self._interim = 0
        self._wire = 0  # bytes of framed body taken
        self._raw = bytearray()
        self._head: Head | None = None
        self.body = b""  # unpacked
        self.unread = b""  # what followed the answer

    @property
    def done(self) -> bool:
        return self._phase is Phase.DONE

    @property
    def started(self) -> bool:
        """A whole status line came: the request must not be repeated silently."""
        return self._phase is not Phase.HEAD or self._reader.has_status_line or self._interim > 0

    @property
    def head(self) -> Head:
        """The final answer's head; only once the head is in."""
        assert self._head is not None, "no head yet"
        return self._head

    @property
    def reusable(self) -> bool:
        """Another request may follow on this connection (never after HTTP/1.0, Q5)."""
        h11 = self._h11
        return (
            self.done
            and not self.unread
            and not self._head_only
            and self._connection.our_state is h11.DONE
            and self._connection.their_state is h11.DONE
        )

    def to_send(self) -> bytes:
        """The request's bytes; call once.  Raises HttpError: the headers contradict the body."""
        h11, request = self._h11, self._request
        headers = [(name, value.strip(" \t").encode("utf-8", "surrogateescape")) for name, value in request.headers]
        try:
            out = self._connection.send(h11.Request(method=request.method, target=request.target, headers=headers))
            if self._head_only and not request.body:
                return out or b""  # Network Connect tells a length, and sends no body
            if request.body:
                out = (out or b"") + (self._connection.send(h11.Data(data=request.body)) or b"")
            return (out or b"") + (self._connection.send(h11.EndOfMessage()) or b"")
        except h11.LocalProtocolError as exc:
            # not `from exc`: its text quotes header values
            raise HttpError(f"request not sent: {_safe(exc)}") from None

    def feed(self, data: bytes) -> None:
        """Take bytes of the answer.  Raises HttpError: close the connection."""
        if self._phase is Phase.HEAD:
            self._reader.feed(data)
            self._read_heads()
        elif self._phase is Phase.BODY:
            self._feed_body(data)
        else:
            self.unread += data

    def feed_eof(self) -> None:
        """The stream ended.  Ends a body that has no length (Q30); anything else raises."""
        if self._phase is Phase.HEAD:
            if not self.started:
                raise GaveNoAnswer(f"{self._where}: the connection ended before the answer")
            raise ConnectionLost(f"{self._where}: the connection ended inside the answer's head")
        if self._phase is Phase.BODY:
            self._connection.receive_data(b"")
            self._read_body()
            if not self.done:
                raise ConnectionLost(f"{self._where}: the connection ended inside the answer's body")

    def _read_heads(self) -> None:
        while (head := self._reader.next_head()) is not None:
            if head.status >= 200:
                self._on_head(head)
                return
            self._interim += 1
            if head.status == 101 or self._interim > MAX_INTERIM:
                raise HttpError(f"{self._where}: got interim answer {head.status}, want the final one")

    def _on_head(self, head: Head) -> None:
        self._head = head
        rest = self._reader.unread
        tunnel = self._request.method == "CONNECT" and head.status < 300
        if self._head_only or tunnel:  # a length here means nothing (RFC 9110, 9.3.6; auth-helpers Q16)
            self._phase, self.unread = Phase.DONE, rest
            return
        self._phase = Phase.BODY
        self._connection.receive_data(_framing_head(head))
        self._read_body()
        if self._phase is Phase.BODY:
            self._refuse_unending(head)
        self.feed(rest)

    def _refuse_unending(self, head: Head) -> None:
        """Without a length the body ends with the connection: then the gateway must say that it will close."""
        if head.values("Transfer-Encoding") or head.values("Content-Length"):
            lengths = [int(text.split(",")[0]) for text in head.values("Content-Length")]  # checked by h11
            if not head.values("Transfer-Encoding") and max(lengths) > MAX_BODY:
                raise HttpError(f"{self._where}: Content-Length {max(lengths)} exceeds {MAX_BODY} bytes")
        elif self._connection.their_state is self._h11.SEND_BODY and not self._will_close(head):
            raise HttpError(f"{self._where}: an HTTP/1.1 answer without length that does not close")

    def _will_close(self, head: Head) -> bool:
        asked = [value for name, value in self._request.headers if name.lower() == "connection"]
        said = head.values("Connection")
        if self._request.method == "CONNECT":
            said += head.values("Proxy-Connection")
        tokens = ",".join(said + asked).lower().split(",")
        return head.version == "1.0" or "close" in (token.strip() for token in tokens)

    def _feed_body(self, data: bytes) -> None:
        if not data:
            return  # to h11 it would mean the end
        self._wire += len(data)
        self._connection.receive_data(data)
        self._read_body()
        if not self.done and self._wire - len(self._raw) > MAX_OVERHEAD:
            raise HttpError(f"{self._where}: more than {MAX_OVERHEAD} bytes of chunk framing")

    def _read_body(self) -> None:
        h11 = self._h11
        while True:
            try:
                event = self._connection.next_event()
            except h11.RemoteProtocolError as exc:
                self._on_h11_error(exc)
            if isinstance(event, h11.Data):
                self._raw += event.data
                if len(self._raw) > MAX_BODY:
                    raise HttpError(f"{self._where}: the answer's body exceeds {MAX_BODY} bytes")
            elif isinstance(event, h11.EndOfMessage):
                self._finish()
                return
            elif not isinstance(event, h11.Response):
                return  # NEED_DATA

    def _on_h11_error(self, error: h11.RemoteProtocolError) -> NoReturn:
        if self._connection.trailing_data[1]:  # the stream has ended: this is about what is missing
            raise ConnectionLost(f"{self._where}: the connection ended inside the answer's body") from None
        raise HttpError(f"{self._where}: the answer breaks HTTP: {_safe(error)}") from None

    def _finish(self) -> None:
        self._phase = Phase.DONE
        self.unread = self._connection.trailing_data[0]
        raw, self._raw = bytes(self._raw), bytearray()
        self.body = unpack(raw, self.head, self._where)


def unpack(raw: bytes, head: Head, where: str) -> bytes:
    """The body without its content coding: gzip or none.  Never grows past MAX_BODY bytes."""
    codings = [name.strip().lower() for name in ",".join(head.values("Content-Encoding")).split(",")]
    codings = [name for name in codings if name not in ("", "identity")]
    if not codings or not raw:
        return raw
    if codings not in (["gzip"], ["x-gzip"]):
        raise HttpError(f"{where}: got content coding {','.join(codings)[:MAX_CODED]!r}, want gzip or none")
    import zlib

    unpacker = zlib.decompressobj(wbits=_GZIP)
    try:
        body = unpacker.decompress(raw, MAX_BODY)
    except zlib.error as exc:
        raise HttpError(f"{where}: the answer's gzip data is damaged") from exc
    if len(body) >= MAX_BODY and not unpacker.eof:
        raise HttpError(f"{where}: the answer's body exceeds {MAX_BODY} bytes once unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise HttpError(f"{where}: the answer's gzip data ends too early or is followed by other bytes")
    return body


def _framing_head(head: Head) -> bytes:
    """The head as h11 needs to see it: status line, and the headers that say where the body ends."""
    lines = [f"HTTP/{head.version} {head.status} "]
    lines += [f"{name}: {value}" for name, value in head.headers if name.lower() in _FRAMING]
    return "\r\n".join([*lines, "", ""]).encode()


def _safe(error: Exception) -> str:
    """The part of an h11 error's text that quotes nothing from the wire."""
    return re.split(r"[:(]|b'|b\"|bytearray", str(error))[0].strip()
