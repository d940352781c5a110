"""The cells of the table of NICs: what is tried on each NIC.

A cell is a function of a GuestLab. It asserts what must hold, and returns nothing; `capabilities` returns a row of its
own table. `needs` is how the dataplane and the network must be for it; cells with equal needs follow each other, and
share one start of the dataplane.
"""
import dataclasses
import hashlib
import random
import re
from collections.abc import Callable

from tests.guest.guest_lab import ECHO, MODES, STATIC, TCP, UPLOAD, VIPS
from tests.lab import wait_until

UPLOAD_BYTES = 1_000_000
FLOWS = 200
_RX_IPV4_CHECKSUM = 1 << 1  # RTE_ETH_RX_OFFLOAD_IPV4_CKSUM


@dataclasses.dataclass(frozen=True)
class Needs:
    """`tags`: VLAN tags of all frames, outer first. `kernel`: with a TAP (kernel: tap:wan0)."""
    workers: int = 1
    mtu: int = 1500
    kernel: bool = True
    tags: tuple = ()


@dataclasses.dataclass(frozen=True)
class Cell:
    """`what`: its name in the documentation. `needs`: None: any. `ends`: it ends the dataplane."""
    what: str
    run: Callable
    needs: Needs | None = Needs()
    ends: bool = False


def _curl(lab, mode, family, port, *options):
    client = lab.client_of(mode)
    address = VIPS[mode][0] if family == 4 else f"[{VIPS[mode][1]}]"
    seconds = 20 * lab.guest.patience
    return client.namespace.run("curl", "-sS", "-g", "-m", seconds, *options, f"http://{address}:{port}/",
                                timeout_s=seconds + 10).stdout


def _content(lab):
    path = lab.dir / "upload"
    if not path.exists():
        path.write_bytes(random.Random(1).randbytes(UPLOAD_BYTES))
    return path


def exchange(lab, mode, family):
    """Requests that reach every backend, and an upload in full-size frames through the balancer."""
    names = {backend.name for backend in lab.backends}
    seen = set()
    for _ in range(40):  # one backend alone gets 40 of 40 in one of 10^12 cases
        seen.add(_curl(lab, mode, family, TCP).strip())
        if seen == names:
            break
    assert seen == names, f"{mode}, IPv{family}: {seen} answered, not {names}"
    content = _content(lab)
    answer = _curl(lab, mode, family, UPLOAD, "--data-binary", f"@{content}", "-H", "Expect:")
    assert answer == hashlib.sha256(content.read_bytes()).hexdigest(), f"{mode}, IPv{family}: the upload was damaged"


def _in_mode(mode):
    return lambda lab: exchange(lab, mode, 4)


def ipv6(lab):
    for mode in MODES:
        exchange(lab, mode, 6)


def ask(lab, mode, family, size, count=5):
    """UDP requests of `size` bytes, which are answered unchanged. Without retransmission, so one may be lost."""
    client = lab.client_of(mode)
    lines = client.namespace.run(
        "/usr/bin/python3", "tests/lab/udp_ask.py", client.address4 if family == 4 else client.address6,
        VIPS[mode][family == 6], ECHO, size, count, 5 * lab.guest.patience, timeout_s=300).stdout.splitlines()
    assert sum(line.endswith(" OK") for line in lines) >= count - 1 and "DIFFERENT" not in str(lines), (mode, family, lines)


def fragments(lab):
    """Datagrams of three fragments through dsr and nat; full-size datagrams that the tunnels must fragment."""
    for mode, size in (("dsr", 4000), ("nat", 4000), ("ipip", 1472), ("gue", 1472)):
        ask(lab, mode, 4, size)
    ask(lab, "dsr", 6, 4000)


def checks(lab):
    """A backend that ends is found, the others take over, and it comes back."""
    ending, *staying = lab.backends
    ending.kill()
    try:
        wait_until(lambda: lab.backends_of("dsr")[ending.address4]["state"] == "unhealthy" and lab.in_force(),
                   60 * lab.guest.patience, "the checks do not find a dead backend", 0.2)
        assert {_curl(lab, "dsr", 4, TCP).strip() for _ in range(10)} == {backend.name for backend in staying}
    finally:
        ending.start(ports=(TCP,))
    lab.wait_all_healthy()


def ssh(lab):
    """The host is reachable over the NIC: SSH from a client, with the guest's own sshd and kernel."""
    answer = lab.client.namespace.run(
        "ssh", "-F", "none", "-i", lab.guest.key, "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
        "-o", "UserKnownHostsFile=/dev/null", "-o", f"ConnectTimeout={10 * lab.guest.patience}", "root@10.0.0.2",
        "hostname; head -c 500000 /dev/zero | wc -c; head -c 500000 /dev/zero", timeout_s=60 * lab.guest.patience).stdout
    assert answer == "fairlead-guest\n500000\n" + "\0" * 500_000


def load(lab, **options):
    """A load through dsr over both families."""
    address4, address6 = VIPS["dsr"]
    return lab.start_load(targets=[f"{address4}:{TCP}", f"[{address6}]:{TCP}"], timeout_ms=60_000 * lab.guest.patience,
                          **options)


