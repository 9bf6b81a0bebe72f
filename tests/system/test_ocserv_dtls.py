"""DTLS against Debian's ocserv, in all three forms that it speaks, with real traffic."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.client import client
from tests.peers.ocserv import GATEWAY_V4, GATEWAY_V6, PASSWORD, PORT, USER, Ocserv, ocserv
from tests.peers.traffic import iperf, iperf_server, ping
from vpnclient.errors import Exit
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

UDP = {"udp-port": str(PORT), "dtls-legacy": "true"}
SECONDS = 2  # of bulk traffic each way


def argv(both: Pair, server: Ocserv, *more: str) -> list[str]:
    url = f"https://{both.gateway_v4}:{PORT}/"
    return [url, "--cafile", str(server.folder / "ca.pem"), "--user", USER, "--passwd-on-stdin", "--non-inter", *more]


@pytest.mark.parametrize(
    ("ciphers", "agreed"),
    [
        ("", "DTLSv1.2, PSK-"),
        ("OC-DTLS1_2-AES128-GCM", "DTLSv1.2, AES128-GCM-SHA256"),
        ("OC-DTLS1_2-AES256-GCM", "DTLSv1.2, AES256-GCM-SHA384"),
        ("AES128-SHA", "DTLSv0.9, AES128-SHA"),
        ("AES256-SHA", "DTLSv0.9, AES256-SHA"),
    ],
)
def test_every_form_carries_traffic(namespaces: Pair, run_dir: Path, ciphers: str, agreed: str) -> None:
    more = ("--dtls-ciphers", ciphers) if ciphers else ()
    with (
        ocserv(namespaces.gateway, namespaces.gateway_v4, options=UDP) as server,
        client(namespaces.client, *argv(namespaces, server, *more), stdin=f"{PASSWORD}\n", run_dir=run_dir) as ours,
        iperf_server(namespaces.gateway),
    ):
        channel = ours.wait_for("channel", name="DTLS")
        assert channel["detail"].startswith(agreed)
        ping(namespaces.client, GATEWAY_V4)
        ping(namespaces.client, GATEWAY_V6)
        for mode in ("up", "down"):
            (flow,) = iperf(namespaces.client, GATEWAY_V4, seconds=SECONDS, mode=mode)
            assert flow.megabits > 10
        assert ours.stop() == Exit.OK
        left = [event["name"] for event in ours.seen if event["event"] == "channel"]
        assert left == ["TLS", "DTLS"]  # it never fell back
