"""Prelogin and portal configuration: documents -> values; which gateway is the best (sections 3, 6 and 7)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocols import markup
from protocols.base import Secret
from protocols.errors import ConfigurationRefused, MalformedAnswer, NotSupported
from protocols.gp.answers import MAX_VALUE, child, value
from protocols.gp.identity import MAX_VERSION
from protocols.text import clean, one_line
from transports.errors import HttpError
from transports.http_url import Url

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_GATEWAYS = 2000
MAX_RULES = 1000  # priority rules of one gateway
MAX_SAML = 2**20  # characters of a saml-request: it may be a whole page
MAX_INTERVAL = 30 * 86400  # seconds
LAST = 2**32  # rank of a gateway without a priority
NONE = ("", "empty")  # a portal cookie that is none (section 6.1)
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]*")
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Prelogin:
    """saml_request: base64, as it came; empty: sign in with a secret."""

    message: str = ""
    user: str = ""  # from the client certificate
    user_label: str = "Username"
    secret_label: str = "Password"
    region: str = ""
    saml_method: str = ""
    saml_request: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class GatewayEntry:
    """host: as the portal names it, perhaps with a port.  rank: smaller is better."""

    host: str
    label: str
    rank: int
    url: Url


@dataclass(frozen=True, slots=True)
class PortalConfig:
    """version: of the portal, to parrot.  hip_interval: seconds; 0: not told.  cookies: names and values, unchanged."""

    gateways: tuple[GatewayEntry, ...]
    name: str = ""
    version: str = ""
    hip_interval: int = 0
    cookies: tuple[tuple[str, Secret], ...] = ()
    unusable: tuple[str, ...] = ()  # gateways that cannot be reached, one text each


def parse_prelogin(root: _Element) -> Prelogin:
    """From a successful <prelogin-response>.  Raises MalformedAnswer."""
    method, request = value(root, "saml-auth-method"), markup.text(child(root, "saml-request")).strip()
    if len(request) > MAX_SAML:
        raise MalformedAnswer("saml-request-invalid", f"{len(request)} characters, want at most {MAX_SAML}")
    defaults = Prelogin()
    return Prelogin(
        message=clean(value(root, "authentication-message")),
        user=one_line(value(root, "ccusername")),
        user_label=one_line(value(root, "username-label")) or defaults.user_label,
        secret_label=one_line(value(root, "password-label")) or defaults.secret_label,
        region=one_line(value(root, "region")),
        saml_method=one_line(method).upper() if request else "",
        saml_request=request if method else "",
    )


def parse_config(root: _Element, region: str) -> PortalConfig:
    """From a <policy>.  Raises ConfigurationRefused, NotSupported."""
    if markup.local_name(root) == "config-criteria":
        raise NotSupported("portal-needs-csc", "the portal wants a check of this computer before it tells gateways")
    if value(root, "has-config").lower() == "no":
        raise ConfigurationRefused(
            "portal-no-config", "the portal has no configuration for this client (another --os may get one)"
        )
    gateways, unusable = _gateways(root, region)
    if not gateways:
        raise ConfigurationRefused(
            "portal-no-gateways",
            f"the portal names {'no usable gateway' if unusable else 'no gateways'}"
            " (try the portal as a gateway, with --path gateway, or another --os)",
        )
    version = " ".join(value(root, "version").split())
    return PortalConfig(
        gateways=gateways,
        name=one_line(value(root, "portal-name")),
        version=version if len(version) <= MAX_VERSION and _VERSION.fullmatch(version) else "",
        hip_interval=_interval(value(root, "hip-collection", "hip-report-interval")),
        cookies=tuple(_cookies(root)),
        unusable=unusable,
    )


def _cookies(root: _Element) -> Iterator[tuple[str, Secret]]:
    """Sent back exactly as they came (Q29)."""
    for name in ("portal-userauthcookie", "portal-prelogonuserauthcookie"):
        text = value(root, name)
        if text not in NONE:
            yield name, Secret(text)


def _interval(text: str) -> int:
    return min(int(text), MAX_INTERVAL) if _NUMBER.fullmatch(text) else 0


def _gateways(root: _Element, region: str) -> tuple[tuple[GatewayEntry, ...], tuple[str, ...]]:
    """Best first; equals stay in the portal's order."""
    listed = child(root, "gateways", "external", "list")
    entries = (
        [one for one in markup.children(listed) if markup.local_name(one) == "entry"] if listed is not None else []
    )
    if len(entries) > MAX_GATEWAYS:
        raise MalformedAnswer("portal-config-invalid", f"{len(entries)} gateways, want at most {MAX_GATEWAYS}")
    found: dict[str, GatewayEntry] = {}
    unusable: list[str] = []
    for entry in entries:
        host = one_line(str(entry.get("name") or ""))
        try:
            url = Url.parse(f"https://{host}/") if "/" not in host and len(host) < MAX_VALUE else None
        except HttpError:
            url = None
        if url is None:
            unusable.append(f"gateway {host[:80]!r} ignored: want a host name or address")
        elif host not in found:
            found[host] = GatewayEntry(host, one_line(value(entry, "description")) or host, _rank(entry, region), url)
    return tuple(sorted(found.values(), key=lambda one: one.rank)), tuple(unusable)


def _rank(entry: _Element, region: str) -> int:
    """The smallest number of a rule for this region or for any, else the entry's own; 0 is for the hand only."""
    rules = child(entry, "priority-rule")
    if rules is None:
        numbers = [value(entry, "priority")]
    else:
        listed = [one for one in markup.children(rules) if markup.local_name(one) == "entry"][:MAX_RULES]
        numbers = [value(one, "priority") for one in listed if str(one.get("name") or "") in (region or "Any", "Any")]
    ranks = [int(number) for number in numbers if _NUMBER.fullmatch(number)]
    return min(ranks, default=LAST) or LAST + 1
