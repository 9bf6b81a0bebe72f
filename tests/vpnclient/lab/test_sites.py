"""Lab gateways of other packages, and what happens when one is broken."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from ipaddress import IPv4Network

import pytest

from protocols.errors import BrokenPlugin
from vpnclient.lab import sites
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import OpenTunnel, Page, Request
from vpnclient.lab.store import Store

STORE = Store(IPv4Network("10.0.0.0/24"), None, life=0, token=lambda: "t")


class Lamp:
    name = "lamp"

    def __init__(self, *parts: object) -> None:
        self.parts = parts

    def respond(self, request: Request, now: float) -> Page | OpenTunnel:
        return Page(404, "Not Found")


class Dark(Lamp):
    def __init__(self, *parts: object) -> None:
        raise RuntimeError("no oil")


class Nothing:
    def __init__(self, *parts: object) -> None:
        pass


def found(what: str) -> list[EntryPoint]:
    return [EntryPoint("lamp", f"{__name__}:{what}", sites.GROUP)]


def test_a_site_of_another_package() -> None:
    assert sites.available(found("Lamp")) == ("lamp",)
    site = sites.load("lamp", found("Lamp"))(LabSettings(), STORE, lambda: "t")
    assert site.name == "lamp"


@pytest.mark.parametrize(
    ("what", "text"),
    [("Missing", "AttributeError"), ("Dark", "RuntimeError: no oil"), ("Nothing", "it has no name, respond")],
)
def test_a_broken_one_is_named(what: str, text: str) -> None:
    with pytest.raises(BrokenPlugin, match=f"lab gateway 'lamp' of package.*{text}"):
        sites.load("lamp", found(what))(LabSettings(), STORE, lambda: "t")


def test_one_that_nobody_brought() -> None:
    with pytest.raises(BrokenPlugin, match="no lab gateway 'lump'; packages brought: lamp"):
        sites.load("lump", found("Lamp"))
