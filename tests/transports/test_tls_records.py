"""Our own records of TLS 1.3, the peer's made by hand: taking over, key updates, hostile records."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transports.tls13_peer import ALERT, ASKING, CLOSE_NOTIFY, DATA, HANDSHAKE, KEY_UPDATE, Peer, handmade, ticket
from transports.engine import ffi, lib, text

SIDES = pytest.mark.parametrize("server", [True, False], ids=["the peer is the server", "the peer is the client"])
ROUNDS = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def take_over(peer: Peer) -> int:
    return int(lib.ve_tls_take_over(peer.end.native))


def both_ways(peer: Peer) -> None:
    peer.write(b"from the peer")
    assert peer.end.read() == b"from the peer"
    peer.end.write(b"from us")
    assert peer.receive() == (DATA, b"from us")


def taken(peer: Peer) -> Peer:
    peer.send(peer.late)
    peer.late = b""
    while peer.end.read_once() is not None:
        pass
    assert take_over(peer) == lib.VE_OK
    return peer


def refused(peer: Peer, pattern: str, alert: int) -> None:
    """The connection is over, for this cause, and the peer is told."""
    out = ffi.new("uint8_t[]", 16384)
    while (got := lib.ve_tls_read(peer.end.native, out, 16384)) == lib.VE_WANT_READ:
        pass
    assert got == lib.VE_ERROR
    said = text(lib.ve_tls_error(peer.end.native))
    assert pattern in said, said
    assert lib.ve_tls_failure(peer.end.native) == lib.VE_TLS_BROKEN
    assert peer.receive() == (ALERT, bytes([2, alert]))
    assert lib.ve_tls_read(peer.end.native, out, 1) == lib.ve_tls_write(peer.end.native, b"x", 1) == lib.VE_ERROR


# --- taking over ---


@SIDES
@pytest.mark.parametrize("tickets", [0, 1, 2, 5])
@pytest.mark.parametrize("early", [True, False], ids=["libssl reads the tickets", "we read them"])
def test_after_any_handshake(tmp_path: Path, server: bool, tickets: int, early: bool) -> None:
    with handmade(tmp_path, server=server, tickets=tickets) as peer:
        if early:
            peer.send(peer.late)
            assert peer.end.read_once() is None
        assert take_over(peer) == take_over(peer) == lib.VE_OK
        if not early:
            peer.send(peer.late)
        both_ways(peer)
        both_ways(peer)


@pytest.mark.parametrize("server", [True, False])
def test_after_a_hello_that_was_retried(tmp_path: Path, server: bool) -> None:
    with handmade(tmp_path, server=server, curve="secp384r1") as peer:
        both_ways(taken(peer))


def test_after_a_client_certificate(tmp_path: Path) -> None:
    with handmade(tmp_path, certificate=True, tickets=2) as peer:
        both_ways(taken(peer))


@SIDES
def test_after_data_that_libssl_moved(tmp_path: Path, server: bool) -> None:
    """Sequence numbers go on right behind libssl's."""
    with handmade(tmp_path, server=server) as peer:
        peer.send(peer.late)
        for _time in range(3):
            both_ways(peer)
        assert take_over(peer) == lib.VE_OK
        both_ways(peer)


@SIDES
@pytest.mark.parametrize("cut", [1, 4, 5, 6, 20, 27])
def test_within_a_record(tmp_path: Path, server: bool, cut: int) -> None:
    """libssl holds a header whose body has not come, and nobody could ask it for that."""
    with handmade(tmp_path, server=server) as peer:
        peer.send(peer.late)
        assert peer.end.read_once() is None
        record = peer.out.seal(b"in two")
        peer.send(record[:cut])
        assert peer.end.read_once() is None
        assert take_over(peer) == lib.VE_EMPTY
        peer.send(record[cut:], peer.out.seal(b"and more"))
        out = ffi.new("uint8_t[]", 1)
        assert lib.ve_tls_read(peer.end.native, out, 1) == 1
        assert take_over(peer) == lib.VE_EMPTY  # the rest of its plaintext is libssl's
        assert (peer.end.read(), peer.end.read()) == (b"n two", b"and more")
        assert take_over(peer) == lib.VE_OK
        both_ways(peer)


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 30, 63])
def test_within_a_ticket(tmp_path: Path, cut: int) -> None:
    with handmade(tmp_path) as peer:
        message = ticket()
        peer.send(peer.out.seal(message[:cut], HANDSHAKE))
        assert peer.end.read_once() is None
        assert take_over(peer) == lib.VE_EMPTY


