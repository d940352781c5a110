"""Tests docs/api.md: runs every curl command in order and compares the reply with the page.

fairleadd runs with a fresh store and without a dataplane.
"""
import json
import pathlib
import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.quick

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "api.md"
DOCUMENTED_SOCKET = "/run/fairlead/control.sock"


class Example:
    """An `sh` block, the HTTP status that it names, and the block after it, which shows the reply."""

    def __init__(self, line, command, status, kind, shown):
        self.line, self.command, self.status, self.kind, self.shown = line, command, status, kind, shown


def read_examples(text):
    examples = []
    fence = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
    command = None
    for block in fence.finditer(text):
        line = text.count("\n", 0, block.start()) + 1
        kind, body = block.groups()
        if kind == "sh":
            assert command is None, f"{PAGE}:{line}: the sh block before this one has no reply block"
            status = re.search(r"# (\d{3})\s*$", body)
            assert status, f"{PAGE}:{line}: the sh block does not end with a status, such as '# 200'"
            command = (line, body, int(status.group(1)))
        else:
            assert command, f"{PAGE}:{line}: a {kind} block without an sh block before it"
            examples.append(Example(*command, kind, body))
            command = None
    assert command is None, f"{PAGE}: the last sh block has no reply block"
    return examples


def differences(shown, got, path="reply"):
    """The differences of `got` from `shown`, one message each. In `shown`, "..." stands for any value."""
    if shown == "...":
        return []
    if isinstance(shown, dict):
        if not isinstance(got, dict):
            return [f"{path}: {got!r} is not an object"]
        found = []
        for name, value in shown.items():
            if name not in got:
                found.append(f"{path}.{name}: missing")
            else:
                found += differences(value, got[name], f"{path}.{name}")
        return found
    if isinstance(shown, list):
        if not isinstance(got, list):
            return [f"{path}: {got!r} is not a list"]
        open_end = len(shown) > 0 and shown[-1] == "..." and len(got) >= len(shown) - 1
        if not open_end and len(got) != len(shown):
            return [f"{path}: {len(got)} elements, not {len(shown)}"]
        found = []
        for index, value in enumerate(shown[:len(got)]):
            found += differences(value, got[index], f"{path}[{index}]")
        return found
    return [] if shown == got and type(shown) is type(got) else [f"{path}: {got!r}, not {shown!r}"]


def missing_lines(shown, got):
    lines = got.replace("\r", "").splitlines()
    patterns = [(line, re.compile(".*".join(map(re.escape, line.split("..."))))) for line in shown.splitlines()]
    return [f"no line like: {line}" for line, pattern in patterns
            if not any(pattern.fullmatch(candidate) for candidate in lines)]


def test_every_example_of_the_page_gives_the_reply_shown(socket_path):
    assert shutil.which("curl"), "curl is not installed"
    examples = read_examples(PAGE.read_text(encoding="utf-8"))
    assert len(examples) >= 20
    for example in examples:
        assert DOCUMENTED_SOCKET in example.command, f"{PAGE}:{example.line}: the socket is not {DOCUMENTED_SOCKET}"
        command = example.command.replace(DOCUMENTED_SOCKET, str(socket_path))
        command = command.replace("curl ", r"curl -sS --max-time 20 -w '\n%{http_code}' ", 1)
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        where = f"{PAGE.name}:{example.line}"
        assert done.returncode == 0, f"{where}: {done.stderr}"
        reply, _, status = done.stdout.rpartition("\n")
        assert int(status) == example.status, f"{where}: {reply}"
        if example.kind == "json":
            found = differences(json.loads(example.shown), json.loads(reply))
        else:
            found = missing_lines(example.shown, reply)
        assert not found, f"{where}: " + "; ".join(found) + f"\n{reply}"


@pytest.mark.parametrize("shown, got", [
    ({"a": 1}, {"a": 2}), ({"a": 1}, {}), ({"a": 0}, {"a": False}), ([1], [1, 2]), ([1, 2, "..."], [1]),
    ({"a": {"b": None}}, {"a": {"b": 0}}), ([{"a": "..."}], [{}]), ("x", "y"), ({}, []),
])
def test_a_reply_that_differs_is_reported(shown, got):
    assert differences(shown, got)


@pytest.mark.parametrize("shown, got", [
    ({"a": "..."}, {"a": [1], "b": 2}), ([1, "..."], [1, 2, 3]), ([1, "..."], [1]), (["...", "..."], [1, 2]),
    ({}, {"a": 1}),
])
def test_a_reply_that_contains_what_is_shown_passes(shown, got):
    assert not differences(shown, got)


def test_a_missing_text_line_is_reported():
    assert not missing_lines("a ...\nb 1", "a 17\r\nb 1\r\n")
    assert missing_lines("a ...\nb 1", "a 17\nb 12\n")
