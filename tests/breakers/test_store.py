"""Damaged stores: fairleadd refuses a store with a message, or serves exactly the acknowledged configuration."""
import json
import os
import shutil
import subprocess

import pytest

from tests.breakers.changes import random_change
from tests.breakers.daemons import chance, rounds

_PAGE = 4096


def _flip(generator, data, _):
    at = generator.randrange(len(data))
    data[at] ^= 1 << generator.randrange(8)


def _cut(generator, data, _):
    del data[generator.randrange(len(data)):]


def _zero_page(generator, data, _):
    at = generator.randrange(0, len(data), _PAGE)
    data[at:at + _PAGE] = bytes(len(data[at:at + _PAGE]))


def _older_page(generator, data, older):
    at = generator.randrange(0, len(data), _PAGE)
    data[at:at + _PAGE] = older[at:at + _PAGE].ljust(_PAGE, b"\0")


def _noise(generator, data, _):
    at = generator.randrange(len(data))
    data[at:at + 64] = generator.randbytes(64)


def _longer(generator, data, _):
    data += generator.randbytes(generator.randrange(1, 3 * _PAGE))


def _empty(_, data, __):
    data.clear()


_DAMAGES = (_flip, _cut, _zero_page, _older_page, _noise, _longer, _empty)
# Files beside a store after a crash, or copied there by mistake.
_BESIDE = ("-journal", "-shm")


def _files(daemons):
    """The store's files: {suffix of the name: content}."""
    return {path.name.removeprefix(daemons.store_path.name): path.read_bytes()
            for path in daemons.store_path.parent.iterdir() if path.name.startswith(daemons.store_path.name)}


def _make_changes(daemons, generator, changes):
    for _ in range(changes):
        method, path, value = random_change(generator)
        daemons.control.raw(method, path, None if value is None else json.dumps(value))


@pytest.mark.slow("starts the control plane on some hundred damaged stores")
def test_a_damaged_store_is_refused_or_has_the_acknowledged_configuration(daemons):
    generator = chance()
    daemons.start_control()
    _make_changes(daemons, generator, 120)
    older = _files(daemons)
    _make_changes(daemons, generator, 60)
    acknowledged = daemons.configuration()
    daemons.fairleadd.kill()
    files = _files(daemons)
    assert "-wal" in files
    folder = daemons.dir / "damaged"
    store = folder / "fairlead.db"
    refused = 0
    for number in range(rounds(110, 3250)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        damage = _DAMAGES[number % len(_DAMAGES)]
        target = generator.choice(["", "-wal", "-wal", "-wal gone", *_BESIDE])
        for suffix, content in files.items():
            data = bytearray(content)
            if suffix == target:
                damage(generator, data, older[suffix])
            if target != suffix + " gone":
                (folder / f"fairlead.db{suffix}").write_bytes(data)
        if target in _BESIDE:
            (folder / f"fairlead.db{target}").write_bytes(generator.randbytes(5 * _PAGE))
        what = f"{damage.__name__} of the store{target}, number {number}"
        daemons.start_control(store=store, wait=False)
        if daemons.serves_or_ended():
            assert daemons.configuration() == acknowledged, what
            daemons.fairleadd.kill()
        else:
            refused += 1
            assert daemons.fairleadd.returncode == 78, f"{what}: {daemons.fairleadd.tail()}"
            errors = daemons.fairleadd.errors()
            assert str(store) in errors and len(errors) < 800, f"{what}: {daemons.fairleadd.tail()}"
    assert refused > 20


def test_an_older_store_is_not_published_before_the_operator_accepts_it(daemons):
    generator = chance()
    daemons.start_dataplane()
    daemons.start_control()
    _make_changes(daemons, generator, 60)
    daemons.fairleadd.kill()
    older = _files(daemons)
    daemons.start_control()
    daemons.control.post("/v1/services", {"name": "last", "frontends": ["203.0.113.99:80/tcp"],
                                          "health_check": {"type": "none"}})
    daemons.await_in_force()
    generation = daemons.control.get("/v1/status")["dataplane"]["generation"]
    daemons.fairleadd.kill()
    # All files of fairleadd are replaced, so only the dataplane still has the last change.
    for path in daemons.store_path.parent.iterdir():
        path.unlink()
    for suffix, content in older.items():
        daemons.store_path.with_name(daemons.store_path.name + suffix).write_bytes(content)
    daemons.start_control()
    _make_changes(daemons, generator, 20)
    status = daemons.control.get("/v1/status")
    assert "that this store does not have" in status["dataplane"]["error"], status
    assert not daemons.in_force()
    daemons.fairleadd.kill()
    daemons.start_control("--accept-older-store")
    daemons.await_in_force()
    assert daemons.control.get("/v1/status")["dataplane"]["generation"] > generation


_READ_ONLY = """
mount -t tmpfs none "$2" && timeout 5 "$1" --socket "$2/s" --store "$2/fairlead.db" --link "$2/l" --log-level off
mount -o remount,ro "$2" && exec timeout 20 "$1" --socket "$2/s" --store "$2/fairlead.db" --link "$2/l" --log-level off
"""


def test_a_store_on_a_read_only_file_system_is_refused_with_that_reason(daemons):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not make mount namespaces")
    folder = daemons.dir / "read-only"
    folder.mkdir()
    program = os.path.join(os.environ["FAIRLEAD_BUILD"], "controlplane/fairleadd")
    command = ["unshare", "-m", "sh", "-c", _READ_ONLY, "sh", os.path.abspath(program), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1, result
    assert "Read-only file system" in result.stderr, result
