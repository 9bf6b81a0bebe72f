"""The host report (HIP): does the gateway want one, and sending it (section 10).

    hipreportcheck.esp --no--> done
                       --yes--> report: of the user's program, or the built-in minimal one --> hipreport.esp
                                none: a warning once, many gateways do not enforce it (Q6)

The program is called as SCRIPT --cookie SESSION --client-ip A --client-ipv6 B --md5 M --client-os OS, with APP_VERSION
in its environment if the portal named one; the report is its standard output.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from protocols.base import Interface
from protocols.errors import MalformedAnswer
from protocols.gp import answers, formdata, report
from protocols.gp.answers import value
from protocols.gp.cookie import SessionCookie
from protocols.gp.exchange import Exchange
from protocols.gp.identity import Identity
from protocols.text import one_line
from transports.http_url import Url

CHECK = "/ssl-vpn/hipreportcheck.esp"
REPORT = "/ssl-vpn/hipreport.esp"
ROLE = ("client-role", "global-protect-full")
MAX_REPORT = 8 * 2**20  # bytes
PROGRAM_TIMEOUT = 60.0  # seconds
DEFAULT_INTERVAL = 3600  # seconds between two checks, if the portal told none
EARLY = 60  # seconds before its end that an interval is over
HostChecker = Callable[[Sequence[str], Mapping[str, str]], Awaitable[bytes]]  # arguments, environment -> output
_DOCUMENT = re.compile(rb"\s*<")


@dataclass(frozen=True, slots=True)
class HostReport:
    """One session's reports.  version: parroted from the portal, or empty."""

    exchange: Exchange
    url: Url
    cookie: SessionCookie
    identity: Identity
    version: str
    checker: HostChecker | None
    built_in: bool = False
    today: str = ""  # local time for the built-in report, MM/DD/YYYY HH:MM:SS

    async def submit(self, addresses: tuple[Interface, ...]) -> str:
        """Ask, and report if it is wanted; a warning, or empty.  Raises MalformedAnswer, CookieRejected, ..."""
        held: dict[int, str] = {one.version: str(one.ip) for one in addresses}
        checksum = self.cookie.checksum()
        if not await self._wanted(held, checksum):
            return ""
        if self.checker is None and not self.built_in:
            return (
                "the gateway wants a report on this computer and may limit access without one;"
                " name a program with --csd-wrapper, or send the built-in one with --hip-report minimal"
            )
        document = await self._report(held, checksum)
        body = f"{self._common(held)}&report=".encode() + formdata.encode(document).encode("ascii")
        answers.document(await self._post(REPORT, body), "response", secrets=self.cookie.secrets())
        return ""

    async def _wanted(self, held: Mapping[int, str], checksum: str) -> bool:
        body = f"{self._common(held)}&md5={checksum}".encode("ascii")
        root = answers.document(await self._post(CHECK, body), "response", secrets=self.cookie.secrets())
        needed = value(root, "hip-report-needed").lower()
        if needed not in ("yes", "no"):
            got = one_line(needed)[:40]
            raise MalformedAnswer("hip-check-invalid", f"hip-report-needed: got {got!r}, want yes or no")
        return needed == "yes"

    def _common(self, held: Mapping[int, str]) -> str:
        """What both requests begin with."""
        text = f"{formdata.form((ROLE,))}&{self.cookie.text().reveal()}"
        for version, name in ((4, "client-ip"), (6, "client-ipv6")):
            if version in held:
                text += f"&{name}={formdata.encode(held[version])}"
        return text

    async def _report(self, held: Mapping[int, str], checksum: str) -> bytes:
        if self.checker is None:
            return report.minimal(
                report.Facts(
                    checksum=checksum,
                    cookie=self.cookie,
                    ipv4=held.get(4, ""),
                    ipv6=held.get(6, ""),
                    identity=self.identity,
                    version=self.version,
                    now=self.today,
                )
            )
        environment = {"APP_VERSION": self.version} if self.version else {}
        document = await self.checker(arguments(self.cookie, held, checksum, self.identity), environment)
        if len(document) > MAX_REPORT or not _DOCUMENT.match(document):
            raise MalformedAnswer(
                "hip-report-invalid",
                f"the --csd-wrapper program gave {len(document)} bytes, want XML of at most {MAX_REPORT}",
            )
        return document

    async def _post(self, path: str, body: bytes) -> bytes:
        return await self.exchange.ask(replace(self.url, target=path), body)


def arguments(cookie: SessionCookie, held: Mapping[int, str], checksum: str, identity: Identity) -> list[str]:
    """Of the user's program; a family without an address is left out."""
    found = ["--cookie", cookie.text().reveal()]
    for version, name in ((4, "--client-ip"), (6, "--client-ipv6")):
        if version in held:
            found += [name, held[version]]
    return [*found, "--md5", checksum, "--client-os", identity.client_os]


def next_check(interval: int) -> int:
    """Seconds until the next check.  interval: the portal's, 0: it told none."""
    return early(interval or DEFAULT_INTERVAL)


def early(interval: int) -> int:
    """A minute before the end of an interval; of a short one half, at least a second (sections 10 and 13.2)."""
    return interval - EARLY if interval > EARLY else max(interval // 2, 1)
