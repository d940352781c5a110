"""The scheduler with real processes: who runs beside whom, and that nothing is left when it is interrupted."""
import contextlib
import itertools
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tests.lab.process import wait_until
from tests.whole_run.scheduler import Job, Scheduler

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


class Workshop:
    """Jobs that write when they began and ended; `crew` jobs of a kind wait for each other, so that they must run at once."""

    def __init__(self, folder):
        self.folder = folder
        self._numbers = itertools.count()
        self.ended = []

    def job(self, name, weight, script="true", done=None):
        number = next(self._numbers)

        def note(job):
            self.ended.append(job.name)
            return done(job) if done else []
        command = ["sh", "-c", f"echo begin {name} >> order; {script}; status=$?; echo end {name} >> order; exit $status"]
        return Job(name, command, weight, self.folder / f"{number}.log", dict(os.environ), note)

    def meet(self, own, other):
        """A script that ends only while the other job runs too."""
        return f"touch {own}; n=0; while [ ! -e {other} ]; do n=$((n + 1)); [ $n -lt 600 ] || exit 9; sleep 0.05; done"

    def order(self):
        return (self.folder / "order").read_text().splitlines()


@pytest.fixture
def shop(tmp_path):
    return Workshop(tmp_path)


def _run(shop, jobs, cpus=2):
    scheduler = Scheduler(cpus, shop.folder)
    scheduler.add(jobs)
    scheduler.run()
    return jobs


def test_as_many_compute_at_once_as_there_are_cpus(shop):
    jobs = _run(shop, [shop.job("a", "cpu", shop.meet("a", "b")), shop.job("b", "cpu", shop.meet("b", "a"))])
    assert [job.status for job in jobs] == [0, 0]


def test_no_more_compute_at_once_than_there_are_cpus(shop):
    _run(shop, [shop.job(name, "cpu", "sleep 0.1") for name in "abc"], cpus=1)
    assert shop.order() == [f"{what} {name}" for name in "abc" for what in ("begin", "end")]


def test_what_waits_runs_beside_what_takes_all_cpus(shop):
    jobs = _run(shop, [shop.job("build", "all", shop.meet("a", "b")), shop.job("lab", "wait", shop.meet("b", "a"))])
    assert [job.status for job in jobs] == [0, 0]


def test_two_that_wait_run_one_after_the_other(shop):
    _run(shop, [shop.job(name, "wait", "sleep 0.1") for name in "ab"])
    assert shop.order() == ["begin a", "end a", "begin b", "end b"]


def test_what_takes_all_cpus_is_not_overtaken_by_what_takes_one(shop):
    _run(shop, [shop.job("a", "cpu", "sleep 0.2"), shop.job("build", "all"), shop.job("b", "cpu")])
    assert shop.order() == ["begin a", "end a", "begin build", "end build", "begin b", "end b"]


def test_alone_runs_last_and_beside_nothing(shop):
    _run(shop, [shop.job("figure", "alone", "sleep 0.1"), shop.job("a", "cpu", "sleep 0.2"), shop.job("lab", "wait", "sleep 0.2")])
    assert shop.order()[-2:] == ["begin figure", "end figure"]


def test_what_a_job_brings_runs_after_it(shop):
    _run(shop, [shop.job("build", "all", done=lambda _: [shop.job("suite", "cpu")])])
    assert shop.ended == ["build", "suite"]


def test_status_and_output_are_kept(shop):
    job = _run(shop, [shop.job("bad", "cpu", "echo words; exit 3")])[0]
    assert (job.status, job.log.read_text()) == (3, "words\n")
    assert job.seconds > 0


def test_a_job_that_hangs_is_ended_at_its_limit(shop):
    job = shop.job("hangs", "cpu", "sleep 600")
    job.limit_s = 0.3
    _run(shop, [job, shop.job("next", "cpu")], cpus=1)
    assert job.status != 0 and "its limit" in job.log.read_text()
    assert shop.ended == ["hangs", "next"]


def test_a_program_that_is_not_there_is_one_failure(shop):
    job = shop.job("missing", "cpu")
    job.command = ["/nonexistent/program"]
    _run(shop, [job, shop.job("next", "cpu")])
    assert (job.status, shop.ended) == (127, ["missing", "next"])
    assert "No such file" in job.log.read_text()


def test_what_computes_has_a_lower_priority_and_what_waits_has_not(shop):
    low, usual = _run(shop, [shop.job("low", "cpu", "nice"), shop.job("usual", "wait", "nice")])
    assert int(low.log.read_text()) == min(os.nice(0) + 5, 19)
    assert int(usual.log.read_text()) == os.nice(0)


_INTERRUPTED = """
import os, pathlib, signal, sys
from tests.whole_run.scheduler import Job, Scheduler
folder = pathlib.Path(sys.argv[1])
scheduler = Scheduler(2, folder)
script = "trap 'echo clean > cleaned; exit' TERM; sleep 300 & echo $! > child; while :; do sleep 0.05; done"
scheduler.add([Job("a", ["sh", "-c", script], "cpu", folder / "log", dict(os.environ))])
for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs ignore SIGINT, and so does what they start
    signal.signal(number, signal.default_int_handler)
try:
    scheduler.run()
except KeyboardInterrupt:
    sys.exit(130)
"""


@contextlib.contextmanager
def _interruptible(shop):
    """A run of one job that writes `child` when it has begun and `cleaned` when it is told to end."""
    run = subprocess.Popen([sys.executable, "-c", _INTERRUPTED, shop.folder], cwd=shop.folder, env={**os.environ, "PYTHONPATH": str(TOP)})
    try:
        yield run
    finally:
        run.kill()
        run.wait()


def _ended(pid):
    """No such process, or one that nobody has waited for."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_ends_the_jobs_and_all_that_they_started(shop, number):
    child = shop.folder / "child"
    with _interruptible(shop) as run:
        wait_until(lambda: child.exists() and child.read_text().strip(), 60, "the job does not begin")
        run.send_signal(number)
        assert run.wait(60) == 130
    assert (shop.folder / "cleaned").read_text() == "clean\n"
    wait_until(lambda: _ended(int(child.read_text())), 30, "what the job started still runs")


def test_jobs_end_with_a_run_that_is_killed(shop):
    child = shop.folder / "child"
    with _interruptible(shop) as run:
        wait_until(lambda: child.exists() and child.read_text().strip(), 60, "the job does not begin")
        run.kill()
        run.wait(60)
    wait_until(lambda: (shop.folder / "cleaned").exists(), 30, "the job was not told to end")
    os.kill(int(child.read_text()), signal.SIGKILL)  # nobody told this one
