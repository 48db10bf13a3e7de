"""Positions in TOML agree with tomllib about every path, and point at the right characters."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.toml_positions import locate

EVERYTHING = '''# a comment with "quotes" = and [brackets]
title = "x # no comment"
'quoted key' = 1
"k\\u00e9y" = 2
a.b.c = 3
long = """
one "" two
three\\""" end"""
raw = \'\'\'C:\\path'\'\'\'
when = 1979-05-27 07:32:00Z # a date with a space
list = [ 1, [2, 3], # comment ]
  { x = 1, y.z = "}" }, "]",
]
empty = {}

[owner]
name = "o"

[owner.deep."dotted.name"]
n = 1

[[device]]
id = 1
[[device.link]]
port = 10
[[device.link]]
port = 11
[device.power]
mains = true
[[device]]
id = 2
[[device.link]]
port = 20
'''


def paths(value, path=()):
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_path_of_tomllib_has_a_place(newline):
    """The scanner nests keys exactly as tomllib does."""
    text = EVERYTHING.replace("\n", newline)

    assert set(paths(tomllib.loads(text))) == set(locate(text))


@pytest.mark.parametrize(
    ("path", "marked"),
    [
        (("title",), '"x # no comment"'),
        (("quoted key",), "1"),
        (("a", "b", "c"), "3"),
        (("when",), "1979-05-27 07:32:00Z"),
        (("list", 1, 1), "3"),
        (("list", 2, "y", "z"), '"}"'),
        (("device", 0, "link", 1, "port"), "11"),
        (("device", 1, "link", 0, "port"), "20"),
        (("device", 0, "power", "mains"), "true"),
        (("owner", "deep", "dotted.name", "n"), "1"),
    ],
)
def test_value_span_marks_the_value(path, marked):
    """Line, column and length of a value cut exactly the value out of the text."""
    span = locate(EVERYTHING)[path].value

    assert EVERYTHING.split("\n")[span.line - 1][span.column - 1 :][: span.length] == marked


def test_key_span_marks_the_last_part_of_a_dotted_key():
    """A dotted key is marked at the part that names the value."""
    span = locate("a.bee = 3")[("a", "bee")].key

    assert (1, 3, 3) == span


KEYS = st.text("abcé. \"'#=[]", min_size=1, max_size=4)
LEAVES = st.one_of(st.integers(-9, 9), st.booleans(), st.text("ab\"'#]},\\= é", max_size=5))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


def inline(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(k)} = {inline(v)}" for k, v in value.items()) + " }"
    return str(value)


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_random_documents_have_a_place_for_every_path(document):
    """Whatever a valid document nests, each path is found and each value is cut out whole."""
    text = "\n".join(f"{quoted(key)} = {inline(value)}" for key, value in document.items())
    places = locate(text)

    assert set(paths(tomllib.loads(text))) == set(places)
    for key, value in document.items():
        span = places[(key,)].value
        assert text.split("\n")[span.line - 1][span.column - 1 :][: span.length] == inline(value)
