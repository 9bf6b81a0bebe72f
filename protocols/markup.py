"""Documents of gateways as trees: lenient where they are sloppy, strict where somebody could be hostile.

The parsers recover; there are no DTDs, no entities and no network, and size and depth are capped.  Any input gives a
tree or MalformedAnswer, with the caller's code.  lxml is imported on first use: a client that only opens a tunnel from
a cookie may never need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from protocols.errors import MalformedAnswer
from protocols.text import one_line

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_DEPTH = 64  # elements inside each other
SHOWN = 200  # characters of a parser's complaint


def xml(body: bytes, *, code: str, limit: int) -> _Element:
    """The root of an XML document.  limit: bytes.  Raises MalformedAnswer."""
    from lxml import etree

    if len(body) > limit:
        raise MalformedAnswer(code, f"document of {len(body)} bytes, want at most {limit}")
    parser = etree.XMLParser(
        recover=True,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(body.strip(), parser)
    except (etree.LxmlError, ValueError, LookupError) as exc:
        raise MalformedAnswer(code, f"unparsable XML: {one_line(str(exc))[:SHOWN]}") from exc
    if root is None:
        raise MalformedAnswer(code, "unparsable XML, want a document")
    docinfo = root.getroottree().docinfo
    if docinfo.internalDTD is not None or docinfo.externalDTD is not None:
        raise MalformedAnswer(code, "a document type declaration, want none")
    _check_shape(root, code)
    return root


def html(body: bytes, *, code: str, limit: int, charset: str = "") -> _Element:
    """The root of a page.  limit: bytes.  charset: empty: as the page says.  Raises MalformedAnswer."""
    from lxml import etree

    if len(body) > limit:
        raise MalformedAnswer(code, f"page of {len(body)} bytes, want at most {limit}")
    parser = etree.HTMLParser(
        recover=True,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        encoding=charset or None,
    )
    try:
        root = etree.fromstring(body.strip(), parser)
    except (etree.LxmlError, ValueError, LookupError, AssertionError) as exc:
        raise MalformedAnswer(code, f"unparsable page: {one_line(str(exc))[:SHOWN]}") from exc
    if root is None:
        raise MalformedAnswer(code, "neither a document nor a page")
    _check_shape(root, code)
    return root


def local_name(element: _Element) -> str:
    return str(element.tag).rpartition("}")[2]


def children(element: _Element) -> Iterator[_Element]:
    """Child elements; what else lxml keeps (entity references) has no text as its tag."""
    return (child for child in element if isinstance(child.tag, str))


def text(element: _Element | None) -> str:
    """All text inside, as it came; empty: there is no such element."""
    return "" if element is None else "".join(str(part) for part in element.itertext())


def _check_shape(root: _Element, code: str) -> None:
    """Depth of the tree, without recursion."""
    level = [root]
    for _depth in range(MAX_DEPTH):
        level = [child for element in level for child in children(element)]
        if not level:
            return
    raise MalformedAnswer(code, f"elements nested deeper than {MAX_DEPTH}")
