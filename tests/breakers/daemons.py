"""fairleadd and fairlead-dataplane, with their sockets, store and logs in a temporary folder."""
import os
import pathlib
import random
import shutil
import signal
import tempfile

from tests.lab.control import ControlClient
from tests.lab.process import LabError, Process, wait_until

LONG = bool(os.environ.get("FAIRLEAD_LONG"))


def rounds(usual, long):
    return long if LONG else usual


def chance():
    """A random generator. It prints its seed, which pytest shows if the test fails."""
    seed = int(os.environ.get("FAIRLEAD_BREAKER_SEED", random.randrange(1 << 32)))
    print(f"FAIRLEAD_BREAKER_SEED={seed}")
    return random.Random(seed)


class Daemons:
    def __init__(self, build):
        self._build = build
        self._numbers = {}
        self._processes = []
        self.control = None
        self.fairleadd = None
        self.dataplane = None

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-breaker-"))
        self.link_path = self.dir / "run" / "dataplane.sock"
        self.socket_path = self.dir / "run" / "control.sock"
        self.store_path = self.dir / "lib" / "fairlead.db"
        (self.dir / "logs").mkdir()
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.send_signal(signal.SIGKILL)
            process.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(pathlib.Path("/run/dpdk") / self.dir.name, ignore_errors=True)

    def _spawn(self, name, argv):
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        process = Process(f"{name}{number}", [str(word) for word in argv], self.dir / "logs")
        self._processes.append(process)
        return process

    def start_dataplane(self):
        self.dataplane = self._spawn("dataplane", [
            self._build / "dataplane/fairlead-dataplane", "--port", "wan=null", "--link", self.link_path, "--",
            "--no-huge", "--no-pci", "--no-telemetry", "-m", "256", f"--file-prefix={self.dir.name}"])
        wait_until(lambda: self.link_path.exists() or self.dataplane.require_running(), 60,
                   lambda: f"the dataplane does not listen\n{self.dataplane.tail()}")

    def start_control(self, *extra, store=None, wait=True):
        """Starts fairleadd. Returns its process. `store`: instead of store_path. wait=False: it may refuse to start."""
        self.fairleadd = self._spawn("fairleadd", [
            self._build / "controlplane/fairleadd", "--socket", self.socket_path, "--store", store or self.store_path,
            "--link", self.link_path, "--log-level", "warning", *extra])
        self.control = ControlClient(self.socket_path, timeout_s=60)
        if wait:
            wait_until(self.serves, 60, lambda: f"fairleadd does not serve\n{self.fairleadd.tail()}")
        return self.fairleadd

    def serves(self):
        self.fairleadd.require_running()
        try:
            return self.control.raw("GET", "/v1/status")[0] == 200
        except OSError:
            return False

    def serves_or_ended(self):
        """Waits until fairleadd serves requests or ends. Returns True if it serves."""
        def known():
            try:
                return "serves" if self.serves() else None
            except LabError:
                return "ended"
        return wait_until(known, 60, lambda: f"fairleadd neither serves nor ended\n{self.fairleadd.tail()}") == "serves"

    def in_force(self):
        status = self.control.get("/v1/status")
        return status["dataplane"]["connected"] and status["dataplane"]["generation"] == status["generation"]

    def await_in_force(self):
        wait_until(self.in_force, 60,
                   lambda: f"the newest generation is not in force: {self.control.get('/v1/status')}")

    def configuration(self):
        """The configuration (services, hash seed) as comparable tuples, without status."""
        services = []
        for service in self.control.get("/v1/services")["services"]:
            backends = sorted((row["address"], row["weight"], bool(row["drain"])) for row in service["backends"])
            services.append((service["name"], tuple(service["frontends"]), service["drain_timeout"], tuple(backends)))
        return sorted(services), self.control.get("/v1/seed")["hash_seed"]
