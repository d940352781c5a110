"""The lab: topology, the backends' servers, the two Fairlead daemons. Documented in tests/lab/__init__.py."""
import atexit
import errno
import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import tempfile
import threading

from tests.lab.agent import Agent
from tests.lab.control import ControlClient
from tests.lab.load import LoadGenerator
from tests.lab.namespace import Namespace, new_run_name, sweep
from tests.lab.process import LabError, Process, run, wait_until

_HERE = pathlib.Path(__file__).resolve().parent
# With offloads, veth would deliver packets with partial checksums and merged packets. A physical link never does.
OFFLOADS_OFF = "tx off rx off tso off gso off gro off"

_NGINX = """
daemon off; master_process off; user root root; pid {dir}/pid; error_log {dir}/error.log; worker_rlimit_nofile 65536;
events {{ worker_connections 32768; multi_accept on; }}
http {{
  access_log off; keepalive_timeout 3600s; keepalive_requests 1000000000; client_header_timeout 3600s;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir};
  scgi_temp_path {dir}; default_type text/plain; server_tokens off; sendfile on; reset_timedout_connection off;
  server {{
    {listen}
    add_header X-Backend {name};
    add_header X-Client $remote_addr:$remote_port;
    location = / {{ return 200 "{name}\\n"; }}
    location /files/ {{ root {dir}; }}
  }}
}}
"""


class Host:
    """A namespace with one interface, eth0, on the switch."""

    def __init__(self, lab, name, mac, address4, address6):
        self.name = name
        self.mac = mac
        self.address4 = address4
        self.address6 = address6
        self.namespace = lab.make_namespace(name)
        lab.plug_in(self)


class Client(Host):
    """sources4, sources6: prefixes of local addresses. Programs may bind to any address in them."""

    def __init__(self, lab, number):
        block = (number - 1) * 64
        super().__init__(lab, f"client{number}", f"02:00:00:00:0c:{number:02x}",
                         f"198.51.100.{block + 7}", f"2001:db8:c::{number}:7")
        self.sources4 = f"198.51.100.{block}/26"
        self.sources6 = f"2001:db8:c::{number}:0/122"
        self.namespace.ip(
            f"address add {self.address4}/24 dev eth0", f"address add {self.address6}/64 dev eth0 nodad",
            f"route add local {self.sources4} dev lo", f"route add local {self.sources6} dev lo",
            "route add 203.0.113.0/24 dev eth0", "route add 2001:db8::/64 dev eth0",
            "route add 10.0.0.0/24 dev eth0", "route add 2001:db8:a::/64 dev eth0")
        # Tests choose the reserved ports themselves (first_port). The kernel must not give them to other flows.
        self.namespace.sysctl({"net.ipv4.ip_local_port_range": "10000 65000", "net.ipv4.tcp_tw_reuse": 1,
                               "net.ipv4.ip_local_reserved_ports": "20000-20999,30000-30999,40000-41999",
                               "net.ipv6.ip_nonlocal_bind": 1})


