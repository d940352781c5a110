"""The configurations for replayed captures: one for each forwarding mode and address family of the backends."""
import ipaddress

PORT_MAC = "02:fa:1e:ad:00:01"
GATEWAY_MAC = "02:fa:1e:ad:00:fe"
MTU = 1500
PORT_ADDRESSES = ("192.0.2.1", "2001:db8:ffff::1")
# Each frontend has every TCP and UDP port, so ports need not be rewritten.
FRONTENDS4 = tuple(f"203.0.113.{last}" for last in (1, 2, 3))
FRONTENDS6 = tuple(f"2001:db8:fe::{last}" for last in (1, 2, 3))
_BACKENDS = 5


def backend(number, frontend, family):
    """Address of a frontend's backend. Each frontend has its own backends, so that nat knows whose reply it gets."""
    if family == 4:
        return f"192.0.2.{100 + 10 * frontend + number}"
    return f"2001:db8:ffff:{frontend + 1:x}::{number + 1:x}"


def _backends(frontend, family):
    return [{"address": backend(number, frontend, family), "weight": 1 + number % 2,
             "mac": f"02:fa:1e:ad:0{family}:{frontend}{number}"} for number in range(_BACKENDS)]


def _service(name, addresses, frontend, family, **extra):
    ports = "1-65535" if extra.get("forwarding") == "nat" else "0"  # nat does not allow port 0 (every port)
    frontends = [f"[{address}]:{ports}/{protocol}" if ":" in address else f"{address}:{ports}/{protocol}"
                 for address in addresses for protocol in ("tcp", "udp")]
    return {"name": name, "frontends": frontends, "health_check": {"type": "none"},
            "backends": _backends(frontend, family), **extra}


def _services(forwarding, family):
    """Frontends of both families share their backends. nat cannot change the family, so it has a service for each."""
    hashes = ("5-tuple", "3-tuple", "source-ip")
    services = []
    for number, policy in enumerate(hashes):
        pair = (FRONTENDS4[number], FRONTENDS6[number])
        if forwarding == "nat":
            services += [_service(f"s{number}-{version}", [address], number, version, forwarding="nat", hash=policy,
                                  mss_clamp=True) for version, address in zip((4, 6), pair)]
        else:
            services.append(_service(f"s{number}", pair, number, family, forwarding=forwarding, hash=policy))
    return services


# name -> (forwarding mode, address family of the backends)
MODES = {"dsr": ("dsr", 4), "ipip4": ("ipip", 4), "ipip6": ("ipip", 6), "gue4": ("gue", 4), "gue6": ("gue", 6),
         "nat": ("nat", 4)}


def services_yaml(mode):
    return {"hash_seed": 1, "services": _services(*MODES[mode])}


def dataplane_yaml(source, sink):
    return {"workers": 1, "flow_table": {"records": 65536},
            "ports": [{"name": "wan", "device": f"pcap:{source},{sink}", "mac": PORT_MAC, "mtu": MTU,
                       "addresses": list(PORT_ADDRESSES), "gateway": GATEWAY_MAC}]}


def packed(address):
    return ipaddress.ip_address(address).packed
