"""Child processes of the lab. They are signalled by pid and end with the lab."""
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
    """A part of the lab did not start or did not end. The message names it and has the end of its log."""


def wait_until(condition, timeout_s, what, interval_s=0.02):
    """Polls `condition` until it returns a true value, and returns that value. Raises LabError after `timeout_s`.

    `what`: the error message, or a function that returns it. It says what did not happen.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"timed out after {timeout_s:g} s: {what() if callable(what) else what}")
        time.sleep(interval_s)


def run(argv, check=True, timeout_s=60, **kwargs):
    """Runs a short command, without this program's input. Raises LabError with its output if it fails and `check` is set."""
    argv = [str(word) for word in argv]
    if "input" not in kwargs:
        kwargs.setdefault("stdin", subprocess.DEVNULL)
    result = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, **kwargs)
    if check and result.returncode != 0:
        raise LabError(f"{' '.join(argv)}: status {result.returncode}\n{result.stdout}{result.stderr}".strip())
    return result


def _die_with_parent():
    # The kernel kills the child when the *thread* that started it ends. So only the main thread may use this.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A long-running child. Its output goes to `<log_dir>/<name>.out` and `.err`.

    `stdout`: another path for its output. `stderr`: a file descriptor for its errors. `open_input`: its standard input
    stays open while this object exists, for programs that end at the end of their input.
    """

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
                command, stdin=subprocess.PIPE if open_input else subprocess.DEVNULL, stdout=out,
                stderr=err if stderr is None else stderr, start_new_session=True,
                env={**os.environ, **(env or {})}, preexec_fn=_die_with_parent if main else None)

    @property
    def pid(self):
        """The pid of the program itself: `ip netns exec` calls exec()."""
        return self._child.pid

    @property
    def returncode(self):
        return self._child.poll()

    def running(self):
        return self._child.poll() is None

    def catches(self, number):
        """True once the process has a handler for this signal. Before, the signal would kill it."""
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
        """Sends the signal, and SIGKILL after `timeout_s`. Returns the exit status (negative: ended by a signal)."""
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
        """The last lines of its output, for error messages."""
        text = (self.output() + self.errors()).splitlines()[-lines:]
        return "\n".join(f"  [{self.name}] {line[:1000]}" for line in text)

    def listening(self, port, protocol="tcp"):
        """True if its network namespace has a socket that listens (UDP: is bound) on `port`."""
        if self._namespace and not self._namespace.holds(self.pid):
            return False  # not moved yet: /proc would show the namespace of its parent
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
        """Waits until it listens on all of these ports, and returns itself. Raises LabError if it ends or times out."""
        for port in ports:
            wait_until(lambda n=port: self.listening(n, protocol) or self.require_running(), timeout_s,
                       lambda n=port: f"{self.name} does not listen on {protocol} port {n}\n{self.tail()}")
        return self

    def require_running(self):
        if not self.running():
            raise LabError(f"{self.name} ended with status {self.returncode}\n{self.tail()}")
