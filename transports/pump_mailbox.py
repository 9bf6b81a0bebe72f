"""What passes between the thread of a PythonPump and its owner: control frames, events, wishes, statistics.

Every queue is bounded.  The lock guards this alone, and no packet goes through it.  `event_fd` is readable exactly
while something waits for the owner, `wake_fd` while the thread should look here.
"""

from __future__ import annotations

import os
import threading
from collections import deque

from transports.engine import lib
from transports.pump import PumpEvent, PumpEventKind, PumpStats

QUEUE = lib.VE_PUMP_QUEUE  # control frames, each way
QUEUE_BYTES = 262144  # of their payload and overhead, each way
FRAME_OVERHEAD = 8
MAX_EVENTS = 16  # the oldest gives way


class ControlFrames:
    """A bounded queue.  Not locked: the mailbox does that."""

    def __init__(self) -> None:
        self._frames: deque[tuple[int, bytes]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, kind: int, payload: bytes) -> bool:
        size = FRAME_OVERHEAD + len(payload)
        if len(self._frames) == QUEUE or self._bytes + size > QUEUE_BYTES:
            return False
        self._frames.append((kind, payload))
        self._bytes += size
        return True

    def peek(self) -> tuple[int, bytes] | None:
        return self._frames[0] if self._frames else None

    def pop(self) -> tuple[int, bytes]:
        frame = self._frames.popleft()
        self._bytes -= FRAME_OVERHEAD + len(frame[1])
        return frame


class Mailbox:
    """Any thread may call any method."""

    def __init__(self, mtu: int) -> None:
        self._lock = threading.Lock()
        self._up, self._down = ControlFrames(), ControlFrames()
        self._events: deque[PumpEvent] = deque(maxlen=MAX_EVENTS)
        self._signalled = False
        self.event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Words that one side writes and the other reads: each is whole, so they need no lock.
        self.mtu = mtu
        self.rekey_wanted = False
        self.stop_at: float | None = None  # monotonic seconds until which the thread may linger
        self.stats: PumpStats  # the thread's, published once a turn
        self.counters: dict[str, int] = {}

    def close(self) -> None:
        os.close(self.event_fd)
        os.close(self.wake_fd)

    # --- the owner's side

    def wake(self) -> None:
        os.eventfd_write(self.wake_fd, 1)

    def frames(self) -> list[tuple[int, bytes]]:
        with self._lock:
            frames = [self._up.pop() for _ in range(len(self._up))]
            self._signal()
        return frames

    def events(self) -> list[PumpEvent]:
        with self._lock:
            events = list(self._events)
            self._events.clear()
            self._signal()
        return events

    def send(self, kind: int, payload: bytes) -> bool:
        with self._lock:
            taken = self._down.push(kind, payload)
        if taken:
            self.wake()
        return taken

    # --- the thread's side

    def woken(self) -> None:
        """Take note of a wake-up."""
        try:
            os.eventfd_read(self.wake_fd)
        except BlockingIOError:
            pass

    def post_event(self, kind: PumpEventKind, what: str) -> None:
        with self._lock:
            self._events.append(PumpEvent(kind, what))
            self._signal()

    def post_frame(self, kind: int, payload: bytes) -> bool:
        """False: the queue is full."""
        with self._lock:
            taken = self._up.push(kind, payload)
            self._signal()
        return taken

    def next_to_send(self) -> tuple[int, bytes] | None:
        """It stays in the queue until it is `sent`."""
        with self._lock:
            return self._down.peek()

    def sent(self) -> None:
        with self._lock:
            self._down.pop()

    def _signal(self) -> None:
        waiting = bool(self._events) or len(self._up) > 0
        if waiting and not self._signalled:
            os.eventfd_write(self.event_fd, 1)
        if not waiting and self._signalled:
            os.eventfd_read(self.event_fd)
        self._signalled = waiting
