"""The bytes of a profile -> Profile, or every problem in it with file, line and key."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from vpnclient.auth.secrets import SecretSource
from vpnclient.checks import check
from vpnclient.profile import Profile, ProfileInvalid
from vpnclient.profile_nodes import MAX_SHOWN, Mark, Problem, Problems, described, kind_of, parse, secret_source
from vpnclient.schema import BY_KEY, ITEMS, SECTIONS, Item, Kind, Value


def read(name: str, path: Path, raw: bytes) -> Profile:
    """A profile from its bytes; `path` is only named in errors."""
    problems = Problems(str(path))
    root = parse(raw, problems)
    reader = _Reader(problems)
    if root is not None:
        reader.mapping(root, "")
        if "server" not in reader.lines:
            problems.add(Problem(Mark(0), "server", "missing: every profile names its gateway"))
    if problems.texts:
        raise ProfileInvalid(problems.texts)
    return Profile(name, path, reader.values, reader.secrets, reader.lines)


class _Reader:
    """Walks the nodes of one profile and collects values and problems."""

    def __init__(self, problems: Problems) -> None:
        self.values: dict[str, Value] = {}
        self.secrets: dict[str, SecretSource] = {}
        self.lines: dict[str, int] = {}
        self._problems = problems

    def mapping(self, node: MappingNode, prefix: str) -> None:
        for key, key_node, value in self._pairs(node, prefix):
            item = BY_KEY.get(key)
            if item is not None:
                self.lines[item.name] = key_node.start_mark.line + 1
                self._item(item, key, value)
            elif key in SECTIONS and not prefix:
                if isinstance(value, MappingNode):
                    self.mapping(value, key + ".")
                else:
                    self._wrong(value, key, f"found {described(value)}, wanted a mapping")
            else:
                self._wrong(key_node, key, "unknown key" + suggestion(key))

    def _pairs(self, node: MappingNode, prefix: str) -> Iterator[tuple[str, Node, Node]]:
        """Keys with their dotted names; complains about repeated keys and keys that are no text."""
        first: dict[str, int] = {}
        for key_node, value in node.value:
            key = prefix + (key_node.value if isinstance(key_node, ScalarNode) else "?")
            line = key_node.start_mark.line + 1
            if key in first:
                self._wrong(key_node, key, f"given twice, first in line {first[key]}")
                continue
            first[key] = line
            yield key, key_node, value

    def _item(self, item: Item, key: str, node: Node) -> None:
        try:
            if item.kind is Kind.SECRET:
                self.secrets[item.name] = secret_source(node)
                return
            value = self._value(item, node)
            check(item.name, value)
            self.values[item.name] = value
        except ValueError as exc:
            text = str(exc).removeprefix("--resolve ").removeprefix("--form-entry ")
            found = (
                f"found {node.value[:MAX_SHOWN]!r}, "
                if text.startswith("wanted") and isinstance(node, ScalarNode)
                else ""
            )
            self._wrong(node, key, found + text)

    def _value(self, item: Item, node: Node) -> Value:
        match item.kind:
            case Kind.LIST:
                return tuple(_text(item, part, "a text") for part in _list(item, node))
            case Kind.RESOLVE:
                pairs = self._pairs(_mapping(item, node), "")
                return tuple(
                    f"{host}:{_text(item, address, 'an IP address')}"
                    for host, _, addresses in pairs
                    for address in (addresses.value if isinstance(addresses, SequenceNode) else (addresses,))
                )
            case Kind.FORM:
                return tuple(
                    f"{form}:{field}={_text(item, answer, 'a text')}"
                    for form, _, fields in self._pairs(_mapping(item, node), "")
                    for field, _, answer in self._pairs(_mapping(item, fields), "")
                )
        return item.read(_scalar(item, node))

    def _wrong(self, node: Node, key: str, text: str) -> None:
        self._problems.add(Problem(Mark(node.start_mark.line + 1), key, text))


# Scalars that YAML takes for something else than a text, yet are meant as one: `os: 12`, `dns: off`.
_TEXTUAL = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def _scalar(item: Item, node: Node) -> str:
    """The text of a scalar whose type fits the item.  Raises ValueError."""
    if not isinstance(node, ScalarNode):
        raise ValueError(f"found {described(node)}, wanted {item.wanted}")
    number = node.tag == "tag:yaml.org,2002:int"
    match item.kind:
        case Kind.FLAG if node.tag != "tag:yaml.org,2002:bool":
            raise ValueError(f"found {described(node)}, wanted {item.wanted}")
        case Kind.NUMBER if not number:
            raise ValueError(f"found {described(node)}, wanted {item.wanted}")
        case Kind.SECONDS if not number and node.value != "forever":
            raise ValueError(f"found {described(node)}, wanted {item.wanted}")
        case Kind.TEXT | Kind.PATH if not item.choices and node.tag not in _TEXTUAL:
            raise ValueError(
                f"found {described(node)}, wanted {item.wanted}; put it in quotes if it is meant as a text"
            )
    return str(node.value)


def _text(item: Item, node: Node, wanted: str) -> str:
    if not isinstance(node, ScalarNode) or node.tag not in _TEXTUAL:
        raise ValueError(f"found {kind_of(node)}, wanted {wanted}")
    return str(node.value)


def _list(item: Item, node: Node) -> list[Node]:
    if not isinstance(node, SequenceNode):
        raise ValueError(f"found {described(node)}, wanted {item.wanted}")
    return list(node.value)


def _mapping(item: Item, node: Node) -> MappingNode:
    if not isinstance(node, MappingNode):
        raise ValueError(f"found {kind_of(node)}, wanted {item.wanted}")
    return node


def _long_names(item: Item) -> set[str]:
    """Of its options, without hyphens; `--udp/--no-udp` are two."""
    return {name.lstrip("-") for flag in item.flags for name in flag.split("/")}


def suggestion(key: str) -> str:
    """'; did you mean ...?' with the nearest key, or the key of the option of that name."""
    for item in ITEMS:
        if item.key and key.rpartition(".")[2] in _long_names(item):
            return f"; did you mean {item.key}?"
    near = get_close_matches(key, [*BY_KEY, *SECTIONS], n=1, cutoff=0.6)
    last = {name.rpartition(".")[2]: name for name in BY_KEY}
    near = near or [last[match] for match in get_close_matches(key.rpartition(".")[2], last, n=1, cutoff=0.7)]
    return f"; did you mean {near[0]}?" if near else ""
