"""Steps of an adoption, as its events name them, and the reasons for rolling back.

Source: SPEC.md section 12.6.
"""

REFUSED = 0
STAGED = 1
TRIAL = 2
CONFIRMED = 3
ROLLED_BACK = 4
STEP_NAMES = ("refused", "staged", "trial", "confirmed", "rolled back")

# Why a trial was rolled back: detail of ROLLED_BACK.
DEADLINE = 0
FAULT = 1
RESTARTS = 2
WATCHDOG = 3
GUARDED = 4
DAMAGED = 5
REASON_NAMES = (
    "its time ran out",
    "a rule faulted",
    "it restarted too often",
    "the watchdog ended it",
    "the gate refused its acts",
    "the slot does not hold what it should",
)
