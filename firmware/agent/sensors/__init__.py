"""One driver a file. A sensor has read() -> one raw integer a channel, None where there is none; it raises SensorFault."""


class SensorFault(Exception):
    """The sensor did not answer, or what it said cannot be a reading. The sample is recorded with quality fault."""
