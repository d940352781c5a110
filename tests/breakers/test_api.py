"""Hostile API clients: whatever they send, fairleadd serves other clients and keeps the acknowledged state."""
import json
import socket
import time

import pytest

from tests.breakers.changes import random_change
from tests.breakers.daemons import chance, rounds

_TOKENS = [b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"BREW", b" ", b"/", b"/v1/services",
           b"/v1/services/s1", b"..", b"%2f", b"%00", b"?x=1", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/9.9", b"\r\n", b"\n",
           b"\0", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
           b"Connection: close\r\n", b"0", b"-1", b"99999999999999999999", b"\r\n\r\n", b"{", b"}", b"[", b"]", b'"',
           b"\xff", b"null", b"1e999", b"0\r\n\r\n", b"ffffffffffffffff\r\n"]
_VALUES = [None, True, 0, -1, 1.5, 1e300, 2**63, 2**64, "", "x" * 70000, "\0", "10.0.0.1", "203.0.113.1:80/tcp",
           "203.0.113.1:1-65535/tcp", [], {}, [[]], [None], {"a": {"b": {"c": []}}}, "\ud800"]


def _request(generator):
    """The bytes of one valid or malformed request."""
    kind = generator.randrange(5)
    if kind == 0:
        return b"".join(generator.choice(_TOKENS) for _ in range(generator.randrange(1, 30)))
    method, path, value = random_change(generator)
    if kind == 1:
        value = generator.choice(_VALUES)
    elif kind == 2 and isinstance(value, dict) and value:
        value = {**value, generator.choice([*value, "more", "backends", "health_check"]): generator.choice(_VALUES)}
    elif kind == 3:
        path += generator.choice(["/", "/x", "?a=b", "%", "%zz", "/" * 100, "/" + "x" * 20000, "/../status"])
    body = b"" if value is None and kind != 1 else json.dumps(value).encode()
    text = bytearray(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    if kind == 4:
        for _ in range(generator.randrange(1, 4)):
            text[generator.randrange(len(text))] = generator.randrange(256)
    return bytes(text)


def _attack(daemons, generator):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(0.02)
        connection.connect(str(daemons.socket_path))
        try:
            for _ in range(generator.randrange(1, 6)):
                request = _request(generator)
                if generator.random() < 0.1:
                    request = request[:generator.randrange(len(request) + 1)]
                connection.sendall(request)
                if generator.random() < 0.5:
                    connection.recv(65536)
        except OSError:
            pass  # fairleadd closed the connection or sends nothing


@pytest.mark.slow("sends some thousand hostile requests")
def test_hostile_requests_do_not_change_the_acknowledged_state(daemons):
    generator = chance()
    daemons.start_dataplane()
    daemons.start_control()
    pid = daemons.fairleadd.pid
    silent = []
    for number in range(rounds(4000, 110000)):
        if number % 10 == 0 and len(silent) < 300:  # more than fairleadd serves at once
            silent.append(socket.socket(socket.AF_UNIX))
            silent[-1].connect(str(daemons.socket_path))
        _attack(daemons, generator)
        if number % 100 == 0:
            assert daemons.control.get("/v1/status")["pid"] == pid
    for connection in silent:
        connection.close()
    # The acknowledged state is valid: it comes into force, and a restarted fairleadd reads it.
    daemons.await_in_force()
    before = daemons.configuration()
    daemons.fairleadd.kill()
    daemons.start_control()
    assert daemons.configuration() == before
    daemons.await_in_force()


def test_other_clients_are_served_between_large_requests(daemons):
    """Checks only that another client is served in between. Benches measure how fast."""
    daemons.start_control()
    body = "[" + ",".join(["[]"] * 340000) + "]"
    hostile = []
    for _ in range(8):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(str(daemons.socket_path))
        hostile.append(connection)
    request = f"POST /v1/services HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    for connection in hostile:
        connection.sendall(request)
    answered = time.monotonic()
    assert daemons.control.get("/v1/status")["services"] == 0
    answered = time.monotonic() - answered
    for connection in hostile:
        assert b" 400 " in connection.recv(65536)
        connection.close()
    print(f"answered within {answered * 1000:.0f} ms")
