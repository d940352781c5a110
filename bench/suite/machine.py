"""Describes the machine and the builds that are measured, and makes the builds."""
import json
import os
import pathlib
import platform
import re
import subprocess
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = ["bench/micro-net", "bench/micro-encap", "bench/micro-table", "bench/micro-snapshot", "bench/micro-publish",
            "bench/pipeline", "bench/fairlead-wiregen", "dataplane/fairlead-dataplane", "controlplane/fairleadd",
            "tools/fairctl/fairctl", "tests/lab/fairlead-loadgen"]


def output(*argv, cwd=TOP):
    return subprocess.run([str(word) for word in argv], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def build(folder, machine, source=TOP):
    """Makes a release build in `folder`, with those of PROGRAMS that the source has."""
    environment = {**os.environ, "FAIRLEAD_BUILD": str(folder)}
    setup = [] if (folder / "build.ninja").exists() else [f"-Dmachine={machine}", "-Dbuildtype=release"]
    subprocess.run([source / "tools/build.sh", *setup, "--", "build.ninja"], check=True, env=environment)
    known = {str(pathlib.Path(target["filename"][0]).relative_to(folder.resolve()))
             for target in json.loads(output("meson", "introspect", "--targets", folder))
             if target["type"] == "executable"}
    wanted = [program for program in PROGRAMS if program in known]
    subprocess.run([source / "tools/build.sh", "--", *wanted], check=True, env=environment)
    return folder


def options_of(folder):
    return {option["name"]: option["value"] for option in json.loads(output("meson", "introspect", "--buildoptions", folder))}


def checkout_and_build(commit):
    """Builds another commit in a temporary folder, which is kept for the next time."""
    full = output("git", "rev-parse", "--verify", f"{commit}^{{commit}}")
    place = pathlib.Path(tempfile.gettempdir()) / f"fairlead-bench-{os.getuid()}-{full[:12]}"
    if not (place / "meson.build").exists():
        place.mkdir(mode=0o700, exist_ok=True)
        archive = subprocess.run(["git", "archive", full], cwd=TOP, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", place], input=archive, check=True)
    return build(place / "build-native", "native", place)


def caches():
    found = {}
    for index in sorted(pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        found[f"L{level} {kind.lower()}"] = size
    return found


def facts(folders):
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    memory_kib = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])
    first = options_of(next(iter(folders.values())))
    compiler = output("g++", "--version").splitlines()[0]
    return {
        "cpu": re.search(r"model name\s*: (.*)", cpuinfo)[1], "cpus": os.cpu_count(), "caches": caches(),
        "memory_gib": round(memory_kib / 2 ** 20, 1), "kernel": platform.release(),
        "virtual": "hypervisor" in cpuinfo, "compiler": compiler, "dpdk": output("pkg-config", "--modversion", "libdpdk"),
        "flags": f"-O{first['optimization']} buildtype={first['buildtype']}",
        "builds": {name: f"-march={options_of(folder)['machine']}" for name, folder in folders.items()},
        "load_average_at_start": os.getloadavg()[0],
        "commit": output("git", "rev-parse", "HEAD"),
        "changed_files": [line[3:] for line in output("git", "status", "--porcelain", "-uno").splitlines()],
    }
