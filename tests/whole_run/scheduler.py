"""Runs jobs in parallel as their weights allow (suites.py explains the weights).

A job is a command. Its output goes to a file. Each job runs in its own session, so the scheduler can end it together
with its child processes. When this process dies, the kernel sends SIGTERM to the jobs.
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
# Computing jobs run at a lower priority, so that waiting jobs run as soon as their events arrive. At 19, a build beside
# another busy program would get 1.5 % of the CPU and take hours.
_NICE = 5
_COMPUTE = ("cpu", "all")
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# How long a job may take to clean up after SIGTERM. Then it is killed.
_GRACE_S = 40


@dataclasses.dataclass
class Job:
    name: str
    command: list
    weight: str
    log: pathlib.Path
    environment: dict
    done: object = None  # called with the job when it has ended; may return further jobs
    limit_s: float = 3600  # the scheduler ends the job after this time
    status: int = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of the job and of its child processes that it waited for


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
        """Runs until all jobs have ended. On an exception, such as an interrupt, it ends all jobs and raises again."""
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
            # It runs last, so that no other job waits for it.
            return not weights and all(other.weight == "alone" for other in self._waiting)
        if job.weight == "timers":
            return True
        if job.weight in ("labs", "wait"):
            return job.weight not in weights
        free = self._cpus - sum(self._cpus if weight == "all" else 1 for weight in weights if weight in _COMPUTE)
        return free >= (self._cpus if job.weight == "all" else 1)

    def _start_some(self):
        blocked = False  # computing jobs start in order, so that jobs of weight `all` are not delayed forever
        for job in list(self._waiting):
            computes = job.weight in _COMPUTE
            if computes and blocked:
                continue
            if self._may_start(job):
                self._waiting.remove(job)
                self._start(job)
            elif computes:
                blocked = True

    def _start(self, job):
        computes = job.weight in _COMPUTE
        # An interrupt between the start of the process and the append to _running would leave the process running.
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
        except OSError as error:  # the program does not exist or cannot be run
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
                if not _has_ended(job, child) and seconds > job.limit_s:
                    _end(child, signal.SIGTERM, time.monotonic() + _GRACE_S)
                    with open(job.log, "a", encoding="utf-8") as out:
                        out.write(f"\nended after {seconds:.0f} s: the job reached its time limit\n")
                if not _has_ended(job, child):
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


def _has_ended(job, child):
    """As child.poll(), but notes the job's CPU time."""
    if child.returncode is None:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            job.cpu_seconds = usage.ru_utime + usage.ru_stime
    return child.returncode is not None


def _end(child, number, deadline):
    """Ends a job and its child processes: sends `number` (None: already sent), and SIGKILL after the deadline."""
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
