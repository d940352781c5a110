"""fairlead-agent on a backend of the lab."""
import contextlib
import json
import os
import pathlib

from tests.lab.process import LabError, run

_BPF_FILES = pathlib.Path("/sys/fs/bpf")


class Agent:
    """fairlead-agent on the backend's eth0. The lab has its own folder for the BPF pins.

    Needs root in the host's own user namespace.
    """

    def __init__(self, lab, backend):
        self._program = lab.program("tools/agent/fairlead-agent")
        self._namespace = backend.namespace.name
        self.pins = _BPF_FILES / f"{lab.name}-{backend.name}"

    def run(self, *words, check=True):
        # Uses nsenter: `ip netns exec` would mount a private /sys, and the BPF pins would vanish with it.
        return run(["nsenter", f"--net=/run/netns/{self._namespace}", self._program, "--pins", self.pins, *words],
                   check=check)

    def attach(self, balancers, *options):
        if run(["findmnt", "-n", "-t", "bpf", _BPF_FILES], check=False).returncode != 0:
            run(["mount", "-t", "bpf", "bpf", _BPF_FILES, "-o", "mode=0700"])
        self.run("attach", "eth0", *(word for prefix in balancers for word in ("--balancer", prefix)), *options)
        return self

    def counters(self):
        return json.loads(self.run("status", "eth0", "--json").stdout)["interfaces"][0]["counters"]

    def close(self):
        """Detaches the agent if it is attached, and removes its BPF pins."""
        with contextlib.suppress(LabError):
            self.run("detach", "eth0")
        for folder, _, files in os.walk(self.pins, topdown=False):  # shutil.rmtree does not work on a BPF file system
            for name in files:
                os.unlink(os.path.join(folder, name))
            os.rmdir(folder)
