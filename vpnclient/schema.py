"""The table of everything that can be set: one row serves the command line, the environment and the profiles.

An option `--force-dpd` is `VPNCLIENT_FORCE_DPD` in the environment and `force-dpd` in a profile; the first of option,
environment, profile and default wins.  Names and meanings follow cli-parity section 2 (verdicts K and R).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vpnclient.settings import (
    COMPRESSIONS,
    DEFAULT_ROUTES,
    DNS_MODES,
    FOREVER,
    HOST_REPORTS,
    MAX_MTU,
    OS_NAMES,
    WINTUN_WAYS,
    printable,
)

ENVIRONMENT_PREFIX = "VPNCLIENT_"
MAX_TEXT = 4096  # characters of one value
MAX_SECONDS = 30 * 86400  # a timeout beyond a month is a typing mistake

Value = str | int | float | bool | tuple[str, ...]


class Kind(StrEnum):
    """What a value is; the text says it to the user."""

    TEXT = "a text"
    FLAG = "true or false"
    NUMBER = "a whole number"
    SECONDS = "a number of seconds"
    PATH = "a file name"
    LIST = "a list of texts"
    RESOLVE = "a mapping from host names to IP addresses"
    FORM = "a mapping from form names to mappings from field names to answers"
    SECRET = "one of {prompt: true}, {env: NAME}, {command: [...]}, {file: PATH}, {stdin: true}"


class Panel(StrEnum):
    """Headings of the help text, in this order."""

    SIGN_IN = "Signing in"
    TRUST = "Certificates and trust"
    NETWORK = "Reaching the gateway"
    TUNNEL = "Tunnel"
    HOST = "This computer"
    OUTPUT = "Output"
    IDENTITY = "What the gateway is told"
    NONE = ""  # not on the command line


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be set.

    flags: as typer takes them; empty: not on the command line.  key: dotted key in a profile; empty: not there.
    forever: `forever` is accepted for a number of seconds.  exposed: on the command line other users can read it.
    """

    name: str
    kind: Kind
    key: str = ""
    flags: tuple[str, ...] = ()
    panel: Panel = Panel.NONE
    help: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int = 0
    hidden: bool = False
    exposed: bool = False

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def wanted(self) -> str:
        """What a value must be, for people."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is Kind.SECONDS:
            return f"seconds, {self.minimum} to {self.maximum}, or forever"
        if self.kind is Kind.NUMBER:
            return f"{self.kind.value}, {self.minimum} to {self.maximum}"
        return self.kind.value

    def read(self, text: str) -> Value:
        """The value that a text stands for.  Raises ValueError with what was wanted; never repeats the text."""
        match self.kind:
            case Kind.FLAG:
                return _flag(text)
            case Kind.NUMBER | Kind.SECONDS:
                return self._number(text)
            case Kind.LIST | Kind.RESOLVE | Kind.FORM:
                return tuple(part for part in text.split() if part)
        if len(text) > MAX_TEXT:
            raise ValueError(f"{len(text)} characters, at most {MAX_TEXT} are accepted")
        if not printable(text):
            raise ValueError("contains a control character")
        if self.choices:
            if text.lower() not in self.choices:
                raise ValueError(f"wanted {self.wanted}")
            return text.lower()
        return text

    def _number(self, text: str) -> Value:
        if self.kind is Kind.SECONDS and text.strip().lower() == "forever":
            return FOREVER
        digits = text.strip()
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 12:
            raise ValueError(f"wanted {self.wanted}")
        number = int(digits)
        if not self.minimum <= number <= self.maximum:
            raise ValueError(f"wanted {self.wanted}")
        return number


def _flag(text: str) -> bool:
    match text.strip().lower():
        case "true" | "yes" | "on" | "1":
            return True
        case "false" | "no" | "off" | "0":
            return False
    raise ValueError("wanted true or false")


_SIGN_IN = (
    Item("protocol", Kind.TEXT, "protocol", ("--protocol",), Panel.SIGN_IN,
         "The gateway's protocol, anyconnect if none is named; `vpnclient version` lists them.", "NAME"),
    Item("path", Kind.TEXT, "path", ("--path", "--usergroup", "-g"), Panel.SIGN_IN,
         "Path of the URL, if TARGET has none; some gateways choose the login group by it.", "PATH"),
    Item("user", Kind.TEXT, "user", ("--user", "-u"), Panel.SIGN_IN, "User name.", "NAME"),
    Item("password", Kind.SECRET, "password"),
    Item("passwd_on_stdin", Kind.FLAG, "", ("--passwd-on-stdin",), Panel.SIGN_IN,
         "Read the password from the first line of standard input; further lines answer further questions."),
    Item("authgroup", Kind.TEXT, "authgroup", ("--authgroup",), Panel.SIGN_IN,
         "Login group, realm or domain, by its label or the beginning of it.", "GROUP"),
    Item("form_entry", Kind.FORM, "form", ("--form-entry", "-F"), Panel.SIGN_IN,
         "Answer a field of a form beforehand; repeatable.", "FORM:FIELD[=VALUE]", exposed=True),
    Item("non_inter", Kind.FLAG, "non-interactive", ("--non-inter",), Panel.SIGN_IN, "Never ask anything."),
    Item("allow_password", Kind.FLAG, "allow-password", ("--passwd/--no-passwd",), Panel.SIGN_IN,
         "Allow or refuse to sign in by password."),
    Item("csd_wrapper", Kind.PATH, "hostcheck.program", ("--csd-wrapper",), Panel.SIGN_IN,
         "Program of yours that does the host check a gateway asks for.", "PROGRAM"),
    Item("csd_user", Kind.TEXT, "hostcheck.user", ("--csd-user",), Panel.SIGN_IN,
         "Run that program as this user.", "NAME"),
    Item("csd_interval", Kind.NUMBER, "hostcheck.interval", ("--csd-interval",), Panel.SIGN_IN,
         "Seconds between two host checks, instead of what the gateway says.", "SECONDS", maximum=86400),
    Item("host_report", Kind.TEXT, "hostcheck.report", ("--hip-report",), Panel.SIGN_IN,
         "Without such a program: tell GlobalProtect the least that a report can hold (minimal), or nothing.", "WHICH",
         choices=HOST_REPORTS),
    Item("cookie", Kind.TEXT, "", ("--cookie", "-C"), Panel.SIGN_IN,
         "Use the session cookie of an earlier sign-in.", "COOKIE", exposed=True),
    Item("cookie_on_stdin", Kind.FLAG, "", ("--cookie-on-stdin",), Panel.SIGN_IN,
         "Read the session cookie from a line of standard input."),
)  # fmt: skip

_TRUST = (
    Item("servercert", Kind.LIST, "tls.pins", ("--servercert",), Panel.TRUST,
         "Trust only this key of the gateway (pin-sha256:...); repeatable.", "PIN"),
    Item("cafile", Kind.PATH, "tls.cafile", ("--cafile",), Panel.TRUST, "Trust the CAs in this PEM file, too.", "FILE"),
    Item("system_trust", Kind.FLAG, "tls.system-trust", ("--system-trust/--no-system-trust",), Panel.TRUST,
         "Trust the CAs of the system, or do not."),
    Item("certificate", Kind.PATH, "tls.certificate", ("--certificate", "-c"), Panel.TRUST,
         "Client certificate: PEM, DER or PKCS#12.", "FILE"),
    Item("sslkey", Kind.PATH, "tls.key", ("--sslkey", "-k"), Panel.TRUST,
         "Its private key, if it is in a file of its own.", "FILE"),
    Item("key_password", Kind.SECRET, "tls.key-password", ("--key-password", "-p"), Panel.TRUST,
         "Passphrase of the private key.", "TEXT", exposed=True),
    Item("sni", Kind.TEXT, "tls.sni", ("--sni",), Panel.TRUST, "Name to tell in the TLS handshake.", "HOST"),
    Item("ciphers", Kind.TEXT, "tls.ciphers", ("--openssl-ciphers",), Panel.TRUST,
         "Replace the list of TLS ciphers.", "LIST", hidden=True),
    Item("tls_minimum", Kind.TEXT, "tls.minimum", choices=("1.2", "1.3")),
    Item("tls_maximum", Kind.TEXT, "tls.maximum", choices=("1.2", "1.3")),
)  # fmt: skip

_NETWORK = (
    Item("proxy", Kind.TEXT, "proxy", ("--proxy", "-P"), Panel.NETWORK,
         "Proxy: http://[USER:PASSWORD@]HOST[:PORT] or socks5://...  Default: $https_proxy.", "URL"),
    Item("no_proxy", Kind.FLAG, "", ("--no-proxy",), Panel.NETWORK, "Use no proxy, whatever the environment says."),
    Item("resolve", Kind.RESOLVE, "resolve", ("--resolve",), Panel.NETWORK,
         "Use this address for HOST instead of asking DNS; repeatable.", "HOST:ADDRESS"),
    Item("tcp_keepalive", Kind.NUMBER, "tcp-keepalive", ("--tcp-keepalive",), Panel.NETWORK,
         "TCP keep-alive after this many idle seconds (alone: 60).", "SECONDS", maximum=86400),
    Item("reconnect_timeout", Kind.SECONDS, "reconnect-timeout", ("--reconnect-timeout",), Panel.NETWORK,
         "How long to try again after a loss: seconds, or forever.", "SECONDS", maximum=MAX_SECONDS),
    Item("http_keepalive", Kind.FLAG, "http-keepalive", ("--http-keepalive/--no-http-keepalive",), Panel.NETWORK,
         "Use a connection for several requests, or not.", hidden=True),
    Item("xmlpost", Kind.FLAG, "xmlpost", ("--xmlpost/--no-xmlpost",), Panel.NETWORK,
         "Begin with the XML sign-in, or with the old form.", hidden=True),
)  # fmt: skip

_TUNNEL = (
    Item("ipv6", Kind.FLAG, "ipv6", ("--ipv6/--disable-ipv6",), Panel.TUNNEL, "Ask for IPv6, or do not."),
    Item("mtu", Kind.NUMBER, "mtu", ("--mtu", "-m"), Panel.TUNNEL,
         "Largest packet in the tunnel.", "BYTES", maximum=MAX_MTU),
    Item("base_mtu", Kind.NUMBER, "base-mtu", ("--base-mtu",), Panel.TUNNEL,
         "Largest packet on the way to the gateway.", "BYTES", maximum=MAX_MTU),
    Item("force_dpd", Kind.NUMBER, "force-dpd", ("--force-dpd",), Panel.TUNNEL,
         "Look every so many seconds whether the gateway is alive.", "SECONDS", maximum=86400),
    Item("udp", Kind.FLAG, "udp", ("--udp/--no-udp", "--dtls/--no-dtls"), Panel.TUNNEL,
         "Send packets by UDP (DTLS, ESP) where the gateway takes them, or by TLS alone."),
    Item("local_port", Kind.NUMBER, "local-port", ("--dtls-local-port",), Panel.TUNNEL,
         "Send UDP from this port, for firewalls that want to know it.", "PORT", maximum=65535),
    Item("dtls_ciphers", Kind.TEXT, "dtls-ciphers", ("--dtls-ciphers", "--dtls12-ciphers"), Panel.TUNNEL,
         "Offer these ciphers of DTLS, by their names in AnyConnect, joined by colons.", "LIST", hidden=True),
    Item("offload", Kind.FLAG, "offload", ("--offload/--no-offload",), Panel.TUNNEL,
         "Cut and join large packets here, or leave that to the kernel.", hidden=True),
    Item("compression", Kind.TEXT, "compression", ("--compression",), Panel.TUNNEL,
         "Offer compression of single packets (stateless), whose sizes then tell of what they hold, or none.", "MODE",
         choices=COMPRESSIONS),
)  # fmt: skip

_HOST = (
    Item("interface", Kind.TEXT, "interface", ("--interface", "-i"), Panel.HOST,
         "Name of the tunnel's interface; the kernel picks one otherwise.", "NAME"),
    Item("script", Kind.TEXT, "script", ("--script", "-s"), Panel.HOST,
         "Let this vpnc-script configure the computer.", "COMMAND"),
    Item("dns", Kind.TEXT, "dns", ("--dns",), Panel.HOST,
         f"How to set DNS: {', '.join(DNS_MODES)}.", "MODE", choices=DNS_MODES),
    Item("default_route", Kind.TEXT, "default-route", ("--default-route",), Panel.HOST,
         "Send everything through the tunnel, if the gateway wants it (half), or never (no).", "MODE",
         choices=DEFAULT_ROUTES),
    Item("wintun", Kind.TEXT, "wintun", ("--wintun",), Panel.HOST,
         "On Windows: give packets to the driver in rings of ours, by the library's session, or as it goes (auto).",
         "WAY", choices=WINTUN_WAYS),
    Item("wintun_library", Kind.PATH, "wintun-library", ("--wintun-library",), Panel.HOST,
         "On Windows: where wintun.dll is, if not beside the program or in System32.", "FILE", hidden=True),
)  # fmt: skip

_IDENTITY = (
    Item("useragent", Kind.TEXT, "useragent", ("--useragent",), Panel.IDENTITY, "HTTP User-Agent.", "TEXT"),
    Item("version_string", Kind.TEXT, "version-string", ("--version-string",), Panel.IDENTITY,
         "Version of the client.", "TEXT"),
    Item("local_hostname", Kind.TEXT, "local-hostname", ("--local-hostname",), Panel.IDENTITY,
         "Name of this computer.", "NAME"),
    Item("os_name", Kind.TEXT, "os", ("--os",), Panel.IDENTITY,
         f"Operating system: {', '.join(OS_NAMES)}.", "NAME", choices=OS_NAMES),
)  # fmt: skip

_PROFILE_ONLY = (
    Item("server", Kind.TEXT, "server"),
    Item("title", Kind.TEXT, "title"),
)

ITEMS: tuple[Item, ...] = (*_PROFILE_ONLY, *_SIGN_IN, *_TRUST, *_NETWORK, *_TUNNEL, *_HOST, *_IDENTITY)
BY_NAME = {item.name: item for item in ITEMS}
BY_KEY = {item.key: item for item in ITEMS if item.key}
SECTIONS = frozenset(key.partition(".")[0] for key in BY_KEY if "." in key)
