"""What tools/package.sh makes, and the settings files of the packages. These tests boot no machine."""
import json
import os
import pathlib
import re

import pytest
import yaml

from tests.lab.process import run
from tests.packages.conftest import TOP

_DATAPLANE_YAML = TOP / "packaging/config/dataplane.yaml"


def without_marks(text):
    """The file with its settings in force: `#key: value` and `#  - key: value` lose their first character."""
    return re.sub(r"^#(?=\S|  )", "", text, flags=re.M)


def keys(value):
    """The names of all keys, at any depth."""
    if isinstance(value, dict):
        return set(value) | set().union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_packages_are_built_without_a_complaint_of_lintian_or_blhc(package_run):
    if package_run is None:
        pytest.skip("FAIRLEAD_PACKAGES names packages that another run built")
    assert package_run.returncode == 0, package_run.stdout + package_run.stderr


def test_packages_of_unchanged_files_are_not_built_again(package_run, debs):
    if package_run is None:
        pytest.skip("FAIRLEAD_PACKAGES names packages that another run built")
    before = [deb.stat().st_mtime_ns for deb in debs]
    assert run([TOP / "tools/package.sh", "--if-changed"], timeout_s=3600).stdout == ""
    assert [deb.stat().st_mtime_ns for deb in debs] == before


def test_every_package_has_an_spdx_document_that_names_its_libraries(debs):
    if "FAIRLEAD_PACKAGES" in os.environ:
        pytest.skip("FAIRLEAD_PACKAGES names packages that another run built")
    for deb in debs:
        document = json.loads(pathlib.Path(f"{deb}.spdx.json").read_text())
        assert document["spdxVersion"] == "SPDX-2.3"
        names = {package["name"] for package in document["packages"]}
        assert deb.name.split("_")[0] in names
        if "dataplane" in deb.name:
            assert {"librte-eal23", "libspdlog1.10", "libdpdk-dev"} <= names, names
        ids = {package["SPDXID"] for package in document["packages"]} | {"SPDXRef-DOCUMENT"}
        for relation in document["relationships"]:
            assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= ids


def test_the_installed_dataplane_yaml_sets_nothing():
    assert yaml.safe_load(_DATAPLANE_YAML.read_text()) is None


def test_the_installed_dataplane_yaml_has_every_key():
    source = (TOP / "dataplane/config/config.cc").read_text()
    lists = re.findall(r"CheckKeys\([^{};]*\{([^}]*)\}", source)
    known = {key for words in lists for key in re.findall(r'"(\w+)"', words)}
    assert {"ports", "mtu", "records"} <= known
    assert keys(yaml.safe_load(without_marks(_DATAPLANE_YAML.read_text()))) == known


def test_the_dataplane_accepts_the_installed_dataplane_yaml_with_all_keys_in_force(tmp_path):
    text = without_marks(_DATAPLANE_YAML.read_text()).replace("workers: 1\n", "")  # `cores` replaces it
    text = text.replace('"0000:3b:00.0"', '"null"').replace("cores: 2-3", "cores: 0")
    path = tmp_path / "dataplane.yaml"
    path.write_text(text.replace("kernel: tap:wan0", ""))
    program = pathlib.Path(os.environ["FAIRLEAD_BUILD"]) / "dataplane/fairlead-dataplane"
    ended = run([program, "--config", path, "--exit-when-idle", "200ms", "--", "--no-huge", "--no-pci", "-m", "256",
                 f"--file-prefix=flab-conffile-{os.getpid()}"], check=False)
    assert ended.returncode == 0, ended.stderr


long = pytest.mark.skipif("FAIRLEAD_LONG" not in os.environ, reason="takes minutes; only with --long")


@long
@pytest.mark.slow("builds the packages twice, once without the compiler cache")
def test_two_builds_give_the_same_bytes(package_run):
    again = run([TOP / "tools/package.sh", "--reproducible"], check=False, timeout_s=7200)
    assert again.returncode == 0, again.stdout + again.stderr


# systemd comes as a dependency of the packages, makes these for itself, and keeps them when it is purged.
LEFT_BY_SYSTEMD = ["/root/.ssh/", "/var/cache/private/", "/var/lib/private/", "/var/lib/systemd/coredump/",
                   "/var/lib/systemd/pstore/", "/var/log/private/"]


@long
@pytest.mark.slow("piuparts installs and purges the packages in a fresh system")
def test_piuparts_finds_no_leftovers(debs):
    ended = run(["piuparts", "--distribution=bookworm", "--no-eatmydata", "--warn-on-debsums-errors",
                 "--skip-cronfiles-test", "--mirror=http://deb.debian.org/debian",
                 *(f"--ignore={folder}" for folder in LEFT_BY_SYSTEMD), *debs], check=False, timeout_s=3600)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
