"""`vpnclient connect`: from the command line to a running session, and its exit status."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from protocols.base import Ticket
from vpnclient.auth.answers import Answers
from vpnclient.auth.lines import Lines
from vpnclient.auth.prompt import ScriptedUser, TerminalUser
from vpnclient.cli import output
from vpnclient.cli import ticket as tickets
from vpnclient.cli.options import CONNECT, ORDER, exposed, values, with_options
from vpnclient.errors import Exit, UsageError, explain
from vpnclient.events import Failed, Warned
from vpnclient.merge import Given, settle
from vpnclient.permissions import require_links, require_network_admin
from vpnclient.schema import Value
from vpnclient.settings import Settings
from vpnclient.view import View, Views
from vpnclient.view.text import Level

if TYPE_CHECKING:
    from vpnclient.session import Session

_PRINTERS = ("authenticate", "cookieonly", "printcookie")
_EPILOG = """Examples:

vpnclient connect vpn.example.com --user alice

vpnclient connect work    (the profile work.yaml)

echo "$PASSWORD" | vpnclient connect vpn.example.com -u alice --passwd-on-stdin --non-inter

eval "$(vpnclient connect vpn.example.com --authenticate)"

Every option is a VPNCLIENT_NAME in the environment, too.

Ctrl-C or SIGTERM: end the session.  SIGHUP: leave it open at the gateway.  SIGUSR1: statistics.  SIGUSR2: reconnect.
"""

app = typer.Typer()


def _complete(incomplete: str) -> list[str]:
    from vpnclient.profile import names

    return [name for name in names(os.environ) if name.startswith(incomplete)]


@app.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@with_options(CONNECT, _complete)
def connect(ctx: typer.Context, target: str | None, verbose: int = 0, **given: object) -> None:
    """Connect to TARGET: the name of a profile, a host or a URL."""
    options = values(given)
    if options.get("version"):
        from vpnclient.cli.version import show

        show()
        raise typer.Exit
    order = tuple(ctx.meta.get(ORDER, ()))
    server = _server(target, options)
    printer = next((name for name in reversed(order) if name in _PRINTERS), "")
    _refuse_contradictions(options, printer)
    require_links()  # before anybody types a password
    view = _view(server, options, verbose)
    try:
        for option in exposed(options):
            view(Warned(f"{option}: other users of this computer can read it on the command line"))
        stdin = Lines(sys.stdin.buffer if sys.stdin is not None else io.BytesIO())
        readers = tuple(name for name in order if name.endswith("_on_stdin"))
        settings = settle(Given(server, options, readers), os.environ, stdin, lambda text: view(Warned(text)))
        user = _user(settings, stdin, view, quiet="quiet" in options)
        status = _run(settings, user, view, printer, as_json=options.get("format") == "json")
    except BrokenPipeError:
        raise
    except Exception as exc:  # whatever it is: a script that reads the events must hear of it
        status = _failed(exc, view)
    finally:
        view.close()
    raise typer.Exit(int(status))


def _server(target: str | None, options: Mapping[str, Value]) -> str:
    named = options.get("server_option")
    if target and named:
        raise UsageError("more than one server given: TARGET and --server")
    server = target or named
    if not server:
        raise UsageError("no server given", hint="vpnclient connect TARGET, for example vpn.example.com")
    return str(server)


def _refuse_contradictions(options: Mapping[str, Value], printer: str) -> None:
    if printer and "events" in options:
        raise UsageError(f"--{printer} and --events both print on standard output; give one of them")
    if "format" in options and printer != "authenticate":
        raise UsageError("--format: goes with --authenticate")
    if options.get("cookie") is not None and options.get("cookie_on_stdin"):
        raise UsageError("--cookie and --cookie-on-stdin: give one of them")


def _view(target: str, options: Mapping[str, Value], verbose: int) -> View:
    level = min(Level.ERROR if options.get("quiet") else Level.INFO + verbose, Level.TRACE)
    if options.get("dump_http_traffic"):
        level = max(level, Level.DEBUG)
    stamped = bool(options.get("timestamp"))
    from vpnclient.view.plain import PlainView

    if "events" in options:
        from vpnclient.view.jsonl import JsonView

        return Views(JsonView(sys.stdout), PlainView(sys.stderr, level if verbose else Level.ERROR, timestamps=stamped))
    if sys.stderr.isatty():
        from vpnclient.view.terminal import TerminalView

        return TerminalView(sys.stderr, level, target=target, timestamps=stamped)
    return PlainView(sys.stderr, level, timestamps=stamped)


def _user(settings: Settings, stdin: Lines, view: View, *, quiet: bool) -> TerminalUser | ScriptedUser:
    answers = Answers.of(settings)
    if settings.non_inter or stdin.terminal is None:
        return ScriptedUser(answers, stdin, sys.stderr, more_lines=settings.passwd_on_stdin, quiet=quiet)
    return TerminalUser(answers, stdin, sys.stderr, quiet=quiet, undisturbed=view.undisturbed)


def _run(settings: Settings, user: TerminalUser | ScriptedUser, view: View, printer: str, *, as_json: bool) -> Exit:
    from transports.engine import lib
    from vpnclient.session import Session

    lib.ve_forbid_core_dumps()  # from here on memory holds passwords, keys and cookies

    def session(settings: Settings) -> Session:
        return Session(settings, user, view, judge=user.judge, ask_passphrase=user.ask_passphrase)

    try:
        if not printer:
            return asyncio.run(_carry(session(settings), view))
        if printer == "printcookie":
            require_network_admin(settings)  # before anybody types a password
        ticket = asyncio.run(_sign_in(session(settings)))
        if printer == "authenticate":
            output.show(tickets.as_json(ticket) if as_json else tickets.as_shell(ticket))
        else:
            output.show(ticket.cookie.reveal())
        if printer != "printcookie":
            return Exit.OK
        return asyncio.run(_carry(session(with_ticket(settings, ticket)), view))
    except asyncio.CancelledError:
        return Exit.INTERRUPTED


def _failed(error: Exception, view: View) -> Exit:
    failure = explain(error)
    if failure.code == "internal":
        import traceback

        with view.undisturbed():
            traceback.print_exception(error)
    view(Failed(failure.code, failure.text, failure.hint, int(failure.exit_code)))
    return failure.exit_code


def with_ticket(settings: Settings, ticket: Ticket) -> Settings:
    """The same connection, with the sign-in done: same address, same key, no second question."""
    found = tickets.fields(ticket)
    name, _, address = found["resolve"].partition(":")
    pins = settings.tls.pins or ((ticket.fingerprint,) if ticket.fingerprint else ())
    return replace(
        settings,
        url=ticket.connect_url,
        cookie=ticket.cookie,
        resolve={**settings.resolve, name: (address,)} if address else settings.resolve,
        tls=replace(settings.tls, pins=pins),
    )


async def _carry(session: Session, view: View) -> Exit:
    """Run the session with our signals (cli-parity 6.1)."""
    from vpnclient.session import Stop

    def statistics() -> None:
        view.show_statistics()
        session.report()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, session.stop)
    loop.add_signal_handler(signal.SIGTERM, session.stop)
    loop.add_signal_handler(signal.SIGHUP, session.stop, Stop.DETACH)
    loop.add_signal_handler(signal.SIGUSR1, statistics)
    loop.add_signal_handler(signal.SIGUSR2, session.reconnect)
    return await session.run()


async def _sign_in(session: Session) -> Ticket:
    """Only the sign-in; a signal cancels it, so that a hidden question gives the terminal its echo back."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    return await session.sign_in()
