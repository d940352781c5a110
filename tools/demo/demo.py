#!/usr/bin/env python3
"""Demonstrates Fairlead in about a minute: real TCP stacks, real nginx, no NIC. Started by tools/demo.sh.

Each step measures what it claims. If a claim does not hold, the demo fails with status 1 and the reason.
"""
import argparse
import os
import pathlib
import signal
import sys
import time

from tests.lab import Lab, LabError, enter_namespace_rights, wait_until
from tools.demo.screen import BOLD, RESET, Ticker, answers, command, heading, say

BACKENDS = 4


class Demo:
    def __init__(self, lab):
        self.lab = lab
        self.claims = []  # (text, held)
        self.peak_pps = 0
        self._load = None
        self._long_loads = []
        self._ended = []  # final figures of loads that have ended
        self.vips = [f"{lab.vip4}:80", f"[{lab.vip6}]:80"]

    def claim(self, text, held):
        self.claims.append((text, held))
        say(f"  {'ok:' if held else 'FAILED:'} {text}")

    def fairctl(self, *words, show=True):
        """Runs fairctl, and shows the command with its output."""
        result = self.lab.fairctl(*words, timeout_s=90)
        if show:
            command("fairctl " + " ".join(words), result.stdout)
        return result.stdout

    def packets(self):
        """Packets that the balancer has sent; None while fairleadd does not answer."""
        try:
            return self.lab.control.get("/v1/stats")["totals"]["tx"]
        except Exception:  # one step kills the control plane
            return None

    def names(self):
        return [backend.name for backend in self.lab.backends if backend.nginx]

    def start_load(self):
        """Clients of both families: long-lived connections, new ones, UDP flows."""
        self._load = self.lab.start_load(targets=self.vips, keep=80, interval_ms=50, new_per_second=300, udp=40,
                                         udp_interval_ms=200, report_ms=200)

    def start_long_loads(self):
        """More long-lived connections, in groups that can be ended one by one."""
        self._long_loads = [self.lab.start_load(targets=self.vips, keep=40, interval_ms=200) for _ in range(3)]

    def watch(self, seconds, extra=None):
        """Lets the load run for `seconds`, and prints a line each second. Returns the answers by backend meanwhile."""
        before = self._load.latest()
        with Ticker(self._load, self.packets, self.names) as ticker:
            ticker.extra = extra
            time.sleep(seconds)
        self.peak_pps = max(self.peak_pps, ticker.peak_pps)
        after = self._load.latest()
        early = answers(before) if before else {}
        return {name: count - early.get(name, 0) for name, count in answers(after).items()}

    def failed(self):
        return self._load.latest()["failed"]

    # ---- the steps ------------------------------------------------------------------------------------------------

    def set_up(self):
        heading("The network: 1 client, 1 balancer, 4 backends, each a namespace with its own TCP stack")
        lab = self.lab
        lab.start_backends()
        self.start_dataplane()
        lab.start_control()
        say(f"  frontends {lab.vip4} and {lab.vip6}; nginx on port 80 and a UDP echo server on port 7 of each backend")
        self.fairctl("service", "add", "web", "--frontend", f"{lab.vip4}:80/tcp", "--frontend",
                     f"[{lab.vip6}]:80/tcp", "--forwarding", "dsr", "--idle-timeout", "5s")
        self.fairctl("service", "add", "echo", "--frontend", f"{lab.vip4}:7/udp", "--frontend",
                     f"[{lab.vip6}]:7/udp", "--forwarding", "dsr", "--health-check", "none")
        for number, backend in enumerate(lab.backends):
            self.fairctl("backend", "add", "web", backend.address4, show=number == 0)
            self.fairctl("backend", "add", "echo", backend.address4, show=False)
        say(f"    ... and {len(lab.backends) - 1} more, for both services")
        lab.wait_healthy("web", BACKENDS)
        lab.wait_healthy("echo", BACKENDS)
        self.fairctl("backend", "list", "web")

    def start_dataplane(self):
        """Uses AF_XDP if this kernel and these rights allow it. Only a start of the dataplane can tell."""
        process = self.lab.start_dataplane(device="af_xdp:eth0", wait=False)
        if self.lab.comes_up(process):
            say("  the balancer's port: AF_XDP. An XDP program on its eth0 takes packets for frontends, the kernel "
                "gets all others")
            return
        reason = process.errors().strip().splitlines()[-1].removeprefix("fairlead-dataplane: port wan: ")
        self.lab.start_dataplane(device="af_packet:eth0")
        say("  the balancer's port: AF_PACKET, a packet socket, which every kernel has. AF_XDP cannot be used:")
        say(f"    {reason}")

    def spread(self):
        heading("1. Requests spread over the backends")
        say("  200 long-lived connections, 300 new ones a second, 40 UDP flows; IPv4 and IPv6. Bars: backends of new "
            "connections")
        self.start_load()
        self.start_long_loads()
        self.watch(7)
        counts = self._load.latest()["tcp_new"]["flows_by_backend"]
        total = sum(counts.values())
        largest = max(abs(counts.get(name, 0) / total - 1 / BACKENDS) for name in self.names())
        self.claim(f"{total:,} new connections, every backend within 5 points of its 25 % share "
                   f"(largest difference {100 * largest:.1f})", largest < 0.05)

    def add(self):
        heading("2. A backend is added and takes its share")
        new = self.lab.add_backend().start()
        before = self._load.latest()["tcp_new"]["flows_by_backend"]
        asked = time.monotonic()
        self.fairctl("backend", "add", "web", new.address4)
        self.lab.wait_healthy("web", BACKENDS + 1)
        taken_ms = 1000 * (time.monotonic() - asked)
        say(f"  its first health check passed and it is in force {taken_ms:.0f} ms after the command")
        self.watch(7)
        after = self._load.latest()["tcp_new"]["flows_by_backend"]
        counts = {name: after.get(name, 0) - before.get(name, 0) for name in self.names()}
        share = counts[new.name] / max(1, sum(counts.values()))
        self.claim(f"{new.name} got {100 * share:.0f} % of the new connections since", 0.12 < share < 0.28)

    def drain(self):
        leaving = self.lab.backends[1]
        heading(f"3. {leaving.name} is drained under load, then stopped")
        words = ["backend", "drain", "web", leaving.address4, "--timeout", "40s", "--wait"]
        say("  Clients end its long-lived connections, group by group. The number of flows that remain is shown:")
        command("fairctl " + " ".join(words))
        wait = self.lab.start_fairctl(*words)
        # The drain also waits for connections that are opened before it is in force.
        wait_until(lambda: self.lab.backends_of("web")[leaving.address4]["state"] != "healthy" and self.lab.in_force(),
                   10, lambda: f"the drain does not begin\n{wait.tail()}")
        leaving_loads = [self._load, *self._long_loads]  # clients from before the drain
        self.start_load()                                # clients that come after it
        with Ticker(self._load, self.packets, self.names) as ticker:
            self._follow(wait, leaving_loads)
        self.peak_pps = max(self.peak_pps, ticker.peak_pps)
        self.claim("`drain --wait` returned 0: no flow is left on it",
                   wait.returncode == 0 and "no flows remain" in wait.output())
        say(f"  {leaving.name}'s nginx is stopped:")
        leaving.nginx.kill()
        leaving.nginx = None
        self.watch(3)
        ok = sum(load["ok"] for load in self._ended) + self._load.latest()["ok"]
        failed = sum(load["failed"] for load in self._ended) + self.failed()
        self.claim(f"{ok:,} requests so far, {failed} failed: a backend was added, drained and stopped meanwhile",
                   failed == 0)

    def _follow(self, wait, leaving_loads):
        """Shows what `drain --wait` prints until it ends; ends one of the loads every two seconds."""
        shown, started = 0, time.monotonic()
        while True:
            running = wait.running()
            lines = (wait.output() + wait.errors()).splitlines()
            for line in lines[shown:]:
                say(f"    {line}")
            shown = len(lines)
            if not running:
                break
            if leaving_loads and time.monotonic() - started > 2 * (1 + len(self._ended)):
                self._ended.append(leaving_loads.pop(0).stop())
            time.sleep(0.05)
        self._ended += [load.stop() for load in leaving_loads]

    def kill_control(self):
        heading("4. The control plane is killed (kill -9) and started again")
        failed_before, old_pid = self.failed(), self.lab.fairleadd.pid
        generation = self.lab.control.get("/v1/status")["generation"]
        command(f"kill -9 {old_pid}      # fairleadd")
        self.lab.fairleadd.kill()
        self.watch(3)
        command("fairleadd &")
        self.lab.start_control()
        self.lab.wait_healthy("web", BACKENDS)
        self.fairctl("status")
        self.watch(3)
        status = self.lab.control.get("/v1/status")
        self.claim("forwarding went on: 0 failed", self.failed() == failed_before)
        self.claim(f"nothing was lost: generation {generation} before, {status['generation']} now, "
                   f"{status['services']} services", status["generation"] >= generation and status["services"] == 2)

    def speed(self):
        heading("5. The highest rate of these namespaces")
        self._ended.append(self._load.stop())
        self._load = self.lab.start_load(targets=[f"{self.lab.vip4}:80"], keep=64, interval_ms=0, report_ms=200,
                                         duration_s=5)
        self.watch(5)
        result = self._load.wait(20)
        rate = result["ok"] / result["elapsed_s"]
        latency = result["tcp_keep"]["latency_us"]
        say(f"  {rate:,.0f} requests/s over 64 connections, p50 {latency['p50']} us, p99 {latency['p99']} us; client, "
            f"balancer, backends and all network stacks share {os.cpu_count()} CPUs")

    def conservation(self):
        heading("6. Every packet is accounted for")
        self.fairctl("stats")
        time.sleep(1.2)  # statistics are up to a second old
        totals = self.lab.control.get("/v1/stats")["totals"]
        left = totals["rx"] + totals["generated"]
        right = totals["tx"] + sum(totals["drops"].values()) + totals["to_kernel"]
        self.claim(f"rx {totals['rx']:,} + generated {totals['generated']:,} = tx {totals['tx']:,} + drops "
                   f"{sum(totals['drops'].values()):,} + to_kernel {totals['to_kernel']:,}", left == right)

    def run(self):
        self.set_up()
        self.spread()
        self.add()
        self.drain()
        self.kill_control()
        self.speed()
        self.conservation()

    def summary(self, started):
        heading("Summary")
        for text, held in self.claims:
            say(f"  {'yes' if held else 'NO '}  {text}")
        flows = sum(load["ok"] for load in self._ended)
        lost = sum(load["failed"] for load in self._ended)
        say(f"  {flows:,} requests while backends were changed and the control plane was restarted, {lost} failed; "
            f"peak {self.peak_pps:,.0f} packets/s through the balancer; {time.monotonic() - started:.0f} s")
        return 0 if lost == 0 and all(held for _, held in self.claims) else 1


