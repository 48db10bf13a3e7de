"""The commands that give a device an order: what they do, print, wait for, and with which exit code they end."""

import getpass

import pytest

from office_ingest.govern import command_cli
from office_ingest.govern.commands import WAITING_MAX
from office_ingest.storage.downward import Downward
from protocol.command import DONE, GUARDED, LATE, parse_command
from protocol.diagnostic import FINDING, OK, TRY_AGAIN, USAGE
from protocol.event import COMMAND
from rules.guard import TOO_SOON
from tests.office_ingest.test_takings import beat, say
from tools.cli import run


def _given(field):
    return Downward(field.desk.store).commands(field.first.device)


@pytest.mark.parametrize(
    ("words", "demand", "told"),
    [
        (("set", "first", 1, 1), [0, 1, 1], "set actuator 1 to 1"),
        (("setting", "first", "sample_ms", 5000), [1, 1, 5000], "change setting sample_ms to 5000"),
        (("report", "first"), [2], "report"),
    ],
)
def test_command_is_handed_down_with_the_next_answer_and_waits(field, words, demand, told):
    """What was typed is sealed for that device, and given to its gateway when it next speaks; unanswered is no failure."""
    code, out, _ = field.run("command", *words)
    (raw,) = beat(field.desk, field.first).commands
    sealed = parse_command(raw).fields

    assert (OK, f"command 1: {told}: waiting\n") == (code, out)
    assert (field.first.device, 1, demand) == (sealed.device, sealed.number, sealed.demand)
    assert [] == beat(field.desk, field.second).commands


def test_command_as_json_names_its_schema_and_who_gave_it(field):
    """Without --author it is the user of this machine; the device may be named by its identity."""
    code, document = field.ask("command", "report", field.first.device.hex())
    by = field.ask("command", "report", "first", "--author", "A. Author")[1]

    assert (OK, "outstation.command", 1) == (code, document["schema"], document["version"])
    assert (field.first.device.hex(), 1, [2], "waiting", None) == (
        *(document["device"], document["number"], document["demand"], document["state"]),
        document["verdict"],
    )
    assert (getpass.getuser(), "A. Author") == (document["author"], by["author"])


@pytest.mark.parametrize(
    ("text", "lasts_ms"), [("90s", 90_000), ("10m", 600_000), ("2h", 7_200_000), ("30d", 2_592_000_000)]
)
def test_for_says_how_long_it_may_be_carried_out(field, text, lasts_ms):
    """The time is sealed into the command, so that the device itself refuses what comes late."""
    document = field.ask("command", "report", "first", "--for", text)[1]
    (one,) = _given(field)

    assert lasts_ms == document["until_ms"] - document["made_ms"]
    assert document["until_ms"] == parse_command(one.raw).fields.until_ms


@pytest.mark.parametrize("text", ["", "10", "m", "0s", "-5m", "1.5h", "31d", "5w", "\u0661s"])
def test_for_that_is_no_time_is_refused(field, text):
    """Neither an unknown unit, nor nothing, nor more than a month; no command is given then."""
    code, name, said, fix = field.refused("command", "report", "first", "--for", text)

    assert (USAGE, "usage-wrong") == (code, name)
    assert f"--for {text} is no time of 1s to 30d" in said
    assert "90s" in fix
    assert [] == _given(field)


def _answering(field, monkeypatch, *said):
    """Let the device answer while the command line waits: in place of its first nap."""

    def nap(_seconds):
        if _given(field)[0].verdict is None:
            say(field.desk, field.first, COMMAND, _given(field)[0].number, *said)

    monkeypatch.setattr(command_cli.time, "sleep", nap)


def test_wait_ends_with_the_devices_own_answer(field, monkeypatch):
    """The event that the device sealed is what is shown, and done ends with 0."""
    _answering(field, monkeypatch, [2], DONE, {0: 5000})
    code, out, _ = field.run("command", "report", "first", "--wait", 60)

    assert (OK, ["command 1: report: done", "  answer {'0': 5000}"]) == (code, out.splitlines())


@pytest.mark.parametrize(
    ("verdict", "outcome", "state"),
    [(LATE, None, "late"), (GUARDED, [TOO_SOON, 7], "refused by the gate: too soon")],
)
def test_wait_ends_with_one_where_it_was_not_carried_out(field, monkeypatch, verdict, outcome, state):
    """Late, or refused by the gate: the device said no, and the exit code says so."""
    _answering(field, monkeypatch, [0, 1, 1], verdict, outcome)
    code, document = field.ask("command", "set", "first", 1, 1, "--wait", 60)

    assert (FINDING, state, outcome) == (code, document["state"], document["answer"])


def test_wait_that_is_over_without_an_answer_says_try_again(field, monkeypatch):
    """The command goes on waiting; who wanted the answer asks later."""
    monkeypatch.setattr(command_cli.time, "sleep", lambda seconds: None)
    code, out, _ = field.run("command", "report", "first", "--wait", 0.01)

    assert (TRY_AGAIN, "command 1: report: waiting\n") == (code, out)
    assert 1 == len(beat(field.desk, field.first).commands)


