"""`vpnclient lab`: gateways to try and test against, and a demonstration that needs nothing but this machine."""

from __future__ import annotations

import asyncio
import getpass
import ipaddress
import json
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from typer.core import TyperGroup

from protocols.base import Secret
from transports.errors import TransportError
from transports.identity import Identity, load_identity
from transports.tls import ServerContext, read_certificates
from vpnclient.cli.lab_f5 import serve_f5
from vpnclient.cli.lab_fortinet import serve_fortinet
from vpnclient.cli.lab_gp import serve_gp
from vpnclient.cli.lab_nc import serve_nc
from vpnclient.errors import NotPermitted, UsageError
from vpnclient.lab import certificate, sites
from vpnclient.lab.anyconnect import AnyConnectSite
from vpnclient.lab.gateway import Gateway
from vpnclient.lab.netns import missing_requirements
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.store import Store

if TYPE_CHECKING:
    from typer._click.core import Command, Context  # typer brings click along, under a name of its own

TOKEN_BYTES = 32  # of a cookie; ocserv's size
MAX_PASSWORD = 1024  # characters of a line on standard input

app = typer.Typer(
    help="Small gateways on this machine, to try and to test against.", no_args_is_help=True, add_completion=False
)


class Gateways(TyperGroup):
    """The gateways built in, and those of other packages; these are imported when they are called."""

    def list_commands(self, ctx: Context) -> list[str]:
        return [*super().list_commands(ctx), *sites.available()]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        built_in = super().get_command(ctx, cmd_name)
        if built_in is not None or cmd_name not in sites.available():
            return built_in
        from vpnclient.cli.lab_plugin import command_for

        return command_for(cmd_name)


serve = typer.Typer(
    help="Run a gateway until it is interrupted.", no_args_is_help=True, add_completion=False, cls=Gateways
)
app.add_typer(serve, name="serve")

T = TypeVar("T")

PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="read a password a line, one for each --user")]
CertificateFile = Annotated[Path | None, typer.Option("--certificate", help="PEM; without it one is made, self-signed")]
ClientCa = Annotated[Path | None, typer.Option(help="PEM: certificates it signed sign in without a password")]


@serve.command("anyconnect")
def serve_anyconnect(
    listen: Annotated[str, typer.Option(help="ADDRESS:PORT to listen on; port 0: any free one")] = "127.0.0.1:0",
    user: Annotated[list[str] | None, typer.Option(help="who may sign in (repeatable)")] = None,
    password_stdin: PasswordStdin = False,
    group: Annotated[list[str] | None, typer.Option(help="groups to choose from (repeatable)")] = None,
    challenge: Annotated[str, typer.Option(help="ask for this code in a second form")] = "",
    legacy: Annotated[bool, typer.Option("--legacy", help="speak only the older, form-encoded sign-in")] = False,
    route: Annotated[list[str] | None, typer.Option(help="network behind the gateway (repeatable)")] = None,
    no_route: Annotated[list[str] | None, typer.Option(help="network to keep outside (repeatable)")] = None,
    dns: Annotated[list[str] | None, typer.Option(help="name server (repeatable)")] = None,
    default_domain: Annotated[str, typer.Option(help="search domain")] = "",
    split_dns: Annotated[list[str] | None, typer.Option(help="domain to resolve through the tunnel")] = None,
    mtu: Annotated[int, typer.Option(help="bytes of inner packet")] = 1400,
    network: Annotated[str, typer.Option(help="IPv4 addresses for clients")] = "10.77.0.0/24",
    network6: Annotated[str, typer.Option(help="IPv6 addresses for clients; empty: none")] = "fd77::/64",
    dpd: Annotated[int, typer.Option(help="seconds until a silent peer is asked; 0: never")] = 30,
    keepalive: Annotated[int, typer.Option(help="seconds between signs of life; 0: none")] = 20,
    rekey_time: Annotated[int, typer.Option(help="seconds between two rekeys; 0: none")] = 0,
    rekey_method: Annotated[str, typer.Option(help="ssl or new-tunnel")] = "new-tunnel",
    banner: Annotated[str, typer.Option(help="text shown when the tunnel is up")] = "",
    session_timeout: Annotated[int, typer.Option(help="seconds until a session ends; 0: never")] = 0,
    tls_max: Annotated[str, typer.Option(help="newest TLS version: 1.2 or 1.3")] = "",
    udp: Annotated[bool, typer.Option("--udp/--no-udp", help="offer DTLS at the same port, or do not")] = True,
    dtls: Annotated[str, typer.Option(help="psk (a key from the TLS connection) or resume (an older way)")] = "psk",
    certificate_file: CertificateFile = None,
    key: Annotated[Path | None, typer.Option(help="PEM key of --certificate, if in another file")] = None,
    client_ca: ClientCa = None,
) -> None:
    """Run an AnyConnect gateway (as ocserv is one).

    The first line on standard output is JSON with url, pin, tunnel_address,
    tunnel_address6 and protocol; the log goes to standard error.

    SIGINT and SIGTERM end it in order; SIGUSR1 ends every session, SIGUSR2
    drops every link and keeps the cookies.
    """
    host, port = host_and_port(listen)
    settings = LabSettings(
        listen_host=host,
        listen_port=port,
        users=read_users(user or [], password_stdin),
        groups=tuple(group or ()),
        challenge=Secret(challenge) if challenge else None,
        legacy_only=legacy,
        certificate=certificate_file,
        key=key,
        client_ca=client_ca,
        tls_max=tls_max,
        network=parse_one("--network", network, ipaddress.IPv4Network),
        network6=parse_one("--network6", network6, ipaddress.IPv6Network) if network6 else None,
        routes=parse_all("--route", route, ipaddress.ip_network),
        no_routes=parse_all("--no-route", no_route, ipaddress.ip_network),
        dns=parse_all("--dns", dns, ipaddress.ip_address),
        default_domain=default_domain,
        split_dns=tuple(split_dns or ()),
        mtu=mtu,
        dpd=dpd,
        keepalive=keepalive,
        rekey_time=rekey_time,
        rekey_method=rekey_method,
        banner=banner,
        session_timeout=session_timeout,
        udp=udp,
        dtls=dtls,
    )
    serve_site(settings, AnyConnectSite)


