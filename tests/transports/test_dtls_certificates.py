"""DTLS with certificates, our client with our server: trust, client certificates, versions, bad networks."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.certificates import Authority, Issued, self_signed
from tests.transports.dtls_certified import associate, echoing
from tests.transports.dtls_doubles import records
from tests.transports.dtls_sockets import Fate, Udp
from tests.transports.test_dtls_peers import program
from tests.transports.tls_doubles import CA, HOST, SERVER, pair, run, trusting
from transports.dtls import Version
from transports.errors import DtlsError, DtlsRefused, DtlsTimedOut, NotTrusted
from transports.pins import Pin, pin_of
from transports.tls import ServerContext, TlsContext, TlsSettings

PAYLOADS = tuple(bytes([size % 251]) * size for size in (1, 2, 15, 16, 17, 576, 1300))
RSA = CA.issue(HOST, key=rsa.generate_private_key(65537, 2048))
BOTH = pytest.mark.parametrize("version", [Version.DTLS12, Version.DTLS10])
OWN = ("GCM", "CHACHA")


async def never(error: NotTrusted) -> bool:
    raise AssertionError(f"a person was asked about {error}")


def refused(folder: Path, server: Issued, host: str = HOST, settings: TlsSettings | None = None) -> NotTrusted:
    """What a client raises; the server learns of it by an alert."""
    raised: list[NotTrusted] = []

    async def main() -> None:
        async with echoing(ServerContext(server.identity)) as echo:
            with pytest.raises(NotTrusted) as caught:
                await associate(TlsContext(settings or trusting(folder), judge=never), echo.port, host=host)
            raised.append(caught.value)
            while not echo.errors:
                await asyncio.sleep(0.01)
            assert "the peer sent alert" in str(echo.errors[0])

    run(main())
    return raised[0]


# --- what is agreed on ---


@BOTH
def test_a_handshake_and_data(tmp_path: Path, version: Version) -> None:
    async def main() -> None:
        async with echoing(version=version) as echo:
            dtls = await associate(TlsContext(trusting(tmp_path)), echo.port, version=version, payloads=PAYLOADS)
            assert dtls.peer_certificate == SERVER.der and dtls.faults == ()
            new = version is Version.DTLS12
            assert dtls.info.version == ("DTLSv1.2" if new else "DTLSv1")
            assert dtls.info.own_records is new and not dtls.info.resumed
            assert "AES128-GCM" in dtls.info.cipher or not new
            assert echo.ends[0].info == dtls.info and echo.ends[0].peer_certificate == b""

    run(main())


@pytest.mark.parametrize(
    ("version", "cipher", "server"),
    [
        (Version.DTLS12, "ECDHE-RSA-AES128-GCM-SHA256", RSA),
        (Version.DTLS12, "ECDHE-ECDSA-AES256-GCM-SHA384", SERVER),
        (Version.DTLS12, "ECDHE-ECDSA-CHACHA20-POLY1305", SERVER),
        (Version.DTLS12, "DHE-RSA-AES128-GCM-SHA256", RSA),
        (Version.DTLS12, "AES256-GCM-SHA384", RSA),
        (Version.DTLS12, "ECDHE-RSA-AES256-SHA384", RSA),
        (Version.DTLS12, "ECDHE-ECDSA-AES128-CCM", SERVER),
        (Version.DTLS12, "AES128-SHA", RSA),
        (Version.DTLS10, "ECDHE-RSA-AES256-SHA", RSA),
        (Version.DTLS10, "DHE-RSA-AES128-SHA", RSA),
        (Version.DTLS10, "AES128-SHA", RSA),
    ],
)
def test_suites(tmp_path: Path, version: Version, cipher: str, server: Issued) -> None:
    async def main() -> None:
        async with echoing(ServerContext(server.identity), version, (cipher,)) as echo:
            context = TlsContext(trusting(tmp_path))
            dtls = await associate(context, echo.port, version=version, ciphers=(cipher,), payloads=PAYLOADS)
            assert dtls.info.cipher == cipher
            assert dtls.info.own_records is any(name in cipher for name in OWN)
            assert dtls.stats()["records_in"] >= len(PAYLOADS)
            # What a slow machine makes the server send again counts as that where libssl has the records.
            assert dtls.stats()["bad_mac"] == 0 or not dtls.info.own_records

    run(main())


@pytest.mark.parametrize(("ours", "theirs"), [(Version.DTLS10, Version.DTLS12), (Version.DTLS12, Version.DTLS10)])
def test_no_other_version_than_the_one_wanted(tmp_path: Path, ours: Version, theirs: Version) -> None:
    async def main() -> None:
        async with echoing(version=theirs) as echo:
            with pytest.raises(DtlsError, match=r"protocol version|unsupported protocol"):
                await associate(TlsContext(trusting(tmp_path)), echo.port, version=ours)

    run(main())


def test_who_wants_1_3_gets_no_older_dtls(tmp_path: Path) -> None:
    async def main() -> None:
        async with echoing() as echo:
            with pytest.raises(DtlsError, match=r"older than 1\.3, .* \(tls\.minimum\)"):
                await associate(TlsContext(replace(trusting(tmp_path), minimum="1.3")), echo.port)

    run(main())


@pytest.mark.parametrize(("host", "told"), [(HOST, True), ("127.0.0.1", False)])
def test_the_name_is_told_but_no_address(tmp_path: Path, host: str, told: bool) -> None:
    sent: list[bytes] = []

    def fate(ours: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
        if ours:
            sent.append(datagram)
        return (datagram,)

    async def main() -> None:
        async with echoing() as echo:
            await associate(TlsContext(trusting(tmp_path)), echo.port, fate, host=host)
        assert (host.encode() in sent[0]) is (host.encode() in sent[1]) is told

    run(main())


# --- trust ---


def test_another_name(tmp_path: Path) -> None:
    assert refused(tmp_path, SERVER, "other.test").reason == "host name mismatch"


def test_an_unknown_signer(tmp_path: Path) -> None:
    error = refused(tmp_path, Authority("Nobody").issue(HOST))
    assert error.reason == "signer unknown" and not error.pinned


def test_all_that_is_wrong_is_told(tmp_path: Path) -> None:
    error = refused(tmp_path, Authority("Nobody").expired("other.test"))
    assert set(error.reason.split("; ")) == {"signer unknown", "expired", "host name mismatch"}


@pytest.mark.parametrize(("flag", "version"), [("-dtls1_2", Version.DTLS12), ("-dtls1", Version.DTLS10)])
def test_a_weak_key_is_as_weak_for_dtls_1_0(tmp_path: Path, flag: str, version: Version) -> None:
    """Its handshake needs libssl's security level 0: that once held for certificates, too."""
    certificate, key = CA.issue(HOST, key=rsa.generate_private_key(65537, 1024)).write(tmp_path)
    command = ["openssl", "s_server", flag, "-accept", "127.0.0.1:0", "-cipher", "ALL:@SECLEVEL=0"]

    async def main() -> None:
        with program(*command, "-cert", str(certificate), "-key", str(key)) as process:
            assert process.stdout is not None
            while b"ACCEPT" not in (line := process.stdout.readline()):
                assert line, "openssl s_server did not start"
            with pytest.raises(NotTrusted) as caught:
                context = TlsContext(trusting(tmp_path), judge=never)
                await associate(context, int(line.rpartition(b":")[2]), version=version)
            assert caught.value.reason == "weak algorithm"

    run(main())


