"""Prints for the demo: headings, commands with their output, and one line a second while load runs."""
import sys
import threading
import time

BOLD, DIM, GREEN, RED, RESET = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m")
if not sys.stdout.isatty():
    BOLD = DIM = GREEN = RED = RESET = ""

_BLOCKS = " ▏▎▍▌▋▊▉█"


def say(text=""):
    print(text, flush=True)


def heading(text):
    say(f"\n{BOLD}{text}{RESET}")


def command(words, output=""):
    say(f"  {DIM}$ {words}{RESET}")
    for line in output.rstrip().splitlines():
        say(f"    {line}")


def bar(share, width=12):
    """A bar for a share of 0..1, in eighths of a character."""
    eighths = round(share * width * 8)
    text = "█" * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")
    return text.ljust(width)


def shares(counts, names):
    """'backend1 ███▌ 27%  backend2 ...' for counts by name."""
    total = sum(counts.get(name, 0) for name in names) or 1
    return "  ".join(f"{name.removeprefix('backend')}:{bar(counts.get(name, 0) / total, 5)}"
                     f"{100 * counts.get(name, 0) / total:3.0f}%" for name in names)


class Ticker:
    """One line a second about a running load: requests a second, failures, packets a second, and which backends the new
    connections went to (or, when there are none, the requests)."""

    def __init__(self, load, packets, names):
        self._load = load
        self._packets = packets  # () -> packets that the balancer has sent so far, None if unknown
        self._names = names      # () -> the backends to show
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._before = None
        self.extra = None        # () -> text at the end of the line
        self.peak_pps = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.wait(1.0):
            self._tick()

    def _tick(self):
        report = self._load.latest()
        if report is None:
            return
        now = (time.monotonic(), report["ok"], self._packets(), destinations(report), report["elapsed_s"])
        before, self._before = self._before, now
        if before is None or now[4] == before[4]:
            return
        seconds = now[4] - before[4]
        rate = (now[1] - before[1]) / seconds
        pps = ""
        if now[2] is not None and before[2] is not None:
            value = (now[2] - before[2]) / (now[0] - before[0])
            self.peak_pps = max(self.peak_pps, value)
            pps = f"{value:8,.0f} pkt/s"
        lately = {name: count - before[3].get(name, 0) for name, count in now[3].items()}
        colour = RED if report["failed"] else GREEN
        say(f"  {now[4]:5.1f} s {rate:7,.0f} req/s {colour}{report['failed']:3d} failed{RESET} {pps:>16}   "
            f"{shares(lately, self._names())}{'   ' + self.extra() if self.extra else ''}")


def destinations(report):
    """New connections by backend. Requests by backend, if the load makes no new connections."""
    return dict(report["tcp_new"]["flows_by_backend"]) or answers(report)


def answers(report):
    """Answers by backend, all kinds of flow together."""
    total = {}
    for group in ("tcp_keep", "tcp_new", "udp_keep", "udp_new"):
        for name, count in report[group]["by_backend"].items():
            total[name] = total.get(name, 0) + count
    return total
