"""The one option of IP6CP that is used, the interface identifier (section 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from protocols.ppp.lcp import Random
from protocols.ppp.options import LayerRefused, Opinion, Policy, Wanted
from protocols.ppp.packet import Option

SIZE = 8  # bytes
NONE = bytes(SIZE)


class Kind(IntEnum):
    IDENTIFIER = 1


@dataclass(frozen=True, slots=True)
class Ip6cpWishes:
    """identifier: ours, NONE: ask for one.  peer: for a peer that asks; NONE: a random one."""

    identifier: bytes = NONE
    peer: bytes = NONE


class Ip6cp(Policy):
    name = "IP6CP"

    def __init__(self, wishes: Ip6cpWishes, random: Random) -> None:
        self._wishes, self._random = wishes, random
        self.identifier = wishes.identifier

    def begin(self) -> None:
        """What the peer has told of us before is proposed again."""

    def request(self) -> list[Option]:
        return [Option(Kind.IDENTIFIER, self.identifier)]

    def look(self, option: Option) -> Opinion | Wanted:
        if option.kind != Kind.IDENTIFIER or len(option.value) != SIZE:
            return Opinion.REJECTED
        if option.value in (NONE, self.identifier):
            return Wanted(self._for_peer())
        return Opinion.GOOD

    def _for_peer(self) -> bytes:
        drawn = self._wishes.peer if self._wishes.peer != NONE else self._random(SIZE)
        while drawn in (NONE, self.identifier):
            drawn = ((int.from_bytes(drawn, "big") + 1) % (1 << 64)).to_bytes(SIZE, "big")
        return drawn

    def on_naked(self, options: Sequence[Option]) -> None:
        """Nothing to remember: the same is wanted again."""

    def take(self, options: Sequence[Option]) -> None:
        """The peer's identifier means nothing on real gateways."""

    def on_nak(self, option: Option) -> bool:
        if option.kind != Kind.IDENTIFIER or len(option.value) != SIZE:
            return False
        if option.value == NONE:
            raise LayerRefused("ppp-ipv6-refused", "the gateway offers no interface identifier")
        changed, self.identifier = option.value != self.identifier, option.value
        return changed

    def on_reject(self, option: Option) -> bool:
        raise LayerRefused("ppp-ipv6-refused", "the gateway rejects the request for an interface identifier")

    def on_open(self) -> None:
        if self.identifier == NONE:
            raise LayerRefused("ppp-ipv6-refused", "the gateway gave no interface identifier")
