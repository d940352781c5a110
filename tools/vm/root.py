"""The guest's root file system: Debian 12 by debootstrap, kept in a cache as an ext4 image.

An image's folder in the cache is named by the digest of what the image is made of: the package list, the files below
and this program. It contains `disk.img`, `vmlinuz`, `initrd`, and an SSH key pair (`id`, `id.pub`) whose public half is
in the image. The downloaded packages stay in `packages/` beside these folders, for the next image. The image contains
no program of Fairlead (payload.py).
"""
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

SUITE = "bookworm"
DISK_MB = 1500
DOWNLOAD_MB = 130  # more is an error: somebody added a package with many dependencies

# The system, and what the tests use in it.
_SYSTEM = ("systemd", "systemd-sysv", "udev", "kmod", "dbus", "iproute2", "pciutils", "procps", "openssh-server",
           "python3-minimal", "linux-image-amd64", "driverctl")
# What Fairlead's packages depend on (debian/control). The guest has no way to a mirror.
_DEPENDENCIES = ("libbpf1", "libfmt9", "libnghttp2-14", "libnl-route-3-200", "libprometheus-cpp-core1.0",
                 "libspdlog1.10", "libsqlite3-0", "libyaml-cpp0.7", "librte-mempool-ring23", "librte-net-af-packet23",
                 "librte-net-af-xdp23", "librte-net-bond23", "librte-net-memif23", "librte-net-null23",
                 "librte-net-ring23", "librte-net-tap23", "sse4.2-support")
# DPDK's drivers of emulated NICs, from the table of docs/install.md.
_DRIVERS = ("librte-net-e1000-23", "librte-net-virtio23", "librte-net-vmxnet3-23")
PACKAGES = (*_SYSTEM, *_DEPENDENCIES, *_DRIVERS)

MANAGEMENT_MAC = "52:54:00:00:00:99"

# What a boot does not need for the tests: under tcg, it takes most of the time. The drivers of NICs are loaded as usual.
_FILES = {
    "etc/hostname": "fairlead-guest\n",
    "etc/machine-id": "fa1e1ead000000000000000000000001\n",
    "etc/fstab": "/dev/vda / ext4 defaults,noatime 0 0\n",
    "etc/ssh/sshd_config.d/guest.conf":
        "PermitRootLogin prohibit-password\nUseDNS no\nUsePAM no\nMaxSessions 100\n"
        "HostKey /etc/ssh/ssh_host_ed25519_key\nLoginGraceTime 0\n",
    # The interface of SSH and nothing else. QEMU's own network has this address and no way out.
    "etc/systemd/network/10-management.network":
        f"[Match]\nMACAddress={MANAGEMENT_MAC}\n[Network]\nAddress=10.0.2.15/24\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n",
    "etc/systemd/journald.conf.d/guest.conf": "[Journal]\nStorage=volatile\nRateLimitBurst=0\n",
    # Hosts of a loaded machine: a unit may take long to start.
    "etc/systemd/system.conf.d/guest.conf": "[Manager]\nDefaultTimeoutStartSec=600\nDefaultDeviceTimeoutSec=600\n",
    "etc/systemd/system/systemd-udev-trigger.service.d/guest.conf":
        "[Service]\nExecStart=\nExecStart=/usr/bin/udevadm trigger --type=devices --action=add --prioritized-subsystem=net "
        "--subsystem-match=pci --subsystem-match=net --subsystem-match=block --subsystem-match=virtio "
        "--subsystem-match=vfio --subsystem-match=misc\n",
    "etc/modprobe.d/guest.conf": "".join(f"blacklist {name}\n" for name in (
        "ahci", "i2c_i801", "iTCO_wdt", "lpc_ich", "pcspkr", "button", "evdev", "psmouse", "drm")) +
        "install cfg80211 /bin/false\n",  # which systemd-networkd would load
    "etc/modules-load.d/vlan.conf": "8021q\n",
    # Only the drivers of the guest's own disk: the initial file system is unpacked faster.
    "etc/initramfs-tools/conf.d/guest": "MODULES=list\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
}
_ENABLED = ("systemd-networkd", "ssh")
_MASKED = ("systemd-networkd-wait-online.service", "systemd-network-generator.service", "apt-daily.timer",
           "apt-daily-upgrade.timer", "e2scrub_reap.service", "e2scrub_all.timer", "dpkg-db-backup.timer", "fstrim.timer",
           "systemd-tmpfiles-clean.timer", "dpdk.service", "systemd-logind.service", "getty.target",
           "serial-getty@ttyS0.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount",
           "systemd-random-seed.service", "systemd-sysusers.service", "systemd-update-utmp.service",
           "systemd-update-utmp-runlevel.service", "systemd-pstore.service", "systemd-user-sessions.service",
           "modprobe@drm.service", "modprobe@fuse.service", "modprobe@loop.service", "modprobe@dm_mod.service",
           "modprobe@efi_pstore.service", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
           "sys-fs-fuse-connections.mount")


