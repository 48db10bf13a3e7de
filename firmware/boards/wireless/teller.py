"""Says on the console whether the gateway answers: when that changes, and never what was said."""

# Looked at so often; a heartbeat comes at least every ten seconds where settings leave it alone.
_LOOK_MS = 5000
# Looks without a byte until the gateway counts as silent.
_SILENT_LOOKS = 12


class Teller:
    """link: counts received_bytes. tell(text): the console."""

    def __init__(self, link, tell):
        self._link = link
        self._tell = tell
        self._received = 0
        self._quiet = 0
        self._said = ""

    def look(self) -> None:
        """Look once, and say what is new."""
        received = self._link.received_bytes
        self._quiet = 0 if received != self._received else self._quiet + 1
        if received != self._received:
            self._say("gateway answers")
        elif self._quiet == _SILENT_LOOKS:
            self._say("gateway silent")
        self._received = received

    def _say(self, text: str) -> None:
        if text != self._said:
            self._tell(text)
        self._said = text

    async def watch(self, sleep_ms) -> None:
        """Look for ever."""
        while True:
            self.look()
            await sleep_ms(_LOOK_MS)
