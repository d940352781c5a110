"""Configurations that the packet rules forbid. They are refused before any packet."""
import copy
import subprocess

import pytest
import yaml

from tests.packet.rows import ether, ip6, tcp
from tests.packet.runner import build_dir
from tests.packet.variants import VARIANTS, Variant


def _service(name, frontends, backends, **extra):
    return {"name": name, "frontends": frontends, "health_check": {"type": "none"}, **extra,
            "backends": [{"mac": "02:00:00:00:0b:01", **backend} for backend in backends]}


_NAT = {"forwarding": "nat"}
_REFUSED = {
    # (backend address, backend port, protocol) must identify one frontend, within a service and between services. The
    # message names the endpoint and, in the first two cases, both frontends.
    "nat-between-services": ([_service("a", ["203.0.113.1:80/tcp"], [{"address": "10.0.0.1", "port": 8080}], **_NAT),
                              _service("b", ["203.0.113.2:80/tcp"], [{"address": "10.0.0.1", "port": 8080}], **_NAT)],
                             ["10.0.0.1:8080", "203.0.113.1:80", "203.0.113.2:80"]),
    "nat-within-a-service": ([_service("a", ["203.0.113.1:80/tcp", "203.0.113.1:443/tcp"],
                                       [{"address": "10.0.0.1", "port": 8080}], **_NAT)],
                             ["10.0.0.1:8080", "203.0.113.1:80", "203.0.113.1:443"]),
    "nat-frontend-port": ([_service("a", ["203.0.113.1:80/tcp"], [{"address": "10.0.0.1"}], **_NAT),
                           _service("b", ["203.0.113.2:80/tcp"], [{"address": "10.0.0.1"}], **_NAT)], ["10.0.0.1:80"]),
    "nat-across-families": ([_service("a", ["203.0.113.1:80/tcp"], [{"address": "2001:db8::1"}], **_NAT)],
                            ["2001:db8::1"]),
    "backend-is-F": ([_service("a", ["203.0.113.1:80/tcp"], [{"address": "203.0.113.1"}])], ["203.0.113.1"]),
    "backend-is-F-of-another": ([_service("a", ["203.0.113.1:80/tcp"], [{"address": "203.0.113.2"}]),
                                 _service("b", ["203.0.113.2:80/tcp"], [{"address": "10.0.0.1"}])], ["203.0.113.2"]),
    "port-without-nat": ([_service("a", ["203.0.113.1:80/tcp"], [{"address": "10.0.0.1", "port": 8080}])], ["8080"]),
    "frontend-twice": ([_service("a", ["203.0.113.1:80/tcp"], []), _service("b", ["203.0.113.1:80/tcp"], [])],
                       ["203.0.113.1:80"]),
}


def _build(tmp_path, services):
    path, image = tmp_path / "services.yaml", tmp_path / "image"
    path.write_text(yaml.safe_dump({"hash_seed": 1, "services": copy.deepcopy(services)}))
    command = [build_dir() / "tools/fairctl/fairctl", "snapshot", "build", path, "-o", image]
    return subprocess.run(command, capture_output=True, text=True, check=False), image


@pytest.mark.parametrize("name", _REFUSED)
def test_a_forbidden_configuration_is_refused_and_the_message_names_the_values(tmp_path, name):
    services, words = _REFUSED[name]
    result, image = _build(tmp_path, services)
    assert result.returncode != 0 and not image.exists()
    assert all(word in result.stderr for word in words), result.stderr


def test_similar_configurations_without_the_conflicts_are_accepted(tmp_path):
    """Shows that the refusals above are due to the conflicts."""
    services = [_service("a", ["203.0.113.1:80/tcp"], [{"address": "10.0.0.1", "port": 8080}], **_NAT),
                _service("b", ["203.0.113.2:80/tcp"], [{"address": "10.0.0.1", "port": 8081}], **_NAT),
                _service("c", ["[2001:db8::2]:80/tcp"], [{"address": "2001:db8:b::1"}], **_NAT),
                _service("d", ["203.0.113.3:80/tcp"], [{"address": "10.0.0.3"}])]
    result, _ = _build(tmp_path, services)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("variant, overhead",
                         [("base", 0), ("ipip4", 20), ("ipip6", 40), ("gue4", 32), ("gue6", 52), ("nat", 0)])
def test_backends_behind_less_than_an_ipv6_mtu_are_left_out(runner, variant, overhead):
    """Tests the smallest port MTU of each mode with IPv6 clients. Below, the path MTU would be less than 1280 bytes."""
    services = VARIANTS[variant].services
    frame = bytes(ether() / ip6() / tcp())
    fits = runner.run(Variant(variant, services=services, mtu=1280 + overhead), [frame])
    fits.require_sound()
    assert len(fits.frames) == 1, fits.report
    below = runner.run(Variant(variant, services=services, mtu=1279 + overhead), [frame])
    assert below.report["drops"] == {"no_backend": 1}, below.report
