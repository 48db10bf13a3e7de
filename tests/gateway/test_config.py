"""What a person writes for the gateway: every mistake at once, with its place and what to do."""

import os

import pytest

from gateway.config import read_configuration, read_links
from gateway.points import read_kill_point
from protocol.diagnostic import NOT_ALLOWED, USAGE, DiagnosticError
from tests.gateway.site import device_id, secret_of, write_private


def mistakes(read, *arguments):
    with pytest.raises(DiagnosticError) as caught:
        read(*arguments)
    return caught.value


def test_files_are_found_beside_the_settings(files):
    """A file that is not named has its name beside gateway.toml; a name is relative to gateway.toml."""
    path = files()
    text = path.read_text().replace('name = "gw-1"', 'name = "gw-1"\ndatabase = "data/store.db"')
    path.write_text(text)

    configuration = read_configuration(path)

    assert configuration.files.database == path.parent / "data/store.db"
    assert configuration.files.links == path.parent / "links.toml"
    assert configuration.settings.uplink.batch_segments == 256
    assert configuration.links[0] == (device_id(1), b"\x01", secret_of(1))


def test_every_mistake_of_the_settings_is_named_with_its_line(tmp_path):
    """An unknown key, a missing one, a wrong type and a value out of range are all said in one run."""
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[gateway]\nsite = "north"\ndatabse = "x.db"\n[listen]\nport = 70000\n'
        '[uplink]\nurl = "http://office"\nretry_min_s = "soon"\n'
    )

    error = mistakes(read_configuration, path)

    found = {(d.code, d.line) for d in error.diagnostics}
    assert found == {
        ("settings-missing-key", 1),
        ("settings-unknown-key", 3),
        ("settings-out-of-range", 5),
        ("settings-out-of-range", 7),
        ("settings-wrong-type", 8),
    }
    assert "did you mean database?" in str(error)
    assert error.exit_code == USAGE


def test_waits_that_contradict_each_other_are_refused(files):
    """retry_min_s above retry_max_s is said, not swapped."""
    path = files()
    path.write_text(path.read_text().replace("retry_min_s = 0.05", "retry_min_s = 9"))

    assert "above retry_max_s" in str(mistakes(read_configuration, path))


@pytest.mark.parametrize("name", ["links.toml", "token"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_secret_that_others_can_read_is_refused(files, name, mode):
    """A file with a secret must be closed to others; the message holds the command that closes it."""
    path = files()
    secret = path.parent / name
    os.chmod(secret, mode)

    error = mistakes(read_configuration, path)

    assert [d.code for d in error.diagnostics] == ["file-open-to-others"]
    assert error.diagnostics[0].fix == f"chmod 600 {secret}"


def test_mistakes_of_all_files_are_said_together(files):
    """A missing token, a missing authority and a broken links.toml are three mistakes of one run."""
    path = files()
    (path.parent / "token").unlink()
    (path.parent / "office-ca.pem").unlink()
    (path.parent / "links.toml").write_text('[[device]]\nid = "12"\nkid = "01"\nsecret = "zz"\n')

    error = mistakes(read_configuration, path)

    named = sorted({os.path.basename(d.file) for d in error.diagnostics})
    assert named == ["links.toml", "office-ca.pem", "token"]
    assert len(error.diagnostics) == 4
    assert "zz" not in "".join(d.fix or "" for d in error.diagnostics)


@pytest.mark.parametrize("double", ["id", "kid"])
def test_two_devices_with_one_name_are_refused(tmp_path, double):
    """Two entries with one identity or one sender ID would share keys or answers."""
    fields = {"id": ["01" * 8, "02" * 8], "kid": ["01", "02"]}
    fields[double][1] = fields[double][0]
    entries = [
        f'[[device]]\nid = "{fields["id"][n]}"\nkid = "{fields["kid"][n]}"\nsecret = "{"ab" * 16}"\n'
        for n in (0, 1)
    ]
    write_private(tmp_path / "links.toml", "".join(entries))

    assert f"device[2].{double}" in str(mistakes(read_links, tmp_path / "links.toml"))


def test_empty_token_is_refused(files):
    """A token of nothing but blanks is a mistake of provisioning."""
    path = files()
    (path.parent / "token").write_text("  \n")

    assert "holds no token" in str(mistakes(read_configuration, path))


@pytest.mark.parametrize("text", ["before_lunch:1", "before_commit", "before_commit:0", "before_commit:x"])
def test_unknown_kill_point_is_refused(text):
    """A misspelt kill point would make a test pass without killing anything."""
    assert "arms no point" in str(mistakes(read_kill_point, text))


def test_exit_code_says_not_allowed_where_only_the_mode_is_wrong(files):
    """links.toml alone is readable by others: exit 4."""
    path = files()
    os.chmod(path.parent / "links.toml", 0o644)

    assert mistakes(read_links, path.parent / "links.toml").exit_code == NOT_ALLOWED


def test_serial_ports_have_a_default_rate(files):
    """A device or an address, and 115200 baud unless another rate is named; none unless one is."""
    path = files(
        more='[[serial]]\nport = "/dev/ttyUSB0"\n[[serial]]\nport = "socket://ser.lan:4001"\nbaud = 9600\n'
    )

    assert [(entry.port, entry.baud) for entry in read_configuration(path).settings.serial] == [
        ("/dev/ttyUSB0", 115200),
        ("socket://ser.lan:4001", 9600),
    ]
    assert read_configuration(files()).settings.serial == []


def test_every_mistake_of_a_serial_port_is_named(files):
    """A name that is no path, a rate that no line has, a misspelt key."""
    path = files(more='[[serial]]\nport = "COM3"\nbaud = 50\n[[serial]]\nport = "/dev/ttyS0"\nspeed = 9600\n')

    error = mistakes(read_configuration, path)

    assert sorted(found.code for found in error.diagnostics) == [
        "settings-out-of-range",
        "settings-out-of-range",
        "settings-unknown-key",
    ]
    assert 'serial[1].port is "COM3"' in str(error)


def test_one_port_for_two_lines_is_refused(files):
    """Each of them would read half of what comes."""
    path = files(more='[[serial]]\nport = "/dev/ttyS0"\n[[serial]]\nport = "/dev/ttyS0"\nbaud = 9600\n')

    assert "serial[2].port is /dev/ttyS0" in str(mistakes(read_configuration, path))
