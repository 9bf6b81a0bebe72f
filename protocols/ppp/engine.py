"""PPP of one link, sans-IO: LCP, then IPCP and IP6CP; control frames and the time in, control frames out.

    ESTABLISH --LCP open--> NETWORK --every wanted family open or given up, one at least open--> OPEN
    any --LCP goes down--> ESTABLISH     any --Terminate-Request, our own end--> ENDED     OPEN --silence--> DEAD

A frame's kind is its PPP protocol number.  The same engine serves both ends: see Wishes.  Times: monotonic seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address
from math import inf
from typing import Never

from protocols.base import Control
from protocols.errors import ConfigurationRefused, NegotiationFailed
from protocols.framing.ppp import FAMILIES
from protocols.ppp.automaton import Layer, Limits, State
from protocols.ppp.echo import Watch
from protocols.ppp.ip6cp import Ip6cp, Ip6cpWishes
from protocols.ppp.ipcp import Ipcp, IpcpWishes
from protocols.ppp.lcp import Granted, Lcp, LcpWishes, Random
from protocols.ppp.options import LayerRefused
from protocols.ppp.packet import HEADER, Code, Packet, Proto, Unusable, parse
from protocols.text import one_line, printable

MAX_REASON = 256  # characters of a Terminate-Request that are shown
REJECTS_PER_SECOND = 10
ECHOES_PER_SECOND = 20
_FATAL_CODES = range(1, 8)  # a peer without these cannot do PPP
_MAGIC = 4  # bytes


class Phase(Enum):
    ESTABLISH = "establish"
    NETWORK = "network"
    OPEN = "open"
    ENDED = "ended"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Wishes:
    """ipcp, ip6cp: None: that family is not wanted.  dpd: seconds until a silent peer is asked, 0: never."""

    lcp: LcpWishes = field(default_factory=LcpWishes)
    ipcp: IpcpWishes | None = field(default_factory=IpcpWishes)
    ip6cp: Ip6cpWishes | None = None
    limits: Limits = field(default_factory=Limits)
    dpd: float = 0


@dataclass(frozen=True, slots=True)
class Agreed:
    """What holds while the link is open.  families: bits as in the framing's ppp.data.  servers: by IPCP option."""

    families: int
    granted: Granted
    address: IPv4Address | None
    identifier: bytes
    servers: tuple[tuple[int, IPv4Address], ...] = ()


class _Rate:
    """At most so many in a second."""

    def __init__(self, most: int) -> None:
        self._most, self._began, self._count = most, -inf, 0

    def allows(self, now: float) -> bool:
        if now >= self._began + 1:
            self._began, self._count = now, 0
        self._count += 1
        return self._count <= self._most


