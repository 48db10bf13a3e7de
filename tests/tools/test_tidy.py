"""Each of our own rules catches a planted violation, and leaves good code alone."""

import pytest

from tools.device_types import ROOT, device_files
from tools.tidy import FILE_LINES_MAX, FUNCTION_LINES_MAX, check_source, device_part

GOOD = {
    "protocol": "import struct\nfrom protocol.errors import ProtocolError\n\ndef f(n: int) -> int:\n    return n // 2\n",
    "rules": "from rules import value\n\ndef f(n):\n    return n % 3\n",
    "agent": "import asyncio\nimport time\n\ndef f():\n    return time.ticks_ms() / 1000\n",
    None: "import re\nimport enum\n\ndef f(x):\n    return f'{x / 2.0}'\n",
}


@pytest.mark.parametrize(("part", "source"), GOOD.items())
def test_good_code_has_no_violation(part, source):
    """What each part may do is not complained about."""
    assert check_source(source, "protocol/segment.py", part) == []


long_function = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX

PLANTED = [
    ("function-length", None, long_function, 1),
    (
        "function-length",
        None,
        "class A:\n    async def f(self):\n" + "        x = 1\n" * FUNCTION_LINES_MAX,
        2,
    ),
    ("file-length", None, "x = 1\n" * (FILE_LINES_MAX + 1), 1),
    ("unfinished", None, "x = 1\n# TO" + "DO later\n", 2),
    ("unfinished", None, "x = 1  # FIX" + "ME\n", 1),
    ("unfinished", None, "def f():\n    raise NotImplemented" + "Error('x')\n", 2),
    ("bare-except", None, "try:\n    f()\nexcept:\n    g()\n", 3),
    ("swallowed", None, "try:\n    f()\nexcept Exception:\n    pass\n", 3),
    ("swallowed", None, "try:\n    f()\nexcept (ValueError, BaseException) as e:\n    pass\n", 3),
    ("relative-import", None, "from . import errors\n", 1),
    ("syntax", None, "def f(:\n", 1),
    ("device-import", "protocol", "import time\n", 1),
    ("device-import", "protocol", "import rules\n", 1),
    ("device-import", "protocol", "def f():\n    import dataclasses\n", 2),
    ("device-import", "protocol", "from typing import Any\n", 1),
    ("device-import", "rules", "import hashlib\n", 1),
    ("device-import", "rules", "import random\n", 1),
    ("device-import", "rules", "from micropython import const\n", 1),
    ("device-import", "agent", "import logging\n", 1),
    ("device-import", "agent", "from __future__ import annotations\n", 1),
    ("device-syntax", "agent", "match x:\n    case 1:\n        pass\n", 1),
    ("device-syntax", "agent", "try:\n    f()\nexcept* ValueError:\n    g()\n", 1),
    ("device-syntax", "protocol", "x = f'{y}'\n", 1),
    ("device-syntax", "agent", "class A(metaclass=B):\n    x = 1\n", 1),
    ("device-syntax", "agent", "def f(a, /):\n    return a\n", 1),
    ("device-syntax", "agent", "x = 2j\n", 1),
    ("rules-float", "rules", "x = 1\ny = 0.5\n", 2),
    ("rules-float", "rules", "x = float(y)\n", 1),
    ("rules-division", "rules", "x = y / 2\n", 1),
    ("rules-division", "rules", "x /= 2\n", 1),
    ("input-output", "protocol", "def f(x):\n    print(x)\n", 2),
    ("input-output", "rules", "x = open('y')\n", 1),
    ("clock-read", None, "import time\nx = time.time() + 5\n", 2),
    ("clock-read", None, "import time\nx = time.monotonic\n", 2),
    ("clock-read", None, "from datetime import datetime\nx = datetime.now()\n", 2),
    ("clock-read", None, "from time import time_ns\n", 1),
]


@pytest.mark.parametrize(("rule", "part", "source", "line"), PLANTED)
def test_planted_violation_is_caught_at_its_line(rule, part, source, line):
    """Each rule finds what breaks it, and says where."""
    found = check_source(source, "protocol/segment.py", part)

    assert [(rule, line)] == [(violation.rule, violation.line) for violation in found]
    assert found[0].text().startswith(f"protocol/segment.py:{line}: {rule}: ")


@pytest.mark.parametrize(
    "path", ["gateway/clock.py", "office_ingest/cli.py", "tools/site.py", "tests/x/test_y.py"]
)
def test_clock_may_be_read_where_it_is_handed_out(path):
    """Each side's clock, what shows ages to people, and whatever is no part of a running side."""
    assert check_source("import time\nx = time.time()\n", path, None) == []


@pytest.mark.parametrize("path", ["gateway/utils.py", "tools/common/x.py", "tests/test_helpers.py"])
def test_name_that_says_nothing_is_refused(path):
    """A module is named after what it owns."""
    assert [violation.rule for violation in check_source("x = 1\n", path, None)] == ["module-name"]


@pytest.mark.parametrize("lines", [FUNCTION_LINES_MAX - 1])
def test_function_of_the_allowed_length_passes(lines):
    """The limit itself is allowed."""
    assert check_source("def f():\n" + "    x = 1\n" * lines, "a.py", None) == []


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("protocol/cbor.py", "protocol"),
        ("rules/__init__.py", "rules"),
        ("firmware/agent/__init__.py", "agent"),
        ("protocol/settings.py", None),
        ("tools/tidy.py", None),
    ],
)
def test_file_belongs_to_its_part(path, part):
    """Device rules bind device files, and no others."""
    assert device_part(ROOT / path, set(device_files())) == part
