"""Faults of who may do what, planted into the real code. Each name says what a careless office would do.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

import os

from office_ingest import permissions
from office_ingest.govern import door, people, tokens
from office_ingest.govern.acts import Acts
from office_ingest.receive import api
from office_ingest.show import asked, login, site


def leave_a_command_undeclared(put):
    """A command names no permission, and passes."""
    from office_ingest.cli import findings

    put(findings, "callback", findings.callback.__wrapped__)


def leave_a_route_undeclared(put):
    """A route names no permission."""
    put(asked, "declared", lambda *_permissions: {})


def let_the_undeclared_pass(put):
    """Ask nothing on a route that names nothing."""
    put(api, "OPEN", None)


def let_every_command_pass(put):
    """Find every permission in every role on the command line."""
    put(door, "lacks", lambda role, needed: None)


def let_every_token_pass(put):
    """Find every permission in every role over HTTP."""
    put(people, "lacks", lambda role, needed: None)


def widen_a_role(put):
    """Give operators what only authors have."""
    wide = permissions.ROLES["operator"] | {permissions.BUILD_RELEASES}
    put(permissions, "ROLES", {**permissions.ROLES, "operator": wide})


def forget_that_tokens_end(put):
    """Compare a token after its end as before."""
    kept = tokens.Token.state
    put(
        tokens.Token,
        "state",
        lambda self, now_ms: "good" if self.revoked_ms is None else kept(self, now_ms),
    )


def forget_that_tokens_are_revoked(put):
    """Let a revoked token in until its end."""
    put(tokens.Token, "state", lambda self, now_ms: "good" if now_ms < self.expires_ms else "expired")


def believe_a_changed_row(put):
    """Take whatever role the file says."""
    put(tokens, "is_as_written", lambda values, digest: True)


def compare_the_identity_only(put):
    """Take any token with the identity of one."""
    put(tokens.hmac, "compare_digest", lambda one, other: True)


def keep_the_token(put):
    """Write the token itself into the database."""
    put(tokens, "token_hash", lambda token: token.encode())


def show_all_sites(put):
    """Pass over the sites of a token."""
    put(asked, "_of_sites", lambda rows, person: rows)


def write_nothing_down(put):
    """Keep no row of what was done."""
    put(Acts, "add", lambda self, *_of: None)


def believe_the_environment(put):
    """Take a variable's word for who the user is."""

    def named(_user):
        return type("Entry", (), {"pw_name": os.environ.get("LOGNAME")})

    put(door, "pwd", type("Pwd", (), {"getpwuid": staticmethod(named)}))


def open_a_page(put):
    """Ask nobody on one page."""
    put(login, "OPEN_PATHS", (*login.OPEN_PATHS, "/findings"))


def leave_a_page_undeclared(put):
    """A page names no permission."""
    put(site, "NEEDS", {name: needed for name, needed in site.NEEDS.items() if name != "explain"})


def take_any_form(put):
    """Let another page's form sign in and out."""
    put(login, "is_own", lambda request: True)


def keep_a_session_of_a_revoked_token(put):
    """Ask for the token once and never again."""
    kept = tokens.of_identity
    put(tokens.Token, "state", lambda self, now_ms: "good")
    put(login, "of_identity", kept)


FAULTS = {
    plant.__name__: plant
    for plant in (
        leave_a_command_undeclared,
        leave_a_route_undeclared,
        let_the_undeclared_pass,
        let_every_command_pass,
        let_every_token_pass,
        widen_a_role,
        forget_that_tokens_end,
        forget_that_tokens_are_revoked,
        believe_a_changed_row,
        compare_the_identity_only,
        keep_the_token,
        show_all_sites,
        write_nothing_down,
        believe_the_environment,
        open_a_page,
        leave_a_page_undeclared,
        take_any_form,
        keep_a_session_of_a_revoked_token,
    )
}
