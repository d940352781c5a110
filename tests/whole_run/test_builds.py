"""Which builds a run makes in a clone where nothing is built yet."""
import pytest

from tests import run
from tests.whole_run.suites import BUILDS

_BY_LENGTH = {"--quick": ["always"], "": ["always", "full"], "--long": ["always", "full", "long"]}


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "TOP", tmp_path)
    monkeypatch.delenv("FAIRLEAD_BUILD", raising=False)
    counts = (run.pathlib.Path(run.__file__).parent / "expected-counts.json").read_text()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/expected-counts.json").write_text(counts)


def _wanted(*arguments):
    this = run.Run(run.parse([argument for argument in arguments if argument]))
    return [build.name for build in BUILDS if this._wants_build(build)]


@pytest.mark.parametrize("length", _BY_LENGTH)
def test_a_run_makes_every_build_of_its_length(fresh, length):
    assert _wanted(length) == [build.name for build in BUILDS if build.when in _BY_LENGTH[length]]


def test_only_builds_only_what_the_named_suite_needs(fresh):
    assert _wanted("--only", "replay") == ["release"]
    assert _wanted("--only", "threads-table") == ["tsan"]
