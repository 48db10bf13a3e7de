"""Many devices from a list: all of a row or nothing of it, at any cut; mistakes with their lines; and their labels."""

import json
from xml.etree import ElementTree as ET

import pytest
import zxingcpp

from office_ingest.founding import found_office
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from protocol.diagnostic import OK, USAGE
from tools import provision
from tools.cli import run
from tools.device import read_device
from tools.labels import LabelWrong, code, label_check, label_text, parse_label

ROWS = "name,site,kind,port\npump-1,north,pump,\npump-2,north,pump,5690\nwell,south,,\n"


class Desk:
    """An office, a gateway, and a list beside them."""

    def __init__(self, folder, capsys):
        self.folder, self._capsys = folder, capsys
        self.config = found_office(folder / "office", now_ms=1_700_000_000_000)
        (folder / "recording.csv").write_text("100,200\n" * 5)
        words = (
            "--name",
            "gate",
            "--site",
            "north",
            "--uplink",
            "https://127.0.0.1:8443",
            folder / "gateway",
        )
        assert OK == self.run("gateway", *words)[0]
        self.list = folder / "devices.csv"
        self.list.write_text(ROWS)

    def run(self, what, *words):
        done = run(["provision", what, "--office", str(self.config), *map(str, words)])
        said = self._capsys.readouterr()
        return done, said.out, said.err

    def devices(self, *more):
        return self.run(
            "devices",
            *more,
            "--csv",
            self.list,
            "--gateway",
            self.folder / "gateway",
            "--recording",
            self.folder / "recording.csv",
            self.folder / "devices",
        )

    def state(self):
        """Return the names of the folders, and how many devices the office, its keystore and the gateway know."""
        with provision.Office(self.config) as office:
            registered, keys = len(office.store.device_ids()), len(office.keystore.devices())
        links = (self.folder / "gateway" / "links.toml").read_text().count("[[device]]")
        folders = sorted(path.name for path in (self.folder / "devices").iterdir())
        return folders, (registered, keys, links)


@pytest.fixture
def desk(tmp_path, capsys):
    return Desk(tmp_path, capsys)


WHOLE = (["pump-1", "pump-2", "well"], (3, 3, 3))


def test_each_row_becomes_a_device(desk):
    """With what its cells say, and the defaults where they are empty; progress is shown."""
    done, out, _ = desk.devices()
    items = read_device(desk.folder / "devices" / "pump-2" / "device.toml")

    assert (OK, WHOLE) == (done, desk.state())
    assert ("pump", 5690) == (items["kind"], items["link"]["port"])
    assert ["1 of 3  pump-1", "2 of 3  pump-2", "3 of 3  well"] == [
        line[:14].rstrip() for line in out.splitlines()
    ]


def test_second_run_makes_nothing_twice(desk):
    """What is there is passed over; new rows are made."""
    desk.devices()
    desk.list.write_text(ROWS + "well-2,south,,\n")
    done, out, _ = desk.devices("--json")

    assert (OK, [False, False, False, True]) == (done, [one["new"] for one in json.loads(out)["devices"]])
    assert (4, 4, 4) == desk.state()[1]


STEPS = [
    (provision, "_write_keys"),
    (provision, "write_roots"),
    (Keystore, "enrol"),
    (Registry, "add_schema"),
    (Registry, "add_device_of"),
    (provision, "finish_device"),
]


