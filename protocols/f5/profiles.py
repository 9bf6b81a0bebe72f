"""The list of network access resources, and which one to use (section 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from protocols import markup
from protocols.errors import ConfigurationRefused, MalformedAnswer
from protocols.f5.errors import SessionRejected
from protocols.text import one_line

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_DOCUMENT = 4 * 2**20  # bytes
MAX_ELEMENTS = 100_000
MAX_PARAMS = 4096  # characters
MAX_PROFILES = 1000
_UNSAFE = re.compile(r"[^\x21-\x7e]|#")
_OUTER = "outform=xml&client_version=2.0"

LIST = f"/vdesk/vpn/index.php3?{_OUTER}"
RESOURCES = "/vdesk/resource_list.xml?resourcetype=res"  # for gateways whose list is empty


@dataclass(frozen=True, slots=True)
class Profile:
    """params: what the gateway wants to see in the URL, unchanged."""

    identifier: str
    name: str
    caption: str
    params: str

    @property
    def target(self) -> str:
        return f"/vdesk/vpn/connect.php3?{self.params}&{_OUTER}"

    def is_called(self, wanted: str) -> bool:
        low = wanted.casefold()
        return low in (self.identifier.casefold(), self.name.casefold(), self.caption.casefold())


def document(body: bytes, code: str) -> _Element:
    """The root of an XML answer.  Raises ConfigurationRefused with the code, SessionRejected for a page (Q9)."""
    try:
        root = markup.xml(body, code=code, limit=MAX_DOCUMENT)
    except MalformedAnswer as exc:
        if b"<html" in body[:1024].lower():
            raise _page_instead() from exc
        raise ConfigurationRefused(code, str(exc)) from exc
    if markup.local_name(root).lower() == "html":
        raise _page_instead()
    if sum(1 for _ in root.iter()) > MAX_ELEMENTS:
        raise ConfigurationRefused(code, f"more than {MAX_ELEMENTS} elements")
    return root


def parse(body: bytes) -> tuple[Profile, ...]:
    """The profiles of the list; none: there are none.  Raises ConfigurationRefused, SessionRejected."""
    root = document(body, "config-bad-profile")
    name, kind = markup.local_name(root), str(root.get("type") or "")
    if name != "favorites" or kind != "VPN":
        got = f"root element {name[:40]!r} of type {kind[:40]!r}"
        raise ConfigurationRefused("config-bad-profile", f"{got}, want 'favorites' of type 'VPN'")
    found = [_profile(child) for child in markup.children(root) if markup.local_name(child) == "favorite"]
    return tuple(profile for profile in found if profile.params)[:MAX_PROFILES]


def choose(profiles: tuple[Profile, ...], wanted: str) -> Profile:
    """The one that is wanted if there is one of that name, else the first.  Raises ConfigurationRefused."""
    if not profiles:
        raise ConfigurationRefused("config-no-profile", "no network access resource is assigned to this user")
    named = (profile for profile in profiles if wanted and profile.is_called(wanted))
    chosen = next(named, profiles[0])
    if len(chosen.params) > MAX_PARAMS or _UNSAFE.search(chosen.params):
        text = f"params of {len(chosen.params)} characters, want at most {MAX_PARAMS} without blanks, '#' and controls"
        raise ConfigurationRefused("config-bad-profile", text)
    return chosen


def resource_query(body: bytes) -> str:
    """Where the other list is to be asked for; empty: it offers no network access."""
    root = document(body, "config-bad-profile")
    uri = next((str(opt.get("uri") or "") for opt in root.iter("opt") if opt.get("type") == "available_rq"), "")
    entry = next(
        (
            entry
            for group in root.iter("list")
            if group.get("type") == "network_access"
            for entry in group.iter("entry")
            if entry.get("param")
        ),
        None,
    )
    if not uri.startswith("/") or entry is None:
        return ""
    return f"{uri}?{quote(str(entry.get('param')), safe='')}={quote(markup.text(entry).strip(), safe='/')}"


def parse_resources(body: bytes) -> tuple[Profile, ...]:
    """The profiles of the other list."""
    root = document(body, "config-bad-profile")
    found = []
    for item in root.iter("item"):
        identifier = _child(item, "id")
        if identifier:
            params = f"resourcename={quote(identifier, safe='/')}"
            found.append(Profile(identifier, identifier, one_line(_child(item, "caption")), params))
    return tuple(found[:MAX_PROFILES])


def _profile(element: _Element) -> Profile:
    return Profile(
        identifier=str(element.get("id") or ""),
        name=_child(element, "name"),
        caption=one_line(_child(element, "caption")),
        params=_child(element, "params"),
    )


def _child(element: _Element, name: str) -> str:
    found = (markup.text(child).strip() for child in markup.children(element) if markup.local_name(child) == name)
    return next(found, "")


def _page_instead() -> SessionRejected:
    return SessionRejected("the gateway sent a page instead of XML: it no longer knows this session")
