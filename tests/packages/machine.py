"""A Debian 12 that systemd-nspawn boots, with its own systemd, in a network namespace of the lab."""
import contextlib
import os
import pathlib
import re
import subprocess
import warnings

from tests.lab.process import LabError, run, wait_until
from tests.packages import rootfs

_BOOT_TIMEOUT_S = 180
# Those of nspawn's default that an unprivileged network lacks, and what a real host gives the units.
_CAPABILITIES = "CAP_NET_ADMIN,CAP_BPF,CAP_PERFMON,CAP_IPC_LOCK,CAP_SYS_RAWIO"


class Machine:
    """`layers`: see rootfs.layers. `packages`: the folder that the machine sees as /srv/fairlead. `lab`: the network."""

    def __init__(self, layers, packages, lab):
        self._layers = layers
        self._packages = packages
        self._lab = lab
        self._stack = contextlib.ExitStack()
        self._process = None
        self._leader = None

    def __enter__(self):
        try:
            self.root = self._stack.enter_context(rootfs.overlay(self._lab.dir / "machine", self._layers))
            self.boot()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.power_off()
        finally:
            self._stack.close()

    def boot(self):
        self._process = self._lab.spawn("machine", [
            "systemd-nspawn", "--boot", "--register=no", "--keep-unit", "--quiet", f"--directory={self.root}",
            f"--network-namespace-path=/run/netns/{self._lab.balancer.namespace.name}", f"--capability={_CAPABILITIES}", "--system-call-filter=bpf",
            f"--bind-ro={self._packages}:/srv/fairlead", "--hostname=balancer", "--console=pipe"])
        self._leader = wait_until(self._find_leader, _BOOT_TIMEOUT_S, lambda: f"no container\n{self._process.tail()}")
        wait_until(lambda: self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"),
                   _BOOT_TIMEOUT_S, lambda: f"the machine does not boot\n{self._process.tail()}", interval_s=0.5)
        # systemd mounts it on a host, but not in a container.
        self.run("mount -t bpf bpf /sys/fs/bpf")
        # nspawn shows an id of its own here, and units with a /proc of their own see the kernel's. The journal has ids.
        self.run("umount /proc/sys/kernel/random/boot_id && systemctl restart systemd-journald")

    def _find_leader(self):
        self._process.require_running()
        found = run(["pgrep", "-P", self._process.pid], check=False).stdout.split()
        # nspawn's child is the container's init once it is in the container's namespaces.
        for pid in found:
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    return int(pid)
        return None

    def power_off(self):
        if self._process and self._process.running():
            run(["kill", "-RTMIN+4", self._leader], check=False)  # systemd: power off
            with contextlib.suppress(LabError, subprocess.TimeoutExpired):
                self._process.wait(60)
        if self._process and self._process.running():
            self._process.kill()

    def run(self, script, check=True, timeout_s=600, user=None):
        """Runs a shell script in the machine, as root or as `user`. Returns its result."""
        command = ["nsenter", f"--target={self._leader}", "--all", "--", "env", "-i",
                   "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive",
                   "HOME=/root", "LC_ALL=C.UTF-8"]
        if user:
            command += ["setpriv", f"--reuid={user}", "--init-groups", f"--regid={user}"]
        return run([*command, "sh", "-ec", script], check=check, timeout_s=timeout_s)

    def show(self, unit, name):
        """One property of a unit, as `systemctl show` prints it."""
        return self.run(f"systemctl show --value -p {name} {unit}").stdout.strip()

    def host_pid(self, pid):
        """The process id in this process's namespace of a process of the machine."""
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                ids = re.search(r"^NSpid:\s+(.*)$", status.read_text(), re.M)[1].split()
                if ids[-1] == str(pid) and len(ids) > 1 and self._is_inside(status.parent):
                    return int(ids[0])
        raise LabError(f"the machine has no process {pid}")

    def _is_inside(self, process):
        return os.readlink(process / "ns/pid") == os.readlink(f"/proc/{self._leader}/ns/pid")

    def path(self, path):
        """A path of the machine as this process sees it, also in its /run and /dev."""
        return pathlib.Path(f"/proc/{self._leader}/root{path}")

    def wait_active(self, unit, timeout_s=60):
        wait_until(lambda: self.show(unit, "ActiveState") == "active", timeout_s,
                   lambda: f"{unit} is not active\n{self.journal(unit)}", interval_s=0.2)

    def journal(self, unit):
        return self.run(f"systemctl status --no-pager --lines=40 {unit}; journalctl --no-pager -n 60 -u {unit}",
                        check=False).stdout


def expect_within(seconds, limit_s, what, busy):
    """Asserts a time limit of an idle machine with --long. Else, a longer time is a warning. `busy`: is_busy() of before."""
    if seconds > limit_s and (busy or "FAIRLEAD_LONG" not in os.environ):
        warnings.warn(f"{what} took {seconds:.2f} s (limit {limit_s} s)", stacklevel=2)
    else:
        assert seconds <= limit_s, f"{what} took {seconds:.2f} s"


def is_busy():
    """True if more processes wanted a CPU in the last minute than there are CPUs."""
    return os.getloadavg()[0] > len(os.sched_getaffinity(0))


def commands(document, name):
    """The commands of the block that is marked `<!-- tested: NAME -->` in a page. Joins lines that end with \\."""
    text = pathlib.Path(document).read_text()
    block = re.search(rf"<!-- tested: {re.escape(name)} -->\n```sh\n(.*?)```", text, re.S)
    if not block:
        raise LabError(f"{document} has no tested block '{name}'")
    lines = block[1].replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]
