"""Hosts only: the memory of a process that holds keys never becomes a file.

A core dump of a gateway holds link secrets and TLS keys, one of the office the keys of every device. Both ways are closed: the limit, for
dumps that are files, and the process's own word, for systems that hand dumps to a program and do not ask for the limit. That word also
keeps other processes of the same user from reading the memory (ptrace, /proc/PID/mem).

Source: core(5), setrlimit(2), PR_SET_DUMPABLE in prctl(2).
"""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """Let this process, whatever ends it, leave no core dump. Programs that it starts have the limit too."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Other systems know the limit only.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
