"""Sign-in forms in a script (section 3.5), also hostile ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import MalformedAnswer
from protocols.f5.model import Entry, LoginForm
from protocols.f5.script import parse
from tests.protocols.refusals import refused

EXAMPLE = (
    'appLoader.configure({"logon":{"form":{"id":"auth_form","title":"Sign in","fields": '
    '[{"type":"text","name":"username","caption":"User","value":"","disabled":false},'
    '{"type":"password","name":"password", "caption":"Password"}]}}});'
)


def page(call: str) -> bytes:
    return f"<html><script>var a = 1;\n{call}\n</script></html>".encode()


def fields(*given: object) -> LoginForm:
    form = parse(page(f"appLoader.configure({json.dumps({'logon': {'form': {'fields': given}}})})"))
    assert form is not None
    return form


def test_the_notes_own_example() -> None:
    entries = (Entry("username", "User", "text"), Entry("password", "Password", "password"))
    assert parse(page(EXAMPLE)) == LoginForm("auth_form", entries, banner="Sign in")
    assert parse(page(EXAMPLE.replace("});", "}\n);"))) == parse(page(EXAMPLE))


def test_braces_in_strings_do_not_count() -> None:
    (entry,) = fields({"name": "a}{", "type": "text", "caption": 'quote " and \\ and }', "value": "]}"}).entries
    assert (entry.name, entry.value) == ("a}{", "]}")


def test_odd_fields_are_text_and_nameless_ones_are_skipped() -> None:
    form = fields(
        {"name": "a", "type": 7, "value": 1}, {"type": "text"}, {"name": ""}, "no object", {"name": "b", "value": "x"}
    )
    assert form.entries == (Entry("a", "a:", "text"), Entry("b", "b:", "text", "x"))


@pytest.mark.parametrize("body", [b"", b"<html>", b"appLoader.configure", b"appLoader.configure(x)"])
def test_no_form(body: bytes) -> None:
    assert parse(body) is None


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (EXAMPLE + EXAMPLE, "2 calls"),
        ("appLoader.configure({", "no JSON object"),
        ('appLoader.configure({"a": "}', "no JSON object"),
        ("appLoader.configure({nonsense})", "no JSON object"),
        ('appLoader.configure({"a":' + "[" * 33 + "]" * 33 + "})", "nested deeper than 32"),
        ('appLoader.configure({"a":' + "[" * 200_000, "no JSON object"),
        ('appLoader.configure({"' + '\\"' * 400_000, "no JSON object"),
        ("appLoader.configure({})", "logon: got NoneType, want an object"),
        ('appLoader.configure({"logon": {"form": []}})', "form: got list, want an object"),
        ('appLoader.configure({"logon": {"form": {"fields": {}}}})', "fields: got dict, want an array"),
        ('appLoader.configure({"a": "' + "x" * 2**20 + '"})', "no JSON object within 1048576"),
        ('appLoader.configure({"a": ' + "9" * 5000 + "})", "no JSON object"),
    ],
)
def test_hostile_scripts_are_named(call: str, text: str) -> None:
    with refused(MalformedAnswer, f"auth-bad-form: .*{text}"):
        parse(page(call))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["logon", "form", "fields", "id", "title", "name", "type", "value", "caption"]), inner, max_size=4)
), max_leaves=12)  # fmt: skip


@given(JSON, st.integers(0, 300))
def test_anything_is_a_form_none_or_a_named_error(value: object, cut: int) -> None:
    call = f"appLoader.configure({json.dumps(value)});"
    for body in (page(call), page(call)[:cut], page(EXAMPLE)[:cut]):
        try:
            parse(body)
        except MalformedAnswer as exc:
            assert exc.code == "auth-bad-form"
