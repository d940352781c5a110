"""Shared by all pytest suites: the `slow` marker, and a clean end on SIGTERM."""
import signal

import pytest


def pytest_configure(config):
    # SIGTERM ends the suite as Ctrl-C does, so that fixtures clean up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.addinivalue_line("markers", "slow(reason): takes more than 20 s on an idle machine, for this reason")


def pytest_collection_modifyitems(items):
    for item in items:
        marker = item.get_closest_marker("slow")
        if marker is None:
            continue
        if len(marker.args) != 1 or not marker.args[0].strip():
            raise pytest.UsageError(f"{item.nodeid}: the marker slow has no reason; "
                                    "write one, as in slow(\"waits for the idle timeout\")")
        item.user_properties.append(("slow", marker.args[0]))  # for the run's report
