"""Child processes that are followed by their own pid and never outlive the lab."""
import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import threading
import time

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something in the lab did not come up or did not end; the message says what, with the end of its log."""


def wait_until(condition, timeout_s, what, interval_s=0.02):
    """Polls `condition` until it returns something true, and returns that. LabError(what) after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout_s:g} s in vain: {what() if callable(what) else what}")
        time.sleep(interval_s)


def run(argv, check=True, timeout_s=60, **kwargs):
    """A short command; LabError with its words when it fails."""
    argv = [str(word) for word in argv]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, **kwargs)
    if check and result.returncode != 0:
        raise LabError(f"{' '.join(argv)}: status {result.returncode}\n{result.stdout}{result.stderr}".strip())
    return result


def _die_with_parent():
    # The kernel ends the child when the *thread* that started it ends: right for the main thread only.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A long-running child. Its output goes to `<log_dir>/<name>.out` and `.err` (or one given file, or descriptor for stderr). `open_input`: for programs that
    end when their standard input does; it is open as long as this object is."""

    def __init__(self, name, argv, log_dir, namespace=None, env=None, stdout=None, stderr=None, open_input=False):
        self.name = name
        self._namespace = namespace
        self.argv = [str(word) for word in argv]
        self.out_path = pathlib.Path(stdout or pathlib.Path(log_dir) / f"{name}.out")
        self.err_path = pathlib.Path(log_dir) / f"{name}.err"
        command = namespace.command(self.argv) if namespace else self.argv
        main = threading.current_thread() is threading.main_thread()
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE if open_input else subprocess.DEVNULL, stdout=out, stderr=err if stderr is None else stderr,
                start_new_session=True,
                env={**os.environ, **(env or {})}, preexec_fn=_die_with_parent if main else None)

    @property
    def pid(self):
        """Of the program itself: `ip netns exec` replaces itself by it."""
        return self._child.pid

    @property
    def returncode(self):
        return self._child.poll()

    def running(self):
        return self._child.poll() is None

    def catches(self, number):
        """True once it has a handler for this signal, which would have ended it before."""
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
        return False

    def send_signal(self, number):
        if self.running():
            self._child.send_signal(number)

    def wait(self, timeout_s):
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} (pid {self.pid}) did not end within {timeout_s:g} s\n{self.tail()}") from None

    def stop(self, timeout_s=10, number=signal.SIGTERM):
        """Asks it to end, then makes it. Returns the exit status (negative: by a signal)."""
        self.send_signal(number)
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self):
        self.send_signal(signal.SIGKILL)
        return self._child.wait()

    def output(self):
        return self.out_path.read_text(errors="replace")

    def errors(self):
        return self.err_path.read_text(errors="replace")

    def tail(self, lines=20):
        """The last lines that it wrote, for error messages."""
        text = (self.output() + self.errors()).splitlines()[-lines:]
        return "\n".join(f"  [{self.name}] {line[:1000]}" for line in text)

    def listening(self, port, protocol="tcp"):
        """True when its network namespace has a socket that listens (UDP: is bound) on `port`."""
        if self._namespace and not self._namespace.holds(self.pid):
            return False  # not there yet: /proc would tell of the namespace that it was started from
        for family in ("", "6"):
            try:
                rows = pathlib.Path(f"/proc/{self.pid}/net/{protocol}{family}").read_text().splitlines()[1:]
            except OSError:
                return False
            for row in rows:
                fields = row.split()
                if int(fields[1].rsplit(":", 1)[1], 16) == port and (protocol == "udp" or fields[3] == "0A"):
                    return True
        return False

    def wait_listening(self, *ports, protocol="tcp", timeout_s=15):
        """Until it serves all of these ports. LabError when it ends or takes longer. Returns itself."""
        for port in ports:
            wait_until(lambda n=port: self.listening(n, protocol) or self.require_running(), timeout_s,
                       lambda n=port: f"{self.name} does not listen on {protocol} port {n}\n{self.tail()}")
        return self

    def require_running(self):
        if not self.running():
            raise LabError(f"{self.name} ended with status {self.returncode}\n{self.tail()}")
