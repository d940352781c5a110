"""The load generator (loadgen/) as a process of the lab."""
import json
import pathlib
import signal

from tests.lab.process import LabError, Process, wait_until


class LoadGenerator:
    """Runs until its duration or count is reached, or until stop(). loadgen/figures.h explains the figures."""

    def __init__(self, program, client, log_dir, name, targets, keep=0, interval_ms=100, new_per_second=0, count=0,
                 concurrency=64, udp=0, udp_interval_ms=100, udp_new_per_second=0, duration_s=0, timeout_ms=5000,
                 sources=None, path="/", events=False, udp_count=0, udp_port=7, first_port=0, report_ms=100):
        self._kept = {"tcp_keep": keep, "udp_keep": udp}
        self._rates = {"tcp_new": new_per_second, "udp_new": udp_new_per_second}
        self.events_path = pathlib.Path(log_dir) / f"{name}.events" if events else None
        argv = [program, "--timeout-ms", timeout_ms, "--path", path]
        for target in targets:
            argv += ["--target", target]
        for source in sources if sources is not None else [client.sources4, client.sources6]:
            argv += ["--source", source]
        for flag, value in (("--keep", keep), ("--interval-ms", interval_ms), ("--new-per-second", new_per_second),
                            ("--count", count), ("--concurrency", concurrency), ("--udp", udp),
                            ("--udp-interval-ms", udp_interval_ms), ("--udp-new-per-second", udp_new_per_second),
                            ("--udp-count", udp_count), ("--udp-port", udp_port), ("--first-port", first_port),
                            ("--duration-s", duration_s),
                            ("--report-ms", report_ms)):
            argv += [flag, value]
        if self.events_path:
            argv += ["--events", self.events_path]
        self.process = Process(name, argv, log_dir, client.namespace)

    def wait(self, timeout_s=60):
        """Waits until it ends by itself. Returns the final figures."""
        self.process.wait(timeout_s)
        return self._result()

    def stop(self, timeout_s=40):
        """Ends it and returns the final figures. It first waits for the replies that are missing, up to its timeout."""
        wait_until(lambda: self.process.catches(signal.SIGTERM) or not self.process.running(), 15,
                   "the load generator has no handler for SIGTERM yet")
        self.process.stop(timeout_s=timeout_s, number=signal.SIGTERM)
        return self._result()

    def wait_steady(self, timeout_s=30):
        """Waits until all long-lived flows have a reply, and as many short flows as start in 0.5 s. Returns itself."""
        def answered(group):
            return sum(((self.latest() or {}).get(group) or {}).get("flows_by_backend", {}).values())

        def steady():
            return all(answered(group) >= count for group, count in self._kept.items()) and \
                all(answered(group) >= rate / 2 for group, rate in self._rates.items())
        wait_until(lambda: steady() or self.process.require_running(), timeout_s,
                   lambda: f"not all flows of the load have a reply: {self.latest()}")
        return self

    def wait_answered(self, count, group="tcp_keep", backend=None, timeout_s=60):
        """Waits until `count` more requests are answered (by `backend`, if given)."""
        def answered():
            figures = (self.latest() or {}).get(group, {})
            return figures.get("by_backend", {}).get(backend, 0) if backend else figures.get("ok", 0)
        before = answered()
        wait_until(lambda: answered() >= before + count, timeout_s,
                   lambda: f"no {count} more requests are answered{f' by {backend}' if backend else ''}: "
                           f"{self.latest()}")

    def latest(self):
        """The newest complete report so far, or None."""
        for line in reversed(self.process.output().split("\n")[:-1]):
            if line.startswith("{"):
                return json.loads(line)
        return None

    def flows(self):
        """All new flows: (start in s of time.monotonic(), protocol, backend or '' if it failed). Needs `events`."""
        rows = []
        for line in self.events_path.read_text().splitlines():
            start_us, protocol, backend = line.split(" ", 2)
            rows.append((int(start_us) / 1e6, protocol, "" if backend == "-" else backend))
        return rows

    def _result(self):
        if self.process.returncode != 0:
            raise LabError(f"the load generator ended with status {self.process.returncode}\n{self.process.tail()}")
        return self.latest()
