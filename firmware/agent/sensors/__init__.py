"""One driver a file. A sensor has read() -> one raw integer a channel, None where there is none; it raises SensorFault.

A sensor of several parts gives FAULTY for the channels of a part that failed, instead of raising: the others are good.
"""


class SensorFault(Exception):
    """The sensor did not answer, or what it said cannot be a reading. The sample is recorded with quality fault."""


# In the place of a raw value.
FAULTY = SensorFault
