"""Wrong configuration, full and read-only folders, a second start, a downgrade: each is refused with one sentence that
says what to do. Exit status 78 tells systemd that another start cannot help."""
import json
import os
import shutil
import sqlite3
import subprocess

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import Lab, wait_until

_CONFIGURATION = 78


def _has_mounts():
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


def _in_own_mounts(commands, *words):
    """Words before a program: it runs in a mount namespace of its own, after these shell commands. $1...: `words`."""
    if not _has_mounts():
        pytest.skip("this user may not make mount namespaces")
    count = len(words)
    return ["unshare", "-m", "sh", "-ec", f'{commands}; shift {count}; exec "$@"', "sh", *[str(word) for word in words]]


def _run(*command, timeout_s=60):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout_s,
                          check=False)


def _fairleadd(build, folder, *options, wrapper=(), **paths):
    """Runs a fairleadd that is expected to end, with its files in `folder`. `paths`: other ones (socket, store)."""
    paths = {"socket": folder / "control.sock", "store": folder / "fairlead.db", "link": folder / "dataplane.sock",
             **paths}
    return _run(*wrapper, build / "controlplane/fairleadd", *(f"--{key}={path}" for key, path in paths.items()),
                *options)


def _dataplane(build, folder, *options, wrapper=()):
    return _run(*wrapper, build / "dataplane/fairlead-dataplane", "--link", folder / "dataplane.sock", *options, "--", "--no-huge",
                "--no-pci", "-m", "128")


def _refused(result, status, *sentences):
    """The program ended with that status, and its one line has all of these."""
    assert result.returncode == status, result
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for sentence in sentences:
        assert sentence in result.stderr, result.stderr


# ---- configuration ------------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_a_dataplane_without_a_port_says_where_to_add_one_and_is_not_retried(build, tmp_path):
    config = tmp_path / "dataplane.yaml"
    config.write_text("# only comments\n")
    refused = _dataplane(build, tmp_path, "--config", config)
    _refused(refused, _CONFIGURATION, "no port is configured; add one to /etc/fairlead/dataplane.yaml")


@pytest.mark.quick
@pytest.mark.parametrize(("text", "sentence"), [
    ("workers: 1\nport: []\n", "line 2: port: unknown key; the keys here are workers, "),
    ("ports:\n- name: wan\n  device: 'null'\n  mtu: 5\n", "line 4: ports[0].mtu: '5' is not a number from 68 to"),
    ("ports: [\n", "line 2: "),
])
def test_a_wrong_dataplane_yaml_is_refused_with_its_line_and_is_not_retried(build, tmp_path, text, sentence):
    config = tmp_path / "dataplane.yaml"
    config.write_text(text)
    _refused(_dataplane(build, tmp_path, "--config", config), _CONFIGURATION, f"{config}: {sentence}")


@pytest.mark.quick
@pytest.mark.parametrize(("text", "sentence"), [
    ("# a comment\nsockt: /run/s\n", "line 2: sockt: unknown key; the keys here are socket, store, link, services, "),
    ("log_level: loud\n", "line 1: log_level: 'loud' is not possible; write debug, info, warning, error or off"),
    ("accept_older_store: maybe\n", "line 1: accept_older_store: 'maybe' is neither true nor false"),
])
def test_a_wrong_fairleadd_yaml_is_refused_with_its_line_and_is_not_retried(build, tmp_path, text, sentence):
    config = tmp_path / "fairleadd.yaml"
    config.write_text(text)
    _refused(_fairleadd(build, tmp_path, "--config", config), _CONFIGURATION, f"{config}: {sentence}")
    assert not (tmp_path / "fairlead.db").exists()


@pytest.mark.quick
def test_a_configuration_file_that_is_named_must_exist(build, tmp_path):
    for run in (_fairleadd, _dataplane):
        refused = run(build, tmp_path, "--config", tmp_path / "none.yaml")
        _refused(refused, _CONFIGURATION, f"{tmp_path}/none.yaml does not exist; name the configuration file with")


@pytest.mark.quick
def test_a_services_file_that_is_named_must_exist_and_be_right(build, tmp_path):
    services = tmp_path / "services.yaml"
    refused = _fairleadd(build, tmp_path, "--services", services)
    _refused(refused, _CONFIGURATION, f"{services} does not exist; name the services file with --services, or none")
    services.write_text("services: [\n")
    _refused(_fairleadd(build, tmp_path, "--services", services), _CONFIGURATION, f"{services}: ")


@pytest.mark.quick
def test_an_unknown_option_is_not_retried(build, tmp_path):
    for run in (_fairleadd, _dataplane):
        refused = run(build, tmp_path, "--sockt", "x")
        _refused(refused, _CONFIGURATION, "--sockt", "(--help lists the options)")


