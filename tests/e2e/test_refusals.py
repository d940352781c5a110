"""Malformed snapshots, messages and requests are refused with a reason, and change nothing."""
import json
import random
import re
import socket
import struct
import subprocess
import time

import pytest

from tests.e2e.conftest import web_targets
from tests.e2e.link import LinkClient, patched, section
from tests.lab import wait_until
from tests.lab.kept_image import await_kept_image

_SEED = 42


def _image_in_force(lab):
    """The bytes of the last good image, from the dataplane's file."""
    return await_kept_image(lab.link_path, lab.control).read_bytes()


def _bad_images(image):
    """Yields (defect, image). The digest is correct, except in truncated, extended and bit-flipped images."""
    frontends, services, backends = (section(image, name)[0] for name in ("frontends", "services", "backends"))
    yield "empty", b""
    for size in (1, 159, 160, len(image) // 2, len(image) - 8, len(image) - 1):
        yield f"cut to {size} bytes", image[:size]
    yield "eight bytes more", image + bytes(8)
    chance = random.Random(_SEED)
    for _ in range(20):
        at = chance.randrange(len(image))
        yield f"bit flipped in byte {at}", patched(image, at, "B", image[at] ^ 1 << chance.randrange(8), digest=False)
    yield "another magic", patched(image, 0, "Q", 0x1234)
    yield "a future version", patched(image, 8, "I", 4)
    yield "a header of another size", patched(image, 12, "I", 120)
    yield "another total", patched(image, 16, "Q", len(image) - 8)
    for name in ("frontends", "services", "backends", "next_hops", "names"):
        offset, count, at = section(image, name)
        yield f"{name} begin past the end", patched(image, at, "Q", 1 << 40)
        yield f"{name} begin at an odd offset", patched(image, at, "Q", offset + 1)
        yield f"{name} are very many", patched(image, at + 8, "Q", 1 << 60)
        yield f"{name} are some more", patched(image, at + 8, "Q", count + 9)
    yield "frontend with a service index out of range", patched(image, frontends + 20, "I", 999)
    yield "frontend with an unknown family", patched(image, frontends + 16, "B", 5)
    yield "frontend with an unknown protocol", patched(image, frontends + 17, "B", 1)
    yield "service with a name offset out of range", patched(image, services, "I", 1 << 30)
    yield "service with an unknown mode", patched(image, services + 6, "B", 9)
    yield "service with an unknown hash", patched(image, services + 7, "B", 9)
    yield "service with an unknown tracking", patched(image, services + 8, "B", 9)
    yield "number of slots that is not prime", patched(image, services + 16, "I", 65536)
    yield "number of slots that no memory can hold", patched(image, services + 16, "I", 4294967291)
    yield "no idle timeout", patched(image, services + 20, "I", 0)
    yield "first backend's index out of range", patched(image, services + 28, "I", 1000)
    yield "more backends than exist", patched(image, services + 32, "I", 1 << 20)
    yield "backend with an unknown state", patched(image, backends + 17, "B", 7)
    yield "backend with too large a weight", patched(image, backends + 20, "H", 1001)
    yield "backend without an id", patched(image, backends + 24, "I", 0)
    yield "backend with another backend's id", \
        patched(image, backends + 24, "I", struct.unpack_from("<I", image, backends + 32 + 24)[0])
    yield "next hop index out of range", patched(image, backends + 28, "I", 77777)


@pytest.mark.quick
def test_a_malformed_snapshot_is_refused_and_changes_nothing(balanced):
    lab = balanced
    image = _image_in_force(lab)
    load = lab.start_load(targets=web_targets(lab), keep=40, interval_ms=20, new_per_second=100, udp=10,
                          udp_interval_ms=20)
    with LinkClient(lab.link_path) as link:
        before = (link.pid, link.generation, link.digest)
        refused = 0
        for what, bad in _bad_images(image):
            in_force, reason = link.publish(bad, generation=before[1] + 1 if len(bad) < 32 else None)
            assert not in_force, f"{what}: the snapshot was accepted"
            assert len(reason) > 10, f"{what}: refused without a reason"
            refused += 1
        assert refused > 60
        assert not link.publish(image, image_bytes=len(image) + 8)[0], "accepted with a wrong length"
    with LinkClient(lab.link_path) as link:
        assert (link.pid, link.generation, link.digest) == before
    assert _image_in_force(lab) == image
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_malformed_link_messages_close_only_that_link(balanced):
    lab = balanced
    good = struct.pack("<IHHII", 0x4B4E4C46, 3, 4, 1, 0)
    for what, message in (("garbage", b"x" * 100), ("one byte", b"\0"), ("another magic", b"\0" * 16),
                          ("another version", struct.pack("<IHHII", 0x4B4E4C46, 9, 4, 1, 0)),
                          ("an unknown type", struct.pack("<IHHII", 0x4B4E4C46, 3, 99, 1, 0)),
                          ("a wrong length", struct.pack("<IHHII", 0x4B4E4C46, 3, 4, 1, 50)),
                          ("bytes after the message", good + b"12345678"),
                          ("a reply", struct.pack("<IHHIIQBQI", 0x4B4E4C46, 3, 3, 1, 21, 1, 1, 1, 0)),
                          ("very long", b"x" * 60000)):
        with LinkClient(lab.link_path) as link:
            link.send_raw(message)
            with pytest.raises(ConnectionError):
                link.send_raw(good)
                link._receive()
                link._receive()
                raise AssertionError(f"{what}: the link stays open")
    # A publish message without a file descriptor, or with several.
    for file_count in (0, 3):
        with LinkClient(lab.link_path) as link:
            try:
                assert not link.publish(_image_in_force(lab), file_count=file_count)[0]
            except ConnectionError:
                pass
    assert lab.control.get("/v1/status")["dataplane"]["connected"]
    assert lab.start_load(targets=web_targets(lab), count=50).wait()["failed"] == 0


_SERVICE = {"name": "bad", "frontends": ["203.0.113.77:80/tcp"]}


def _json_requests():
    """Yields requests (method, path, value) with invalid values, or for things that do not exist."""
    one = "/v1/services/web/backends/10.0.0.11"
    for change in ({"name": ""}, {"name": "A"}, {"name": "x" * 64}, {"name": 7}, {"frontends": []}, {"frontends": "x"},
                   {"frontends": ["203.0.113.77:80"]}, {"frontends": ["203.0.113.77:80/icmp"]},
                   {"frontends": ["203.0.113.77:99999/tcp"]}, {"frontends": ["127.0.0.1:80/tcp"]},
                   {"frontends": ["203.0.113.10:80/tcp"]}, {"name": "web"},
                   {"frontends": ["203.0.113.77:80/tcp"] * 2}, {"forwarding": "teleport"}, {"hash": "none"},
                   {"tracking": 1},
                   {"idle_timeout": "350"}, {"idle_timeout": 350}, {"idle_timeout": "25h"}, {"drain_timeout": "-1s"},
                   {"colour": "blue"}, {"health_check": {"interval": "1ms"}},
                   {"health_check": {"interval": "1s", "timeout": "1s"}},
                   {"health_check": {"rise": 0}}, {"health_check": {"fall": 11}}, {"health_check": {"type": "dns"}},
                   {"backends": ["10.0.0.1", "10.0.0.1"]}, {"backends": ["10.0.0.999"]}, {"backends": ["203.0.113.77"]},
                   {"backends": [{"address": "10.0.0.1", "weight": 1001}]},
                   {"backends": [{"address": "10.0.0.1", "mac": "ff:ff:ff:ff:ff:ff"}]},
                   {"backends": [{"address": "10.0.0.1", "vlan": 5}]}, {"backends": {"a": 1}}, {"fail_open": "yes"}):
        yield "POST", "/v1/services", {**_SERVICE, **change}
    yield "POST", "/v1/services", []
    yield "POST", "/v1/services", {}
    yield "POST", "/v1/services/web/backends", "10.0.0.11"  # exists already
    yield "POST", "/v1/services/web/backends", {"backends": []}
    # No backend of these lists may be added.
    yield "POST", "/v1/services/web/backends", {"backends": ["10.1.1.1", "10.1.1.2", "no address"]}
    yield "POST", "/v1/services/web/backends", {"backends": ["10.1.1.1", {"address": "10.1.1.2", "weight": -1}]}
    yield "POST", "/v1/services/none/backends", "10.1.1.1"
    yield "PATCH", one, {"weight": 1001}
    yield "PATCH", one, {"weight": "2"}
    yield "PATCH", one, {"weight": 1.5}
    yield "PATCH", one, {"weight": 1e300}
    yield "PATCH", one, {"address": "10.0.0.99"}
    yield "PATCH", one, {}
    yield "PATCH", "/v1/services/web/backends/10.0.0.99", {"weight": 2}
    yield "PATCH", "/v1/services/web/backends/nonsense", {"weight": 2}
    yield "PUT", one + "/drain", {"timeout": "2h"}
    yield "PUT", one + "/drain", {"timeout": 5}
    yield "PUT", one + "/drain", {"deadline": "5s"}
    yield "DELETE", "/v1/services/none", None
    yield "DELETE", "/v1/services/web/backends/10.0.0.99", None
    yield "POST", "/v1/explain", {"protocol": "tcp", "source": "198.51.100.7:1", "destination": "[2001:db8::10]:80"}
    yield "POST", "/v1/explain", {"protocol": "sctp"}
    yield "GET", "/v1/nowhere", None
    yield "DELETE", "/v1/status", None


def _raw_bodies():
    yield b"{"
    yield b"\xff\xfe{}"
    yield b'{"weight": 1, "weight": 2}'
    yield b'{"weight": 99999999999999999999999999999999999999}'
    yield b'{"weight": NaN}'
    yield b"[" * 100000
    yield b'{"a":' * 50 + b"1" + b"}" * 50
    yield b'{"weight": 2} {"weight": 3}'
    yield b'{"weight": 2' + b" " * (2 << 20) + b"}"
    yield b'{"we\\ud800ight": 2}'


@pytest.mark.quick
def test_a_malformed_api_request_is_refused_and_changes_nothing(balanced):
    lab = balanced

    def state():
        services = lab.control.get("/v1/services")["services"]
        for service in services:
            # These members change every second: statistics of the dataplane, and the last health probe (`check`).
            service.pop("slots")
            for backend in service["backends"]:
                for moving in ("flows", "new_flows", "pins", "packets", "bytes", "check"):
                    backend.pop(moving)
        return services, lab.control.get("/v1/status")["generation"]

    before, stored = state(), lab.control.get("/v1/status")["pid"]
    for method, path, value in _json_requests():
        body = None if value is None else json.dumps(value)
        status, text = lab.control.raw(method, path, body)
        assert 400 <= status < 500, f"{method} {path} {body}: {status} {text}"
        error = json.loads(text)["error"]
        assert error["code"] and len(error["message"]) > 5, text
    for body in _raw_bodies():
        try:
            status, text = lab.control.raw("PATCH", "/v1/services/web/backends/10.0.0.11", body)
            assert 400 <= status < 500, f"{body[:60]}: {status} {text}"
        except (ConnectionError, BrokenPipeError):
            pass  # fairleadd may also close the connection
    assert state() == before
    assert lab.control.get("/v1/status")["pid"] == stored


def _raw_connection(lab):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(20)
    connection.connect(str(lab.socket_path))
    return connection


@pytest.mark.quick
def test_malformed_http_is_refused_and_delays_no_other_client(lab):
    for request in (b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                    b"POST /v1/services HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                    b"POST /v1/services HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                    b"POST /v1/services HTTP/1.1\r\nContent-Length: 4000000000\r\n\r\n",
                    b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                    b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100000 + b"\r\n\r\n",
                    b"POST /v1/services HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"):
        with _raw_connection(lab) as connection:
            try:
                connection.sendall(request)
                answer = connection.recv(65536)
            except ConnectionError:
                answer = b""
            assert answer == b"" or re.match(rb"HTTP/1\.[01] 4\d\d ", answer), f"{request[:60]}: {answer[:80]}"
    # Clients that send half a request, or nothing, and keep the connection open.
    idlers = [_raw_connection(lab) for _ in range(50)]
    for idler in idlers[:25]:
        idler.sendall(b"POST /v1/services HTTP/1.1\r\nContent-Length: 500\r\n\r\n{")
    started = time.monotonic()
    for _ in range(20):
        lab.control.get("/v1/status")
    assert time.monotonic() - started < 10  # fairleadd's timeout for the slow clients
    for idler in idlers:
        idler.close()


@pytest.mark.quick
@pytest.mark.parametrize(("arguments", "eal", "status", "words"), [
    ([], ["--no-huge"], 78, "no port is configured"),
    (["--port", "a=null", "--workers", "60"], ["--no-huge"], 78, "CPUs"),
    (["--port", "a=pcap:,/dev/null", "--workers", "2", "--spread", "a=hardware"], ["--no-huge"], 1,
     "port a: spread: hardware is not possible: pcap:,/dev/null (net_pcap) has 1 receive queue for 2 workers; use "
     "spread: software, or --workers 1"),
    (["--port", "a=null", "--spread", "a=rss"], ["--no-huge"], 78,
     "--spread: 'rss' is no way to spread packets; write"),
    (["--port", "a=null", "--spread", "b=off"], ["--no-huge"], 78, "--spread: no port is named 'b'"),
    (["--port", "a=null"], [], 1, "hugepages"),
    (["--port", "a=af_packet:nowhere"], ["--no-huge"], 1, "nowhere"),
    (["--port", "a=teleport:x"], ["--no-huge"], 78, "teleport"),
    (["--port", "a=ffff:ff:1f.7"], ["--no-huge"], 1, "port a: this host has no PCI device ffff:ff:1f.7"),
    (["--port", "a=null", "--port", "a=null"], ["--no-huge"], 78, "a"),
    (["--port", "a=null", "--snapshot", "/etc/hostname"], ["--no-huge"], 78, "/etc/hostname"),
    (["--port", "a=null", "--snapshot", "/nowhere/image"], ["--no-huge"], 78, "/nowhere/image"),
    (["--port", "a=null", "--kernel", "a=tap:tap%d"], ["--no-huge"], 78, "'tap%d' is not an interface name"),
    (["--config", "/nowhere/dataplane.yaml"], ["--no-huge"], 78, "/nowhere/dataplane.yaml"),
])
def test_a_dataplane_that_cannot_start_prints_the_reason_in_one_line(build, tmp_path, arguments, eal, status, words):
    """78 tells systemd that another start cannot help. An interface or hugepages may come later."""
    command = [build / "dataplane/fairlead-dataplane", "--link", tmp_path / "link", *arguments, "--", "--no-pci",
               f"--file-prefix=flref-{tmp_path.name}", *eal]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == status, result
    lines = [line for line in result.stderr.splitlines() if line.startswith("fairlead-dataplane: ")]
    assert len(lines) == 1 and words in lines[0], result.stderr


@pytest.mark.quick
def test_an_eal_option_that_is_unknown_is_not_retried(build, tmp_path):
    result = subprocess.run([str(build / "dataplane/fairlead-dataplane"), "--port", "a=null", "--no-link", "--", "--no-pci",
                             "--no-huge", f"--file-prefix=flref-{tmp_path.name}", "--foo"], capture_output=True,
                            text=True, timeout=30, check=False)
    assert result.returncode == 78, result
    assert "unrecognized option '--foo'" in result.stderr  # getopt's line
    assert "cannot start DPDK: it rejects the EAL arguments after --" in result.stderr.splitlines()[-1]


@pytest.mark.quick
def test_a_second_process_on_the_same_sockets_is_refused(lab):
    second = lab.start_control(wait=False)
    assert second.wait(30) != 0
    assert "control.sock" in second.errors() or "fairlead.db" in second.errors(), second.tail()
    second = lab.start_dataplane(eal=["--file-prefix=" + lab.name + "-2"], wait=False)
    assert second.wait(30) != 0
    assert "dataplane.sock" in second.errors(), second.tail()
    lab.control.get("/v1/status")


@pytest.mark.quick
def test_a_second_dataplane_on_the_same_interface_is_refused(lab):
    second = lab.spawn("second", [lab.program("dataplane/fairlead-dataplane"), "--port", "lan=af_packet:eth0",
                                  "--no-link", "--", "--no-huge", "--no-pci", "-m", "512"], lab.balancer.namespace)
    assert second.wait(30) == 1
    assert "port lan: af_packet:eth0 is already in use by another fairlead-dataplane" in second.errors()
    assert lab.dataplane.running()


@pytest.mark.quick
def test_fairctl_names_the_socket_and_the_daemon_when_fairleadd_does_not_run(bare_lab):
    result = bare_lab.fairctl("status", check=False)
    assert result.returncode == 3
    assert "control.sock" in result.stderr and "fairleadd" in result.stderr, result.stderr


@pytest.mark.quick
def test_a_backend_routed_through_a_frontend_gets_no_traffic_and_has_the_reason(balanced):
    lab = balanced
    lab.balancer.namespace.ip(f"route replace {lab.vip4}/32 dev eth0",
                              f"route add 192.0.2.0/24 via {lab.vip4} dev eth0 onlink")
    lab.control.post("/v1/services/web/backends", "192.0.2.7")
    added = lab.control.get("/v1/services/web/backends/192.0.2.7")
    assert added["next_hop"] is None
    assert f"its route leads to {lab.vip4}, a frontend: packets would come back in a loop" in added["reason"], added
    figures = lab.start_load(targets=web_targets(lab), count=200).wait()
    assert figures["failed"] == 0, figures["details"]
    lab.backends[0].namespace.ip("address add 192.0.2.7/32 dev eth0")
    lab.balancer.namespace.ip("route replace 192.0.2.0/24 dev eth0")

    def row():
        return lab.control.get("/v1/services/web/backends/192.0.2.7")
    wait_until(lambda: (row()["next_hop"] or {}).get("mac") == lab.backends[0].mac, 20,
               lambda: f"the next hop is not {lab.backends[0].mac}: {row()}")
