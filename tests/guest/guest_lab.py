"""A lab (tests/lab) whose balancer is a QEMU guest with emulated PCI NICs.

            switch (a bridge in its own namespace; QEMU runs here)
          ____________|______________________________
         |        |         |         |       |      |
      client1  client2   tap0 ...  backend1  backend2
                          guest: NIC bound to VFIO, Fairlead, `wan0` with 10.0.0.2 and 2001:db8:a::2

Each forwarding mode has a service with frontends of both families, and addresses of its own. TCP port 80 is nginx,
port 81 takes uploads, UDP port 7 echoes. The backends route replies to client2 through the balancer, as nat needs it:
client2 uses the nat services, client1 all others.
"""
import contextlib
import http.client
import json
import re
import shlex
import subprocess

from tests.lab import ControlClient, Lab, LabError, wait_until
from tests.lab.lab import OFFLOADS_OFF
from tools.vm.guest import Guest
from tools.vm.nics import MODELS, Nic

MODES = ("dsr", "nat", "ipip", "gue")
STATIC = "static"  # a dsr service without checks, whose backends have MAC addresses: it needs no kernel
VIPS = {name: (f"203.0.113.{10 + i}", f"2001:db8::1{i}") for i, name in enumerate((*MODES, STATIC))}
TCP, UPLOAD, ECHO = 80, 81, 7

# Soon finds a backend that serves, and is slow to find one that fails: an emulated CPU may pause for long.
_CHECK = {"type": "tcp", "interval": "1s", "timeout": "800ms", "rise": 1, "fall": 6}

_ADDRESSES = "Address=10.0.0.2/24\nAddress=2001:db8:a::2/64\n"
_ROUTES = "[Route]\nDestination=198.51.100.0/24\n[Route]\nDestination=2001:db8:c::/64\n"


_UNIT = "fairlead-dataplane"
_NOTE_START = f"id=$(systemctl show -p InvocationID --value {_UNIT})"  # the last start; none once it has ended well
_LOG_OF_START = "journalctl -o cat _SYSTEMD_INVOCATION_ID=$id"

# Run in the guest: asks rte_telemetry.
_TELEMETRY = """
import socket, sys
asking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
asking.connect(sys.argv[1])
asking.recv(1024)
asking.send(sys.argv[2].encode())
print(asking.recv(65536).decode())
"""


def _network(name, addresses, routes, *lines):
    """The text of a .network file."""
    return "\n".join([f"[Match]\nName={name}\n[Network]", "IgnoreCarrierLoss=yes", "IPv6AcceptRA=no",
                      "IPv6DuplicateAddressDetection=0", *lines, addresses + routes])


class DataplaneEnded(LabError):
    """The dataplane ended while it started. `sentence`: why, as it said; `hung`: a step took too long."""

    def __init__(self, log):
        said = re.findall(r"^(?:fairlead-dataplane: |\S+ error |\S+ warning (?=ended by ))(.*)", log, re.M)
        self.sentence = said[-1] if said else "(it said nothing)"
        self.hung = self.sentence.startswith("ended by SIGTERM")
        super().__init__(f"the dataplane ended at the start: {self.sentence}\n{log}")