@pytest.mark.parametrize("with_cafile", [False, True])
def test_pins(tmp_path: Path, with_cafile: bool) -> None:
    """The right pin is enough, but not where a CA file must hold as well."""
    alone = self_signed("elsewhere.test")
    right, wrong = Pin.parse(pin_of(alone.der)), Pin.parse(pin_of(SERVER.der))

    def settings(pin: Pin) -> TlsSettings:
        return trusting(tmp_path, pins=(pin,)) if with_cafile else TlsSettings(pins=(pin,))

    error = refused(tmp_path, alone, settings=settings(wrong))
    assert error.reason == "no pin matches" and error.pinned
    if with_cafile:
        assert refused(tmp_path, alone, settings=settings(right)).pinned
        return

    async def main() -> None:
        async with echoing(ServerContext(alone.identity)) as echo:
            await associate(TlsContext(settings(right), judge=never), echo.port)

    run(main())


def test_what_a_person_accepted_for_tls_will_do(tmp_path: Path) -> None:
    """For the same host alone, and for the same certificate alone."""
    alone, other = self_signed(HOST), self_signed(HOST)
    asked: list[str] = []

    async def judge(error: NotTrusted) -> bool:
        asked.append(error.host)
        return True

    async def main() -> None:
        context = TlsContext(trusting(tmp_path), judge=judge)
        async with echoing(ServerContext(alone.identity)) as echo:
            with pytest.raises(NotTrusted):
                await associate(context, echo.port)
            async with pair(context, ServerContext(alone.identity)):
                pass
            await associate(context, echo.port)
            with pytest.raises(NotTrusted):
                await associate(context, echo.port, host="other.test")
        async with echoing(ServerContext(other.identity)) as echo:
            with pytest.raises(NotTrusted):
                await associate(context, echo.port)
        assert asked == [HOST]

    run(main())


