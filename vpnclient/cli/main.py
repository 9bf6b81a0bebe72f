"""The program: finds the command, and ends with a status of vpnclient.errors.Exit.

Commands are imported when they are called, so that one does not wait for the libraries of another.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, cast

import typer
from typer.core import TyperCommand, TyperGroup

from protocols.errors import ProtocolError
from vpnclient import __version__
from vpnclient.cli import output
from vpnclient.errors import ClientError, Exit, NotOnThisSystem, UsageError, explain

if TYPE_CHECKING:
    from typer.main import Typer

# name -> module with `app`, and its line in the overview
COMMANDS: dict[str, tuple[str, str]] = {
    "connect": ("vpnclient.cli.connect", "Connect to a gateway, or only sign in."),
    "profile": ("vpnclient.cli.profile", "List, show and check profiles."),
    "restore": ("vpnclient.cli.restore", "Undo what a client that died left behind on this computer."),
    "lab": ("vpnclient.cli.lab", "Small gateways on this machine, to try and to test against."),
    "version": ("vpnclient.cli.version", "Show the version and what is built in."),
}

# name -> why
LINUX_ONLY = {"lab": "its gateways live in network namespaces of Linux"}

# Typer brings click along, under a name that varies with its version.
_CLICK_USAGE_ERROR = cast(type[Exception], typer.BadParameter.__mro__[1])

_OF_THE_ROOT = ("install_completion", "show_completion")  # options that typer gives to every app

# Objects made and not freed until Python looks for cycles of garbage among them.  What a start makes stays: to look
# at it every 700 objects is 20 of 300 ms of CPU time, for nothing.
GARBAGE = 50_000

_EPILOG = """Examples:

vpnclient connect vpn.example.com --user alice

vpnclient profile list

vpnclient lab demo
"""


class Commands(TyperGroup):
    """The commands of COMMANDS, known by name until one is called."""

    def list_commands(self, ctx: object) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> TyperCommand | None:
        """A stand-in with the name and the line for the overview; `resolve_command` brings the real one."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def]
        name, stand_in, rest = super().resolve_command(ctx, args)
        if name in LINUX_ONLY and sys.platform == "win32":
            raise NotOnThisSystem(f"vpnclient {name} does not run on Windows", hint=LINUX_ONLY[name])
        return name, load(name) if name in COMMANDS else stand_in, rest

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: object,
    ) -> None:
        """Runs the command and leaves the program.  Every error that is known becomes two lines and a status."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            status = super().main(
                _prepared(given), prog_name or "vpnclient", complete_var, False, windows_expand_args, **extra
            )
            output.finish()
        except _CLICK_USAGE_ERROR as exc:
            status = _complain_about_usage(exc, given)
        except (ClientError, ProtocolError) as exc:
            status = complain(exc)
        except (KeyboardInterrupt, typer.Abort):
            status = Exit.INTERRUPTED
        except BrokenPipeError:
            output.give_up()  # nobody reads any more
            status = Exit.INTERNAL
        except OSError as exc:
            status = complain(exc)
        sys.exit(int(status) if isinstance(status, int) else Exit.OK)


def load(name: str) -> object:
    """The real command: a group, or the one command of its module, under its name here."""
    app: Typer = import_module(COMMANDS[name][0]).app
    command = typer.main.get_command(app)
    command.name = name
    command.params = [param for param in command.params if param.name not in _OF_THE_ROOT]
    return command


def _prepared(arguments: list[str]) -> list[str]:
    if arguments[:1] != ["connect"]:
        return arguments
    from vpnclient.cli.arguments import unfold
    from vpnclient.cli.options import CONNECT

    return ["connect", *unfold(arguments[1:], CONNECT)]


def _complain_about_usage(error: Exception, arguments: Sequence[str]) -> Exit:
    if type(error).__name__ == "NoArgsIsHelpError":  # its text is the help, unless that is printed already
        if str(error):
            print(error)
        return Exit.USAGE
    return complain(_as_usage_error(error, arguments))


def _as_usage_error(error: BaseException, arguments: Sequence[str]) -> UsageError:
    """Typer's complaint in our words, with the nearest option or command."""
    text = str(getattr(error, "message", "")) or str(error)
    option = getattr(error, "option_name", None)
    if type(error).__name__ == "NoSuchOption" and option:
        return UsageError(f"no such option: {option}", hint=_about(option, getattr(error, "possibilities", None)))
    if text.startswith("No such command"):
        return _unknown_command(arguments, getattr(error, "ctx", None))
    format_message = getattr(error, "format_message", None)
    text = (format_message() if callable(format_message) else text).rstrip(".")
    where = getattr(getattr(error, "ctx", None), "command_path", "")
    where = where or " ".join(["vpnclient", *(word for word in arguments[:1] if word in COMMANDS)])
    return UsageError(text[:1].lower() + text[1:], hint=f"see {where} --help")


def _about(option: str, near: Sequence[str] | None) -> str:
    from vpnclient.cli.options import ABSENT

    if option in ABSENT:
        instead = ABSENT[option]
        return "openconnect's option is not supported here" + (f"; {instead}" if instead else "")
    if near:
        return f"did you mean {' or '.join(near[:2])}?"
    return "see vpnclient connect --help"


def _unknown_command(arguments: Sequence[str], where: typer.Context | None) -> UsageError:
    """where: the group that does not know the word; None, or a context without a parent: the program itself."""
    from difflib import get_close_matches

    words = [argument for argument in arguments if not argument.startswith("-")]
    if where is not None and where.parent is not None:
        known = cast(TyperGroup, where.command).list_commands(where)
        word = next((word for word in words[where.command_path.count(" ") :] if word not in known), "")
        near = get_close_matches(word, known, n=1) or known
        return UsageError(f"no such command: {word!r}", hint=f"there is {where.command_path} {' | '.join(near)}")
    word = next(iter(words), "")
    near = get_close_matches(word, COMMANDS, n=1)
    hint = f"did you mean vpnclient {near[0]}?" if near else f"to connect: vpnclient connect {word}"
    return UsageError(f"no such command: {word!r}", hint=hint)


def complain(error: Exception) -> Exit:
    """An error and its hint on standard error."""
    from vpnclient.settings import plain

    failure = explain(error)
    colour = sys.stderr.isatty()
    red, cyan, reset = ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") if colour and not _no_colour() else ("", "", "")
    print(f"{red}error:{reset} {plain(failure.text)}", file=sys.stderr)
    if failure.hint:
        print(f"{cyan}hint:{reset} {plain(failure.hint)}", file=sys.stderr)
    return failure.exit_code


def _no_colour() -> bool:
    return bool(os.environ.get("NO_COLOR"))


def _show_version(wanted: bool) -> None:
    if wanted:
        from vpnclient.cli.version import show

        show()
        raise typer.Exit


app = typer.Typer(
    name="vpnclient",
    cls=Commands,
    help=f"vpnclient {__version__}: a client for SSL VPN gateways.",
    epilog=_EPILOG,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: bool = typer.Option(
        False, "--version", "-V", help="Show the version.", callback=_show_version, is_eager=True
    ),
) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help(), end="")
        raise typer.Exit(Exit.USAGE)


def fill_standard_streams() -> None:
    """Streams that were closed lead nowhere.  Otherwise the tunnel's device could get their numbers, and our texts."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)


def run() -> None:
    """The entry point of the installed program."""
    gc.set_threshold(GARBAGE)
    fill_standard_streams()
    try:
        app()
    except Exception as exc:
        import traceback

        traceback.print_exc()
        sys.exit(complain(exc))
