"""Answers that say what is wrong, as problem details (RFC 9457)."""

from fastapi.responses import JSONResponse

from office_ingest.govern.enrolment import Refused

PROBLEM = "application/problem+json"
TYPE = "urn:outstation:problem:"
_TITLES = {400: "Malformed", 401: "No gateway with this token", 403: "Refused", 409: "Conflict"}


class Problem(Exception):
    """An answer that says what is wrong. title: a short sentence, always the same for a status; detail: this case; kind: of its type."""

    def __init__(
        self, status: int, title: str, detail: str = "", headers: dict[str, str] | None = None, kind: str = ""
    ):
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers or {}
        self.kind = kind

    def response(self) -> JSONResponse:
        """Return the problem as RFC 9457 has it."""
        body = {
            "type": TYPE + self.kind if self.kind else "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail or self.title,
        }
        return JSONResponse(body, self.status, self.headers, PROBLEM)


def refusal(refused: Refused) -> Problem:
    """Return what a caller is answered who is not recognised or gets no certificate."""
    headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
    return Problem(refused.status, _TITLES[refused.status], refused.detail, headers, refused.kind)
