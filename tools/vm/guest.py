"""A guest in QEMU: Debian 12 behind an emulated IOMMU, with emulated NICs, without a way to the outside.

Its first disk is the image of root.py; what the guest writes goes to a temporary file and ends with QEMU. SSH reaches it
through QEMU's own network and a forwarded port in the namespace in which QEMU runs.
"""
import fcntl
import json
import os
import pathlib
import re
import socket
import sys

from tests.lab.process import LabError, run, wait_until
from tools.vm import payload, root

_KVM_CREATE_VM = 0xAE01
_SSH_PORT = 2222
# no_timer_check, tsc, nowatchdog: on a loaded host, an emulated CPU stands still at times. The kernel must not conclude
# from that that a timer is broken.
_KERNEL = ("root=/dev/vda rw console=ttyS0 quiet intel_iommu=on mitigations=off no_timer_check tsc=reliable nowatchdog "
           "cryptomgr.notests systemd.unit=multi-user.target")
MEMORY_MB = 2560
CPUS = 2  # with three on a host of two, the guest's spinlocks wait for each other


def accelerator():
    """kvm if this host can run virtual machines on its CPU, else tcg. FAIRLEAD_GUEST_ACCEL overrides."""
    forced = os.environ.get("FAIRLEAD_GUEST_ACCEL")
    if forced:
        if forced not in ("kvm", "tcg"):
            raise LabError(f"FAIRLEAD_GUEST_ACCEL is '{forced}'; set it to kvm or tcg")
        return forced
    # KVM without these extensions (as in some cloud machines: PVM) makes machines, but runs no ordinary system in them.
    flags = re.search(r"^flags.*", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    if not flags or not {"vmx", "svm"} & set(flags[0].split()):
        return "tcg"
    try:
        with open("/dev/kvm", "rb+", buffering=0) as kvm:
            os.close(fcntl.ioctl(kvm, _KVM_CREATE_VM, 0))
        return "kvm"
    except OSError:
        return "tcg"


class Guest:
    """`lab`: has spawn(), dir and logs (tests/lab). `namespace`: where QEMU and the NICs' TAPs are.

    start() returns when SSH works and the packages are installed. The lab ends QEMU. Times out generously: under tcg,
    everything takes about ten times as long.
    """

    def __init__(self, lab, namespace, nics):
        self.nics = nics
        self.accelerator = accelerator()
        self._lab = lab
        self._namespace = namespace
        self._qemu = None
        self._master = None
        self._boots = 0
        self._qmp_path = lab.dir / "qmp"
        self._ssh_path = lab.dir / "ssh"
        self.socket_path = lab.dir / "guest.sock"  # fairleadd's socket in the guest
        self.patience = 1 if self.accelerator == "kvm" else 10  # factor for times to wait

    def start(self):
        image = root.ensure()
        self.key = image / "id"
        # tcg: what DPDK asks for and no more, since emulated AVX makes the C library slower.
        # arch-capabilities: in a nested guest, KVM may show this register and refuse to set it.
        cpu = {"kvm": "host,arch-capabilities=off", "tcg": "Nehalem"}[self.accelerator]
        self._qemu = self._lab.spawn("qemu", [
            "nice", "-n", "5", "qemu-system-x86_64", "-machine", f"q35,kernel-irqchip=split,sata=off,smbus=off,i8042=off,accel={self.accelerator}",
            "-cpu", cpu, "-smp", CPUS, "-m", MEMORY_MB,
            "-device", "intel-iommu,intremap=on,caching-mode=on",  # before the devices that it translates for
            "-kernel", image / "vmlinuz", "-initrd", image / "initrd",
            "-append", _KERNEL,
            "-drive", f"file={image / 'disk.img'},if=virtio,format=raw,snapshot=on",
            "-drive", f"file={payload.disk()},if=virtio,format=raw,read-only=on",
            "-netdev", f"user,id=management,restrict=on,hostfwd=tcp:127.0.0.1:{_SSH_PORT}-:22",
            "-device", f"virtio-net-pci,netdev=management,mac={root.MANAGEMENT_MAC}",
            *[word for nic in self.nics for word in nic.arguments()],
            "-qmp", f"unix:{self._qmp_path},server=on,wait=off",
            "-display", "none", "-vga", "none", "-nodefaults", "-serial", f"file:{self._lab.logs / 'console.out'}",
        ], self._namespace, env={"TMPDIR": str(self._lab.dir)})
        wait_until(lambda: self._qemu.require_running() or self._has_taps(), 30,
                   lambda: f"QEMU did not make the NICs' interfaces\n{self._qemu.tail()}")
        self._connect()
        self.ssh(payload.install_command("/dev/vdb"))
        return self

    def _has_taps(self):
        links = self._namespace.run("ip", "-o", "link").stdout
        return all(f" {nic.tap}:" in links for nic in self.nics)

    def _connect(self):
        """Waits until the guest accepts SSH, and keeps one connection open: each command then takes less time."""
        options = ["-F", "none", "-i", self.key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                   "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=30",
                   "-o", "StreamLocalBindUnlink=yes", "-o", "ExitOnForwardFailure=yes"]
        argv = ["ssh", *options, "-M", "-N", "-S", self._ssh_path, "-L", f"{self.socket_path}:/run/fairlead/control.sock",
                "-p", _SSH_PORT, "root@127.0.0.1"]

        def connected():
            self._qemu.require_running()
            if "Kernel panic" in self.console():
                raise LabError(f"the guest's kernel panicked\n{self.console()}")
            if self._master is None or not self._master.running():
                self._boots += 1
                self._master = self._lab.spawn(f"ssh-{self._boots}", argv, self._namespace)
            return self._ssh_path.exists() and self._multiplexed("-O", "check").returncode == 0
        wait_until(connected, 120 * self.patience, lambda: f"the guest does not accept SSH\n{self.console()}", 0.3)

    def _multiplexed(self, *words, timeout_s=60):
        return run(["ssh", "-F", "none", "-S", self._ssh_path, *words, "guest"], check=False, timeout_s=timeout_s)

    def console(self, lines=30):
        """The end of the guest's console."""
        path = self._lab.logs / "console.out"
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join(f"  [console] {line}" for line in text.splitlines()[-lines:])

    def require_running(self):
        self._qemu.require_running()

    def ssh(self, command, check=True, **kwargs):
        """Runs a shell command in the guest. Returns its result as process.run does."""
        result = run(["ssh", "-F", "none", "-S", self._ssh_path, "guest", command], check=False,
                     timeout_s=60 * self.patience, **kwargs)
        if check and result.returncode != 0:
            raise LabError(f"in the guest: {command}: status {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def shell_command(self):
        """The command line that opens a shell in the guest."""
        return ["ssh", "-F", "none", "-t" if sys.stdin.isatty() else "-T", "-S", self._ssh_path, "guest"]

    def bind(self, *nics):
        """Gives the NICs to VFIO, now and at each boot (docs/install.md), and all others of the guest to no driver."""
        lines = ["set -e"]
        for nic in self.nics:
            driver = "vfio-pci" if nic in nics else "none"
            path = f"/sys/bus/pci/devices/{nic.pci}/driver_override"
            lines.append(f"[ ! -e {path} ] || [ $(cat {path}) = {driver} ] || driverctl set-override {nic.pci} {driver}")
        self.ssh("\n".join(lines))

    def qmp(self, command, **arguments):
        """Executes a command of QEMU's monitor. Returns what it answers."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(30)
            stream.connect(str(self._qmp_path))
            with stream.makefile("rw") as lines:
                lines.readline()  # the greeting
                for name, values in (("qmp_capabilities", {}), (command, arguments)):
                    lines.write(json.dumps({"execute": name, "arguments": values}) + "\n")
                    lines.flush()
                    while "event" in (answer := json.loads(lines.readline())):
                        pass
                    if "error" in answer:
                        raise LabError(f"QEMU: {name} {values}: {answer['error']['desc']}")
        return answer["return"]

    def set_link(self, nic, up):
        """Plugs the cable of a NIC in or out."""
        self.qmp("set_link", name=nic.id, up=up)

    def reboot(self):
        """Restarts the guest's system, and waits until SSH works again."""
        boot = self.ssh("cat /proc/sys/kernel/random/boot_id").stdout
        self.ssh("systemctl reboot", check=False)
        wait_until(lambda: not self._master.running(), 60 * self.patience, "the guest does not go down", 0.2)
        self._connect()
        if self.ssh("cat /proc/sys/kernel/random/boot_id").stdout == boot:
            raise LabError("the guest did not reboot")
