"""What iperf3 and ping say."""

from __future__ import annotations

import json

import pytest

from benchmarks.client.load import LoadError, Transfer, parse_iperf, parse_ping

PING = """PING 10.77.0.1 (10.77.0.1) 56(84) bytes of data.
64 bytes from 10.77.0.1: icmp_seq=1 ttl=64 time=0.045 ms
64 bytes from 10.77.0.1: icmp_seq=3 ttl=64 time=12.3 ms
64 bytes from 10.77.0.1: icmp_seq=4 ttl=64 time=104 ms (DUP!)

--- 10.77.0.1 ping statistics ---
4 packets transmitted, 2 received, +1 duplicates, 50% packet loss, time 612ms
rtt min/avg/max/mdev = 0.045/6.172/12.300/6.127 ms
"""


def test_round_trips_of_ping() -> None:
    assert parse_ping(PING) == [0.045, 12.3, 104.0]


def test_one_flow_is_what_arrived() -> None:
    end = {"sum_sent": {"bytes": 9, "seconds": 1.0}, "sum_received": {"bytes": 250000, "seconds": 2.0}}

    (flow,) = parse_iperf(json.dumps({"end": end}), "down")

    assert flow.megabits == 1.0


def test_both_directions_are_up_then_down() -> None:
    end = {
        "sum_received": {"bytes": 125000, "seconds": 1.0},
        "sum_received_bidir_reverse": {"bytes": 250000, "seconds": 1.0},
    }

    moved = Transfer(parse_iperf(json.dumps({"end": end}), "both"))

    assert [flow.megabits for flow in moved.flows] == [1.0, 2.0]
    assert moved.megabits == 3.0 and moved.bytes == 375000


def test_what_iperf_complains_of_is_an_error() -> None:
    with pytest.raises(LoadError, match="unable to connect"):
        parse_iperf('{"end": {}, "error": "unable to connect to server"}', "up")
