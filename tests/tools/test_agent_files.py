"""The compiled files of an agent: the same bytes each time, and of what no device would take, a word and a way out."""

import random

import pytest

from protocol.agent_index import parse_agent_index
from tools.agent_files import CannotCompile, compile_agent
from tools.cli import run


def _folder(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / "agent" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "agent"


def test_same_source_gives_the_same_bytes_wherever_it_lies(tmp_path):
    """The path on this machine is not among them."""
    files = {"__init__.py": "", "links/udp.py": "def port():\n    return 5683\n"}
    first, second = (compile_agent(_folder(tmp_path / name, files)) for name in ("one", "another"))

    assert first == second
    paths = [path for path, _, _ in parse_agent_index(first.part).files]
    assert paths == ["agent/__init__.mpy", "agent/links/udp.mpy"]


# Bytes that neither compiler nor deflate makes small.
_LARGE = f"DATA = {random.Random(1).randbytes(20_000)!r}\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no Python file"),
        ({"app.py": "def app(:\n"}, "SyntaxError"),
        ({"App.py": ""}, "App.mpy"),
        ({"a-b/app.py": ""}, "a-b/app.mpy"),
        ({"app.py": _LARGE}, "agent_file_bytes_max"),
    ],
)
def test_agent_that_no_device_would_take_is_refused(tmp_path, capsys, files, said):
    """Exit code 2, the file or the limit, and what to do; nothing is written."""
    folder = _folder(tmp_path, files)
    folder.mkdir(exist_ok=True)
    with pytest.raises(CannotCompile):
        compile_agent(folder)
    code = run(["device", "build-agent", str(folder), "--out", str(tmp_path / "agent.cbor")])
    error = capsys.readouterr().err

    assert code == 2
    assert "error[agent-source]" in error
    assert said in error
    assert "fix: " in error
    assert not (tmp_path / "agent.cbor").exists()