def test_list_shows_the_newest_first_and_how_each_ended(field):
    """Waiting, done and late, by whom; as JSON the same with the answers."""
    for _ in range(2):
        field.run("command", "report", "first", "--author", "A. Author")
    field.run("command", "setting", "first", "heartbeat_ms", 5000, "--author", "B. Author")
    say(field.desk, field.first, COMMAND, 1, [2], DONE, {0: 5000})
    say(field.desk, field.first, COMMAND, 3, [1, 0, 5000], LATE, None)
    code, out, _ = field.run("command", "list", "first")
    document = field.ask("command", "list", "first")[1]

    assert OK == code
    assert [
        ["3", "change", "setting", "heartbeat_ms", "to", "5000", "late", "by", "B.", "Author"],
        ["2", "report", "waiting", "by", "A.", "Author"],
        ["1", "report", "done", "by", "A.", "Author"],
    ] == [line.split() for line in out.splitlines()]
    assert ("outstation.command-list", 1, field.first.device.hex()) == (
        *(document["schema"], document["version"], document["device"]),
    )
    assert [(3, LATE, None), (2, None, None), (1, DONE, {"0": 5000})] == [
        (one["number"], one["verdict"], one["answer"]) for one in document["commands"]
    ]


def test_list_without_a_command_says_how_to_give_one(field):
    """An empty answer leads on."""
    assert (OK, "no command yet; next: outstation command report DEVICE\n") == (
        field.run("command", "list", "second")[:2]
    )


@pytest.mark.parametrize(
    "words",
    [
        ("set", "nobody", 1, 1),
        ("setting", "nobody", "sample_ms", 500),
        ("report", "nobody"),
        ("list", "nobody"),
    ],
)
def test_device_that_is_not_there_is_said(field, words):
    """With the command that shows those that are."""
    code, name, said, fix = field.refused("command", *words)

    assert (USAGE, "office-no-such-device", "no device is called nobody") == (code, name, said)
    assert "outstation office devices" in fix


@pytest.mark.parametrize(
    ("words", "name", "said"),
    [
        (("set", "first", 99, 1), "command-refused", "no gate for action 99"),
        (("set", "first", 1, -7), "command-refused", "the gate of action 1 lets 0 to 1 pass, not -7"),
        (("set", "first", "--for", "2h", 1, -7, "--wait", 0), "command-refused", "pass, not -7"),
        (("set", "first", -1, 1), "usage-wrong", "-1"),
        (("set", "first", 1, 1, "--fro", "10m"), "usage-no-such-option", "--fro"),
        (("set", "first", 1, 7), "command-refused", "the gate of action 1 lets 0 to 1 pass, not 7"),
        (
            ("setting", "first", "heartbeat_ms", 5),
            "command-refused",
            "heartbeat_ms is 1000 to 3600000, not 5",
        ),
        (("setting", "first", "colour", 5), "usage-wrong", "colour"),
        (("set", "first", "one", 1), "usage-wrong", "one"),
        (("set", "first", 1), "usage-missing", "VALUE"),
        (("report", "first", "--wait", -1), "usage-wrong", "-1"),
    ],
    ids=str,
)
def test_what_the_device_would_refuse_for_certain_is_not_given(field, words, name, said):
    """The person is told at once, with the limit, and nothing is sealed."""
    code, found, text, _ = field.refused("command", *words)

    assert (USAGE, name, True) == (code, found, said in text), text
    assert [] == _given(field)


def test_option_without_its_value_is_said(field, capsys):
    """Nothing behind it is taken for the value that is missing."""
    code = run(["command", "set", "first", "1", "1", "--config", field.settings, "--author"])

    assert (USAGE, True) == (code, "--author" in capsys.readouterr().err)
    assert [] == _given(field)


def test_more_commands_than_may_wait_are_refused(field):
    """A device that takes none cannot be buried under them."""
    for _ in range(WAITING_MAX):
        field.ask("command", "report", "first")
    code, name, said, _ = field.refused("command", "report", "first")

    assert (USAGE, "command-refused", f"{WAITING_MAX} commands wait for this device already") == (
        code,
        name,
        said,
    )
    assert OK == field.run("command", "report", "second")[0]


def test_device_without_keys_gets_no_command(field):
    """The office cannot seal for it; the person is told, and no row stays."""
    field.desk.registry.add_device(bytes(8), name="keyless", site="site-1", now_ms=1)
    code, name, _, _ = field.refused("command", "report", "keyless")

    assert (USAGE, "command-refused") == (code, name)
    assert [] == Downward(field.desk.store).commands(bytes(8))


def test_option_without_its_value_is_named_though_a_number_is_below_zero(capsys):
    """What is wrong is said, not that -5 is no option."""
    code = run(["command", "set", "first", "1", "-5", "--wait"])
    said = capsys.readouterr().err

    assert (USAGE, True, False) == (code, "'--wait' requires" in said, "-5" in said)
