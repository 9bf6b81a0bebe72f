"""The built-in host report: who and where, and that nothing is known of any product (section 10)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import NAMESPACE_DNS, uuid5
from xml.sax.saxutils import escape, quoteattr

from protocols.gp.cookie import SessionCookie
from protocols.gp.identity import APP_VERSION, Identity

CATEGORIES = ("anti-malware", "disk-backup", "disk-encryption", "firewall", "patch-management", "data-loss-prevention")
INTERFACE = "tun0"  # what is told of the network is what the gateway knows already: the tunnel
NO_MAC = "02-00-00-00-00-01"


@dataclass(frozen=True, slots=True)
class Facts:
    """now: local time, MM/DD/YYYY HH:MM:SS.  Addresses: numeric, or empty."""

    checksum: str
    cookie: SessionCookie
    ipv4: str
    ipv6: str
    identity: Identity
    version: str
    now: str


def minimal(facts: Facts) -> bytes:
    """The document."""
    computer = facts.cookie.get("computer") or facts.identity.computer
    host_id = str(uuid5(NAMESPACE_DNS, computer))  # stable per machine name, tells nothing more (section 14)
    who = _element("user-name", facts.cookie.get("user")) + _element("domain", facts.cookie.get("domain"))
    where = _element("ip-address", facts.ipv4) + _element("ipv6-address", facts.ipv6)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<hip-report name="hip-report">',
        _element("md5-sum", facts.checksum),
        who + _element("host-name", computer) + _element("host-id", host_id),
        where + _element("generate-time", facts.now) + _element("hip-report-version", "4"),
        "<categories>",
        _host_info(facts, computer, host_id),
        *(_category(name) for name in CATEGORIES),
        "</categories>",
        "</hip-report>",
    ]
    return "\n".join(lines).encode("utf-8", "replace")


def _host_info(facts: Facts, computer: str, host_id: str) -> str:
    system = facts.identity.client_os
    inside = _element("client-version", facts.version or APP_VERSION) + _element("os", facts.identity.os_version)
    inside += _element("os-vendor", {"Windows": "Microsoft", "Mac": "Apple", "iOS": "Apple"}.get(system, system))
    inside += _element("domain", "") + _element("host-name", computer) + _element("host-id", host_id)
    addresses = "".join(
        f"<{name}><entry name={quoteattr(address)}/></{name}>" if address else f"<{name}/>"
        for name, address in (("ip-address", facts.ipv4), ("ipv6-address", facts.ipv6))
    )
    described = _element("description", INTERFACE) + _element("mac-address", NO_MAC) + addresses
    interfaces = f"<network-interface><entry name={quoteattr(INTERFACE)}>{described}</entry></network-interface>"
    return f'<entry name="host-info">{inside}{interfaces}</entry>'


def _category(name: str) -> str:
    missing = "<missing-patches/>" if name == "patch-management" else ""
    return f'<entry name="{name}"><list/>{missing}</entry>'


def _element(name: str, text: str) -> str:
    shown = "".join(char for char in text if char.isprintable())
    return f"<{name}>{escape(shown)}</{name}>"
