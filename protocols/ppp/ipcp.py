"""The options of IPCP (section 8).

A client takes whatever address the gateway has (Q5) and asks for its own; a gateway has the peer's address ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from protocols.errors import ConfigurationRefused
from protocols.ppp.options import LayerRefused, Opinion, Policy, Wanted
from protocols.ppp.packet import Option

ANY = IPv4Address(0)
SIZE = 4  # bytes


class Kind(IntEnum):
    ADDRESSES = 1  # deprecated, but some gateways fall back to it
    ADDRESS = 3
    DNS = 129
    NBNS = 130
    DNS_2 = 131
    NBNS_2 = 132


SERVERS = (Kind.DNS, Kind.NBNS, Kind.DNS_2, Kind.NBNS_2)


@dataclass(frozen=True, slots=True)
class IpcpWishes:
    """address: ours, ANY: ask for one.  keep: another one than `address` ends the session.  servers: ask for them.

    peer: the peer's address, which it must take; None: whatever it has.  dns: told to the peer when it asks.
    """

    address: IPv4Address = ANY
    keep: bool = False
    servers: bool = False
    peer: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()


class Ipcp(Policy):
    name = "IPCP"

    def __init__(self, wishes: IpcpWishes) -> None:
        self._wishes = wishes
        self.address = wishes.address
        self.servers: dict[int, IPv4Address] = {}  # what the peer named, by option
        self._asked = set(SERVERS) if wishes.servers else set()

    def begin(self) -> None:
        """What the peer has told of us before is proposed again."""

    def request(self) -> list[Option]:
        asked = [Option(kind, ANY.packed) for kind in sorted(self._asked)]
        return [Option(Kind.ADDRESS, self.address.packed), *asked]

    def look(self, option: Option) -> Opinion | Wanted:
        if option.kind == Kind.ADDRESSES:
            return Opinion.GOOD  # Q6
        if len(option.value) != SIZE:
            return Opinion.REJECTED
        if option.kind == Kind.ADDRESS:
            right = self._wishes.peer
            return Opinion.GOOD if right is None or option.value == right.packed else Wanted(right.packed)
        return self._look_at_server(option)

    def _look_at_server(self, option: Option) -> Opinion | Wanted:
        if option.kind not in (Kind.DNS, Kind.DNS_2):
            return Opinion.REJECTED
        known = self._wishes.dns[option.kind == Kind.DNS_2 :][:1]
        if not known:
            return Opinion.REJECTED
        return Opinion.GOOD if option.value == known[0].packed else Wanted(known[0].packed)

    def on_naked(self, options: Sequence[Option]) -> None:
        """Nothing to remember: the same is wanted again."""

    def take(self, options: Sequence[Option]) -> None:
        """The far end's address is of no use: often it is the gateway's public one."""

    def on_nak(self, option: Option) -> bool:
        if len(option.value) != SIZE:
            return False
        value = IPv4Address(option.value)
        if option.kind == Kind.ADDRESS:
            return self._other_address(value)
        if value != ANY:
            self.servers[option.kind] = value
        self._asked.discard(Kind(option.kind))
        return True

    def _other_address(self, value: IPv4Address) -> bool:
        if value == ANY or value.is_loopback or value.is_multicast:
            raise LayerRefused("ppp-ipv4-refused", f"the gateway offers the address {value}")
        if value == self.address:
            return False
        if self._wishes.keep:
            text = f"the gateway gave the address {value}, want {self.address} as before"
            raise ConfigurationRefused("address-changed", text)
        self.address = value
        return True

    def on_reject(self, option: Option) -> bool:
        if option.kind == Kind.ADDRESS:
            raise LayerRefused("ppp-ipv4-refused", "the gateway rejects the request for an address")
        self._asked.discard(Kind(option.kind))
        return True

    def on_open(self) -> None:
        if self.address == ANY:
            raise LayerRefused("ppp-ipv4-refused", "the gateway gave no address")
