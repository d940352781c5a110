"""kill -9 while fairleadd migrates the store of release 0.1.0: the old content is there, in the old form or in the new."""
import contextlib
import pathlib
import shutil
import sqlite3
import time

import pytest

from tests.breakers.daemons import chance, rounds

_OLD_STORE = pathlib.Path(__file__).resolve().parent.parent / "compat" / "v0.1.0" / "store.db"
_OLD_SCHEMA = 1


def _schema(path):
    """The version of the store. Of a copy: reading a store that was not closed changes its files."""
    copy = path.parent.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path.parent, copy)
    with contextlib.closing(sqlite3.connect(copy / path.name)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return database.execute("PRAGMA user_version").fetchone()[0]


def _begin_migration(daemons):
    """Starts fairleadd on the old store. Returns once it has made the copy of it, right before the transaction."""
    shutil.rmtree(daemons.store_path.parent, ignore_errors=True)
    daemons.store_path.parent.mkdir()
    shutil.copyfile(_OLD_STORE, daemons.store_path)
    kept = daemons.store_path.with_name(f"{daemons.store_path.name}.schema-{_OLD_SCHEMA}")
    daemons.start_control(wait=False)
    end = time.monotonic() + 60
    while not kept.exists():
        daemons.fairleadd.require_running()
        assert time.monotonic() < end, f"no copy of the old store is made\n{daemons.fairleadd.tail()}"
    return kept


@pytest.mark.slow("kills fairleadd in the middle of many migrations")
def test_a_kill_during_the_migration_loses_nothing(daemons):
    generator = chance()
    _begin_migration(daemons)
    started = time.monotonic()
    assert daemons.serves_or_ended()
    longest = time.monotonic() - started
    migrated = daemons.configuration()
    assert len(migrated[0]) > 3
    daemons.fairleadd.kill()

    killed_before, killed_after = 0, 0
    for number in range(rounds(300, 3000)):
        kept = _begin_migration(daemons)
        time.sleep(generator.uniform(0, longest))
        daemons.fairleadd.kill()
        if _schema(daemons.store_path) == _OLD_SCHEMA:
            killed_before += 1
        else:
            killed_after += 1
            with contextlib.closing(sqlite3.connect(kept)) as old:
                assert old.execute("PRAGMA user_version").fetchone() == (_OLD_SCHEMA,), number
        daemons.start_control()
        assert daemons.configuration() == migrated, f"kill number {number}"
        daemons.fairleadd.kill()
        if min(killed_before, killed_after) >= rounds(20, 200):
            break
    print(f"killed before the commit: {killed_before}, after it: {killed_after}")
    assert killed_before > 0 and killed_after > 0
