"""The Debian packages that tests install: those of FAIRLEAD_PACKAGES, or built from this clone."""
import functools
import os
import pathlib

from tests.lab.process import LabError, run

TOP = pathlib.Path(__file__).resolve().parents[2]
_BUILD_TIMEOUT_S = 3600  # with an empty compiler cache, on a busy machine


@functools.cache
def package_run():
    """The result of tools/package.sh, which builds them if the clone's files have changed. None with FAIRLEAD_PACKAGES.

    Another process that does the same waits for this one.
    """
    if "FAIRLEAD_PACKAGES" in os.environ:
        return None
    return run([TOP / "tools/package.sh", "--if-changed"], check=False, timeout_s=_BUILD_TIMEOUT_S)


def debs():
    """The packages' paths, without those of debug symbols."""
    built = package_run()
    folder = pathlib.Path(os.environ.get("FAIRLEAD_PACKAGES", TOP / "build-packages"))
    found = [deb for deb in sorted(folder.glob("*.deb")) if "-dbgsym_" not in deb.name]
    if not found:
        raise LabError(f"no packages in {folder}" + (f"\n{built.stdout}{built.stderr}" if built else ""))
    return found
