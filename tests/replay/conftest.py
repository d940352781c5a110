"""A capture of real traffic: two namespaces, unmodified TCP stacks, tcpdump between them."""
import signal
import sys

import pytest

from tests.lab import enter_namespace_rights
from tests.lab.namespace import Namespace, new_run_name, sweep
from tests.lab.process import Process, wait_until

_HOST = {"near": ("10.77.0.1", "fd77::1"), "far": ("10.77.0.2", "fd77::2")}
# Whole and fragmented datagrams, to a port that answers and to one that is closed.
_TALK = """
import socket, sys
for family, address in ((socket.AF_INET, sys.argv[1]), (socket.AF_INET6, sys.argv[2])):
    with socket.socket(family, socket.SOCK_DGRAM) as out:
        for port in (5000, 5001):
            for size in (0, 1, 100, 1472, 8192, 30000):
                for _ in range(5):
                    try:
                        out.sendto(bytes(size), (address, port))
                    except ConnectionRefusedError:
                        pass
"""


def pytest_configure(config):
    capture = config.pluginmanager.getplugin("capturemanager")
    enter_namespace_rights(before_exec=capture.stop_global_capturing if capture else None)


@pytest.fixture(scope="session")
def pair():
    sweep()
    name = new_run_name()
    made = {}
    try:
        for side in _HOST:
            made[side] = Namespace(f"{name}-{side}")
        made["near"].ip(f"link add eth0 type veth peer name eth0 netns {made['far'].name}")
        for side, (address4, address6) in _HOST.items():
            made[side].ip(f"address add {address4}/24 dev eth0", f"address add {address6}/64 dev eth0 nodad", "link set eth0 up")
        yield made
    finally:
        for namespace in made.values():
            for pid in namespace.pids():
                namespace.run("kill", "-9", str(pid), check=False)
            namespace.delete()


@pytest.fixture(scope="session")
def live_capture(pair, tmp_path_factory):
    """HTTP, UDP whole and in fragments, closed ports and pings, in both directions and over both families. Offloads are on, so frames
    have up to 64 KB."""
    folder = tmp_path_factory.mktemp("live")
    path = folder / "live.pcap"
    near, far = pair["near"], pair["far"]
    (folder / "file").write_bytes(bytes(2_000_000))
    server = Process("server", [sys.executable, "-m", "http.server", "--bind", "::", "--directory", str(folder), "8000"], folder,
                     namespace=far)
    sniffer = Process("tcpdump", ["tcpdump", "-Z", "root", "-U", "-i", "eth0", "-w", str(path)], folder, namespace=near)
    try:
        wait_until(lambda: "listening on" in sniffer.errors(), 20, "tcpdump to listen")
        wait_until(lambda: ":8000" in far.run("ss", "-Hltn").stdout, 20, "the web server to listen")
        address4, address6 = _HOST["far"]
        for url in (f"http://{address4}:8000/file", f"http://[{address6}]:8000/file"):
            near.run("curl", "-sSf", "--noproxy", "*", "-o", "/dev/null", url)
        near.run(sys.executable, "-c", _TALK, address4, address6)
        for arguments in (("-c3", "-i0.05", address4), ("-c3", "-i0.05", "-s4000", address4), ("-c3", "-i0.05", address6),
                          ("-c3", "-i0.05", "-s4000", address6)):
            near.run("ping", "-q", *arguments)
    finally:
        sniffer.stop(number=signal.SIGINT)
        server.stop()
    return path
