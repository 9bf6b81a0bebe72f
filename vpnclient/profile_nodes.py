"""YAML text to nodes that know their lines, safely: caps on depth and number before anything is built."""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from vpnclient.auth.secrets import SecretSource, SourceKind
from vpnclient.schema import Kind

MAX_DEPTH = 8  # nested lists and mappings
MAX_EVENTS = 20_000  # about twice the number of values
MAX_PROBLEMS = 50
MAX_SHOWN = 40  # characters of a value in an error

_TYPES = {"null": "nothing", "bool": "a truth value", "int": "a number", "float": "a fraction", "str": "a text"}


@dataclass(frozen=True, slots=True)
class Mark:
    line: int  # from 1; 0: the whole file


@dataclass(frozen=True, slots=True)
class Problem:
    mark: Mark
    key: str
    text: str


@dataclass(slots=True)
class Problems:
    """What is wrong with one file, as lines for people: file:line: key: text."""

    path: str
    found: list[Problem] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        if len(self.found) < MAX_PROBLEMS:
            self.found.append(problem)

    @property
    def texts(self) -> tuple[str, ...]:
        ordered = sorted(self.found, key=lambda problem: problem.mark.line)
        return tuple(
            ": ".join(
                part
                for part in (
                    f"{self.path}:{problem.mark.line}" if problem.mark.line else self.path,
                    problem.key,
                    problem.text,
                )
                if part
            )
            for problem in ordered
        )


def parse(raw: bytes, problems: Problems) -> MappingNode | None:
    """The root mapping; None: there are problems."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        problems.add(Problem(Mark(line), "", f"not UTF-8: byte 0x{raw[exc.start]:02x}"))
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where PyYAML was built with it
    try:
        if not _within_caps(text, problems):
            return None
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as exc:
        where = exc.problem_mark or exc.context_mark
        said = " ".join(part for part in (exc.context, exc.problem) if part)
        problems.add(Problem(Mark(where.line + 1 if where else 0), "", f"not valid YAML: {said}"))
        return None
    except yaml.reader.ReaderError as exc:
        problems.add(Problem(Mark(_line_at(text, exc.position)), "", "contains a control character"))
        return None
    if root is None:
        problems.add(Problem(Mark(0), "", "is empty; see examples/ for what a profile looks like"))
        return None
    if not isinstance(root, MappingNode):
        problems.add(Problem(Mark(1), "", f"found {described(root)}, wanted a mapping of keys to values"))
        return None
    return root


def _line_at(text: str, position: object) -> int:
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else 0


def _within_caps(text: str, problems: Problems) -> bool:
    """Looks at the stream of events, which needs no recursion, before nodes are made of it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=loader)):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            problems.add(Problem(Mark(line), f"*{event.anchor}", "aliases are not supported"))
            return False
        if depth > MAX_DEPTH:
            problems.add(Problem(Mark(line), "", f"nested more than {MAX_DEPTH} levels deep"))
            return False
        if number > MAX_EVENTS:
            problems.add(Problem(Mark(line), "", "too many values"))
            return False
    return True


def kind_of(node: Node) -> str:
    """What a node is, for people."""
    if isinstance(node, SequenceNode):
        return "a list"
    if isinstance(node, MappingNode):
        return "a mapping"
    kind = node.tag.rpartition(":")[2]
    return _TYPES.get(kind, f"a {kind}")


def described(node: Node) -> str:
    """As `kind_of`, with the value of a short scalar; not for what may be a secret."""
    short = isinstance(node, ScalarNode) and 0 < len(node.value) <= MAX_SHOWN
    return f"{node.value!r} ({kind_of(node)})" if short else kind_of(node)


def secret_source(node: Node) -> SecretSource:
    """{env: NAME}, {command: [...]}, {file: PATH}, {stdin: true} or {prompt: true}.  Raises ValueError.

    No error repeats what was found: it may be the secret.
    """
    if not isinstance(node, MappingNode):
        extra = "; never write the secret itself into a profile" if isinstance(node, ScalarNode) else ""
        raise ValueError(f"found {kind_of(node)}, wanted {Kind.SECRET}{extra}")
    if len(node.value) != 1 or not isinstance(node.value[0][0], ScalarNode):
        raise ValueError(f"found {len(node.value)} keys, wanted {Kind.SECRET}")
    kind, value = node.value[0][0].value, node.value[0][1]
    match kind:
        case "prompt" | "stdin":
            if not isinstance(value, ScalarNode) or value.value != "true":
                raise ValueError(f"{kind}: found {kind_of(value)}, wanted true")
            return SecretSource(SourceKind(kind))
        case "env" | "file":
            if not isinstance(value, ScalarNode) or not value.value:
                raise ValueError(f"{kind}: found {kind_of(value)}, wanted a text")
            return SecretSource(SourceKind(kind), (str(value.value),))
        case "command":
            return SecretSource(SourceKind.COMMAND, _argv(value))
    raise ValueError(f"unknown source {kind[:40]!r}, wanted {Kind.SECRET}")


def _argv(node: Node) -> tuple[str, ...]:
    if not isinstance(node, SequenceNode) or not node.value:
        raise ValueError(f"command: found {kind_of(node)}, wanted a list: the program and its arguments")
    if not all(isinstance(part, ScalarNode) for part in node.value):
        raise ValueError("command: every argument must be a text")
    return tuple(str(part.value) for part in node.value)
