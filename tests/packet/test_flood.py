"""Floods of fragments: the memory is bounded, and other packets pass."""
from scapy.all import Raw

from tests.packet.judge import expected_frames
from tests.packet.rows import all_rows, ether, ip4
from tests.packet.variants import VARIANTS


def test_a_flood_of_fragments_without_a_first_one_stops_no_other_packets(runner):
    """Sends 20,000 fragments of different datagrams without a first fragment, between packets that are forwarded."""
    good = [step for row in all_rows() if row.variant == "base" and row.kind == "forward" and row.in_pcap
            for step in row.steps][:1000]
    flood = [bytes(ether() / ip4(source=f"198.51.{n // 250 % 100}.{n % 250 + 1}", id=n & 0xFFFF, frag=64,
                                 proto=17) / Raw(b"\x55" * 64))
             for n in range(500)]
    frames = []
    for number, (frame, _) in enumerate(good):
        frames.append(frame)
        for n in range(20):
            one = bytearray(flood[(20 * number + n) % len(flood)])
            one[18:20] = (20 * number + n & 0xFFFF).to_bytes(2, "big")
            frames.append(bytes(one))
    outcome = runner.run(VARIANTS["base"], frames)
    outcome.require_sound()
    assert outcome.frames == expected_frames(good)
    drops = dict(outcome.drops)
    assert drops.pop("fragment_evicted", 0) + drops.pop("fragment_timeout", 0) == 20 * len(good)
    assert not drops
