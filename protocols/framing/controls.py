"""The bounded queue in which every decoder keeps its control frames; the twin is transports/engine/queue.c."""

from __future__ import annotations

from collections import deque

from protocols.base import Control

MAX_CONTROLS = 64  # frames
MAX_CONTROL_BYTES = 65536  # their payload, and CONTROL_OVERHEAD each
CONTROL_OVERHEAD = 8


class ControlQueue:
    """First in, first out."""

    def __init__(self, max_bytes: int = MAX_CONTROL_BYTES) -> None:
        self._max_bytes = max_bytes
        self._frames: deque[Control] = deque()
        self._bytes = 0

    def push(self, control: Control) -> bool:
        """Whether it was taken; False: the queue is full."""
        size = CONTROL_OVERHEAD + len(control.payload)
        if len(self._frames) == MAX_CONTROLS or self._bytes + size > self._max_bytes:
            return False
        self._frames.append(control)
        self._bytes += size
        return True

    def pop(self) -> Control | None:
        if not self._frames:
            return None
        control = self._frames.popleft()
        self._bytes -= CONTROL_OVERHEAD + len(control.payload)
        return control
