"""From what the user gave, wherever he gave it, to Settings: option, then environment, then profile, then default."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from protocols.base import Secret
from vpnclient import profile as profiles
from vpnclient.auth.lines import Lines, SecretSourceFailed
from vpnclient.auth.secrets import SecretSource, fetch, from_environment, from_stdin
from vpnclient.checks import check
from vpnclient.errors import HostError, UsageError
from vpnclient.profile import Profile
from vpnclient.schema import ENVIRONMENT_PREFIX, ITEMS, Kind, Value
from vpnclient.settings import (
    MIN_MTU,
    FormEntry,
    Settings,
    TlsChoice,
    parse_form_entry,
    parse_resolve,
    parse_server,
    printable,
)

MAX_COOKIE = 65536  # characters
# Taken out of the environment, used or not: scripts and tools that we start have no business with them.
_SECRET_VARIABLES = tuple(
    ENVIRONMENT_PREFIX + name for name in ("PASSWORD", "KEY_PASSWORD", "COOKIE", "FORM_ENTRY", "PROXY")
)
_NOT_IN_ENVIRONMENT = frozenset({"server", "title", "passwd_on_stdin", "cookie_on_stdin", "no_proxy"})


@dataclass(frozen=True, slots=True)
class Given:
    """The command line.  target: operand; values: options by the item's name; stdin: who reads lines, in order."""

    target: str
    values: Mapping[str, Value]
    stdin: tuple[str, ...] = ()


class Layers:
    """Values by the item's name; the first layer that has one wins."""

    def __init__(self, *layers: Mapping[str, Value]) -> None:
        self._layers = layers

    def get(self, name: str) -> Value | None:
        return next((layer[name] for layer in self._layers if name in layer), None)

    def text(self, name: str, default: str = "") -> str:
        value = self.get(name)
        return value if isinstance(value, str) else default

    def path(self, name: str) -> Path | None:
        value = self.get(name)
        return Path(value).expanduser() if isinstance(value, str) else None

    def number(self, name: str, default: int = 0) -> int:
        value = self.get(name)
        return value if isinstance(value, int) else default

    def seconds(self, name: str, default: float) -> float:
        value = self.get(name)
        return float(value) if isinstance(value, int | float) else default

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name)
        return value if isinstance(value, bool) else default

    def many(self, name: str) -> tuple[str, ...]:
        value = self.get(name)
        return value if isinstance(value, tuple) else ()

    def everything(self, name: str) -> tuple[str, ...]:
        """The lists of all layers, the strongest last."""
        found = [layer[name] for layer in reversed(self._layers) if name in layer]
        return tuple(text for value in found if isinstance(value, tuple) for text in value)


def settle(given: Given, environ: MutableMapping[str, str], stdin: Lines, warn: Callable[[str], None]) -> Settings:
    """Everything merged and checked; secrets fetched, and taken out of `environ`.  Contacts nothing."""
    try:
        return _settle(given, environ, stdin, warn)
    finally:
        for variable in _SECRET_VARIABLES:
            environ.pop(variable, None)


def _settle(given: Given, environ: MutableMapping[str, str], stdin: Lines, warn: Callable[[str], None]) -> Settings:
    profile = _profile(given.target, environ)
    if profile is None and (said := profiles.missed(given.target, environ)):
        warn(said)
    layers = Layers(given.values, _environment(environ), profile.values if profile else {})
    server = parse_server(layers.text("server") if profile else given.target, path=layers.text("path"))
    cookie, password = _stdin_secrets(given.stdin, stdin)
    cookie = cookie or _cookie(layers, environ)
    if cookie is None and password is None:
        password = _secret("password", profile, environ, stdin)
    settings = Settings(
        url=server.url,
        profile=profile.name if profile else "",
        protocol=layers.text("protocol", "anyconnect").lower(),
        user=layers.text("user"),
        authgroup=layers.text("authgroup"),
        form_entries=_form_entries(layers),
        password=password,
        passwd_on_stdin=layers.flag("passwd_on_stdin", False),
        cookie=cookie,
        non_inter=layers.flag("non_inter", False),
        allow_password=layers.flag("allow_password", True),
        xmlpost=layers.flag("xmlpost", True),
        csd_wrapper=_program(layers),
        csd_user=layers.text("csd_user"),
        csd_interval=layers.number("csd_interval"),
        host_report=layers.text("host_report", "none"),
        tls=_tls(layers, _key_password(layers, profile, environ, stdin)),
        proxy=_proxy(layers, server.host, environ),
        resolve=parse_resolve(layers.many("resolve")),
        tcp_keepalive=layers.number("tcp_keepalive"),
        http_keepalive=layers.flag("http_keepalive", True),
        dump_http_traffic=layers.flag("dump_http_traffic", False),
        reconnect_timeout=layers.seconds("reconnect_timeout", 300.0),
    )
    return _with_tunnel_and_host(settings, layers, warn)


