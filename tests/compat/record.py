#!/usr/bin/env python3
"""Records the files that the base release's programs write, into tests/compat/v<release>/.

These are the messages of both sides of the link with their snapshots and statistics, the store, the flow table, the
slot states and the last image. tests/unit/{link,manage,controlplane}/compat_test.cc read them.

    tests/compat/record.py BUILD     BUILD: the base's build folder (tests/compat/build_base.py makes it)
"""
import gzip
import json
import os
import pathlib
import select
import socket
import struct
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from tests.compat import RECORDED  # noqa: E402
from tests.lab import Lab, enter_namespace_rights, wait_until  # noqa: E402

_TYPES = {1: "hello", 2: "publish", 3: "published", 4: "get_stats", 5: "stats", 6: "find_flow", 7: "flow"}
_CLIENT = """
import socket, sys, time
tcp = []
for _ in range(40):
    connection = socket.create_connection(("203.0.113.10", 80), 5)
    connection.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    connection.recv(4096)
    tcp.append(connection)
print("ready", flush=True)
while True:
    for connection in tcp:
        connection.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        connection.recv(4096)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(5)
    udp.connect(("203.0.113.10", 7))
    udp.send(b"x")
    udp.recv(100)
    time.sleep(0.05)
"""


class Recorder(threading.Thread):
    """Relays messages between the two programs. Keeps the last of each type, and the content of its file descriptor."""

    def __init__(self, path, dataplane_path):
        super().__init__(daemon=True)
        self._dataplane_path = str(dataplane_path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen(4)
        self._stops = False
        self.messages = {}

    def run(self):
        while not self._stops:
            if not select.select([self._listener], [], [], 0.2)[0]:
                continue
            control = self._listener.accept()[0]
            dataplane = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            dataplane.connect(self._dataplane_path)
            self._relay(control, dataplane)

    def _relay(self, control, dataplane):
        with control, dataplane:
            while not self._stops:
                for end in select.select([control, dataplane], [], [], 0.2)[0]:
                    data, files, _, _ = socket.recv_fds(end, 65536, 4)
                    if not data:
                        return
                    socket.send_fds(dataplane if end is control else control, [data], files)
                    self._keep(data, files)
                    for file in files:
                        os.close(file)

    def _keep(self, data, files):
        name = _TYPES[struct.unpack_from("<H", data, 6)[0]]
        body = os.pread(files[0], os.fstat(files[0]).st_size, 0) if files else None
        self.messages[name] = (data, body)

    def stop(self):
        self._stops = True
        self.join()
        self._listener.close()


_SERVICES = [
    {"name": "web", "frontends": ["203.0.113.10:80/tcp", "[2001:db8::10]:80/tcp"], "idle_timeout": "10m",
     "health_check": {"type": "tcp", "interval": "200ms", "timeout": "150ms", "rise": 1, "fall": 10},
     "on_deadline": "keep", "backends": ["10.0.0.11", "10.0.0.12", "10.0.0.13"]},
    # Release 0.1.0 gives a service without `health_check` a TCP check, which fails here. All backends are down, so all
    # are used.
    {"name": "dns", "frontends": ["203.0.113.10:53/udp"], "backends": ["10.0.0.11", "10.0.0.12"]},
    {"name": "echo", "frontends": ["203.0.113.10:7/udp"], "health_check": {"type": "none"},
     "backends": ["10.0.0.11", "10.0.0.12"]},
    {"name": "any", "frontends": ["203.0.113.20:0/tcp"], "forwarding": "nat", "health_check": {"type": "none"},
     "backends": ["10.0.0.13"]},
    {"name": "translated", "frontends": ["203.0.113.21:80/tcp"], "forwarding": "nat", "mss_clamp": True,
     "health_check": {"type": "tcp", "port": 80}, "backends": [{"address": "10.0.0.14", "port": 8080}]},
    {"name": "tunnel", "frontends": ["203.0.113.22:80/tcp"], "forwarding": "gue", "gue_port": 6081,
     "second_chance": True, "hash": "source-ip", "tracking": "all", "fail_open": False,
     "health_check": {"type": "none"},
     "backends": [{"address": "10.0.0.14", "weight": 0, "mac": "02:00:00:00:0b:04"}, "10.0.0.11"]},
]


def record(build):
    RECORDED.mkdir(exist_ok=True)
    with Lab(build, backends=4) as lab:
        lab.start_backends()
        lab.start_dataplane(extra=["--flow-records", 1024], port={"addresses": ["10.0.0.2", "2001:db8:a::2"]})
        dataplane_path, lab.link_path = lab.link_path, lab.dir / "recorder.sock"
        recorder = Recorder(lab.link_path, dataplane_path)
        recorder.start()
        lab.start_control()
        for service in _SERVICES:
            lab.control.post("/v1/services", service)
        lab.wait_healthy("web", 3)
        client = lab.spawn("client", ["/usr/bin/python3", "-c", _CLIENT], lab.client.namespace)
        wait_until(lambda: "ready" in client.output(), 30, lambda: f"the client is not connected\n{client.tail()}")
        # Slots shift, and the flows of the client are recorded.
        lab.control.post("/v1/services/web/backends", {"address": "10.0.0.14"})
        lab.control.put("/v1/services/web/backends/10.0.0.12/drain", {"timeout": "1h"})
        lab.control.put("/v1/services/echo/backends/10.0.0.12/drain", {"timeout": "0s"})
        wait_until(lambda: lab.control.get("/v1/stats")["flows"]["records"] >= 5, 60, "no 5 flows are recorded")
        wait_until(lambda: lab.backends_of("echo")["10.0.0.12"]["state"] == "drained", 60,
                   "10.0.0.12 of echo is not drained")
        lab.control.post("/v1/explain", {"protocol": "tcp", "source": "198.51.100.7:40000",
                                         "destination": "203.0.113.10:80"})
        wait_until(lambda: {"stats", "flow"} <= recorder.messages.keys(), 10, "no stats or flow message was recorded")
        views = {"services": {row["name"]: lab.control.get(f"/v1/services/{row['name']}")
                              for row in lab.control.get("/v1/services")["services"]},
                 "status": lab.control.get("/v1/status")}
        flows = lab.control.get("/v1/stats")["flows"]
        lab.fairleadd.stop(timeout_s=20)
        lab.dataplane.kill()
        recorder.stop()
        for name, (data, body) in recorder.messages.items():
            (RECORDED / f"{name}.message").write_bytes(data)
            if body is not None:
                (RECORDED / f"{name}.body").write_bytes(body)
        (RECORDED / "store.db").write_bytes(lab.store_path.read_bytes())
        _keep_state(lab)
        views["flows"] = flows
        (RECORDED / "views.json").write_text(json.dumps(views, indent=1, sort_keys=True) + "\n")


def _keep_state(lab):
    stem = lab.dir / "dataplane"
    (RECORDED / "dataplane.snapshot").write_bytes(stem.with_suffix(".snapshot").read_bytes())
    with gzip.GzipFile(RECORDED / "dataplane.flows.gz", "wb", mtime=0) as out:
        out.write(stem.with_suffix(".flows").read_bytes())
    for file in sorted((lab.dir / "dataplane.slots").iterdir()):
        with gzip.GzipFile(RECORDED / f"{file.name}.gz", "wb", mtime=0) as out:
            out.write(file.read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    enter_namespace_rights()
    record(pathlib.Path(sys.argv[1]))
    print(f"recorded in {RECORDED}")
