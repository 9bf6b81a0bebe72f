"""`vpnclient restore`: clean up after a client that died."""

from __future__ import annotations

import typer

from vpnclient.errors import Exit

app = typer.Typer()


@app.command(epilog="It also happens of itself at the next connect.\n\nExample: sudo vpnclient restore")
def restore() -> None:
    """Undo what a client that died left behind: routes, addresses and DNS.  Running clients are left alone."""
    from vpnclient.host.restore import Outcome, restore_all

    reports = restore_all()
    if not reports:
        print("nothing to restore")
    for report in reports:
        owner = f" by process {report.pid}" if report.outcome is Outcome.IN_USE and report.pid else ""
        print(f"{report.profile}: {report.outcome}{owner}")
        for text in report.undone:
            print(f"  undone: {text}")
        for text in report.warnings:
            print(f"  warning: {text}")
    if any(report.outcome in (Outcome.INCOMPLETE, Outcome.DAMAGED) for report in reports):
        raise typer.Exit(int(Exit.HOST))
