"""Runs every row of frames.py through the agent's programs (BPF_PROG_TEST_RUN)."""
import pytest

from tests.agent.frames import ETHER, ROWS, STRANGER4, inner4, outer4
from tests.agent.host import Host, counter_kinds, sk_buff_context

KINDS = counter_kinds()
# linux/bpf.h: XDP_DROP, XDP_PASS; linux/pkt_cls.h: TC_ACT_SHOT, TC_ACT_UNSPEC
VERDICTS = {"xdp": {"drop": 1, "keep": 2}, "tc": {"drop": 2, "keep": 0xFFFFFFFF}}
BALANCERS = ("10.0.0.1", "10.9.0.0/16", "2001:db8:a::/64")


@pytest.fixture(scope="module", params=["xdp", "tc"])
def attached(request):
    with Host() as host:
        host.attach("--hook", request.param, balancers=BALANCERS)
        host.hook = request.param
        # With the interface down, only the tests' frames are counted.
        host.backend.ip("link set eth0 down")
        yield host
        host.agent("detach", "eth0")


def changes(before, after):
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_frame_raises_its_counter_and_leaves_as_the_row_says(attached, row):
    if attached.hook not in row.hooks:
        pytest.skip(f"a test run at {attached.hook} cannot have this frame")
    before = attached.counters()
    verdict, after = attached.run_program(row.frame)
    assert changes(before, attached.counters()) == {row.counter: 1}
    kept = KINDS[row.counter] != "drop"
    assert verdict & 0xFFFFFFFF == VERDICTS[attached.hook]["keep" if kept else "drop"]
    if kept:
        assert after.hex() == row.after.hex()


def test_rows_cover_every_ingress_counter():
    """Other tests cover the excluded counters; test_second_chance.py covers those of the second chance."""
    assert {row.counter for row in ROWS} == set(KINDS) - {"adjust_failed", "mss_clamped", "sent_on", "send_on_failed"}


def test_counts_adjust_failed_when_the_kernel_refuses_to_shorten_a_packet(attached):
    if attached.hook != "tc":
        pytest.skip("XDP has no merged packets, which the kernel refuses to shorten")
    before = attached.counters()
    # bpf_skb_adjust_room fails for a merged packet that is not TCP.
    verdict, _ = attached.run_program(bytes(ETHER / outer4(4) / inner4()), sk_buff_context(gso_size=100, gso_segs=2))
    assert changes(before, attached.counters()) == {"adjust_failed": 1}
    assert verdict & 0xFFFFFFFF == VERDICTS["tc"]["drop"]


@pytest.mark.parametrize("hook", ["xdp", "tc"])
def test_strict_drops_ipip_of_unlisted_sources(hook):
    with Host() as host:
        host.attach("--hook", hook, "--strict", balancers=BALANCERS)
        host.backend.ip("link set eth0 down")
        before = host.counters()
        for fields in ({}, {"flags": "MF"}, {"frag": 64}):
            verdict, _ = host.run_program(bytes(ETHER / outer4(4, src=STRANGER4, **fields) / inner4()))
            assert verdict & 0xFFFFFFFF == VERDICTS[hook]["drop"]
        verdict, after = host.run_program(bytes(ETHER / outer4(4) / inner4()))
        assert verdict & 0xFFFFFFFF == VERDICTS[hook]["keep"]
        assert after == bytes(ETHER / inner4())
        assert changes(before, host.counters()) == {"not_a_balancer": 3, "ipip_delivered": 1}


def test_accepts_gue_on_the_configured_port_only():
    from tests.agent.frames import gue_packet
    with Host() as host:
        host.attach("--gue-port", "7777", balancers=BALANCERS)
        host.backend.ip("link set eth0 down")
        before = host.counters()
        for port in (6080, 7777):
            host.run_program(bytes(ETHER / gue_packet(outer4(17), inner4(), dport=port)))
        assert changes(before, host.counters()) == {"not_a_tunnel": 1, "gue_delivered": 1}
        host.attach("--gue-port", "0", balancers=BALANCERS)
        host.run_program(bytes(ETHER / gue_packet(outer4(17), inner4(), dport=0)))
        assert host.counters()["gue_delivered"] == 0 and host.counters()["not_a_tunnel"] >= 1
