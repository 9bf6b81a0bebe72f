"""Network namespaces for the demo, the tests and the benchmarks; whatever was made is removed again.

    gateway namespace                     client namespace
    veth  192.0.2.1/24  ------------------  192.0.2.2/24
          2001:db8:77::1/64                 2001:db8:77::2/64  [default route]

Each namespace has a resolv.conf of its own (/etc/netns/NAME/resolv.conf, which `ip netns exec` puts over
/etc/resolv.conf), so nothing inside touches the host's.  Names carry the pid and random digits: any number of pairs can
live side by side.  Needs root and iproute2.  Source: ip-netns(8).
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

from vpnclient.errors import ClientError, Exit

NETNS_ETC = Path("/etc/netns")
COMMAND_TIMEOUT = 30.0  # seconds for a command that only configures
KILL_GRACE = 3.0  # seconds between SIGTERM and SIGKILL for what still runs in a namespace

GATEWAY_V4 = IPv4Interface("192.0.2.1/24")
CLIENT_V4 = IPv4Interface("192.0.2.2/24")
GATEWAY_V6 = IPv6Interface("2001:db8:77::1/64")
CLIENT_V6 = IPv6Interface("2001:db8:77::2/64")
DUMMY_V4, DUMMY_V6 = "192.0.2.254", "2001:db8:77::fe"  # next hops that answer nothing
DUMMY_MAC = "02:00:00:00:00:fe"


class LabError(ClientError):
    """The lab cannot be built, or a command in it failed."""

    code, exit_code = "lab", Exit.HOST


def missing_requirements() -> list[str]:
    """What this machine or user lacks to make namespaces, one line each; empty: all is there."""
    lacks = []
    if os.geteuid() != 0:
        lacks.append("root (namespaces and TUN devices need CAP_SYS_ADMIN and CAP_NET_ADMIN): run it with sudo")
    if shutil.which("ip") is None:
        lacks.append("the command ip: apt-get install iproute2")
    if not Path("/dev/net/tun").exists():
        lacks.append("the device /dev/net/tun: modprobe tun (in a container: pass the device in)")
    return lacks


def call(*argv: str, check: bool = True) -> str:
    """Run a configuring command; its output.  Raises LabError with what it said."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False)
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise LabError(f"{' '.join(argv)}: {said}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a namespace's network looks like, as sorted lines per aspect: two of them can be compared."""

    links: tuple[str, ...]
    addresses: tuple[str, ...]
    routes: tuple[str, ...]
    rules: tuple[str, ...]
    resolv_conf: tuple[str, ...]

    def differences(self, later: Snapshot) -> list[str]:
        """Lines that came ("+") or went ("-") from this one to `later`, each with its aspect."""
        found = []
        for aspect in ("links", "addresses", "routes", "rules", "resolv_conf"):
            before, after = getattr(self, aspect), getattr(later, aspect)
            found += [f"+ {aspect}: {line}" for line in after if line not in before]
            found += [f"- {aspect}: {line}" for line in before if line not in after]
        return found


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace, alive inside `namespace()`."""

    name: str
    resolv_conf: Path = field(repr=False)

    def command(self, *argv: str) -> list[str]:
        """The command line that runs `argv` inside; it replaces itself, so the pid is the command's own."""
        return ["ip", "netns", "exec", self.name, *argv]

    def run(
        self, *argv: str, check: bool = True, timeout: float = COMMAND_TIMEOUT, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end, `text` on its standard input."""
        done = subprocess.run(
            self.command(*argv), capture_output=True, text=True, timeout=timeout, check=False, input=text
        )
        if check and done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise LabError(f"{' '.join(argv)} in {self.name}: exit status {done.returncode}: {said}")
        return done

    def popen(
        self,
        *argv: str,
        stdin: int | None = subprocess.PIPE,
        stdout: int | None = subprocess.PIPE,
        stderr: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command inside, in a session of its own: a Ctrl-C at the terminal does not reach it."""
        return subprocess.Popen(
            self.command(*argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=None if env is None else dict(env),
            text=True,
            start_new_session=True,
        )

    def ip(self, *argv: str, check: bool = True) -> str:
        """`ip ...` on this namespace's network."""
        return call("ip", "-n", self.name, *argv, check=check)

    def pids(self) -> list[int]:
        return [int(pid) for pid in call("ip", "netns", "pids", self.name, check=False).split()]

    def snapshot(self) -> Snapshot:
        return Snapshot(
            links=_lines(self.ip("-o", "link", "show")),
            addresses=_lines(self.ip("-o", "address", "show")),
            routes=_lines(
                *(self.ip(family, "route", "show", "table", "all") for family in ("-4", "-6")),
            ),
            rules=_lines(*(self.ip(family, "rule", "show") for family in ("-4", "-6"))),
            resolv_conf=tuple(self.resolv_conf.read_text().splitlines()),
        )


def _lines(*texts: str) -> tuple[str, ...]:
    """Sorted lines with single spaces, without what changes by itself (a queueing discipline's choice)."""
    lines = (re.sub(r"\s+", " ", line).strip() for text in texts for line in text.splitlines())
    return tuple(sorted(line for line in lines if line))


@contextlib.contextmanager
def namespace(label: str, *, resolv_conf: str = "nameserver 127.0.0.1\n") -> Iterator[Namespace]:
    """A new namespace with its loopback up, called vpn-LABEL-PID-RANDOM; removed with all that runs in it."""
    name = f"vpn-{label}-{os.getpid()}-{secrets.token_hex(3)}"
    etc = NETNS_ETC / name
    space = Namespace(name, etc / "resolv.conf")
    with contextlib.ExitStack() as undo:
        undo.callback(_remove_etc, etc)
        etc.mkdir(parents=True, mode=0o755)
        space.resolv_conf.write_text(resolv_conf)
        undo.callback(_remove_namespace, space)
        call("ip", "netns", "add", name)
        # Duplicate address detection would keep addresses unusable for a second.
        space.run("sh", "-c", "for f in all default; do echo 0 > /proc/sys/net/ipv6/conf/$f/accept_dad; done")
        space.ip("link", "set", "lo", "up")
        yield space


def _remove_etc(etc: Path) -> None:
    shutil.rmtree(etc, ignore_errors=True)
    with contextlib.suppress(OSError):
        NETNS_ETC.rmdir()  # only if it is empty: it was not there before the first namespace


def _remove_namespace(space: Namespace) -> None:
    """End what still runs inside (all of it started by us: nobody else has this name), then remove it."""
    _end_all(space)
    call("ip", "netns", "delete", space.name, check=False)


def _end_all(space: Namespace) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in space.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        until = time.monotonic() + KILL_GRACE
        while space.pids() and time.monotonic() < until:
            time.sleep(0.02)


def join(left: Namespace, right: Namespace, *, name: str = "veth0", mtu: int = 1500) -> None:
    """A veth pair between two namespaces, up, called `name` on both sides.  It goes away with either of them."""
    end = ["netns", right.name, "mtu", str(mtu)]
    left.ip("link", "add", name, "mtu", str(mtu), "type", "veth", "peer", "name", name, *end)
    for space in (left, right):
        space.ip("link", "set", name, "up")


def add_addresses(space: Namespace, device: str, addresses: Sequence[IPv4Interface | IPv6Interface]) -> None:
    for address in addresses:
        extra = ["nodad"] if address.version == 6 else []
        space.ip("address", "add", str(address), "dev", device, *extra)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two joined namespaces, with the addresses of the drawing above."""

    gateway: Namespace
    client: Namespace
    device: str = "veth0"
    gateway_v4: str = str(GATEWAY_V4.ip)
    gateway_v6: str = str(GATEWAY_V6.ip)
    client_v4: str = str(CLIENT_V4.ip)
    client_v6: str = str(CLIENT_V6.ip)

    def link(self, *, up: bool) -> None:
        """Plug the cable in, or pull it out (on the gateway's side: the client sees its carrier go)."""
        self.gateway.ip("link", "set", self.device, "up" if up else "down")


@contextlib.contextmanager
def pair(*, default_route: str = "none", mtu: int = 1500) -> Iterator[Pair]:
    """Two joined namespaces.

    default_route, in the client: "none", "gateway" (through the gateway's side), or "dummy" (through a next hop that
    swallows everything, as a home router whose traffic nobody looks at).
    """
    if default_route not in ("none", "gateway", "dummy"):
        raise ValueError(f"default_route: got {default_route!r}, want none, gateway or dummy")
    with namespace("gw") as gateway, namespace("client") as client:
        join(gateway, client, mtu=mtu)
        both = Pair(gateway, client)
        add_addresses(gateway, both.device, (GATEWAY_V4, GATEWAY_V6))
        add_addresses(client, both.device, (CLIENT_V4, CLIENT_V6))
        _default_route(both, default_route)
        _wait_for_carrier(both)
        yield both


def _default_route(both: Pair, kind: str) -> None:
    if kind == "none":
        return
    hops = (both.gateway_v4, both.gateway_v6) if kind == "gateway" else (DUMMY_V4, DUMMY_V6)
    for family, hop in zip(("-4", "-6"), hops, strict=True):
        if kind == "dummy":
            both.client.ip("neigh", "add", hop, "lladdr", DUMMY_MAC, "dev", both.device, "nud", "permanent")
        both.client.ip(family, "route", "add", "default", "via", hop, "dev", both.device)


def _wait_for_carrier(both: Pair) -> None:
    """Until both link-local addresses are there: then the routing tables no longer change by themselves."""
    until = time.monotonic() + KILL_GRACE
    for space in (both.gateway, both.client):
        while "inet6 fe80" not in space.ip("-o", "address", "show", "dev", both.device):
            if time.monotonic() > until:
                raise LabError(f"{both.device} in {space.name} did not come up")
            time.sleep(0.01)
