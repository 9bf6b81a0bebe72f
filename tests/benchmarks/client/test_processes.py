"""What is read from /proc."""

from __future__ import annotations

import os

import pytest

from benchmarks.client.processes import (
    Stat,
    below,
    cpu_seconds,
    datagrams,
    parse_resident,
    parse_snmp,
    parse_stat,
    resident_bytes,
)

STAT = "4711 (a (b) c) S 17 4711 4711 0 -1 4194560 9 0 0 0 250 50 30 20 20 0 4 0 88 1 2 3"
SNMP = """Ip: Forwarding DefaultTTL
Ip: 1 64
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
Udp: 120 1 0 80 0
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
UdpLite: 7 0 0 7 0
"""


def test_a_stat_line_whose_name_has_parentheses_and_spaces() -> None:
    assert parse_stat(STAT) == Stat(4711, 17, 300, 50)


def test_a_process_counts_with_all_below_it_and_no_other() -> None:
    known = [Stat(1, 0, 1, 0), Stat(10, 1, 2, 0), Stat(11, 10, 4, 0), Stat(12, 11, 8, 0), Stat(20, 1, 16, 0)]

    assert sorted(one.pid for one in below(10, known)) == [10, 11, 12]
    assert below(99, known) == []


def test_this_process_has_used_time_and_memory() -> None:
    assert cpu_seconds(os.getpid()) > 0
    assert resident_bytes(os.getpid()) > 1e6


def test_a_process_that_has_ended_is_told() -> None:
    with pytest.raises(ProcessLookupError, match="has ended"):
        cpu_seconds(2**22 + 1)


def test_resident_memory() -> None:
    assert parse_resident("Name:\tx\nVmHWM:\t  900 kB\nVmRSS:\t  512 kB\n") == 512 * 1024
    with pytest.raises(ValueError, match="VmRSS"):
        parse_resident("Name:\tkthreadd\n")


def test_counters_of_one_protocol() -> None:
    assert parse_snmp(SNMP, "Udp")["OutDatagrams"] == 80
    with pytest.raises(ValueError, match="got 0 lines of Sctp"):
        parse_snmp(SNMP, "Sctp")


def test_the_kernel_has_these_counters() -> None:
    assert datagrams(os.getpid()) >= 0
