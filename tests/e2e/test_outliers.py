"""Outliers: a backend whose check passes, but which does not answer clients."""
import pathlib
import time

import pytest

from tests.e2e.conftest import configure
from tests.lab import Lab, wait_until
from tests.lab.process import run

_SEED = 4711
_PER_SECOND = 40
# The check's packets come from the balancer, and are answered.
_MUTE = """
table inet mute {
  chain input {
    type filter hook input priority 0;
    ip saddr 198.51.100.0/24 tcp dport 80 tcp flags & (syn | ack) == syn drop
  }
}
"""


@pytest.fixture
def five(build):
    """Five backends of dsr service web, which are all healthy."""
    with Lab(build, backends=5) as lab:
        lab.start_backends()
        lab.start_dataplane()
        lab.start_control()
        lab.control.put("/v1/seed", {"hash_seed": _SEED})
        configure(lab)
        yield lab


def _mute(backend):
    run(backend.namespace.command(["nft", "-f", "-"]), input=_MUTE)


def _mend(backend):
    backend.namespace.run("nft", "delete", "table", "inet", "mute")


def _start_clients(lab):
    script = pathlib.Path(__file__).parents[1] / "lab" / "sampled_flows.py"
    return lab.spawn("sampled-flows", ["/usr/bin/python3", script, _SEED, lab.vip4, 80, _PER_SECOND,
                                       lab.client.sources4, 20000, 20999], lab.client.namespace)


def _row(lab, backend):
    return lab.backends_of("web")[backend.address4]


def _outcomes(clients, since_s):
    """How many connections that began at since_s or later were established, and how many failed."""
    rows = [line.split() for line in clients.output().splitlines() if line.count(" ") == 1]
    later = [outcome for began, outcome in rows if float(began) >= since_s]
    return later.count("ok"), later.count("failed")


def _await_state(lab, backend, state, timeout_s):
    wait_until(lambda: _row(lab, backend)["state"] == state, timeout_s,
               lambda: f"{backend.name} is not {state}: {_row(lab, backend)}")
    wait_until(lab.in_force, 30, "the change is not in force")


@pytest.mark.slow("an ejection lasts 30 s")
def test_a_backend_that_does_not_answer_clients_is_ejected_and_comes_back(five):
    lab = five
    lab.control.patch("/v1/services/web", {"outlier": "eject"})
    mute = lab.backends[1]
    clients = _start_clients(lab)
    began = time.monotonic()
    wait_until(lambda: _outcomes(clients, began)[0] > 3 * _PER_SECOND, 60, lambda: clients.tail())
    assert _outcomes(clients, began)[1] == 0, clients.tail()

    _mute(mute)
    muted = time.monotonic()
    # 3 s until a handshake counts, 30 of a fifth of 40 in a second: 7 s. A busy machine needs longer.
    _await_state(lab, mute, "ejected", 60)
    ejected = time.monotonic()
    row = _row(lab, mute)
    assert row["reason"].startswith("ejected for 30 s: ") and "sampled handshakes unanswered" in row["reason"]
    assert row["outlier"]["ejected"] and row["outlier"]["unanswered_percent"] > 50
    assert row["check"]["passed"], "the check must not notice"
    assert lab.longest_pause_s() > 2 or ejected - muted < 15
    assert [r["state"] for r in lab.backends_of("web").values()].count("healthy") == 4
    assert "ejected for 30 s" in lab.fairctl("backend", "list", "web").stdout
    metrics = lab.control.raw("GET", "/metrics")[1]
    assert f'fairlead_backend_ejected{{service="web",backend="{mute.address4}"}} 1' in metrics
    assert f'fairlead_backend_ejected{{service="web",backend="{lab.backends[0].address4}"}} 0' in metrics

    # New connections no longer fail.
    wait_until(lambda: sum(_outcomes(clients, ejected)) > 5 * _PER_SECOND, 60, lambda: clients.tail())
    assert _outcomes(clients, ejected)[1] == 0, clients.tail()

    _mend(mute)
    _await_state(lab, mute, "healthy", 60)
    back = time.monotonic()
    assert back - ejected > 25
    packets = _row(lab, mute)["packets"]
    wait_until(lambda: _row(lab, mute)["packets"] > packets + 20, 60, "it gets no new connections")
    wait_until(lambda: sum(_outcomes(clients, back)) > 5 * _PER_SECOND, 60, lambda: clients.tail())
    assert _outcomes(clients, back)[1] == 0, clients.tail()
    assert _row(lab, mute)["state"] == "healthy"
    log = lab.fairleadd.errors()
    assert log.count("backend_ejected") == 1 and log.count("backend_back") == 1


@pytest.mark.slow("outliers are known after some seconds")
def test_an_observed_outlier_is_shown_and_keeps_its_share(five):
    lab = five
    lab.control.patch("/v1/services/web", {"outlier": "observe"})
    mute = lab.backends[4]
    _mute(mute)
    _start_clients(lab)
    wait_until(lambda: _row(lab, mute)["outlier"] is not None, 60, lambda: str(_row(lab, mute)))
    row = _row(lab, mute)
    assert row["state"] == "healthy"
    assert "; outlier: " in row["reason"] and "sampled handshakes unanswered" in row["reason"]
    assert not row["outlier"]["ejected"] and row["outlier"]["ejected_until"] is None
    assert "backend_outlier" in lab.fairleadd.errors()
    stats = {each["address"]: each for each in lab.control.get("/v1/services/web/stats")["backends"]}
    assert stats[mute.address4]["handshakes_unanswered"] >= 16
    good = stats[lab.backends[0].address4]
    assert good["handshakes_sampled"] > good["handshakes_unanswered"] * 2
    # A service that does not ask has no counts.
    lab.control.patch("/v1/services/web", {"outlier": "off"})
    wait_until(lab.in_force, 30, "the change is not in force")
    assert _row(lab, mute)["outlier"] is None
    assert "fairlead_backend_ejected{" not in lab.control.raw("GET", "/metrics")[1]
