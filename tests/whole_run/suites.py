"""The table of builds and suites of a test run.

A suite belongs to a build and starts when the build is ready. Its weight says what it needs of the machine:

    cpu      computes in one process; as many run at once as there are CPUs. Runs at a lower priority.
    all      computes on every CPU: builds, fuzzers. Runs at a lower priority.
    labs     end-to-end tests in several labs at once; waits most of the time. One at a time, beside all others
    wait     waits most of the time; one at a time, beside all others
    timers   waits nearly all the time for its own timers and for the disk; any number, beside all others
    alone    asserts times, so no other suite may run beside it
"""
import dataclasses
import json
import pathlib
import subprocess
from collections.abc import Callable

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PYTHON = "/usr/bin/python3"
# The number of labs at once. Two labs keep two CPUs busy. Each lab names its namespaces after its process.
LABS = "2"

# The programs of the end-to-end tests, and (meson-test-prereq) the unit tests with their prerequisites.
_PROGRAMS = ("dataplane/fairlead-dataplane", "controlplane/fairleadd", "tools/fairctl/fairctl",
             "tools/agent/fairlead-agent", "tests/lab/fairlead-loadgen", "tests/lab/trunk.bpf.o", "meson-test-prereq")
SANITIZE = ["-Db_lundef=false", "-Dbuildtype=debugoptimized", "-Dcpp_args=-g1", "-Dbenches=false"]


@dataclasses.dataclass(frozen=True)
class Suite:
    name: str
    command: list
    weight: str = "cpu"
    report: str = "lines"  # the report's format: gtest, pytest, or lines ('N passed, N failed')


@dataclasses.dataclass(frozen=True)
class Build:
    """`folder`: relative to the clone. `suites(folder, options)`: the suites of the finished build, longest first."""
    name: str
    folder: str
    suites: Callable
    setup: tuple = ()
    targets: tuple = ()
    compiler: str = "c++"
    when: str = "always"  # or: full (not with --quick), long


def _gtest(folder, suite_name, waiting=()):
    """The test programs of a meson suite. `waiting`: those that wait for timers."""
    if not (folder / "build.ninja").exists():
        return []
    listing = subprocess.run(["meson", "introspect", "--tests", str(folder)], check=True, capture_output=True,
                             text=True).stdout
    return [Suite(test["name"], test["cmd"], "timers" if test["name"] in waiting else "cpu", "gtest")
            for test in json.loads(listing) if any(name.split(":")[-1] == suite_name for name in test["suite"])]


def _pytest(name, *arguments, weight="cpu", labs=None):
    parallel = ["-n", LABS, "--dist", labs] if labs else []
    command = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfE", *parallel, *arguments]
    return Suite(name, command, weight, "pytest")


_WAITING = ("unit-controlplane", "threads-controlplane")


def _release(folder, options):
    yield _pytest("end to end", "tests/e2e", weight="labs", labs="load")
    yield _pytest("agent", "tests/agent", weight="wait", labs="loadfile")
    yield _pytest("replay", "tests/replay", weight="wait")
    # Loads eBPF programs: needs root in the host's own user namespace.
    yield _pytest("steering", "tests/steering", weight="wait")
    # With --long, the breakers run more rounds.
    yield _pytest("breakers", "tests/breakers", weight="wait")
    # A guest in QEMU with the packages: needs root. It takes a CPU where there is no KVM.
    yield _pytest("guest", "tests/guest")
    # Builds the packages from the release build's objects, and boots machines with them: needs root.
    yield _pytest("packages", "tests/packages", weight="wait")
    yield _pytest("packets", "tests/packet")
    yield Suite("benches check their results", [PYTHON, "bench/smoke.py", str(folder)])
    yield Suite("survival in small", [str(folder / "bench/pcc/pcc"), "--quick"])
    yield from _gtest(folder, "unit", _WAITING)
    yield Suite("lint", [PYTHON, "tests/lint.py"])
    yield _pytest("the run itself", "tests/whole_run", weight="wait")
    yield _pytest("bench tools", "tests/bench", weight="alone")
    if options.long:
        yield Suite("survival at length", [str(folder / "bench/pcc/pcc")])
        # This suite first builds release 0.1.0.
        yield _pytest("releases", "tests/compat", weight="wait")


def _sanitizers(folder, options):
    if options.long:
        yield _pytest("end to end", "tests/e2e", weight="labs", labs="load")
    else:
        yield _pytest("end to end", "tests/e2e", "-m", "quick", weight="labs", labs="load")
    yield _pytest("packets", "tests/packet")
    yield from _gtest(folder, "unit", _WAITING)
    seconds = str(options.fuzz_seconds or (60 if options.long else 20))
    yield Suite("fuzz", ["tests/fuzz/run.sh", seconds, str(folder)], "all")
    if options.long:
        yield Suite("fuzz corpus", ["tests/fuzz/corpus.sh", "check", str(folder)], "all")


def _threads(folder, options):
    yield from _gtest(folder, "threads", _WAITING)


def _every_unit(folder, options):
    yield _pytest("packets", "tests/packet")
    yield from _gtest(folder, "unit", _WAITING)


def _unit_threads(folder, options):
    yield from _gtest(folder, "unit", _WAITING)


BUILDS = (
    Build("release", "build", _release),
    # One build for tests and fuzzers. The packet path is compiled with -O1, cold code with -O0 (meson.build, `cold`).
    Build("sanitizers", "build-sanitizers", _sanitizers, compiler="clang++", when="full",
          targets=(*_PROGRAMS, "fuzzers"),
          setup=("-Dfuzzers=true", "-Db_sanitize=address,undefined", *SANITIZE, "-Doptimization=1")),
    # clang, because GCC's TSan does not support fences, which Boost.Asio uses.
    Build("tsan", "build-tsan", _threads, compiler="clang++", when="full", targets=("threads-tests",),
          setup=("-Db_sanitize=thread", *SANITIZE, "-Doptimization=1")),
    # Only with --long: ASan and UBSan by GCC, which also checks templates of system headers; TSan for all unit tests.
    Build("gcc sanitizers", "build-gcc-sanitizers", _every_unit, when="long", targets=_PROGRAMS,
          setup=("-Db_sanitize=address,undefined", *SANITIZE, "-Doptimization=1")),
    Build("tsan units", "build-tsan-units", _unit_threads, compiler="clang++", when="long",
          targets=("meson-test-prereq",),
          setup=("-Db_sanitize=thread", *SANITIZE, "-Doptimization=1")),
)
