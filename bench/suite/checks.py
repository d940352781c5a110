"""Part 7: what health checks cost, and how soon a failure is known.

The checked servers are addresses of one host (nginx), so the kernel has one neighbour. CPU time is that of fairleadd, and
of the dataplane's management thread, which sends the probes through the dataplane."""
import time

from bench.suite import stats
from bench.suite.control import cpu_ms_of
from bench.suite.rows import Row
from tests.lab import Lab
from tests.lab.process import run as command
from tests.lab.process import wait_until

INTERVAL_S = 2
CHECK = {"type": "tcp", "interval": f"{INTERVAL_S}s", "timeout": "1s"}
PER_SERVICE = 2000
# Failures: interval and timeout of the checks, and how often one is measured.
SILENCE = """
table inet t {
  chain c {
    type filter hook input priority 0;
    tcp dport 80 drop
  }
}
"""
FALL, SHORT_MS, TIMEOUT_MS = 3, 500, 250


def address_of(number):
    return f"10.64.{number >> 8}.{number & 255}"


def make_servers(lab):
    server = lab.backends[0]
    # Threads receive, as they do for a NIC that interrupts another CPU. Otherwise a veth's packets, and the server's answers
    # to them, are received by the process that sends the first one, and count as fairleadd's time.
    for namespace, device in ((lab.switch, "balancer"), (lab.switch, server.name), (server.namespace, "eth0"),
                              (lab.balancer.namespace, "eth0")):
        namespace.run("ethtool", "-K", device, "gro", "on")
        namespace.run("sh", "-c", f"echo 1 > /sys/class/net/{device}/threaded")
    server.start()
    server.namespace.ip("route add local 10.64.0.0/16 dev lo")
    lab.balancer.namespace.ip(f"route add 10.64.0.0/16 via {server.address4} dev eth0")
    for name in ("net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_max_syn_backlog"):
        server.namespace.sysctl({name: 65536})


TLS_NGINX = """
daemon off; master_process off; user root root; pid {dir}/tls.pid; error_log {dir}/tls.log; worker_rlimit_nofile 65536;
events {{ worker_connections 32768; }}
http {{
  access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir};
  scgi_temp_path {dir};
  server {{
    listen 443 ssl backlog=8192; ssl_certificate {dir}/tls.pem; ssl_certificate_key {dir}/tls.key;
    location / {{ return 200 "good\\n"; }}
  }}
}}
"""


def start_tls_server(lab):
    """nginx with a certificate that signs itself, for shop.example. Returns the check's settings for it."""
    command(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
             "-keyout", lab.dir / "tls.key", "-out", lab.dir / "tls.pem", "-subj", "/CN=shop.example",
             "-addext", "subjectAltName=DNS:shop.example"])
    (lab.dir / "tls.conf").write_text(TLS_NGINX.format(dir=lab.dir))
    server = lab.backends[0].namespace
    lab.spawn("tls-nginx", ["nginx", "-c", lab.dir / "tls.conf", "-p", lab.dir, "-e", lab.dir / "tls.log"],
              server).wait_listening(443)
    return {"type": "https", "match": "good", "tls": {"sni": "shop.example", "ca_file": str(lab.dir / "tls.pem")}}


def add_checks(lab, count, check):
    port = 443 if check["type"] == "https" else 80
    for first in range(0, count, PER_SERVICE):
        service = f"s{first // PER_SERVICE}"
        lab.control.post("/v1/services", {
            "name": service, "health_check": check,
            "frontends": [f"{lab.vip4 if first == 0 else f'203.0.113.{20 + first // PER_SERVICE}'}:{port}/tcp"],
            "backends": [{"address": address_of(n), "mac": lab.backends[0].mac} for n in range(first, min(count, first + PER_SERVICE))]})
    wait_until(lambda: lab.control.get("/v1/status")["backends"]["healthy"] == count, 120,
               lambda: f"not all {count} backends are healthy: {lab.control.get('/v1/status')['backends']}")


def cost(context, name, count, check):
    vips = [f"203.0.113.{20 + n}" for n in range(1, 1 + count // PER_SERVICE)]
    with Lab(context.native, backends=1, extra_vips=vips) as lab:
        make_servers(lab)
        if check["type"] == "https":
            check = {**check, **start_tls_server(lab)}
        lab.start_dataplane(port={"addresses": ["10.0.0.2"]})
        lab.start_control()
        add_checks(lab, count, check)
        time.sleep(2 * INTERVAL_S)
        samples, of_dataplane = [], []
        for _ in range(1 if context.quick else 5):
            before = cpu_ms_of(lab.fairleadd.pid), cpu_ms_of(lab.dataplane.pid)
            started = time.monotonic()
            time.sleep(2 * INTERVAL_S)
            elapsed_ms = (time.monotonic() - started) * 1e3
            samples.append((cpu_ms_of(lab.fairleadd.pid) - before[0]) / elapsed_ms * 100)
            of_dataplane.append((cpu_ms_of(lab.dataplane.pid) - before[1]) / elapsed_ms * 100)
        unhealthy = count - lab.control.get("/v1/status")["backends"]["healthy"]
        return Row("checks", name, "%", samples, extra={"dataplane_%": round(stats.median(of_dataplane), 1),
                                                       "unhealthy": unhealthy})


def lateness(context):
    """How much later than `fall` intervals and a timeout a silent backend is unhealthy."""
    with Lab(context.native, backends=2) as lab:
        lab.start_backends()
        lab.start_dataplane(port={"addresses": ["10.0.0.2"]})
        lab.start_control()
        lab.control.post("/v1/services", {
            "name": "web", "frontends": [f"{lab.vip4}:80/tcp"], "backends": [each.address4 for each in lab.backends],
            "health_check": {"type": "tcp", "interval": f"{SHORT_MS}ms", "timeout": f"{TIMEOUT_MS}ms", "fall": FALL, "rise": 1}})
        lab.wait_healthy("web", 2)
        late = []
        silent = lab.backends[1]
        for n in range(10 if context.quick else 100):
            time.sleep(n % 10 * SHORT_MS / 10_000)
            started = time.monotonic()
            silent.namespace.run("nft", "-f", "-", input=SILENCE)
            wait_until(lambda: lab.backends_of("web")[silent.address4]["state"] == "unhealthy", 30,
                       lambda: f"{lab.backends_of('web')}", interval_s=0.002)
            late.append((time.monotonic() - started) * 1e3 - FALL * SHORT_MS - TIMEOUT_MS)
            silent.namespace.run("nft", "delete", "table", "inet", "t")
            lab.wait_healthy("web", 2)
        yield Row("checks", "silent backend: unhealthy after `fall` intervals and a timeout, p99", "ms",
                  [max(0, stats.percentile(late, 0.99))], extra={"median_ms": round(stats.median(late), 1), "failures": len(late)})


def run(context):
    count = 2000 if context.quick else 10_000
    for via in ("direct", "dataplane"):
        yield cost(context, f"{count:,} TCP checks each {INTERVAL_S} s, {via}: fairleadd's CPU", count, {**CHECK, "via": via})
    count = 200 if context.quick else 1000
    yield cost(context, f"{count:,} HTTPS checks each {INTERVAL_S} s, dataplane: fairleadd's CPU", count,
               {**CHECK, "type": "https", "via": "dataplane"})
    yield from lateness(context)