def _with_tunnel_and_host(settings: Settings, layers: Layers, warn: Callable[[str], None]) -> Settings:
    force_dpd = layers.number("force_dpd")
    if force_dpd == 1:
        force_dpd = 2
        warn("force-dpd 1 s raised to 2 s")
    script = layers.text("script")
    if script:
        check_script(script)
    return replace(
        settings,
        ipv6=layers.flag("ipv6", True),
        mtu=_mtu("mtu", layers, warn),
        base_mtu=_mtu("base_mtu", layers, warn),
        force_dpd=force_dpd,
        udp=layers.flag("udp", True),
        local_port=layers.number("local_port"),
        dtls_ciphers=layers.text("dtls_ciphers"),
        offload=layers.flag("offload", True),
        compression=layers.text("compression", "none") == "stateless",
        interface=layers.text("interface"),
        script=script,
        dns=layers.text("dns", "auto"),
        default_route=layers.text("default_route", "half"),
        wintun=layers.text("wintun", "auto"),
        wintun_library=str(layers.path("wintun_library") or ""),
        useragent=layers.text("useragent"),
        version_string=layers.text("version_string"),
        local_hostname=layers.text("local_hostname"),
        os_name=layers.text("os_name", "linux-64"),
    )


def _profile(target: str, environ: Mapping[str, str]) -> Profile | None:
    path = profiles.find(target, environ)
    return profiles.load(path) if path else None


def _environment(environ: Mapping[str, str]) -> dict[str, Value]:
    """The VPNCLIENT_* variables that are no secrets."""
    found: dict[str, Value] = {}
    for item in ITEMS:
        if item.name in _NOT_IN_ENVIRONMENT or item.kind is Kind.SECRET or item.name == "cookie":
            continue
        text = environ.get(item.variable)
        if not text:
            continue
        try:
            value = item.read(text)
            check(item.name, value)
        except ValueError as exc:
            raise UsageError(f"environment variable {item.variable}: {exc}") from exc
        found[item.name] = value
    return found


# --- secrets ---


def _stdin_secrets(order: Sequence[str], stdin: Lines) -> tuple[Secret | None, Secret | None]:
    """Cookie and password, in the order of their options (cli-parity section 1)."""
    cookie = password = None
    for name in order:
        if name == "cookie_on_stdin":
            cookie = checked_cookie(from_stdin(stdin, "the cookie"), "standard input")
        else:
            password = from_stdin(stdin, "the password")
    return cookie, password


def checked_cookie(cookie: Secret, where: str) -> Secret:
    """Raises for an empty cookie (cli-parity Q8), and for one that would break a header."""
    text = cookie.reveal().strip(" ")
    if not text:
        raise SecretSourceFailed(f"the cookie from {where} is empty", hint="sign in again with --authenticate")
    if len(text) > MAX_COOKIE:
        raise UsageError(f"the cookie from {where} has {len(text)} characters, at most {MAX_COOKIE} are accepted")
    if not printable(text) or not text.isascii():
        raise UsageError(f"the cookie from {where} contains a control character or one that is not ASCII")
    return Secret(text)


