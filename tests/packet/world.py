"""The expected results under a variant: backends from the twin, frames and ICMP errors from the oracle."""
import ipaddress

from scapy.all import IP, IPv6, TCP, UDP

from tests.packet import oracle
from tests.packet.expect import Drop, Forward
from tests.packet.oracle import Flow, Frame, mac_bytes
from tests.packet.twin import Twin

GUE_BASE, UDP_HEADER = 4, 8


def flow_of(packet):
    """The flow of a scapy packet of TCP or UDP."""
    network = packet.getlayer(IP) or packet.getlayer(IPv6)
    layer = packet.getlayer(TCP) or packet.getlayer(UDP)
    return Flow(network.src, network.dst, 6 if isinstance(layer, TCP) else 17, layer.sport, layer.dport)


class World:
    def __init__(self, variant):
        self.variant = variant
        self.twin = Twin(variant)
        self.port_mac = variant.macs[0]

    @property
    def mode(self):
        return self.variant.mode

    def choose(self, flow, service=None):
        """Returns (service, backend, entropy) of a flow. `service`: the expected name (with nat also name + '6')."""
        found, backend, entropy = self.twin.choose(flow.source, flow.destination, flow.protocol, flow.source_port,
                                                   flow.destination_port)
        assert found is not None, f"a row expects a frontend for {flow}, but there is none"
        assert service is None or found["name"] in (service, service + "6"), \
            f"a row expects service {service}, but the twin selects {found['name']}"
        assert backend is not None, f"a row expects a backend for {flow}, but there is none"
        return found, backend, entropy

    def overhead(self, family_of_backend=None):
        """The number of bytes that the mode adds to a packet."""
        if self.mode not in ("ipip", "gue"):
            return 0
        backend = self.variant.services[0]["backends"][0]
        family = family_of_backend or ipaddress.ip_address(backend["address"]).version
        return (20 if family == 4 else 40) + (UDP_HEADER + GUE_BASE if self.mode == "gue" else 0)

    @property
    def path_mtu(self):
        """The largest packet of a client that can be forwarded."""
        return self.variant.mtu - self.overhead()

    def own_address(self, version, frontend):
        """The source address of Fairlead's own packets."""
        for address in self.variant.addresses:
            if ipaddress.ip_address(address).version == version:
                return address
        return frontend

    def error(self, frame, kind, mtu=0):
        cause = Frame(frame)
        place = slice(16, 20) if cause.version == 4 else slice(24, 40)
        frontend = str(ipaddress.ip_address(cause.network[place]))
        return oracle.icmp_error(frame, kind, self.own_address(cause.version, frontend), self.port_mac, mtu)

    def _framed(self, frame, backend, network):
        tags = frame.tags
        if backend.get("vlan"):
            priority = int.from_bytes(tags[2:4], "big") & 0xF000 if tags else 0
            tags = b"\x81\x00" + (priority | backend["vlan"]).to_bytes(2, "big")
        return mac_bytes(backend["mac"]) + mac_bytes(self.port_mac) + tags + oracle.ether_type(network) + network

    def _tunnel(self, frame, service, backend, entropy):
        pieces = [frame.packet]
        if frame.version == 4:
            pieces = oracle.cut(frame.packet, self.path_mtu)
        source = self.own_address(ipaddress.ip_address(backend["address"]).version, None)
        prefix = next((text for text in self.variant.ipip_source
                       if ipaddress.ip_network(text).version == ipaddress.ip_address(backend["address"]).version), None)
        return [oracle.outer(self.mode, source, backend["address"], piece, frame.traffic_class, entropy,
                             service.get("gue_port", 6080), prefix, service.get("gue_checksum", False))
                             for piece in pieces]

    def _own_packet(self, frame, service, backend, embedded):
        network = frame.network
        if self.mode == "nat":
            if embedded:
                network = oracle.readdress_error(network, "destination", "source", embedded, backend["address"],
                                                 backend.get("port", 0))
            else:
                network = oracle.readdress(network, "destination", backend["address"], backend.get("port", 0))
                if service.get("mss_clamp"):
                    network = oracle.clamp_mss(network, self.variant.mtu)
        network = oracle.hop(network)
        if frame.length > self.variant.mtu:
            return oracle.cut(network[:frame.length], self.variant.mtu)
        return [network]

    def forward(self, data, flow, service=None, about=False, late=False):
        """The frame is forwarded to its flow's backend. `about`: the frame is an ICMP error that quotes the flow."""
        frame = Frame(data)
        found, backend, entropy = self.choose(flow, service)
        if self.mode in ("ipip", "gue"):
            packets = self._tunnel(frame, found, backend, entropy)
        else:
            packets = self._own_packet(frame, found, backend, flow.destination if about else None)
        return Forward(tuple(self._framed(frame, backend, packet) for packet in packets), late)

    def expired(self, data, flow, error):
        """TTL or hop limit 1: drop in dsr and nat, forward in tunnels."""
        if self.mode in ("ipip", "gue"):
            return self.forward(data, flow)
        return Drop("ttl_expired", self.error(data, "ttl") if error else None)

    def refused(self, data):
        """No backend: the client gets a reset or an ICMP error."""
        cause = Frame(data)
        at, protocol, _ = oracle.transport(cause.packet)
        if protocol == 6:
            return Drop("no_backend", oracle.tcp_reset(data, self.port_mac))
        place = slice(16, 20) if cause.version == 4 else slice(24, 40)
        frontend = str(ipaddress.ip_address(cause.network[place]))
        return Drop("no_backend", oracle.icmp_error(data, "port", frontend, self.port_mac))

    def too_big(self, data, error):
        return Drop("too_big", self.error(data, "big", self.path_mtu) if error else None)

    def reply(self, data, flow, late=False):
        """nat: a backend's packet to a client gets the frontend as its source. `flow`: the reply's own direction."""
        frame = Frame(data)
        address, port = self.twin.frontend_of(flow.source, flow.source_port, flow.protocol)
        network = oracle.readdress(frame.network, "source", address, port)
        if self.variant.services[0].get("mss_clamp"):
            network = oracle.clamp_mss(network, self.variant.mtu)
        network = oracle.hop(network)
        packets = [network]
        if frame.length > self.variant.mtu:
            packets = oracle.cut(network[:frame.length], self.variant.mtu)
        return Forward(tuple(self._to_gateway(frame, packet) for packet in packets), late)

    def reply_error(self, data, embedded):
        """nat: an ICMP error to a client about its packet. `embedded`: the quoted flow, from client to backend."""
        frame = Frame(data)
        address, port = self.twin.frontend_of(embedded.destination, embedded.destination_port, embedded.protocol)
        network = oracle.readdress_error(frame.network, "source", "destination", embedded.destination, address, port)
        return Forward((self._to_gateway(frame, oracle.hop(network)),))

    def _to_gateway(self, frame, network):
        return mac_bytes(self.variant.gateway) + mac_bytes(self.port_mac) + frame.tags + oracle.ether_type(
            network) + network
