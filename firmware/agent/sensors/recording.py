"""A recording in place of a sensor: real readings from a file, row after row, for ever.

The file is text: one row a sample, one column a channel, integers, an empty cell where the recording has a gap.
"""

from agent.sensors import SensorFault

_ROW_BYTES_MAX = 256


class Recording:
    """Reads one row each time; holds no more than that row in memory, whatever the length of the file.

    path: the file. channels: columns of a row. offset: rows to skip at first, so that many devices can share one file.
    Raises SensorFault if the file has no row.
    """

    def __init__(self, path: str, channels: int, offset: int = 0):
        self._file = open(path, "rb")
        self._channels = channels
        if not self._file.readline(_ROW_BYTES_MAX):
            raise SensorFault("recording {} is empty".format(path))
        self._file.seek(0)
        self.skip(offset)

    def skip(self, rows: int) -> None:
        """Pass over rows, as if they had been read."""
        for _ in range(rows):
            self._row()

    def _row(self) -> bytes:
        row = self._file.readline(_ROW_BYTES_MAX)
        if not row:
            self._file.seek(0)
            row = self._file.readline(_ROW_BYTES_MAX)
        return row

    def read(self) -> list:
        """Return the next row. Raises SensorFault if it is not one integer or nothing for each channel."""
        cells = self._row().strip(b"\r\n").split(b",")
        if len(cells) != self._channels:
            raise SensorFault("recording has {} columns for {} channels".format(len(cells), self._channels))
        try:
            return [int(cell) if cell.strip() else None for cell in cells]
        except ValueError:
            raise SensorFault("recording has a cell that is no integer")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
