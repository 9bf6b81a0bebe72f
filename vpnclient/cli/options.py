"""The options of `connect`, made from the table in vpnclient.schema, and the way back from typer to values.

Typer converts nothing here: every option is a text, a list of texts or a flag, and the table reads it, so that a
profile, the environment and the command line complain in the same words.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping

import typer

from vpnclient.checks import check
from vpnclient.errors import UsageError
from vpnclient.schema import ITEMS, Item, Kind, Panel, Value

_FLAG, _TEXT, _LIST = Kind.FLAG, Kind.TEXT, Kind.LIST

# What only makes sense on the command line.
ONLY_HERE: tuple[Item, ...] = (
    Item("server_option", _TEXT, "", ("--server",), Panel.NETWORK, "The same as TARGET.", "URL", hidden=True),
    Item("authenticate", _FLAG, "", ("--authenticate",), Panel.OUTPUT,
         "Only sign in; print what another process needs to open the tunnel."),
    Item("cookieonly", _FLAG, "", ("--cookieonly",), Panel.OUTPUT, "Only sign in; print the cookie."),
    Item("printcookie", _FLAG, "", ("--printcookie",), Panel.OUTPUT, "Print the cookie, then connect."),
    Item("format", _TEXT, "", ("--format",), Panel.OUTPUT, "How --authenticate prints: shell or json.", "FORMAT",
         choices=("shell", "json")),
    Item("events", _TEXT, "", ("--events",), Panel.OUTPUT,
         "Events on standard output, a JSON object a line: json.", "FORMAT", choices=("json",)),
    Item("quiet", _FLAG, "", ("--quiet", "-q"), Panel.OUTPUT, "Only errors."),
    Item("timestamp", _FLAG, "", ("--timestamp",), Panel.OUTPUT, "Put date and time before each line."),
    Item("dump_http_traffic", _FLAG, "", ("--dump-http-traffic",), Panel.OUTPUT,
         "Show HTTP requests and answers, without their secrets."),
    Item("version", _FLAG, "", ("--version", "-V"), Panel.OUTPUT, "Show the version.", hidden=True),
    # Accepted so that scripts made for openconnect go on working; there is nothing to do.
    Item("pfs", _FLAG, "", ("--pfs",), Panel.TRUST, "Always on.", hidden=True),
    Item("no_deflate", _FLAG, "", ("--no-deflate", "-D"), Panel.TUNNEL, "Always so.", hidden=True),
    Item("no_external_auth", _FLAG, "", ("--no-external-auth",), Panel.SIGN_IN, "Always so.", hidden=True),
)  # fmt: skip

# Options of openconnect that are not here yet: better than a guess at the nearest name.
ABSENT: Mapping[str, str] = {
    "--background": "run it under systemd, or with: setsid vpnclient connect ... &",
    "-b": "run it under systemd, or with: setsid vpnclient connect ... &",
    "--pid-file": "run it under systemd",
    "--setuid": "run it as root: it undoes its changes at the end",
    "-U": "run it as root: it undoes its changes at the end",
    "--syslog": "run it under systemd, or pipe it into logger",
    "-l": "run it under systemd, or pipe it into logger",
    "--no-cert-check": "name the gateway's key instead: --servercert pin-sha256:...",
    "--key-password-from-fsid": "use --key-password, or tls.key-password in a profile",
    "--xmlconfig": "write a profile instead; see examples/",
    "-x": "write a profile instead; see examples/",
    "--libproxy": "give --proxy, or set https_proxy",
    "--script-tun": "",
    "-S": "",
    "--token-mode": "answer the question for the code at the terminal",
    "--token-secret": "answer the question for the code at the terminal",
    "--external-browser": "",
    "--deflate": "use --compression stateless",
    "-d": "use --compression stateless",
    "--allow-insecure-crypto": "give the ciphers in a profile: tls.ciphers",
    "--queue-len": "leave it out",
    "-Q": "leave it out",
    "--passtos": "leave it out",
    "--cert-expire-warning": "leave it out",
    "-e": "leave it out",
    "--http-auth": "",
    "--proxy-auth": "give user and password in the URL of --proxy",
    "--gnutls-priority": "give the ciphers in a profile: tls.ciphers",
    "--juniper": "use --protocol nc",
    "--force-trojan": "use --csd-interval",
    "--mca-certificate": "",
    "--mca-key": "",
    "--mca-key-password": "",
}

IN_ORDER = frozenset({"passwd_on_stdin", "cookie_on_stdin", "authenticate", "cookieonly", "printcookie"})
ORDER = "vpnclient.order"  # in the context's meta: names of IN_ORDER, as they came

CONNECT: tuple[Item, ...] = (*(item for item in ITEMS if item.flags), *ONLY_HERE)
_BY_NAME = {item.name: item for item in CONNECT}


def with_options(items: Iterable[Item], complete: Callable[[str], list[str]]) -> Callable[..., Callable[..., None]]:
    """A decorator: gives `function(ctx, target, **given)` the signature that typer reads the options from."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        positional, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        target = typer.Argument(
            None, metavar="TARGET", help="Name of a profile, host[:port] or URL.", autocompletion=complete
        )
        verbose = typer.Option(
            0, "--verbose", "-v", count=True, help="Say more; repeatable.", rich_help_panel=Panel.OUTPUT.value
        )
        parameters = [
            inspect.Parameter("ctx", positional, annotation=typer.Context),
            inspect.Parameter("target", positional, annotation=str, default=target),
            *(inspect.Parameter(item.name, keyword, annotation=_type(item), default=_option(item)) for item in items),
            inspect.Parameter("verbose", keyword, annotation=int, default=verbose),
        ]
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return function

    return decorate