@pytest.mark.parametrize("wish", [KEY_UPDATE, ASKING])
def test_not_after_a_key_update(tmp_path: Path, wish: bytes) -> None:
    """Its secrets are libssl's alone."""
    with handmade(tmp_path) as peer:
        peer.send(peer.out.seal(wish, HANDSHAKE))
        peer.out.update()
        assert peer.end.read_once() is None
        assert take_over(peer) == lib.VE_ERROR
        peer.write(b"goes on")
        assert peer.end.read() == b"goes on"
        peer.end.write(b"as before")
        if wish == ASKING:
            assert peer.receive() == (HANDSHAKE, KEY_UPDATE)
            peer.back.update()
        assert peer.receive() == (DATA, b"as before")


def test_not_after_our_own_key_update(tmp_path: Path) -> None:
    with handmade(tmp_path) as peer:
        assert lib.ve_tls_rekey(peer.end.native) == lib.VE_OK
        assert take_over(peer) == lib.VE_ERROR


def test_not_after_the_end(tmp_path: Path) -> None:
    with handmade(tmp_path) as peer:
        peer.send(peer.out.seal(CLOSE_NOTIFY, ALERT))
        assert peer.end.read_once() == b""
        assert take_over(peer) == lib.VE_ERROR
        assert peer.end.read_once() == b""


# --- data, key updates, the end ---


@ROUNDS
@given(st.data())
@SIDES
def test_any_chunking(tmp_path: Path, server: bool, data: st.DataObject) -> None:
    """Data, tickets and key updates, padded or not, cut anywhere: data comes out as it went in."""
    with handmade(tmp_path, server=server) as peer:
        taken(peer)
        stream, want = b"", b""
        kinds = ["data", "update"] + ["ticket"] * server
        for kind in data.draw(st.lists(st.sampled_from(kinds), max_size=12)):
            padding = data.draw(st.sampled_from([0, 0, 1, 250]))
            if kind == "data":
                piece = bytes(data.draw(st.sampled_from([0, 1, 8, 1400, 16384])))
                stream, want = stream + peer.out.seal(piece, DATA, min(padding, 16384 - len(piece))), want + piece
            elif kind == "update":
                stream += peer.out.seal(KEY_UPDATE, HANDSHAKE, padding)
                peer.out.update()
            else:
                message = ticket(data.draw(st.integers(0, 300))) + ticket(data.draw(st.integers(0, 300)))
                cut = data.draw(st.integers(1, len(message) - 1))
                stream += peer.out.seal(message[:cut], HANDSHAKE) + peer.out.seal(message[cut:], HANDSHAKE, padding)
        got = b""
        while stream:
            size = data.draw(st.sampled_from([1, 4, 5, 6, 21, 22, 500, 3000, 40000]))
            peer.send(stream[:size])
            stream = stream[size:]
            while (piece := peer.end.read_once()) is not None:
                got += piece
        assert got == want
        both_ways(peer)


@SIDES
def test_new_keys_of_either_side(tmp_path: Path, server: bool) -> None:
    with handmade(tmp_path, server=server) as peer:
        taken(peer)
        for wish in (KEY_UPDATE, ASKING, KEY_UPDATE, ASKING):
            peer.send(peer.out.seal(wish, HANDSHAKE))
            peer.out.update()
            assert peer.end.read_once() is None
            if wish == ASKING:
                assert peer.receive() == (HANDSHAKE, KEY_UPDATE)
                peer.back.update()
            both_ways(peer)
        assert lib.ve_tls_rekey(peer.end.native) == lib.VE_OK
        assert peer.receive() == (HANDSHAKE, ASKING)
        peer.back.update()
        both_ways(peer)


def test_the_end_of_either_side(tmp_path: Path) -> None:
    with handmade(tmp_path) as peer:
        taken(peer)
        peer.end.end()
        peer.end.end()
        assert peer.receive() == (ALERT, CLOSE_NOTIFY)
        peer.send(peer.out.seal(b"late"), peer.out.seal(b"\1\x5a", ALERT), peer.out.seal(CLOSE_NOTIFY, ALERT), b"junk")
        assert [peer.end.read_once() for _time in range(3)] == [b"late", b"", b""]
        assert lib.ve_tls_write(peer.end.native, b"x", 1) == lib.VE_ERROR
        assert "after the end" in text(lib.ve_tls_error(peer.end.native))


