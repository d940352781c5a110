"""A service manager's socket (sd_notify), and threads that are stopped as a debugger stops them."""
import contextlib
import ctypes
import os
import pathlib
import socket
import time

from tests.lab.process import LabError, wait_until

_PTRACE_DETACH, _PTRACE_SEIZE, _PTRACE_INTERRUPT = 17, 0x4206, 0x4207
_WALL = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class NotifySocket:
    """Receives what a daemon sends with the environment `env`. `watchdog_s`: its WatchdogSec."""

    def __init__(self, path, watchdog_s=None):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.env = {"NOTIFY_SOCKET": str(path)}
        if watchdog_s:
            self.env["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
        self.messages = []  # all that have been read

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def read(self):
        """Reads what has arrived. Returns the new messages."""
        new = []
        with contextlib.suppress(BlockingIOError):
            while True:
                new.append(self._socket.recv(4096).decode())
        self.messages += new
        return new

    def wait_for(self, text, process, count=1, timeout_s=60):
        """Waits until `count` more messages that begin with `text` have arrived."""
        found = 0

        def arrived():
            nonlocal found
            found += sum(message.startswith(text) for message in self.read())
            return found >= count or (process.require_running() and False)
        wait_until(arrived, timeout_s, lambda: f"{process.name} sent {found} of {count} {text}: {self.messages[-20:]}")

    def count_for(self, text, seconds):
        """How many messages that begin with `text` arrive from now on, in this time."""
        self.read()
        time.sleep(seconds)
        return sum(message.startswith(text) for message in self.read())


def threads(pid, name):
    """The thread ids of the process's threads whose names begin with `name`."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            if (task / "comm").read_text().startswith(name):
                found.append(int(task.name))
    return sorted(found)


def _ptrace(request, tid):
    if _libc.ptrace(request, tid, None, None) != 0:
        error = ctypes.get_errno()
        raise LabError(f"ptrace({request:#x}) of thread {tid}: {os.strerror(error)}")


@contextlib.contextmanager
def stopped_thread(tid):
    """One thread stands still in the meantime; the others of its process run. The kernel lets it go if we end.

    Yields a function that must be called repeatedly while the process may be ended: only then can the thread end.
    """
    _ptrace(_PTRACE_SEIZE, tid)

    def let_end():
        with contextlib.suppress(ChildProcessError):
            os.waitpid(tid, _WALL | os.WNOHANG)
    try:
        _ptrace(_PTRACE_INTERRUPT, tid)
        os.waitpid(tid, _WALL)
        yield let_end
    finally:
        if os.path.exists(f"/proc/{tid}"):
            _ptrace(_PTRACE_DETACH, tid)
