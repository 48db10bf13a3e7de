"""Faults of the office's way down, planted into the real code. Each name says what a broken office would do.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

from office_ingest import overview
from office_ingest.govern import rollout
from office_ingest.govern.shelf import Shelved
from office_ingest.prove import downward, explain, origin, sealed
from office_ingest.prove.downward import Told
from office_ingest.storage.downward import Downward
from office_ingest.watch.releases import ReleaseWatch
from protocol.adoption import CONFIRMED, STEP_NAMES


def count_adoption_events(put):
    """Count a device as running a release because it said that it confirmed it."""
    honest = rollout.progress_of

    def progress_of(*arguments):
        step = arguments[-1]
        return honest(*arguments)._replace(runs=step is not None and step.step == CONFIRMED)

    put(rollout, "progress_of", progress_of)


def list_half_signed(put):
    """Want a release that lacks a signature."""
    put(Shelved, "state", property(lambda self: "signed"))


def serve_any_site(put):
    """Hand a release to whichever gateway asks."""
    put(rollout.Rollouts, "is_for_site", lambda self, number, gateway: True)


def reuse_command_numbers(put):
    """Number commands by how many were given."""

    def next_command(self, device):
        return sum(row.raw is not None for row in self.commands(device)) + 1

    put(Downward, "next_command", next_command)


def name_answered_commands(put):
    """Go on handing down what was answered."""

    def waiting(self, device, now_ms, most):
        return [row.raw for row in self.commands(device) if row.raw is not None][:most]

    put(Downward, "waiting_commands", waiting)


def mean_every_cohort(put):
    """Want a release on devices that it is not for."""
    put(rollout, "is_meant", lambda manifest, device, traits: True)


def never_see_drift(put):
    """Take whatever a heartbeat names for accounted for."""
    put(ReleaseWatch, "_is_explained", lambda self, *of: True)


def keep_drift(put):
    """Leave a finding open when its cause is over."""
    put(ReleaseWatch, "_clear", lambda self, *of: None)


def want_the_lowest(put):
    """Want the lowest release that fits."""
    honest = rollout.Rollouts.refresh

    def refresh(self):
        honest(self)
        self._running.reverse()

    put(rollout.Rollouts, "refresh", refresh)


def answer_any_demand(put):
    """Take an answer for a command's whatever it was asked for."""
    honest = Downward.answer_command

    def answer(self, device, number, demand, *rest):
        held = self.command(device, number)
        return honest(self, device, number, held.demand if held else demand, *rest)

    put(Downward, "answer_command", answer)


def explain_by_history(put):
    """Take every release that a device ever confirmed, and what was provisioned, for what should decide."""

    def is_explained(self, device, digest, adoptions):
        once = [self._shelf.get(one.number) for one in adoptions if one.step == CONFIRMED]
        known = [rollout.rules_digest(held.manifest) for held in once if held is not None]
        return digest in [*known, self._down.traits(device).bundle]

    put(ReleaseWatch, "_is_explained", is_explained)


def keep_the_last_answer(put):
    """Let a second answer to a command stand in place of the first, and say nothing."""
    honest = Downward.command

    def command(self, device, number):
        held = honest(self, device, number)
        return None if held is None else held._replace(event_order=None)

    put(Downward, "command", command)


def believe_adoptions(put):
    """Walk past the adoptions' rows: whatever they say, no event is asked."""
    put(Told, "_compare_adoptions", lambda self, *of: None)


def believe_answers(put):
    """Walk past the answers to commands."""
    put(Told, "_compare_answers", lambda self, *of: None)


def believe_added_rows(put):
    """Compare only rows that an event has: one that nobody sealed is passed over."""
    honest = Told.compare

    def compare(self, connection, report, may_be_unread):
        honest(self, connection, report, lambda order: True)

    put(Told, "compare", compare)


def believe_deleted_rows(put):
    """Look at the rows that are there, and miss none."""
    honest = Told.compare

    def compare(self, connection, report, may_be_unread):
        there = set(
            connection.execute("SELECT epoch, event_order FROM adoptions WHERE device = ?", (self._device,))
        )
        self._adoptions = {at: said for at, said in self._adoptions.items() if at in there}
        honest(self, connection, report, may_be_unread)

    put(Told, "compare", compare)


def believe_reports(put):
    """Walk past the reports."""
    put(downward, "_check_reports", lambda *of: None)


def believe_issued_commands(put):
    """Never compare a command's row with its sealed bytes."""
    put(downward, "_check_issued", lambda *of: None)


def believe_any_seal_of_a_command(put):
    """Never ask who sealed a command."""

    class Anybody:
        def verify(self, key):
            """Hold, whatever the key."""

    put(sealed, "parse_command", lambda raw: Anybody())


def miss_no_number(put):
    """Take holes in the numbers of commands for what they are."""
    put(downward, "_check_numbers", lambda *of: None)


def show_a_promise_as_running(put):
    """Show a release as running where the device said that it confirmed it."""
    honest = overview._rules

    def rules(store, rollouts, device):
        said = honest(store, rollouts, device)
        confirmed = said["adoption"] is not None and said["adoption"]["step"] == STEP_NAMES[CONFIRMED]
        return {**said, "wanted": said["wanted"] and {**said["wanted"], "runs": confirmed}}

    put(overview, "_rules", rules)


def believe_any_rules_of_a_release(put):
    """Never look up which rules the release of a trial has."""
    put(sealed, "_rules_of", lambda connection: lambda manifest: None)


def name_every_release(put):
    """Say of a decision that every release brought its bundle."""
    put(origin, "rules_digest", lambda manifest: AnyDigest())


class AnyDigest:
    """Equal to every digest."""

    def __eq__(self, other):
        return True

    __hash__ = None


def forget_the_signers(put):
    """Name the release that brought a bundle, and not who signed it."""
    honest = explain.releases_with

    def releases_with(connection, digest):
        return [{**one, "signers": []} for one in honest(connection, digest)]

    put(explain, "releases_with", releases_with)


FAULTS = {
    plant.__name__: plant
    for plant in (
        count_adoption_events,
        list_half_signed,
        serve_any_site,
        reuse_command_numbers,
        name_answered_commands,
        mean_every_cohort,
        never_see_drift,
        keep_drift,
        want_the_lowest,
        answer_any_demand,
        explain_by_history,
        keep_the_last_answer,
        believe_adoptions,
        believe_answers,
        believe_added_rows,
        believe_deleted_rows,
        believe_reports,
        believe_issued_commands,
        believe_any_seal_of_a_command,
        miss_no_number,
        show_a_promise_as_running,
        believe_any_rules_of_a_release,
        name_every_release,
        forget_the_signers,
    )
}
