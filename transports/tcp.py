"""TCP connections by name: resolve, try every address, say why each failed.

Addresses are tried in the resolver's order with the families interleaved, the next one STAGGER seconds after the last
(RFC 8305), so that a network with broken IPv6 costs a quarter of a second and not a time-out.

Times: seconds.  Ports: 1..65535.  Addresses: numeric text.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from transports.errors import Unreachable

STAGGER = 0.25  # seconds before the next address is tried beside the last
MAX_ADDRESSES = 32  # per name; more are not tried
MAX_HOST = 253  # characters of a name
KEEPALIVE_PROBES = 4
MAX_KEEPALIVE_IDLE = 32767  # seconds: Linux refuses more
KEEPALIVE_EVERY = 10  # seconds between probes

_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one address could not be reached.  no_route: this host has no way there, the peer was never asked."""

    address: str
    reason: str
    no_route: bool = False


class NoAddressWorked(Unreachable):
    """No connection to any address of a host; `failures` has each of them."""

    def __init__(self, host: str, port: int, failures: Sequence[Failure]) -> None:
        each = "; ".join(f"{failure.address}: {failure.reason}" for failure in failures)
        super().__init__(f"cannot reach {host} port {port}: {each}")
        self.host, self.port, self.failures = host, port, tuple(failures)


def is_numeric(host: str) -> bool:
    """The host is an IPv4 or IPv6 address, a scope allowed."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def resolve(host: str, port: int, timeout: float) -> tuple[str, ...]:
    """Numeric addresses of a name, in the order to try.  Raises Unreachable."""
    if is_numeric(host):
        return (host,)
    if not host or len(host) > MAX_HOST or not host.isprintable():
        raise Unreachable(f"cannot resolve {host[:MAX_HOST]!r}: not a host name")
    try:
        async with asyncio.timeout(timeout):
            found = await _ask_dns(host, port)
    except TimeoutError as exc:
        raise Unreachable(f"cannot resolve {host}: no answer from DNS within {timeout:g} s") from exc
    except (OSError, UnicodeError) as exc:
        raise Unreachable(f"cannot resolve {host}: {reason_of(exc)}") from exc
    addresses = interleave(found)
    if not addresses:
        raise Unreachable(f"cannot resolve {host}: the name has no address")
    return addresses[:MAX_ADDRESSES]


async def _ask_dns(host: str, port: int) -> list[str]:
    """Every address, as often as it comes.  In a thread of its own: the loop's would be waited for at the end, and a
    resolver that hangs takes a minute to give up.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str], error: Exception | None) -> None:
        if answer.done():
            return  # nobody waits any more
        if error is None:
            answer.set_result(found)
        else:
            answer.set_exception(error)

    def ask() -> None:
        found: list[str] = []
        failure: Exception | None = None
        try:
            found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except Exception as exc:
            failure = exc
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, found, failure)

    threading.Thread(target=ask, name="dns", daemon=True).start()
    return await answer


def interleave(addresses: Iterable[str]) -> tuple[str, ...]:
    """Each address once; the families alternate, the first one's first (RFC 8305, section 4)."""
    unique = list(dict.fromkeys(addresses))
    lead = [one for one in unique if (":" in one) == (":" in unique[0])]
    other = [one for one in unique if one not in lead]
    mixed: list[str] = []
    while lead or other:
        mixed += lead[:1] + other[:1]
        del lead[:1], other[:1]
    return tuple(mixed)


async def connect(
    host: str, addresses: Sequence[str], port: int, timeout: float, *, stagger: float = STAGGER
) -> tuple[socket.socket, str]:
    """A connected, non-blocking socket to the first address that answers, and that address; TCP_NODELAY is set.

    host: for the error text.  timeout: for each address.  Raises NoAddressWorked.
    """
    waiting = list(addresses)
    tasks: dict[asyncio.Task[socket.socket], str] = {}
    failures: list[Failure] = []
    try:
        while waiting or tasks:
            if waiting:
                address = waiting.pop(0)
                tasks[asyncio.create_task(_connect_one(address, port, timeout))] = address
            done, _ = await asyncio.wait(
                tasks, timeout=stagger if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                error = task.exception()
                if error is None:
                    return task.result(), tasks.pop(task)
                failures.append(_failure(tasks.pop(task), error, timeout))
    finally:
        await _drop(tasks)
    raise NoAddressWorked(host, port, failures)


async def _connect_one(address: str, port: int, timeout: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def _drop(tasks: Iterable[asyncio.Task[socket.socket]]) -> None:
    """End attempts that lost the race, and close what they may have opened meanwhile."""
    losers = list(tasks)
    for task in losers:
        task.cancel()
    for outcome in await asyncio.gather(*losers, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()


def _failure(address: str, error: BaseException, timeout: float) -> Failure:
    if not isinstance(error, OSError):
        raise error
    if isinstance(error, TimeoutError) and error.errno is None:
        return Failure(address, f"no answer within {timeout:g} s")
    return Failure(address, reason_of(error), error.errno in _NO_ROUTE)


def reason_of(error: Exception) -> str:
    """The system's text for an error, in lower case."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()  # asyncio's own text repeats the address
    text = error.strerror if isinstance(error, OSError) else None
    return (text or str(error) or type(error).__name__).lower()


def keep_alive(sock: socket.socket, idle: int) -> None:
    """Probe the peer after `idle` seconds of silence; unanswered probes or data then end the connection."""
    idle = max(1, min(idle, MAX_KEEPALIVE_IDLE))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (
        ("TCP_KEEPIDLE", idle),
        ("TCP_KEEPINTVL", KEEPALIVE_EVERY),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", (idle + KEEPALIVE_EVERY * KEEPALIVE_PROBES) * 1000),  # milliseconds
    )
    for name, value in options:
        number = getattr(socket, name, None)
        if number is not None:  # not every system has each of them
            sock.setsockopt(socket.IPPROTO_TCP, number, value)
