"""The options of LCP (section 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from protocols.ppp.options import LayerRefused, Opinion, Policy, Wanted
from protocols.ppp.packet import Option

DEFAULT_MRU = 1500  # bytes
LEAST_WANTED = 576  # bytes: what is lower is refused once
LEAST_MRU = 128  # bytes
ACCM_ALL = 0xFFFFFFFF

Random = Callable[[int], bytes]  # so many random bytes


class Kind(IntEnum):
    MRU = 1
    ACCM = 2
    MAGIC = 5
    PFC = 7
    ACFC = 8


SIZES: dict[int, int] = {Kind.MRU: 2, Kind.ACCM: 4, Kind.MAGIC: 4, Kind.PFC: 0, Kind.ACFC: 0}  # bytes of the value


@dataclass(frozen=True, slots=True)
class LcpWishes:
    """What we offer.  mru: bytes, 0: not told.  accm: None: not told.  refused: types that are rejected (Q3)."""

    mru: int = 0
    accm: int | None = None
    magic: bool = True
    compression: bool = False  # of protocol, address and control fields
    refused: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Granted:
    """What the peer told of itself: what we may send.  mru: bytes.  accm: the sending map."""

    mru: int = DEFAULT_MRU
    accm: int = ACCM_ALL
    magic: int = 0
    pfc: bool = False
    acfc: bool = False


class Lcp(Policy):
    name = "LCP"

    def __init__(self, wishes: LcpWishes, random: Random) -> None:
        self._wishes, self._random = wishes, random
        self.granted = Granted()
        self._mru, self._accm, self._magic = wishes.mru, wishes.accm, 0
        self._offered = set(SIZES)
        self._mru_repeated = self._mru_refused = False

    @property
    def magic(self) -> int:
        """Ours; 0: none is used."""
        return self._magic if Kind.MAGIC in self._offered else 0

    def begin(self) -> None:
        wishes = self._wishes
        self.granted = Granted()
        self._mru, self._accm = wishes.mru, wishes.accm
        self._offered = {Kind.PFC, Kind.ACFC} if wishes.compression else set()
        self._offered |= {kind for kind, told in ((Kind.MRU, wishes.mru), (Kind.MAGIC, wishes.magic)) if told}
        if wishes.accm is not None:
            self._offered.add(Kind.ACCM)
        self._magic = self._new_magic()
        self._mru_repeated = self._mru_refused = False

    def request(self) -> list[Option]:
        values: dict[int, int] = {Kind.MRU: self._mru, Kind.ACCM: self._accm or 0, Kind.MAGIC: self._magic}
        return [Option(kind, values.get(kind, 0).to_bytes(SIZES[kind], "big")) for kind in sorted(self._offered)]

    def look(self, option: Option) -> Opinion | Wanted:
        if len(option.value) != SIZES.get(option.kind, -1) or option.kind in self._wishes.refused:
            return Opinion.REJECTED
        value = int.from_bytes(option.value, "big")
        if option.kind == Kind.MRU and value < LEAST_WANTED:
            return self._small_mru(value)
        if option.kind == Kind.MAGIC and value in (0, self.magic):
            return Wanted(self._new_magic().to_bytes(4, "big"))
        return Opinion.GOOD

    def _small_mru(self, value: int) -> Opinion | Wanted:
        if not self._mru_refused:
            return Wanted(LEAST_WANTED.to_bytes(2, "big"))
        if value < LEAST_MRU:
            raise LayerRefused("ppp-mru-too-small", f"got an MRU of {value} bytes, want at least {LEAST_MRU}")
        return Opinion.GOOD

    def on_naked(self, options: Sequence[Option]) -> None:
        self._mru_refused |= any(option.kind == Kind.MRU for option in options)

    def take(self, options: Sequence[Option]) -> None:
        told = {option.kind: int.from_bytes(option.value, "big") for option in options}
        self.granted = Granted(
            mru=told.get(Kind.MRU, DEFAULT_MRU),
            accm=told.get(Kind.ACCM, ACCM_ALL),
            magic=told.get(Kind.MAGIC, 0),
            pfc=Kind.PFC in told,
            acfc=Kind.ACFC in told,
        )

    def on_nak(self, option: Option) -> bool:
        if len(option.value) != SIZES.get(option.kind, -1):
            return False
        value = int.from_bytes(option.value, "big")
        match option.kind:
            case Kind.MRU:
                return self._other_mru(value)
            case Kind.ACCM:
                changed = (self._accm or 0) | value
                changed, self._accm = changed != self._accm, changed
                return bool(changed)
            case Kind.MAGIC:
                self._magic = self._new_magic()
                return True
        return self.on_reject(option)

    def _other_mru(self, value: int) -> bool:
        if LEAST_MRU <= value <= self._mru:
            changed, self._mru = value != self._mru, value
            return changed
        if not self._mru_repeated:
            self._mru_repeated = True
            return False
        self._offered.discard(Kind.MRU)
        return True

    def on_reject(self, option: Option) -> bool:
        held = option.kind in self._offered
        self._offered.discard(option.kind)
        return held

    def on_open(self) -> None:
        """Whatever was agreed on will do."""

    def _new_magic(self) -> int:
        """Never 0, and never the one we have."""
        drawn = int.from_bytes(self._random(4), "big")
        while drawn in (0, self._magic):
            drawn = (drawn + 1) & 0xFFFFFFFF
        return drawn
