"""Health checks of the types http, https, udp and grpc, with nginx, a gRPC server and a UDP server as backends."""
import datetime
import pathlib
import subprocess

import pytest

from tests.lab import wait_until
from tests.lab.control import ApiError

_SERVERS = pathlib.Path(__file__).resolve().parent.parent / "lab" / "check_servers.py"
_TIMES = {"interval": "500ms", "timeout": "450ms", "rise": 1, "fall": 2}
_NGINX = """
daemon off; master_process off; user root root; pid {dir}/pid; error_log {dir}/error.log;
events {{ }}
http {{
  access_log {dir}/access.log; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{
    listen 8080;
    {tls}
    location = /up {{ return 200 "all systems good\\n"; }}
    location = /down {{ return 503 "maintenance\\n"; }}
    location = /moved {{ return 301 /up; }}
    location = /host {{ return 200 "host is $host\\n"; }}
  }}
}}
"""


class Site:
    """One backend with servers for checks, and a service that checks it."""

    def __init__(self, lab):
        self.lab = lab
        self.backend = lab.backends[0]
        self.dir = lab.dir / "check-types"
        self.dir.mkdir(exist_ok=True)

    def spawn(self, name, *command, port, protocol="tcp", **options):
        return self.lab.spawn(name, command, self.backend.namespace, **options).wait_listening(port, protocol=protocol)

    def start_nginx(self, tls=""):
        config = self.dir / "nginx.conf"
        config.write_text(_NGINX.format(dir=self.dir, tls=tls))
        ports = (8080, 8443) if tls else (8080,)
        nginx = self.lab.spawn("check-nginx", ["nginx", "-c", config, "-p", self.dir, "-e", self.dir / "error.log"],
                               self.backend.namespace)
        nginx.wait_listening(*ports)
        return nginx

    def add(self, check, frontends=None):
        frontends = frontends or [f"{self.lab.vip4}:80/tcp", f"{self.lab.vip4}:7/udp"]
        self.lab.control.post("/v1/services", {"name": "web", "frontends": frontends,
                                               "backends": [self.backend.address4], "health_check": {**_TIMES, **check}})

    def set(self, **check):
        self.lab.control.patch("/v1/services/web", {"health_check": check})

    def shown(self):
        return self.lab.backends_of("web")[self.backend.address4]

    def becomes(self, state, reason=""):
        """`reason`: of the last probe. That of the state is older if the state did not change."""
        def is_so():
            shown = self.shown()
            return shown["state"] == state and shown["check"] and reason in shown["check"]["reason"]
        wait_until(is_so, 30, lambda: f"not {state} with {reason!r}: {self.shown()}")


@pytest.fixture
def site(lab):
    return Site(lab)


def _openssl(*arguments, text=None):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, input=text, text=True)