# --- client certificates ---


@BOTH
def test_a_client_certificate_is_shown(tmp_path: Path, version: Version) -> None:
    ours = CA.issue("somebody", client=True)

    async def main() -> None:
        server = ServerContext(SERVER.identity, client_cas=[CA.der], client_required=True)
        async with echoing(server, version) as echo:
            context = TlsContext(trusting(tmp_path, identity=ours.identity))
            await associate(context, echo.port, version=version)
            assert echo.ends[0].peer_certificate == ours.der

    run(main())


@pytest.mark.parametrize(
    ("ours", "alert"), [(None, "alert 40"), (Authority("Nobody").issue("somebody", client=True), "alert 48")]
)
def test_a_client_certificate_is_missing_or_not_good(tmp_path: Path, ours: Issued | None, alert: str) -> None:
    async def main() -> None:
        server = ServerContext(SERVER.identity, client_cas=[CA.der], client_required=True)
        async with echoing(server) as echo:
            context = TlsContext(trusting(tmp_path, identity=ours.identity if ours else None))
            with pytest.raises(DtlsError, match=f"handshake: the peer sent {alert}"):
                await associate(context, echo.port)
            assert len(echo.errors) == 1

    run(main())


def test_any_client_certificate_where_no_authority_is_named(tmp_path: Path) -> None:
    ours = Authority("Nobody").issue("somebody", client=True)

    async def main() -> None:
        async with echoing(ServerContext(SERVER.identity, client_required=True)) as echo:
            await associate(TlsContext(trusting(tmp_path, identity=ours.identity)), echo.port)
            assert echo.ends[0].peer_certificate == ours.der

    run(main())


# --- chains ---


def chain(intermediates: int) -> Issued:
    above = CA
    for number in range(intermediates):
        above = Authority(f"Intermediate {number}", above=above)
    return above.issue(HOST)


def test_a_chain_of_many_datagrams(tmp_path: Path) -> None:
    names = (HOST, *(f"host-{number:04}.{'x' * 40}.test" for number in range(400)))
    assert len(CA.issue(HOST, names=names).der) > 20_000
    seen: list[int] = []

    def fate(ours: bool, _number: int, datagram: bytes) -> Iterable[bytes]:
        seen.append(0 if ours else len(datagram))
        return (datagram,)

    async def main() -> None:
        async with echoing(ServerContext(CA.issue(HOST, names=names).identity)) as echo:
            await associate(TlsContext(trusting(tmp_path)), echo.port, fate)
        assert len([size for size in seen if size > 1000]) > 16 and max(seen) <= 1200

    run(main())


