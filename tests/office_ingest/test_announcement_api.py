"""What a gateway is answered that brings boards: only one that shows a certificate, and only what is well formed."""

import asyncio
import contextlib

import pytest
from fastapi import Request

from office_ingest.receive.problem import Problem
from office_ingest.receive.request_body import read_body
from protocol.announcements import PATH, REQUEST_BYTES_MAX, encode_announcements, parse_admissions
from protocol.cbor import dumps
from protocol.limits import announcements_max
from tests.office_ingest.test_api import calling

SAID = [(b"board 01", b"sealed for it")]
BODY = encode_announcements([b"an announcement"])


class Bringing:
    """One gateway's calls about boards. asked: what came through to whoever knows the boards."""

    def __init__(self, call):
        self._call = call
        self.asked = []

    def _hear(self, gateway, announced):
        self.asked.append((gateway, announced))
        return SAID

    def bring(self, body, **about):
        return self._call("POST", PATH, body, heard=self._hear, **about)


@contextlib.contextmanager
def brings(desk):
    with calling(desk) as call:
        yield Bringing(call)


@pytest.fixture
def bringing(desk):
    with brings(desk) as made:
        yield made


def check_token_brings_no_boards(bringing):
    """Bring a board with a token, and look whether anything was said of it, or even looked up."""
    response = bringing.bring(BODY)

    assert (403, []) == (response.status_code, bringing.asked)
    assert "urn:outstation:problem:certificate-needed" == response.json()["type"]


def test_a_token_brings_no_boards(bringing):
    """An admission holds a device's keys: a token is a text that can be copied."""
    check_token_brings_no_boards(bringing)


def test_who_shows_a_certificate_is_answered(bringing):
    """What is known of the boards, by the name of the certificate's gateway."""
    response = bringing.bring(BODY, headers={}, certified=True)

    assert (200, "application/cbor") == (response.status_code, response.headers["content-type"])
    assert SAID == parse_admissions(response.content)
    assert [("gw-2", [b"an announcement"])] == bringing.asked


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        (dumps({}), 400),
        (dumps([b""]), 400),
        (dumps([b"a"] * (announcements_max + 1)), 400),
        (bytes(REQUEST_BYTES_MAX + 1), 413),
    ],
)
def test_what_is_no_list_of_announcements_is_a_problem(bringing, body, status):
    """It is said what is wrong, and nobody is asked."""
    response = bringing.bring(body, headers={}, certified=True)

    assert (status, []) == (response.status_code, bringing.asked)
    assert "application/problem+json" == response.headers["content-type"]


def test_request_that_is_cut_off_is_answered_in_words():
    """A gateway that is killed while it sends leaves no fault of the office behind."""
    sent = iter([{"type": "http.request", "body": BODY[:3], "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(sent)

    request = Request({"type": "http", "headers": []}, receive)
    with pytest.raises(Problem, match="ended too early"):
        asyncio.run(read_body(request, REQUEST_BYTES_MAX, "a list of announcements"))