def kill_restart(lab):
    """SIGKILL under load: systemd starts it again, the device is taken over, and no connection breaks."""
    connections = load(lab, keep=50, interval_ms=200).wait_steady(60 * lab.guest.patience)
    lab.kill_dataplane()
    connections.wait_answered(100, timeout_s=60 * lab.guest.patience)
    figures = connections.stop(timeout_s=120 * lab.guest.patience)
    assert figures["failed"] == 0, figures["details"]
    lab.wait_all_healthy()


def many_flows(lab):
    """Many flows, none of which fails, and both workers have a share."""
    before = lab.packets_by_worker()
    figures = load(lab, count=FLOWS, concurrency=20).wait(timeout_s=120 * lab.guest.patience)
    assert figures["failed"] == 0, figures["details"]
    exchange(lab, "nat", 4)

    def shares():
        return [after - before for after, before in zip(lab.packets_by_worker(), before, strict=True)]
    wait_until(lambda: min(shares()) > 0, 30 * lab.guest.patience, lambda: f"a worker has no share: {shares()}", 0.2)
    assert len(before) == 2
    lab.note(f"packets by worker: {shares()}")


def tagged(lab):
    """Full-size frames both ways with the tags: uploads, and pings of the guest's kernel and of the dataplane."""
    exchange(lab, "dsr", 4)
    exchange(lab, "nat", 6)
    full_size_ping(lab, 1500)


def double_tagged(lab):
    """As above, with two tags. The backends have MAC addresses: next hops behind two tags are not resolved."""
    exchange(lab, STATIC, 4)
    full_size_ping(lab, 1500)


def full_size_ping(lab, mtu):
    """The guest's kernel and the dataplane answer pings of the MTU's size."""
    for address, headers in (("10.0.0.2", 28), ("2001:db8:a::2", 48), (VIPS[STATIC][0], 28)):
        size = mtu - headers
        wait_until(lambda to=address, size=size: " 1 received" in lab.client.namespace.run(
            "ping", "-n", "-c", 1, "-W", 5, "-M", "do", "-s", size, to, check=False).stdout, 60,
            f"{address} does not answer a ping of {mtu} bytes")


def jumbo(lab):
    exchange(lab, "dsr", 4)
    exchange(lab, "nat", 6)
    full_size_ping(lab, 9000)


def jumbo_without_tap(lab):
    """The guest's kernel reaches no network. Its backends need no check and no resolution."""
    exchange(lab, STATIC, 4)


def clean_end(lab):
    """The report adds up (stop_dataplane asserts it)."""
    report = lab.stop_dataplane()
    assert report["rx"] > 0 and report["tx"] > 0


def capabilities(lab):
    """What the NIC's driver does for the dataplane, as it logs it and as DPDK's telemetry shows it."""
    log = lab.dataplane_log()
    driver, first, second = re.search(rf"port wan: {lab.nics[0].pci} \((\w+)\) ([^;\n]*)(?:; ([^;\n]*))?", log).groups()
    by = "RSS" if " by RSS" in first else f"software only: {first}" if "in software" in second else second.removesuffix(" spreads")
    filters = {"the VLAN filter of": "switched off", "all VLANs are in the filter": "has all VLANs"}
    offloads = lab.dpdk_telemetry("/ethdev/info,0")["rx_offloads"]
    return {"DPDK's driver": driver,
            "spreads over workers by": by,
            "IPv4 checksum": "checked by the NIC" if offloads & _RX_IPV4_CHECKSUM else "left to backends",
            "VLAN filter": next((words for text, words in filters.items() if text in log), "none"),
            "its MTU for 1500": re.search(r"port wan: MTU 1500; the NIC's is (\d+)", log)[1]}


_TWO = Needs(workers=2)
_JUMBO = Needs(mtu=9000)
_ALONE = Needs(mtu=9000, kernel=False)
CAPABILITIES = "capabilities"
# In this order, no cell undoes what the one before it has set up: starts of the dataplane and changes of the guest's
# network take most of the time.
CELLS = {
    "two-workers": Cell("two workers", many_flows, _TWO),
    CAPABILITIES: Cell("", capabilities, _TWO),
    "jumbo": Cell("MTU 9000", jumbo, _JUMBO),
    **{mode: Cell(f"`{mode}`", _in_mode(mode)) for mode in MODES},
    "ipv6": Cell("all modes over IPv6", ipv6),
    "fragments": Cell("fragments", fragments),
    "checks": Cell("health checks", checks),
    "ssh": Cell("SSH to the host over `kernel: tap:wan0`", ssh),
    "kill-restart": Cell("SIGKILL under load: no connection breaks", kill_restart),
    "vlan": Cell("a VLAN tag, frames of full size", tagged, Needs(tags=(20,))),
    "qinq": Cell("two VLAN tags, frames of full size", double_tagged, Needs(tags=(100, 20))),
    "jumbo-without-tap": Cell("MTU 9000 without `kernel`", jumbo_without_tap, _ALONE),
    "clean-end": Cell("a clean end: no buffer is lost, all counts add up", clean_end, None, ends=True),
}