def test_the_longest_chain_and_one_that_is_too_long(tmp_path: Path) -> None:
    async def main() -> None:
        context = TlsContext(trusting(tmp_path))
        async with echoing(ServerContext(chain(9).identity)) as echo:
            await associate(context, echo.port)
        async with echoing(ServerContext(chain(10).identity)) as echo:
            with pytest.raises(DtlsError, match="certificate: a chain of more than 10"):
                await associate(context, echo.port)

    run(main())


# --- the network ---


async def through(folder: Path, version: Version, fates: Iterable[Fate]) -> None:
    """A client for each fate, all at once; a client certificate makes the flights of both sides long."""
    server = ServerContext(chain(4).identity, client_cas=[CA.der], client_required=True)
    ours = CA.issue("somebody", client=True)
    async with echoing(server, version) as echo:
        context = TlsContext(trusting(folder, identity=ours.identity))
        work: list[Coroutine[object, object, object]] = [
            associate(context, echo.port, fate, version=version) for fate in fates
        ]
        await asyncio.gather(*work)


@BOTH
def test_any_one_datagram_is_lost(tmp_path: Path, version: Version) -> None:
    def losing(from_us: bool, which: int) -> Fate:
        return lambda ours, number, datagram: () if (ours, number) == (from_us, which) else (datagram,)

    run(through(tmp_path, version, [losing(ours, number) for ours in (True, False) for number in range(7)]))


@BOTH
def test_everything_comes_twice(tmp_path: Path, version: Version) -> None:
    run(through(tmp_path, version, [lambda _ours, _number, datagram: (datagram, datagram)]))


@BOTH
def test_records_lost_doubled_reordered_and_garbage_between(tmp_path: Path, version: Version) -> None:
    """Forgeries are of the keys' epoch: without keys anybody could end a handshake, as everywhere in DTLS."""

    def bad(seed: int) -> Fate:
        dice = random.Random(seed)

        def forged() -> bytes:
            length = dice.randrange(100)
            header = bytes([dice.choice((20, 21, 22, 23)), *version.to_bytes(2, "big"), 0, 1])
            return header + dice.randrange(1000).to_bytes(6, "big") + length.to_bytes(2, "big") + dice.randbytes(length)

        def fate(_ours: bool, number: int, datagram: bytes) -> Iterable[bytes]:
            arriving = records(datagram) * dice.choice((1, 1, 2))
            dice.shuffle(arriving)
            if number < 12:
                arriving = [one for one in arriving if dice.random() > 0.2]
            for one in arriving:
                yield from (dice.randbytes(dice.randrange(1, 60)), one[: dice.randrange(len(one))], forged(), one)

        return fate

    run(through(tmp_path, version, map(bad, range(6))))


def test_who_has_not_shown_the_cookie_gets_little(tmp_path: Path) -> None:
    """Each hello from an address that may be another's is answered, with less than it cost."""
    sizes: dict[bool, list[int]] = {True: [], False: []}

    def fate(ours: bool, number: int, datagram: bytes) -> Iterable[bytes]:
        sizes[ours].append(len(datagram))
        return (datagram,) if ours or number >= 2 else ()

    async def main() -> None:
        async with echoing() as echo:
            await associate(TlsContext(trusting(tmp_path)), echo.port, fate)
        assert len(set(sizes[True][:3])) == len(set(sizes[False][:3])) == 1
        assert sizes[False][0] < 100 < sizes[True][0]

    run(main())


def test_nobody_answers_and_nobody_listens(tmp_path: Path) -> None:
    async def main() -> None:
        context = TlsContext(trusting(tmp_path))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            port = silent.getsockname()[1]
            udp = Udp.to(port)
            with pytest.raises(DtlsTimedOut, match=r"no handshake within 0\.2 s"):
                await context.datagrams(udp, HOST, limit=0.2)
            udp.close()
        with pytest.raises(DtlsRefused):
            await associate(context, port)

    run(main())
