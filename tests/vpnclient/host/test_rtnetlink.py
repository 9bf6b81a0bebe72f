"""The part of pyroute2 is loaded without the rest, and stands in nobody's way.  Each case is a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def run(code: str, path: Path = ROOT) -> str:
    """What the code prints; modules are looked for in `path` first."""
    code = f"import sys; sys.path[:0] = [{str(path)!r}, {str(ROOT)!r}]\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def fake(path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (path / "pyroute2" / name).parent.mkdir(parents=True, exist_ok=True)
        (path / "pyroute2" / name).write_text(text)
    return path


def test_the_rest_of_the_library_is_not_loaded() -> None:
    found = run("""
from vpnclient.host.netlink import Netlink
with Netlink() as netlink:
    assert any(link.loopback for link in netlink.links().values())
    netlink.routes()
print([name for name in ("pyroute2.ndb", "pyroute2.ipdb", "pyroute2.plan9") if name in sys.modules])
""")
    assert found == "[]"


@pytest.mark.parametrize(
    "use",
    [
        "import pyroute2; pyroute2.NDB",
        "from pyroute2 import NDB",
        "import pyroute2.ndb.main; pyroute2.ndb.main.NDB; pyroute2.NDB",
        "import pyroute2; pyroute2.ndb; pyroute2.NDB",
    ],
)
def test_all_of_it_can_be_had_afterwards(use: str) -> None:
    found = run(f"""
from vpnclient.host import rtnetlink
part = rtnetlink.load()
{use}
import pyroute2.netlink.exceptions
assert part is rtnetlink.load()
assert not hasattr(pyroute2, "no_such_name") and pyroute2.__version__
print(part.connection is pyroute2.IPRoute, part.error is pyroute2.netlink.exceptions.NetlinkError)
""")
    assert found == "True True"


def test_what_it_has_not_is_missed() -> None:
    found = run("""
from vpnclient.host import rtnetlink
rtnetlink.load()
import pyroute2
print(hasattr(pyroute2, "__wrapped__"), "pyroute2.ndb" in sys.modules)
print(hasattr(pyroute2, "no_such_name"), "pyroute2.ndb" in sys.modules)
""")
    assert found.split() == ["False", "False", "False", "True"]


def test_what_is_loaded_already_is_used() -> None:
    found = run("""
import pyroute2
from vpnclient.host import rtnetlink
print(rtnetlink.load().connection is pyroute2.IPRoute, sys.modules["pyroute2"] is pyroute2)
""")
    assert found == "True True"


def test_a_library_of_another_layout_is_loaded_as_a_whole(tmp_path: Path) -> None:
    path = fake(tmp_path, {"__init__.py": "class IPRoute: ...\nclass NetlinkError(Exception): ..."})
    found = run("from vpnclient.host import rtnetlink; print(rtnetlink.load())", path)
    assert found == "Rtnetlink(connection=<class 'pyroute2.IPRoute'>, error=<class 'pyroute2.NetlinkError'>)"


def test_modules_that_lack_our_names_are_no_part(tmp_path: Path) -> None:
    path = fake(
        tmp_path,
        {
            "__init__.py": "from pyroute2.iproute.linux import Route as IPRoute\nclass NetlinkError(Exception): ...",
            "iproute/__init__.py": "",
            "iproute/linux.py": "class Route: ...",
            "netlink/exceptions.py": "",
        },
    )
    found = run("from vpnclient.host import rtnetlink; print(rtnetlink.load().connection.__name__)", path)
    assert found == "Route"


def test_without_the_library_the_error_names_it(tmp_path: Path) -> None:
    found = run(f"""
sys.path[:] = [entry for entry in sys.path if "site-packages" not in entry] + [{str(tmp_path)!r}]
from vpnclient.host import rtnetlink
try:
    rtnetlink.load()
except ImportError as exc:
    print(exc)
""")
    assert found == "No module named 'pyroute2'"
