"""What a guest gets installed: Fairlead's programs from a build folder, and units that start them.

The guest's second disk has these files; install_command() copies them. This is the only place that knows what is
installed and how.
"""
import pathlib
import shutil

from tests.lab.process import LabError, run

_PROGRAMS = ("dataplane/fairlead-dataplane", "controlplane/fairleadd", "tools/fairctl/fairctl")
_DISK_MB = 64

# True if what is installed binds NICs to VFIO and starts the programs when the guest boots.
STARTS_AT_BOOT = False

# A crash is not followed by a restart: the tests look at what ended, and start it again.
_UNIT = """[Unit]
Description=Fairlead {what}
[Service]
EnvironmentFile=-/etc/fairlead/arguments
ExecStart=/usr/local/bin/{program}{arguments}
RuntimeDirectory=fairlead
RuntimeDirectoryPreserve=yes
StateDirectory=fairlead
LimitMEMLOCK=infinity
TimeoutStopSec=60
[Install]
WantedBy=multi-user.target
"""
# DATAPLANE_ARGUMENTS: further arguments, in the file of the unit's environment.
_UNITS = {
    "fairlead-dataplane.service": _UNIT.format(what="dataplane", program="fairlead-dataplane",
                                               arguments=" --config /etc/fairlead/dataplane.yaml --verbose $DATAPLANE_ARGUMENTS"),
    "fairleadd.service": _UNIT.format(what="control plane", program="fairleadd", arguments=""),
}


def make_disk(build, folder):
    """Writes payload.img into the folder. Returns its path."""
    content = pathlib.Path(folder) / "payload"
    (content / "bin").mkdir(parents=True)
    (content / "units").mkdir()
    for name in _PROGRAMS:
        source = pathlib.Path(build) / name
        if not source.exists():
            raise LabError(f"{source} does not exist; build it with tools/build.sh -- {name}")
        shutil.copy(source, content / "bin")
    for name, text in _UNITS.items():
        (content / "units" / name).write_text(text)
    image = content.with_suffix(".img")
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", content, image, f"{_DISK_MB}M"])
    shutil.rmtree(content)
    return image


def install_command(device):
    """The shell command with which the guest installs the content of the disk."""
    return (f"mount -o ro {device} /mnt && install -m755 /mnt/bin/* /usr/local/bin/ && "
            "install -m644 /mnt/units/* /etc/systemd/system/ && umount /mnt && mkdir -p /etc/fairlead && "
            "systemctl daemon-reload")