def keep(lab):
    heading("Left running (--keep); Ctrl-C ends it. From another terminal" +
            (", as root:" if os.geteuid() == 0 and not os.environ.get("FAIRLEAD_LAB_UNSHARED") else
             f" in this user's namespace (nsenter -t {os.getpid()} -U -n -m --preserve-credentials):"))
    fairctl = lab.program("tools/fairctl/fairctl")
    inside = f"ip netns exec {lab.client.namespace.name}"
    say(f"  export FAIRLEAD_SOCKET={lab.socket_path}")
    for words in ("status", "backend list web", "stats --watch",
                  f"explain tcp {lab.client.address4}:40000 {lab.vip4}:80",
                  f"backend drain web {lab.backends[0].address4} --wait"):
        say(f"  {fairctl} {words}")
    say(f"  {inside} curl http://{lab.vip4}/")
    say(f"  {inside} ping {lab.vip4}")
    say(f"  curl --unix-socket {lab.socket_path} http://fairlead/metrics")
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    options = parser.parse_args()
    build = pathlib.Path(os.environ.get("FAIRLEAD_BUILD", "build"))
    started = time.monotonic()
    try:
        enter_namespace_rights()
        with Lab(build=build, backends=BACKENDS) as lab:
            demo = Demo(lab)
            try:
                demo.run()
                status = demo.summary(started)
            except LabError as error:
                say(f"\n{BOLD}The demo failed:{RESET} {error}")
                say(lab.tails())
                return 1
            if options.keep:
                keep(lab)
        if options.keep:
            say("\nEnded; everything is cleaned up.")
        return status
    except LabError as error:
        say(f"The demo could not start: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted; everything is cleaned up.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
