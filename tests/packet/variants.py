"""The configurations under which rows run: the content of services.yaml and dataplane.yaml as plain values.

They define the MAC addresses of ports and backends, the frontends and the policies. The same services exist in every
forwarding mode (MODES), so that the same rows run in each.
"""
import copy
import dataclasses

PORT_MAC = "02:00:00:00:00:01"
EXTRA_MAC = "02:00:00:00:00:99"  # the port's extra MAC
CLIENT_MAC = "02:00:00:00:0c:07"
STRANGER_MAC = "02:00:00:00:dd:dd"
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
GATEWAY_MAC = "02:00:00:00:00:fe"  # the next hop of nat's replies

PORT4 = "10.0.0.1"  # the port's own addresses
PORT6 = "2001:db8:b::1"
CLIENT4 = "198.51.100.7"
CLIENT6 = "2001:db8:c::7"
WEB4 = "203.0.113.10"  # web: tcp 80 and 443, weights 1 2 1; dns: udp 53
WEB6 = "2001:db8::10"
ANY4 = "203.0.113.20"  # any: every tcp port except 443, which is tls
ANY6 = "2001:db8::20"
SOURCE4 = "203.0.113.30"  # sticky: by source address; tcp 80, udp 80
SOURCE6 = "2001:db8::30"
TRIPLE4 = "203.0.113.40"  # triple: by addresses and protocol; every tcp and udp port
TRIPLE6 = "2001:db8::40"
TAGGED4 = "203.0.113.50"  # tagged: its one backend is on VLAN 77
TAGGED6 = "2001:db8::50"
EMPTY4 = "203.0.113.60"  # empty: no backend; zero (port 81): all weights 0; lost (port 82): next hop unknown
NONE4 = "203.0.113.70"  # untracked: tcp 80, udp 80, tracking none
TRACKED4 = "203.0.113.80"  # tracked: tcp 80, udp 80, every flow recorded
TRACKED6 = "2001:db8::80"
# rest: every tcp port. range: 8000-8999 (tcp, udp), except inner: 8100-8199 (tcp), except exact: 8150 (tcp).
RANGE4 = "203.0.113.90"
RANGE6 = "2001:db8::90"
REFUSED4 = "203.0.113.100"  # refused: tcp 80, udp 80, no backend, on_no_backend reset
REFUSED6 = "2001:db8::100"
FOREIGN4 = "192.0.2.1"  # not an address of any frontend
FOREIGN6 = "2001:db8:f::1"
TAG = 77


def backend_mac(number):
    return f"02:00:00:00:0b:{number:02x}"


def backend_address(number, family=4):
    return f"10.0.0.{number}" if family == 4 else f"2001:db8:b::{number}"


def _backends(*numbers, weights=None, **extra):
    weights = weights or [1] * len(numbers)
    return [{"address": backend_address(number), "weight": weight, "mac": backend_mac(number), **extra}
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
    {"name": "tracked", "tracking": "all", "backends": _backends(111, 112),
     "frontends": [f"{TRACKED4}:80/tcp", f"{TRACKED4}:80/udp", f"[{TRACKED6}]:80/tcp", f"[{TRACKED6}]:80/udp"]},
    {"name": "rest", "backends": _backends(121), "frontends": [f"{RANGE4}:0/tcp", f"[{RANGE6}]:0/tcp"]},
    {"name": "range", "backends": _backends(122, 123),
     "frontends": [f"{RANGE4}:8000-8999/tcp", f"{RANGE4}:8000-8999/udp", f"[{RANGE6}]:8000-8999/tcp",
                   f"[{RANGE6}]:8000-8999/udp"]},
    {"name": "inner", "backends": _backends(124),
     "frontends": [f"{RANGE4}:8100-8199/tcp", f"[{RANGE6}]:8100-8199/tcp"]},
    {"name": "exact", "backends": _backends(125), "frontends": [f"{RANGE4}:8150/tcp", f"[{RANGE6}]:8150/tcp"]},
    {"name": "refused", "on_no_backend": "reset", "backends": [],
     "frontends": [f"{REFUSED4}:80/tcp", f"{REFUSED4}:80/udp", f"[{REFUSED6}]:80/tcp", f"[{REFUSED6}]:80/udp"]},
]
# The backends' ports with nat. Only nat can change the port.
_NAT_PORTS = {"dns": 5353, "tls": 8443}


def _with_checks_off(services):
    return [{"health_check": {"type": "none"}, **service} for service in copy.deepcopy(services)]


def _reversed():
    """The base variant's services, with all lists in reverse order."""
    services = _with_checks_off(_SERVICES)[::-1]
    for service in services:
        service["backends"] = service["backends"][::-1]
        service["frontends"] = service["frontends"][::-1]
    return services


