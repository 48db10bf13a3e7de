"""All decoders that only hosts run."""

from tests.fuzz.file_decoders import FILE_ENTRIES
from tests.fuzz.identity_decoders import IDENTITY_ENTRIES
from tests.fuzz.server_decoders import SERVER_ENTRIES

HOST_ENTRIES = SERVER_ENTRIES + FILE_ENTRIES + IDENTITY_ENTRIES