class Engine:
    """One link.  `begin` once; then every control frame and, at `deadline()` at the latest, the time."""

    def __init__(self, wishes: Wishes, random: Random, now: float) -> None:
        self.phase = Phase.ESTABLISH
        self.counters: Counter[str] = Counter()
        self.reason = ""  # why it ended, as the peer said it
        self.failures: dict[int, LayerRefused] = {}  # families that were given up: protocol number -> why
        self._limits = wishes.limits
        self._lcp_policy = Lcp(wishes.lcp, random)
        self._lcp = Layer(self._lcp_policy, wishes.limits, self.counters)
        self._ipcp = None if wishes.ipcp is None else Ipcp(wishes.ipcp)
        self._ip6cp = None if wishes.ip6cp is None else Ip6cp(wishes.ip6cp, random)
        self._network: dict[int, Layer] = {}
        if self._ipcp:
            self._network[Proto.IPCP] = Layer(self._ipcp, wishes.limits, self.counters)
        if self._ip6cp:
            self._network[Proto.IP6CP] = Layer(self._ip6cp, wishes.limits, self.counters)
        self._watch = Watch(wishes.dpd, now)
        self.answered_at = -inf  # when the last Echo-Reply came
        self._whole_link = inf
        self._rejects, self._echoes = _Rate(REJECTS_PER_SECOND), _Rate(ECHOES_PER_SECOND)
        self._closing = False

    # --- what the owner asks ---

    @property
    def is_open(self) -> bool:
        return self.phase is Phase.OPEN

    @property
    def families(self) -> int:
        """Those that packets may flow of, as bits of the framing's ppp.data."""
        known = {Proto.IPCP: FAMILIES[0x21], Proto.IP6CP: FAMILIES[0x57]}
        return sum(known[Proto(number)] for number, layer in self._network.items() if layer.is_open)

    def agreed(self) -> Agreed:
        families = self.families
        return Agreed(
            families=families,
            granted=self._lcp_policy.granted,
            address=self._ipcp.address if self._ipcp and families & FAMILIES[0x21] else None,
            identifier=self._ip6cp.identifier if self._ip6cp and families & FAMILIES[0x57] else b"",
            servers=tuple(self._ipcp.servers.items()) if self._ipcp else (),
        )

    def silence(self, now: float) -> float:
        return self._watch.silence(now)

    def deadline(self) -> float:
        if self.phase in (Phase.ENDED, Phase.DEAD):
            return inf
        due = [self._lcp.deadline(), *(layer.deadline() for layer in self._network.values())]
        return min(*due, self._whole_link, self._watch.deadline())

    # --- what the owner does ---

    def begin(self, now: float) -> list[Control]:
        """Start to negotiate; the peer may speak first all the same."""
        self._whole_link = now + self._limits.whole_link
        return _frames(Proto.LCP, self._lcp.open(now))

    def on_frame(self, frame: Control, now: float) -> list[Control]:
        """Raises NegotiationFailed, ConfigurationRefused."""
        if self.phase in (Phase.ENDED, Phase.DEAD):
            return []
        self._watch.heard(now)
        try:
            return self._take(frame, now)
        except Unusable as exc:
            self.counters[exc.counter] += 1
            return []

    def on_time(self, now: float, heard_at: float = -inf) -> list[Control]:
        """heard_at: when anything last came, packets too.  Raises NegotiationFailed, ConfigurationRefused."""
        if self.phase in (Phase.ENDED, Phase.DEAD):
            return []
        self._watch.heard(heard_at)
        if self._watch.dead(now):
            self.phase = Phase.DEAD
            return []
        out = _frames(Proto.LCP, self._lcp.on_time(now))
        for number, layer in list(self._network.items()):
            out += _frames(number, layer.on_time(now))
        if now >= self._whole_link and not self._closing:
            self._give_up()
        out += self._after(now)
        if self._lcp.is_open and self._watch.asks(now):
            out += self._echo()
        return out

    def ask(self) -> list[Control]:
        """For an answer of the peer's, beside what dead peer detection asks for.  While the link is open."""
        return self._echo()

    def close(self, now: float, reason: str = "") -> list[Control]:
        """End the link: the frame that tells the peer."""
        if self.phase in (Phase.ENDED, Phase.DEAD):
            return []
        self._closing = True
        return _frames(Proto.LCP, self._lcp.close(now, reason.encode()[:MAX_REASON])) + self._after(now)

    # --- frames ---

    def _take(self, frame: Control, now: float) -> list[Control]:
        if frame.kind == Proto.LCP:
            return self._on_lcp(parse(frame.payload), now)
        if not self._lcp.is_open:
            raise Unusable("ppp_ctl_early")  # the peer repeats it
        layer = self._network.get(frame.kind)
        if layer is None:
            return self._reject(Code.PROTOCOL_REJECT, frame.kind.to_bytes(2, "big") + frame.payload, now)
        return self._on_network(frame.kind, layer, parse(frame.payload), now)

    def _on_lcp(self, packet: Packet, now: float) -> list[Control]:
        handler = _LINK_HANDLERS.get(packet.code)
        if handler is not None:
            return handler(self, packet, now)
        was_open = self._lcp.is_open
        try:
            answers = self._lcp.on_packet(packet, now)
        except LayerRefused as exc:
            raise ConfigurationRefused(exc.code, str(exc)) from exc
        if answers is None:
            return self._reject(Code.CODE_REJECT, packet.encode(), now)
        if was_open and not self._lcp.is_open:
            self._on_link_down(now)
        return _frames(Proto.LCP, answers) + self._after(now, went_up=not was_open and self._lcp.is_open)

    def _on_network(self, number: int, layer: Layer, packet: Packet, now: float) -> list[Control]:
        try:
            answers = layer.on_packet(packet, now)
        except LayerRefused as exc:
            self._drop_family(number, exc.code, str(exc))
            return self._after(now)
        if answers is None:
            return self._reject(Code.CODE_REJECT, packet.encode(), now, number)
        return _frames(number, answers) + self._after(now)

    def _on_terminate(self, packet: Packet, now: float) -> list[Control]:
        """The link is over, whatever its state (section 10); a reason may come along."""
        if not self._closing:
            self.reason = one_line(printable(packet.data[:MAX_REASON]))
        self.phase = Phase.ENDED
        return _frames(Proto.LCP, [Packet(Code.TERMINATE_ACK, packet.identifier)])

    def _on_code_reject(self, packet: Packet, now: float) -> list[Control]:
        code = packet.data[0] if packet.data else 0
        if code in _FATAL_CODES:
            raise ConfigurationRefused("ppp-code-rejected", f"the peer does not know code {code} of LCP")
        self._watch.switch_off()  # echoes are not known there
        return []

    def _on_protocol_reject(self, packet: Packet, now: float) -> list[Control]:
        if not self._lcp.is_open or len(packet.data) < 2:
            raise Unusable("ppp_ctl_bad_length")
        number = int.from_bytes(packet.data[:2], "big")
        if number == Proto.LCP:
            raise ConfigurationRefused("ppp-protocol-rejected", "the peer rejects LCP")
        control = {0x0021: Proto.IPCP, 0x0057: Proto.IP6CP}.get(number, number)
        if control in self._network:
            name = self._network[control].policy.name
            self._drop_family(control, "ppp-family-rejected", f"the peer rejects {name}")
        return self._after(now)

    def _on_echo_request(self, packet: Packet, now: float) -> list[Control]:
        magic, rest = packet.data[:_MAGIC], packet.data[_MAGIC:]
        ours = self._lcp_policy.magic
        if not self._lcp.is_open or not self._echoes.allows(now):
            raise Unusable("ppp_ctl_echo_dropped")
        if ours and int.from_bytes(magic, "big") == ours and len(magic) == _MAGIC:
            raise Unusable("ppp_ctl_looped")
        room = self._lcp_policy.granted.mru - HEADER - _MAGIC
        data = ours.to_bytes(_MAGIC, "big") + rest[:room]
        return _frames(Proto.LCP, [Packet(Code.ECHO_REPLY, packet.identifier, data)])

    def _on_echo_reply(self, packet: Packet, now: float) -> list[Control]:
        self.answered_at = now
        return []

    def _on_sign_of_life(self, packet: Packet, now: float) -> list[Control]:
        return []  # that it came is all it says

    # --- what follows ---

    def _after(self, now: float, *, went_up: bool = False) -> list[Control]:
        """Where the link stands now.  went_up: LCP has just opened."""
        out: list[Control] = []
        if self._lcp.state is State.FAILED:
            self._stuck("LCP")
        if self._lcp.state is State.DONE:
            self.phase = Phase.ENDED
            return out
        if went_up:
            self.phase = Phase.NETWORK
            for number, layer in self._network.items():
                out += _frames(number, layer.open(now))
        if self._lcp.is_open:
            for number, layer in list(self._network.items()):
                if layer.state is State.FAILED:
                    self._drop_family(number, "ppp-negotiation-timeout", f"{layer.policy.name} came to no agreement")
                elif layer.state in (State.STOPPING, State.DONE):
                    self._drop_family(number, "ppp-family-ended", f"the peer ended {layer.policy.name}")
            self._judge_network(now)
        return out

    def _judge_network(self, now: float) -> None:
        layers = self._network.values()
        if not layers:
            raise ConfigurationRefused(*self._last_words())
        if all(layer.is_open for layer in layers):
            self.phase, self._whole_link = Phase.OPEN, inf
        elif self.phase is Phase.OPEN:  # one is negotiated anew
            self.phase, self._whole_link = Phase.NETWORK, now + self._limits.whole_link

    def _on_link_down(self, now: float) -> None:
        """LCP is negotiated anew: the layers above wait for it."""
        for layer in self._network.values():
            layer.reset()
        if self._lcp.state not in (State.CLOSING, State.STOPPING, State.DONE):
            self.phase, self._whole_link = Phase.ESTABLISH, now + self._limits.whole_link

    def _give_up(self) -> None:
        """The time for the whole link is over: go on with what is open, if anything is."""
        if not self._lcp.is_open:
            self._stuck("LCP")
        stuck = [(number, layer) for number, layer in self._network.items() if not layer.is_open]
        if len(stuck) == len(self._network):
            self._stuck(" and ".join(layer.policy.name for _, layer in stuck))
        for number, layer in stuck:
            text = f"{layer.policy.name} came to no agreement within {self._limits.whole_link:.0f} s"
            self._drop_family(number, "ppp-negotiation-timeout", text)

    def _stuck(self, what: str) -> Never:
        text = f"{what} came to no agreement ({self._limits.tries} tries, {self._limits.whole_link:.0f} s at most)"
        raise NegotiationFailed("ppp-negotiation-timeout", text)

    def _drop_family(self, number: int, code: str, text: str) -> None:
        del self._network[number]
        self.failures[number] = LayerRefused(code, text)

    def _last_words(self) -> tuple[str, str]:
        """Why no family is left, as code and text: what was said of the only one, or of each."""
        if len(self.failures) == 1:
            (why,) = self.failures.values()
            return why.code, str(why)
        said = "; ".join(map(str, self.failures.values())) or "none is wanted"
        return "ppp-no-network-protocol", f"neither IPv4 nor IPv6 can be used: {said}"

    # --- what we send besides ---

    def _reject(self, code: Code, data: bytes, now: float, number: int = Proto.LCP) -> list[Control]:
        if not self._rejects.allows(now):
            raise Unusable("ppp_ctl_reject_dropped")
        layer = self._lcp if number == Proto.LCP else self._network[number]
        cut = data[: self._lcp_policy.granted.mru - HEADER]
        return _frames(number, [Packet(code, layer.next_identifier(), cut)])

    def _echo(self) -> list[Control]:
        data = self._lcp_policy.magic.to_bytes(_MAGIC, "big")
        return _frames(Proto.LCP, [Packet(Code.ECHO_REQUEST, self._lcp.next_identifier(), data)])


def _frames(number: int, packets: list[Packet]) -> list[Control]:
    return [Control(number, packet.encode()) for packet in packets]


# Codes of LCP that concern the whole link; the others are the automaton's.
_LINK_HANDLERS: dict[int, Callable[[Engine, Packet, float], list[Control]]] = {
    Code.TERMINATE_REQUEST: Engine._on_terminate,
    Code.CODE_REJECT: Engine._on_code_reject,
    Code.PROTOCOL_REJECT: Engine._on_protocol_reject,
    Code.ECHO_REQUEST: Engine._on_echo_request,
    Code.ECHO_REPLY: Engine._on_echo_reply,
    Code.DISCARD_REQUEST: Engine._on_sign_of_life,
}