def _cookie(layers: Layers, environ: MutableMapping[str, str]) -> Secret | None:
    given = layers.get("cookie")
    if given is not None:
        return checked_cookie(Secret(str(given)), "--cookie")
    if "VPNCLIENT_COOKIE" in environ:
        return checked_cookie(Secret(environ.pop("VPNCLIENT_COOKIE")), "VPNCLIENT_COOKIE")
    return None


def _key_password(
    layers: Layers, profile: Profile | None, environ: MutableMapping[str, str], stdin: Lines
) -> Secret | None:
    given = layers.get("key_password")
    return Secret(str(given)) if given is not None else _secret("key_password", profile, environ, stdin)


def _secret(name: str, profile: Profile | None, environ: MutableMapping[str, str], stdin: Lines) -> Secret | None:
    variable = "VPNCLIENT_" + name.upper()
    if environ.get(variable):
        return from_environment(variable, environ)
    source: SecretSource | None = profile.secrets.get(name) if profile else None
    return fetch(source, environ=environ, stdin=stdin) if source else None


# --- smaller things ---


def _form_entries(layers: Layers) -> tuple[FormEntry, ...]:
    return tuple(parse_form_entry(text) for text in layers.everything("form_entry"))


def _tls(layers: Layers, key_password: Secret | None) -> TlsChoice:
    pins = layers.many("servercert")
    return TlsChoice(
        system_trust=layers.flag("system_trust", True),
        cafile=layers.path("cafile"),
        pins=pins,
        certificate=layers.path("certificate"),
        sslkey=layers.path("sslkey"),
        key_password=key_password,
        sni=layers.text("sni"),
        ciphers=layers.text("ciphers"),
        minimum=layers.text("tls_minimum", "1.2"),
        maximum=layers.text("tls_maximum"),
    )


def _program(layers: Layers) -> str:
    """The host checker, as a whole path.  Raises UsageError before anything is asked."""
    path = layers.path("csd_wrapper")
    if path is None:
        return ""
    if not path.is_file() or not os.access(path, os.X_OK):
        raise UsageError(f"--csd-wrapper: {path} is not an executable file")
    return str(path.absolute())


def _mtu(name: str, layers: Layers, warn: Callable[[str], None]) -> int:
    value = layers.number(name)
    if 0 < value < MIN_MTU:
        warn(f"{name.replace('_', '-')} {value} raised to {MIN_MTU} bytes")
        return MIN_MTU
    return value


def _proxy(layers: Layers, host: str, environ: Mapping[str, str]) -> str:
    if layers.flag("no_proxy", False):
        return ""
    text = layers.text("proxy")
    if text:
        return text
    variable, text = environment_proxy(host, environ)
    if text:
        try:
            check("proxy", text)
        except ValueError as exc:
            hint = "give another one with --proxy, or none with --no-proxy"
            raise UsageError(f"environment variable {variable}: {exc}", hint=hint) from exc
    return text


def environment_proxy(host: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Variable and value of the proxy for https, and "" twice if there is none or no_proxy names the host."""
    bare = host.strip("[]").lower()
    excluded = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    for entry in excluded.lower().split(","):
        name = entry.strip().removeprefix("*").lstrip(".").partition(":")[0] if "::" not in entry else entry.strip()
        if entry.strip() == "*" or (name and (bare == name or bare.endswith("." + name))):
            return "", ""
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        if environ.get(variable):
            return variable, environ[variable]
    return "", ""


def has_password(url: str) -> bool:
    """A proxy's URL that holds a password."""
    try:
        return bool(urlsplit(url if "://" in url else f"http://{url}").password)
    except ValueError:
        return False


def check_script(command: str) -> None:
    """Raises HostError, before the sign-in, if --script names nothing that can be run (cli-parity section 10)."""
    try:
        words = shlex.split(command)
    except ValueError as exc:
        raise HostError(f"--script: {exc}") from exc
    program = next((word for word in words if "=" not in word.partition("/")[0]), "")
    if not program:
        raise HostError("--script: names no program")
    if "/" not in program:
        return  # found on the path, or a word of the shell's
    path = Path(program).expanduser()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise HostError(f"--script: {program} is not an executable file")
