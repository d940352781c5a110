#!/usr/bin/env python3
"""Builds the programs of the base release (tests/compat/base) from this clone's history.

    tests/compat/build_base.py FOLDER     builds below FOLDER, reuses an earlier build, prints the build folder
"""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from tests.compat import BASE_COMMIT, BASE_RELEASE  # noqa: E402

_TOP = pathlib.Path(__file__).resolve().parent.parent.parent
_PROGRAMS = ["dataplane/fairlead-dataplane", "controlplane/fairleadd", "tools/fairctl/fairctl"]


def build_base(folder):
    source, build = folder / "source", folder / "build"
    if not source.exists():
        known = subprocess.run(["git", "cat-file", "-e", f"{BASE_COMMIT}^{{commit}}"], cwd=_TOP, check=False,
                               capture_output=True)
        if known.returncode != 0:
            raise RuntimeError(f"this clone has no commit {BASE_COMMIT} (release {BASE_RELEASE}); "
                               "fetch the whole history with git fetch --unshallow")
        folder.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", "--prefix=source.new/", BASE_COMMIT], cwd=_TOP, check=True,
                                 capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        (folder / "source.new").rename(source)
    subprocess.run(["tools/build.sh", "--", *_PROGRAMS], cwd=source, check=True, stdout=sys.stderr,
                   env={**os.environ, "FAIRLEAD_BUILD": str(build)})
    return build


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(build_base(pathlib.Path(sys.argv[1]).resolve()))
