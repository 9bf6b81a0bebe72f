"""The demo's traffic: pings, and TCP both ways with a progress display.  iperf3 if it is there, else transfer.py."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from vpnclient.lab.netns import LabError, Namespace, Pair

PORT = 5201  # in a namespace of our own every port is free
SAMPLE = 0.25  # seconds between two looks at the counters
START_LIMIT = 15.0  # seconds for a server to listen
SLACK = 20.0  # seconds that a transfer may take on top of what was asked for


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes that arrived at the far end, in so many seconds."""

    bytes: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.bytes / 1e6:.0f} MB in {self.seconds:.1f} s, {rate(self.bytes, self.seconds)}"


def rate(count: int, seconds: float) -> str:
    bits = count * 8 / max(seconds, 1e-9)
    return f"{bits / 1e9:.2f} Gbit/s" if bits >= 1e9 else f"{bits / 1e6:.0f} Mbit/s"


def ping(space: Namespace, address: str, count: int = 3) -> tuple[bool, str]:
    """Whether every ping came back, and what ping said about it."""
    done = space.run("ping", "-n", "-c", str(count), "-i", "0.2", "-W", "2", address, check=False)
    times = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)", done.stdout)
    lost = re.search(r"(\d+) received", done.stdout)
    came = lost.group(1) if lost else "0"
    return done.returncode == 0, f"{came} of {count} answered" + (f", {times.group(2)} ms" if times else "")


def transfer(both: Pair, device: str, address: str, direction: str, seconds: float, console: Console) -> Transfer:
    """TCP from the client to `address` ("up") or back ("down") through `device`, shown while it runs."""
    with_iperf = shutil.which("iperf3") is not None
    server = both.gateway.popen(*_server(with_iperf, address), stdin=None, stdout=subprocess.DEVNULL)
    try:
        _wait_for_server(both.gateway, server)
        client = both.client.popen(
            *_client(with_iperf, address, direction, seconds), stdin=None, stdout=subprocess.PIPE
        )
        try:
            _watch(client, both.client, device, direction, seconds, console)
            said, _ = client.communicate()
        finally:
            client.kill()
            client.wait()
    finally:
        server.kill()
        server.wait()
    return _parse(with_iperf, said, client.returncode)


def _server(with_iperf: bool, address: str) -> list[str]:
    if with_iperf:
        return ["iperf3", "-s", "-1", "-B", address, "-p", str(PORT)]
    return [sys.executable, "-m", "vpnclient.lab.transfer", "serve", address, str(PORT)]


def _client(with_iperf: bool, address: str, direction: str, seconds: float) -> list[str]:
    if with_iperf:
        reverse = ["-R"] if direction == "down" else []
        return ["iperf3", "-c", address, "-p", str(PORT), "-t", f"{seconds:g}", "-J", *reverse]
    return [sys.executable, "-m", "vpnclient.lab.transfer", direction, address, str(PORT), str(seconds)]


def _wait_for_server(space: Namespace, server: subprocess.Popen[str]) -> None:
    until = time.monotonic() + START_LIMIT
    wanted = f":{PORT:04X} "
    while wanted not in space.run("cat", "/proc/net/tcp", "/proc/net/tcp6").stdout:
        if server.poll() is not None or time.monotonic() > until:
            raise LabError("the receiver of the test traffic did not start")
        time.sleep(0.02)


def _watch(
    client: subprocess.Popen[str], space: Namespace, device: str, direction: str, seconds: float, console: Console
) -> None:
    """Show how it goes until the client has ended: a bar on a terminal, a line a second elsewhere."""
    counter = "tx" if direction == "up" else "rx"
    name = {"up": "client to gateway", "down": "gateway to client"}[direction]
    began = told = time.monotonic()
    first = last = told_bytes = _bytes(space, device, counter)
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=seconds, speed="")
        while client.poll() is None:
            time.sleep(SAMPLE)
            now = time.monotonic()
            if now - began > seconds + SLACK:
                raise LabError(f"the transfer {name} hangs: {last - first} bytes in {now - began:.0f} s")
            current = _bytes(space, device, counter)
            progress.update(task, completed=now - began, speed=rate(current - last, SAMPLE))
            if not console.is_terminal and now - told >= 1:
                console.print(f"  {name}: {now - began:.0f} s, {rate(current - told_bytes, now - told)}")
                told, told_bytes = now, current
            last = current


def _bytes(space: Namespace, device: str, counter: str) -> int:
    links = json.loads(space.ip("-j", "-s", "link", "show", "dev", device))
    return int(links[0]["stats64"][counter]["bytes"])


def _parse(with_iperf: bool, said: str, status: int) -> Transfer:
    try:
        report = json.loads(said)
    except ValueError:
        raise LabError(f"the test traffic failed with status {status}: {said.strip()[:200]}") from None
    if not with_iperf:
        return Transfer(report["bytes"], report["seconds"])
    if "error" in report:
        raise LabError(f"iperf3: {report['error']}")
    received = report["end"]["sum_received"]
    return Transfer(int(received["bytes"]), float(received["seconds"]))