class Backend(Host):
    """A host with nginx (port 80) and a UDP echo server (port 7) after start(). Both answer `name`."""

    def __init__(self, lab, number):
        super().__init__(lab, f"backend{number}", f"02:00:00:00:0b:{number:02x}",
                         f"10.0.0.{10 + number}", f"2001:db8:a::{10 + number}")
        self._lab = lab
        self.nginx = None
        self.echo = None
        self.namespace.ip(f"address add {self.address4}/24 dev eth0", f"address add {self.address6}/64 dev eth0 nodad")
        self._clients = lab.clients
        self._add_routes()
        # docs/operations.md, "Backends for dsr": the frontends are on lo, and the host never answers ARP for them.
        self.namespace.sysctl({"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2,
                               "net.core.somaxconn": 8192, "net.ipv4.tcp_max_syn_backlog": 16384})
        for vip in lab.vips:
            self.add_vip(vip)

    def _add_routes(self):
        lines = ["route replace 198.51.100.0/24 dev eth0", "route replace 2001:db8:c::/64 dev eth0"]
        for client in self._clients:  # one next hop for all addresses of a client
            lines += [f"route replace {client.sources4} via {client.address4}",
                      f"route replace {client.sources6} via {client.address6}"]
        self.namespace.ip(*lines)

    def add_vip(self, vip):
        self.namespace.ip(f"address add {vip}/128 dev lo nodad" if ":" in vip else f"address add {vip}/32 dev lo")

    def start(self, ports=(80,)):
        """Kills servers of an earlier start, starts both servers, and waits until they listen."""
        self.kill()
        folder = self._lab.dir / self.name
        folder.mkdir(exist_ok=True)
        listen = " ".join(f"listen {port} backlog=8192; listen [::]:{port} backlog=8192;" for port in ports)
        (folder / "nginx.conf").write_text(_NGINX.format(dir=folder, name=self.name, listen=listen))
        self.nginx = self._lab.spawn(f"{self.name}-nginx", ["nginx", "-c", folder / "nginx.conf", "-p", folder,
                                                            "-e", folder / "error.log"], self.namespace)
        self.echo = self._lab.spawn(f"{self.name}-echo", ["/usr/bin/python3", _HERE / "udp_echo.py", self.name, 7],
                                    self.namespace)
        self.nginx.wait_listening(*ports)
        self.echo.wait_listening(7, protocol="udp")
        return self

    def write_file(self, name, size_bytes):
        """A file that nginx serves as /files/<name>."""
        folder = self._lab.dir / self.name / "files"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x" * size_bytes)

    def start_upload(self, port):
        """Starts a server that answers a POST with the SHA-256 of the body."""
        self._lab.spawn(f"{self.name}-upload", ["/usr/bin/python3", _HERE / "upload.py", port],
                        self.namespace).wait_listening(port)

    def answer_through(self, balancer4, balancer6):
        """Routes replies to clients through the balancer, as nat needs it."""
        lines = []
        for client in self._clients:
            lines += [f"route replace {client.sources4} via {balancer4}",
                      f"route replace {client.sources6} via {balancer6}"]
        self.namespace.ip(f"route replace 198.51.100.0/24 via {balancer4}",
                          f"route replace 2001:db8:c::/64 via {balancer6}", *lines)

    def kill(self):
        """Kills both servers. The kernel resets their connections."""
        for process in (self.nginx, self.echo):
            if process:
                process.kill()

    def unplug(self):
        """Takes the host's link down: it sends nothing any more, not even a reset."""
        self.namespace.ip("link set eth0 down")

    def plug_in_again(self):
        self.namespace.ip("link set eth0 up", f"address replace {self.address6}/64 dev eth0 nodad")
        self._add_routes()


