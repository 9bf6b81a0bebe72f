"""What is said to a host checker, and what it may answer (section 3.1)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import SignInOptions
from protocols.errors import SignInFailed
from protocols.nc import hostcheck
from protocols.nc.hostcheck import MAX_IGNORED, MAX_INTERVAL, Answer, HostChecker, read_answer
from tests.protocols.refusals import refused
from transports.companion import CompanionFailed


class FakeProgram:
    """Says its lines; out of lines it is silent until its patience is over."""

    def __init__(self, *lines: str) -> None:
        self.lines, self.sent = list(lines), [b""][:0]
        self.discarded = 0
        self.stopped = False

    async def send(self, data: bytes) -> None:
        if self.stopped:
            raise CompanionFailed("program has ended")
        self.sent.append(data)

    async def line(self, timeout: float) -> str:
        await asyncio.sleep(0)
        if not self.lines:
            raise CompanionFailed("program did not answer")
        return self.lines.pop(0)

    def discard(self) -> None:
        self.discarded += 1

    def stop(self) -> None:
        self.stopped = True


def read(*lines: str) -> Answer:
    return asyncio.run(read_answer(FakeProgram(*lines).line, 1.0))


@pytest.mark.parametrize(
    "lines, interval",
    [
        (["200", "3", "new", ""], 0),  # the public emulator sends no more
        (["200", "3", "new", "", ""], 0),
        (["200", "3", "new", "60", ""], 60),
        (["200", "3", "new", "0", "0", ""], 0),  # Q22
        (["200", "", "new", "999999999", *["x"] * MAX_IGNORED, ""], MAX_INTERVAL),
    ],
)
def test_answers(lines: list[str], interval: int) -> None:
    answer = read(*lines)
    assert (answer.state.reveal(), answer.interval) == ("new", interval)


@pytest.mark.parametrize(
    "lines, text",
    [
        (["500", "3", "new", ""], "said '500', want '200'"),
        (["x" * 500], "said 'x{80}', want"),
        (["200", "3", "", ""], "no usable cookie"),
        (["200", "3", "a;b", ""], "no usable cookie"),
        (["200", "3", "a b", ""], "no usable cookie"),
        (["200", "3", "x" * 5000, ""], "no usable cookie"),
        (["200", "3", "new", "soon", ""], "an interval of 'soon'"),
        (["200", "3", "new", "-5", ""], "an interval of '-5'"),
        (["200", "3", "new", "60", *["x"] * (MAX_IGNORED + 1), ""], f"more than {MAX_IGNORED} lines"),
    ],
)
def test_bad_answers(lines: list[str], text: str) -> None:
    with refused(SignInFailed, match=f"nc-host-checker-failed: .*{text}"):
        read(*lines)


def test_a_program_that_stops_talking() -> None:
    with refused(SignInFailed, match="nc-host-checker-failed: program did not answer"):
        asyncio.run(HostChecker(FakeProgram("200", "3"), "vpn.test").check("old", ""))


def test_without_a_sign_in_cookie_the_word_is_null() -> None:
    program = FakeProgram("200", "3", "new", "")
    assert asyncio.run(HostChecker(program, "vpn.test").check("old", "")) == "new"
    assert program.sent == [b"start\nIC=vpn.test\nCookie=old\nDSSIGNIN=null\n"]


def after_sign_in(program: FakeProgram, wish: float, told: int) -> None:
    """Until the program was told so many things, and a moment more."""

    async def go() -> None:
        checker = HostChecker(program, "vpn.test", wish)  # type: ignore[arg-type]
        await checker.check("old", "x")
        checker.keep_going()
        async with asyncio.timeout(60):
            while len(program.sent) < told:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        checker.stop()
        await asyncio.sleep(0)

    asyncio.run(go())


def test_the_cookie_is_told_once_there_is_a_session() -> None:  # Q23
    program = FakeProgram("200", "3", "new", "")
    after_sign_in(program, 0, 2)
    assert program.sent[1:] == [b"setcookie\nCookie=new\n"] and program.stopped


def test_the_cookie_is_told_at_each_interval_and_taken_when_it_changes() -> None:
    program = FakeProgram("200", "3", "new", "60", "", "200", "3", "newer", "", "500")
    after_sign_in(program, 0.01, 5)  # the user's own interval wins
    assert program.sent[1:3] == [b"setcookie\nCookie=new\n", b"setcookie\nCookie=newer\n"]
    assert len(program.sent) > 4 and set(program.sent[3:]) == {b"setcookie\nCookie=newer\n"}
    assert program.discarded == len(program.sent) - 1


def test_a_checker_that_dies_later_does_not_take_us_along() -> None:
    program = FakeProgram("200", "3", "new", "")

    async def go() -> None:
        checker = HostChecker(program, "vpn.test")
        await checker.check("old", "x")
        program.stopped = True
        checker.keep_going()
        assert checker._task is not None
        await asyncio.wait({checker._task}, timeout=60)
        assert checker._task.done() and checker._task.exception() is None
        checker.stop()

    asyncio.run(go())


def test_the_program_s_arguments_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[list[str], dict[str, str], str]] = []

    def start(argv: list[str], environment: dict[str, str], *, user: str) -> FakeProgram:
        seen.append((argv, environment, user))
        return FakeProgram()

    monkeypatch.setattr(hostcheck.Companion, "start", start)
    options = SignInOptions("https://vpn.test/", csd_wrapper="/bin/w", csd_user="ann", local_hostname="me")
    hostcheck.start(options, "vpn.test", "pin-sha256:AAAA")
    environment = {"TNCC_SHA256": "AAAA", "TNCC_HOSTNAME": "me", "TNCC_INTERVAL": "0"}
    assert seen == [(["/bin/w", "vpn.test"], environment, "ann")]
    hostcheck.start(SignInOptions("https://vpn.test/", csd_wrapper="/bin/w", csd_interval=5), "vpn.test", "")
    assert "TNCC_INTERVAL" not in seen[1][1]


@given(st.lists(st.text(max_size=8) | st.sampled_from(["200", "", "60", "new"]), max_size=20))
def test_any_lines_are_an_answer_or_a_failure(lines: list[str]) -> None:
    try:
        assert read(*lines).state
    except (SignInFailed, CompanionFailed):
        return
