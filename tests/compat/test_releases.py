"""Today's programs together with those of the base release, under load.

No connection breaks when either program is replaced first. Changes take effect, and statistics can be read.
"""
import pytest

from tests.compat import BASE_RELEASE
from tests.e2e.conftest import configure, web_targets
from tests.lab import LabError, wait_until

OLD, NEW = True, False
pytestmark = [pytest.mark.slow("replaces programs under load"), pytest.mark.limit(240)]


def _start(releases, dataplane, control):
    releases.start_dataplane(dataplane)
    releases.start_control(control)
    configure(releases.lab)
    releases.lab.control.post("/v1/services", {
        "name": "spare", "frontends": [f"{releases.lab.vip4}:81/tcp"], "health_check": {"type": "none"},
        "backends": [releases.lab.backends[0].address4]})
    return releases.lab


def _load(lab):
    """TCP only: it retransmits packets that are lost while the dataplane is replaced."""
    return lab.start_load(targets=web_targets(lab), keep=60, interval_ms=50, new_per_second=50).wait_steady()


def _stop_load(load):
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]


def _change_and_check(lab, load):
    """Changes of every kind take effect, and the load is still served."""
    lab.control.patch(f"/v1/services/web/backends/{lab.backends[0].address4}", {"weight": 5})
    lab.control.put(f"/v1/services/web/backends/{lab.backends[1].address4}/drain", {"timeout": "1h"})
    lab.control.post("/v1/services/spare/backends", {"address": lab.backends[3].address4})
    wait_until(lab.in_force, 30, "the changes are not in force")
    load.wait_answered(50)
    lab.control.delete(f"/v1/services/spare/backends/{lab.backends[3].address4}")
    lab.control.delete(f"/v1/services/web/backends/{lab.backends[1].address4}/drain")
    lab.control.patch(f"/v1/services/web/backends/{lab.backends[0].address4}", {"weight": 1})
    wait_until(lab.in_force, 30, "the changes are not in force")
    load.wait_answered(50)


def _check_statistics(lab):
    before = lab.control.get("/v1/stats")
    wait_until(lambda: lab.control.get("/v1/stats")["totals"]["tx"] > before["totals"]["tx"], 20,
               "the count of sent packets does not rise")
    stats = lab.control.get("/v1/stats")
    packets = {row["name"]: row["packets"] for row in stats["services"]}
    assert packets["web"] > 0
    assert stats["flows"]["capacity"] > 0


def _explain(lab):
    return lab.control.post("/v1/explain", {"protocol": "tcp", "source": "198.51.100.7:40000",
                                            "destination": f"{lab.vip4}:80"})


def test_no_connection_breaks_when_the_control_plane_is_replaced_first(releases):
    lab = _start(releases, OLD, OLD)
    before = {name: lab.control.get(f"/v1/services/{name}") for name in ("web", "echo")}
    load, datagrams = _load(lab), lab.start_load(targets=web_targets(lab), udp=20, udp_interval_ms=50).wait_steady()
    releases.replace_control(NEW)
    wait_until(lab.in_force, 30, "the newest generation is not in force")
    for name, service in before.items():
        assert _settings(service).items() <= _settings(lab.control.get(f"/v1/services/{name}")).items()
    dataplane = lab.control.get("/v1/status")["dataplane"]
    assert dataplane["release"] == BASE_RELEASE
    _change_and_check(lab, load)
    _check_statistics(lab)
    assert _explain(lab)["service"] == "web"
    # A frontend that the old dataplane does not support is left out with a reason. All else takes effect.
    lab.control.post("/v1/services", {
        "name": "range", "frontends": [f"{lab.vip4}:8000-8099/tcp", f"{lab.vip4}:9000/tcp"],
        "health_check": {"type": "none"}, "on_no_backend": "reset", "backends": ["10.0.0.11"]})
    wait_until(lab.in_force, 30, "the newest generation is not in force")
    status = lab.control.get("/v1/status")
    assert [(row["service"], row["frontend"], row["code"]) for row in status["left_out_frontends"]] == \
        [("range", f"{lab.vip4}:8000-8099/tcp", "older_dataplane")]
    assert [row["service"] for row in status["dataplane"]["unsupported"]] == ["range"]
    _stop_load(datagrams)
    # The new dataplane takes over the connections and supports the frontend that was left out.
    releases.replace_dataplane(NEW)
    wait_until(lab.in_force, 30, "the newest generation is not in force")
    status = lab.control.get("/v1/status")
    assert status["dataplane"]["release"] == status["version"]
    assert not status["left_out_frontends"] and not status["dataplane"]["unsupported"]
    load.wait_answered(50)
    _stop_load(load)


def test_no_connection_breaks_when_the_dataplane_is_replaced_first(releases):
    lab = _start(releases, OLD, OLD)
    load = _load(lab)
    releases.replace_dataplane(NEW)
    wait_until(lambda: lab.control.get("/v1/status")["dataplane"]["connected"] and lab.in_force(), 30,
               "the newest generation is not in force")
    _change_and_check(lab, load)
    _check_statistics(lab)
    assert _explain(lab)["service"] == "web"
    releases.replace_control(NEW)
    wait_until(lab.in_force, 30, "the newest generation is not in force")
    _change_and_check(lab, load)
    _stop_load(load)


def test_no_connection_breaks_when_the_dataplane_is_downgraded_and_upgraded_again(releases):
    lab = _start(releases, NEW, NEW)
    load = _load(lab)
    for is_base, release in ((OLD, BASE_RELEASE), (NEW, lab.control.get("/v1/status")["version"])):
        releases.replace_dataplane(is_base)
        wait_until(lambda: lab.control.get("/v1/status")["dataplane"]["connected"] and lab.in_force(), 30,
               "the newest generation is not in force")
        assert lab.control.get("/v1/status")["dataplane"]["release"] == release
        _change_and_check(lab, load)
    _stop_load(load)


def test_an_old_control_plane_refuses_the_store_of_a_newer_release(releases):
    lab = releases.lab
    releases.start_control(NEW)
    lab.control.post("/v1/services", {"name": "web", "frontends": [f"{lab.vip4}:80/tcp"]})
    lab.fairleadd.stop(timeout_s=20)
    before = lab.store_path.read_bytes()
    with pytest.raises(LabError):
        releases.start_control(OLD)
    assert "schema version" in lab.fairleadd.tail()
    assert lab.store_path.read_bytes() == before


def _settings(service):
    """The configured settings: without status, and without members that the old release did not show."""
    observed = {"backends", "slots", "generation", "in_force", "warnings", "id", "revision", "health_check"}
    return {key: value for key, value in service.items() if key not in observed}
