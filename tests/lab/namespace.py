"""Network namespaces whose names contain the process that made them, and the privileges to make them."""
import ctypes
import itertools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from tests.lab.process import LabError, run

_MARK = "FAIRLEAD_LAB_UNSHARED"
_numbers = itertools.count(1)
# flab-<pid>-<start time of the process in clock ticks since boot>-<number in the process>
_NAME = re.compile(r"^flab-(\d+)-(\d+)-\d+")


def _start_time(pid):
    """The process's start in clock ticks since boot, or None if it does not exist. Detects a reused pid."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rsplit(")", 1)[1].split()[19])


def new_run_name():
    """A name that no other lab on this host has or had."""
    return f"flab-{os.getpid()}-{_start_time(os.getpid())}-{next(_numbers)}"


def owner_gone(name):
    """True if `name` is new_run_name() or begins with it, and the process that made it has ended."""
    match = _NAME.match(name)
    return bool(match) and _start_time(int(match[1])) != int(match[2])


def sweep():
    """Removes the namespaces, their processes and the folders of runs whose process has ended. Returns their names."""
    removed = []
    listing = run(["ip", "netns", "list"], check=False).stdout
    for name in (line.split()[0] for line in listing.splitlines() if line.strip()):
        if not owner_gone(name):
            continue
        for pid in run(["ip", "netns", "pids", name], check=False).stdout.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        run(["ip", "netns", "del", name], check=False)
        removed.append(name)
    # /sys/fs/bpf has the BPF pins of a run.
    for folder in (pathlib.Path(tempfile.gettempdir()), pathlib.Path("/run/dpdk"), pathlib.Path("/dev/shm"),
                   pathlib.Path("/sys/fs/bpf")):
        for path in folder.glob("flab-*") if folder.is_dir() else []:
            if owner_gone(path.name) and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
                removed.append(str(path))
    return removed


def _has_rights():
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "-nm", "true"], capture_output=True, check=False).returncode == 0


def enter_namespace_rights(before_exec=None):
    """Makes sure that this process may make network namespaces. Call it before anything else.

    If the process may not, this starts the same program again as root of a new user namespace with a private /run.
    `before_exec` is called just before that.
    """
    if os.environ.get(_MARK) or _has_rights():
        return
    probe = run(["unshare", "-Urnm", "true"], check=False)
    if probe.returncode != 0:
        raise LabError("cannot make network namespaces: this user is not root and may not make user namespaces "
                       f"(unshare: {probe.stderr.strip()}); run as root, or allow them: "
                       "sysctl kernel.unprivileged_userns_clone=1")
    if before_exec:
        before_exec()
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[_MARK] = "1"
    script = 'mount -t tmpfs -o mode=755 none /run && ip link set lo up && exec "$@"'
    os.execvp("unshare", ["unshare", "-Urnm", "--", "sh", "-c", script, "sh", sys.executable, *sys.orig_argv[1:]])


class Namespace:
    """One network namespace. delete() removes it. Processes in it must end before."""

    def __init__(self, name):
        self.name = name
        run(["ip", "netns", "add", name])
        self.ip("link set lo up")
        self.sysctl({"net.ipv6.conf.all.accept_dad": 0, "net.ipv6.conf.default.accept_dad": 0,
                     "net.ipv6.conf.all.accept_ra": 0, "net.ipv6.conf.default.accept_ra": 0,
                     "net.ipv4.ip_forward": 0, "net.ipv6.conf.all.forwarding": 0,
                     "net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.default.rp_filter": 0})

    def command(self, argv):
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv, **kwargs):
        """Runs a short command in the namespace; see process.run."""
        return run(self.command([str(word) for word in argv]), **kwargs)

    def ip(self, *lines):
        """Runs `ip` commands in the namespace, in one batch: ns.ip("link set eth0 up", "route add ...")."""
        result = subprocess.run(["ip", "-n", self.name, "-batch", "-"], input="\n".join(lines) + "\n", text=True,
                                capture_output=True, timeout=60, check=False)
        if result.returncode != 0:
            raise LabError(f"ip failed in namespace {self.name}: {'; '.join(lines[:5])}: {result.stderr.strip()}")

    def sysctl(self, settings):
        lines = [f"echo {value} > /proc/sys/{key.replace('.', '/')}" for key, value in settings.items()]
        run(self.command(["sh", "-ec", "\n".join(lines)]))

    def holds(self, pid):
        """True once the process is in this namespace. `ip netns exec` moves it just before it calls exec()."""
        try:
            return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(f"/run/netns/{self.name}").st_ino
        except OSError:
            return False

    def pids(self):
        return [int(pid) for pid in run(["ip", "netns", "pids", self.name], check=False).stdout.split()]

    def delete(self):
        run(["ip", "netns", "del", self.name], check=False)


def enter(namespace_name):
    """Moves the calling thread into a namespace, for tests that open sockets there.

    The thread stays there: call this in a child process or a separate thread.
    """
    with open(f"/run/netns/{namespace_name}", "rb") as handle:
        if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), 0x40000000) != 0:
            raise LabError(f"cannot enter namespace {namespace_name}: {os.strerror(ctypes.get_errno())}")
