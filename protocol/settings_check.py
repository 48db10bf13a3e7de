"""Hosts only: compares parsed TOML with a msgspec.Struct and lists every mistake, not only the first.

msgspec itself judges each single value, so that what passes here is what msgspec.convert accepts.
"""

import re
import types
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from protocol.diagnostic import suggest

TOML_TYPES = (datetime, date, time)

_EXPECTED = re.compile(r"Expected `([^`]+)`(.*?)(?:, got `([^`]+)`)?(?: - at `.*`)?$")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "datetime": "a date with time",
    "date": "a date",
    "time": "a time of day",
    "null": "nothing",
}

Path = tuple[str | int, ...]


class Mistake(NamedTuple):
    """One mistake: at_key says whether to point at the key or at its value."""

    code: str
    path: Path
    message: str
    fix: str
    at_key: bool = False

    @classmethod
    def refused(cls, reason: str) -> "Mistake":
        """Return the mistake for what a Struct refused by itself (a ValueError in its __post_init__)."""
        message, _, where = reason.partition(" - at `$")
        path = tuple(int(i) if i else k for k, i in re.findall(r"\.([\w-]+)|\[(\d+)\]", where))
        return cls("settings-refused", path, message, "change one of the values named", at_key=True)


def find_mistakes(document: dict[str, Any], struct: type[msgspec.Struct]) -> list[Mistake]:
    """Return all mistakes of a parsed document against struct, in the order of the struct's fields."""
    return list(_struct(document, struct, ()))


def path_hook(folder: FilePath) -> Callable[[type, Any], Any]:
    """Return the msgspec dec_hook that reads a path relative to folder."""

    def hook(wanted: type, value: Any) -> Any:
        if wanted is FilePath and isinstance(value, str):
            return folder / value
        raise ValueError("Expected `str`")

    return hook


def _struct(value: dict[str, Any], struct: type[msgspec.Struct], path: Path) -> Iterator[Mistake]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    meant = set()
    for key in value:
        # What says which of several Structs is meant is no field of any.
        if key not in fields and key != struct.__struct_config__.tag_field:
            near = suggest(key, [name for name in fields if name not in value])
            meant.add(near)
            yield _unknown(key, path, list(fields), near)
    for key, field in fields.items():
        if key in value:
            yield from _value(value[key], field.type, (*path, key))
        # A misspelt key is one mistake, not two.
        elif field.required and key not in meant:
            yield _missing(key, field.type, path)


