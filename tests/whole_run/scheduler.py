"""Runs jobs side by side as their weights allow (suites.py says what a weight is).

A job is a command whose output goes to a file. Each runs in a session of its own, so that it can be ended with all
that it started, and is ended when this process dies.
"""
import ctypes
import dataclasses
import os
import pathlib
import signal
import subprocess
import time

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
# Computing jobs run at a lower priority, so that waiting jobs run as soon as their events arrive. At 19 a build beside another program
# that computes would get 1.5 % of the CPU, and take hours.
_NICE = 5
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# How long a job that is asked to end may take to clean up.
_GRACE_S = 40


@dataclasses.dataclass
class Job:
    name: str
    command: list
    weight: str
    log: pathlib.Path
    environment: dict
    done: object = None  # called with the job when it has ended; may return further jobs
    limit_s: float = 3600  # it is ended after that
    status: int = None
    seconds: float = 0.0


class Scheduler:
    """`cpus`: how many jobs may compute at once. Main thread only."""

    def __init__(self, cpus, directory):
        self._cpus = cpus
        self._directory = directory
        self._waiting = []
        self._running = []  # (job, child, started)

    def add(self, jobs):
        self._waiting += jobs

    def run(self):
        """Until nothing is left to do. What interrupts it ends all jobs first, and is raised again."""
        try:
            while self._waiting or self._running:
                self._start_some()
                self._wait_for_one()
        except BaseException:
            self._end_all()
            raise

    def _may_start(self, job):
        weights = [running.weight for running, _, _ in self._running]
        if "alone" in weights:
            return False
        if job.weight == "alone":
            # Last, so that nobody waits for it.
            return not weights and all(other.weight == "alone" for other in self._waiting)
        if job.weight == "wait":
            return "wait" not in weights
        free = self._cpus - sum(self._cpus if weight == "all" else 1 for weight in weights if weight != "wait")
        return free >= (self._cpus if job.weight == "all" else 1)

    def _start_some(self):
        blocked = False  # what computes starts in order, so that what needs all CPUs gets its turn
        for job in list(self._waiting):
            computes = job.weight in ("cpu", "all")
            if computes and blocked:
                continue
            if self._may_start(job):
                self._waiting.remove(job)
                self._start(job)
            elif computes:
                blocked = True

    def _start(self, job):
        computes = job.weight in ("cpu", "all")
        # An interrupt between the start of the process and its entry in the list would leave it running.
        old = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)

        def prepare():
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if computes:
                os.nice(_NICE)

        try:
            with open(job.log, "wb") as out:
                child = subprocess.Popen([str(word) for word in job.command], stdout=out, stderr=subprocess.STDOUT,
                                         stdin=subprocess.DEVNULL, cwd=self._directory, env=job.environment,
                                         start_new_session=True, preexec_fn=prepare)
            self._running.append((job, child, time.monotonic()))
        except OSError as error:  # no such program
            job.log.write_text(f"{job.command[0]}: {error.strerror}\n", encoding="utf-8")
            self._ended(job, 127, 0)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)

    def _ended(self, job, status, seconds):
        job.status, job.seconds = status, seconds
        if job.done:
            self._waiting += job.done(job) or []

    def _wait_for_one(self):
        while self._running:
            for entry in list(self._running):
                job, child, started = entry
                seconds = time.monotonic() - started
                if child.poll() is None and seconds > job.limit_s:
                    _end(child, signal.SIGTERM, time.monotonic() + _GRACE_S)
                    with open(job.log, "a", encoding="utf-8") as out:
                        out.write(f"\nended after {seconds:.0f} s, its limit\n")
                if child.poll() is None:
                    continue
                self._running.remove(entry)
                self._ended(job, child.returncode, seconds)
                return
            time.sleep(0.05)

    def _end_all(self):
        old = {number: signal.signal(number, signal.SIG_IGN) for number in _INTERRUPTS}
        for _, child, _ in self._running:
            _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        for _, child, _ in self._running:
            _end(child, None, deadline)
        for number, handler in old.items():
            signal.signal(number, handler)


def _end(child, number, deadline):
    """With all that it started: asked by signal `number` (None: it was), made to when the deadline has passed."""
    if number:
        _signal_group(child, number)
    try:
        child.wait(max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        pass
    _signal_group(child, signal.SIGKILL)
    child.wait()


def _signal_group(child, number):
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        pass
