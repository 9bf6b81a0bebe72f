"""What a Fortinet gateway shows: second factors, redirects, the configuration (fortinet.md sections 3, 4 and 10)."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from ipaddress import IPv4Network
from urllib.parse import parse_qsl

from lxml import etree

from vpnclient.lab.settings import LabSettings
from vpnclient.lab.store import LabSession

MAX_FIELDS = 64  # fields in one answer
MAX_VALUE = 4096  # characters of one value
GROUP, PORTAL = "labusers", "full-access"


class BadForm(Exception):
    """A client's answer cannot be used: what came, what was wanted."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the configuration says besides the settings.  lifetime: seconds, 0: unlimited."""

    dtls: bool
    may_return: bool
    lifetime: int


def fields_of(body: bytes) -> dict[str, str]:
    """A form-encoded answer, decoded.  Raises BadForm."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as exc:  # not UTF-8, or too many fields
        raise BadForm(f"form data: {exc}") from exc
    if any(len(value) > MAX_VALUE for _, value in pairs):
        raise BadForm(f"value: want <= {MAX_VALUE} characters")
    return dict(pairs)


def page(text: str = "Lab gateway") -> bytes:
    return f"<html><body>{escape(text)}</body></html>\n".encode()


def script_redirect(target: str) -> bytes:
    """As FortiOS 7.4 and later send it (Q8)."""
    text = f'if (window!=top) top.location=window.location;top.location="{target}";'
    return f"<html><head><script>{text}</script></head></html>\n".encode()


def line_challenge(request: str, prompt: str, *, push: bool) -> bytes:
    """request: what the answer is known by."""
    info = "ftm_push" if push else ""  # an empty one is a challenge, too (Q4)
    return (
        f"ret=2,reqid={request},polid=1-1-2002,grp={GROUP},portal={PORTAL},peer=,magic=1-{request},"
        f"tokeninfo={info},chal_msg={prompt}"
    ).encode()


def page_challenge(user: str, request: str, prompt: str) -> bytes:
    """The same as a page, whose status is 401 (section 3.5)."""
    hidden = {"magic": f"1-{request}", "username": user, "reqid": request, "grpid": "0,1,1"}
    fields = "".join(f'<input type="hidden" name="{key}" value="{escape(value)}">' for key, value in hidden.items())
    form = f'{fields}<input type="password" name="credential"><input type="submit" value="OK">'
    form = f'<form action="/remote/logincheck" method="POST">{form}</form>'
    return f"<html><body><b>{prompt}</b>{form}</body></html>".encode()


def host_check(action: str) -> bytes:
    """The page of a sign-in that was good, so far (section 3.8)."""
    return f'<html><body><form action="{action}" method="POST"></form></body></html>\n'.encode()


def configuration(settings: LabSettings, session: LabSession, told: Told, *, spent: bool) -> bytes:
    """spent: this session gets no other address."""
    root = etree.Element("sslvpn-tunnel", ver="2", dtls="1" if told.dtls else "0", patch="1")
    etree.SubElement(root, "dtls-config", {"heartbeat-interval": str(settings.dpd), "heartbeat-fail-count": "10"})
    etree.SubElement(root, "tunnel-method", value="ppp")
    etree.SubElement(root, "tunnel-method", value="tun")
    etree.SubElement(root, "fos", platform="LAB", major="7", minor="00", patch="5", build="0304")
    reauth = {"check-src-ip": "0", "tun-connect-without-reauth": "1" if told.may_return else "0"}
    etree.SubElement(root, "auth-ses", {**reauth, "tun-user-ses-timeout": "240"})
    four = etree.SubElement(root, "ipv4")
    _names(four, settings, 4)
    etree.SubElement(four, "assigned-addr", ipv4="error" if spent else str(session.v4.ip))
    _networks(four, settings, 4)
    if session.v6 is not None:
        six = etree.SubElement(root, "ipv6")
        _names(six, settings, 6)
        own = {"ipv6": str(session.v6.ip), "prefix-len": str(session.v6.network.prefixlen)}
        etree.SubElement(six, "assigned-addr", own)
        _networks(six, settings, 6)
    etree.SubElement(root, "idle-timeout", val="0")
    etree.SubElement(root, "auth-timeout", val=str(told.lifetime))
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + etree.tostring(root, encoding="utf-8") + b"\n"


def _names(section: etree._Element, settings: LabSettings, version: int) -> None:
    key = "ip" if version == 4 else "ipv6"
    servers = [str(server) for server in settings.dns if server.version == version]
    for server in servers:
        etree.SubElement(section, "dns", {key: server, "domain": settings.default_domain})
    if settings.split_dns and servers:
        numbered = {f"dnsserver{number}": server for number, server in enumerate(servers[:9], 1)}
        etree.SubElement(section, "split-dns", {"domains": ",".join(settings.split_dns), **numbered})


def _networks(section: etree._Element, settings: LabSettings, version: int) -> None:
    for negate, networks in (("0", settings.routes), ("1", settings.no_routes)):
        chosen = [net for net in networks if net.version == version]
        if not chosen:
            continue
        info = etree.SubElement(section, "split-tunnel-info", negate=negate)
        for net in chosen:
            if isinstance(net, IPv4Network):
                etree.SubElement(info, "addr", ip=str(net.network_address), mask=str(net.netmask))
            else:
                six = {"ipv6": str(net.network_address), "prefix-len": str(net.prefixlen)}
                etree.SubElement(info, "addr", six)