@pytest.mark.parametrize("row", [1, 2])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("owner", "name"), STEPS)
def test_cut_at_any_step_leaves_no_half_device(desk, monkeypatch, owner, name, after, row):
    """Before or after any step of a row the process dies: the next run ends with every row once, and nothing beside."""
    true, left = getattr(owner, name), [row]

    def dying(*arguments, **options):
        left[0] -= 1
        if left[0]:
            return true(*arguments, **options)
        if after:
            true(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, dying)
    desk.devices()
    monkeypatch.undo()
    done, _, err = desk.devices()

    assert (OK, WHOLE) == (done, desk.state()), err


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("name,place\na,b\n", [1, 1]),
        ("name,site,port\na,b,99999\nb,b,x\n", [2, 3]),
        ("name,site\na,b\na,b\n,b\n", [3, 4]),
        ("name,site\na,b,c\n", [2]),
        ("name,site\n../a,b\n.b,b\n", [2, 3]),
        ("name,site,recording\na,b,none.csv\n", [2]),
        ("name,site,hardware\na,b,pico\n", [2]),
        ("name,site,site\na,b,c\n", [1]),
        ("name,site\n", [None]),
        ("", [1, 1]),
    ],
)
def test_every_mistake_is_named_with_its_line_and_nothing_is_made(desk, text, lines):
    """The whole list is looked at before the first device."""
    desk.list.write_text(text)
    done, out, _ = desk.devices("--json")

    assert USAGE == done
    assert lines == [one.get("line") for one in json.loads(out)["diagnostics"]]
    assert not (desk.folder / "devices").exists()


def test_name_of_another_device_is_said_with_its_line(desk):
    """A device that was made elsewhere is not made again."""
    desk.run(
        "device",
        "--gateway",
        desk.folder / "gateway",
        "--name",
        "well",
        "--site",
        "south",
        "--recording",
        desk.folder / "recording.csv",
        desk.folder / "elsewhere",
    )
    done, out, _ = desk.devices("--json")

    assert (USAGE, [(4, "provision-name-taken")]) == (
        done,
        [(one["line"], one["code"]) for one in json.loads(out)["diagnostics"]],
    )
    assert [] == list((desk.folder / "devices").iterdir())


# labels


def _read(made):
    rows = [
        bytes(0 if dark else 255 for dark in row for _ in range(4))
        for row in made.matrix_iter(border=4)
        for _ in range(4)
    ]
    picture = memoryview(b"".join(rows)).cast("B", (len(rows), len(rows[0])))
    return zxingcpp.read_barcodes(picture)[0].text


def test_another_library_reads_what_is_on_a_label():
    """The code holds the identity and its check."""
    for number in range(20):
        device = bytes([number]) * 8

        assert device == parse_label(_read(code(device)))


def test_wrong_character_of_a_label_is_found():
    """Any digit that was typed wrongly."""
    text = label_text(bytes(range(8)))
    for at in range(len("OUTSTATION:1:"), len("OUTSTATION:1:") + 16):
        with pytest.raises(LabelWrong):
            parse_label(f"{text[:at]}{'F' if text[at] != 'F' else '0'}{text[at + 1 :]}")
    assert bytes(range(8)) == parse_label(text.lower().removeprefix("outstation:1:"))


def test_sheets_show_every_device_and_no_secret(desk):
    """Each label has the code, name, site and check; nothing of a key is on any of them."""
    desk.list.write_text("name,site\n" + "".join(f"device <{n}>,north\n" for n in range(25)))
    desk.devices()
    done, _, _ = desk.run("labels", "--png", desk.folder / "labels")
    sheets = sorted((desk.folder / "labels").glob("*.svg"))
    text = "".join(sheet.read_text() for sheet in sheets)
    secrets = [
        read_device(path)["link"]["secret"] for path in (desk.folder / "devices").glob("*/device.toml")
    ]

    assert (OK, 2, 25) == (done, len(sheets), len(list((desk.folder / "labels").glob("*.png"))))
    assert 25 == sum(len(ET.parse(sheet).findall("{*}g")) for sheet in sheets)
    with provision.Office(desk.config) as office:
        assert all(label_check(device) in text for device in office.store.device_ids())
    assert not [secret for secret in secrets if secret in text.lower()]


def test_label_says_which_device_it_is(desk):
    """Read back by a command; one of nobody is said to be so."""
    desk.devices()
    with provision.Office(desk.config) as office:
        device = office.store.device_ids()[0]
    done, out, _ = desk.run("read-label", label_text(device))
    unknown, _, err = desk.run("read-label", label_text(bytes(8)))

    assert (OK, True) == (done, device.hex() in out)
    assert (USAGE, True) == (unknown, "office-no-such-device" in err)
