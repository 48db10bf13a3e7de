"""Provisioning: what it makes is whole and private, and it refuses before it writes anything."""

import json
from hashlib import sha256

import pytest

from office_ingest.founding import found_office
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import make_key
from office_ingest.storage.downward import Downward
from protocol.diagnostic import NOT_ALLOWED, OK, USAGE, DiagnosticError
from rules.authoring.compile import compile_file
from tests.office_ingest.govern.release_bench import SMALL
from tools.cli import run
from tools.device import read_device
from tools.provision import Office

UPLINK = "https://127.0.0.1:8443"


def hardware_at_office(config):
    """Return the hardware of each device that an office knows."""
    with Office(config) as office:
        return [traits.hardware for _, traits in Downward(office.store).all_traits()]


@pytest.fixture
def office(tmp_path):
    return found_office(tmp_path / "office", now_ms=1_700_000_000_000)


@pytest.fixture
def site(office, tmp_path, capsys):
    """Return words -> (exit code, output, errors) of provisioning in a folder with an office and one gateway."""
    (tmp_path / "recording.csv").write_text("100,200\n,201\n")

    def provision(what, **options):
        chosen = {"name": what, "site": "north", "office": office}
        if what == "gateway":
            chosen |= {"uplink": UPLINK}
        else:
            chosen |= {"gateway": tmp_path / "gateway", "recording": tmp_path / "recording.csv"}
        folder = options.pop("folder", tmp_path / what)
        chosen |= options
        chosen = {name: value for name, value in chosen.items() if value is not None}
        words = [word for name, value in chosen.items() for word in (f"--{name}", str(value))]
        code = run(["provision", what, *words, str(folder)])
        said = capsys.readouterr()
        return code, said.out, said.err

    assert provision("gateway")[0] == OK
    return provision


def test_device_folder_is_whole_and_private(site, tmp_path, capsys):
    """What `device run` needs is there, and only the owner can read what is secret."""
    assert site("device")[0] == OK
    items = read_device(tmp_path / "device" / "device.toml")

    assert len(items["device"]) == 16
    for name in ("device/flash.bin", "device/link.toml", "gateway/links.toml", "gateway/token"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert items["link"]["secret"] in (tmp_path / "gateway" / "links.toml").read_text()


@pytest.mark.parametrize("hardware", ["unix", "mps2_an385", "rpi_pico_w"])
def test_office_and_device_know_the_same_hardware(site, office, tmp_path, hardware):
    """A release for it is meant for the device, on both sides; one for another board is not."""
    code, said, _ = site("device", hardware=hardware)

    assert code == OK
    assert read_device(tmp_path / "device" / "device.toml")["hardware"] == hardware
    assert hardware_at_office(office) == [hardware]
    assert ("device run" in said) == (hardware == "unix")


def test_secrets_are_not_printed(site, tmp_path):
    """Neither the token nor a link secret reaches the terminal."""
    code, out, err = site("device")
    token = (tmp_path / "gateway" / "token").read_text().strip()
    secret = read_device(tmp_path / "device" / "device.toml")["link"]["secret"]

    assert code == OK
    assert not {token, secret} & set((out + err).split())


def test_json_names_the_new_device(site, office, tmp_path, capsys):
    """A program learns the identity and where the settings are."""
    words = ["--office", str(office), "--gateway", str(tmp_path / "gateway"), "--name", "d", "--site", "s"]
    recording = ["--recording", str(tmp_path / "recording.csv")]
    assert run(["provision", "device", *words, *recording, "--json", str(tmp_path / "d")]) == OK
    document = json.loads(capsys.readouterr().out)

    assert (document["schema"], document["version"]) == ("outstation.provision-device", 1)
    assert document["device"] == read_device(tmp_path / "d" / "device.toml")["device"]


@pytest.mark.parametrize(
    ("what", "options", "codes"),
    [
        ("gateway", {"folder": "other"}, ["provision-name-taken"]),
        ("gateway", {"name": "two", "folder": "gateway"}, ["provision-exists"]),
        ("gateway", {"name": "two", "uplink": "http://x", "folder": "other"}, ["usage-wrong"]),
        ("gateway", {"name": "two", "uplink": "https://", "folder": "other"}, ["usage-wrong"]),
        ("gateway", {"name": "two", "port": 99999, "folder": "other"}, ["usage-wrong"]),
        ("gateway", {"name": "two\nlines", "site": "", "folder": "other"}, ["provision-name"] * 2),
        ("device", {"gateway": "nowhere"}, ["provision-no-gateway"]),
        ("device", {"sectors": 1}, ["usage-wrong"]),
        ("device", {"recording": "office/office.db"}, ["recording-wrong"]),
        ("device", {"recording": "words.csv"}, ["recording-wrong"]),
        ("device", {"recording": "empty.csv"}, ["recording-wrong"]),
        ("device", {"name": " x", "gateway": "nowhere"}, ["provision-name", "provision-no-gateway"]),
        ("device", {"office": "nope.toml"}, ["settings-unreadable"]),
    ],
)
def test_mistakes_are_named_and_nothing_is_made(site, tmp_path, what, options, codes):
    """Each mistake has its code and a way out; no folder is begun and nobody is told of a device."""
    (tmp_path / "words.csv").write_text("1,2\n3,many\n")
    (tmp_path / "empty.csv").write_text("")
    paths = {"folder", "gateway", "recording", "office"}
    placed = {name: tmp_path / value if name in paths else value for name, value in options.items()}
    links = (tmp_path / "gateway" / "links.toml").read_text()
    code, _, said = site(what, **placed)

    assert code == USAGE
    assert [line.split("]")[0][6:] for line in said.splitlines() if line.startswith("error[")] == codes
    assert said.count("  fix: ") == len(codes)
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "device").exists()
    assert (tmp_path / "gateway" / "links.toml").read_text() == links


