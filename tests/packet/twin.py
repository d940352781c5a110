"""Which backend a flow gets: a slow, plain second implementation of lookup, flow hash and Maglev in Python.

It is written from the contracts in lib/ (flow_key.h, flow_hash.h, maglev_table.h and the format in which identities are
hashed), never from Fairlead's output. So the rows' expectations are independent of the code under test.
"""
import functools
import ipaddress
import re

import xxhash

SLOT_COUNT = 65537


def parse_frontend(text):
    """'[2001:db8::10]:80/tcp' -> (address, (first port, last port), protocol number). Port 0 means all ports."""
    match = re.fullmatch(r"\[?([0-9a-f.:]+?)\]?:(\d+)(?:-(\d+))?/(tcp|udp)", text)
    first = int(match[2])
    ports = (1, 65536) if first == 0 else (first, int(match[3] or first))  # wider than any range
    return ipaddress.ip_address(match[1]), ports, {"tcp": 6, "udp": 17}[match[4]]


@functools.lru_cache(maxsize=None)
def maglev(backends, slot_count, seed):
    """The owner of each slot, as an index into `backends`. `backends`: ((identity, weight), ...).

    Eisenbud et al., 3.4, with turns by weight: in each round, a backend gains weight / max_weight of a turn, and takes
    a turn whenever it has a whole one.
    """
    order = sorted((identity, position) for position, (identity, weight) in enumerate(backends) if weight > 0)
    owners = [None] * slot_count
    if not order:
        return owners
    heaviest = max(weight for _, weight in backends)
    walks = {}
    for identity, position in order:
        hashed = xxhash.xxh3_128_intdigest(identity.to_bytes(8, "little"), seed)
        low, high = hashed & (2**64 - 1), hashed >> 64
        walks[position] = [low % slot_count, high % (slot_count - 1) + 1]
    credit = dict.fromkeys(walks, 0)
    filled = 0
    while True:
        for _, position in order:
            credit[position] += backends[position][1]
            if credit[position] < heaviest:
                continue
            credit[position] -= heaviest
            walk = walks[position]
            while owners[walk[0]] is not None:
                walk[0] = (walk[0] + walk[1]) % slot_count
            owners[walk[0]] = position
            filled += 1
            if filled == slot_count:
                return owners


def identity(backend, seed):
    address = ipaddress.ip_address(backend["address"])
    data = address.packed.ljust(16, b"\0") + bytes([address.version]) + backend.get("port", 0).to_bytes(2, "big")
    return xxhash.xxh3_64_intdigest(data, seed)


def flow_bytes(policy, source, destination, protocol, source_port, destination_port):
    """The flow key as it is hashed: 16 bytes for IPv4, 40 for IPv6. Fields that the policy ignores are zero."""
    if policy != "5-tuple":
        source_port = destination_port = 0
    if policy == "source-ip":
        destination, protocol = type(source)(0), 0
    return (source.packed + destination.packed + source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big")
            + bytes([protocol, 0, 0, 0]))


class Twin:
    """The second implementation with the configuration of one variant."""

    def __init__(self, variant):
        self.seed = variant.hash_seed
        self.frontends = {}
        for service in variant.services:
            for text in service["frontends"]:
                self.frontends[parse_frontend(text)] = service

    @functools.lru_cache(maxsize=None)
    def _owners(self, name):
        service = next(s for s in self.frontends.values() if s["name"] == name)
        return maglev(tuple((identity(backend, self.seed), backend["weight"]) for backend in service["backends"]),
                      SLOT_COUNT, self.seed)

    def service(self, destination, protocol, port):
        """The service of a destination, or None. The frontend with the fewest ports has precedence."""
        found = [(last - first, service) for (address, (first, last), number), service in self.frontends.items()
                 if (address, number) == (destination, protocol) and first <= port <= last]
        return min(found, key=lambda one: one[0])[1] if found else None

    def hash(self, service, source, destination, protocol, source_port, destination_port):
        """Returns (low half, high half) of the flow's hash.

        The slot is from the low half's upper 32 bits, which come from the fields of the service's policy. All other
        bits come from the 5-tuple.
        """
        flow = source, destination, protocol, source_port, destination_port
        reduced, whole = (xxhash.xxh3_128_intdigest(flow_bytes(policy, *flow), self.seed)
                          for policy in (service.get("hash", "5-tuple"), "5-tuple"))
        return (reduced & (2**64 - 2**32)) | (whole & (2**32 - 1)), whole >> 64

    def choose(self, source, destination, protocol, source_port, destination_port):
        """Returns (service, backend, entropy) of a flow.

        The service is None if no frontend matches, the backend if the service has no usable one. The entropy is the
        hash's high half, which tunnels put into their headers.
        """
        source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
        service = self.service(destination, protocol, destination_port)
        if service is None:
            return None, None, 0
        low, high = self.hash(service, source, destination, protocol, source_port, destination_port)
        owner = self._owners(service["name"])[(low >> 32) * SLOT_COUNT >> 32]
        return service, None if owner is None else service["backends"][owner], high

    def frontend_of(self, backend, port, protocol):
        """nat, replies: the (address, port) of the frontend of the backend's endpoint, or None."""
        found = []
        for (address, (first, last), frontend_protocol), service in self.frontends.items():
            if frontend_protocol != protocol or service.get("forwarding") != "nat":
                continue
            for entry in service["backends"]:
                if ipaddress.ip_address(entry["address"]) != ipaddress.ip_address(backend):
                    continue
                if first == last and entry.get("port", first) == port:
                    found.append((0, str(address), first))
                elif first < last and first <= port <= last:
                    found.append((last - first, str(address), port))
        return min(found)[1:] if found else None
