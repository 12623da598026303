"""What Linux does for processes that trust each other little. Source: prctl(2)."""

import ctypes
import os
import resource
import signal

_SET_PDEATHSIG = 1
_SET_DUMPABLE = 4
_SET_NO_NEW_PRIVS = 38


def hide() -> None:
    """Keep other processes of the same user out of this one's environment and memory; no core is dumped either.

    Raises:
        OSError: the kernel refuses.
    """
    _prctl(_SET_DUMPABLE, 0)


def confine(parent: int) -> None:
    """For a worker: end with the thread that started it, gain no privileges, dump no core.

    Args:
        parent: The process that started it; if it has ended already, so does this one.

    Raises:
        OSError: the kernel refuses.
    """
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    _prctl(_SET_NO_NEW_PRIVS, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _prctl(option: int, value: int) -> None:
    unused = [ctypes.c_ulong(0)] * 3
    if ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), *unused) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}): {os.strerror(error)}")
