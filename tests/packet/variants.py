"""The configurations that rows run under: what services.yaml and dataplane.yaml say, as plain values.

Everything that a row needs to know about its surroundings is here: ports' and backends' MAC addresses, frontends, policies.
"""
import copy
import dataclasses

PORT_MAC = "02:00:00:00:00:01"
EXTRA_MAC = "02:00:00:00:00:99"  # the base variant's second address
CLIENT_MAC = "02:00:00:00:0c:07"
STRANGER_MAC = "02:00:00:00:dd:dd"
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"

CLIENT4 = "198.51.100.7"
CLIENT6 = "2001:db8:c::7"
WEB4 = "203.0.113.10"  # web: tcp 80 and 443, weights 1 2 1; dns: udp 53
WEB6 = "2001:db8::10"
ANY4 = "203.0.113.20"  # any: every tcp port, but 443 is tls's
ANY6 = "2001:db8::20"
SOURCE4 = "203.0.113.30"  # sticky: by source address; tcp 80, udp 80
SOURCE6 = "2001:db8::30"
TRIPLE4 = "203.0.113.40"  # triple: by addresses and protocol; every tcp and udp port
TRIPLE6 = "2001:db8::40"
TAGGED4 = "203.0.113.50"  # tagged: its one backend is on VLAN 77
TAGGED6 = "2001:db8::50"
EMPTY4 = "203.0.113.60"  # empty: no backend; zero (port 81): all weights 0; lost (port 82): next hop unknown
NONE4 = "203.0.113.70"  # untracked: tcp 80, udp 80, tracking none
FOREIGN4 = "192.0.2.1"  # nobody's
FOREIGN6 = "2001:db8:f::1"
TAG = 77


def backend_mac(number):
    return f"02:00:00:00:0b:{number:02x}"


def _backends(*numbers, weights=None, **extra):
    weights = weights or [1] * len(numbers)
    return [{"address": f"10.0.0.{number}", "weight": weight, "mac": backend_mac(number), **extra}
            for number, weight in zip(numbers, weights)]


_SERVICES = [
    {"name": "web", "backends": _backends(11, 12, 13, weights=[1, 2, 1]),
     "frontends": [f"{WEB4}:80/tcp", f"{WEB4}:443/tcp", f"[{WEB6}]:80/tcp", f"[{WEB6}]:443/tcp"]},
    {"name": "dns", "backends": _backends(21, 22), "frontends": [f"{WEB4}:53/udp", f"[{WEB6}]:53/udp"]},
    {"name": "any", "backends": _backends(31, 32), "frontends": [f"{ANY4}:0/tcp", f"[{ANY6}]:0/tcp"]},
    {"name": "tls", "backends": _backends(41), "frontends": [f"{ANY4}:443/tcp", f"[{ANY6}]:443/tcp"]},
    {"name": "sticky", "hash": "source-ip", "backends": _backends(51, 52, 53, 54),
     "frontends": [f"{SOURCE4}:80/tcp", f"{SOURCE4}:80/udp", f"[{SOURCE6}]:80/tcp", f"[{SOURCE6}]:80/udp"]},
    {"name": "triple", "hash": "3-tuple", "backends": _backends(61, 62, 63, 64),
     "frontends": [f"{TRIPLE4}:0/tcp", f"{TRIPLE4}:0/udp", f"[{TRIPLE6}]:0/tcp", f"[{TRIPLE6}]:0/udp"]},
    {"name": "tagged", "backends": _backends(71, vlan=TAG),
     "frontends": [f"{TAGGED4}:80/tcp", f"[{TAGGED6}]:80/tcp"]},
    {"name": "empty", "frontends": [f"{EMPTY4}:80/tcp"], "backends": []},
    {"name": "zero", "frontends": [f"{EMPTY4}:81/tcp"], "backends": _backends(81, 82, weights=[0, 0])},
    {"name": "lost", "frontends": [f"{EMPTY4}:82/tcp"], "backends": [{"address": "10.0.0.91", "weight": 1}]},
    {"name": "untracked", "tracking": "none", "backends": _backends(101, 102),
     "frontends": [f"{NONE4}:80/tcp", f"{NONE4}:80/udp"]},
]


@dataclasses.dataclass
class Variant:
    name: str
    hash_seed: int = 0x5EED
    services: list = dataclasses.field(default_factory=lambda: _with_checks_off(_SERVICES))
    macs: tuple = (PORT_MAC, EXTRA_MAC)
    mtu: int = 1500
    replies_per_second: int = 100000

    def services_yaml(self):
        return {"hash_seed": self.hash_seed, "services": self.services}

    def dataplane_yaml(self, device):
        return {"workers": 1, "ports": [{"name": "wan", "device": device, "mac": list(self.macs), "mtu": self.mtu}],
                "flow_table": {"records": 65536}, "limits": {"replies_per_second": self.replies_per_second}}


def _with_checks_off(services):
    return [{"health_check": {"type": "none"}, **service} for service in copy.deepcopy(services)]


def _reversed():
    """The base variant's intent, told in another order."""
    services = _with_checks_off(_SERVICES)[::-1]
    for service in services:
        service["backends"] = service["backends"][::-1]
        service["frontends"] = service["frontends"][::-1]
    return services


VARIANTS = {variant.name: variant for variant in (
    Variant("base"),
    Variant("reversed", services=_reversed()),
    Variant("seed", hash_seed=0xFEDCBA9876543210),
    Variant("mtu", mtu=600),
    Variant("jumbo", mtu=9000),
    Variant("limited", replies_per_second=3),
)}
