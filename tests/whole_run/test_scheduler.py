"""The scheduler with real processes: which jobs run in parallel, and that an interrupt leaves no process behind."""
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


class JobMaker:
    """Makes jobs that write to the file `order` when they begin and end."""

    def __init__(self, folder):
        self.folder = folder
        self._numbers = itertools.count()
        self.ended = []

    def job(self, name, weight, script="true", done=None):
        number = next(self._numbers)

        def note(job):
            self.ended.append(job.name)
            return done(job) if done else []
        shell = f"echo begin {name} >> order; {script}; status=$?; echo end {name} >> order; exit $status"
        return Job(name, ["sh", "-c", shell], weight, self.folder / f"{number}.log", dict(os.environ), note)

    def meet(self, own, other):
        """A script that succeeds only if the other job runs at the same time."""
        return f"touch {own}; n=0; while [ ! -e {other} ]; do n=$((n + 1)); [ $n -lt 600 ] || exit 9; sleep 0.05; done"

    def order(self):
        return (self.folder / "order").read_text().splitlines()


@pytest.fixture
def maker(tmp_path):
    return JobMaker(tmp_path)


def _run(maker, jobs, cpus=2):
    scheduler = Scheduler(cpus, maker.folder)
    scheduler.add(jobs)
    scheduler.run()
    return jobs


def test_as_many_cpu_jobs_run_at_once_as_there_are_cpus(maker):
    jobs = _run(maker, [maker.job("a", "cpu", maker.meet("a", "b")), maker.job("b", "cpu", maker.meet("b", "a"))])
    assert [job.status for job in jobs] == [0, 0]


def test_no_more_cpu_jobs_run_at_once_than_there_are_cpus(maker):
    _run(maker, [maker.job(name, "cpu", "sleep 0.1") for name in "abc"], cpus=1)
    assert maker.order() == [f"{what} {name}" for name in "abc" for what in ("begin", "end")]


def test_a_wait_job_runs_beside_a_job_on_all_cpus(maker):
    jobs = _run(maker, [maker.job("build", "all", maker.meet("a", "b")),
                        maker.job("lab", "wait", maker.meet("b", "a"))])
    assert [job.status for job in jobs] == [0, 0]


@pytest.mark.parametrize("weight", ["wait", "labs"])
def test_two_jobs_of_the_same_waiting_weight_run_one_after_the_other(maker, weight):
    _run(maker, [maker.job(name, weight, "sleep 0.1") for name in "ab"])
    assert maker.order() == ["begin a", "end a", "begin b", "end b"]


@pytest.mark.parametrize("weights", [("labs", "wait"), ("timers", "timers"), ("timers", "labs"), ("all", "timers")])
def test_jobs_that_wait_in_different_ways_run_at_once(maker, weights):
    jobs = _run(maker, [maker.job("a", weights[0], maker.meet("a", "b")), maker.job("b", weights[1], maker.meet("b", "a"))])
    assert [job.status for job in jobs] == [0, 0]


def test_a_cpu_job_does_not_overtake_a_job_on_all_cpus(maker):
    _run(maker, [maker.job("a", "cpu", "sleep 0.2"), maker.job("build", "all"), maker.job("b", "cpu")])
    assert maker.order() == ["begin a", "end a", "begin build", "end build", "begin b", "end b"]


def test_an_alone_job_runs_last_and_beside_no_other_job(maker):
    _run(maker, [maker.job("figure", "alone", "sleep 0.1"), maker.job("a", "cpu", "sleep 0.2"),
                 maker.job("lab", "wait", "sleep 0.2")])
    assert maker.order()[-2:] == ["begin figure", "end figure"]


def test_jobs_that_a_job_returns_run_after_it(maker):
    _run(maker, [maker.job("build", "all", done=lambda _: [maker.job("suite", "cpu")])])
    assert maker.ended == ["build", "suite"]


def test_a_job_has_its_exit_status_and_its_output(maker):
    job = _run(maker, [maker.job("bad", "cpu", "echo words; exit 3")])[0]
    assert (job.status, job.log.read_text()) == (3, "words\n")
    assert job.seconds > 0


def test_a_job_has_the_cpu_time_of_its_child_processes(maker):
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    computes, waits = _run(maker, [maker.job("computes", "cpu", f"{sys.executable} -c '{busy}'"),
                                   maker.job("waits", "cpu", "sleep 0.6")])
    assert computes.cpu_seconds >= 0.5 > waits.cpu_seconds


def test_a_job_that_hangs_is_ended_at_its_time_limit(maker):
    job = maker.job("hangs", "cpu", "sleep 600")
    job.limit_s = 0.3
    _run(maker, [job, maker.job("next", "cpu")], cpus=1)
    assert job.status != 0 and "its time limit" in job.log.read_text()
    assert maker.ended == ["hangs", "next"]


def test_a_missing_program_fails_only_its_job(maker):
    job = maker.job("missing", "cpu")
    job.command = ["/nonexistent/program"]
    _run(maker, [job, maker.job("next", "cpu")])
    assert (job.status, maker.ended) == (127, ["missing", "next"])
    assert "No such file" in job.log.read_text()


def test_only_computing_jobs_run_at_a_lower_priority(maker):
    low, usual = _run(maker, [maker.job("low", "cpu", "nice"), maker.job("usual", "wait", "nice")])
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
def _interruptible(maker):
    """A run of one job. The job writes the file `child` when it begins, and `cleaned` when it receives SIGTERM."""
    run = subprocess.Popen([sys.executable, "-c", _INTERRUPTED, maker.folder], cwd=maker.folder,
                           env={**os.environ, "PYTHONPATH": str(TOP)})
    try:
        yield run
    finally:
        run.kill()
        run.wait()


def _ended(pid):
    """True if the process does not exist or is a zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_ends_the_jobs_and_their_child_processes(maker, number):
    child = maker.folder / "child"
    with _interruptible(maker) as run:
        wait_until(lambda: child.exists() and child.read_text().strip(), 60, "the job does not begin")
        run.send_signal(number)
        assert run.wait(60) == 130
    assert (maker.folder / "cleaned").read_text() == "clean\n"
    wait_until(lambda: _ended(int(child.read_text())), 30, "the job's child process still runs")


def test_jobs_receive_sigterm_when_the_run_is_killed(maker):
    child = maker.folder / "child"
    with _interruptible(maker) as run:
        wait_until(lambda: child.exists() and child.read_text().strip(), 60, "the job does not begin")
        run.kill()
        run.wait(60)
    wait_until(lambda: (maker.folder / "cleaned").exists(), 30, "the job received no SIGTERM")
    os.kill(int(child.read_text()), signal.SIGKILL)  # only the job receives SIGTERM, not its child
