"""The head of an HTTP/1 answer: status line and headers, read byte-exactly and leniently.

Gateways send what HTTP libraries refuse: lines without a colon (pieces of XML, anyconnect.md 3.3), continuation
lines, names with a space before the colon.  Hence this reader stands before h11, which then sees only the three
headers that frame a body.  Sans-IO; bytes in any chunking give the same head, the same rest or the same error.

Units: bytes.  Source: anyconnect.md section 1 and Q29; RFC 9110 section 5.5, RFC 9112 sections 2.2 and 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from transports.errors import HttpError

MAX_LINE = 65536  # bytes of one line, its continuation lines included
MAX_HEAD = 1048576  # bytes of status line and headers together
MAX_HEADERS = 10000
MAX_EMPTY_LINES = 2  # stray line ends before a status line (RFC 9112, 2.2, the other way round)
SHOWN = 40  # bytes of a bad status line that an error shows

_STATUS_LINE = re.compile(rb"HTTP/(1\.[01])[ \t]+([1-5][0-9][0-9])(?:[ \t]+(.*))?", re.DOTALL)
_TOKEN = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
# RFC 9110, 5.5: CR, LF or NUL inside a value are replaced by a space, or the message is refused.
_CLEAN = bytes.maketrans(b"\0\r\n\x0b\x0c", b"     ")


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers.  Header names keep the gateway's spelling; lookups ignore case."""

    version: str  # "1.0" or "1.1"
    status: int  # 100..599
    reason: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # cookies among them
    ignored: int = 0  # lines that were no headers

    def values(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]


class HeadReader:
    """Takes bytes until the empty line that ends a head; what follows it is left in `unread`."""

    def __init__(self, where: str, *, max_head: int = MAX_HEAD) -> None:
        """where: the peer's name, for error texts.  max_head: bytes."""
        self._where, self._max_head = where, max_head
        self._buf = bytearray()
        self._line_start = 0
        self._searched = 0  # no line end before this index
        self._empty_lines = 0
        self._lines: list[bytearray] = []  # unfolded; the first is the status line
        self._has_status = False

    @property
    def has_status_line(self) -> bool:
        """A whole status line came: the gateway has begun to answer."""
        return self._has_status

    @property
    def unread(self) -> bytes:
        """Bytes after the head; meaningful once `next_head` gave one."""
        return bytes(self._buf)

    def feed(self, data: bytes) -> None:
        """Take any number of bytes.  Then call `next_head`."""
        self._buf += data

    def next_head(self) -> Head | None:
        """The next head; None: more bytes are needed.  Raises HttpError as soon as a cap is exceeded."""
        while True:
            end = self._buf.find(b"\n", self._searched)
            self._check_size(end if end >= 0 else len(self._buf))
            if end < 0:
                self._searched = len(self._buf)
                return None
            line = self._buf[self._line_start : end]
            self._line_start = self._searched = end + 1
            if line.endswith(b"\r"):
                del line[-1]
            if line:
                self._take(line)
            elif self._has_status:
                return self._finish()
            else:
                self._skip_empty()

    def _check_size(self, end: int) -> None:
        """Compare with the caps, so that what arrived together fails as what arrived byte by byte."""
        line_room, head_room = self._line_start + MAX_LINE, self._max_head
        if end <= min(line_room, head_room):
            return
        if line_room < head_room:
            raise HttpError(f"{self._where}: a line of the answer's head exceeds {MAX_LINE} bytes")
        raise HttpError(f"{self._where}: the answer's head exceeds {self._max_head} bytes")

    def _skip_empty(self) -> None:
        self._empty_lines += 1
        if self._empty_lines > MAX_EMPTY_LINES:
            raise HttpError(f"{self._where}: got empty lines, want an HTTP status line")

    def _take(self, line: bytearray) -> None:
        if not self._has_status:
            self._lines.append(line)
            _status(bytes(line), self._where)  # refuse what is not HTTP at once, not after a megabyte
            self._has_status = True
        elif line[0] in b" \t":
            self._unfold(line)
        else:
            self._lines.append(line)
        if len(self._lines) > MAX_HEADERS + 1:
            raise HttpError(f"{self._where}: more than {MAX_HEADERS} headers")

    def _unfold(self, line: bytearray) -> None:
        if len(self._lines) == 1:
            return  # a continuation of the status line: ignored
        before = self._lines[-1]
        if len(before) + len(line) > MAX_LINE:
            raise HttpError(f"{self._where}: a line of the answer's head exceeds {MAX_LINE} bytes")
        before += b" " + line.lstrip(b" \t")

    def _finish(self) -> Head:
        version, status, reason = _status(bytes(self._lines[0]), self._where)
        headers: list[tuple[str, str]] = []
        for line in self._lines[1:]:
            name, colon, value = line.partition(b":")
            name = name.rstrip(b" \t")
            if colon and _TOKEN.fullmatch(name):
                headers.append((name.decode("ascii"), _text(bytes(value))))
        head = Head(version, status, reason, tuple(headers), len(self._lines) - 1 - len(headers))
        del self._buf[: self._line_start]
        self._line_start = self._searched = self._empty_lines = 0
        self._lines.clear()
        self._has_status = False
        return head


def _status(line: bytes, where: str) -> tuple[str, int, str]:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise HttpError(f"{where}: got {line[:SHOWN]!r}, want an HTTP/1 status line")
    return match[1].decode("ascii"), int(match[2]), _text(match[3] or b"")


def _text(value: bytes) -> str:
    """A header value as text: UTF-8, else Latin-1, without the blanks around it."""
    value = value.translate(_CLEAN).strip(b" \t")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
