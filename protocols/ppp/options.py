"""Judging a Configure-Request, whatever the layer (section 6.1): Ack all, else Reject some, else Nak some.

A layer's policy says what it thinks of one option, what it asks for itself, and what it makes of Naks and Rejects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from protocols.ppp.packet import Code, Option, encode_options


class LayerRefused(Exception):
    """The peer will not have this layer.  `code` names the case for the user, e.g. ppp-ipv4-refused."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Opinion(Enum):
    GOOD = auto()
    REJECTED = auto()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The opinion that another value is wanted."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """code: Configure-Ack, -Nak or -Reject."""

    code: Code
    data: bytes


class Policy(ABC):
    """The options of one layer, both ways."""

    name = ""

    @abstractmethod
    def begin(self) -> None:
        """A negotiation starts: nothing that the peer agreed to before holds."""

    @abstractmethod
    def request(self) -> list[Option]:
        """What we ask for now, in ascending order of types."""

    @abstractmethod
    def look(self, option: Option) -> Opinion | Wanted:
        """One option of the peer's request.  May raise LayerRefused."""

    @abstractmethod
    def take(self, options: Sequence[Option]) -> None:
        """The peer's request is acknowledged: from now on this holds."""

    @abstractmethod
    def on_nak(self, option: Option) -> bool:
        """The peer wants another value of something we asked for; whether our request changes.  May raise."""

    @abstractmethod
    def on_reject(self, option: Option) -> bool:
        """The peer will not have something we asked for; whether our request changes.  May raise."""

    @abstractmethod
    def on_naked(self, options: Sequence[Option]) -> None:
        """These values were asked for instead of the peer's."""

    @abstractmethod
    def on_open(self) -> None:
        """Both sides agree.  Raises LayerRefused: on nothing useful."""

    def judge(self, options: Sequence[Option], *, may_nak: bool) -> Answer:
        """may_nak False: enough was said, what is not good is rejected (RFC 1661, Max-Failure)."""
        rejected: list[Option] = []
        wanted: list[Option] = []
        seen: set[int] = set()
        for option in options:
            opinion = Opinion.REJECTED if option.kind in seen else self.look(option)
            seen.add(option.kind)
            if opinion is Opinion.REJECTED or (isinstance(opinion, Wanted) and not may_nak):
                rejected.append(option)
            elif isinstance(opinion, Wanted):
                wanted.append(Option(option.kind, opinion.value))
        if rejected:
            return Answer(Code.CONFIGURE_REJECT, encode_options(rejected))
        if wanted:
            self.on_naked(wanted)
            return Answer(Code.CONFIGURE_NAK, encode_options(wanted))
        self.take(options)
        return Answer(Code.CONFIGURE_ACK, encode_options(options))