def test_fifth_root_is_refused_before_anything_is_written(site, office, tmp_path):
    """A device takes four; which of five to leave out is a person's to say."""
    with Office(office) as opened:
        for number in range(5):
            public, _, envelope = make_key(tmp_path / f"key-{number}", now_ms=number, **SMALL)
            Shelf(opened.store).add_root(public, envelope, number)
            if number == 3:
                assert site("device", name="one", folder=tmp_path / "one")[0] == OK
    code, _, said = site("device", name="two", folder=tmp_path / "two")

    assert (USAGE, 4) == (code, len((tmp_path / "one" / "roots").read_text().splitlines()))
    assert "provision-roots" in said
    assert "5 roots sign releases here" in said
    assert not (tmp_path / "two").exists()


def test_device_name_is_given_once(site, tmp_path):
    """Two devices of one name could not be told apart in any list."""
    assert site("device")[0] == OK
    code, _, said = site("device", folder=tmp_path / "second")

    assert (code, "error[provision-name-taken]" in said) == (USAGE, True)


def test_wrong_row_of_a_recording_is_shown(site, tmp_path):
    """The row, its number and what it must hold stand in the message."""
    (tmp_path / "words.csv").write_text("1,2\n3,many\n")
    said = site("device", recording=tmp_path / "words.csv")[2]

    assert "words.csv:2:1: this row is not 2 whole numbers" in said
    assert "3,many" in said


def test_office_whose_keystore_is_open_to_others_is_not_added_to(site, office, tmp_path):
    """No new keys go into a file that others can read."""
    (office.parent / "keystore.db").chmod(0o644)
    code, _, said = site("device")

    assert (code, "chmod 600" in said) == (NOT_ALLOWED, True)
    assert not (tmp_path / "device").exists()


@pytest.mark.parametrize(
    ("link", "is_right"),
    [
        ('serial = "/dev/ttyS0"', True),
        ('serial = "/dev/ttyS0"\nbaud = 9600', True),
        ('serial = "/dev/ttyS0"\nhost = "gateway.lan"', False),
        ("port = 5683", False),
        ('serial = "ttyS0"', False),
        ('serial = "/dev/ttyS0"\nbaud = 115000', False),
        ('serial = "/dev/ttyS0"\nhost = "gateway.lan"\norder = ["serial", "udp"]', True),
        ('serial = "/dev/ttyS0"\nhost = "gateway.lan"\norder = ["udp", "udp"]', False),
        ('serial = "/dev/ttyS0"\nhost = "gateway.lan"\norder = ["udp"]', False),
        ('serial = "/dev/ttyS0"\norder = ["udp", "serial"]', False),
        ('serial = "/dev/ttyS0"\nhost = "gateway.lan"\norder = []', False),
        ('serial = "/dev/ttyS0"\nradio = "127.0.0.1:4000"\norder = ["ble", "serial"]', True),
        ('serial = "/dev/ttyS0"\nradio = "[::1]:4000"\norder = ["ble", "serial"]', False),
        ('serial = "/dev/ttyS0"\nradio = "127.0.0.1:4000"', False),
        (
            'serial = "/dev/ttyS0"\nhost = ""\nradio = "127.0.0.1:4000"\norder = ["udp", "serial", "ble"]',
            True,
        ),
        ('serial = "/dev/ttyS0"\nhost = ""\nradio = "127.0.0.1:4000"\norder = ["udp", "serial"]', False),
        ('serial = "/dev/ttyS0"\nhost = ""\norder = ["udp", "serial", "ble"]', False),
        ('serial = "/dev/ttyS0"\norder = ["serial"]', False),
    ],
)
def test_device_has_an_address_or_a_serial_port(site, tmp_path, link, is_right):
    """Or a radio; one, or several in an order; and a rate that the port can be set to."""
    site("device", folder=tmp_path / "d")
    config = tmp_path / "d" / "device.toml"
    config.write_text(config.read_text().partition("[link]")[0] + f"[link]\n{link}\n")
    if is_right:
        assert read_device(config)["link"]["serial"] == "/dev/ttyS0"
    else:
        with pytest.raises(DiagnosticError, match="link"):
            read_device(config)


