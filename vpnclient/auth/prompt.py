"""People, and scripts in their place, who answer a gateway's questions (cli-parity 4.1 to 4.3).

Questions, banners and errors go to standard error; answers come from standard input, a line each.

    TerminalUser   a person at a terminal: hidden answers without echo, wrong answers asked again
    ScriptedUser   nobody: stored answers, then lines of standard input if --passwd-on-stdin opened it, then
                   InputRequired

Reads happen in a thread that cancelling wakes, so that Ctrl-C works at every question and the echo comes back.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, TextIO, TypeVar

from protocols.base import Choice, Field, Form
from protocols.errors import InputRequired, SignInCancelled, UnknownGroup
from vpnclient.auth.answers import Answers, pick
from vpnclient.auth.lines import Lines, SecretSourceFailed, Woken
from vpnclient.settings import plain

if TYPE_CHECKING:
    from transports.errors import NotTrusted

T = TypeVar("T")

MAX_WRONG = 10  # unusable answers to one question, then we stop asking


class _FormUser(ABC):
    """The form algorithm, for whoever answers `_ask`."""

    def __init__(self, answers: Answers, lines: Lines, err: TextIO, *, quiet: bool = False) -> None:
        self._answers, self._lines, self._err, self._quiet = answers, lines, err, quiet
        self._groups: dict[str, str] = {}  # group field -> chosen value

    async def fill(self, form: Form) -> dict[str, str]:
        with self._undisturbed():
            self._show(form)
            plan = self._answers.plan(form)
            answers = dict(plan.answers)
            for field in form.fields:
                if field.name in answers or (field.kind == "hidden" and field.name not in plan.shown):
                    continue
                if field.is_group:
                    answers[field.name] = await self._group(form, field)
                elif field.kind == "select":
                    answers[field.name] = await self._select(field)
                else:
                    answers[field.name] = await self._text(field)
            return answers

    async def choose_group(self, form: Form, group: Field) -> str:
        with self._undisturbed():
            self._show(form)
            return await self._group(form, group)

    def say(self, text: str) -> None:
        if not self._quiet:
            self._line(text)

    # --- for a subclass ---

    @abstractmethod
    async def _ask(self, prompt: str, *, hidden: bool) -> str:
        """The answer to one question."""

    def _undisturbed(self) -> AbstractContextManager[None]:
        """While this lasts nothing else writes to the terminal."""
        return nullcontext()

    @abstractmethod
    def _cannot_choose(self, wanted: str, field: Field, found: list[Choice]) -> None:
        """An answer to a drop-down fits none of the choices, or several.  Returns to ask again, or raises."""

    # --- fields ---

    async def _text(self, field: Field) -> str:
        hidden = field.kind == "password"
        preset = f" [{field.value}]" if field.value and not hidden else ""
        label = (field.label or field.name).rstrip().removesuffix(":")
        answer = await self._ask(f"{label}{preset}: ", hidden=hidden)
        return answer or ("" if hidden else field.value)

    async def _select(self, field: Field) -> str:
        if len(field.choices) == 1:
            return field.choices[0].value
        if not field.choices:
            return field.value
        labels = "|".join(choice.label for choice in field.choices)
        label = (field.label or field.name).rstrip().removesuffix(":")
        for _attempt in range(MAX_WRONG):
            wanted = await self._ask(f"{label} [{labels}]: ", hidden=False)
            if not wanted and any(choice.value == field.value for choice in field.choices):
                return field.value
            found = pick(field.choices, wanted) if wanted else []
            if len(found) == 1:
                return found[0].value
            self._cannot_choose(wanted, field, found)
        raise SignInCancelled(f"no usable answer to {label!r} in {MAX_WRONG} attempts")

    async def _group(self, form: Form, group: Field) -> str:
        """--authgroup, else a form entry, else the question; once chosen it stays."""
        values = {choice.value for choice in group.choices}
        if self._groups.get(group.name) in values:
            return self._groups[group.name]
        wanted = self._answers.authgroup or self._answers.entry(form.form_id, group.name)
        chosen = None
        if wanted:
            found = pick(group.choices, wanted)
            if len(found) == 1:
                chosen = found[0].value
            else:
                self._cannot_choose(wanted, group, found)
        self._groups[group.name] = chosen if chosen is not None else await self._select(group)
        return self._groups[group.name]

    # --- showing ---

    def _show(self, form: Form) -> None:
        for text in (form.banner,) if not self._quiet else ():
            self._line(text)
        if form.error:
            self._line(form.error)
        for text in (form.message,) if not self._quiet else ():
            self._line(text)

    def _line(self, text: str) -> None:
        if text:
            self._write(text.rstrip("\n") + "\n")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # standard error is closed: nobody is reading
            self._err.write(plain(text))
            self._err.flush()


class ScriptedUser(_FormUser):
    """Nobody to ask.  more_lines: further lines of standard input answer further questions."""

    def __init__(
        self, answers: Answers, lines: Lines, err: TextIO, *, more_lines: bool = False, quiet: bool = False
    ) -> None:
        super().__init__(answers, lines, err, quiet=quiet)
        self._more_lines = more_lines

    async def _ask(self, prompt: str, *, hidden: bool) -> str:
        line = await _in_thread(self._lines.next) if self._more_lines else None
        self._write(f"{prompt}***\n")
        if line is None:
            raise InputRequired(f"input required: {prompt.rstrip().removesuffix(':')}")
        self._answers.asked()
        return line

    def _cannot_choose(self, wanted: str, field: Field, found: list[Choice]) -> None:
        raise UnknownGroup(wanted, tuple(choice.label for choice in found or field.choices))

    async def judge(self, error: NotTrusted) -> bool:
        """Nobody can judge: the certificate is refused, with what to write to accept it."""
        self._line(_trust_hint(error))
        return False

    def ask_passphrase(self, form_id: str, prompt: str) -> str | None:
        return self._answers.passphrase(form_id)


class TerminalUser(_FormUser):
    """A person at a terminal.  undisturbed: suspends a status line while a question is open."""

    def __init__(
        self,
        answers: Answers,
        lines: Lines,
        err: TextIO,
        *,
        quiet: bool = False,
        undisturbed: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        super().__init__(answers, lines, err, quiet=quiet)
        self._around = undisturbed

    def _undisturbed(self) -> AbstractContextManager[None]:
        return self._around()

    async def _ask(self, prompt: str, *, hidden: bool) -> str:
        line = await _in_thread(lambda wake: self._read(prompt, wake, hidden=hidden))
        return self._given(line)

    def _read(self, prompt: str, wake: int | None, *, hidden: bool) -> str | None:
        with _no_echo(self._lines.terminal) if hidden else nullcontext():
            self._write(prompt)
            try:
                return self._lines.next(wake)
            except Woken:  # Ctrl-C: what is said next begins a line of its own
                if not hidden:
                    self._write("\n")
                raise
            finally:
                if hidden:
                    self._write("\n")

    def _given(self, line: str | None) -> str:
        if line is None:
            self._write("\n")
            raise SignInCancelled("cancelled: end of input at a question")
        self._answers.asked()
        return line

    def _cannot_choose(self, wanted: str, field: Field, found: list[Choice]) -> None:
        labels = ", ".join(choice.label for choice in found or field.choices)
        self._line(f"{wanted!r} is ambiguous: {labels}" if found else f"no {wanted!r}; there are: {labels}")

    async def judge(self, error: NotTrusted) -> bool:
        """Exactly `yes` accepts, for this run; `no` refuses; anything else shows the certificate."""
        if error.pinned:
            return False
        with self._undisturbed():
            self._line(_trust_hint(error))
            for _attempt in range(MAX_WRONG):
                answer = await self._ask(
                    "Enter 'yes' to accept it for this run, 'no' to stop, anything else to see it: ", hidden=False
                )
                if answer in ("yes", "no"):
                    return answer == "yes"
                self._line(error.certificate.text)
        return False

    def ask_passphrase(self, form_id: str, prompt: str) -> str | None:
        """A local secret; blocks.  None: the user gave up."""
        stored = self._answers.passphrase(form_id)
        if stored is not None:
            return stored
        with self._undisturbed():
            return self._read(prompt.rstrip().removesuffix(":") + ": ", None, hidden=True) or None


def _trust_hint(error: NotTrusted) -> str:
    certificate = error.certificate
    return (
        f"The certificate of {error.host} is not trusted: {error.reason}.\n"
        f"  subject: {certificate.subject}\n"
        f"  issuer:  {certificate.issuer}\n"
        f"  valid:   {certificate.not_before} to {certificate.not_after}\n"
        "If this is the key your administrator names, trust it from now on with\n"
        f"    --servercert {certificate.pin}"
    )


@contextmanager
def _no_echo(terminal: int | None) -> Iterator[None]:
    """Typed characters stay invisible."""
    if terminal is None:
        yield
        return
    import termios

    before = termios.tcgetattr(terminal)
    after = termios.tcgetattr(terminal)
    after[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSADRAIN, after)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


async def _in_thread(read: Callable[[int], T]) -> T:
    """A blocking read, in a thread.  Cancelled: the thread is woken and has ended before this returns."""
    woken, waker = os.pipe()
    work = asyncio.ensure_future(asyncio.to_thread(read, woken))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        os.write(waker, b"x")
        with suppress(Woken, SecretSourceFailed):
            await work
        raise
    finally:
        os.close(woken)
        os.close(waker)
