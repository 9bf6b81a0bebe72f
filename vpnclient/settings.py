"""Everything one `connect` run needs, merged from the command line, the environment, a profile and the defaults.

`vpnclient.cli.options` fills it in; the session reads it.  Also the grammar of its smaller texts: the server operand,
--resolve and --form-entry (cli-parity sections 1, 2.2, 2.3 and 13).
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address, ip_address
from pathlib import Path
from urllib.parse import quote

from protocols.base import Secret
from vpnclient.errors import UsageError

DEFAULT_PORT = 443
MAX_SERVER = 2048  # characters of a server operand
MAX_HOST = 253  # characters of a host name (RFC 1035, section 2.3.4)
MIN_MTU = 576  # bytes; less is raised to this (cli-parity 2.9)
MAX_MTU = 65535  # bytes
MAX_INTERFACE = 15  # bytes of a Linux interface name
DNS_MODES = ("auto", "off", "resolved", "resolvconf", "file")
HOST_REPORTS = ("none", "minimal")
DEFAULT_ROUTES = ("half", "no")
WINTUN_WAYS = ("auto", "rings", "session")  # transports.wintun_device.Way
COMPRESSIONS = ("none", "off", "stateless")  # cli-parity 2.9; "all" would add deflate, whose state spans packets
OS_NAMES = ("linux", "linux-64", "win", "mac-intel", "android", "apple-ios")
FOREVER = float("inf")  # reconnect_timeout: never give up

_HOST_ALLOWS = frozenset(string.ascii_letters + string.digits + "-._")


@dataclass(frozen=True, slots=True)
class Server:
    """A gateway as the user named it.  host: IPv6 in brackets, as in a URL.  path: without the leading slash."""

    host: str
    port: int = DEFAULT_PORT
    path: str = ""

    @property
    def url(self) -> str:
        port = "" if self.port == DEFAULT_PORT else f":{self.port}"
        return f"https://{self.host}{port}/{self.path}"


@dataclass(frozen=True, slots=True)
class FormEntry:
    """An answer given beforehand to one field of one form.  value None: ask, even if the field is hidden."""

    form: str
    field: str
    value: Secret | None = None


@dataclass(frozen=True, slots=True)
class TlsChoice:
    """Whom to trust and who we are, as the user wrote it; files are not yet read, pins are checked but still text."""

    system_trust: bool = True
    cafile: Path | None = None
    pins: tuple[str, ...] = ()
    certificate: Path | None = None
    sslkey: Path | None = None  # None: in the certificate's file
    key_password: Secret | None = None
    sni: str = ""
    ciphers: str = ""
    minimum: str = "1.2"
    maximum: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """One connection.  Times in seconds, sizes in bytes; an empty text or 0 means: not given, use the usual."""

    url: str  # normalised: https://host[:port]/[path]
    profile: str = ""  # name of the profile it came from; names the journal too
    protocol: str = "anyconnect"

    # signing in
    user: str = ""
    authgroup: str = ""
    form_entries: tuple[FormEntry, ...] = ()
    password: Secret | None = None  # used once, for the first password field
    passwd_on_stdin: bool = False
    cookie: Secret | None = None  # given: no sign-in
    non_inter: bool = False
    allow_password: bool = True
    external_auth: bool = False
    xmlpost: bool = True
    csd_wrapper: str = ""  # program that checks this host
    csd_user: str = ""  # runs it; empty: we do
    csd_interval: int = 0  # seconds; 0: as the gateway says
    host_report: str = "none"  # one of HOST_REPORTS; for gateways that want one, without a program

    # reaching the gateway
    tls: TlsChoice = TlsChoice()
    proxy: str = field(default="", repr=False)  # may hold a password
    resolve: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # host -> numeric addresses
    tcp_keepalive: int = 0  # idle seconds; 0: off
    http_keepalive: bool = True
    dump_http_traffic: bool = False  # redacted, as Noted events of level debug
    reconnect_timeout: float = 300.0  # budget after a loss; 0: one attempt; inf: for ever

    # the tunnel
    ipv6: bool = True
    mtu: int = 0
    base_mtu: int = 0
    force_dpd: int = 0
    udp: bool = True
    local_port: int = 0  # of UDP
    dtls_ciphers: str = ""
    offload: bool = True  # super-packets between kernel and engine
    compression: bool = False

    # this host
    interface: str = ""  # "": the kernel picks tun%d
    script: str = ""  # "": native host configuration
    dns: str = "auto"  # one of DNS_MODES
    default_route: str = "half"  # one of DEFAULT_ROUTES
    wintun: str = "auto"  # one of WINTUN_WAYS; Windows only
    wintun_library: str = ""  # absolute path; "": beside the program, or in System32

    # what the gateway is told; "": the protocol's own
    useragent: str = ""
    version_string: str = ""
    local_hostname: str = ""
    os_name: str = "linux-64"


def printable(text: str) -> bool:
    """No control characters, so safe in a header or a request line."""
    return not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in text)


def plain(text: str, keep: str = "\n\t") -> str:
    """The text without control characters: a terminal or a script must not take a gateway's words for commands."""
    return "".join(char for char in text if char in keep or printable(char))


