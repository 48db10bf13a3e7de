"""A board of silicon with a claim, from its first start to the device that it is admitted as; only what silicon has is a fake."""

import json

import pytest

from tests.agent.test_newcomer import BOARD, CLAIM_SECRET, sealed
from tests.boards.boots import FakeBoard
from tests.boards.gate import AdmissionGate
from tests.boards.test_boot import ONE_OF_EACH
from tools.board.settings import claimed_items
from tools.claims import claim_items

SECTORS = 16


@pytest.fixture(params=ONE_OF_EACH)
def board(request, tmp_path):
    return FakeBoard(request.param, tmp_path / "board")


def give_claim(board, tmp_path, port):
    """Put onto a board what `outstation provision claims --board` writes for it."""
    settings = tmp_path / "board.toml"
    settings.write_text('sensors = ["sht31"]\n[wifi]\nssid = "site"\nkey = "a long secret"\n')
    place = {"host": "127.0.0.1", "port": port, "sectors": SECTORS}
    items = claim_items(BOARD, CLAIM_SECRET, board.board.name, **place)
    items["board"] = claimed_items(settings, board.board, SECTORS)
    (board.root / "claim.json").write_text(json.dumps(items))


def test_board_with_a_claim_becomes_the_device_that_it_is_admitted_as(board, tmp_path):
    """It joins its network, says who it is, takes its keys, forgets its claim, and begins anew as a device with its own sensors."""
    with AdmissionGate(sealed()) as gate:
        give_claim(board, tmp_path, gate.port)
        said = board.run()

    assert f"board {BOARD.hex()} announces itself" in said
    assert "fake: joins site" in said
    assert f"board {BOARD.hex()} is admitted" in said
    assert "fake: reset" in said
    assert gate.heard == {(BOARD, board.board.name)}
    assert not (board.root / "claim.json").exists()
    said = board.hear("wifi joined")
    assert f"device {BOARD.hex()} runs, boot 1," in said
    assert "refused" not in said


def test_service_pin_leaves_the_console_to_a_person_before_any_announcement(board, tmp_path):
    """Whoever gave the board a wrong claim gets at it again."""
    give_claim(board, tmp_path, 9)
    said = board.run(HELD="0 22")

    assert "fake: prompt" in said
    assert "announces itself" not in said
    assert (board.root / "claim.json").exists()


@pytest.mark.parametrize(
    ("claim", "words"),
    [("{", "not provisioned: no settings on flash"), ('{"claim": {}}', "KeyError: ")],
    ids=["no JSON", "no claim"],
)
def test_spoiled_claim_makes_no_device_and_is_said(board, claim, words):
    """At the console, or at each new beginning; the file stays as it is."""
    (board.root / "claim.json").write_text(claim)
    said = board.run()

    assert words in said
    assert "runs, boot" not in said
    assert (board.root / "claim.json").read_text() == claim
