"""Part 4: clients and servers over veth, and between them Fairlead or an alternative on the same machine.

The lab (tests/lab) has a client, a balancer and four backends with nginx. One contestant at a time runs on the
balancer's eth0. Each round runs all of them. Every contestant gets the same three loads from the client:
  requests      wrk, 32 connections kept alive
  connections   wrk, 32 at a time, each request on a new connection
  throughput    iperf3, one TCP stream to one backend
Client, balancer and servers share the CPUs, so each figure includes the costs of all three."""
import contextlib
import json

from bench.suite import stats
from bench.suite.rows import Row, Skip
from tests.lab import Lab, LabError
from tests.lab.process import run as command
from tests.lab.process import wait_until

WRK_SCRIPT = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "p999": %f, "errors": %d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""
STREAM_PORT = 5201

HAPROXY = """
global
  maxconn 4000
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend web
  bind {vip}:80
  default_backend web
backend web
{servers}
frontend stream
  bind {vip}:5201
  default_backend stream
backend stream
  server one {first}:5201
"""
NGINX = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process off; user root root; pid {dir}/pid; error_log {dir}/error.log; worker_rlimit_nofile 65536;
events {{ worker_connections 32768; }}
stream {{
  upstream web {{ {servers} }}
  upstream one {{ server {first}:5201; }}
  server {{ listen {vip}:80; proxy_pass web; }}
  server {{ listen {vip}:5201; proxy_pass one; }}
}}
"""


class Contest:
    """The lab, and the contestants, which run on the balancer one after the other. Each is a context manager."""

    def __init__(self, lab):
        self.lab = lab
        self.balancer = lab.balancer.namespace
        self.script = lab.dir / "wrk.lua"
        self.script.write_text(WRK_SCRIPT)
        for backend in lab.backends:
            server = lab.spawn(f"iperf-{backend.name}", ["iperf3", "-s", "-p", STREAM_PORT], backend.namespace)
            server.wait_listening(STREAM_PORT)

    @contextlib.contextmanager
    def fairlead(self, device):
        lab = self.lab
        for path in (lab.store_path, lab.link_path.with_suffix(".snapshot")):
            path.unlink(missing_ok=True)
        lab.start_dataplane(device=f"{device}:eth0")
        try:
            lab.start_control()
            check = {"type": "tcp", "interval": "200ms", "timeout": "150ms", "rise": 1}
            for name, port, backends in (("web", 80, lab.backends), ("stream", STREAM_PORT, lab.backends[:1])):
                lab.control.post("/v1/services", {"name": name, "frontends": [f"{lab.vip4}:{port}/tcp"], "health_check": check,
                                                  "backends": [backend.address4 for backend in backends]})
                lab.wait_healthy(name, len(backends))
            yield lab.vip4
        finally:
            for process in (lab.fairleadd, lab.dataplane):
                if process:
                    process.stop(5)

    @contextlib.contextmanager
    def on_the_vip(self):
        """Gives the frontend's address to the balancer. Contestants that terminate or translate connections need it."""
        self.balancer.ip(f"address add {self.lab.vip4}/32 dev lo", "route replace 198.51.100.0/24 dev eth0")
        try:
            yield
        finally:
            self.balancer.ip(f"address del {self.lab.vip4}/32 dev lo")

    @contextlib.contextmanager
    def nftables(self):
        targets = ", ".join(f"{i} : {backend.address4}" for i, backend in enumerate(self.lab.backends))
        rules = f"""
table ip bench {{
  chain in {{
    type nat hook prerouting priority dstnat;
    ip daddr {self.lab.vip4} tcp dport 80 dnat to numgen inc mod {len(self.lab.backends)} map {{ {targets} }}
    ip daddr {self.lab.vip4} tcp dport {STREAM_PORT} dnat to {self.lab.backends[0].address4}
  }}
  chain out {{
    type nat hook postrouting priority srcnat;
    ip daddr 10.0.0.0/24 masquerade
  }}
}}
"""
        path = self.lab.dir / "nftables"
        path.write_text(rules)
        with self.on_the_vip():
            self.balancer.sysctl({"net.ipv4.ip_forward": 1})
            self.balancer.run("nft", "-f", path)
            try:
                yield self.lab.vip4
            finally:
                self.balancer.run("nft", "delete", "table", "ip", "bench")
                self.balancer.sysctl({"net.ipv4.ip_forward": 0})

    @contextlib.contextmanager
    def proxy(self, name, config, argv):
        path = self.lab.dir / f"{name}.conf"
        path.write_text(config)
        with self.on_the_vip():
            process = self.lab.spawn(self.lab._numbered(name), [word.format(config=path) for word in argv], self.balancer)
            try:
                process.wait_listening(80)
                yield self.lab.vip4
            finally:
                process.kill()

    def haproxy(self):
        servers = "\n".join(f"  server {backend.name} {backend.address4}:80" for backend in self.lab.backends)
        config = HAPROXY.format(vip=self.lab.vip4, servers=servers, first=self.lab.backends[0].address4)
        return self.proxy("haproxy", config, ["haproxy", "-db", "-f", "{config}"])

    def nginx(self):
        servers = " ".join(f"server {backend.address4}:80;" for backend in self.lab.backends)
        config = NGINX.format(vip=self.lab.vip4, servers=servers, first=self.lab.backends[0].address4, dir=self.lab.dir)
        return self.proxy("nginx", config, ["nginx", "-c", "{config}", "-e", str(self.lab.dir / "nginx-error")])

    @contextlib.contextmanager
    def no_balancer(self):
        yield self.lab.backends[0].address4

    def contestants(self):
        return {"no balancer": self.no_balancer, "nftables DNAT": self.nftables,
                "fairlead AF_XDP": lambda: self.fairlead("af_xdp"),
                "fairlead AF_PACKET": lambda: self.fairlead("af_packet"),
                "HAProxy TCP": self.haproxy, "nginx stream": self.nginx}

    def wrk(self, address, seconds, keep):
        words = [] if keep else ["-H", "Connection: close"]
        result = self.lab.client.namespace.run("wrk", "-t1", "-c32", f"-d{seconds}s", "-s", self.script, *words,
                                               f"http://{address}/", timeout_s=seconds + 30)
        figures = json.loads(next(text for text in result.stdout.splitlines() if text.startswith("{")))
        if figures["errors"] > figures["requests"] // 1000:
            raise LabError(f"{figures['errors']} of {figures['requests']} requests failed")
        return {**figures, "per_second": figures["requests"] / figures["seconds"]}

    def iperf(self, address, seconds):
        result = command(self.lab.client.namespace.command(["iperf3", "-c", address, "-p", str(STREAM_PORT), "-t", str(seconds),
                                                            "-J"]), timeout_s=seconds + 30)
        return json.loads(result.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9


LOADS = (("requests", "1/s", "higher"), ("connections", "1/s", "higher"), ("throughput", "Gbit/s", "higher"))


def measure(contest, contestant, seconds):
    with contestant() as address:
        wait_until(lambda: contest.lab.client.namespace.run("curl", "-s", "-m", "1", "-o", "/dev/null", f"http://{address}/",
                                                            check=False).returncode == 0, 15, f"{address} does not answer")
        return {"requests": contest.wrk(address, seconds, True), "connections": contest.wrk(address, seconds, False),
                "throughput": {"per_second": contest.iperf(address, seconds)}}


def run(context):
    rounds, seconds = (2, 1) if context.quick else (7, 3)
    found = {}
    with Lab(build=context.native, backends=4) as lab:
        lab.start_backends()
        contest = Contest(lab)
        refused = {}
        for _ in range(rounds):
            for name, contestant in contest.contestants().items():
                if name in refused:
                    continue
                try:
                    for load, figures in measure(contest, contestant, seconds).items():
                        found.setdefault((load, name), []).append(figures)
                except LabError as error:
                    if "AF_XDP" not in name:
                        raise
                    refused[name] = str(error).strip().splitlines()[-1][:160]
    for name, why in refused.items():
        yield Skip("kernel", name, why)
    for load, unit, better in LOADS:
        for name in (key[1] for key in found if key[0] == load):
            yield _row(found, load, name, unit, better)


def _row(found, load, name, unit, better):
    results = found[load, name]
    row = Row("kernel", f"{load}, {name}", unit, [result["per_second"] for result in results], better)
    pairs = zip(results, found[load, "nftables DNAT"])
    row.extra["to_nftables"] = round(stats.median([a["per_second"] / b["per_second"] for a, b in pairs]), 3)
    for word in ("p50", "p99", "p999"):
        if word in results[0]:
            row.extra[f"{word}_ms"] = stats.median([result[word] for result in results])
    return row
