"""Hostile peers on the link: the dataplane keeps its tables, serves its control plane, leaks no file descriptors."""
import array
import os
import socket
import struct

import pytest

from tests.breakers.daemons import chance, rounds
from tests.e2e.link import LinkClient, with_digest
from tests.lab.kept_image import await_kept_image

_SERVICE = {"name": "web", "frontends": ["203.0.113.1:80-90/tcp", "[2001:db8::1]:80/tcp"],
            "health_check": {"type": "none"},
            "backends": [{"address": f"10.0.0.{last}", "mac": "02:00:00:00:ee:01"} for last in range(1, 9)]}


def _file_descriptors(generator):
    """Up to 200 file descriptors of several kinds, for SCM_RIGHTS. The caller closes them."""
    files = []
    for _ in range(generator.choice([0, 1, 1, 1, 2, 17, 200])):
        kind = generator.randrange(4)
        if kind == 0:
            files += os.pipe()
        elif kind == 1:
            files.append(os.memfd_create("image"))
        elif kind == 2:
            files.append(os.open("/", os.O_RDONLY))
        else:
            files += [end.detach() for end in socket.socketpair()]
    for extra in files[200:]:
        os.close(extra)
    return files[:200]


def _message(generator, image):
    kind = generator.randrange(4)
    if kind == 0:
        return generator.randbytes(generator.randrange(1, 5000))
    body = generator.randbytes(generator.choice([0, 8, 16, 20, 4080]))
    if kind == 1:
        body = struct.pack("<QQ", generator.randrange(1 << 64), generator.choice([0, len(image), 1 << 63, 1 << 28]))
    return struct.pack("<IHHII", 0x4B4E4C46, generator.choice([3, 3, 3, 1, 9]), generator.randrange(10),
                       generator.randrange(1 << 32),
                       len(body) if generator.random() < 0.9 else generator.randrange(1 << 32)) + body


def _attack(path, generator, image):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(5)
        link.connect(str(path))
        try:
            for _ in range(generator.randrange(1, 5)):
                files = _file_descriptors(generator)
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
                try:
                    link.sendmsg([_message(generator, image)], rights)
                finally:
                    for file in files:
                        os.close(file)
        except OSError:
            pass  # the dataplane closed the link


def _damaged(generator, image):
    data = bytearray(image)
    for _ in range(generator.randrange(1, 4)):
        at = generator.randrange(len(data))
        data[at] = generator.randrange(256)
    return with_digest(data) if generator.random() < 0.8 else bytes(data)


@pytest.mark.slow("sends some thousand hostile messages")
def test_hostile_peers_do_not_stop_the_dataplane_or_leak_its_file_descriptors(daemons):
    generator = chance()
    daemons.start_dataplane()
    daemons.start_control()
    daemons.control.post("/v1/services", _SERVICE)
    daemons.await_in_force()
    image = await_kept_image(daemons.link_path, daemons.control).read_bytes()
    pid = daemons.dataplane.pid
    files = len(os.listdir(f"/proc/{pid}/fd"))
    silent = []
    for number in range(rounds(2000, 50000)):
        if number % 5 == 0 and len(silent) < 40:  # more than the dataplane keeps open
            silent.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            silent[-1].connect(str(daemons.link_path))
        _attack(daemons.link_path, generator, image)
        if number % 4 == 0:
            with LinkClient(daemons.link_path) as link:
                # The dataplane may accept an image whose damage no check covers: such an image is valid.
                link.publish(_damaged(generator, image))
        if number % 50 == 0:
            changed = daemons.control.patch("/v1/services/web/backends/10.0.0.1", {"weight": 1 + number % 1000})
            assert changed["weight"] == 1 + number % 1000
    for link in silent:
        link.close()
    assert daemons.dataplane.running() and daemons.dataplane.pid == pid, daemons.dataplane.tail()
    daemons.control.patch("/v1/services/web/backends/10.0.0.2", {"weight": 77})
    daemons.await_in_force()
    assert len(os.listdir(f"/proc/{pid}/fd")) <= files + 5, "the dataplane leaks file descriptors"
