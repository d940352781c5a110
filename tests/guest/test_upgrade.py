"""Upgrade, restart, downgrade and removal of the packages in a guest, whose NIC belongs to VFIO. Only with --long."""
import base64
import shutil

import pytest

from tests.guest.cells import exchange, load
from tests.guest.guest_lab import GuestLab
from tests.guest.models import LONG
from tests.lab import wait_until
from tests.packages import built, rootfs

pytestmark = pytest.mark.skipif(not LONG, reason="runs with --long only")

_CONNECTIONS = 50
_NEWER = "9.0"
_PACKAGES = ("fairctl", "fairlead-controlplane", "fairlead-dataplane", "fairlead")
_UNITS = ("fairleadd", "fairlead-dataplane")


@pytest.fixture
def lab(build, image):
    with GuestLab(build, ("e1000e",)) as lab:
        lab.start_guest()
        lab.serve(lab.guest.nics[0], modes=["dsr"])
        yield lab


def put(lab, folder, debs):
    """Copies packages into a folder of the guest."""
    lab.guest.ssh(f"mkdir -p {folder}")
    for deb in debs:
        lab.guest.ssh(f"base64 -d > {folder}/{deb.name}", input=base64.b64encode(deb.read_bytes()).decode())


def pids(lab):
    return lab.guest.ssh(f"systemctl show -p MainPID --value {' '.join(_UNITS)}").stdout.split()


def install(lab, folder, version):
    """Installs the folder's packages: that restarts fairleadd and leaves the dataplane alone. Then restarts that."""
    before = pids(lab)
    lab.guest.ssh(f"dpkg --install --force-downgrade {folder}/*.deb")
    versions = lab.guest.ssh(f"dpkg-query -W -f '${{Version}}\\n' {' '.join(_PACKAGES)}").stdout.split()
    assert versions == [version] * len(_PACKAGES)
    after = pids(lab)
    assert after[0] != before[0] and after[1] == before[1], (before, after)
    lab.guest.ssh("fairctl dataplane restart --wait")
    assert pids(lab)[1] != before[1]


@pytest.mark.slow("boots a guest and installs the packages three times")
def test_no_connection_breaks_and_a_removal_leaves_what_is_the_operators(lab, tmp_path):
    debs = [deb for deb in built.debs() if deb.name.split("_")[0] in _PACKAGES]
    newer = [rootfs.with_version(deb, _NEWER, tmp_path) for deb in debs]
    put(lab, "/root/older", debs)
    put(lab, "/root/newer", newer)
    shutil.rmtree(tmp_path)
    connections = load(lab, keep=_CONNECTIONS, interval_ms=500).wait_steady(60 * lab.guest.patience)
    for folder, version in (("/root/newer", _NEWER), ("/root/older", debs[0].name.split("_")[1])):
        install(lab, folder, version)
        connections.wait_answered(2 * _CONNECTIONS, timeout_s=60 * lab.guest.patience)
    figures = connections.stop(timeout_s=60 * lab.guest.patience)
    assert figures["failed"] == 0, figures["details"]
    wait_until(lambda: lab.control.get("/v1/status")["dataplane"]["connected"], 30 * lab.guest.patience, "not connected")
    exchange(lab, "dsr", 4)

    ours = "ls /etc/fairlead/dataplane.yaml /var/lib/fairlead/fairlead.db"
    lab.guest.ssh(f"dpkg --remove {' '.join(_PACKAGES)} && {ours}")
    assert lab.guest.ssh("pgrep -l fairlead", check=False).stdout == ""
    lab.guest.ssh(f"dpkg --purge {' '.join(_PACKAGES)}")
    # What an operator made (tools/vm/payload.py) stays: drop-ins of units, settings of the host.
    left = lab.guest.ssh("find /etc /var/lib/fairlead /run /dev/hugepages /usr -name '*fairle*' -not -path '*/dpkg/*' "
                         "-not -name '*.service.d' -not -name 80-fairlead.conf -not -name fairlead.conf",
                         check=False).stdout.split()
    assert left == [], left
