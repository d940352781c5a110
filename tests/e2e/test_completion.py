"""Completion of fairctl's command lines in real shells: Bash, Zsh and Fish.

The interactive tests type into a shell on a pseudo-terminal. There, `fairctl` is a script: at a TAB it runs the real
program, and when the line is entered it prints the line's words, each in angle brackets.
"""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import termios
import time

import pytest

from tests.lab.control import ControlClient

WAIT_S = 60  # for what a shell must print
LIMIT_S = 0.2  # of a TAB without fairleadd
INTERACTIVE = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}


def shells():
    return [pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name}"))
            for name in INTERACTIVE]


@pytest.fixture
def place(build, tmp_path):
    """A folder with the scripts, a `fairctl` to type, and its environment."""
    real = build / "tools/fairctl/fairctl"
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "fairctl").write_text(f"""#!/bin/sh
case $1 in complete|completion) exec {real} "$@" ;; esac
printf 'entered: '
printf '<%s>' "$@"
echo
""")
    (folder / "fairctl").chmod(0o755)
    for shell, name in {"bash": "fairctl.bash", "zsh": "_fairctl", "fish": "fairctl.fish"}.items():
        script = subprocess.run([real, "completion", shell], capture_output=True, check=True, timeout=WAIT_S).stdout
        (tmp_path / name).write_bytes(script)
    return tmp_path


def environment(place, socket_path):
    return {"PATH": f"{place}/bin:{os.environ['PATH']}", "HOME": str(place), "FAIRLEAD_SOCKET": str(socket_path),
            "TERM": "xterm", "LC_ALL": "C.UTF-8", "PS1": "$ ",
            **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}}


@pytest.fixture
def configured(socket_path):
    control = ControlClient(socket_path)
    control.post("/v1/services", {"name": "web", "frontends": ["203.0.113.10:80/tcp"], "forwarding": "nat",
                                  "health_check": {"type": "none"}, "backends": ["10.0.0.11", "10.0.0.12:8080"]})
    control.post("/v1/services", {"name": "voice", "frontends": ["[2001:db8::10]:5060/udp"], "forwarding": "nat",
                                  "health_check": {"type": "none"}, "backends": ["[2001:db8:a::11]:5061"]})
    return socket_path


