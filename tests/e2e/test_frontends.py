"""Frontends: port ranges, nat, and services without backends."""
import pytest

from tests.lab import wait_until

# Sends one datagram to each address, and prints the answer, "refused" or "silence".
_ASK_UDP = """
import socket, sys
for address in sys.argv[1:]:
    asking = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    asking.settimeout(20)
    asking.connect((address, 7))
    asking.send(b"x")
    try:
        print(asking.recv(100).decode())
    except ConnectionRefusedError:
        print("refused")
    except TimeoutError:
        print("silence")
"""


def _curl(lab, address, port, limit_s=20):
    """Returns curl's exit status (0: success, 7: refused, 28: timeout) and the body."""
    at = f"[{address}]" if ":" in address else address
    result = lab.client.namespace.run("curl", "-sS", "-g", "-m", limit_s, f"http://{at}:{port}/", check=False)
    return result.returncode, result.stdout.strip()


@pytest.mark.quick
def test_on_no_backend_reset_refuses_the_clients_of_a_service_without_backends(lab):
    frontends = ["--frontend", f"{lab.vip4}:80/tcp", "--frontend", f"[{lab.vip6}]:80/tcp",
                 "--frontend", f"{lab.vip4}:7/udp", "--frontend", f"[{lab.vip6}]:7/udp"]
    lab.fairctl("service", "add", "web", *frontends, "--on-no-backend", "reset", "--health-check", "none")
    wait_until(lab.in_force, 30, "the service is not in force")

    def asked():
        return lab.client.namespace.run("/usr/bin/python3", "-c", _ASK_UDP, lab.vip4, lab.vip6).stdout.split()
    for vip in (lab.vip4, lab.vip6):
        assert _curl(lab, vip, 80)[0] == 7
    assert asked() == ["refused", "refused"]
    explained = lab.fairctl("explain", "tcp", "198.51.100.7:40000", f"{lab.vip4}:80").stdout
    assert "The client gets a TCP reset or an ICMP error" in explained, explained
    assert "reset" in lab.fairctl("service", "show", "web").stdout

    backend = lab.backends[0]
    lab.fairctl("backend", "add", "web", backend.address4)
    wait_until(lambda: lab.backends_of("web")[backend.address4]["next_hop"] and lab.in_force(), 30,
               "the backend is not in force")
    for vip in (lab.vip4, lab.vip6):
        assert _curl(lab, vip, 80) == (0, backend.name)
    assert asked() == [backend.name, "x"] * 2
    lab.fairctl("backend", "remove", "web", backend.address4)
    lab.fairctl("service", "set", "web", "--on-no-backend", "drop")
    wait_until(lab.in_force, 30, "the service is not in force")
    assert _curl(lab, lab.vip4, 80, limit_s=1)[0] == 28


@pytest.mark.quick
def test_a_frontend_within_a_port_range_has_precedence_over_the_range(lab):
    wide, narrow, exact = lab.backends[:3]
    for backend in (wide, narrow, exact):
        backend.start(ports=(80, 8000, 8050, 8055, 8099, 8100))
    services = (("wide", "8000-8099", wide), ("narrow", "8050-8059", narrow), ("exact", "8055", exact))
    for name, ports, backend in services:
        lab.fairctl("service", "add", name, "--frontend", f"{lab.vip4}:{ports}/tcp",
                    "--frontend", f"[{lab.vip6}]:{ports}/tcp", "--backend", backend.address4, "--health-check", "none")
        lab.wait_healthy(name, 1)
        wait_until(lambda: lab.backends_of(name)[backend.address4]["next_hop"] and lab.in_force(), 30,
                   "the backend is not in force")
    for vip in (lab.vip4, lab.vip6):
        for port, backend in ((8000, wide), (8050, narrow), (8055, exact), (8099, wide)):
            assert _curl(lab, vip, port) == (0, backend.name), port
    assert _curl(lab, lab.vip4, 8100, limit_s=1)[0] == 28
    refused = lab.fairctl("service", "add", "across", "--frontend", f"{lab.vip4}:8090-8110/tcp", check=False)
    assert refused.returncode != 0
    assert "overlap" in refused.stderr, refused
    assert f"{lab.vip4}:8050-8059/tcp" in lab.fairctl("service", "show", "narrow").stdout


@pytest.mark.quick
def test_nat_translates_replies_from_its_port_range_but_no_other_connections_of_the_backend(bare_lab):
    lab = bare_lab
    lab.start_dataplane(port={"addresses": ["10.0.0.2"], "gateway": lab.client.mac})
    lab.start_control()
    backend, other = lab.backends[:2]
    backend.start(ports=(80, 8000, 8055))
    backend.answer_through("10.0.0.2", "2001:db8:a::2")
    refused = lab.fairctl("service", "add", "api", "--frontend", f"{lab.vip4}:0/tcp", "--forwarding", "nat",
                          "--check-port", "80", check=False)
    assert refused.returncode != 0
    assert f"{lab.vip4}:0/tcp is for any port, which nat does not support" in refused.stderr, refused
    lab.fairctl("service", "add", "api", "--frontend", f"{lab.vip4}:8000-8999/tcp", "--forwarding", "nat",
                "--backend", backend.address4, "--health-check", "none")
    wait_until(lambda: lab.backends_of("api")[backend.address4]["next_hop"] and lab.in_force(), 30,
               "the backend is not in force")
    for port in (8000, 8055):
        assert _curl(lab, lab.vip4, port) == (0, backend.name)
    # A connection that the backend opens itself keeps its source address.
    reached = backend.namespace.run("curl", "-sS", "-m", 20, f"http://{other.address4}/").stdout
    assert reached.strip() == other.name