def test_an_alert(tmp_path: Path) -> None:
    with handmade(tmp_path) as peer:
        taken(peer)
        peer.send(peer.out.seal(b"\1\x2e", ALERT))  # its level says nothing
        out = ffi.new("uint8_t[]", 1)
        assert lib.ve_tls_read(peer.end.native, out, 1) == lib.VE_ERROR
        assert (lib.ve_tls_failure(peer.end.native), lib.ve_tls_alert(peer.end.native)) == (lib.VE_TLS_ALERT, 46)


def test_an_end_of_tcp_within_a_record(tmp_path: Path) -> None:
    with handmade(tmp_path) as peer:
        taken(peer)
        peer.send(peer.out.seal(b"whole"), peer.out.seal(b"half")[:-1])
        peer.sock.shutdown(socket.SHUT_WR)
        assert peer.end.read() == b"whole"
        out = ffi.new("uint8_t[]", 1)
        assert lib.ve_tls_read(peer.end.native, out, 1) == lib.VE_ERROR
        assert lib.ve_tls_failure(peer.end.native) == lib.VE_TLS_TRUNCATED


# --- hostile records ---


def test_every_byte_of_a_record_counts(tmp_path: Path) -> None:
    """A byte of the length that is larger makes the reader wait for more: that comes, and is false."""
    dice = random.Random(1)
    with handmade(tmp_path) as peer:
        size = len(peer.out.seal(b"payload"))
    for at in range(size):
        with handmade(tmp_path) as peer:
            taken(peer)
            record = bytearray(peer.out.seal(b"payload"))
            record[at] ^= 1 << dice.randrange(8)
            peer.send(bytes(record) + peer.out.seal(bytes(16384)) + peer.out.seal(bytes(16384)))
            if at == 0:
                refused(peer, "got a record of type", 10)
            elif record[3] >= 0x42 or (record[3] == 0x41 and record[4]):
                refused(peer, "too long", 22)
            else:
                refused(peer, "bad record mac", 20)


Craft = Callable[[Peer], list[bytes]]

HOSTILE: list[tuple[str, Craft, str, int]] = [
    ("no bytes", lambda _p: [b"\x17\3\3\0\0"], "bad record mac", 20),
    ("a tag alone", lambda p: [p.out.seal_inner(b"")], "without a type", 10),
    ("padding alone", lambda p: [p.out.seal_inner(bytes(100))], "without a type", 10),
    ("a replay", lambda p: [p.out.seal(b"a")] * 2, "bad record mac", 20),
    ("another order", lambda p: [p.out.seal(b"a"), p.out.seal(b"b")][::-1], "bad record mac", 20),
    ("a record left out", lambda p: [[p.out.seal(b"a"), p.out.seal(b"b")][1]], "bad record mac", 20),
    ("too much content", lambda p: [p.out.seal(bytes(16385))], "too long", 22),
    ("too much padding", lambda p: [p.out.seal(b"", DATA, 16385)], "too long", 22),
    ("too long", lambda _p: [b"\x17\3\3\x41\1"], "too long", 22),
    ("a plain alert", lambda _p: [b"\x15\3\3\0\2\2\x28"], "record of type 21", 10),
    ("ChangeCipherSpec", lambda _p: [b"\x14\3\3\0\1\1"], "record of type 20", 10),
    ("ChangeCipherSpec within", lambda p: [p.out.seal(b"\1", 20)], "content of type 20", 10),
    ("http", lambda _p: [b"HTTP/1.1 400 Bad Request\r\n"], "record of type 72", 10),
    ("content of type 99", lambda p: [p.out.seal(b"x", 99)], "content of type 99", 10),
    ("half an alert", lambda p: [p.out.seal(b"\2", ALERT)], "alert of 1 bytes", 50),
    ("two alerts", lambda p: [p.out.seal(b"\1\0\1\0", ALERT)], "alert of 4 bytes", 50),
    ("an empty handshake", lambda p: [p.out.seal(b"", HANDSHAKE)], "empty handshake", 10),
    ("a ClientHello", lambda p: [p.out.seal(b"\1\0\0\1\0", HANDSHAKE)], "message of type 1", 10),
    ("a CertificateRequest", lambda p: [p.out.seal(b"\x0d\0\0\1\0", HANDSHAKE)], "message of type 13", 10),
    ("a Finished", lambda p: [p.out.seal(b"\x14\0\0\x20" + bytes(32), HANDSHAKE)], "message of type 20", 10),
    ("a giant ticket", lambda p: [p.out.seal(b"\4\x02\1\x0a", HANDSHAKE)], "type 4 and 131338 bytes", 50),
    ("a key update of none", lambda p: [p.out.seal(b"\x18\0\0\0", HANDSHAKE)], "type 24 and 0 bytes", 50),
    ("a key update of two", lambda p: [p.out.seal(b"\x18\0\0\2\0\0", HANDSHAKE)], "type 24 and 2 bytes", 50),
    ("a strange wish", lambda p: [p.out.seal(b"\x18\0\0\1\2", HANDSHAKE)], "got request 2", 47),
    ("two key updates", lambda p: [p.out.seal(KEY_UPDATE * 2, HANDSHAKE)], "does not end its record", 10),
    ("old keys", lambda p: [p.out.seal(KEY_UPDATE, HANDSHAKE), p.out.seal(b"x")], "bad record mac", 20),
    ("data within a ticket", lambda p: [p.out.seal(ticket()[:9], HANDSHAKE), p.out.seal(b"x")], "data within", 10),
    ("data within a header", lambda p: [p.out.seal(b"\x18\0", HANDSHAKE), p.out.seal(b"x")], "data within", 10),
    ("empty records", lambda p: [p.out.seal(b"") for _n in range(257)], "without data", 10),
    ("tickets", lambda p: [p.out.seal(ticket(0), HANDSHAKE) for _n in range(257)], "without data", 10),
    ("warnings", lambda p: [p.out.seal(b"\1\x5a", ALERT) for _n in range(257)], "without data", 10),
]


