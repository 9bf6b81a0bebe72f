"""The benchmark's contenders for real: the bare pump carries traffic, and no row is of another channel than it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.client import contenders, load
from benchmarks.client.bare import bare
from benchmarks.client.cases import BARE_TLS, BARE_UDP, Case, Channel
from benchmarks.client.contenders import Target, WrongChannel, openconnect
from benchmarks.client.processes import datagrams
from benchmarks.client.run import check_counted
from tests.peers.ocserv import GATEWAY_V4, PASSWORD, PORT, USER, ocserv
from tests.peers.traffic import iperf_server, wait_until_pings
from vpnclient.lab.netns import Pair, pair

pytestmark = pytest.mark.system
DTLS = Case("ocserv", "anyconnect", Channel.DTLS)


@pytest.fixture
def namespaces() -> Iterator[Pair]:
    with pair() as both:
        yield both


@pytest.mark.parametrize("case", [BARE_UDP, BARE_TLS], ids=lambda case: case.name)
def test_the_bare_pump_carries_tcp_pings_and_datagrams_over_its_channel(namespaces: Pair, case: Case) -> None:
    with iperf_server(namespaces.gateway), bare(namespaces, case) as running:
        wait_until_pings(namespaces.client, running.address)
        for mode in ("down", "up", "both"):
            before = datagrams(running.pid)
            moved = load.transfer(namespaces.client, running.address, mode, 1.0, pinged=True)
            assert moved.bytes > 10e6 and len(moved.pings) > 10
            check_counted(case.channel, moved.bytes, datagrams(running.pid) - before)
        with load.udp_sink(namespaces.gateway) as sink:
            trial = sink.trial(namespaces.client, running.address, 1400, 1000.0, 0.3)
        assert trial.passed and trial.sent > 250


def target(namespaces: Pair, pin: str) -> Target:
    url = f"https://{namespaces.gateway_v4}:{PORT}/"
    return Target(namespaces.client, url, pin, USER, PASSWORD, GATEWAY_V4)


def test_openconnect_that_finds_no_datagram_channel_is_no_row(
    namespaces: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contenders, "CHANNEL_TIMEOUT", 1.0)
    with ocserv(namespaces.gateway, namespaces.gateway_v4) as server:
        with pytest.raises(WrongChannel, match="asked for DTLS, ran over TLS"):
            with openconnect(target(namespaces, server.pin()), DTLS):
                pytest.fail("it was taken for DTLS")


def test_openconnect_over_dtls_is_seen_in_its_log_and_by_the_kernel(namespaces: Pair) -> None:
    with (
        iperf_server(namespaces.gateway),
        ocserv(namespaces.gateway, namespaces.gateway_v4, options={"udp-port": str(PORT)}) as server,
        openconnect(target(namespaces, server.pin()), DTLS) as running,
    ):
        wait_until_pings(namespaces.client, running.address)
        before = datagrams(running.pid)
        moved = load.transfer(namespaces.client, running.address, "down", 1.0, pinged=False)
        check_counted(Channel.DTLS, moved.bytes, datagrams(running.pid) - before)
