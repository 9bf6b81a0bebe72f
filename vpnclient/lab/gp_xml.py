"""The documents of a GlobalProtect portal and gateway, from their side: forms in, XML and JavaScript out.

Source: globalprotect.md sections 3 to 10 and 17.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import parse_qsl
from xml.sax.saxutils import quoteattr

from vpnclient.lab.settings import LabSettings
from vpnclient.lab.store import LabSession

MAX_FIELDS = 64  # fields in one form
MAX_VALUE = 200_000  # characters of one value: a host report
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
PORTAL, DOMAIN = "GW-N", "(empty_domain)"
VERSION = "6.3.3-619"
TUNNEL = "/ssl-tunnel-connect.sslvpn"
REFUSED = b"errors getting SSL/VPN config"


class BadForm(Exception):
    """A client's form cannot be used: what came, what was wanted."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A gateway as the portal names it."""

    name: str
    label: str
    priority: int


def parse_form(body: bytes) -> dict[str, str]:
    """Raises BadForm, also for a field that is there twice, as real servers do (Q10)."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as exc:  # not UTF-8, or too many fields
        raise BadForm(f"form data: {exc}") from exc
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadForm("a field is there twice")
    if any(len(value) > MAX_VALUE for value in fields.values()):
        raise BadForm(f"value: want <= {MAX_VALUE} characters")
    return fields


def element(tag: str, /, *inside: str, **attributes: str) -> str:
    """inside: what is markup already; see `text` for what is not."""
    given = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{tag}{given}>{''.join(inside)}</{tag}>"


def text(name: str, content: object) -> str:
    return element(name, escape(str(content), quote=False))


def members(name: str, contents: Iterable[object]) -> str:
    return element(name, *(text("member", content) for content in contents))


def document(root: str) -> bytes:
    return (DECLARATION + root + "\n").encode()


def prelogin(label: str) -> bytes:
    return document(
        element(
            "prelogin-response",
            text("status", "Success"),
            text("ccusername", ""),
            text("autosubmit", "false"),
            text("authentication-message", "Enter login credentials"),
            text("username-label", "Username"),
            text("password-label", label),
            text("panos-version", "1"),
            text("region", "US"),
        )
    )


def absent(which: str) -> bytes:
    message = f"GlobalProtect {which} does not exist"
    return document(element("prelogin-response", text("status", "Error"), text("msg", message)))


def challenge(kind: str, prompt: str, token: str) -> bytes:
    """kind: xml, js or html (section 4.1)."""
    if kind == "xml":
        return document(element("challenge", text("respmsg", prompt), text("inputstr", token)))
    script = f'var respStatus = "Challenge";\nvar respMsg = {json.dumps(prompt)};\n'
    script += f'thisForm.inputStr.value = "{token}";\n'
    if kind == "js":
        return script.encode()
    return f"<html><head></head><body>{escape(script)}</body></html>".encode()


def policy(gateways: Iterable[Listed], cookie: str, hip_interval: int) -> bytes:
    """The portal's configuration."""
    entries = (
        element(
            "entry",
            element("priority-rule", element("entry", text("priority", one.priority), name="Any")),
            text("priority", one.priority),
            text("description", one.label),
            name=one.name,
        )
        for one in gateways
    )
    return document(
        element(
            "policy",
            text("has-config", "yes"),
            text("portal-name", "vpnclient lab"),
            text("version", f"{VERSION}      "),
            text("portal-userauthcookie", cookie or "empty"),
            text("portal-prelogonuserauthcookie", "empty"),
            element("hip-collection", text("hip-report-interval", hip_interval)),
            element("gateways", element("external", element("list", *entries))),
        )
    )


def jnlp(session: LabSession, user: str) -> bytes:
    """The login's answer: arguments by position (section 8)."""
    arguments = ["(null)", session.cookie, "0" * 40, PORTAL, user, "LDAP-auth", "vsys1", "%28empty_domain%29"]
    arguments += ["(null)", "", "", "", "tunnel", "-1", "4100", str(session.v4.ip), "", ""]
    arguments += [str(session.v6.ip) if session.v6 is not None else "", "4", "unknown", ""]
    inside = (text("argument", argument) for argument in arguments)
    return document(element("jnlp", element("application-desc", *inside)))


def response(*inside: str, status: str = "success") -> bytes:
    return document(element("response", *inside, status=status))


def error(message: str) -> bytes:
    return response(text("error", message), status="error")


def tunnel_config(
    settings: LabSettings,
    session: LabSession,
    left: float,
    *,
    gateway: tuple[IPv4Address, IPv6Address | None],
    mtu: int,
    ipv6: bool,
    ipsec: str = "",
) -> bytes:
    """left: seconds until the session expires.  gateway: its addresses in the tunnel.  mtu: 0: the client may choose.

    ipsec: the block, or empty.
    """
    six = session.v6 if ipv6 else None
    inside = [
        text("need-tunnel", "yes"),
        text("portal", PORTAL),
        text("user", session.user),
        text("quarantine", "no"),
        text("lifetime", int(left)),
        text("timeout", settings.rekey_time) if settings.rekey_time else "",
        text("disconnect-on-idle", 10800),
        text("ip-address", session.v4.ip),
        text("netmask", "255.255.255.255"),
        text("ip-address-v6", six.ip) if six is not None else "",
        text("mtu", mtu),
        members("dns", (one for one in settings.dns if one.version == 4)),
        members("dns-v6", (one for one in settings.dns if six is not None)),
        members("wins", ("0.0.0.0",)),
        members("dns-suffix", (settings.default_domain,) if settings.default_domain else ()),
        text("default-gateway", session.v4.ip),
        members("access-routes", (one for one in settings.routes if one.version == 4)),
        members("access-routes-v6", (one for one in settings.routes if one.version == 6)),
        members("exclude-access-routes", (one for one in settings.no_routes if one.version == 4)),
        members("exclude-access-routes-v6", (one for one in settings.no_routes if one.version == 6)),
        text("ssl-tunnel-url", TUNNEL),
        text("gw-address", gateway[0]),
        text("gw-address-v6", gateway[1]) if six is not None and gateway[1] is not None else "",
        ipsec,
    ]
    return response(*inside)