def _value(value: Any, annotation: Any, path: Path) -> Iterator[Mistake]:
    inner = _nested(value, annotation)
    tagged = _tagged(annotation) if inner is None and isinstance(value, dict) else {}
    if tagged:
        yield from _untagged(value, tagged, path)
        return
    if inner is None:
        yield from _leaf(value, annotation, path)
        return
    origin, arguments = get_origin(inner), get_args(inner)
    if origin is None:
        yield from _struct(value, inner, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaf(key, arguments[0], (*path, key))
            yield from _value(item, arguments[1], (*path, key))
    else:
        for index, item in enumerate(value):
            kind = arguments[0] if origin is not tuple or arguments[1:] == (...,) else arguments[index]
            yield from _value(item, kind, (*path, index))
        # The items were judged one by one; what is left is the length of the list.
        if isinstance(annotation, type(Annotated[int, 0])):
            shell = Annotated[(list[Any], *annotation.__metadata__)]
            yield from _leaf(value, shell, path)


def _nested(value: Any, annotation: Any) -> Any:
    """Return the part of annotation to walk into for this value: a Struct, dict[..] or list[..]; None for a leaf."""
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(kind) in (Union, types.UnionType):
        tagged = _tagged(annotation)
        if tagged and isinstance(value, dict):
            # A tag may be of any type in TOML, even one that is no key.
            named = [struct for (field, tag), struct in tagged.items() if value.get(field) == tag]
            return named[0] if named else None
        inner = [
            found for found in (_nested(value, option) for option in get_args(kind)) if found is not None
        ]
        return inner[0] if len(inner) == 1 else None
    origin = get_origin(kind)
    if isinstance(value, dict):
        is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
        return kind if is_struct or origin is dict else None
    if isinstance(value, list) and origin in (list, tuple, set, frozenset):
        fixed = origin is tuple and get_args(kind)[1:] != (...,)
        return None if fixed and len(value) != len(get_args(kind)) else kind
    return None


def _tagged(annotation: Any) -> dict[tuple[str, str], type[msgspec.Struct]]:
    """Return the Structs of which a table may be one, by the key and the word that say which; empty where none does."""
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(kind) not in (Union, types.UnionType):
        return {}
    structs = [
        option for option in get_args(kind) if isinstance(option, type) and issubclass(option, msgspec.Struct)
    ]
    configs = [(struct.__struct_config__, struct) for struct in structs]
    return {
        (config.tag_field, str(config.tag)): struct
        for config, struct in configs
        if config.tag_field is not None
    }


def _untagged(
    value: dict[str, Any], tagged: dict[tuple[str, str], type[msgspec.Struct]], path: Path
) -> Iterator[Mistake]:
    key = next(iter(tagged))[0]
    words = [tag for _, tag in tagged]
    choices = "write one of " + ", ".join(f'"{word}"' for word in words)
    if key not in value:
        message = f"the key {key} is missing in {name_of(path)}"
        yield Mistake("settings-missing-key", path, message, choices, at_key=True)
        return
    said = value[key]
    near = suggest(said, words) if isinstance(said, str) else None
    message = f"{name_of((*path, key))} is {_shown(said)}: not one of its choices"
    fix = f'did you mean "{near}"?' if near else choices
    yield Mistake("settings-out-of-range", (*path, key), message, fix)


def _leaf(value: Any, annotation: Any, path: Path) -> Iterator[Mistake]:
    try:
        msgspec.convert(value, annotation, builtin_types=TOML_TYPES, dec_hook=path_hook(FilePath()))
    except msgspec.ValidationError as error:
        yield _wrong(value, annotation, path, str(error))


def _unknown(key: str, path: Path, known: list[str], near: str | None) -> Mistake:
    fix = f"did you mean {near}?" if near else f"known here: {', '.join(sorted(known)) or 'nothing'}"
    where = f" in {name_of(path)}" if path else ""
    return Mistake("settings-unknown-key", (*path, key), f"unknown key {key}{where}", fix, at_key=True)


def _missing(key: str, annotation: Any, path: Path) -> Mistake:
    info = msgspec.inspect.type_info(annotation)
    about = _description(info)
    choices = ", ".join(f'"{choice}"' for choice in _choices(annotation))
    what = f"one of {choices}" if choices else _expectation(annotation) or "a value"
    where = f" in {name_of(path)}" if path else ""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        message = f"the table [{name_of((*path, key))}] is missing"
        return Mistake(
            "settings-missing-key", path, message, f"add a line [{name_of((*path, key))}]", at_key=True
        )
    fix = f"add {key} = ...  ({about + ': ' if about else ''}{what})"
    return Mistake("settings-missing-key", path, f"the key {key} is missing{where}", fix, at_key=True)


def _wrong(value: Any, annotation: Any, path: Path, reason: str) -> Mistake:
    limits = _expectation(annotation)
    code = "settings-out-of-range"
    match = _EXPECTED.match(reason)
    if match and (match[3] or not match[2]):
        code = "settings-wrong-type"
    said = _sentence(match) if match else reason[:1].lower() + reason[1:]
    fix = (
        f"write {limits}"
        if limits
        else f"write {_kinds(match[1])}"
        if match
        else "see the settings page in docs"
    )
    choices = _choices(annotation)
    if choices:
        said = "not one of its choices"
        near = suggest(value, choices) if isinstance(value, str) else None
        fix = f'did you mean "{near}"?' if near else "write one of " + ", ".join(f'"{c}"' for c in choices)
    return Mistake(code, path, f"{name_of(path)} is {_shown(value)}: {said}", fix)


def _sentence(match: re.Match[str]) -> str:
    rest = (
        match[2]
        .replace(">=", "at least")
        .replace("<=", "at most")
        .replace(">", "above")
        .replace("<", "below")
    )
    return f"expected {_kinds(match[1])}{rest}"


def _kinds(kinds: str) -> str:
    return " or ".join(_WORDS.get(kind, kind) for kind in kinds.split(" | ") if kind != "null")


def _expectation(annotation: Any) -> str | None:
    """Return what a value must look like, in words with its limits: "a whole number from 1 to 65535"."""
    info = msgspec.inspect.type_info(annotation)
    if isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    if isinstance(info, (msgspec.inspect.IntType, msgspec.inspect.FloatType)):
        word = _WORDS["int" if isinstance(info, msgspec.inspect.IntType) else "float"]
        return word + _range(info.ge, info.gt, info.le, info.lt)
    if isinstance(info, msgspec.inspect.StrType):
        pattern = f" that matches {info.pattern}" if info.pattern else ""
        length = _range(info.min_length, None, info.max_length, None)
        return _WORDS["str"] + (f" of{length} characters" if length else "") + pattern
    if isinstance(info, msgspec.inspect.BoolType):
        return _WORDS["bool"]
    if isinstance(info, msgspec.inspect.StructType):
        return _WORDS["object"]
    return None


def _range(ge: float | None, gt: float | None, le: float | None, lt: float | None) -> str:
    if ge is not None and le is not None:
        return f" from {ge} to {le}"
    bounds = [(" at least", ge), (" above", gt), (" at most", le), (" below", lt)]
    return " and".join(f"{word} {bound}" for word, bound in bounds if bound is not None)


def _choices(annotation: Any) -> list[str]:
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(kind) is Literal:
        return [str(choice) for choice in get_args(kind)]
    if get_origin(kind) in (Union, types.UnionType):
        return [choice for option in get_args(kind) for choice in _choices(option)]
    return []


def _description(info: Any) -> str | None:
    extra = info.extra_json_schema if isinstance(info, msgspec.inspect.Metadata) else None
    return extra.get("description") if extra else None


def name_of(path: Path) -> str:
    """Return how a person would name a place of a settings file: device[1].secret."""
    name = ""
    for part in path:
        name += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if name else part
    return name


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