@pytest.mark.quick
def test_fairleadd_yaml_configures_and_the_command_line_takes_precedence(build):
    with Lab(build, backends=0) as lab:
        config = lab.dir / "fairleadd.yaml"
        config.write_text(f"socket: {lab.dir}/other.sock\nstore: {lab.dir}/other.db\nlog_format: json\n")
        fairleadd = lab.start_control(extra=["--config", config])  # with --socket, --store and --link
        assert lab.control.get("/v1/status")["services"] == 0
        assert json.loads(fairleadd.errors().splitlines()[0])["event"] == "started", fairleadd.errors()
        assert fairleadd.stop() == 0
        alone = lab.spawn("fairleadd-alone", [lab.program("controlplane/fairleadd"), "--config", config])
        wait_until(lambda: (lab.dir / "other.sock").exists() or alone.require_running(), 30,
                   lambda: f"other.sock does not exist: {alone.tail()}")
        assert (lab.dir / "other.db").exists()


# ---- a second start, a downgrade ----------------------------------------------------------------------------------


@pytest.mark.quick
def test_a_second_start_names_what_the_first_one_has(build):
    with Lab(build, backends=0) as lab:
        lab.start_dataplane(device="null")
        lab.start_control()
        _refused(_dataplane(build, lab.dir, "--port", "a=null"), 1,
                 f"another fairlead-dataplane listens on {lab.link_path}; stop it or choose another --link")
        _refused(_fairleadd(build, lab.dir), 1, f"{lab.store_path}: in use by another process",
                 "stop the other fairleadd, or choose another --store")
        _refused(_fairleadd(build, lab.dir, store=lab.dir / "second.db"), 1,
                 f"another fairleadd already listens on {lab.socket_path}; stop it first, or choose another --socket")
        assert lab.control.get("/v1/status")["dataplane"]["connected"] is True


@pytest.mark.quick
def test_a_damaged_store_is_not_retried_and_the_message_says_how_to_restore(build, tmp_path):
    store = tmp_path / "fairlead.db"
    with Lab(build, backends=0) as lab:
        lab.start_control()
        lab.fairleadd.stop()
        good = lab.store_path.read_bytes()
    middle = len(good) // 2
    for damaged, what in [(b"", "is empty, so it is not a store"), (b"x" * 8192, "file is not a database"),
                          (good[:middle] + b"\xff" * (len(good) - middle), ""), (good[:4096], "")]:
        store.write_bytes(damaged)
        refused = _fairleadd(build, tmp_path)
        _refused(refused, _CONFIGURATION, f"{store}: ", what,
                 f"stop fairleadd and restore a backup: `cd {tmp_path} && rm -f ", " -m 0640 BACKUP fairlead.db`")
    # What it says works.
    backup = tmp_path / "backup"
    backup.write_bytes(good)
    commands = refused.stderr.split("`")[1].replace("BACKUP", str(backup))
    subprocess.run(["sh", "-ec", commands], check=True)
    works = subprocess.Popen([build / "controlplane/fairleadd", "--socket", tmp_path / "control.sock", "--store",
                              store, "--link", tmp_path / "l"])
    try:
        wait_until((tmp_path / "control.sock").exists, 30, "fairleadd does not start with the backup")
    finally:
        works.terminate()
        works.wait(30)


@pytest.mark.quick
def test_a_store_of_a_newer_release_is_refused_with_the_copy_of_the_upgrade(build, tmp_path):
    store = tmp_path / "fairlead.db"
    with Lab(build, backends=0) as lab:
        lab.start_control()
        lab.fairleadd.stop()
        shutil.copy(lab.store_path, store)
    with sqlite3.connect(store) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
    copy = tmp_path / f"fairlead.db.schema-{version}"
    shutil.copy(store, copy)
    with sqlite3.connect(store) as database:
        database.execute(f"PRAGMA user_version={version + 1}")
    database.close()
    _refused(_fairleadd(build, tmp_path), _CONFIGURATION, f"{store}: the store has schema version {version + 1}",
             f"start the newer fairleadd that wrote it, or put {copy}, the copy made at the upgrade, in its place")
    # What it says works.
    for path in tmp_path.glob("fairlead.db*"):
        if path != copy:
            path.unlink()
    shutil.copy(copy, store)
    works = subprocess.Popen([build / "controlplane/fairleadd", "--socket", tmp_path / "control.sock", "--store",
                              store, "--link", tmp_path / "l"])
    try:
        wait_until((tmp_path / "control.sock").exists, 30, "fairleadd does not start with the copy")
    finally:
        works.terminate()
        works.wait(30)


