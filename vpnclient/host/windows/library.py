"""A DLL of Windows whose functions are looked up when they are called: not every Windows, and not Wine, has all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vpnclient.errors import HostError

if TYPE_CHECKING:
    from cffi import FFI


class FunctionMissing(HostError):
    """This Windows lacks a function that is needed."""

    code = "windows-function-missing"

    def __init__(self, text: str) -> None:
        super().__init__(text, hint="Windows 10 or a newer one is needed; Wine lacks some of its functions")


class Library:
    """name: of a DLL.  declarations: for cffi.  Raises FunctionMissing if it cannot be loaded."""

    def __init__(self, name: str, declarations: str) -> None:
        from cffi import FFI

        self.name, self.ffi = name, FFI()
        self.ffi.cdef(declarations)
        try:
            self._library = self.ffi.dlopen(name)
        except OSError as exc:
            raise FunctionMissing(f"this Windows has no {name}: {exc}") from exc

    def call(self, function: str, *arguments: object) -> int:
        """Raises FunctionMissing."""
        return int(self._find(function)(*arguments))

    def call_pointer(self, function: str, *arguments: object) -> FFI.CData:
        """The same for a function that returns a pointer.  Raises FunctionMissing."""
        return self._find(function)(*arguments)

    def last_error(self) -> int:
        """Of this thread's last call."""
        code: int = self.ffi.getwinerror()[0]
        return code

    def require(self, *functions: str) -> None:
        """Raises FunctionMissing: names all that are not there."""
        missing = [function for function in functions if not hasattr(self._library, function)]
        if missing:
            raise FunctionMissing(f"this Windows has no {', '.join(missing)} in {self.name}")

    def _find(self, function: str) -> FFI.CData:
        self.require(function)
        return getattr(self._library, function)
