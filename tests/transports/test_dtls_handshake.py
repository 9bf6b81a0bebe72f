"""Handshakes of our client with our server, over a network that loses, doubles, reorders and adds datagrams."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

import pytest

from tests.transports.dtls_doubles import (
    KINDS,
    MASTER,
    PSK,
    PSK_SUITES,
    RETRANSMIT,
    SESSION_ID,
    Fate,
    Network,
    ends,
    established,
    records,
    settings,
    untouched,
)
from transports.dtls import Dtls, DtlsSettings, Mode, Version, client_hello_session_id
from transports.errors import DtlsEnded, DtlsError, DtlsNotResumed, DtlsTimedOut

# Our own records and libssl's, in both kinds of handshake.
SHAPES = [
    (Mode.PSK, "PSK-AES128-GCM-SHA256"),
    (Mode.PSK, "PSK-AES128-CBC-SHA"),
    (Mode.RESUME, "PSK-CHACHA20-POLY1305"),
    (Mode.RESUME, "AES256-GCM-SHA384"),
    (Mode.RESUME, "AES128-SHA"),
]


def split(_from_client: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
    """A datagram a record."""
    return records(datagram)


def flights(mode: Mode, cipher: str) -> list[tuple[bool, int, int]]:
    """(from the client, number of datagram, records in it) of an undisturbed handshake."""
    seen: list[tuple[bool, int, int]] = []

    def watch(from_client: bool, number: int, datagram: bytes) -> Iterable[bytes]:
        seen.append((from_client, number, len(records(datagram))))
        return (datagram,)

    Network(*ends(mode, cipher), watch).shake()
    return seen


@pytest.mark.parametrize(("mode", "cipher"), KINDS)
def test_every_suite(mode: Mode, cipher: str) -> None:
    client, server = ends(mode, cipher)
    network = Network(client, server)
    network.shake()
    network.exchange()
    assert client.info == server.info
    assert (client.info.version, client.info.cipher) == ("DTLSv1.2", cipher)
    assert client.info.resumed is (mode is Mode.RESUME)
    assert client.info.own_records is ("GCM" in cipher or "CHACHA" in cipher)
    assert client.timeout() is None and server.timeout() is None


def test_the_first_common_suite_of_the_client_is_taken() -> None:
    client = Dtls(settings(Mode.PSK, *PSK_SUITES[1:]))
    Network(client, Dtls(settings(Mode.PSK, *PSK_SUITES, server=True))).shake()
    assert client.info.cipher == PSK_SUITES[1]


def test_the_server_finds_the_session_in_the_first_datagram() -> None:
    client, _server = ends(Mode.PSK, PSK_SUITES[0])
    client.start()
    (hello,) = client.outgoing()
    assert client_hello_session_id(hello) == SESSION_ID


@pytest.mark.parametrize(("mode", "cipher"), SHAPES)
def test_any_one_datagram_is_lost(mode: Mode, cipher: str) -> None:
    for lost_from_client, lost, _records in flights(mode, cipher):

        def fate(
            from_client: bool, number: int, datagram: bytes, gone: tuple[bool, int] = (lost_from_client, lost)
        ) -> Iterable[bytes]:
            return () if (from_client, number) == gone else (datagram,)

        network = Network(*ends(mode, cipher, retransmit=RETRANSMIT), fate)
        network.shake()
        network.fate = untouched
        network.exchange()


@pytest.mark.parametrize(("mode", "cipher"), SHAPES)
def test_any_one_record_is_lost(mode: Mode, cipher: str) -> None:
    """Each record travels by itself, and one of them does not arrive."""
    for lost_from_client, lost, count in flights(mode, cipher):
        for index in range(count):

            def fate(
                from_client: bool,
                number: int,
                datagram: bytes,
                gone: tuple[bool, int, int] = (lost_from_client, lost, index),
            ) -> Iterable[bytes]:
                return [one for at, one in enumerate(records(datagram)) if (from_client, number, at) != gone]

            network = Network(*ends(mode, cipher, retransmit=RETRANSMIT), fate)
            network.shake()
            network.fate = untouched
            network.exchange()


@pytest.mark.parametrize(("mode", "cipher"), SHAPES)
@pytest.mark.parametrize("seed", range(6))
def test_a_bad_network(mode: Mode, cipher: str, seed: int) -> None:
    """A quarter is lost, a quarter comes twice, records of a datagram come in any order, garbage comes between them."""
    dice = random.Random(seed)

    def fate(_from_client: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
        arriving = records(datagram) * dice.choice((1, 1, 2))
        dice.shuffle(arriving)
        arriving = [one for one in arriving if dice.random() > 0.25]
        return [piece for one in arriving for piece in (dice.randbytes(dice.randrange(1, 60)), one)]

    network = Network(*ends(mode, cipher, retransmit=RETRANSMIT), fate)
    network.shake()
    network.fate = untouched
    network.settle()
    network.exchange()


@pytest.mark.parametrize(("mode", "cipher"), [*SHAPES, (Mode.PSK, "PSK-AES256-CCM"), (Mode.PSK, "PSK-AES128-CCM8")])
def test_forgeries_of_every_length_between_the_records(mode: Mode, cipher: str) -> None:
    """With keys they could be anything; they are nothing, also when the peer's ChangeCipherSpec has come already."""
    dice = random.Random(2)

    def fate(_from_client: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
        for record in records(datagram):
            for length in range(100):
                kind = dice.choice((20, 21, 22, 23))
                number = 500 + dice.randrange(500)
                yield bytes([kind]) + b"\xfe\xfd\0\1" + number.to_bytes(6, "big") + bytes([0, length]) + bytes(length)
            yield record

    network = Network(*ends(mode, cipher), fate)
    network.shake()
    network.fate = untouched
    network.exchange()


@pytest.mark.parametrize(("mode", "cipher"), SHAPES)
def test_everything_comes_twice(mode: Mode, cipher: str) -> None:
    network = Network(*ends(mode, cipher), lambda _from, _number, datagram: (datagram, datagram))
    network.shake()
    for from_client, end in ((True, network.client), (False, network.server)):
        network.send(from_client, end.seal(b"once"))
    network.settle()
    assert network.arrived == {True: [b"once"], False: [b"once"]}
    assert network.client.stats()["replayed"] == network.server.stats()["replayed"] == 1


@pytest.mark.parametrize(("mode", "cipher"), SHAPES)
def test_cut_datagrams(mode: Mode, cipher: str) -> None:
    """Every prefix of every datagram comes before it."""

    def fate(_from_client: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
        return [datagram[:length] for length in range(len(datagram) + 1)]

    network = Network(*ends(mode, cipher), fate)
    network.shake()
    network.fate = untouched
    network.exchange()
    assert network.client.stats()["bad_length"] > 50


def test_garbage_is_counted_by_cause() -> None:
    client, _server = ends(Mode.PSK, PSK_SUITES[0])
    client.start()
    for garbage in (
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x16\x03\x03" + bytes(10),
        b"\x16\xfe\xfd\0\0" + bytes(6) + b"\x10\0",
        b"\x16\xfe\xfd\0\2" + bytes(8),
        b"\x17\xfe\xfd\0\1" + bytes(8),
    ):
        assert not client.feed(garbage)
    stats = client.stats()
    causes = ("bad_type", "bad_version", "bad_length", "old_epoch", "early")
    assert [stats[cause] for cause in causes] == [1, 1, 1, 1, 1]


# --- the last flight ---


@pytest.mark.parametrize(("mode", "cipher"), SHAPES)
@pytest.mark.parametrize("data", [0, 5000])
def test_the_last_flight_is_lost_while_data_flows(mode: Mode, cipher: str, data: int) -> None:
    """Who spoke last goes on at once; its Finished must still be taken when data has moved the peer's window far on."""
    client, server = ends(mode, cipher, retransmit=RETRANSMIT)
    speaker_is_client = mode is Mode.RESUME
    speaker, hearer = (client, server) if speaker_is_client else (server, client)
    lost: list[bytes] = []
    all_sent = False

    def fate(from_client: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
        if from_client is speaker_is_client and speaker.established and (len(lost) < 3 or not all_sent):
            lost.append(datagram)
            return ()
        return (datagram,)

    network = Network(client, server, fate)
    client.start()
    server.start()
    network.settle()
    assert speaker.established and not hearer.established
    for _number in range(data):
        assert not hearer.feed(speaker.seal(b"too early"))
    assert hearer.stats()["early"] == data
    all_sent = True
    network.finish()
    network.exchange()
    assert len(lost) >= 3
    assert speaker.stats()["retransmitted_flights"] >= 1 and speaker.stats()["handshakes"] >= 1


@pytest.mark.parametrize(("mode", "cipher"), [SHAPES[1], SHAPES[4]])
def test_data_overtakes_a_flight_of_libssl_that_waits(mode: Mode, cipher: str) -> None:
    """The peer asks for the last flight again; before it leaves, data and the goodbye are sealed: a datagram each."""
    client, server = ends(mode, cipher, retransmit=RETRANSMIT)
    speaker_is_client = mode is Mode.RESUME
    speaker, hearer = (client, server) if speaker_is_client else (server, client)

    def lose(from_client: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
        return () if from_client is speaker_is_client and speaker.established else (datagram,)

    network = Network(client, server, lose)
    client.start()
    server.start()
    network.settle()
    assert speaker.established and not hearer.established
    asked = 0
    while asked < 6:  # each is answered by two datagrams, and the queue holds 16
        time.sleep((hearer.timeout() or 0.0) / 2)
        hearer.expired()
        again = list(hearer.outgoing())
        asked += bool(again)
        for datagram in again:
            assert speaker.open(datagram) == []
        sealed = speaker.seal(b"d" * 300)
        assert [record[0] for record in records(sealed)] == [23] and len(sealed) > 300
    reply = speaker.reply()
    assert [record[0] for record in records(reply)][-2:] == [20, 22] and len(reply) <= 1200
    goodbye = speaker.close()
    assert hearer.feed(reply) and hearer.open(sealed) == [b"d" * 300]
    with pytest.raises(DtlsEnded):
        hearer.open(goodbye)


def test_the_last_flight_again_and_again_is_answered_a_few_times() -> None:
    """Anybody can send the peer's old Finished again: that must not make us talk for ever."""
    finished: list[bytes] = []

    def keep(from_client: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
        if from_client:
            finished[:] = [datagram]
        return (datagram,)

    client, server = ends(Mode.PSK, PSK_SUITES[0])
    Network(client, server, keep).shake()
    answers = 0
    for _time in range(50):
        server.open(finished[0])
        answers += bool(server.reply())
    assert answers == 5  # the first may be new, for all that the window knows
    assert server.reply() == b""


def test_the_side_that_did_not_speak_last_says_nothing() -> None:
    flight: list[bytes] = []

    def keep(from_client: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
        if not from_client:
            flight[:] = [datagram]
        return (datagram,)

    client, server = ends(Mode.PSK, PSK_SUITES[0])
    Network(client, server, keep).shake()
    assert client.open(flight[0]) == [] and client.reply() == b""
    assert client.stats()["handshakes"] == 1 and client.stats()["unauthenticated"] == 1


# --- refusals ---


def shake_until_error(client: Dtls, server: Dtls, fate: Fate = untouched) -> DtlsError:
    with pytest.raises(DtlsError) as caught:
        Network(client, server, fate).shake()
    return caught.value


def test_another_key() -> None:
    """The server cannot read the client's Finished: it says nothing, and the client gives up."""
    client = Dtls(settings(Mode.PSK, PSK_SUITES[0], retransmit=RETRANSMIT))
    server = Dtls(settings(Mode.PSK, PSK_SUITES[0], server=True, secret=b"another"))
    error = shake_until_error(client, server)
    assert isinstance(error, DtlsTimedOut) and str(error) == "handshake: no answer"


def test_another_master_secret() -> None:
    client = Dtls(settings(Mode.RESUME, "AES128-GCM-SHA256", retransmit=RETRANSMIT))
    server = Dtls(settings(Mode.RESUME, "AES128-GCM-SHA256", server=True, secret=b"x" * 48))
    assert isinstance(shake_until_error(client, server), DtlsTimedOut)


def test_another_session_id() -> None:
    other = DtlsSettings(Mode.RESUME, MASTER, ("AES128-GCM-SHA256",), b"other")
    error = shake_until_error(Dtls(other), Dtls(settings(Mode.RESUME, "AES128-GCM-SHA256", server=True)))
    assert isinstance(error, DtlsNotResumed)


def test_a_server_that_wants_a_full_handshake() -> None:
    """It has the session's suite, and a key of its own: nobody who knows our secret."""
    client = Dtls(settings(Mode.RESUME, "PSK-CHACHA20-POLY1305"))
    error = shake_until_error(client, Dtls(settings(Mode.PSK, "PSK-CHACHA20-POLY1305", server=True)))
    assert isinstance(error, DtlsNotResumed)
    assert str(error) == "dtls-not-resumed: handshake: the peer does not resume the session"


def test_no_common_suite() -> None:
    client, server = Dtls(settings(Mode.PSK, PSK_SUITES[0])), Dtls(settings(Mode.PSK, PSK_SUITES[1], server=True))
    error = shake_until_error(client, server)
    assert str(error) == "handshake: no shared cipher"
    with pytest.raises(DtlsError, match="the peer sent alert 40, handshake failure"):
        for datagram in server.outgoing():
            client.feed(datagram)
    with pytest.raises(DtlsError):
        client.start()


def test_the_server_never_answers() -> None:
    client, _server = ends(Mode.PSK, PSK_SUITES[0], retransmit=RETRANSMIT)
    error = shake_until_error(client, _server, lambda *_what: ())
    assert isinstance(error, DtlsTimedOut)
    assert client.stats()["retransmitted_flights"] > 10


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"ciphers": ()}, "dtls ciphers: want at least one"),
        ({"ciphers": ("PSK-AES128-GCM-SHA256", "nonsense")}, "dtls: unknown cipher type"),
        ({"ciphers": ("nonsense",)}, "dtls: no cipher match"),
        ({"ciphers": ("ALL",)}, "dtls: unknown cipher type"),
        ({"secret": b""}, "dtls secret: want 1..256 bytes"),
        ({"secret": bytes(257)}, "dtls secret: want 1..256 bytes"),
        ({"mode": Mode.RESUME, "secret": bytes(32)}, "dtls master secret: want 48 bytes"),
        ({"mode": Mode.RESUME, "secret": MASTER, "ciphers": PSK_SUITES[:2]}, "dtls ciphers: want one to resume"),
        ({"mode": Mode.RESUME, "secret": MASTER, "session_id": b""}, "dtls session id: want at least 1 byte to resume"),
        ({"session_id": bytes(33)}, "dtls session id: want at most 32 bytes"),
        ({"identity": "x" * 128}, "dtls identity: want at most 127 bytes"),
        ({"mtu": 255}, "dtls mtu: want 256..16384 bytes"),
        ({"retransmit": 0.0}, "dtls retransmission: want 1..60000 ms"),
        ({"retransmit": 0.5, "retransmit_most": 0.4}, "dtls retransmission: want 1..60000 ms"),
        ({"version": Version.CISCO}, "dtls version: 0.9 is for clients that resume"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, object], text: str) -> None:
    good: dict[str, object] = {"mode": Mode.PSK, "secret": PSK, "ciphers": PSK_SUITES, "session_id": SESSION_ID}
    with pytest.raises(DtlsError) as caught:
        Dtls(DtlsSettings(**(good | wrong)))  # type: ignore[arg-type]
    assert str(caught.value) == text


def test_secrets_are_not_shown() -> None:
    shown = repr(settings(Mode.PSK, PSK_SUITES[0], secret=b"confidential"))
    assert "confidential" not in shown and "secret" not in shown


def test_data_before_the_handshake() -> None:
    client, _server = ends(Mode.PSK, PSK_SUITES[0])
    with pytest.raises(DtlsEnded, match="not there yet"):
        client.seal(b"x")
    with pytest.raises(DtlsEnded, match="not there yet"):
        client.open(b"x")
    assert client.close() == b"" and client.reply() == b""


def test_a_handshake_that_is_over_takes_no_more() -> None:
    client, _server = established(Mode.PSK, PSK_SUITES[0])
    for call in (client.start, client.expired, lambda: client.feed(b"x")):
        with pytest.raises(DtlsError, match="the handshake is over"):
            call()
