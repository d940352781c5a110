"""/v1/watch and fairctl watch: the stream of changes."""
import http.client
import json
import socket
import threading
import time

import pytest

from tests.lab import wait_until

pytestmark = pytest.mark.quick


class Watcher:
    """Reads the stream in a separate thread. `after`: the value of the header Fairlead-From."""

    def __init__(self, lab, after=None):
        self.lines = []
        self.ended = False
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(60)
        connection.connect(str(lab.socket_path))
        source = "" if after is None else f"Fairlead-From: {after}\r\n"
        connection.sendall(f"GET /v1/watch HTTP/1.1\r\nHost: x\r\n{source}\r\n".encode())
        self._connection = connection
        self.response = http.client.HTTPResponse(connection)
        self.response.begin()
        if self.response.status == 200:
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for line in self.response:
                self.lines.append(json.loads(line))
        except (OSError, ValueError, http.client.HTTPException):
            pass
        self.ended = True

    def close(self):
        # The response holds the socket open, too, so close() alone would not end the connection.
        self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def of(self, kind):
        return [line for line in self.lines if line["type"] == kind]

    def wait(self, condition, what):
        wait_until(lambda: condition(self), 30, lambda: f"{what}; the last lines: {self.lines[-5:]}")
        return self


def test_the_watch_sends_intent_and_status_in_order(balanced):
    lab = balanced
    watcher = Watcher(lab).wait(lambda w: w.of("synced"), "no line synced")
    assert {line["backend"]["state"] for line in watcher.of("status")} == {"healthy", "unchecked"}
    assert watcher.of("dataplane")[-1]["connected"]
    address = lab.backends[0].address4
    before = watcher.of("synced")[0]["revision"]
    lab.control.patch(f"/v1/services/web/backends/{address}", {"weight": 3})
    lab.control.put(f"/v1/services/web/backends/{address}/drain", {"timeout": "1s"})
    watcher.wait(lambda w: any(line["backend"]["state"] == "drained" for line in w.of("status")),
                 "no status drained")
    weight, drain = watcher.of("intent")
    assert (weight["revision"], drain["revision"]) == (before + 1, before + 2)
    change = weight["changes"][0]
    assert (change["service"], change["backend"]) == ("web", address)
    assert (change["before"]["weight"], change["after"]["weight"]) == (1, 3)
    assert weight["author"] == "root"
    assert "drain" in drain["changes"][0]["after"]
    states = [line["backend"]["state"] for line in watcher.of("status")
              if line["backend"]["address"] == address and line["service"] == "web"]
    assert states[0] == "healthy" and "draining" in states and states[-1] == "drained"
    watcher.wait(lambda w: w.of("dataplane")[-1]["revision"] == before + 2,
                 f"revision {before + 2} is not in the dataplane")


def test_a_watch_resumes_from_its_revision_after_a_restart_of_fairleadd(balanced):
    lab = balanced
    address = lab.backends[0].address4
    watcher = Watcher(lab).wait(lambda w: w.of("synced"), "no line synced")
    seen = watcher.of("synced")[0]["revision"]
    for weight in (2, 3):
        lab.control.patch(f"/v1/services/web/backends/{address}", {"weight": weight})
    watcher.close()
    lab.fairleadd.kill()
    lab.start_control()
    lab.control.patch(f"/v1/services/web/backends/{address}", {"weight": 4})
    resumed = Watcher(lab, after=seen).wait(lambda w: w.of("synced"), "no line synced")
    assert [line["changes"][0]["after"]["weight"] for line in resumed.of("intent")] == [2, 3, 4]
    assert [line["revision"] for line in resumed.of("intent")] == [seen + 1, seen + 2, seen + 3]


def test_a_future_revision_is_refused_with_the_oldest_one(balanced):
    lab = balanced
    revision = lab.control.get("/v1/status")["revision"]
    for after in (revision + 1, 2 ** 63):
        refused = Watcher(lab, after=after)
        assert refused.response.status == 410
        error = json.loads(refused.response.read())["error"]
        assert (error["code"], error["oldest_revision"]) == ("history_gone", 1)
    bad = Watcher(lab, after="yesterday")
    assert bad.response.status == 400


def test_a_slow_reader_delays_no_change_and_gets_every_line(balanced):
    """The client does not read for 5 s, less than fairleadd's limit for a reply. Then it gets all lines."""
    lab = balanced
    address = lab.backends[0].address4
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(str(lab.socket_path))
    connection.sendall(b"GET /v1/watch HTTP/1.1\r\nHost: x\r\n\r\n")
    ends = time.monotonic() + 5
    changes = 0
    while changes < 300 and time.monotonic() < ends:
        lab.control.patch(f"/v1/services/echo/backends/{address}", {"weight": 2 + changes % 2})
        changes += 1
    assert lab.control.get("/v1/services/echo")["name"] == "echo"
    response = http.client.HTTPResponse(connection)
    response.begin()
    revisions = []
    while len(revisions) < changes:
        line = json.loads(response.readline())
        if line["type"] == "intent":
            revisions.append(line["revision"])
    assert revisions == list(range(revisions[0], revisions[0] + changes))


def test_at_most_64_clients_can_watch(balanced):
    lab = balanced
    watchers = [Watcher(lab) for _ in range(64)]
    assert all(watcher.response.status == 200 for watcher in watchers)
    assert Watcher(lab).response.status == 503
    watchers[0].close()
    # fairleadd detects the closed connection when it cannot send the next line.
    def watches():
        lab.control.patch(f"/v1/services/echo/backends/{lab.backends[0].address4}", {"weight": 2 + watches.calls % 2})
        watches.calls += 1
        return Watcher(lab).response.status == 200
    watches.calls = 0
    wait_until(watches, 30, "no other client can watch after one has left")


def test_fairctl_watch_prints_changes_and_ends_with_fairleadd(balanced):
    lab = balanced
    address = lab.backends[1].address4
    watch = lab.spawn("watch", [lab.program("tools/fairctl/fairctl"), "--socket", lab.socket_path,
                                "watch", "--from", "0"])

    def await_printed(text):
        wait_until(lambda: text in watch.out_path.read_text(), 30,
                   lambda: f"fairctl does not print '{text}': {watch.out_path.read_text()}")
    await_printed(f"web {address}: healthy")
    lab.control.patch(f"/v1/services/web/backends/{address}", {"weight": 9})
    await_printed(f"by root: web {address}: weight 1 -> 9")
    await_printed("in force: revision 3")
    assert "revision 1 by root: web: added" in watch.out_path.read_text()
    lab.fairleadd.stop()
    assert watch.wait(30) == 3
    assert "ended the watch" in watch.err_path.read_text()
