"""`vpnclient version`: what this is and what is built in."""

from __future__ import annotations

import platform

import typer

from vpnclient import __version__

app = typer.Typer()


def show() -> None:
    """Never fails: somebody who reports a broken installation needs it too."""
    print(f"vpnclient {__version__} (Python {platform.python_version()}, {platform.system()} {platform.machine()})")
    print(f"engine: {_engine()}")
    print(f"protocols: {_protocols()}")


def _engine() -> str:
    try:
        from transports.engine import ffi, lib

        about = ffi.new("struct ve_abi *")
        lib.ve_abi(about)
        return f"version {about.abi}, {ffi.string(about.openssl).decode()}"
    except Exception as exc:
        return f"not usable: {exc}"


def _protocols() -> str:
    try:
        from protocols import registry

        return ", ".join(registry.available())
    except Exception as exc:
        return f"not usable: {exc}"


@app.command()
def version() -> None:
    """Show the version and what is built in."""
    show()