serve.command("f5")(serve_f5)
serve.command("fortinet")(serve_fortinet)
serve.command("gp")(serve_gp)
serve.command("nc")(serve_nc)


@app.command()
def demo(
    protocol: Annotated[str, typer.Argument(help="which protocol to show")] = "anyconnect",
    seconds: Annotated[float, typer.Option(min=1, help="how long to move data, each way")] = 3.0,
) -> None:
    """Show it all on this machine: a gateway and a client in two network namespaces, and nothing left behind."""
    from vpnclient.lab.demo import run_demo

    lacks = missing_requirements()
    if lacks:
        raise NotPermitted("the demo needs " + "; ".join(lacks))
    if not run_demo(protocol, seconds):
        raise typer.Exit(1)


def serve_site(settings: LabSettings, make_site: sites.MakeSite) -> None:
    """Until a signal ends it.  Raises UsageError, NotPermitted, BrokenPlugin."""
    problems = settings.problems()
    if problems:
        raise UsageError("; ".join(problems))
    lacks = missing_requirements()
    if lacks:
        raise NotPermitted("a lab gateway needs " + "; ".join(lacks))
    try:
        asyncio.run(_run_gateway(settings, make_site))
    except TransportError as exc:  # a certificate file that cannot be used
        raise UsageError(str(exc)) from exc


async def _run_gateway(settings: LabSettings, make_site: sites.MakeSite) -> None:
    def token() -> str:
        return secrets.token_urlsafe(TOKEN_BYTES)

    identity = _identity(settings)
    store = Store(settings.network, settings.network6, life=settings.session_timeout, token=token)
    site = make_site(settings, store, token)
    tls = ServerContext(identity, client_cas=_client_cas(settings.client_ca), maximum=settings.tls_max)
    gateway = Gateway(settings, site, store, tls, _log)
    await gateway.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, gateway.terminate_all, "ended by the administrator")
    loop.add_signal_handler(signal.SIGUSR2, gateway.drop_all)
    print(json.dumps(gateway.facts(identity.certificate)), flush=True)  # who reads it may send a signal at once
    try:
        await stop.wait()
    finally:
        await gateway.close()
    _log("closed")


def _log(text: str) -> None:
    """One line, whatever a client sent."""
    print("".join(c if c.isprintable() else "." for c in text), file=sys.stderr, flush=True)


def _identity(settings: LabSettings) -> Identity:
    if settings.certificate is not None:
        return load_identity(settings.certificate, settings.key, lambda form_id, prompt: None)
    issued = certificate.self_signed(settings.listen_host)
    return Identity(certificate=issued.der, key=issued.key_der, chain=())


def _client_cas(path: Path | None) -> tuple[bytes, ...]:
    return () if path is None else read_certificates(path)


def read_users(names: list[str], from_stdin: bool) -> dict[str, Secret]:
    if not names:
        return {}
    if from_stdin:
        lines = [sys.stdin.readline(MAX_PASSWORD).rstrip("\n") for _ in names]
    elif sys.stdin.isatty():
        lines = [getpass.getpass(f"Password for {name}: ") for name in names]
    else:
        raise UsageError("--user: no terminal to ask for a password", hint="add --password-stdin")
    if not all(lines):
        raise UsageError(f"--password-stdin: got {sum(map(bool, lines))} passwords, want {len(names)}, one a line")
    return {name: Secret(line) for name, line in zip(names, lines, strict=True)}


def host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError as exc:
        raise UsageError(f"--listen: got {text!r}, want ADDRESS:PORT with a numeric address") from exc
    if not 0 <= number <= 65535:
        raise UsageError(f"--listen: got port {number}, want 0 to 65535")
    return host, number


def parse_one(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as exc:
        raise UsageError(f"{option}: {exc}") from exc


def parse_all(option: str, texts: list[str] | None, parse: Callable[[str], T]) -> tuple[T, ...]:
    return tuple(parse_one(option, text, parse) for text in texts or ())