def make_certificate(folder, name, alternative_names, days, issuer=None):
    """Writes NAME.pem and NAME.key. Without an issuer, it signs itself, and is a CA."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    signing = ["-CA", folder / f"{issuer}.pem", "-CAkey", folder / f"{issuer}.key",
               "-addext", "basicConstraints=critical,CA:FALSE"] if issuer else []
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
             "-out", certificate, "-subj", f"/CN={name}", "-days", days,
             *(["-addext", f"subjectAltName={alternative_names}"] if alternative_names else []), *signing)
    return certificate, key


@pytest.mark.quick
def test_http_judges_status_and_body_of_a_real_nginx(site):
    nginx = site.start_nginx()
    site.add({"type": "http", "port": 8080, "path": "/up", "match": "systems good"})
    site.becomes("healthy", "http check of port 8080 passes")
    site.set(match="systems bad")
    site.becomes("unhealthy", "the body does not hold the text of match")
    site.set(match=None, path="/down")
    site.becomes("unhealthy", "HTTP status 503 is not in codes")
    site.set(codes="200,503")
    site.becomes("healthy")
    site.set(path="/moved", codes=None)
    site.becomes("healthy")
    site.set(codes="200")
    site.becomes("unhealthy", "HTTP status 301 is not in codes; redirects are not followed")
    site.set(path="/host", host="shop.example", match="host is shop.example")
    site.becomes("healthy")
    site.set(match=None, method="HEAD", path="/up")
    site.becomes("healthy")
    assert '"HEAD /up HTTP/1.1" 200 0 "-" "fairlead"' in (site.dir / "access.log").read_text()
    nginx.kill()
    site.becomes("unhealthy", "Connection refused")


@pytest.mark.quick
def test_fairctl_sets_and_shows_the_settings_of_a_type(site):
    lab = site.lab
    site.start_nginx()
    lab.fairctl("service", "add", "web", "--frontend", f"{lab.vip4}:80/tcp", "--backend", site.backend.address4,
                "--health-check", "http", "--check-port", "8080", "--check-path", "/up", "--check-codes", "200,204")
    site.becomes("healthy")
    assert "http port 8080 every 2s, timeout 1s, rise 2, fall 3, codes 200,204, method GET, path /up" in \
        lab.fairctl("service", "show", "web").stdout
    refused = lab.fairctl("service", "set", "web", "--check-codes", "2xx", check=False)
    assert refused.returncode != 0
    assert "health_check.codes: 2xx is not a list of up to 32 status codes" in refused.stderr


@pytest.mark.quick
def test_https_checks_the_certificate(site):
    lab, address = site.lab, site.backend.address4
    ca, _ = make_certificate(site.dir, "ca", "", 30)
    certificate, key = make_certificate(site.dir, "server", f"DNS:shop.example,IP:{address}", 5, issuer="ca")
    site.start_nginx(f"listen 8443 ssl; ssl_certificate {certificate}; ssl_certificate_key {key};")
    check = {"type": "https", "port": 8443, "path": "/up", "match": "good"}
    # A CA file that cannot be read refuses the change.
    with pytest.raises(ApiError, match="health_check.tls.ca_file: /nowhere.pem cannot be read: No such file"):
        site.add({**check, "tls": {"ca_file": "/nowhere.pem"}})
    site.add({**check, "tls": {"ca_file": str(ca)}})
    site.becomes("healthy", "https check of port 8443 passes")
    site.set(tls={"sni": "other.example"})
    site.becomes("unhealthy", "the certificate of other.example is refused at depth 0: hostname mismatch")
    site.set(tls={"verify": "chain"})
    site.becomes("healthy")
    site.set(tls={"ca_file": None, "sni": "shop.example"})
    site.becomes("unhealthy", "the certificate of shop.example is refused at depth 0: unable to get local issuer")
    site.set(tls={"verify": "none"})
    site.becomes("healthy")


@pytest.mark.quick
def test_the_end_of_a_certificate_is_a_metric_an_event_and_a_verdict(site):
    lab, address = site.lab, site.backend.address4
    ca, _ = make_certificate(site.dir, "ca", "", 30)
    certificate, key = make_certificate(site.dir, "server", f"IP:{address}", 5, issuer="ca")
    site.start_nginx(f"listen 8443 ssl; ssl_certificate {certificate}; ssl_certificate_key {key};")
    site.add({"type": "https", "port": 8443, "path": "/up", "tls": {"ca_file": str(ca)}})
    site.becomes("healthy")
    ends = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-enddate"], check=True,
                          capture_output=True, text=True).stdout.split("=")[1].strip()
    seconds = datetime.datetime.strptime(ends, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=datetime.timezone.utc)
    name = f'fairlead_backend_certificate_not_after_timestamp_seconds{{service="web",backend="{address}"}}'
    values = [line.split()[1] for line in lab.control.raw("GET", "/metrics")[1].splitlines() if line.startswith(name)]
    assert [float(value) for value in values] == [seconds.timestamp()]
    events = [line for line in lab.fairleadd.errors().splitlines() if "certificate_expires_soon" in line]
    assert len(events) == 1 and "service=web" in events[0] and f"backend={address}" in events[0], events


@pytest.mark.quick
def test_stored_service_whose_ca_file_is_gone_stays_and_says_why(site):
    lab, address = site.lab, site.backend.address4
    ca, _ = make_certificate(site.dir, "ca", "", 30)
    certificate, key = make_certificate(site.dir, "server", f"IP:{address}", 5, issuer="ca")
    site.start_nginx(f"listen 8443 ssl; ssl_certificate {certificate}; ssl_certificate_key {key};")
    site.add({"type": "https", "port": 8443, "path": "/up", "tls": {"ca_file": str(ca)}})
    site.becomes("healthy")
    content = ca.read_text()
    ca.unlink()
    # A kill might come before the state is stored.
    lab.fairleadd.stop()
    lab.start_control()
    wait_until(lambda: "cannot be read: No such file or directory" in site.shown()["reason"], 30,
               lambda: f"the reason does not name the file: {site.shown()}")
    assert site.shown()["state"] == "healthy"
    # A change of something else is still possible.
    lab.control.patch("/v1/services/web", {"drain_timeout": "7s"})
    ca.write_text(content)
    wait_until(lambda: "not checked now" not in site.shown()["reason"], 30, lambda: f"not checked: {site.shown()}")
    site.becomes("healthy")


@pytest.mark.quick
def test_udp_compares_the_reply(site):
    server = site.spawn("check-udp", "/usr/bin/python3", _SERVERS, "udp", 9007, port=9007, protocol="udp")
    site.add({"type": "udp", "port": 9007, "send": "ping", "reply": "hex:706f6e67"})
    site.becomes("healthy", "udp check of port 9007 passes")
    site.set(send="hello")
    site.becomes("unhealthy", "a reply of 5 bytes is not equal to reply")
    site.set(reply=None)
    site.becomes("healthy")
    server.kill()
    site.becomes("unhealthy", "Connection refused")


@pytest.mark.quick
def test_grpc_asks_the_health_service(site):
    command = ["/usr/bin/python3", _SERVERS, "grpc", 50051]
    server = site.spawn("check-grpc", *command, "=SERVING", "cart=NOT_SERVING", port=50051)
    site.add({"type": "grpc", "port": 50051, "interval": "1s", "timeout": "900ms"})
    site.becomes("healthy", "grpc check of port 50051 passes")
    site.set(service="cart")
    site.becomes("unhealthy", 'service "cart" is NOT_SERVING')
    site.set(service="shop")
    site.becomes("unhealthy", 'the server does not know service "shop" (NOT_FOUND)')
    server.kill()
    site.becomes("unhealthy", "Connection refused")
    site.spawn("check-grpc-bare", *command, port=50051)
    site.becomes("unhealthy", "the server has no health service (UNIMPLEMENTED)")


@pytest.mark.quick
def test_grpc_over_tls(site):
    address = site.backend.address4
    ca, _ = make_certificate(site.dir, "ca", "", 30)
    certificate, key = make_certificate(site.dir, "server", f"IP:{address}", 5, issuer="ca")
    site.spawn("check-grpc", "/usr/bin/python3", _SERVERS, "grpc", 50051, "=SERVING", port=50051,
               env={"FAIRLEAD_TLS": f"{certificate},{key}"})
    site.add({"type": "grpc", "port": 50051, "interval": "1s", "timeout": "900ms",
              "tls": {"enabled": True, "ca_file": str(ca)}})
    site.becomes("healthy")
    # nginx without http2 does not offer h2.
    site.start_nginx(f"listen 8443 ssl; ssl_certificate {certificate}; ssl_certificate_key {key};")
    site.set(port=8443)
    site.becomes("unhealthy", f"the TLS server {address} does not offer h2 (ALPN)")
