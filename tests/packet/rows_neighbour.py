"""ARP and neighbour discovery for frontends' addresses."""
from scapy.all import (ARP, ICMPv6MLReport2, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr,
                       ICMPv6NDOptSrcLLAddr, ICMPv6NDOptUnknown, IPv6, IPv6ExtHdrHopByHop, Raw, RouterAlert)

from tests.packet.expect import Reply
from tests.packet.rows import drop, ether, ip6, kernel, row
from tests.packet.rows_icmp import echo4
from tests.packet.variants import (ANY4, ANY6, BROADCAST_MAC, CLIENT4, CLIENT6, CLIENT_MAC, EXTRA_MAC, FOREIGN4,
                                   FOREIGN6, PORT_MAC,
                                   STRANGER_MAC, WEB4, WEB6)

_TAGS = (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))

# ---- ARP -----------------------------------------------------------------------------------------------------------


def arp(target=WEB4, sender=CLIENT4, to_mac=BROADCAST_MAC, tags=(), padding=b"", target_mac="00:00:00:00:00:00"):
    """A step: an ARP request for a frontend, and its reply with the port's MAC."""
    request = ether(to_mac, tags=tags) / ARP(op=1, hwsrc=CLIENT_MAC, psrc=sender, hwdst=target_mac, pdst=target)
    reply = (ether(CLIENT_MAC, PORT_MAC, tags=tags)
             / ARP(op=2, hwsrc=PORT_MAC, psrc=target, hwdst=CLIENT_MAC, pdst=sender))
    return bytes(request) + padding, Reply(bytes(reply))


def about(op, sender_mac=CLIENT_MAC, sender=CLIENT4, target=WEB4, **fields):
    return ether(BROADCAST_MAC) / ARP(op=op, hwsrc=sender_mac, psrc=sender, pdst=target, hwdst="00:00:00:00:00:00",
                                      **fields)


row("arp", "ARP request for F: answered with the port's MAC", arp())
row("arp-every-F", "ARP requests for every frontend's address are answered",
    *[arp(f"203.0.113.{last}") for last in (10, 20, 30, 40, 50, 60, 70)])
row("arp-unicast", "A unicast ARP request (a neighbour that refreshes its entry) is answered",
    arp(to_mac=PORT_MAC, target_mac=PORT_MAC), arp(to_mac=EXTRA_MAC))
row("arp-padding", "ARP padded to Ethernet's minimum is answered without the padding", arp(padding=b"\0" * 18))
row("arp-tags", "ARP replies have the request's VLAN tags", *[arp(tags=tags) for tags in _TAGS])
row("arp-probe", "An ARP probe for F is answered: the address is taken (RFC 5227)", arp(sender="0.0.0.0"))
row("arp-foreign", "ARP that is not about F: to_kernel",
    kernel(about(1, target=FOREIGN4)), kernel(about(1, target="203.0.113.11")),
    kernel(about(2, sender=FOREIGN4, target=CLIENT4)),
    kernel(about(1, sender=FOREIGN4, target=FOREIGN4)))
row("arp-other-operation", "RARP and other ARP operations: to_kernel", *[kernel(about(op)) for op in (3, 4, 8, 9)])
row("arp-announcement", "An announcement of F by another host: drop as address_conflict",
    drop(about(1, STRANGER_MAC, WEB4, WEB4), "address_conflict"),
    drop(about(2, STRANGER_MAC, WEB4, WEB4), "address_conflict"),
    drop(about(2, STRANGER_MAC, ANY4, CLIENT4), "address_conflict"))


def _patched(at, value):
    """A request for F with the two bytes at `at` of the ARP packet replaced."""
    frame = bytes(about(1))
    return frame[:14 + at] + value.to_bytes(2, "big") + frame[14 + at + 2:]


row("arp-hardware-type", "Malformed ARP about F: drop",
    *[drop(_patched(0, kind), "bad_arp") for kind in (0, 6, 256)], drop(_patched(2, 0x86DD), "bad_arp"))
row("arp-sender", "ARP from a group MAC or from an invalid address: drop",
    drop(about(1, BROADCAST_MAC), "bad_arp"), drop(about(1, "01:00:5e:00:00:01"), "bad_arp"),
    *[drop(about(1, sender=sender), "bad_arp") for sender in ("127.0.0.1", "224.0.0.1", "255.255.255.255")])

# ---- neighbour discovery -------------------------------------------------------------------------------------------


def solicited_node(address):
    packed = bytes(IPv6(dst=address))[24:40]
    return (f"ff02::1:ff{packed[13]:02x}:{packed[14]:02x}{packed[15]:02x}",
            f"33:33:ff:{packed[13]:02x}:{packed[14]:02x}:{packed[15]:02x}")


def asks(target=WEB6, source=CLIENT6, to_mac=None, to=None, tags=(), options=None, extension=None, ns=None, **fields):
    """A neighbour solicitation."""
    group, group_mac = solicited_node(target)
    packet = ether(to_mac or (PORT_MAC if to else group_mac), tags=tags)
    packet = packet / ip6(source, to or group, **{"hlim": 255, **fields})
    if extension:
        packet = packet / extension
    packet = packet / ICMPv6ND_NS(tgt=target, **(ns or {}))
    for option in [ICMPv6NDOptSrcLLAddr(lladdr=CLIENT_MAC)] if options is None else options:
        packet = packet / option
    return packet


def answered(request, target=WEB6, source=CLIENT6, tags=(), padding=b""):
    """A step: the solicitation and its advertisement (RFC 4861, 7.2.4)."""
    is_dad = source == "::"
    reply = (ether("33:33:00:00:00:01" if is_dad else CLIENT_MAC, PORT_MAC, tags=tags)
             / ip6(target, "ff02::1" if is_dad else source, hlim=255)
             / ICMPv6ND_NA(tgt=target, R=0, S=0 if is_dad else 1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=PORT_MAC))
    return bytes(request) + padding, Reply(bytes(reply))