LOOKED_FOR = [
    ('host = ""', None),
    (
        'host = "gateway.lan"\ndiscover = true\ngroups = ["224.0.1.187", "ff05::fd"]\nlocal = "192.0.2.7"',
        None,
    ),
    ("discover = true", "discover is for a network"),
    ('serial = "/dev/ttyS0"\ndiscover = true', "discover is for a network"),
    ('host = "gateway.lan"\nlocal = "192.0.2.7"', "looked for"),
    ('host = ""\ngroups = ["all nodes"]', '"all nodes" is no multicast address'),
    ('host = ""\ngroups = ["192.0.2.7"]', '"192.0.2.7" is no multicast address'),
    ('host = ""\nlocal = "eth0"', '"eth0" is no address'),
]


@pytest.mark.parametrize(("link", "words"), LOOKED_FOR, ids=[row[0] for row in LOOKED_FOR])
def test_device_that_looks_for_its_gateway_is_told_where(site, tmp_path, link, words):
    """What is no address would be passed over on the device, which would look for ever and say nothing."""
    site("device", folder=tmp_path / "d")
    config = tmp_path / "d" / "device.toml"
    config.write_text(config.read_text().partition("[link]")[0] + f"[link]\n{link}\n")
    if words is None:
        assert read_device(config)["link"]["discover"] == ("discover" in link)
    else:
        with pytest.raises(DiagnosticError, match=words):
            read_device(config)


CLIMATE = """
name: climate
sample: 5s
channels:
  temperature: {unit: Cel, scale: -2, range: [-40.00, 125.00]}
guard:
  fan: {action: 0, range: [0, 1], safe: 0}
rule:
  name: warm
  id: 1
  description: The fan runs above 25 degrees.
  match:
    - condition: temperature > 25.00
      output: {fan: 1}
      explanation: it is warm
    - output: {fan: 0}
"""


def test_device_begins_with_the_channels_and_rules_of_its_policy(site, office, tmp_path):
    """Device and office have the same ones, the pace is the policy's, and no recording is needed: the sensors give the readings."""
    policy = tmp_path / "climate.yaml"
    policy.write_text(CLIMATE)
    assert site("device", policy=policy, recording=None)[0] == OK
    folder = tmp_path / "device"
    compiled, _ = compile_file(policy)
    with Office(office) as books:
        traits = dict(Downward(books.store).all_traits())

    assert (folder / "schema.cbor").read_bytes() == compiled.schema
    assert (folder / "bundle.cbor").read_bytes() == compiled.bundle
    assert [one.schema for one in traits.values()] == [sha256(compiled.schema).digest()[:8]]
    assert (read_device(folder / "device.toml")["sample_ms"], "clock_scale" in _text(folder)) == (5000, False)
    assert (folder / "recording.csv").read_text() == "\n"


def _text(folder):
    return (folder / "device.toml").read_text()


def test_wrong_policy_is_refused_before_anything_is_written(site, tmp_path):
    """With what is wrong with it, at its line."""
    policy = tmp_path / "climate.yaml"
    policy.write_text(CLIMATE.replace("temperature >", "humidity >"))
    code, _, said = site("device", policy=policy, recording=None)

    assert code != OK
    assert "climate.yaml:13" in said or "humidity" in said
    assert not (tmp_path / "device").exists()


def test_recording_has_a_column_for_each_channel_of_the_policy(site, tmp_path):
    """Two columns for one channel are somebody else's."""
    policy = tmp_path / "climate.yaml"
    policy.write_text(CLIMATE)
    code, _, said = site("device", policy=policy)

    assert code == USAGE
    assert "this row is not 1 whole numbers" in said
