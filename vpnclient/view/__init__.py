"""What a person or a script sees of a session: listeners of vpnclient.events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol

from vpnclient.events import Event


class View(Protocol):
    """A listener with an end."""

    def __call__(self, event: Event) -> None:
        """Show an event.  Never raises because the reader went away."""

    def undisturbed(self) -> AbstractContextManager[None]:
        """While this lasts the view leaves the terminal alone: somebody is typing."""

    def show_statistics(self) -> None:
        """The next Statistics event was asked for: show it even where they are not shown otherwise."""

    def close(self) -> None:
        """Leave the terminal in order."""


class Views:
    """Several views as one."""

    def __init__(self, *views: View) -> None:
        self._views = views

    def __call__(self, event: Event) -> None:
        for view in self._views:
            view(event)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        with ExitStack() as stack:
            for view in self._views:
                stack.enter_context(view.undisturbed())
            yield

    def show_statistics(self) -> None:
        for view in self._views:
            view.show_statistics()

    def close(self) -> None:
        for view in self._views:
            view.close()
