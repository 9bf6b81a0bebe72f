"""Runs the cases: rounds, in each of them every case, in each of those both clients, whose order changes every round.

A phase in which the machine is slow so hits both, and ratios are taken within a round.  Beside what a client says of
its channel, the kernel's counters of UDP are looked at: TCP moves through the tunnel, so datagrams are the link's.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.client import load
from benchmarks.client.bare import bare
from benchmarks.client.cases import Case, Channel, Contender
from benchmarks.client.contenders import STARTS, ConnectFailed, Running, WrongChannel
from benchmarks.client.gateways import Gateways
from benchmarks.client.loss import Care, Trial, highest_rate
from benchmarks.client.processes import cpu_seconds, datagrams, resident_bytes
from benchmarks.client.spread import Failure, Results, Sample, percentile
from tests.peers.traffic import iperf_server, wait_until_pings
from vpnclient.lab.netns import LabError, Namespace, Pair, pair

GB = 1e9  # bytes
FIRST_RATE = 50000.0  # packets a second, where the first search begins
KNOWN_STEP = 1.3  # how far a later search looks around what an earlier one found
MTU = 1400  # bytes; no packet is larger
PAYLOAD_A_DATAGRAM = 65536  # bytes, at most, also where the kernel counts a segmented send once
FAILURES = (WrongChannel, ConnectFailed, LabError, load.LoadError, AssertionError, OSError, subprocess.SubprocessError)

Progress = Callable[[int, int, str], None]  # steps done, of how many, what comes now


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run.  seconds: of a TCP transfer; idle: of pings without load; care: in the search for a rate."""

    chosen: dict[Case, tuple[str, ...]]
    rounds: int
    seconds: float
    idle: float
    care: Care

    def steps(self) -> Iterator[tuple[int, Case, Contender]]:
        for number in range(self.rounds):
            for case in self.chosen:
                for contender in case.contenders if number % 2 == 0 else reversed(case.contenders):
                    yield number, case, contender


class Runner:
    def __init__(self, plan: Plan, progress: Progress) -> None:
        self._plan, self._progress = plan, progress
        self._results = Results()

    def run(self) -> Results:
        """What was measured until the end, or until Ctrl-C."""
        steps = list(self._plan.steps())
        with pair() as both, contextlib.ExitStack() as stack:
            stack.enter_context(iperf_server(both.gateway))
            gateways = Gateways(both, stack)
            for done, (number, case, contender) in enumerate(steps):
                if self._results.failed(case, contender) is not None:
                    continue
                self._progress(done, len(steps), f"round {number + 1}, {case.title}: {contender}")
                try:
                    self._results.samples.append(self._step(both, gateways, number, case, contender))
                except FAILURES as exc:
                    self._fail(case, contender, number, exc)
                except KeyboardInterrupt:
                    break
        self._progress(len(steps), len(steps), "done")
        return self._results

    def _fail(self, case: Case, contender: Contender, number: int, error: Exception) -> None:
        """What was measured before it failed is no longer to be trusted either."""
        text = (str(error) or type(error).__name__).strip()
        self._results.failures.append(Failure(case.name, contender, number, text))
        self._results.samples = [
            one for one in self._results.samples if one.case != case.name or one.contender is not contender
        ]

    def _step(self, both: Pair, gateways: Gateways, number: int, case: Case, contender: Contender) -> Sample:
        with contextlib.ExitStack() as stack:
            if contender is Contender.BARE:
                running = stack.enter_context(bare(both, case))
            else:
                running = stack.enter_context(STARTS[contender](gateways.target(case), case))
            wait_until_pings(both.client, running.address, timeout=5)
            mtu, own = _tunnel(both.client, running.address)
            bench = Bench(both, case, running, own, min(mtu, MTU), self._plan, self._known(case, contender))
            figures = bench.measure(self._plan.chosen[case])
            figures |= {"start": running.to_configured, "start_cpu": running.start_cpu}
            figures["memory"] = resident_bytes(running.pid) / 1e6
        return Sample(case.name, contender, number, str(case.channel), mtu, figures)

    def _known(self, case: Case, contender: Contender) -> dict[str, float]:
        """Figures of the last round."""
        samples = [one for one in self._results.samples if one.case == case.name and one.contender is contender]
        return dict(samples[-1].figures) if samples else {}


def _tunnel(space: Namespace, address: str) -> tuple[int, str]:
    """The MTU of the device that leads to an address, and our address on it."""
    (route,) = json.loads(space.ip("-j", "route", "get", address))
    (link,) = json.loads(space.ip("-j", "link", "show", "dev", route["dev"]))
    return int(link["mtu"]), str(route["prefsrc"])


@dataclass(frozen=True, slots=True)
class Bench:
    """One connected contender.  own: its address in the tunnel; known: its figures of earlier rounds."""

    both: Pair
    case: Case
    running: Running
    own: str
    mtu: int
    plan: Plan
    known: dict[str, float]

    def measure(self, wanted: tuple[str, ...]) -> dict[str, float]:
        figures: dict[str, float] = {}
        loaded: list[float] = []
        if "ping" in wanted:
            idle = load.ping(self.both.client, self.running.address, self.plan.idle)
            figures |= {"ping_idle": percentile(idle, 0.5), "ping_idle_p99": percentile(idle, 0.99)}
        for mode in ("down", "up", "both"):
            if mode in wanted:
                moved = self._transfer(mode, figures, pinged="ping" in wanted and mode != "both")
                loaded += moved.pings
        if loaded:
            figures |= {"ping_load": percentile(loaded, 0.5), "ping_load_p99": percentile(loaded, 0.99)}
        self._datagrams([int(name.removeprefix("udp")) for name in wanted if name.startswith("udp")], figures)
        return figures

    def _transfer(self, mode: str, figures: dict[str, float], *, pinged: bool) -> load.Transfer:
        pid = self.running.pid
        cpu, seen = cpu_seconds(pid), datagrams(pid)
        moved = load.transfer(self.both.client, self.running.address, mode, self.plan.seconds, pinged=pinged)
        figures[f"{mode}_mbit"] = moved.megabits
        figures[f"{mode}_cpu"] = (cpu_seconds(pid) - cpu) / (moved.bytes / GB)
        check_counted(self.case.channel, moved.bytes, datagrams(pid) - seen)
        return moved

    def _datagrams(self, sizes: list[int], figures: dict[str, float]) -> None:
        if not sizes:
            return
        client, gateway = self.both.client, self.both.gateway
        for sender, receiver, address, way in (
            (client, gateway, self.running.address, "up"),
            (gateway, client, self.own, "down"),
        ):
            with load.udp_sink(receiver) as sink:
                for size in sizes:
                    key = f"udp{size}_{way}"
                    figures[key] = self._rate(partial(sink.trial, sender, address, min(size, self.mtu)), key)

    def _rate(self, trial: Callable[[float, float], Trial], key: str) -> float:
        care, begin = self.plan.care, self.known.get(key, 0.0)
        if begin:
            care = replace(care, step=KNOWN_STEP)
        return highest_rate(lambda wanted: trial(wanted, care.seconds), begin or FIRST_RATE, care)


def check_counted(wanted: Channel, moved: int, counted: int) -> None:
    """moved: bytes of TCP in the tunnel; counted: datagrams in the namespace meanwhile.  Raises WrongChannel."""
    over_datagrams = counted >= moved / PAYLOAD_A_DATAGRAM
    if over_datagrams != wanted.datagrams:
        found = "datagrams" if over_datagrams else Channel.TLS
        raise WrongChannel(wanted, found, f"{moved / 1e6:.0f} MB of TCP, {counted} datagrams counted by the kernel")
