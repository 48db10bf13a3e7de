"""Faults planted in giving a device another link, by name: plant(put); put is pytest's monkeypatch.setattr.

Each is a mistake somebody could make in good faith. tests/canary/test_relink.py shows that the named test catches it.
"""

from agent import adopter, commander
from agent.host import Host
from agent.key_notes import LINK
from agent.keystore import Keystore
from agent.relinker import Relinker
from agent.session import Session
from gateway.sessions import Sessions
from office_ingest.govern import commands, relink
from office_ingest.receive import relinks, takings
from office_ingest.receive.relinks import Relinks
from protocol.command import DONE, OUT_OF_RANGE


def go_over_for_good(put):
    """Ask over the next link from the command on, whoever serves it."""
    put(Relinker, "failed", lambda self: None)


def never_go_back_to_the_next(put):
    """Try the next link once, and stay with the one of before."""

    def failed(self):
        self._unanswered += 1
        if self._is_open and self._unanswered >= 3:
            self._is_open = self._is_next = False

    put(Relinker, "failed", failed)


def go_on_in_the_same_numbers(put):
    """Change the link in one ID Context for all, counted from the start each time."""
    made = Session._context

    def context(self):
        found = made(self)
        return type(found)(
            self._aes, self._secret, self._kid, b"", self._next_sequence, id_context=b"8 bytes!"
        )

    put(Session, "_context", context)


def say_nothing_of_it(put):
    """Use the other link, and let the office find out by itself."""
    put(Relinker, "number", lambda self: 0)


def leave_links_behind_in_a_move(put):
    """Let keys move without what lies beside them."""
    install = Keystore._install

    def careless(self, chains):
        self._notes[LINK] = []
        install(self, chains)

    put(Keystore, "_install", careless)


def keep_the_link_of_before(put):
    """Leave its page where it is."""

    def use(self):
        number, kid, secret = self.next_link()
        self._write_note(LINK, number, 1, kid, secret)
        self._notes[LINK] = [note for note in self._notes[LINK] if note[:2] == (number, 1)]

    put(Keystore, "use_next_link", use)


def take_an_agent_that_forgets_it(put):
    """Adopt whatever is signed."""
    put(adopter, "keeps_notes", lambda index: True)


def never_mind_the_image(put):
    """Take another link though the image's agent would zero its page."""
    put(Host, "note_verdict", lambda self: 0)


def believe_an_answer_over_the_link_of_before(put):
    """Take whatever answer comes next for one over the next link."""
    link = Relinker.link

    def always(self):
        found = link(self)
        self._is_asked = True
        return found

    put(Relinker, "link", always)


def forget_a_root_for_the_next_agent(put):
    """Keep links from agents that would forget them, and not roots."""
    put(commander.Commander, "_judge", _judge_root_alone)


_judge = commander.Commander._judge


def _judge_root_alone(self, command, tick_ms):
    if command.demand[0] != commander.ROOT:
        return _judge(self, command, tick_ms)
    code = self._roots.judge(self._body.raw)
    return (OUT_OF_RANGE, code) if code else (DONE, None)


DEVICE = {
    plant.__name__: plant
    for plant in (
        go_over_for_good,
        never_go_back_to_the_next,
        go_on_in_the_same_numbers,
        say_nothing_of_it,
        leave_links_behind_in_a_move,
        keep_the_link_of_before,
        take_an_agent_that_forgets_it,
        never_mind_the_image,
        forget_a_root_for_the_next_agent,
        believe_an_answer_over_the_link_of_before,
    )
}


def zero_before_writing(put):
    """The pages of before go first: a cut then leaves the link of the settings."""

    def use(self):
        number, kid, secret = self.next_link()
        for note in self._notes[LINK][:]:
            self._drop_note(LINK, note)
        self._write_note(LINK, number, 1, kid, secret)

    put(Keystore, "use_next_link", use)


def intend_in_memory(put):
    """Remember the next link until the power goes."""

    def intend(self, number, kid, secret):
        self._notes[LINK] = [note for note in self._notes[LINK] if note[1]]
        self._notes[LINK].append((number, 0, kid, secret, 99))

    zero = Keystore._zero
    put(Keystore, "intend_link", intend)
    put(Keystore, "_zero", lambda self, page: None if page == 99 else zero(self, page))


CUTS = {plant.__name__: plant for plant in (zero_before_writing, intend_in_memory)}


def end_it_with_the_answer(put):
    """Take the device's word that it will for that it does."""
    answered = Relinks.answered

    def careless(self, device, number, demand, verdict):
        answered(self, device, number, demand, verdict)
        if verdict == 0:
            self.settle(device, number)

    put(Relinks, "answered", careless)


def end_it_when_given(put):
    """Tell the next link alone."""
    add = Relinks.add

    def careless(self, device, number, random, now_ms):
        add(self, device, number, random, now_ms)
        self.settle(device, number)

    put(Relinks, "add", careless)


def believe_any_number(put):
    """Whatever relink a heartbeat names ends the link of before."""

    def heard(self, device, health):
        pending = self.pending(device)
        if health.get(relinks.LINK) and pending is not None:
            self.settle(device, pending.number)

    put(Relinks, "heard", heard)


def wait_for_what_was_refused(put):
    """Go on telling a link that its device did not take."""
    put(Relinks, "answered", lambda self, device, number, demand, verdict: None)


def give_up_with_the_time(put):
    """Take a command whose time is over for one that was never taken."""
    put(
        relink,
        "may_be_taken",
        lambda store, device, command, now_ms: command.verdict == 0 or now_ms < command.until_ms,
    )


def pass_over_holes(put):
    """Take an answer to a later command for the proof, whatever is missing before it."""
    put(commands.SqliteStore, "has_holes_since", lambda self, device, since_ms: False)


def give_both_at_once(put):
    """Give a link while the downlink key may become another one."""
    put(relink, "_check_rekey", lambda store, device, now_ms: None)


def never_mind_the_gateways(put):
    """Give a link that a gateway with a token is never told."""
    put(relink, "_check_gateways", lambda uncertified: None)


def hand_it_to_the_unknown(put):
    """Withhold other keys from a device that runs what is not known, and no link."""
    put(takings, "_gives_keys", lambda raw: False)


def give_a_settled_number_again(put):
    """Give a relink whatever number comes next, one of before too that a device goes on saying."""
    put(Relinks, "settled", lambda self, device: 0)


OFFICE = {
    plant.__name__: plant
    for plant in (
        end_it_with_the_answer,
        end_it_when_given,
        believe_any_number,
        wait_for_what_was_refused,
        give_up_with_the_time,
        pass_over_holes,
        give_both_at_once,
        never_mind_the_gateways,
        give_a_settled_number_again,
    )
}
UNKNOWN = {plant.__name__: plant for plant in (hand_it_to_the_unknown,)}


def serve_one_link_a_device(put):
    """Of two links of a device serve the one that was told last."""
    reload = Sessions.reload

    def newest(self, links):
        reload(self, {link.device: link for link in links}.values())

    put(Sessions, "reload", newest)


def end_no_session(put):
    """Let go on what was open when its link ended."""
    put(Sessions, "_drop", lambda self, is_dropped: None)


GATEWAY = {plant.__name__: plant for plant in (serve_one_link_a_device, end_no_session)}
