"""Batches of datagrams over loopback: what goes in comes out, whatever the kernel joins or cuts."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.test_udp import connected
from transports.datagrams import BATCH, Datagrams, DatagramStats, UdpOffload
from transports.errors import ConnectionLost, EngineError
from transports.udp import UdpSocket

BOTH = UdpOffload.SEGMENT | UdpOffload.JOINED
MODES = [UdpOffload.NONE, UdpOffload.SEGMENT, UdpOffload.JOINED, BOTH]
LARGEST = 9000  # bytes
PORTION = 60000  # bytes


def runs(sizes: Sequence[int]) -> int:
    """How many messages with several datagrams a batch makes: the definition (linux-tun notes, section 6)."""
    found = at = 0
    while at < len(sizes):
        end, total = at + 1, sizes[at]
        while end < len(sizes) and end - at < 64 and sizes[end] <= sizes[at] and total + sizes[end] <= 64952:
            total += sizes[end]
            end += 1
            if sizes[end - 1] < sizes[at]:
                break
        found += end - at > 1
        at = end
    return found


@contextmanager
def two(offload: UdpOffload, largest: int = LARGEST) -> Iterator[tuple[Datagrams, Datagrams]]:
    with connected() as (ours, other), closing(UdpSocket(other.dup())) as theirs:
        os.set_blocking(theirs.fileno(), False)
        with closing(Datagrams(ours, largest, offload)) as one, closing(Datagrams(theirs, largest, offload)) as more:
            assert (one.offload, more.offload) == (offload, offload)  # this kernel has both
            yield one, more


def batch_of(sender: Datagrams, sent: list[bytes]) -> list[bytes]:
    """As many of these as there is room for, and any system's receive buffer holds; taken from the list."""
    batch: list[bytes] = []
    while sent and sum(map(len, batch)) < PORTION and sender.put(sent[0]):
        batch.append(sent.pop(0))
    assert batch and sender.waiting == len(batch)
    return batch


def datagrams(sizes: Sequence[int]) -> list[bytes]:
    return [bytes([number % 251]) * size for number, size in enumerate(sizes)]


def arrived(receiver: Datagrams, count: int) -> list[bytes]:
    """So many; then nothing more."""
    found: list[bytes] = []
    while len(found) < count:
        assert select.select([receiver._udp.fileno()], [], [], 2)[0], f"only {len(found)} of {count} came"
        found += receiver.receive()
    assert receiver.receive() == []
    return found


bursts = st.lists(st.tuples(st.integers(1, LARGEST), st.integers(1, 40)), min_size=1, max_size=12)


@settings(max_examples=60)
@given(bursts=bursts, offload=st.sampled_from(MODES))
def test_any_sequence_of_sizes_arrives_as_it_is(bursts: list[tuple[int, int]], offload: UdpOffload) -> None:
    sizes = [size for size, count in bursts for _ in range(count)]
    with two(offload) as (sender, receiver):
        sent = datagrams(sizes)
        while sent:
            batch = batch_of(sender, sent)
            assert sender.flush() and sender.waiting == 0
            assert arrived(receiver, len(batch)) == batch
        stats = sender.stats()
        assert (stats.tx_datagrams, stats.tx_bytes) == (len(sizes), sum(sizes))
        assert (stats.too_large, stats.no_buffers, stats.fallbacks) == (0, 0, 0)
        assert (receiver.stats().rx_datagrams, receiver.stats().rx_bytes) == (len(sizes), sum(sizes))


@settings(max_examples=60)
@given(bursts=bursts)
def test_a_batch_leaves_in_as_few_runs_as_the_definition_says(bursts: list[tuple[int, int]]) -> None:
    sizes = [size for size, count in bursts for _ in range(count)]
    with two(BOTH) as (sender, receiver):
        batch = batch_of(sender, datagrams(sizes))
        assert sender.flush()
        assert sender.stats().tx_segmented == runs([len(one) for one in batch]) and sender.stats().tx_calls == 1
        assert arrived(receiver, len(batch)) == batch


def test_a_full_batch_takes_no_more_until_it_is_flushed() -> None:
    with two(BOTH) as (sender, receiver):
        assert all(sender.put(b"x") for _ in range(BATCH))
        assert not sender.put(b"x")
        assert sender.flush() and sender.put(b"y") and sender.flush()
        assert arrived(receiver, BATCH + 1) == [b"x"] * BATCH + [b"y"]
        assert not receiver.more
        assert not sender.put(bytes(LARGEST + 1))


def test_counters_have_the_names_of_the_struct() -> None:
    with two(BOTH) as (sender, _):
        assert sender.stats() == DatagramStats(*[0] * len(astuple(sender.stats())))
        sender.put(b"x")
        sender.flush()
        assert (sender.stats().tx_datagrams, sender.stats().tx_calls, sender.stats().tx_full) == (1, 1, 0)


def test_nobody_listens_is_told_once_and_what_waits_stays() -> None:
    with connected() as (udp, other), closing(Datagrams(udp)) as sender:
        other.close()
        sender.put(b"one")
        assert sender.flush()
        sender.put(b"two")
        with pytest.raises(ConnectionLost, match=r"udp to 127\.0\.0\.1 port \d+>: connection refused"):
            sender.flush()
        assert sender.waiting == 1 and sender.flush()
        assert sender.stats().refused == 1


def test_the_path_mtu_and_probing() -> None:
    with connected() as (udp, _), closing(Datagrams(udp)) as sender:
        assert sender.mtu() == udp.path_mtu() >= 1500
        assert not sender.mtu_changed()
        sender.probe(True)
        sender.probe(False)


def test_sizes_that_no_datagram_has_are_refused() -> None:
    with connected() as (udp, _):
        for largest in (0, 65536):
            with pytest.raises(EngineError, match="want 1 to 65535 bytes"):
                Datagrams(udp, largest)


def test_a_closed_batch_says_so() -> None:
    with connected() as (udp, _):
        sender = Datagrams(udp)
        sender.close()
        sender.close()
        with pytest.raises(ConnectionLost, match="the batch was closed on this side"):
            sender.put(b"x")
