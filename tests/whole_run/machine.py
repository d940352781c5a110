"""How busy other programs kept the machine while the tests ran."""
import os
import resource
import time


def _busy_seconds():
    """CPU seconds since boot: (used by all processes, stolen by the hypervisor)."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq, steal = (int(word) for word in stat.readline().split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, steal / tick


def _own_seconds():
    children, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
    return children.ru_utime + children.ru_stime + own.ru_utime + own.ru_stime


class Machine:
    """Measures the CPU use of the machine since the construction of this object."""

    def __init__(self):
        self.cpus = len(os.sched_getaffinity(0))
        self._started = time.monotonic()
        self._busy, self._steal = _busy_seconds()
        self._own = _own_seconds()

    @property
    def elapsed_s(self):
        return time.monotonic() - self._started

    def shares(self):
        """The shares of the CPUs so far, 0 to 1: (this run, other programs, hypervisor).

        This run's processes that have not ended yet count as other programs.
        """
        busy, steal = _busy_seconds()
        available = self.elapsed_s * self.cpus
        own = _own_seconds() - self._own
        return own / available, max(busy - self._busy - own, 0) / available, (steal - self._steal) / available
