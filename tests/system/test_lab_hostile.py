"""Broken tunnels towards the lab gateway: each ends its own link with a reason, and the gateway goes on."""

from __future__ import annotations

import json
import sys

import pytest

from tests.peers.lab import PASSWORD, USER, LabGateway, lab_gateway
from vpnclient.lab.netns import Pair

pytestmark = pytest.mark.system

# Signs in the old way and opens the tunnel, sends what it is told (hex), and prints what came back until the end
# (with one more argument: leaves at once).
TALK = """
import http.client, json, ssl, sys, urllib.parse
host, user, password, payload, leave = sys.argv[1:5] + [len(sys.argv) > 5]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
web = http.client.HTTPSConnection(host, context=context, timeout=60)
web.request("GET", "/")
answer = web.getresponse(); answer.read()
cookie = answer.getheader("Set-Cookie").split(";")[0]
form = urllib.parse.urlencode({"lab_form": "main", "username": user, "password": password})
web.request("POST", "/auth", form, {"Cookie": cookie})
answer = web.getresponse(); answer.read()
webvpn = [v.split(";")[0] for k, v in answer.getheaders() if k == "Set-Cookie" and v.startswith("webvpn=")][0]
web.request("CONNECT", "/CSCOSSLC/tunnel", headers={"Cookie": webvpn})
head = b""
while not head.endswith(b"\\r\\n\\r\\n"):
    head += web.sock.recv(1)
web.sock.sendall(bytes.fromhex(payload))
came = b""
try:
    while not leave and (data := web.sock.recv(65536)):
        came += data
except (ssl.SSLError, OSError):
    pass
web.close()
print(json.dumps({"head": head.decode().splitlines()[0], "came": came.hex()}))
"""


def talk(both: Pair, payload: bytes, *more: str) -> dict[str, str]:
    argv = (sys.executable, "-c", TALK, both.gateway_v4, USER, PASSWORD, payload.hex(), *more)
    answer: dict[str, str] = json.loads(both.client.run(*argv).stdout)
    assert answer["head"] == "HTTP/1.1 200 CONNECTED"
    return answer


def frame(kind: int, payload: bytes = b"") -> bytes:
    return b"STF\x01" + len(payload).to_bytes(2, "big") + bytes((kind, 0)) + payload


BYE = frame(5, b"\xb0bye")


def test_what_is_not_cstp_ends_the_link_and_keeps_the_cookie(namespaces: Pair) -> None:
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway:
        talk(namespaces, b"GET / HTTP/1.1\r\n\r\n")
        gateway.wait_for("the stream is broken")
        gateway.wait_for("cookie kept")
        still_serves(namespaces, gateway)


@pytest.mark.parametrize(
    "odd",
    [
        frame(0),  # no packet at all
        frame(0, b"\x00" * 40),  # neither IPv4 nor IPv6
        frame(0, b"\x45" + b"\xff" * 16000),  # a header that lies
        frame(8, b"compressed"),  # compression that was not agreed on
        frame(99, b"x" * 60000),  # a kind that does not exist, larger than any packet
        frame(3, b"p" * 10) * 50,  # many requests at once, fewer than the decoder keeps of requests
        frame(7) * 50,
    ],
    ids=["empty", "not-ip", "lying", "compressed", "unknown", "dpd-burst", "keepalive-burst"],
)
def test_odd_frames_are_skipped(namespaces: Pair, odd: bytes) -> None:
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway:
        talk(namespaces, odd + BYE)
        gateway.wait_for("client said b0 bye; cookie dead")
        still_serves(namespaces, gateway)


def test_a_stream_that_ends_inside_a_frame(namespaces: Pair) -> None:
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway:
        talk(namespaces, frame(0, b"x" * 100)[:50], "leave")
        gateway.wait_for("cookie kept")
        still_serves(namespaces, gateway)


def test_more_control_frames_than_any_queue_holds(namespaces: Pair) -> None:
    with lab_gateway(namespaces.gateway, namespaces.gateway_v4) as gateway:
        talk(namespaces, frame(3, b"p" * 10) * 3000, "leave")
        gateway.wait_for("cookie kept")
        still_serves(namespaces, gateway)
        assert len(gateway.log) < 10_000


def still_serves(both: Pair, gateway: LabGateway) -> None:
    answer = talk(both, frame(3, b"alive?") + BYE)
    assert answer["came"].startswith(frame(4, b"alive?").hex())
    assert "internal error" not in gateway.log
