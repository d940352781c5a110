"""`compare` and `quick` as commands, on stand-ins for the Google Benchmark programs."""
import json
import os
import subprocess

from bench.suite import __main__ as main
from bench.suite import machine, rows
from tests.lab import LabError

ENVIRONMENT = {**os.environ, "PATH": f"/usr/bin:/bin:/usr/sbin:/sbin:{os.environ['PATH']}"}


def stand_in(folder, nanoseconds):
    """A build folder whose pipeline bench reports one row. Each run reports 1 ns more than the run before."""
    (folder / "bench").mkdir(parents=True)
    (folder / "build.ninja").touch()
    program = folder / "bench/pipeline"
    program.write_text(f"""#!/bin/sh
runs=$(cat {folder}/runs 2>/dev/null || echo 0); echo $((runs + 1)) > {folder}/runs
echo '{{"benchmarks": [{{"name": "v4/row/manual_time", "ns_per_packet": '$(({nanoseconds} + runs))'}}]}}'
""")
    program.chmod(0o755)
    return folder


def suite(*arguments):
    return subprocess.run(["/usr/bin/python3", "-m", "bench.suite", *map(str, arguments)], cwd=machine.TOP, env=ENVIRONMENT,
                          capture_output=True, text=True, check=False, timeout=120)


def test_compare_measures_both_builds_in_turn_and_reports_the_faster_one(tmp_path):
    slow, fast = stand_in(tmp_path / "slow", 120), stand_in(tmp_path / "fast", 100)
    found = suite("compare", slow, fast, "--rounds", "6")
    assert found.returncode == 0, found.stderr
    line = next(line for line in found.stdout.splitlines() if "v4/row" in line)
    assert line.split()[-1] == "better" and "0.83" in line
    assert (slow / "runs").read_text() == (fast / "runs").read_text() == "6\n"


def test_compare_of_a_build_with_itself_reports_at_most_a_tiny_difference(tmp_path):
    same = stand_in(tmp_path / "same", 1000)
    found = suite("compare", same, same, "--rounds", "6")
    # The second run of each pair is always 0.1 % slower. The difference is real and small, and is reported.
    assert "1.001" in found.stdout
    found = suite("compare", same, same, "--rounds", "4")
    assert "same within the noise" in found.stdout


def test_a_row_that_reports_an_error_is_left_out(tmp_path):
    broken = stand_in(tmp_path / "broken", 1)
    (broken / "bench/pipeline").write_text(
        "#!/bin/sh\necho '" + json.dumps({"benchmarks": [{"name": "x", "error_occurred": True, "error_message": "wrong MAC"}]}) + "'\n")
    found = suite("compare", broken, broken, "--rounds", "1")
    assert "wrong MAC" in found.stderr and "v4/row" not in found.stdout


def test_the_result_reports_a_part_that_fails(tmp_path, monkeypatch, capsys):
    def fail(_context):
        yield rows.Row("scale", "one", "Mpps", [1.0], "higher")
        raise LabError("no second one\n  its log")
    monkeypatch.setitem(main.PARTS, "scale", fail)
    monkeypatch.setitem(main.PARTS, "wire", lambda _context: [rows.Skip("wire", "nat", "not in this build")])
    found = [row.as_json() for row in main.run_parts(None, ["scale", "wire"])]
    assert [row["name"] for row in found] == ["one", "what remains of this part", "nat"]
    assert found[1]["skipped"] == "it failed: no second one"
    assert "LabError" in capsys.readouterr().err