# ---- full and read-only folders -----------------------------------------------------------------------------------

_FULL = 'mount -t tmpfs -o size=64k none "$1"; head -c 65536 /dev/zero > "$1/filler"'
_NO_INODES = 'mount -t tmpfs -o size=64k,nr_inodes=1 none "$1"'


@pytest.mark.quick
def test_a_dataplane_whose_folder_is_full_forwards_and_says_what_is_not_saved(bare_lab):
    lab = bare_lab
    run = lab.dir / "run"
    run.mkdir()
    lab.link_path = run / "dataplane.sock"
    dataplane = lab.start_dataplane(wrapper=_in_own_mounts(_FULL, run), wait=False)
    lab.link_path = f"/proc/{dataplane.pid}/root{run}/dataplane.sock"  # in the dataplane's mounts
    assert lab.comes_up(dataplane), dataplane.tail()
    lab.start_control()
    configure(lab)
    # Slots shift, so the flow table is needed.
    lab.control.patch(f"/v1/services/web/backends/{lab.backends[0].address4}", {"weight": 3})
    wait_until(lab.in_force, 30, "the change is not in force")
    figures = lab.start_load(targets=web_targets(lab), count=100).wait()
    assert figures["failed"] == 0, figures["details"]
    for sentence in (f"{run}/dataplane.snapshot.new cannot be written: No space left on device; free space in its "
                     "folder; a restart would start without a snapshot",
                     "MiB: No space left on device; free as much in its folder, or reduce flow_table.records"):
        wait_until(lambda s=sentence: s in dataplane.errors(), 30,
                   lambda s=sentence: f"'{s}' is not in {dataplane.errors()}")
    assert dataplane.running()


@pytest.mark.quick
def test_a_folder_that_takes_no_file_is_named_with_the_remedy(build, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    wrapper = _in_own_mounts(_NO_INODES, run)
    _refused(_dataplane(build, run, "--port", "a=null", wrapper=wrapper), 1,
             f"cannot listen on link path {run}/dataplane.sock: No space left on device; make its folder writable and "
             "free space in it, or choose another --link")
    _refused(_fairleadd(build, run, store=tmp_path / "fairlead.db", wrapper=wrapper), 1,
             f"cannot create the API's socket {run}/control.sock: No space left on device; make its folder writable "
             "and free space in it, or choose another --socket")
    _refused(_fairleadd(build, run, socket=tmp_path / "control.sock", wrapper=wrapper), 1,
             f"{run}/fairlead.db.new cannot be created: No space left on device; free space in its folder")


@pytest.mark.quick
def test_a_full_run_folder_ends_the_dataplane_with_a_sentence_and_no_signal(build, tmp_path):
    """DPDK maps its files there. Without space for a page, the kernel would end the process by SIGBUS."""
    wrapper = _in_own_mounts('mount -t tmpfs -o size=64k none /run', )
    _refused(_dataplane(build, tmp_path, "--port", "a=null", wrapper=wrapper), 1, "DPDK needs ",
             "KiB free; free space in it")


@pytest.mark.quick
@pytest.mark.parametrize("exists", [False, True])
def test_a_read_only_state_folder_is_refused_with_the_remedy(build, exists):
    with Lab(build, backends=0) as lab:
        state = lab.dir / "state"
        state.mkdir()
        lab.store_path = state / "fairlead.db"
        if exists:
            lab.start_control()
            lab.fairleadd.stop()
        wrapper = _in_own_mounts('mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"', state)
        _refused(_fairleadd(build, lab.dir, store=lab.store_path, wrapper=wrapper), 1, str(lab.store_path),
                 "Read-only file system", "make the folder writable and free space in it, or choose another --store")


# ---- versions -----------------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_status_tells_that_another_dataplane_is_installed(build):
    options = {option["name"]: option["value"]
               for option in json.loads((build / "meson-info/intro-buildoptions.json").read_text())}
    folder = f"{options['prefix']}/{options['sbindir']}"
    script = ('mount -t tmpfs none "$1"; printf "#!/bin/sh\\necho fairlead-dataplane 99.1.0\\n" '
              '> "$1/fairlead-dataplane"; chmod 755 "$1/fairlead-dataplane"')
    if not os.path.isdir(folder):
        pytest.skip(f"{folder} does not exist")
    wrapper = _in_own_mounts(script, folder)
    with Lab(build, backends=0) as lab:
        lab.start_dataplane(device="null")
        lab.start_control()
        running = lab.control.get("/v1/status")["dataplane"]["release"]
        result = _run(*wrapper, build / "tools/fairctl/fairctl", "--socket", lab.socket_path, "status")
        assert f"dataplane   connected, running {running}, installed 99.1.0, pid " in result.stdout, result