def _with(**extra):
    return [{**service, **extra} for service in _with_checks_off(_SERVICES)]


def _to_family(backend, family):
    return {**backend, "address": backend["address"].replace("10.0.0.", "2001:db8:b::") if family == 6
            else backend["address"]}


def _tunnelled(forwarding, family, **extra):
    """The services with a tunnel mode and backends of that family."""
    return [{**service, "forwarding": forwarding, **extra,
             "backends": [_to_family(backend, family) for backend in service["backends"]]}
            for service in _with_checks_off(_SERVICES)]


def _translated(**extra):
    """The services with nat, which needs backends of the frontend's family: web and web6, and so on."""
    services = []
    for service in _with_checks_off(_SERVICES):
        port = _NAT_PORTS.get(service["name"])
        for family in (4, 6):
            # nat does not support port 0 (any port), but a range of all ports.
            frontends = [text.replace(":0/", ":1-65535/") for text in service["frontends"]
                         if text.startswith("[") == (family == 6)]
            if not frontends:
                continue
            backends = [{**_to_family(backend, family), **({"port": port} if port else {})}
                        for backend in service["backends"]]
            name = service["name"] + ("6" if family == 6 else "")
            services.append({**copy.deepcopy(service), "name": name, "forwarding": "nat", **extra,
                             "frontends": frontends,
                             "backends": backends})
    return services


@dataclasses.dataclass
class Variant:
    name: str
    hash_seed: int = 0x5EED
    services: list = dataclasses.field(default_factory=lambda: _with_checks_off(_SERVICES))
    macs: tuple = (PORT_MAC, EXTRA_MAC)
    addresses: tuple = (PORT4, PORT6)
    mtu: int = 1500
    replies_per_second: int = 100000
    icmp_errors_per_second: int = 100000  # also the limit of resets
    gateway: str = GATEWAY_MAC
    ipip_source: tuple = ()

    @property
    def mode(self):
        return self.services[0].get("forwarding", "dsr")

    def services_yaml(self):
        return {"hash_seed": self.hash_seed, "services": self.services}

    def dataplane_yaml(self, device):
        port = {"name": "wan", "device": device, "mac": list(self.macs), "mtu": self.mtu}
        if self.addresses:
            port["addresses"] = list(self.addresses)
        if self.ipip_source:
            port["ipip_source"] = list(self.ipip_source)
        if self.gateway:
            port["gateway"] = self.gateway
        return {"workers": 1, "ports": [port], "flow_table": {"records": 65536},
                "limits": {"replies_per_second": self.replies_per_second,
                           "icmp_errors_per_second": self.icmp_errors_per_second,
                           "resets_per_second": self.icmp_errors_per_second}}


VARIANTS = {variant.name: variant for variant in (
    # Each mode; ipip and gue with backends of either family. Each has clients of both families.
    Variant("base"),  # dsr
    Variant("ipip4", services=_tunnelled("ipip", 4)),
    Variant("ipip6", services=_tunnelled("ipip", 6)),
    Variant("gue4", services=_tunnelled("gue", 4)),
    Variant("gue6", services=_tunnelled("gue", 6)),
    Variant("nat", services=_translated()),
    # Other settings.
    Variant("reversed", services=_reversed()),
    Variant("seed", hash_seed=0xFEDCBA9876543210),
    Variant("jumbo", mtu=9000),
    Variant("limited", replies_per_second=3, icmp_errors_per_second=2),
    Variant("errors-off", icmp_errors_per_second=0),
    Variant("no-port-address", addresses=()),  # the port has no address of its own
    Variant("drop-big", services=_with(too_big="drop")),
    Variant("drop-big-ipip", services=_tunnelled("ipip", 4, too_big="drop")),
    Variant("spread-ipip4", services=_tunnelled("ipip", 4), ipip_source=("10.64.0.0/16",)),
    Variant("spread-ipip6", services=_tunnelled("ipip", 6), ipip_source=("2001:db8:64::/64",)),
    Variant("gue4-port", services=_tunnelled("gue", 4, gue_port=7070)),
    Variant("gue4-checksum", services=_tunnelled("gue", 4, gue_checksum=True)),
    Variant("gue6-checksum", services=_tunnelled("gue", 6, gue_checksum=True)),
    Variant("nat-clamp", services=_translated(mss_clamp=True), mtu=1400),
    Variant("nat-no-gateway", services=_translated(), gateway=""),  # no next hop for replies
)}
MODES = ("base", "ipip4", "ipip6", "gue4", "gue6", "nat")
TUNNELS = ("ipip4", "ipip6", "gue4", "gue6")
OWN_PACKET = ("base", "nat")  # modes that forward the packet itself
