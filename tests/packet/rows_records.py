"""Flow records: which packets create one, and which never do."""
from scapy.all import TCP, UDP

from tests.packet.rows import ether, error_about, flow_of, forward, ip4, ip6, payload, port, row, tcp, udp
from tests.packet.rows_fragments import fragments4, in_order
from tests.packet.rows_icmp_error import error4, error6, quoted4, quoted6
from tests.packet.variants import NONE4, TRACKED4, TRACKED6

row("record4", "One record for each flow, however many packets it has",
    *[forward(ether() / ip4(destination=TRACKED4) / tcp(source_port=number, flags=flags), "tracked")
    for number in (15001, 15002, 15003) for flags in ("S", "A", "PA")], records=3)
row("record6", "One record for each flow, however many packets it has (IPv6)",
    *[forward(ether() / ip6(destination=TRACKED6) / udp(80, source_port=number) / payload(size), "tracked")
    for number in (15001, 15002, 15003) for size in (0, 10, 20)], records=3)
row("record-reset", "RST never creates a record",
    *[forward(ether() / ip4(destination=TRACKED4) / tcp(flags=flags), "tracked") for flags in ("R", "RA", "R", "RA")],
    *[
    forward(ether() / ip6(destination=TRACKED6) / tcp(flags=flags), "tracked") for flags in ("R", "RA")], records=0)
row("record-none", "tracking none: no record", *[
    forward(ether() / ip4(destination=NONE4) / layer) for layer in (tcp(), tcp(flags="A"), udp(80))], records=0)


def _errors(protocol):
    for maker, quoted, address in ((error4, quoted4, TRACKED4), (error6, quoted6, TRACKED6)):
        quote = quoted(protocol(sport=80, dport=port()) / payload(30), source=address)
        yield error_about(maker(quote, destination=address), flow_of(quote).reversed(), "tracked")


row("record-error", "ICMP errors never create a record", *_errors(TCP), *_errors(UDP), records=0)
row("record-error-kept", "ICMP errors never delete a record: the flow's next packet creates no new one",
    *[forward(ether() / ip4(destination=TRACKED4) / tcp(source_port=15010), "tracked"),
    error_about(error4(quoted4(TCP(sport=80, dport=15010) / payload(30), source=TRACKED4), destination=TRACKED4),
                flow_of(quoted4(TCP(sport=80, dport=15010), source=TRACKED4)).reversed(), "tracked"),
    forward(ether() / ip4(destination=TRACKED4) / tcp(source_port=15010, flags="A"), "tracked")], records=1)
row("record-fragments", "A fragmented datagram creates one record", *in_order(
    fragments4(udp(80) / payload(300), [64, 64, 64], destination=TRACKED4)), records=1)
