"""Finding protocols: built in, from other packages, and broken ones."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from protocols import registry
from protocols.errors import BrokenPlugin, UnknownProtocol
from protocols.registry import GROUP, available, load

ROOT = Path(__file__).parents[2]


class Lantern:
    name = "lantern"
    title = "Lantern"
    authenticate = connect = ticket_from_cookie = None


class Half:
    name = "half"


class Explosive:
    def __init__(self) -> None:
        raise RuntimeError("boom")


def point(name: str, what: str, module: str = __name__) -> EntryPoint:
    return EntryPoint(name, f"{module}:{what}", GROUP)


def test_what_is_built_in() -> None:
    assert set(registry.BUILT_IN) <= set(available())


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_every_built_in_protocol_calls_itself_as_it_is_called(name: str) -> None:
    assert load(name).name == name


def test_a_source_tree_needs_no_installation() -> None:
    assert load("anyconnect", found=[]).title


def test_a_protocol_of_another_package() -> None:
    found = [point("lantern", "Lantern")]
    assert available(found) == tuple(sorted([*registry.BUILT_IN, "lantern"]))
    assert load("lantern", found).title == "Lantern"


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    assert "lantern" in available([point("lantern", "X", "no_such_module")])


def test_our_own_entry_point_is_no_clash() -> None:
    assert load("anyconnect", [EntryPoint("anyconnect", registry.BUILT_IN["anyconnect"], GROUP)])


def test_a_clash_names_the_packages() -> None:
    found = [point("lantern", "Lantern"), point("lantern", "Half", "other_package")]
    with pytest.raises(BrokenPlugin, match="other_package"):
        load("lantern", found)


def test_a_built_in_name_cannot_be_taken_over() -> None:
    found = [point("anyconnect", "Lantern", "other_package")]
    assert load("anyconnect", found).title == load("anyconnect", []).title
    with pytest.raises(BrokenPlugin, match="'anyconnect' is offered by vpnclient and other_package: remove one"):
        available(found)
    with pytest.raises(BrokenPlugin, match="other_package"):
        load("lantren", found)


@pytest.mark.parametrize(
    ("what", "module", "text"),
    [
        ("Lantern", "no_such_module", "no_such_module.*ModuleNotFoundError"),
        ("Missing", __name__, "cannot be loaded: AttributeError"),
        ("Explosive", __name__, "RuntimeError: boom"),
        ("Half", __name__, "is no protocol: it has no title, authenticate"),
    ],
)
def test_a_broken_package_is_named(what: str, module: str, text: str) -> None:
    with pytest.raises(BrokenPlugin, match=text) as caught:
        load("lantern", [point("lantern", what, module)])
    assert module in str(caught.value)


def test_an_unknown_protocol_names_the_known_ones() -> None:
    with pytest.raises(UnknownProtocol, match="no protocol 'lantren'; there are: anyconnect"):
        load("lantren", [])


def test_the_registry_costs_no_xml_and_no_engine() -> None:
    code = "import sys; from protocols import registry; registry.load('anyconnect'); " \
           "print(any(m.startswith(('lxml', 'cffi', 'h11')) for m in sys.modules))"  # fmt: skip
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# --- framings ----------------------------------------------------------------------------------------------------

LAMP = SimpleNamespace(name="lamp", decoder=None, encoder=None, max_payload=1)


def test_framings_of_other_packages() -> None:
    found = [EntryPoint("lamp", f"{__name__}:LAMP", registry.FRAMINGS)]
    assert registry.framings(found) == ("lamp",)
    assert registry.load_framing("lamp", found).name == "lamp"
    with pytest.raises(BrokenPlugin, match="no framing 'lump'; packages brought: lamp"):
        registry.load_framing("lump", found)
    with pytest.raises(BrokenPlugin, match="no framing 'lump'; packages brought: none"):
        registry.load_framing("lump", [])


def test_a_framing_without_its_parts_is_named() -> None:
    found = [EntryPoint("half", f"{__name__}:Half", registry.FRAMINGS)]
    with pytest.raises(BrokenPlugin, match="is no framing: it has no decoder, encoder, max_payload"):
        registry.load_framing("half", found)