class Terminal:
    """An interactive shell on a pseudo-terminal."""

    def __init__(self, shell, place, socket_path):
        self.master, slave = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(INTERACTIVE[shell], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
                                        start_new_session=True, cwd=place, env=environment(place, socket_path),
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        setup = {"bash": f"source {place}/fairctl.bash; bind 'set bell-style none'",
                 "zsh": f"fpath=({place} $fpath); autoload -Uz compinit; compinit -u -d {place}/zcompdump",
                 "fish": f"source {place}/fairctl.fish"}[shell]
        self.type(setup + "; echo re''ady\r")
        self.wait_for(r"ready")

    def type(self, text):
        os.write(self.master, text.encode())

    def wait_for(self, pattern):
        """Waits until the shell has printed the pattern, and removes all until its end."""
        limit = time.monotonic() + WAIT_S
        while not (match := re.search(pattern, self.text)):
            readable, _, _ = select.select([self.master], [], [], max(0, limit - time.monotonic()))
            assert readable, f"the shell did not print {pattern!r} but {self.text!r}"
            data = os.read(self.master, 65536).decode(errors="replace")
            self.text += data
            if "\x1b[c" in data:
                self.type("\x1b[?1;2c")  # the answer of a terminal that is asked what it is
        self.text = self.text[match.end():]
        return match

    def close(self):
        os.close(self.master)  # the shell gets SIGHUP
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def terminal(place, configured):
    opened = []

    def start(shell):
        opened.append(Terminal(shell, place, configured))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


LINES = [
    ("fairctl serv\tsh\tw\t", "<service><show><web>"),
    ("fairctl backend drain w\t10.0.0.12\t", "<backend><drain><web><10.0.0.12:8080>"),
    ("fairctl backend drain w\t10.0.0.12:\t--wa\t", "<backend><drain><web><10.0.0.12:8080><--wait>"),
    ("fairctl service set web --on-dea\tk\t", "<service><set><web><--on-deadline><keep>"),
    ("fairctl service set web --hash=5\t", "<service><set><web><--hash=5-tuple>"),
    ("fairctl snapshot show zz\t", "<snapshot><show><zz image.bin>"),
]


@pytest.mark.parametrize("shell", shells())
def test_tabs_complete_lines(terminal, place, shell):
    (place / "zz image.bin").touch()
    opened = terminal(shell)
    for typed, entered in LINES:
        opened.type(typed + "\r")
        assert opened.wait_for(r"entered: (\S.*?)\r*\n")[1] == entered


@pytest.mark.parametrize("shell", shells())
@pytest.mark.parametrize("typed, offered", [
    ("fairctl service \t\t", ["add", "list", "show", "set", "remove"]),
    ("fairctl backend drain \t\t", ["voice", "web"]),
])
def test_two_tabs_show_the_candidates(terminal, shell, typed, offered):
    opened = terminal(shell)
    opened.type(typed)
    opened.wait_for("(?s)" + "".join(rf"(?=.*\b{word}\b)" for word in offered))


def bash(place, socket_path, script):
    done = subprocess.run(["bash", "--norc", "-c", f"source {place}/fairctl.bash\n{script}"], cwd=place, text=True,
                          env=environment(place, socket_path), capture_output=True, check=False, timeout=WAIT_S)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def bash_replies(place, socket_path, *words):
    """What Bash would offer for the last word. `words`: as Bash splits the line; "" begins a new word."""
    line = re.sub(r" ([:=]) ?", r"\1", " ".join(words))
    quoted = " ".join(f"'{word}'" for word in words)
    return bash(place, socket_path, f"""
COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1} COMP_LINE='{line}' COMP_POINT={len(line)}
COMP_WORDBREAKS=$' \\t\\n"><=;|&(:'
_fairctl fairctl
printf '%s\\n' "${{COMPREPLY[@]}}"
""").split()


@pytest.mark.quick
def test_bash_registers_its_function(place, tmp_path):
    assert bash(place, tmp_path / "none.sock", "complete -p fairctl") == "complete -F _fairctl fairctl\n"


@pytest.mark.quick
@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_registers_its_function_when_the_script_is_sourced(place, tmp_path):
    script = f"autoload -Uz compinit; compinit -u -d {place}/zcompdump; source {place}/_fairctl; print $_comps[fairctl]"
    done = subprocess.run(["zsh", "-f", "-c", script], env=environment(place, tmp_path / "none.sock"),
                          capture_output=True, text=True, check=True, timeout=WAIT_S)
    assert done.stdout == "_fairctl\n"


@pytest.mark.quick
@pytest.mark.parametrize("words, replies", [
    (["fairctl", "service", ""], ["add", "set", "list", "show", "remove"]),
    (["fairctl", "backend", "drain", ""], ["web", "voice"]),
    (["fairctl", "backend", "drain", "web", ""], ["10.0.0.11", "10.0.0.12:8080"]),
    (["fairctl", "backend", "drain", "web", "10.0.0.12", ":", "8"], ["8080"]),
    (["fairctl", "backend", "drain", "web", "10.0.0.12", ":"], ["8080"]),
    (["fairctl", "service", "set", "web", "--tracking", "=", "a"], ["adaptive", "all"]),
    (["fairctl", "service", "set", "web", "--tracking", "="], ["adaptive", "all", "none"]),
])
def test_bash_completes_what_it_split(place, configured, words, replies):
    assert sorted(bash_replies(place, configured, *words)) == sorted(replies)


@pytest.mark.quick
@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_shows_what_candidates_mean(place, configured):
    done = subprocess.run(["fish", "--no-config", "-c", f"source {place}/fairctl.fish; complete -C 'fairctl backend drain '"],
                          env=environment(place, configured), capture_output=True, text=True, check=True, timeout=WAIT_S)
    assert sorted(done.stdout.splitlines()) == ["voice\t[2001:db8::10]:5060/udp", "web\t203.0.113.10:80/tcp"]


@pytest.mark.parametrize("kind", ["no socket", "a fairleadd that does not answer"])
def test_names_are_not_waited_for(place, tmp_path, kind):
    """The machine may be busy, so the fastest of many TABs counts. Not for sanitizer builds, which start slowly."""
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        if kind != "no socket":
            silent.bind(str(path))
            silent.listen(100)
        limit = time.monotonic() + WAIT_S
        while True:
            output = bash(place, path, """
COMP_WORDS=(fairctl backend drain '') COMP_CWORD=3 COMP_LINE='fairctl backend drain ' COMP_POINT=22
begin=${EPOCHREALTIME/./}
_fairctl fairctl
echo "{\\"us\\": $((${EPOCHREALTIME/./} - begin)), \\"replies\\": ${#COMPREPLY[@]}}"
""")
            tab = json.loads(output)
            assert tab["replies"] == 0
            if tab["us"] <= LIMIT_S * 1e6:
                return
            assert time.monotonic() < limit, f"a TAB took {tab['us']} us"