def _type(item: Item) -> object:
    if item.kind is Kind.FLAG:
        return bool
    return list[str] if item.kind in (Kind.LIST, Kind.RESOLVE, Kind.FORM) else str


def _option(item: Item) -> object:
    return typer.Option(
        None,
        *item.flags,
        help=item.help,
        metavar=item.metavar or None,
        hidden=item.hidden,
        rich_help_panel=item.panel.value,
        show_default=False,
        callback=_remember if item.name in IN_ORDER else None,
    )


def _remember(ctx: typer.Context, param: typer.CallbackParam, value: bool) -> bool:
    """Typer calls back in the order of the command line."""
    if value and param.name:
        ctx.meta.setdefault(ORDER, []).append(param.name)
    return value


def values(given: Mapping[str, object]) -> dict[str, Value]:
    """What was given, read and checked.  Raises UsageError naming the option."""
    found: dict[str, Value] = {}
    for name, raw in given.items():
        item = _BY_NAME.get(name)
        if item is None or raw is None or raw == () or raw == []:
            continue
        try:
            value = _value(item, raw)
            check(name, value)
        except ValueError as exc:
            raise UsageError(f"{_long(item)}: {_found(item, raw, str(exc))}") from exc
        found[name] = value
    return found


def _value(item: Item, raw: object) -> Value:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, list | tuple):
        return tuple(str(text) for text in raw)
    return item.read(str(raw))


def _found(item: Item, raw: object, text: str) -> str:
    text = text.removeprefix(f"{_long(item)}: ").removeprefix(f"{_long(item)} ")
    return f"found {raw!r}, {text}" if text.startswith("wanted") and not item.exposed else text


def _long(item: Item) -> str:
    return next(flag for flag in item.flags if flag.startswith("--")).partition("/")[0]


def exposed(given: Mapping[str, Value]) -> list[str]:
    """Options whose secret values other users of this computer can read."""
    from vpnclient.merge import has_password

    found = [_long(_BY_NAME[name]) for name in given if _BY_NAME[name].exposed and not _harmless(given[name])]
    proxy = given.get("proxy")
    return [*found, "--proxy"] if isinstance(proxy, str) and has_password(proxy) else found


def _harmless(value: Value) -> bool:
    """Form entries without a value only say what to ask."""
    return isinstance(value, tuple) and not any("=" in text for text in value)
