"""What can go wrong in the office's world: disk, database, keystore. Each says who must act.

What is wrong with bytes from outside is a ProtocolError; what a person wrote wrongly is a DiagnosticError.
"""


class OfficeError(Exception):
    """Root of the office's errors."""


class StoreUnavailable(OfficeError):
    """The database did not take what it was asked to; nothing of the batch was kept and nothing was acknowledged.

    Who must act: the gateway tries again by itself; a person, if it goes on: the disk is full or failing.
    """


class NotAnOfficeDatabase(OfficeError):
    """The file is no database of this office, or of a version that this code does not know.

    Who must act: the person who named the file.
    """


class KeyUnknown(OfficeError):
    """The keystore holds nothing for this device. Who must act: whoever provisioned it, or restored an old keystore."""
