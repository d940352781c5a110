#!/usr/bin/env python3
"""Checks the rules of the source tree: format, layers, include cycles, file sizes, names of types, documents.

    tests/lint.py        prints 'N passed, N failed' last; each rule is one test
"""
import ast
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
MAX_LINES = 600
DOCUMENT_COLUMNS = 120

# (folders, what they must not include, why)
LAYERS = [
    (["lib"], r"(rte_|dataplane/|controlplane/|tools/)", "lib/ uses no DPDK and no folder above it"),
    (["dataplane"], r"controlplane/", "the dataplane does not use the control plane"),
    (["controlplane"], r"(rte_|dataplane/)", "the control plane uses no DPDK"),
    (["tools"], r"(rte_|dataplane/|controlplane/(?!client/))", "tools use lib/ and the public API only"),
    (["dataplane/pipeline"], r"rte_", "stages run without DPDK"),
    (["lib/net", "lib/encap", "lib/maglev", "lib/mode"], r"lib/(table|snapshot|link|intent)/", "they are lower layers"),
    (["lib/snapshot", "lib/flow"], r"lib/(table|link|intent)/", "they are lower layers"),
]

# Which other folders of controlplane/ each folder may include. Files directly in controlplane/ may include all of them.
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
# Any other folder is another daemon. It uses the API, not the core.
OTHER_DAEMON = ["common", "client"]

# The folders below these must not form include cycles.
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


def check_layers():
    found = []
    for name in tracked(".cc", ".h"):
        for folders, forbidden, why in LAYERS:
            if not any(name.startswith(folder + "/") for folder in folders):
                continue
            pattern = re.compile(r'^#include *[<"]' + forbidden)
            for number, line in enumerate((TOP / name).read_text().splitlines(), 1):
                if pattern.match(line):
                    found.append(f"{name}:{number}: {line.strip()} ({why})")
    return found


def includes(name):
    """Yields (line number, path) of each file of this tree that the file includes."""
    for number, line in enumerate((TOP / name).read_text().splitlines(), 1):
        if match := re.match(r'#include *"([^"]+)"', line):
            yield number, match[1]


def check_controlplane():
    """The folders of controlplane/ include only what the table allows."""
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
    """The folder that check_cycles looks at, such as lib/net or dataplane/port. None for all other files."""
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 and parts[0] in NO_CYCLES else None


def check_cycles():
    """No folder includes itself through other folders."""
    edges = {}  # including folder -> included folder -> one include as an example
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
    return [f"{example} (cycle: {target} includes {source} again)" for source in sorted(edges)
            for target, example in sorted(edges[source].items()) if source in reached.get(target, ())]


def check_test_headers():
    """Only tests and its own folder include a header for_tests.h."""
    return [f"{name}:{number}: {path} (only tests may include it)"
            for name in tracked(".cc", ".h") if not name.startswith("tests/")
            for number, path in includes(name)
            if path.endswith("/for_tests.h") and pathlib.PurePath(path).parent != pathlib.PurePath(name).parent]


def check_sizes():
    found = []
    for name in tracked(".cc", ".h", ".py", ".sh"):
        lines = len((TOP / name).read_text().splitlines())
        if lines > MAX_LINES:
            found.append(f"{name}: {lines} lines, at most {MAX_LINES} are allowed")
    return found


def check_todo_comments():
    """Unfinished work belongs in docs/limitations.md, not in comments."""
    found = []
    for name in tracked(".cc", ".h", ".py", ".sh"):
        if name == "tests/lint.py":
            continue
        for number, line in enumerate((TOP / name).read_text().splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                found.append(f"{name}:{number}: {line.strip()}")
    return found


def check_pytest_marks():
    """pytest marks are on tests. A mark on another function does nothing."""
    found = []
    for name in tracked(".py"):
        for node in ast.walk(ast.parse((TOP / name).read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.lower().startswith("test"):
                continue
            if any("pytest.mark." in ast.unparse(decorator) for decorator in node.decorator_list):
                found.append(f"{name}:{node.lineno}: {node.name} has a pytest mark, but is not a test")
    return found


def check_type_names():
    """No two types have one name, even in different folders. Nested types have the name of their class too."""
    places = {}
    for name in tracked(".cc", ".h"):
        if name.split("/")[0] in NO_CYCLES:
            for line in (TOP / name).read_text().splitlines():
                if match := re.match(r"(?:class|struct|union|enum class) (?:\[\[\w+\]\] )?([A-Z]\w+)(?: final)?(?: : .*)? \{", line):
                    places.setdefault(match[1], []).append(name)
    return [f"{name}: {' and '.join(files)}" for name, files in places.items() if len(files) > 1]


def check_document_width():
    return [f"{name}:{number}: {len(line)} columns, at most {DOCUMENT_COLUMNS} are allowed"
            for name in tracked(".md")
            for number, line in enumerate((TOP / name).read_text().splitlines(), 1) if len(line) > DOCUMENT_COLUMNS]


def check_links():
    """The files that relative Markdown links name exist."""
    found = []
    for name in tracked(".md"):
        folder = (TOP / name).parent
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (TOP / name).read_text()):
            if not (folder / target).exists():
                found.append(f"{name}: link to {target}, which does not exist")
    return found


def main():
    passed = failed = 0
    for check in (check_format, check_layers, check_controlplane, check_cycles, check_test_headers, check_sizes,
                  check_todo_comments, check_pytest_marks, check_type_names, check_document_width, check_links):
        found = check()
        print(f"{'ok    ' if not found else 'FAILED'} {check.__name__}")
        for line in found[:20]:
            print("   ", line)
        passed, failed = passed + (not found), failed + bool(found)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
