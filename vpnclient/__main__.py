"""`python -m vpnclient` is the same as `vpnclient`."""

from __future__ import annotations

from vpnclient.cli.main import run

if __name__ == "__main__":
    run()
