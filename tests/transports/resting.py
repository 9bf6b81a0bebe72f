"""When a pump is at rest, and that it then costs no time, on a machine that is as busy as it likes to be.

A thread that spins is always runnable.  So rest is seen, not hoped for after a sleep: no wake-up for a while, and no
thread of this process but the caller runs or waits for a core.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Protocol

PATIENCE = 60.0  # seconds; only a broken pump is waited for that long
STILL = 0.03  # seconds without a wake-up
LOOK = 0.003  # seconds between two looks
WATCHED = 0.2  # seconds that a pump is to sleep through
FEW = 8  # wake-ups meanwhile; a spin makes 160000 of them (the engine) or 5000 (Python's pump), five others on its core


class Stats(Protocol):
    @property
    def wakeups(self) -> int: ...


class AnyPump(Protocol):
    def stats(self) -> Stats: ...


def wait_for_rest(pump: AnyPump) -> None:
    """Until the pump has done all that it can do for now."""
    limit = time.monotonic() + PATIENCE
    wakeups, since = -1, 0.0
    while True:
        now, found = time.monotonic(), pump.stats().wakeups
        if found != wakeups or another_thread_runs():
            wakeups, since = found, now
        elif now - since >= STILL:
            return
        assert now < limit, f"the pump finds no rest: {pump.stats()}"
        time.sleep(LOOK)


def assert_it_costs_no_time(pump: AnyPump) -> None:
    """Once it rests, the pump goes on to do so."""
    wait_for_rest(pump)
    before, cpu = pump.stats().wakeups, cpu_of_others()
    time.sleep(WATCHED)
    assert pump.stats().wakeups - before <= FEW
    assert cpu_of_others() - cpu < WATCHED / 2


def another_thread_runs() -> bool:
    own = threading.get_native_id()
    return any(_runs(task) for task in Path("/proc/self/task").iterdir() if task.name != str(own))


def _runs(task: Path) -> bool:
    """proc(5): the state is what follows the name in parentheses."""
    try:
        stat = (task / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False  # it has ended
    return stat.rpartition(")")[2].split()[0] in ("R", "D")


def cpu_of_others() -> float:
    """CPU time of this process without that of the calling thread, seconds."""
    return time.process_time() - time.thread_time()
