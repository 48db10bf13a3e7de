"""Carries out what the rules decided and the gate allowed. Knows each actuator's safe position.

An actuator takes *positions*, never steps: a value says where to be, so that asserting it again changes nothing. That is what
makes a power cut between a decision and its action harmless: the decision is durable first, and at the next boot the agent
asserts the decided position (again, if it had been reached before). The action event that follows then says `done`: carried out
at least once, with the effect of once. Where a later decision for the same actuator is durable too, the older one is not
asserted any more; its action event says `unknown`: nobody knows whether the actuator had moved in between.

Source: SPEC.md sections 4.3 and 4.4.
"""

DONE = 0
FAILED = 1
UNKNOWN = 2


class ActuatorFault(Exception):
    """The actuator did not take its position. Who must act: a person; the event in the journal says so."""


class Actuators:
    """All actuators of a device, by the number of their action.

    safe: action -> the position declared safe (the bundle's gates). move(action, value): carries one out on this board; it
    raises ActuatorFault if it cannot.
    """

    def __init__(self, safe: dict, move):
        self._move = move
        self._safe = safe
        self.positions = {}

    def assert_at_boot(self, positions: dict) -> None:
        """Take the positions that the journal knows, and the safe one wherever it knows none."""
        known = dict(self._safe)
        # Also of an actuator that no rule of today knows: it stays where it was put.
        known.update(positions)
        for action in sorted(known):
            self.carry_out(action, known[action])

    def meet(self, safe: dict) -> None:
        """Other rules take over, with these safe positions: what is somewhere stays there, what is not known goes to its own."""
        self._safe = safe
        for action in sorted(safe):
            if action not in self.positions:
                self.carry_out(action, safe[action])

    def carry_out(self, action: int, value: int) -> int:
        """Move one actuator to a position; return the result for the action event: DONE or FAILED."""
        try:
            self._move(action, value)
        except ActuatorFault:
            return FAILED
        self.positions[action] = value
        return DONE