def parse_server(text: str, *, path: str = "") -> Server:
    """The server operand: host, host:port, or https://host[:port][/path].  `path` serves when it has none."""
    if len(text) > MAX_SERVER:
        raise UsageError(f"server: {len(text)} characters, at most {MAX_SERVER} are accepted")
    if not printable(text) or " " in text:
        raise UsageError(f"server {text!r}: contains a space or a control character")
    scheme, colon, rest = text.partition("://")
    if not colon:
        rest = text
    elif scheme.lower() != "https":
        raise UsageError(f"server {text!r}: scheme {scheme!r}, only https is supported")
    rest, _, _ = rest.partition("#")  # a fragment is never sent to a server
    authority, slash, own_path = rest.partition("/")
    if "?" in authority:
        authority, _, query = authority.partition("?")
        own_path = f"?{query}{slash}{own_path}"
    host, port = _split_port(text, authority)
    return Server(_checked_host(text, host), port, _checked_path(own_path or path.lstrip("/")))


def _split_port(text: str, authority: str) -> tuple[str, int]:
    if authority.startswith("["):
        host, bracket, tail = authority.partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise UsageError(f"server {text!r}: an IPv6 address needs both brackets, as in [2001:db8::1]:443")
        host, digits, given = host + "]", tail[1:], bool(tail)
    else:
        if authority.count(":") > 1:
            hint = f"write [{authority}]" if _is_ipv6(authority) else ""
            raise UsageError(f"server {text!r}: more than one colon; put an IPv6 address in brackets", hint=hint)
        host, colon, digits = authority.partition(":")
        given = bool(colon)
    if not given:
        return host, DEFAULT_PORT
    if not (digits.isascii() and digits.isdigit()) or not 1 <= int(digits[:6]) <= 65535:
        raise UsageError(f"server {text!r}: bad port {digits!r}, wanted 1 to 65535")
    return host, int(digits)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _checked_host(text: str, host: str) -> str:
    if host.startswith("["):
        if not _is_ipv6(host[1:-1]):
            raise UsageError(f"server {text!r}: {host[1:-1]!r} is not an IPv6 address")
        return host
    if "@" in host:
        raise UsageError(f"server {text!r}: contains a user name", hint="give the user with --user")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError as exc:
            raise UsageError(f"server {text!r}: {host!r} is not a valid host name") from exc
    if not host or len(host) > MAX_HOST or host.startswith((".", "-")) or not _HOST_ALLOWS.issuperset(host):
        raise UsageError(f"server {text!r}: {host!r} is not a valid host name")
    return host


def _checked_path(path: str) -> str:
    if len(path) > MAX_SERVER or not printable(path) or " " in path:
        raise UsageError(f"path {path[:80]!r}: contains a space or a control character, or is too long")
    return "".join(char if char.isascii() else quote(char) for char in path)


def parse_resolve(entries: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """--resolve HOST:IP, repeatable.  Split at the first colon, so that IPv6 works without brackets.

    An empty one is none: `--authenticate` prints that for a gateway named by its address.
    """
    found: dict[str, tuple[str, ...]] = {}
    for entry in filter(None, entries):
        host, colon, address = entry.partition(":")
        address = address.removeprefix("[").removesuffix("]")
        if not colon or not host or not printable(host):
            raise UsageError(f"--resolve {entry!r}: wanted HOST:ADDRESS")
        try:
            ip_address(address)
        except ValueError as exc:
            raise UsageError(f"--resolve {entry!r}: {address!r} is not an IP address") from exc
        key = host.lower()
        found[key] = (*found.get(key, ()), address)
    return found


def parse_form_entry(text: str) -> FormEntry:
    """--form-entry FORM:FIELD[=VALUE].  The text is not repeated in an error: it may hold a password."""
    where, equals, value = text.partition("=")
    form, colon, name = where.partition(":")
    if not colon or not form or not name:
        raise UsageError("--form-entry: wanted FORM:FIELD=VALUE, for example main:answer=blue")
    if "\0" in value:
        raise UsageError(f"--form-entry {where}: the value contains a NUL character")
    return FormEntry(form, name, Secret(value) if equals else None)
