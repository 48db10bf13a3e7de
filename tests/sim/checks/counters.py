"""Counters never go back, and nothing goes out twice under one nonce: boots, epochs and floors of a cell, requests and answers on the air."""


class Counters:
    """What was seen of one world so far."""

    def __init__(self):
        self._cells = {}
        self._nonces = {}

    def booted(self, device, cell):
        """Give what breaks it in the power-safe cell of a device that has booted: the boot must rise, the others may not fall."""
        now = (cell.boot, cell.epoch, cell.command_floor)
        before = self._cells.get(device.name)
        if before is not None and (now[0] <= before[0] or now[1] < before[1] or now[2] < before[2]):
            yield f"{device.name}: (boot, epoch, command floor) {before} then {now}"
        self._cells[device.name] = now

    def restored(self, device):
        """An old image was put back: what its cell says may be old, and only from here on it must rise."""
        self._cells.pop(device.name, None)

    def sent(self, device, nonce, body):
        """Give what breaks it in a message to or from a device. nonce: all that its cipher takes besides the text; body: digest of the text."""
        if self._nonces.setdefault(nonce, body) != body:
            yield f"{device.name}: a nonce was used twice: {nonce[0]} {nonce[4:]}"
