"""A backend host and its one neighbour, in two network namespaces, and fairlead-agent on the backend.

    near (client and encapsulator)  eth0 ------------ eth0  backend (fairlead-agent, the frontends on lo)
    10.0.0.1, 2001:db8:a::1                           10.0.0.11, 2001:db8:a::11

Each run has its own folder for its BPF pins, so labs can run side by side.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import tempfile

from tests.lab.namespace import Namespace, enter, new_run_name, sweep
from tests.lab.process import LabError, Process, run

BUILD = pathlib.Path(os.environ.get("FAIRLEAD_BUILD", "build")).resolve()
TOP = pathlib.Path(__file__).resolve().parents[2]
BPF_FILES = pathlib.Path("/sys/fs/bpf")
BPFTOOL = shutil.which("bpftool") or "/usr/sbin/bpftool"
OFFLOADS_OFF = "tx off rx off tso off gso off gro off".split()

NEAR_MAC, BACKEND_MAC = "02:00:00:00:00:01", "02:00:00:00:00:11"
NEAR4, BACKEND4, FRONTEND4 = "10.0.0.1", "10.0.0.11", "203.0.113.10"
NEAR6, BACKEND6, FRONTEND6 = "2001:db8:a::1", "2001:db8:a::11", "2001:db8::10"


def counter_kinds():
    """Returns {name: kind}, from agent_counters.def."""
    text = (TOP / "tools/agent/agent_counters.def").read_text()
    return dict(re.findall(r"^AGENT_COUNTER\((\w+), (\w+),", text, re.M))


def mount_bpf_files():
    if run(["findmnt", "-n", "-t", "bpf", BPF_FILES], check=False).returncode != 0:
        run(["mount", "-t", "bpf", "bpf", BPF_FILES, "-o", "mode=0700"])


class Host:
    """A context manager. On exit it removes everything that it made."""

    def __init__(self):
        self.name = new_run_name()
        self.pins = BPF_FILES / self.name
        self.agent_program = BUILD / "tools/agent/fairlead-agent"
        self._processes = []
        self._namespaces = []

    def __enter__(self):
        if not self.agent_program.exists():
            raise LabError(f"{self.agent_program} does not exist; build it, or set FAIRLEAD_BUILD")
        sweep()
        try:
            self.dir = pathlib.Path(tempfile.mkdtemp(prefix=self.name + "-"))
            self.near = self._namespace("near")
            self.backend = self._namespace("backend")
            self.make_link()
            self.backend.ip(f"address add {FRONTEND4}/32 dev lo", f"address add {FRONTEND6}/128 dev lo nodad")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in self._processes:
            process.kill()
        for namespace in self._namespaces:
            namespace.delete()
        if self.pins.exists():  # shutil.rmtree does not work on a BPF file system
            for folder, _, files in os.walk(self.pins, topdown=False):
                for name in files:
                    os.unlink(os.path.join(folder, name))
                os.rmdir(folder)
        shutil.rmtree(getattr(self, "dir", "/nonexistent"), ignore_errors=True)

    def _namespace(self, role):
        namespace = Namespace(f"{self.name}-{role}")
        self._namespaces.append(namespace)
        return namespace

    def make_link(self):
        self.near.ip(f"link add eth0 address {NEAR_MAC} type veth peer name eth0 address {BACKEND_MAC} "
                     f"netns {self.backend.name}")
        for namespace, end in ((self.near, "1"), (self.backend, "11")):
            namespace.run("ethtool", "-K", "eth0", *OFFLOADS_OFF)
            namespace.ip("link set eth0 up", f"address add 10.0.0.{end}/24 dev eth0",
                         f"address add 2001:db8:a::{end}/64 dev eth0 nodad")

    def spawn(self, name, argv, namespace):
        process = Process(name, argv, self.dir, namespace)
        self._processes.append(process)
        return process

    # ---- the agent --------------------------------------------------------------------------------------------------

    def agent_command(self, *words):
        """Uses nsenter: `ip netns exec` would mount a private /sys, and the BPF pins would vanish with it."""
        return ["nsenter", f"--net=/run/netns/{self.backend.name}", self.agent_program, "--pins", self.pins, *words]

    def agent(self, *words, check=True):
        return run(self.agent_command(*words), check=check)

    def attach(self, *options, balancers=("10.0.0.0/24", "2001:db8:a::/64")):
        words = [word for prefix in balancers for word in ("--balancer", prefix)]
        return self.agent("attach", "eth0", *words, *options).stdout.strip()

    def status(self):
        return json.loads(self.agent("status", "eth0", "--json", check=False).stdout)["interfaces"][0]

    def counters(self):
        return self.status()["counters"]

    # ---- one frame through the attached program, without a network ---------------------------------------------------

    def run_program(self, frame, context=None):
        """Runs the program on the frame (BPF_PROG_TEST_RUN). Returns (verdict, frame afterwards)."""
        before, after = self.dir / "frame", self.dir / "frame.out"
        before.write_bytes(frame)
        after.unlink(missing_ok=True)
        argv = [BPFTOOL, "-j", "prog", "run", "pinned", self.pins / "eth0" / "ingress", "data_in", before,
                "data_out", after]
        if context:
            (self.dir / "context").write_bytes(context)
            argv += ["ctx_in", self.dir / "context"]
        return json.loads(run(argv).stdout)["retval"], after.read_bytes()

    # ---- frames on the wire ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def packet_socket(self, namespace, timeout_s=20):
        """AF_PACKET on eth0 in the namespace."""
        with inside(namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as raw:
            raw.bind(("eth0", 0))
            raw.settimeout(timeout_s)
            yield raw


@contextlib.contextmanager
def inside(namespace):
    """Moves the thread into the namespace for this block. Sockets opened in it stay in the namespace."""
    with open("/proc/thread-self/ns/net", "rb") as home:
        enter(namespace.name)
        try:
            yield
        finally:
            import ctypes
            if ctypes.CDLL(None, use_errno=True).setns(home.fileno(), 0x40000000) != 0:
                os._exit(70)  # the thread would stay in the wrong namespace


def sk_buff_context(**fields):
    """A struct __sk_buff with these members set. The offsets are from linux/bpf.h."""
    offsets = {"gso_segs": 164, "gso_size": 176}
    context = bytearray(192)
    for name, value in fields.items():
        struct.pack_into("=I", context, offsets[name], value)
    return bytes(context)