@pytest.mark.parametrize(("_name", "craft", "pattern", "alert"), HOSTILE, ids=[each[0] for each in HOSTILE])
def test_hostile_records(tmp_path: Path, _name: str, craft: Craft, pattern: str, alert: int) -> None:
    with handmade(tmp_path) as peer:
        taken(peer)
        peer.send(peer.out.seal(b"fine"))
        assert peer.end.read() == b"fine"
        records = craft(peer)
        peer.send(*records)
        if records and pattern == "bad record mac" and _name == "a replay":
            assert peer.end.read() == b"a"
        refused(peer, pattern, alert)


def test_a_ticket_for_a_server(tmp_path: Path) -> None:
    with handmade(tmp_path, server=False) as peer:
        taken(peer)
        peer.send(peer.out.seal(ticket(), HANDSHAKE))
        refused(peer, "message of type 4", 10)


def updates(peer: Peer, number: int, data: int) -> None:
    for _time in range(number):
        peer.send(peer.out.seal(KEY_UPDATE, HANDSHAKE))
        peer.out.update()
        for _record in range(data):
            peer.send(peer.out.seal(b"x"))
            assert peer.end.read() == b"x"
    assert peer.end.read_once() is None


def test_a_storm_of_key_updates(tmp_path: Path) -> None:
    with handmade(tmp_path) as peer:
        taken(peer)
        updates(peer, 100, 16)  # data pays for them
        updates(peer, 31, 1)
        peer.send(peer.out.seal(KEY_UPDATE, HANDSHAKE))
        peer.out.update()
        peer.send(peer.out.seal(KEY_UPDATE, HANDSHAKE))
        peer.out.update()
        peer.send(peer.out.seal(KEY_UPDATE, HANDSHAKE))
        refused(peer, "too many key updates", 10)


def test_a_peer_that_reads_no_answers_gets_one_for_all(tmp_path: Path) -> None:
    with handmade(tmp_path) as peer:
        taken(peer)
        block = bytes(16384)
        while lib.ve_tls_flush(peer.end.native) == lib.VE_OK:
            assert lib.ve_tls_write(peer.end.native, block, len(block)) == len(block)
        while lib.ve_tls_write(peer.end.native, block, len(block)) == len(block):
            pass
        while lib.ve_tls_write(peer.end.native, block, 1) == 1:
            pass
        for _time in range(60):
            peer.send(peer.out.seal(ASKING, HANDSHAKE))
            peer.out.update()
            for _record in range(16):
                peer.send(peer.out.seal(b"x"))
                assert peer.end.read() == b"x"
        assert lib.ve_tls_rekey(peer.end.native) == lib.VE_OK  # has no room either
        came, written, last = [], False, b""
        while last != b"last":
            lib.ve_tls_flush(peer.end.native)
            written = written or lib.ve_tls_write(peer.end.native, b"last", 4) == 4
            lib.ve_tls_flush(peer.end.native)
            kind, last = peer.receive()
            if kind == HANDSHAKE:
                came.append(last)
                peer.back.update()
        assert 1 < len(came) < 60 and came[-1] == ASKING and set(came[:-1]) == {KEY_UPDATE}