class RootError(Exception):
    """The image cannot be made. The message says why."""


def cache_folder():
    """In FAIRLEAD_CACHE, or in the user's cache."""
    cache = os.environ.get("FAIRLEAD_CACHE")
    if not cache:
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "fairlead"
    return pathlib.Path(cache) / "guest"


def digest():
    parts = (SUITE, DISK_MB, PACKAGES, sorted(_FILES.items()), _ENABLED, _MASKED, pathlib.Path(__file__).read_bytes())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def ensure(say=print):
    """Makes the image if it is not in the cache, and removes those of older inputs. Returns its folder. Needs root.

    Two processes that need the same image wait for each other.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = cache / digest()
        if not (folder / "disk.img").exists():
            _remove_others(cache, folder)
            say(f"making the guest's root in {folder}; this downloads about {DOWNLOAD_MB - 10} MB, once")
            _make(folder)
    return folder


def _remove_others(cache, kept):
    for path in cache.iterdir():
        if path.is_dir() and path not in (kept, cache / "packages"):
            shutil.rmtree(path)


def _run(argv, what, log=None, **kwargs):
    out = open(log, "ab") if log else subprocess.PIPE
    result = subprocess.run([str(word) for word in argv], stdout=out, stderr=subprocess.STDOUT, check=False, **kwargs)
    if log:
        out.close()
    if result.returncode != 0:
        text = pathlib.Path(log).read_text(errors="replace") if log else result.stdout.decode(errors="replace")
        raise RootError(f"{what} failed; its last lines:\n" + "\n".join(text.splitlines()[-15:]))
    return result.stdout.decode(errors="replace") if not log else ""


def _mirror():
    """The mirror from which this host installs Debian's packages."""
    listing = _run(["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", f"Codename: {SUITE}",
                    "Component: main"], "apt-get indextargets")
    return next(iter(listing.split()), "http://deb.debian.org/debian")


def _make(folder):
    if os.geteuid() != 0:
        raise RootError("the guest's root can be made by root only; run this as root once")
    if not shutil.which("debootstrap"):
        raise RootError("debootstrap is missing; run tools/install-deps.sh guest")
    folder.mkdir(exist_ok=True)
    root = pathlib.Path(tempfile.mkdtemp(prefix="root-", dir=folder))
    try:
        _fill(root, folder)
        unfinished = folder / "disk.img.new"
        unfinished.unlink(missing_ok=True)
        _run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", root, unfinished, f"{DISK_MB}M"], "mke2fs")
        unfinished.rename(folder / "disk.img")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _fill(root, folder):
    log = folder / "debootstrap.log"
    log.unlink(missing_ok=True)
    kept = folder.parent / "packages"
    kept.mkdir(exist_ok=True)
    _run(["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", f"--cache-dir={kept}", SUITE, root,
          _mirror()], "debootstrap", log)
    archives = root / "var/cache/apt/archives"
    downloaded_mb = sum(path.stat().st_size for path in archives.glob("*.deb")) / 1e6
    if downloaded_mb > DOWNLOAD_MB:
        raise RootError(f"the packages have {downloaded_mb:.0f} MB, and {DOWNLOAD_MB} MB are allowed (DOWNLOAD_MB)")
    for path in (archives, root / "var/lib/apt/lists", root / "usr/share/doc", root / "usr/share/man",
                 root / "usr/share/locale"):
        shutil.rmtree(path, ignore_errors=True)
    for name, text in _FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    _mask_generators(root)
    _add_key(root, folder)
    for words in (["update-initramfs", "-u"], ["ssh-keygen", "-A"], ["systemctl", "--quiet", "enable", *_ENABLED],
                  ["systemctl", "--quiet", "mask", *_MASKED]):
        _run(["chroot", root, *words], words[0], log, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    for name in ("vmlinuz", "initrd"):
        (source,) = (root / "boot").glob(f"{name}*-amd64")
        shutil.copy(source, folder / name)
        source.unlink()


def _mask_generators(root):
    """systemd runs them at boot and at each reload. The guest has nothing that they look for."""
    masked = root / "etc/systemd/system-generators"
    masked.mkdir(exist_ok=True)
    for generator in (root / "usr/lib/systemd/system-generators").iterdir():
        (masked / generator.name).symlink_to("/dev/null")


def _add_key(root, folder):
    key = folder / "id"
    for path in (key, key.with_suffix(".pub")):
        path.unlink(missing_ok=True)
    _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fairlead-guest", "-f", key], "ssh-keygen")
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(key.with_suffix(".pub"), ssh / "authorized_keys")