row("nd", "Neighbour solicitation for F: answered with the port's MAC", answered(asks()))
row("nd-every-F", "Neighbour solicitations for every frontend's address are answered",
    *[answered(asks(f"2001:db8::{last}"), f"2001:db8::{last}") for last in (10, 20, 30, 40, 50)])
row("nd-unicast", "A unicast solicitation (reachability probe) is answered",
    answered(asks(to=WEB6)), answered(asks(to=WEB6, options=[])), answered(asks(to=WEB6, to_mac=EXTRA_MAC)))
row("nd-link-local", "Solicitations from link-local addresses are answered",
    answered(asks(source="fe80::7"), source="fe80::7"))
row("nd-duplicate-detection", "Duplicate address detection (source ::) is answered to all nodes",
    answered(asks(source="::", options=[]), source="::"))
row("nd-options", "Solicitations with unknown options are answered",
    answered(asks(options=[ICMPv6NDOptUnknown(type=14, len=1, data=b"nonce!"),
                           ICMPv6NDOptSrcLLAddr(lladdr=CLIENT_MAC)])))
row("nd-no-option", "A solicitation without a link-layer option is answered to its source MAC",
    answered(asks(options=[])))
row("nd-tags", "Advertisements have the solicitation's VLAN tags",
    *[answered(asks(tags=tags), tags=tags) for tags in _TAGS])
row("nd-padding", "Advertisements do not contain the solicitation's padding",
    answered(asks(options=[]), padding=b"\xaa" * 10))
row("nd-foreign", "ND that is not about F: to_kernel",
    kernel(asks(FOREIGN6)), kernel(asks("2001:db8::11")),
    kernel(ether("33:33:00:00:00:01") / ip6("fe80::9", "ff02::1", hlim=255) / ICMPv6ND_NA(tgt=FOREIGN6)),
    kernel(ether("33:33:00:00:00:02") / ip6("fe80::9", "ff02::2", hlim=255) / ICMPv6ND_RS()),
    kernel(ether("33:33:00:00:00:01") / ip6("fe80::9", "ff02::1", hlim=255) / ICMPv6ND_RA()),
    kernel(ether("33:33:00:00:00:16") / ip6("fe80::9", "ff02::16", hlim=1) / IPv6ExtHdrHopByHop(options=[RouterAlert()])
           / ICMPv6MLReport2()))


def announces(source, to, flags, target=WEB6, to_mac=None, options=None):
    packet = ether(to_mac or ("33:33:00:00:00:01" if to.startswith("ff") else PORT_MAC)) / ip6(source, to, hlim=255)
    packet = packet / ICMPv6ND_NA(tgt=target, **flags)
    return packet / (options or ICMPv6NDOptDstLLAddr(lladdr=STRANGER_MAC))


row("nd-announcement", "An announcement of F by another host: drop as address_conflict (IPv6)",
    drop(announces("fe80::bad", "ff02::1", {"S": 0, "O": 1}), "address_conflict"),
    drop(announces("fe80::bad", "ff02::1", {"S": 0, "O": 0}, ANY6), "address_conflict"),
    drop(announces("fe80::bad", FOREIGN6, {"S": 1, "O": 1}), "address_conflict"))
row("nd-hop-limit", "ND with a hop limit other than 255: drop (RFC 4861, 7.1.1)",
    *[drop(asks(hlim=limit), "bad_neighbour") for limit in (1, 64, 254)], drop(asks(to=WEB6, hlim=64), "bad_neighbour"))
row("nd-code", "ND with a code other than 0: drop", drop(asks(ns={"code": 1}), "bad_neighbour"))
row("nd-checksum", "ND with a bad checksum: drop",
    drop(asks(ns={"cksum": 0x1234}), "bad_neighbour"), drop(asks(to=WEB6, ns={"cksum": 0x1234}), "bad_neighbour"))
row("nd-option-length", "An ND option of length zero or past the end: drop",
    drop(asks(options=[Raw(b"\x01\x00" + b"\0" * 6)]), "bad_neighbour"),
    drop(asks(options=[Raw(b"\x01\x02" + b"\0" * 6)]), "bad_neighbour"),
    drop(asks(options=[Raw(b"\x01")]), "bad_neighbour"))
row("nd-duplicate-detection-wrong",
    "A solicitation from :: with a source link-layer option, or not to the solicited-node address: drop",
    drop(asks(source="::"), "bad_neighbour"), drop(asks(source="::", to=WEB6, options=[]), "bad_neighbour"))
row("nd-solicited-to-group", "An advertisement with the solicited flag to a multicast address: drop",
    drop(announces("fe80::bad", "ff02::1", {"S": 1, "O": 1}), "bad_neighbour"))
row("nd-cut", "ND to F that is truncated before its target: drop",
    *[drop(ether() / ip6(destination=WEB6, hlim=255, nh=58) / Raw(bytes(ICMPv6ND_NS(tgt=WEB6))[:size]), "bad_neighbour")
      for size in (8, 16, 23)])
row("nd-flooded", "During a flood of pings, ARP and ND are still answered", variants=("limited",),
    *([echo4()] * 3 + [drop(echo4()[0], "rate_limited")] * 20 + [arp(), answered(asks())]))
row("nd-limited", "Neighbour replies are rate-limited", variants=("limited",),
    *([answered(asks())] * 2 + [arp()] + [drop(arp()[0], "rate_limited")] * 20))
