"""Longest-prefix look-ups in a set of networks: what covers this one?

Cost per look-up is the number of distinct prefix lengths (at most 33 or 129), not of networks, so ten thousand
routes of a gateway are planned in well under a second.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from protocols.base import Network

T = TypeVar("T")


class PrefixTable(Generic[T]):
    def __init__(self) -> None:
        self._levels: dict[tuple[int, int], dict[int, T]] = {}  # (version, prefix length) -> address bits -> value

    def add(self, network: Network, value: T) -> None:
        """A value for the network; the last one wins."""
        level = self._levels.setdefault((network.version, network.prefixlen), {})
        level[int(network.network_address)] = value

    def get(self, network: Network) -> T | None:
        """The value of exactly this network."""
        return self._levels.get((network.version, network.prefixlen), {}).get(int(network.network_address))

    def covering(self, network: Network) -> Iterator[T]:
        """Values of the networks that contain all of `network`, itself included; the longest prefix first."""
        bits = int(network.network_address)
        for length in range(network.prefixlen, -1, -1):
            level = self._levels.get((network.version, length))
            if level is None:
                continue
            host_bits = network.max_prefixlen - length
            value = level.get(bits >> host_bits << host_bits)
            if value is not None:
                yield value

    def covers(self, network: Network) -> bool:
        return next(self.covering(network), None) is not None
