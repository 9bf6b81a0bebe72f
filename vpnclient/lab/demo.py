"""`vpnclient lab demo`: the whole way on one machine, and proof that nothing stays.

    two namespaces -> gateway -> client -> pings -> data both ways -> routes and DNS shown -> disconnect -> compare

Everything that was there before is compared with what is there afterwards: links, addresses, routes, rules, resolv.conf
and the client's journals.  The host's own network is never touched.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vpnclient.errors import UsageError
from vpnclient.lab.demo_traffic import ping, transfer
from vpnclient.lab.netns import LabError, Pair, Snapshot, pair
from vpnclient.lab.programs import Event, Program, events_until_connected, gateway_facts, program, way_of_packets

PROTOCOLS = ("anyconnect", "f5", "fortinet", "gp", "nc")
ONLY_IPV4 = frozenset({"nc"})
USER = "demo"
CONNECT_LIMIT = 30.0  # seconds
EXCLUDED = "198.51.100.0/24"  # shown as a network that stays outside the tunnel
DOMAIN = "lab.example"
HOST_RESOLV_CONF = Path("/etc/resolv.conf")


@dataclass(slots=True)
class Report:
    """What was checked; `good` at the end decides the exit status."""

    console: Console
    rows: list[tuple[str, bool, str]] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return bool(self.rows) and all(ok for _, ok, _ in self.rows)

    def step(self, text: str) -> None:
        self.console.print(Text(text, style="bold"), soft_wrap=True)

    def line(self, text: str) -> None:
        self.console.print(Text("  " + text), soft_wrap=True)

    def check(self, name: str, ok: bool, detail: str = "") -> None:
        self.rows.append((name, ok, detail))
        self.line(f"{'✓' if ok else '✗'} {name}{': ' if detail else ''}{detail}")

    def table(self) -> None:
        table = Table(title="What the demo showed", title_justify="left", show_lines=False)
        for heading in ("", "check", "figures"):
            table.add_column(heading, overflow="fold")
        for name, ok, detail in self.rows:
            mark = Text("✓", style="green") if ok else Text("✗", style="bold red")
            table.add_row(mark, name, Text(detail.partition("\n")[0]))
        self.console.print(table)


def run_demo(protocol: str, seconds: float, console: Console | None = None) -> bool:
    """The demo; True if every check passed.  seconds: of TCP traffic each way."""
    if protocol not in PROTOCOLS:
        raise UsageError(f"demo: got protocol {protocol!r}, want one of: {', '.join(PROTOCOLS)}")
    report = Report(console or Console())
    with _interruptible(), tempfile.TemporaryDirectory(prefix="vpnclient-demo-") as folder:
        try:
            with pair(default_route="dummy") as both:
                report.step(f"Two network namespaces: {both.gateway.name} and {both.client.name}")
                _Demo(protocol, both, Path(folder), report).run(seconds)
        except LabError as exc:
            report.check("the demo ran to its end", False, str(exc))
    _check_namespaces_gone(both.gateway.name, both.client.name, report)
    report.table()
    return report.good


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: with everything removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Demo:
    def __init__(self, protocol: str, both: Pair, folder: Path, report: Report) -> None:
        self._protocol, self._both, self._folder, self._report = protocol, both, folder, report
        self._run_dir = folder / "run"
        self._password = secrets.token_urlsafe(12)

    def run(self, seconds: float) -> None:
        report, both = self._report, self._both
        client_before, gateway_before = both.client.snapshot(), both.gateway.snapshot()
        host_before = HOST_RESOLV_CONF.read_bytes() if HOST_RESOLV_CONF.exists() else b""
        with self._program("gateway", self._gateway_argv()) as gateway:
            facts = gateway_facts(gateway)
            report.step(f"A gateway listens: {facts['url']}")
            report.line(f"its key is {facts['pin']}")
            with self._program("client", self._client_argv(facts)) as client:
                device = self._connect(client)
                self._show_host(client_before)
                self._pings(facts)
                self._transfers(device, facts["tunnel_address"], seconds)
                self._disconnect(client, gateway)
            self._compare("client", client_before, both.client.snapshot())
            self._check_journals()
            report.check("the gateway ends in order", gateway.stop(signal.SIGTERM) == 0)
        self._compare("gateway", gateway_before, both.gateway.snapshot())
        host_after = HOST_RESOLV_CONF.read_bytes() if HOST_RESOLV_CONF.exists() else b""
        report.check(f"this host's own {HOST_RESOLV_CONF} untouched", host_before == host_after)

    def _program(self, name: str, argv: list[str]) -> contextlib.AbstractContextManager[Program]:
        space = self._both.gateway if name == "gateway" else self._both.client
        text = f"{self._password}\n"
        return program(name, space, argv, stdin=text, folder=self._folder, run_dir=self._run_dir)

    def _gateway_argv(self) -> list[str]:
        argv = ["lab", "serve", self._protocol, "--listen", f"{self._both.gateway_v4}:443"]
        argv += ["--user", USER, "--password-stdin", "--dns", "10.77.0.1"]
        if self._protocol not in ONLY_IPV4:
            argv += ["--dns", "fd77::1"]
        return [*argv, "--default-domain", DOMAIN, "--no-route", EXCLUDED]

    def _client_argv(self, facts: dict[str, str]) -> list[str]:
        argv = ["connect", facts["url"], "--protocol", self._protocol, "--servercert", facts["pin"]]
        # The file back-end: a resolver daemon of the host would not know about this namespace.
        return [*argv, "--user", USER, "--passwd-on-stdin", "--non-inter", "--events", "json", "--dns", "file"]

    def _connect(self, client: Program) -> str:
        """Wait until packets flow; the name of the tunnel's interface."""
        report, began = self._report, time.monotonic()
        report.step("The client connects: vpnclient " + " ".join(client_words(client)))
        configured: Event = {}
        for event in events_until_connected(client, CONNECT_LIMIT):
            if event["event"] == "state":
                report.line(f"{time.monotonic() - began:5.2f} s  {event['state']} {event['reason']}".rstrip())
            elif event["event"] == "tls":
                report.line(f"        {event['version']}, {event['cipher']}, {event['pin']}")
            elif event["event"] == "configured":
                configured = event
        addresses = ", ".join(configured.get("addresses", ()))
        report.check("connected", bool(configured), f"{addresses} in {time.monotonic() - began:.2f} s")
        return str(configured.get("interface", ""))

    def _show_host(self, before: Snapshot) -> None:
        self._report.step("What it set in the client's namespace")
        changes = before.differences(self._both.client.snapshot())
        shown = [text for text in changes if " table local " not in text and "links:" not in text]
        for text in shown:
            self._report.line(text.partition("\\")[0])
        self._report.check("routes set", any(text.startswith("+ routes:") for text in shown))
        self._report.check("DNS set", any(text.startswith("+ resolv_conf:") for text in shown))

    def _pings(self, facts: dict[str, str]) -> None:
        self._report.step("Pings through the tunnel")
        for name in ("tunnel_address", "tunnel_address6"):
            if name not in facts:
                continue
            ok, said = ping(self._both.client, facts[name])
            self._report.check(f"ping {facts[name]}", ok, said)

    def _transfers(self, device: str, address: str, seconds: float) -> None:
        self._report.step("Data through the tunnel (gateway, client and load share this machine)")
        for direction, name in (("up", "client to gateway"), ("down", "gateway to client")):
            moved = transfer(self._both, device, address, direction, seconds, self._report.console)
            self._report.check(name, moved.bytes > 0, str(moved))

    def _disconnect(self, client: Program, gateway: Program) -> None:
        self._report.step("Disconnect (Ctrl-C)")
        status = client.stop(signal.SIGINT)
        self._report.check("the client ends in order", status == 0, f"exit status {status}")
        way, detail = way_of_packets(client)
        self._report.check("packets went by", way != "TLS", f"{way} {detail}".rstrip())
        until = time.monotonic() + 2
        while "cookie dead" not in gateway.log.read_text() and time.monotonic() < until:
            time.sleep(0.05)
        told = "cookie dead" in gateway.log.read_text()
        self._report.check("the gateway was told, its cookie is dead", told)

    def _compare(self, whose: str, before: Snapshot, after: Snapshot) -> None:
        left = before.differences(after)
        count = sum(len(getattr(before, name)) for name in ("links", "addresses", "routes", "rules", "resolv_conf"))
        detail = "; ".join(left) if left else f"{count} lines of links, addresses, routes, rules and DNS as before"
        self._report.check(f"nothing left in the {whose}'s namespace", not left, detail)

    def _check_journals(self) -> None:
        names = sorted(path.name for path in self._run_dir.glob("**/*"))
        self._report.check("no journal left", not names, ", ".join(names))


def client_words(client: Program) -> list[str]:
    """What the client was called with, for people: without the interpreter and the namespace."""
    argv = list(map(str, client.process.args)) if isinstance(client.process.args, list) else []
    return argv[argv.index("connect") :] if "connect" in argv else argv


def _check_namespaces_gone(gateway: str, client: str, report: Report) -> None:
    left = [name for name in (gateway, client) if Path("/run/netns", name).exists()]
    left += [name for name in (gateway, client) if Path("/etc/netns", name).exists()]
    report.check("the namespaces are gone", not left, ", ".join(left))
