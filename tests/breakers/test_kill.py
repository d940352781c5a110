"""kill -9 during changes: acknowledged changes survive, no change is half done, and the state comes into force."""
import json
import threading
import time

import pytest

from tests.breakers.changes import random_change
from tests.breakers.daemons import chance, rounds


class _Changer(threading.Thread):
    """Makes random changes until fairleadd is killed. Reads the whole configuration after each answer."""

    def __init__(self, daemons, generator):
        super().__init__()
        self._daemons = daemons
        self._chance = generator
        self.acknowledged = 0
        self.known = None    # the last configuration that was read
        self.done = None     # a change that was acknowledged after `known` was read
        self.attempt = None  # a change that had no answer at the kill
        self.error = None

    def run(self):
        try:
            while True:
                self.attempt = random_change(self._chance)
                method, path, value = self.attempt
                status, text = self._daemons.control.raw(method, path, None if value is None else json.dumps(value))
                if status >= 500:
                    self.error = f"{self.attempt}: {status} {text}"
                    return
                self.acknowledged += status < 400
                self.done, self.attempt = self.attempt if status < 400 else None, None
                self.known = self._daemons.configuration()
                self.done = None
        except Exception:  # pylint: disable=broad-except
            return  # fairleadd was killed


@pytest.mark.slow("kills both daemons again and again")
def test_no_kill_loses_an_acknowledged_change(daemons):
    generator = chance()
    daemons.start_dataplane()
    daemons.start_control()
    total = 0
    for _ in range(rounds(30, 600)):
        changer = _Changer(daemons, generator)
        changer.start()
        time.sleep(generator.uniform(0, 0.3))
        if generator.random() < 0.3:
            daemons.dataplane.kill()
        daemons.fairleadd.kill()
        changer.join(60)
        assert not changer.is_alive()
        assert changer.error is None, changer.error
        total += changer.acknowledged
        if not daemons.dataplane.running():
            daemons.link_path.unlink(missing_ok=True)
            daemons.start_dataplane()
        daemons.start_control()
        now = daemons.configuration()
        if changer.known is not None:
            most = (changer.done is not None) + (changer.attempt is not None)
            assert _difference(now, changer.known) <= most, (changer.done, changer.attempt, changer.known, now)
        if changer.done is not None:
            # The change was acknowledged, so repeating it has no effect.
            method, path, value = changer.done
            status, _ = daemons.control.raw(method, path, None if value is None else json.dumps(value))
            assert {"POST": status == 409, "DELETE": status == 404}.get(method, status < 300), (changer.done, status)
            assert daemons.configuration() == now, (changer.done, now)
        daemons.await_in_force()
    assert total > rounds(30, 600)


def _difference(one, other):
    """The number of differences between two configurations. Each service and the hash seed count once."""
    services, others = ({service[0]: service for service in configuration[0]} for configuration in (one, other))
    return sum(services.get(name) != others.get(name) for name in {*services, *others}) + (one[1] != other[1])
