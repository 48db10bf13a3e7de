"""The documents hold together: every link leads somewhere, decisions are numbered, what a page names is in the code."""

import re
import tomllib

import msgspec
import pytest

import gateway.config
import office_ingest.config
import tools.device
from tools.device_types import ROOT

PAGES = sorted(
    str(path.relative_to(ROOT))
    for folder in ("", "docs", "docs/*", "protocol", "rules", "firmware", "gateway", "office_ingest", "tools")
    for path in ROOT.glob(f"{folder}/*.md" if folder else "*.md")
)
DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """A link from one page to a file of ours finds it."""
    path = ROOT / page
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (path.parent / link).resolve().exists()]

    assert broken == []


# Folders that its commands make have the names of ours.
@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/by-hand.md"])
def test_files_that_a_page_names_are_there(page):
    """A path in backticks, from the top or from the page's own folder, exists."""
    path = ROOT / page
    named = re.findall(
        r"`((?:docs|protocol|rules|firmware|gateway|office_ingest|tools|tests)/[\w./-]+)`", path.read_text()
    )
    folders = (ROOT, path.parent)
    missing = [
        name
        for name in named
        if not any((folder / name).exists() or list(folder.glob(f"{name}*")) for folder in folders)
    ]

    assert missing == []


def test_decisions_rise_without_a_hole():
    """Each decision has one number, in its name and in its title; none is missing."""
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    assert all(path.read_text().startswith(f"# {path.name[:4]} ") for path in DECISIONS)


def test_decisions_are_listed_with_their_titles():
    """The list of decisions is complete."""
    listed = (ROOT / "docs/decisions/README.md").read_text()

    for path in DECISIONS:
        number, _, title = path.read_text().splitlines()[0][2:].partition(" ")
        assert f"- [{number}]({path.name}) {title}\n" in listed


def _keys(struct):
    for field in msgspec.structs.fields(struct):
        yield field.encode_name
        inner = field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from _keys(inner)


@pytest.mark.parametrize(
    ("page", "struct"),
    [
        ("office", office_ingest.config.Settings),
        ("gateway", gateway.config.Settings),
        ("device", tools.device.DeviceSettings),
    ],
)
def test_every_setting_is_documented(page, struct):
    """Each key that the code reads stands on the page of its part."""
    text = (ROOT / "docs/operating" / f"{page}.md").read_text()
    # Kill points share their words there: before_ and after_ of each.
    missing = {key for key in _keys(struct) if not re.search(rf"`[^`]*\b{key}\b[^`]*`", text)}
    words = {re.sub("^(before|after)_", "", key) for key in missing}

    assert {word for word in words if not re.search(rf"`{word}`", text)} == set()


def test_commands_of_the_readme_are_those_of_the_makefile():
    """What the front page tells to type can be typed."""
    typed = set(re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert {"demo", "test"} <= typed <= targets


def test_changelog_begins_with_this_version():
    """The newest entry is the version that is built."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert (
        re.search(r"^## (\S+)", (ROOT / "docs/CHANGELOG.md").read_text(), re.MULTILINE)[1].rstrip(",")
        == version
    )