class GuestLab(Lab):
    """`models`: the NICs of the guest (tools/vm/nics.py). use() chooses the ones that Fairlead uses.

    `removable`: the numbers of the NICs that can be unplugged.
    """

    def __init__(self, build, models, backends=2, removable=()):
        extra = [address for name in ("ipip", "gue", STATIC) for address in VIPS[name]]
        super().__init__(build, backends=backends, clients=2, extra_vips=extra)
        self.guest = None
        self._models = models
        self._removable = removable
        self.kills = 0  # of the dataplane, since it was started
        self.notes = []  # what tests want to have in the table of NICs

    def _add_balancer(self):
        self.balancer = None

    def start_guest(self):
        """Boots the guest and starts the backends. No dataplane runs yet."""
        nics = [Nic(model, f"tap{i}", f"02:00:00:00:01:{i:02x}", i, i in self._removable)
                for i, model in enumerate(self._models)]
        self.guest = Guest(self, self.switch, nics)
        self.guest.start()
        self.socket_path = self.guest.socket_path
        self.control = ControlClient(self.socket_path, timeout_s=30)
        for nic in nics:
            self.switch.ip(f"link set {nic.tap} master br0")
            self.switch.run("ethtool", "-K", nic.tap, *OFFLOADS_OFF.split(), check=False)
        self.start_backends()

    def start_backends(self):
        for backend in self.backends:
            backend.start(ports=(TCP,))
            backend.start_upload(UPLOAD)
            client = self.clients[1]
            backend.namespace.ip(*(f"route replace {network} via {balancer}" for network, balancer in (
                (client.sources4, "10.0.0.2"), (client.sources6, "2001:db8:a::2"),
                (client.address4, "10.0.0.2"), (client.address6, "2001:db8:a::2"))))

    # ---- the programs in the guest ----------------------------------------------------------------------------------

    def use(self, *nics):
        """Binds these NICs to VFIO, and unbinds the guest's others, whose links are down.

        Else the host would keep frames for them, such as announcements, until another test uses them.
        """
        self.guest.bind(*nics)
        for nic in self.guest.nics:
            self.switch.ip(f"link set {nic.tap} {'up' if nic in nics else 'down'}")
        self.nics = nics

    def port(self, device):
        """The settings of the port `wan`."""
        return {"name": "wan", "device": device, "kernel": "tap:wan0", "addresses": ["10.0.0.2", "2001:db8:a::2"],
                "gateway": self.clients[1].mac, "announce_vlans": ["untagged", 20]}  # 20: trunk.bpf.c

    def start_dataplane(self, workers=1, mtu=1500, ports=None, kernel=True, extra=""):
        """Starts the dataplane with the port `wan` on the first NIC. Its addresses come by configure_network().

        Several workers share the packets of a NIC that does not spread them in software.

        `ports`: other ports instead, as in dataplane.yaml. `extra`: further options. Returns when it is ready. Raises
        DataplaneEnded if it ends.
        """
        nic = self.nics[0]
        spread = "auto" if workers == 1 or MODELS[nic.model].spreads else "software"
        ports = ports or [{**self.port(nic.pci), **({} if kernel else {"kernel": None}), "mtu": mtu, "spread": spread}]
        ports = [{key: value for key, value in port.items() if value is not None} for port in ports]
        config = {"workers": workers, "ports": ports, "flow_table": {"records": 65536}}
        self.guest.ssh("cat > /etc/fairlead/dataplane.yaml && "
                       f"echo 'FAIRLEAD_DATAPLANE_OPTIONS=\"--verbose {extra}\"' > /etc/default/fairlead-dataplane",
                       input=json.dumps(config))  # JSON is YAML
        self.kills = 0
        # `systemctl start` returns when the dataplane is ready or has failed.
        started = self.guest.ssh(f"since=$(date +%s); systemctl start {_UNIT} && exit; systemctl stop {_UNIT}; "
                                 f"journalctl -q -o cat -u {_UNIT} --since @$since; false", check=False)
        if started.returncode != 0:
            raise DataplaneEnded(started.stdout)

    def serve(self, *nics, tags=(), modes=MODES, **options):
        """Starts the dataplane on the first of these NICs, and returns when the services of `modes` are in force.

        `tags`: configure_network(). `options`: start_dataplane().
        """
        self.use(*nics)
        self.start_dataplane(**options)
        self.tag(*tags)
        self.configure_network(*tags)
        self.add_services(modes)
        self.wait_all_healthy()

    def dataplane_log(self):
        """What it logged since it was started last. It must run."""
        return self.guest.ssh(f"{_NOTE_START}; {_LOG_OF_START}").stdout

    def end_dataplane(self):
        """Ends it if it runs, whatever state it is in."""
        self.guest.ssh(f"systemctl stop {_UNIT}")

    def kill_dataplane(self):
        """Kills it with SIGKILL. Returns when fairleadd is connected to the one that systemd has started then."""
        before = self._dataplane()["pid"]
        self.kills += 1
        self.guest.ssh(f"systemctl kill -s KILL {_UNIT}")
        wait_until(lambda: self._dataplane().get("pid") not in (None, 0, before), 60 * self.guest.patience,
                   lambda: f"systemd does not restart the dataplane\n{self.tails()}", 0.2)

    def stop_dataplane(self):
        """Ends it as systemd does, and returns its report. Asserts that it ended no other time, and that counts add up."""
        restarts, _, log = self.guest.ssh(
            f"{_NOTE_START}; systemctl show -p NRestarts --value {_UNIT}; systemctl stop {_UNIT}; {_LOG_OF_START}"
        ).stdout.partition("\n")
        assert restarts == str(self.kills), f"the dataplane ended by itself; restarts: {restarts}\n{self.tails()}"
        reports = [line for line in log.splitlines() if line.startswith("{")]
        assert len(reports) == 1, f"the dataplane wrote no report when it ended:\n{log[-3000:]}"
        report = json.loads(reports[0])
        short = {key: report[key] for key in ("rx", "tx", "generated", "to_kernel", "drops", "mbufs_in_use")}
        assert report["rx"] + report["generated"] == \
            report["tx"] + sum(report["drops"].values()) + report["to_kernel"], short
        assert report["mbufs_in_use"] == 0, short
        return report

    def dpdk_telemetry(self, command):
        """The answer of the dataplane's rte_telemetry to a command such as "/ethdev/xstats,0"."""
        answer = self.guest.ssh(f"path=$(find /run -name dpdk_telemetry.v2) && python3 -IS - $path {command}",
                                input=_TELEMETRY).stdout
        return json.loads(answer)[command.split(",")[0]]

    def wait_connected(self):
        """Waits until fairleadd, which runs since it was installed, is connected to the dataplane."""
        wait_until(lambda: self._dataplane().get("connected"), 30 * self.guest.patience,
                   "fairleadd is not connected to the dataplane", 0.2)

    def _dataplane(self):
        """What fairleadd says of the dataplane."""
        try:
            return self.control.get("/v1/status")["dataplane"]
        except (OSError, http.client.HTTPException):
            return {}  # not listening yet: SSH closes the forwarded connection

    # ---- the network of the guest -----------------------------------------------------------------------------------

    def configure_network(self, *tags, addresses_on=None):
        """Gives `wan0` the balancer's addresses and routes. With tags (outer first), the VLAN interface of the last
        one gets them. `addresses_on`: another interface for the addresses alone.

        The configuration is systemd-networkd's, as in docs/operations.md.
        """
        names = ["wan0", *(f"wan0.{'.'.join(map(str, tags[:i + 1]))}" for i in range(len(tags)))]
        files = {}
        for i, name in enumerate(names):
            inner = names[i + 1:i + 2]
            files[f"2{i}-{name}.network"] = _network(name, "" if inner or addresses_on else _ADDRESSES,
                                                     "" if inner else _ROUTES, *(f"VLAN={each}" for each in inner))
            if i:
                # 802.1ad: the outer of two tags
                protocol = "802.1ad" if inner else "802.1q"
                files[f"2{i}-{name}.netdev"] = \
                    f"[NetDev]\nName={name}\nKind=vlan\n[VLAN]\nId={tags[i - 1]}\nProtocol={protocol}\n"
        if addresses_on:
            files[f"29-{addresses_on}.network"] = _network(addresses_on, _ADDRESSES, "")
        name = addresses_on or names[-1]
        # With what the shell itself can do, where possible: an emulated CPU takes long to start a program.
        lines = ["cd /sys/class/net", "for i in wan0.*.* wan0.*; do [ ! -e $i ] || ip link delete $i; done",
                 "cd /etc/systemd/network", "rm -f 2*"]
        lines += [f"printf %s {shlex.quote(text)} > {file}" for file, text in files.items()]
        lines += ["networkctl reload", f"networkctl reconfigure wan0 {addresses_on or ''}",
                  f"for i in $(seq {50 * self.guest.patience}); do",
                  f"  case $(ip -br address show {name} 2>/dev/null) in *10.0.0.2/24*) exit;; esac; sleep 0.2",
                  "done; ip address; exit 1"]
        self.guest.ssh("\n".join(lines))

    def set_mtu(self, mtu):
        """Of all links outside the guest."""
        self.switch.ip(*(f"link set {name} mtu {mtu}" for name in self._switch_ports()))
        for host in (*self.clients, *self.backends):
            host.namespace.ip(f"link set eth0 mtu {mtu}")

    def _switch_ports(self):
        return ["br0", *(host.name for host in (*self.clients, *self.backends)), *(nic.tap for nic in self.guest.nics)]

    def tag(self, *tags):
        """Makes the switch's ports to the guest carry these VLAN tags (outer first), or none (trunk.bpf.c)."""
        program = self.program("tests/lab/trunk.bpf.o")
        for nic in self.guest.nics:
            self.switch.run("tc", "qdisc", "del", "dev", nic.tap, "clsact", check=False)
            if not tags:
                continue
            section = {1: "vlan", 2: "qinq"}[len(tags)]
            self.switch.run("tc", "qdisc", "add", "dev", nic.tap, "clsact")
            for hook, direction in (("egress", "push"), ("ingress", "pop")):
                self.switch.run("tc", "filter", "add", "dev", nic.tap, hook, "bpf", "direct-action", "obj", program,
                                "sec", f"tc/{direction}_{section}")

    # ---- services and traffic ---------------------------------------------------------------------------------------

    def add_services(self, modes=MODES):
        """A service for each mode (nat: one for each family), with health checks. Does nothing if there are some."""
        self.wait_connected()
        if self.control.get("/v1/services")["services"]:
            return
        for mode in modes:
            if mode in ("ipip", "gue") and not self._agents:
                for backend in self.backends:
                    self.attach_agent(backend, "--hook", "tc")  # XDP on veth refuses jumbo frames
            families = [(4,), (6,)] if mode == "nat" else [(4, 6)]
            for each in families:
                addresses = [VIPS[mode][0] if number == 4 else f"[{VIPS[mode][1]}]" for number in each]
                six = each == (6,)
                self.control.post("/v1/services", {
                    "name": mode + ("6" if six else ""), "forwarding": mode, "health_check": _CHECK,
                    "frontends": [f"{address}:{port}" for address in addresses
                                  for port in (f"{TCP}/tcp", f"{UPLOAD}/tcp", f"{ECHO}/udp")],
                    "backends": [backend.address6 if six else backend.address4 for backend in self.backends]})
        self.control.post("/v1/services", {
            "name": STATIC, "forwarding": "dsr", "health_check": {"type": "none"},
            "frontends": [f"{VIPS[STATIC][0]}:{port}/tcp" for port in (TCP, UPLOAD)],
            "backends": [{"address": backend.address4, "mac": backend.mac} for backend in self.backends]})

    def wait_all_healthy(self, timeout_s=None):
        """Waits until every backend is healthy in all services, and all changes are in force."""
        def states():
            return {(service["name"], row["address"]): row["state"]
                    for service in self.control.get("/v1/services")["services"]
                    for row in self.backends_of(service["name"]).values()}
        wait_until(lambda: set(states().values()) <= {"healthy", "unchecked"} and self.in_force(),
                   timeout_s or 40 * self.guest.patience,
                   lambda: f"not all backends are healthy: {states()}\n{self.control.get('/v1/status')}", 0.2)

    def client_of(self, mode):
        return self.clients[1 if mode == "nat" else 0]

    def packets_by_worker(self):
        """The packets that each worker has received."""
        return self.control.get("/v1/stats")["dataplane"]["rx_by_worker"]

    def note(self, text):
        self.notes.append(text)

    def tails(self, lines=10):
        """The end of all logs, also those in the guest, for the report of a failed test."""
        texts = [super().tails(lines)]
        if self.guest:
            texts.append(self.guest.console())
            with contextlib.suppress(LabError, OSError, subprocess.TimeoutExpired):
                texts.append(self.guest.ssh(
                    "systemctl status --no-pager -n 0 fairlead-dataplane fairleadd; journalctl -o cat -n 30 -u fairlead-dataplane; "
                    "journalctl -o cat -n 30 -u fairleadd; ip address; ip route; fairctl status", check=False).stdout)
        return "\n".join(texts)
