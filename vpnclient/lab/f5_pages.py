"""What an F5 gateway shows: sign-in pages, the list of resources, the options of one (f5.md sections 3 to 5, 11)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from ipaddress import IPv4Network, IPv6Network
from urllib.parse import parse_qsl

from lxml import etree

from protocols.base import Network
from vpnclient.lab.settings import LabSettings

MAX_FIELDS = 64  # fields in one answer
MAX_VALUE = 4096  # characters of one value
RESOURCE = "/Common/lab"
Z = "/Common/lab1"
_PAGE = """<html><head><title>Lab gateway</title></head><body>
<table><tr><td id="credentials_table_header">{banner}</td></tr>
<tr><td id="credentials_table_postheader">{message}</td></tr></table>
<form id="{form_id}" method="post" action="/my.policy">
{fields}
<input type="submit" value="Logon">
</form></body></html>
"""


class BadForm(Exception):
    """A client's answer cannot be used: what came, what was wanted."""


def fields_of(body: bytes) -> dict[str, str]:
    """A form-encoded answer.  Raises BadForm."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as exc:  # not UTF-8, or too many fields
        raise BadForm(f"form data: {exc}") from exc
    if any(len(value) > MAX_VALUE for _, value in pairs):
        raise BadForm(f"value: want <= {MAX_VALUE} characters")
    return dict(pairs)


def sign_in(settings: LabSettings, message: str) -> bytes:
    """User name, password, and the group if there are several."""
    fields = [_input("text", "username", "Username"), _input("password", "password", "Password")]
    if settings.groups:
        options = "".join(f'<option value="{escape(group)}">{escape(group)}</option>' for group in settings.groups)
        fields.append(f'<select name="domain">{options}</select>')
    fields.append(_input("hidden", "vhost", value="standard"))  # Q7
    return _page("auth_form", fields, settings.banner, message)


def script(settings: LabSettings) -> bytes:
    """The same as a script (section 3.5); without groups."""
    fields = [
        {"type": "text", "name": "username", "caption": "Username", "value": "", "disabled": False},
        {"type": "password", "name": "password", "caption": "Password", "disabled": False},
    ]
    form = {"logon": {"form": {"id": "auth_form", "title": settings.banner or "Lab gateway", "fields": fields}}}
    return f"<html><head><script>appLoader.configure({json.dumps(form)}\n);</script></head></html>".encode()


def second_factor(message: str) -> bytes:
    """The second form has the id of the first (Q8)."""
    fields = [_input("password", "otp_password", "Code"), _input("hidden", "vhost", value="standard")]
    return _page("auth_form", fields, "One more code", message)


def hidden_step() -> bytes:
    """A form that a browser would send by itself (Q6)."""
    return _page("hidden_form", [_input("hidden", "choice", value="0")], "", "")


def webtop() -> bytes:
    return b"<html><body>Lab gateway</body></html>\n"


def profiles() -> bytes:
    root = etree.Element("favorites", type="VPN", limited="YES")
    favorite = etree.SubElement(root, "favorite", id=RESOURCE)
    for name, text in (("caption", "lab"), ("name", RESOURCE), ("params", f"resourcename={RESOURCE}")):
        etree.SubElement(favorite, name).text = text
    return _xml(root)


@dataclass(frozen=True, slots=True)
class Offer:
    """How a session's tunnel may be opened.  session: a secret.  udp_port: 0: no DTLS.  dtls_12: else 1.0 alone."""

    session: str
    ipv6: bool
    hdlc: bool
    udp_port: int = 0
    dtls_12: bool = True


def options(settings: LabSettings, offer: Offer) -> bytes:
    root = etree.Element("favorite")
    holder = etree.SubElement(root, "object", ID="ur_Host")
    # Some clients lose their IPv6 address over UseDefaultGateway0 (section 11).
    everything: tuple[Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0")) if offer.ipv6 else ()
    include = settings.routes or everything
    values = [
        ("ur_Z", Z),
        ("Session_ID", offer.session),
        ("IPV4_0", "1"),
        ("IPV6_0", "1" if offer.ipv6 else "0"),
        ("hdlc_framing", "yes" if offer.hdlc else "no"),
        ("idle_session_timeout", "0"),
        ("tunnel_dtls", "1" if offer.udp_port else "0"),
        ("tunnel_port_dtls", str(offer.udp_port or "")),  # Q10
        *((("dtls_v1_2_supported", "1"),) if offer.dtls_12 else ()),  # Q11
        ("UseDefaultGateway0", "0" if include else "1"),
        ("DNS0", " ".join(str(server) for server in settings.dns if server.version == 4)),
        ("DNS6_0", " ".join(str(server) for server in settings.dns if server.version == 6)),
        ("DNSSuffix0", settings.default_domain),
        ("DNS_SPLIT0", " ".join(settings.split_dns) or "*"),
        *_networks("LAN", include),
        *_networks("ExcludeSubnets", settings.no_routes),
    ]
    for name, text in values:
        etree.SubElement(holder, name).text = text
    return b"\n" + _xml(root)  # Q9


def _networks(name: str, networks: tuple[Network, ...]) -> list[tuple[str, str]]:
    four = [f"{net.network_address}/{net.netmask}" for net in networks if isinstance(net, IPv4Network)]  # Q15
    six = [str(net) for net in networks if not isinstance(net, IPv4Network)]
    return [(f"{name}0", "\n".join(four)), (f"{name}6_0", "\n".join(six))]


def _page(form_id: str, fields: list[str], banner: str, message: str) -> bytes:
    text = _PAGE.format(form_id=form_id, fields="\n".join(fields), banner=escape(banner), message=escape(message))
    return text.encode()


def _input(kind: str, name: str, label: str = "", value: str = "") -> str:
    shown = f'<label for="{name}_id">{label}</label>' if label else ""
    return f'{shown}<input type="{kind}" name="{name}" id="{name}_id" value="{escape(value)}">'


def _xml(root: etree._Element) -> bytes:
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + etree.tostring(root, encoding="utf-8") + b"\n"
