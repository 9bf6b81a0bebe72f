"""The life of one layer, as RFC 1661 has it on a lower layer that is always up (section 6).

    STARTING --open--> REQ_SENT <-> ACK_RCVD, ACK_SENT --> OPENED
    any of these --close--> CLOSING --Ack, no answer--> DONE
    OPENED --Terminate-Request--> STOPPING --> DONE          REQ_SENT, ACK_RCVD, ACK_SENT --no answer--> FAILED

A retransmission keeps identifier and content; a request that changes gets a new identifier.  An answer counts only
while its request is outstanding, and a Configure-Request that was acknowledged before is acknowledged again: so what
a datagram link loses, doubles or delays does no harm.  Times: monotonic seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import inf

from protocols.ppp.options import Policy
from protocols.ppp.packet import Code, Packet, encode_options, parse_options


@dataclass(frozen=True, slots=True)
class Limits:
    """Section 6.3.  Times: seconds.  revisions: requests changed because of Naks and Rejects, in one negotiation."""

    restart: float = 3.0
    tries: int = 20  # Configure-Requests without an answer that helps
    revisions: int = 20
    naks: int = 5
    terminate_every: float = 1.0
    terminate_tries: int = 1  # 3 on a datagram link
    whole_link: float = 60.0  # until every layer is open


class State(Enum):
    STARTING = "starting"
    REQ_SENT = "request sent"
    ACK_RCVD = "our request acknowledged"
    ACK_SENT = "the peer's request acknowledged"
    OPENED = "opened"
    CLOSING = "closing"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"


FORGOTTEN = 2  # times that a peer repeats what was acknowledged, until we say again what we want
NEGOTIATING = frozenset({State.REQ_SENT, State.ACK_RCVD, State.ACK_SENT})
ENDING = frozenset({State.CLOSING, State.STOPPING})


class Layer:
    """One of LCP, IPCP, IP6CP.  policy: its options.  counters: shared by the layers of a link."""

    def __init__(self, policy: Policy, limits: Limits, counters: Counter[str]) -> None:
        self.state = State.STARTING
        self.policy = policy
        self._limits, self._counters = limits, counters
        self._identifier = 0  # of the newest packet that we began
        self._sent = b""  # options of our newest request
        self._request_identifier = 0  # of it
        self._outstanding: int | None = None  # identifier of the request that an answer is due to
        self._acknowledged: Packet | None = None  # the peer's request that holds
        self._left = self._revisions = self._naks = self._repeats = 0
        self._due = inf
        self._reason = b""  # of our end

    @property
    def is_open(self) -> bool:
        return self.state is State.OPENED

    def deadline(self) -> float:
        return self._due

    def next_identifier(self) -> int:
        self._identifier = (self._identifier + 1) % 256
        return self._identifier

    def open(self, now: float) -> list[Packet]:
        """Begin to negotiate."""
        self.policy.begin()
        self._reload()
        self._acknowledged = None
        self.state = State.REQ_SENT
        return self._request(now)

    def close(self, now: float, reason: bytes = b"") -> list[Packet]:
        """Ask the peer to end this layer."""
        self._reason = reason
        if self.state in (State.STARTING, State.DONE, State.FAILED):
            self.state = State.DONE
            return []
        self.state, self._left = State.CLOSING, self._limits.terminate_tries
        return self._terminate(now)

    def reset(self) -> None:
        """The layer below has gone: to be opened again."""
        self.state, self._due = State.STARTING, inf
        self._outstanding = self._acknowledged = None

    def on_packet(self, packet: Packet, now: float) -> list[Packet] | None:
        """What to send; None: a code that this does not know.  Raises Unusable, LayerRefused."""
        handler = _HANDLERS.get(packet.code)
        if handler is None:
            return None
        if self.state in (State.STARTING, State.DONE, State.FAILED):
            return []
        return handler(self, packet, now)

    def on_time(self, now: float) -> list[Packet]:
        if now < self._due:
            return []
        self._due = inf
        if self.state in ENDING:
            if self._left:
                return self._terminate(now)
            self.state = State.DONE
            return []
        if not self._left:
            self.state = State.FAILED
            return []
        if self.state is State.ACK_RCVD:
            self.state = State.REQ_SENT
        return self._request(now, again=True)

    # --- what we send ---

    def _reload(self) -> None:
        self._left, self._revisions, self._naks = self._limits.tries, self._limits.revisions, self._limits.naks

    def _request(self, now: float, *, again: bool = False) -> list[Packet]:
        if not again:
            self._sent = encode_options(self.policy.request())
            self._request_identifier = self.next_identifier()
        self._outstanding = self._request_identifier
        self._left -= 1
        self._due = now + self._limits.restart
        return [Packet(Code.CONFIGURE_REQUEST, self._request_identifier, self._sent)]

    def _terminate(self, now: float) -> list[Packet]:
        self._left -= 1
        self._due = now + self._limits.terminate_every
        return [Packet(Code.TERMINATE_REQUEST, self.next_identifier(), self._reason)]

    def _opened(self) -> None:
        self.state, self._due = State.OPENED, inf
        self.policy.on_open()

    # --- what came ---

    def _on_request(self, packet: Packet, now: float) -> list[Packet]:
        if self.state in ENDING:
            return []
        if self.is_open and packet == self._acknowledged:
            return self._repeat(packet)
        options = parse_options(packet.data)
        out: list[Packet] = []
        if self.is_open:
            self._reload()
            self.state = State.REQ_SENT
            out = self._request(now)
        answer = self.policy.judge(options, may_nak=self._naks > 0)
        if answer.code is Code.CONFIGURE_ACK:
            self._acknowledged, self._repeats = packet, 0
            if self.state is State.ACK_RCVD:
                self._opened()
            else:
                self.state = State.ACK_SENT
        else:
            self._naks -= answer.code is Code.CONFIGURE_NAK
            self._acknowledged = None
            if self.state is State.ACK_SENT:
                self.state = State.REQ_SENT
        return [*out, Packet(answer.code, packet.identifier, answer.data)]

    def _repeat(self, packet: Packet) -> list[Packet]:
        """Our Ack was lost, or does not help: then the peer has forgotten our request, over an old one that came late.

        The request goes first: so a peer that has not forgotten it is not made to negotiate anew.
        """
        ack = Packet(Code.CONFIGURE_ACK, packet.identifier, packet.data)
        self._repeats += 1
        if self._repeats < FORGOTTEN:
            return [ack]
        self._repeats = 0
        return [Packet(Code.CONFIGURE_REQUEST, self._request_identifier, self._sent), ack]

    def _on_ack(self, packet: Packet, now: float) -> list[Packet]:
        if not self._is_answer(packet):
            return []
        self._counters["ppp_ack_mismatch"] += packet.data != self._sent
        self._outstanding = None
        self._left = self._limits.tries
        if self.state is State.ACK_SENT:
            self._opened()
        else:
            self.state = State.ACK_RCVD
        return []

    def _on_nak(self, packet: Packet, now: float) -> list[Packet]:
        return self._revise(packet, self.policy.on_nak, now)

    def _on_reject(self, packet: Packet, now: float) -> list[Packet]:
        return self._revise(packet, self.policy.on_reject, now)

    def _revise(self, packet: Packet, take: Callable[..., bool], now: float) -> list[Packet]:
        """A new request, changed or not; one that does not change does not win time either (6.2)."""
        if not self._is_answer(packet):
            return []
        asked = {option.kind for option in parse_options(self._sent)}
        changes = [take(option) for option in parse_options(packet.data) if option.kind in asked]
        if any(changes):
            self._left = self._limits.tries
        self._revisions -= 1
        if not self._left or self._revisions < 0:
            self.state, self._due = State.FAILED, inf
            return []
        return self._request(now)

    def _is_answer(self, packet: Packet) -> bool:
        """Whether it answers the outstanding request."""
        if self.state in NEGOTIATING and packet.identifier == self._outstanding:
            return True
        self._counters["ppp_ctl_unasked"] += 1
        return False

    def _on_terminate_request(self, packet: Packet, now: float) -> list[Packet]:
        if self.is_open:
            self.state, self._left, self._due = State.STOPPING, 0, now + self._limits.terminate_every
        elif self.state in NEGOTIATING:
            self.state = State.REQ_SENT
            self._acknowledged = None
        return [Packet(Code.TERMINATE_ACK, packet.identifier)]

    def _on_terminate_ack(self, packet: Packet, now: float) -> list[Packet]:
        if self.state in ENDING:
            self.state, self._due = State.DONE, inf
        elif self.state is State.ACK_RCVD:
            self.state = State.REQ_SENT
        elif self.is_open:
            self._reload()
            self.state = State.REQ_SENT
            self._acknowledged = None
            return self._request(now)
        return []

    def _on_code_reject(self, packet: Packet, now: float) -> list[Packet]:
        return []  # judged by the engine: it ends the link, or switches echoes off


_HANDLERS: dict[int, Callable[[Layer, Packet, float], list[Packet]]] = {
    Code.CONFIGURE_REQUEST: Layer._on_request,
    Code.CONFIGURE_ACK: Layer._on_ack,
    Code.CONFIGURE_NAK: Layer._on_nak,
    Code.CONFIGURE_REJECT: Layer._on_reject,
    Code.TERMINATE_REQUEST: Layer._on_terminate_request,
    Code.TERMINATE_ACK: Layer._on_terminate_ack,
    Code.CODE_REJECT: Layer._on_code_reject,
}