class Lab:
    """See tests/lab/__init__.py. `build`: the build folder with the programs.

    `builds` is for tests with programs of several releases: {a program's path in its build folder: its build folder}.
    """

    vip4 = "203.0.113.10"
    vip6 = "2001:db8::10"

    def __init__(self, build, backends=4, clients=1, extra_vips=()):
        self.build = pathlib.Path(build).resolve()
        self.builds = {}
        self.vips = [self.vip4, self.vip6, *extra_vips]
        self.name = new_run_name()
        self.control = None
        self.dataplane = None
        self.fairleadd = None
        self._counts = (clients, backends)
        self._namespaces = []
        self._processes = []
        self._numbers = {}
        self._agents = []
        self._closed = False
        self._lock = threading.RLock()
        self.clients, self.backends = [], []

    # ---- start and end ----------------------------------------------------------------------------------------------

    def __enter__(self):
        _exit_on_signals()
        sweep()
        atexit.register(self.close)
        try:
            self.dir = pathlib.Path(tempfile.mkdtemp(prefix=self.name + "-"))
            self.logs = self.dir / "logs"
            self.logs.mkdir()
            self.link_path = self.dir / "dataplane.sock"
            self.socket_path = self.dir / "control.sock"
            self.store_path = self.dir / "fairlead.db"
            self._make_network()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends and removes everything. It may be called several times."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            old = _hold_signals()
            try:
                self._remove()
            finally:
                _release_signals(old)
            atexit.unregister(self.close)

    def _remove(self):
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM if process in (self.dataplane, self.fairleadd) else signal.SIGKILL)
        for process in reversed(self._processes):
            process.stop(timeout_s=3)
        for agent in self._agents:
            agent.close()
        for namespace in reversed(self._namespaces):
            # Processes that the lab's children started.
            for pid in namespace.pids():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            namespace.delete()
        for folder in (getattr(self, "dir", None), pathlib.Path("/run/dpdk") / self.name):
            if folder:
                shutil.rmtree(folder, ignore_errors=True)

    def spawn(self, name, argv, namespace=None, **kwargs):
        """Starts a process of this lab. It ends with the lab at the latest."""
        process = Process(name, argv, self.logs, namespace, **kwargs)
        self._processes.append(process)
        return process

    def make_namespace(self, role):
        namespace = Namespace(f"{self.name}-{role}")
        self._namespaces.append(namespace)
        return namespace

    # ---- the network ------------------------------------------------------------------------------------------------

    def _make_network(self):
        self.switch = self.make_namespace("switch")
        # Like most switches, it forwards multicast only to members of the group.
        self.switch.ip("link add name br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_mld_version 2 "
                       "forward_delay 0", "link set br0 up")
        # If the host has loaded br_netfilter, bridges drop packets with wrong IP headers. A switch does not look at them.
        self.switch.run("sh", "-c", "for path in /proc/sys/net/bridge/bridge-nf-call-*; do "
                                    "[ ! -e $path ] || echo 0 > $path; done")
        self._add_balancer()
        for _ in range(self._counts[0]):
            self.clients.append(Client(self, len(self.clients) + 1))
        for _ in range(self._counts[1]):
            self.add_backend()

    def _add_balancer(self):
        self.balancer = Host(self, "balancer", "02:00:00:00:00:02", "10.0.0.2", "2001:db8:a::2")
        self.balancer.namespace.ip("address add 10.0.0.2/24 dev eth0",
                                   "address add 2001:db8:a::2/64 dev eth0 nodad",
                                   "route add 198.51.100.0/24 dev eth0", "route add 2001:db8:c::/64 dev eth0",
                                   # docs/operations.md, "AF_PACKET": drop the kernel's copies of frontends' packets
                                   "route add blackhole 203.0.113.0/24", "route add blackhole 2001:db8::/64")

    @property
    def client(self):
        return self.clients[0]

    def plug_in(self, host):
        """Makes a veth from the host's eth0 to the switch, without offloads on both ends."""
        self.switch.ip(f"link add name {host.name} type veth peer name eth0 address {host.mac} netns "
                       f"{host.namespace.name}", f"link set {host.name} master br0 up")
        self.switch.run("ethtool", "-K", host.name, *OFFLOADS_OFF.split())
        host.namespace.run("ethtool", "-K", "eth0", *OFFLOADS_OFF.split())
        host.namespace.ip("link set eth0 up")

    def add_backend(self):
        """Adds a host with the frontends on lo. start() starts its servers."""
        backend = Backend(self, len(self.backends) + 1)
        self.backends.append(backend)
        return backend

    def start_backends(self):
        for backend in self.backends:
            if not backend.nginx:
                backend.start()

    # ---- the programs -----------------------------------------------------------------------------------------------

    def program(self, path):
        program = pathlib.Path(self.builds.get(path, self.build)).resolve() / path
        if not program.exists():
            raise LabError(f"{program} does not exist; build it")
        return program

    def start_dataplane(self, workers=1, extra=(), eal=(), wait=True, device="af_packet:eth0", port=None, env=None,
                        wrapper=()):
        """Starts the dataplane on the balancer's eth0, without hugepages.

        `port`: the port's settings in dataplane.yaml besides name and device. `wrapper`: words before the program, of
        a command that calls exec().
        """
        config = self.dir / "dataplane.yaml"  # JSON is YAML
        config.write_text(json.dumps({"ports": [{"name": "wan", "device": device, **(port or {})}]}))
        self.dataplane = self.spawn(
            self._numbered("dataplane"),
            [*wrapper, self.program("dataplane/fairlead-dataplane"), "--config", config, "--workers", workers,
             "--link", self.link_path, *extra, "--",
             "--no-huge", "--no-pci", "-m", "512", f"--file-prefix={self.name}", *eal],
            self.balancer.namespace, env=env)
        if wait:
            self._wait_for_socket(self.dataplane, self.link_path, 30)
        return self.dataplane

    def comes_up(self, dataplane):
        """Waits until it is ready (True) or has ended (False)."""
        return wait_until(lambda: "no" if not dataplane.running() else _accepts(self.link_path) and "yes", 30,
                          lambda: f"{dataplane.name} does not listen on {self.link_path}\n{dataplane.tail()}") == "yes"

    def telemetry(self, command):
        """The answer of the dataplane's rte_telemetry to a command such as "/fairlead/ports,wan"."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.settimeout(5)
            asking.connect(f"/run/dpdk/{self.name}/dpdk_telemetry.v2")
            longest = json.loads(asking.recv(1024))["max_output_len"]
            asking.send(command.encode())
            return json.loads(asking.recv(longest))[command.split(",")[0]]

    def start_control(self, extra=(), wait=True, env=None):
        self.fairleadd = self.spawn(
            self._numbered("fairleadd"),
            [self.program("controlplane/fairleadd"), "--socket", self.socket_path, "--store", self.store_path,
             "--link", self.link_path, *extra],
            self.balancer.namespace, env=env)
        self.control = ControlClient(self.socket_path)
        if wait:
            self._wait_for_socket(self.fairleadd, self.socket_path, 30)
        if wait and self.dataplane and self.dataplane.running():
            wait_until(lambda: self.control.get("/v1/status")["dataplane"]["connected"], 30,
                       lambda: f"fairleadd is not connected to the dataplane\n{self.fairleadd.tail()}")
        return self.fairleadd

    def _wait_for_socket(self, process, path, timeout_s):
        """Waits until the process accepts connections there. The socket file may be left over from a dead process."""
        def answers():
            process.require_running()
            return _accepts(path)
        wait_until(answers, timeout_s, lambda: f"{process.name} does not listen on {path}\n{process.tail()}")

    def fairctl(self, *arguments, check=True, timeout_s=60):
        """Runs fairctl. Returns its result (returncode, stdout, stderr). With `check`, raises LabError if it fails."""
        return run([self.program("tools/fairctl/fairctl"), "--socket", self.socket_path, *arguments], check=check,
                   timeout_s=timeout_s)

    def fairctl_json(self, *arguments, timeout_s=60):
        return json.loads(self.fairctl("--json", *arguments, timeout_s=timeout_s).stdout)

    def start_fairctl(self, *arguments):
        """Starts fairctl in the background, for --wait and --watch."""
        return self.spawn(self._numbered("fairctl"),
                          [self.program("tools/fairctl/fairctl"), "--socket", self.socket_path, *arguments])

    def attach_agent(self, backend, *options, balancers=("10.0.0.2", "2001:db8:a::2")):
        """Attaches fairlead-agent on the backend. It accepts tunnels from these balancers."""
        agent = Agent(self, backend)
        self._agents.append(agent)
        return agent.attach(balancers, *options)

    def start_load(self, client=None, **kwargs):
        """Starts a LoadGenerator in the client (default: the first). See load.py for the arguments."""
        load = LoadGenerator(self.program("tests/lab/fairlead-loadgen"), client or self.client, self.logs,
                             self._numbered("load"), **kwargs)
        self._processes.append(load.process)
        return load

    def backends_of(self, service):
        """The service's backends from the API: {address: row}."""
        answer = self.control.get(f"/v1/services/{service}/backends")
        rows = answer["backends"] if isinstance(answer, dict) else answer
        return {row["address"]: row for row in rows}

    def wait_healthy(self, service, count, timeout_s=20):
        """Waits until `count` backends of the service are healthy or unchecked, and all changes are in force."""
        def ready():
            rows = self.backends_of(service)
            return sum(row["state"] in ("healthy", "unchecked") for row in rows.values()) == count and self.in_force()
        wait_until(ready, timeout_s, lambda: f"{service} does not have {count} healthy backends in force: "
                                             f"{self.backends_of(service)}")

    def longest_pause_s(self):
        """The longest time in which a worker did not poll its ports. Tells a worker without a CPU from a defect."""
        return max(self.control.get("/v1/stats")["dataplane"]["longest_pauses_us"]) / 1e6

    def in_force(self):
        """True if the dataplane has acknowledged the newest generation."""
        status = self.control.get("/v1/status")
        return bool(status["dataplane"]["connected"]) and \
            status["dataplane"]["generation"] == status["generation"]

    def tails(self, lines=30):
        """The end of every log, for the report of a failed test."""
        texts = [process.tail(lines) for process in self._processes if process.out_path.exists()]
        return "\n".join(text for text in texts if text)

    def _numbered(self, name):
        with self._lock:
            number = self._numbers[name] = self._numbers.get(name, 0) + 1
        return name if number == 1 else f"{name}{number}"


def _accepts(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        try:
            stream.connect(str(path))
            return True
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:  # EPROTOTYPE: it is a SOCK_SEQPACKET socket
                return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as packets:
        try:
            packets.connect(str(path))
            packets.settimeout(5)
            return len(packets.recv(4096)) > 0  # the dataplane listens before it is ready; then it sends Hello
        except OSError:
            return False


def _exit_on_signals():
    """Makes SIGTERM and SIGHUP end the program by an exception, so that labs are cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda n, _: sys.exit(128 + n))


def _hold_signals():
    if threading.current_thread() is not threading.main_thread():
        return None
    held = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    return {number: signal.signal(number, signal.SIG_IGN) for number in held}


def _release_signals(old):
    for number, handler in (old or {}).items():
        signal.signal(number, handler)
