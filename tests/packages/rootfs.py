"""A minimal Debian 12 and what Fairlead's packages depend on, made once and kept in a cache."""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

from tests.lab.namespace import owner_gone
from tests.lab.process import LabError, run

_INCLUDE = "systemd,systemd-sysv,dbus,iproute2,procps"
_MIRROR = "http://deb.debian.org/debian"
_NETWORK_TIMEOUT_S = 3600  # debootstrap took 9 minutes on a machine that eight others shared


def cache():
    folder = pathlib.Path(os.environ.get("FAIRLEAD_CACHE", pathlib.Path.home() / ".cache/fairlead"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _locked():
    with open(cache() / "rootfs.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def overlay(folder, lower):
    """Mounts folder/root: what `lower` (folders, topmost first) have, with changes in folder/upper."""
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    run(["mount", "-t", "overlay", "fairlead-packages", "-o",
         f"lowerdir={':'.join(str(path) for path in lower)},upperdir={folder}/upper,workdir={folder}/work",
         folder / "root"])
    try:
        yield folder / "root"
    finally:
        run(["umount", folder / "root"])


def sweep():
    """Unmounts what earlier runs of these tests left, and that no process of theirs uses any more."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        source, target = line.split()[:2]
        if source == "fairlead-packages" and owner_gone(pathlib.Path(target).parts[2]):
            run(["umount", target], check=False)


def _minimal():
    done = cache() / "minbase"
    if not done.exists():
        new = cache() / "minbase.new"
        shutil.rmtree(new, ignore_errors=True)
        run(["debootstrap", "--variant=minbase", f"--include={_INCLUDE}", "bookworm", new, _MIRROR],
            timeout_s=_NETWORK_TIMEOUT_S)
        for deb in new.glob("var/cache/apt/archives/*.deb"):
            deb.unlink()
        new.rename(done)
    return done


def _external(debs):
    """The names of other packages that the packages depend on, the first of each alternative."""
    own = {deb.name.split("_")[0] for deb in debs}
    names = set()
    for deb in debs:
        for field in ("Pre-Depends", "Depends"):
            for group in run(["dpkg-deb", "-f", deb, field]).stdout.split(","):
                name = re.split(r"[\s|(:]", group.strip())[0]
                names |= {name} - own - {""}
    return sorted(names)


def layers(debs, extra=()):
    """Folders for `overlay`: a minimal system, with the dependencies of `debs` in apt's cache, not installed.

    `extra`: packages that are installed, as tools of the test.
    """
    names = _external(debs)
    key = hashlib.sha256(" ".join([*names, "+", *extra]).encode()).hexdigest()[:12]
    with _locked():
        minimal = _minimal()
        done = cache() / f"dependencies-{key}"
        if not done.exists():
            new = cache() / f"dependencies-{key}.new"
            shutil.rmtree(new, ignore_errors=True)
            with overlay(new, [minimal]) as root:
                # A service must not be started in the chroot, and the host's resolver is needed once.
                shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
                (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
                (root / "usr/sbin/policy-rc.d").chmod(0o755)
                environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
                apt = ["chroot", root, "apt-get", "-o", "APT::Keep-Downloaded-Packages=true"]
                run([*apt, "update"], timeout_s=_NETWORK_TIMEOUT_S, env=environment)
                if extra:
                    run([*apt, "install", "-y", "--no-install-recommends", *extra], timeout_s=_NETWORK_TIMEOUT_S,
                        env=environment)
                run([*apt, "install", "-y", "--download-only", "--no-install-recommends", *names],
                    timeout_s=_NETWORK_TIMEOUT_S, env=environment)
                (root / "usr/sbin/policy-rc.d").unlink()
                (root / "etc/resolv.conf").unlink()
            new.rename(done)
        return [done / "upper", minimal]


def with_version(deb, version, folder):
    """Copies a package with another version, its own and that of Fairlead's packages it depends on."""
    tree = folder / deb.stem
    run(["dpkg-deb", "-R", deb, tree], timeout_s=600)
    control = tree / "DEBIAN/control"
    text = control.read_text()
    old = re.search(r"^Version: (.*)$", text, re.M)[1]
    control.write_text(text.replace(f"Version: {old}\n", f"Version: {version}\n").replace(f"(= {old})", f"(= {version})"))
    new = folder / f"{deb.name.split('_')[0]}_{version}_amd64.deb"
    run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, new], timeout_s=600)
    shutil.rmtree(tree)
    return new


def write_index(folder):
    """Makes the folder a source for apt: `deb [trusted=yes] file:FOLDER ./`."""
    listing = subprocess.run(["dpkg-scanpackages", "-m", "."], cwd=folder, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        raise LabError(f"dpkg-scanpackages: {listing.stderr}")
    (folder / "Packages").write_text(listing.stdout)
