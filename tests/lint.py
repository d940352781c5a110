#!/usr/bin/env python3
"""Holds the tree against its own rules: format, walls between folders, sizes of files, marks of tests.

    tests/lint.py BUILD        closes with 'N passed, N failed'; each rule is one test
"""
import ast
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
MAX_LINES = 600

# (folders, what they must not include, why)
WALLS = [
    (["lib"], r"(rte_|dataplane/|controlplane/|tools/)", "lib/ is pure and knows nobody above it"),
    (["dataplane"], r"controlplane/", "the dataplane knows how, not what"),
    (["controlplane"], r"(rte_|dataplane/)", "the control plane knows no DPDK"),
    (["tools"], r"(rte_|dataplane/|controlplane/(?!client/))", "tools use lib/ and the public API"),
    (["dataplane/pipeline"], r"rte_", "stages run without DPDK"),
    (["lib/net", "lib/encap", "lib/maglev", "lib/mode"], r"lib/(table|snapshot|link|intent)/", "lower layers"),
    (["lib/snapshot", "lib/flow"], r"lib/(table|link|intent)/", "lower layers"),
]

# What each folder of controlplane/ may include of the others. The files of controlplane/ itself, which put fairleadd together,
# may include all.
CONTROLPLANE = {
    "common": [],
    "client": [],
    "core": ["common"],
    "observe": ["common", "core"],
    "publish": ["common", "core"],
    "http": ["common", "core", "observe", "publish"],
    "resources": ["common", "core", "http"],
    "pch": [],
}
# Any other folder is another daemon: it knows the API, not the core.
OTHER_DAEMON = ["common", "client"]

# Folders of these must not include each other in a circle.
NO_CYCLES = ("lib", "dataplane", "controlplane", "tools")


def tracked(*endings):
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                           cwd=TOP, check=True, capture_output=True, text=True).stdout.split("\n")
    return [name for name in names if name.endswith(endings) and (TOP / name).exists()]


def check_format():
    sources = tracked(".cc", ".h")
    result = subprocess.run(["clang-format", "--dry-run", "-Werror", *sources], cwd=TOP,
                            capture_output=True, text=True)
    return [line for line in result.stderr.splitlines() if "error:" in line]


def check_walls():
    found = []
    for name in tracked(".cc", ".h"):
        for folders, forbidden, why in WALLS:
            if not any(name.startswith(folder + "/") for folder in folders):
                continue
            pattern = re.compile(r'^#include *[<"]' + forbidden)
            for number, line in enumerate((TOP / name).read_text().splitlines(), 1):
                if pattern.match(line):
                    found.append(f"{name}:{number}: {line.strip()} ({why})")
    return found


def includes(name):
    """(line number, path) of what a file includes of this tree."""
    for number, line in enumerate((TOP / name).read_text().splitlines(), 1):
        if match := re.match(r'#include *"([^"]+)"', line):
            yield number, match[1]


def check_controlplane():
    """The folders of controlplane/ include what the table allows."""
    found = []
    for name in tracked(".cc", ".h"):
        match = re.match(r"controlplane/([^/]+)/", name)
        if not match:
            continue
        allowed = [match[1], *CONTROLPLANE.get(match[1], OTHER_DAEMON)]
        for number, path in includes(name):
            target = re.match(r"controlplane/(?:([^/]+)/)?", path)
            if target and target[1] not in allowed:
                found.append(f"{name}:{number}: {path} (controlplane/{match[1]} may include {', '.join(allowed)})")
    return found


def folder_of(path):
    """The folder that counts for cycles: lib/net, dataplane/port; None for what is nobody's."""
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 and parts[0] in NO_CYCLES else None


def check_cycles():
    """No folder includes, by way of others, itself."""
    edges = {}  # folder -> folder -> an include that shows it
    for name in tracked(".cc", ".h", ".c"):
        source = folder_of(name)
        for number, path in includes(name) if source else ():
            target = folder_of(path)
            if target and target != source:
                edges.setdefault(source, {}).setdefault(target, f"{name}:{number}: {path}")

    def reachable(start):
        seen, waiting = set(), [start]
        while waiting:
            new = set(edges.get(waiting.pop(), ())) - seen
            seen |= new
            waiting += new
        return seen

    reached = {folder: reachable(folder) for folder in edges}
    return [f"{shown} ({target} leads back to {source})" for source in sorted(edges)
            for target, shown in sorted(edges[source].items()) if source in reached.get(target, ())]


def check_test_seams():
    """A header for_tests.h is included by tests and by the folder that defines it."""
    return [f"{name}:{number}: {path} (only tests include it)"
            for name in tracked(".cc", ".h") if not name.startswith("tests/")
            for number, path in includes(name)
            if path.endswith("/for_tests.h") and pathlib.PurePath(path).parent != pathlib.PurePath(name).parent]


def check_sizes():
    found = []
    for name in tracked(".cc", ".h", ".py", ".sh"):
        lines = len((TOP / name).read_text().splitlines())
        if lines > MAX_LINES:
            found.append(f"{name}: {lines} lines, at most {MAX_LINES}")
    return found


def check_markers():
    """Unfinished work belongs in docs/limitations.md, not in comments."""
    found = []
    for name in tracked(".cc", ".h", ".py", ".sh"):
        if name == "tests/lint.py":
            continue
        for number, line in enumerate((TOP / name).read_text().splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                found.append(f"{name}:{number}: {line.strip()}")
    return found


def check_marks():
    """pytest's marks stand on tests: on a function between a mark and its test they do nothing."""
    found = []
    for name in tracked(".py"):
        for node in ast.walk(ast.parse((TOP / name).read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.lower().startswith("test"):
                continue
            if any("pytest.mark." in ast.unparse(decorator) for decorator in node.decorator_list):
                found.append(f"{name}:{node.lineno}: {node.name} has a mark and is no test")
    return found


def check_links():
    """Relative links in Markdown lead to files that exist."""
    found = []
    for name in tracked(".md"):
        folder = (TOP / name).parent
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (TOP / name).read_text()):
            if not (folder / target).exists():
                found.append(f"{name}: link to {target}, which does not exist")
    return found


def main():
    passed = failed = 0
    for check in (check_format, check_walls, check_controlplane, check_cycles, check_test_seams, check_sizes, check_markers, check_marks,
                  check_links):
        found = check()
        print(f"{'ok    ' if not found else 'FAILED'} {check.__name__}")
        for line in found[:20]:
            print("   ", line)
        passed, failed = passed + (not found), failed + bool(found)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
