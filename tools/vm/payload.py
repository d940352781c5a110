"""What a guest gets installed: Fairlead's Debian packages, and the settings that docs/install.md asks of an operator.

The guest's second disk has the packages; install_command() installs them. This is the only place that knows what is
installed and how.
"""
import functools
import pathlib
import shutil
import tempfile

from tests.lab.process import LabError, run
from tests.packages import built

_PACKAGES = ("fairctl", "fairlead", "fairlead-controlplane", "fairlead-dataplane")
_DISK_MB = 64
HUGEPAGES = 448  # of 2 MB

# Settings of the guest alone, since an emulated CPU is ten times slower, and stands still while its host is busy.
_DROP_IN = """[Service]
# The packages' units have 5 s.
WatchdogSec=120
TimeoutAbortSec=60
TimeoutStartSec=300
TimeoutStopSec=120
"""
_UNITS = ("fairlead-dataplane", "fairleadd")

_INSTALL = f"""set -e
mount -o ro {{device}} /mnt
cp -r /mnt/system /etc/systemd/
# Not apt: it would only look for what is on the disk. The root has what the packages depend on.
dpkg --install --force-unsafe-io /mnt/*.deb >/var/log/install.log 2>&1 || {{{{ cat /var/log/install.log; exit 1; }}}}
umount /mnt
# docs/install.md, "Hugepages at boot" and "Binding at boot"
echo 'vm.nr_hugepages = {HUGEPAGES}' > /etc/sysctl.d/80-fairlead.conf && sysctl -q -p /etc/sysctl.d/80-fairlead.conf
echo vfio-pci > /etc/modules-load.d/fairlead.conf && modprobe vfio-pci
systemctl -q --no-reload enable fairlead-dataplane
[ $(cat /proc/sys/vm/nr_hugepages) = {HUGEPAGES} ] || {{{{ echo not enough hugepages; exit 1; }}}}
"""


@functools.cache
def _disk():
    """The disk's image in a folder that goes with this process."""
    folder = tempfile.TemporaryDirectory(prefix="fairlead-guest-")
    content = pathlib.Path(folder.name) / "content"
    found = {deb.name.split("_")[0]: deb for deb in built.debs()}
    if missing := set(_PACKAGES) - set(found):
        raise LabError(f"no package {', '.join(sorted(missing))} beside {next(iter(found.values()))}")
    for unit in _UNITS:
        (content / f"system/{unit}.service.d").mkdir(parents=True)
        (content / f"system/{unit}.service.d/guest.conf").write_text(_DROP_IN)
    for name in _PACKAGES:
        shutil.copy(found[name], content)
    image = content.with_suffix(".img")
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", content, image, f"{_DISK_MB}M"])
    return folder, image


def disk():
    """The path of the disk's image. Builds the packages if there are none of this clone's files."""
    return _disk()[1]


def install_command(device):
    """The shell command with which the guest installs the content of the disk."""
    return _INSTALL.format(device=device)
