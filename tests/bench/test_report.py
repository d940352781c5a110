"""The page and the curves, from a result with known figures."""
import json

import pytest

from bench.suite import figures, plots, report
from bench.suite.rows import Row, Skip, number

MACHINE = {"cpu": "a CPU", "cpus": 2, "caches": {"L2 unified": "1024K"}, "memory_gib": 8.0, "kernel": "6.1", "virtual": True,
           "compiler": "g++ 12", "dpdk": "22.11", "flags": "-O3 buildtype=release", "builds": {"native": "-march=native"},
           "load_average_at_start": 0.1, "commit": "0123456789abcdef", "changed_files": []}
DSR = f"v4/dsr/adaptive/{figures.BEYOND}"


def result(*rows):
    return {"when": "2026-01-01T00:00:00+00:00", "what": "full", "machine": MACHINE, "rows": [row.as_json() for row in rows]}


def test_a_figure_is_a_median_or_a_ratio_of_medians():
    rows = result(Row("pipeline", DSR, "ns", [30, 10, 20]),
                  Row("pipeline", f"v6/dsr/adaptive/{figures.BEYOND}", "ns", [25]))["rows"]
    by_name = {figure.what: figure for figure in figures.FIGURES}
    settled = next(figure for what, figure in by_name.items() if what.startswith("pipeline, settled"))
    ipv6 = next(figure for what, figure in by_name.items() if what.startswith("IPv6 against"))
    nat = next(figure for what, figure in by_name.items() if what.startswith("nat against"))
    assert figures.measured(settled, rows) == 20 and figures.reached(settled, 20)
    assert figures.measured(ipv6, rows) == 1.25 and figures.reached(ipv6, 1.25) and not figures.reached(ipv6, 1.36)
    assert figures.measured(nat, rows) is None


def test_every_figure_has_a_command_that_yields_it():
    for figure in figures.FIGURES:
        assert figure.rows and figures.rerun(figure).split()[0] in (
            "./tools/bench.sh", "build-bench/bench/pipeline", *(f"build-bench/bench/micro-{name}" for name in ("table", "publish")))


def test_computes_the_cores_for_a_line_rate():
    assert report.packets_per_second(10, 64) == pytest.approx(14_880_952, abs=1)
    # 14.88 Mpps at 70 ns take 1.04 cores; at 70 % of a core each, 2.
    assert report.cores(10, 64, 70) == 2
    assert report.cores(100, 64, 20) == 5  # 148.8 Mpps x 20 ns = 2.98 cores, of 0.7 each


def test_page_shows_measured_missed_and_unmeasured_figures(tmp_path):
    page_of = result(Row("pipeline", DSR, "ns", [30, 31, 29], extra={"cycles": 78.0}),
                     Row("pipeline", DSR.replace("flows:1000000", "flows:100"), "ns", [15]),
                     Row("wire", "fairlead dsr adaptive, 64 B, 1,000 flows", "Mpps", [5.0], "higher", {"to_macswap": 0.9}),
                     Skip("kernel", "fairlead AF_XDP", "no rights"))
    report.write(page_of, "x.json", tmp_path)
    page = (tmp_path / "performance.md").read_text()
    assert "bench/results/x.json" in page and "0123456789ab" in page
    settled = next(line for line in page.splitlines() if line.startswith("| pipeline, settled"))
    assert "| 30.00 ns | **no** |" in settled and "at most 20.00 ns" in settled
    assert next(line for line in page.splitlines() if line.startswith("| wire over memif, dsr")).count("yes") == 1
    assert next(line for line in page.splitlines() if line.startswith("| resident memory")).count("not measured") == 1
    assert "| fairlead AF_XDP | not measured |  | no rights |" in page
    assert "| 10 GbE, 64 B: 14.88 Mpps | 1 | 5 |" in page  # 14.88 M x 30 ns / 0.7; x 200 ns / 0.7
    assert max(map(len, page.splitlines())) <= report.WIDTH
    assert "![Cost over flows" in page and (tmp_path / "plots/flows.svg").read_text().startswith("<?xml")


def test_page_of_a_busy_machine_says_so(tmp_path):
    for load, said in ((0.1, False), (5.0, True)):
        report.write({**result(), "machine": {**MACHINE, "load_average_at_start": load}}, "x.json", tmp_path)
        assert ("was not idle" in (tmp_path / "performance.md").read_text()) == said


def test_curves_match_whole_names_only_and_are_sorted(tmp_path):
    rows = result(Row("pipeline", DSR, "ns", [30]), Row("pipeline", DSR.replace("flows:1000000", "flows:100"), "ns", [15]),
                  Row("pipeline", DSR + "/syn_flood", "ns", [99]), Row("pipeline", DSR + " [x86-64-v2]", "ns", [98]))["rows"]
    pattern = plots.CURVES[0][3]["adaptive"]
    assert plots.points(rows, pattern) == [(100, 15, 0.0), (1_000_000, 30, 0.0)]
    assert [name for name, _ in plots.draw(rows, tmp_path)] == ["flows"]
    first = (tmp_path / "flows.svg").read_bytes()
    plots.draw(rows, tmp_path)
    assert (tmp_path / "flows.svg").read_bytes() == first


def test_rows_survive_json():
    row = Row("micro", "x", "ns", [1.0, 2.0, 3.0], extra={"cycles": 5.2}).as_json()
    assert json.loads(json.dumps(row)) == row and row["median"] == 2.0


@pytest.mark.parametrize("value, text", [(0, "0"), (0.1234567, "0.1235"), (12.345, "12.35"), (123.45, "123.5"), (12345.6, "12,346")])
def test_numbers_are_rounded_to_four_digits_or_a_whole_number(value, text):
    assert number(value) == text
