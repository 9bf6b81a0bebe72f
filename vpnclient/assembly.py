"""From Settings to the parts of a session: who is trusted, how it is reached, what is asked for.

The one place that reads the user's certificate and CA files, and turns texts into pins and proxies.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from protocols.base import Interface, SignInOptions, TunnelOptions
from transports.dialer import Dialer, DialSettings
from transports.errors import TransportError
from transports.http import HttpClient
from transports.tls import Judge, TlsContext, TlsSettings
from vpnclient import __version__
from vpnclient.device import TunnelDevice
from vpnclient.errors import UsageError
from vpnclient.host import HostConfig
from vpnclient.settings import Settings, TlsChoice

if TYPE_CHECKING:
    from transports.proxy import Proxy

AskPassphrase = Callable[[str, str], str | None]  # form id, prompt -> passphrase, None: give up


def make_dialer(
    settings: Settings, judge: Judge | None, ask: AskPassphrase, warn: Callable[[str], None] | None = None
) -> Dialer:
    """Raises UsageError for a file, pin or proxy that cannot be used."""
    try:
        return Dialer(
            DialSettings(
                tls=_tls(settings.tls, ask),
                proxy=_proxy(settings.proxy),
                resolve=settings.resolve,
                tcp_keepalive=settings.tcp_keepalive,
            ),
            judge=judge,
            warn=warn,
        )
    except (OSError, ValueError, TransportError) as exc:
        raise UsageError(str(exc)) from exc


def _proxy(url: str) -> Proxy | None:
    if not url:
        return None
    from transports.proxy import Proxy

    return Proxy.parse(url)


def _tls(choice: TlsChoice, ask: AskPassphrase) -> TlsSettings:
    from transports.identity import load_identity
    from transports.pins import Pin

    if choice.cafile is not None:
        TlsContext(TlsSettings(system_trust=False, cafile=choice.cafile))  # says now what is wrong with it
    identity = None
    if choice.certificate is not None:
        given = choice.key_password

        def passphrase(form_id: str, prompt: str) -> str | None:
            nonlocal given
            if given is not None:  # tried once, then ask (auth-helpers.md section 3.1)
                text, given = given.reveal(), None
                return text
            return ask(form_id, prompt)

        identity = load_identity(choice.certificate, choice.sslkey, passphrase)
    return TlsSettings(
        system_trust=choice.system_trust,
        cafile=choice.cafile,
        pins=tuple(Pin.parse(text) for text in choice.pins),
        identity=identity,
        sni=choice.sni,
        ciphers=choice.ciphers,
        minimum=choice.minimum,
        maximum=choice.maximum,
    )


def make_http(settings: Settings, dialer: Dialer, on_traffic: Callable[[str], None] | None) -> HttpClient:
    return HttpClient(
        dialer,
        user_agent=settings.useragent,
        keep_alive=settings.http_keepalive,
        on_traffic=on_traffic if settings.dump_http_traffic else None,
    )


def make_host(settings: Settings) -> HostConfig:
    """A script of the user's, or natively as this system does it; what that needs is loaded when it is used."""
    if settings.script:
        from vpnclient.host.script import ScriptHost

        return ScriptHost(settings.script)
    if sys.platform == "win32":
        from vpnclient.host.windows.host import WindowsHost

        return WindowsHost(profile_name(settings))
    from vpnclient.host.linux import NativeHost

    return NativeHost(profile_name(settings))


def make_device(settings: Settings, warn: Callable[[str], None]) -> Callable[[str], TunnelDevice]:
    """Opens the tunnel's interface by its name, as this system does it; an empty one: the usual."""
    if sys.platform == "win32":
        from vpnclient.host.windows.device import open_device

        return lambda name: open_device(settings, name, warn=warn)
    from transports.tun import Tun

    return lambda name: Tun.open(name or "tun%d", offload=settings.offload)


def local_hostname(settings: Settings) -> str:
    return settings.local_hostname or socket.gethostname() or "localhost"


def sign_in_options(settings: Settings) -> SignInOptions:
    return SignInOptions(
        url=settings.url,
        user_agent=settings.useragent,
        version=settings.version_string or __version__,
        os_name=settings.os_name,
        local_hostname=local_hostname(settings),
        authgroup=settings.authgroup,
        external_auth=settings.external_auth,
        has_client_certificate=settings.tls.certificate is not None,
        xml_post=settings.xmlpost,
        allow_password=settings.allow_password,
        csd_wrapper=settings.csd_wrapper,
        csd_user=_checker(settings),
        csd_interval=settings.csd_interval,
        ipv6=settings.ipv6,
    )


def tunnel_options(settings: Settings, held: tuple[Interface, ...] = (), *, asked: bool = False) -> TunnelOptions:
    return TunnelOptions(
        user_agent=settings.useragent,
        version=settings.version_string or __version__,
        os_name=settings.os_name,
        local_hostname=local_hostname(settings),
        ipv6=settings.ipv6,
        mtu=settings.mtu,
        base_mtu=settings.base_mtu,
        force_dpd=settings.force_dpd,
        datagrams=settings.udp,
        dtls_ciphers=settings.dtls_ciphers,
        local_port=settings.local_port,
        compression=settings.compression,
        held=held,
        asked=asked,
        authgroup=settings.authgroup,
        csd_wrapper=settings.csd_wrapper,
        csd_user=_checker(settings),
        csd_interval=settings.csd_interval,
        minimal_report=settings.host_report == "minimal",
        local_time=time.strftime("%m/%d/%Y %H:%M:%S"),
    )


def _checker(settings: Settings) -> str:
    """Who runs the user's host checker: whom he names, or the person behind sudo; empty: we do."""
    sudo = os.environ.get("SUDO_USER", "") if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
    return settings.csd_user or sudo


def profile_name(settings: Settings) -> str:
    """Names the journal: the profile, or the gateway's host and port."""
    if settings.profile:
        return settings.profile
    parts = urlsplit(settings.url)
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in parts.netloc)
