"""How busy the machine was with other things while the tests ran."""
import os
import resource
import time


def _busy_seconds():
    """CPU time that all processes used since boot, and that the hypervisor gave to others."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq, steal = (int(word) for word in stat.readline().split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, steal / tick


def _own_seconds():
    children, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
    return children.ru_utime + children.ru_stime + own.ru_utime + own.ru_stime


class Machine:
    """From its construction on."""

    def __init__(self):
        self.cpus = len(os.sched_getaffinity(0))
        self._started = time.monotonic()
        self._busy, self._steal = _busy_seconds()
        self._own = _own_seconds()

    @property
    def elapsed_s(self):
        return time.monotonic() - self._started

    def shares(self):
        """(this run's, other programs', the hypervisor's) share of the CPUs so far, 0 to 1. Processes that still run count as others'."""
        busy, steal = _busy_seconds()
        available = self.elapsed_s * self.cpus
        own = _own_seconds() - self._own
        return own / available, max(busy - self._busy - own, 0) / available, (steal - self._steal) / available
