"""A host whose eth0 a dataplane's port (steering_port.cc) shares with the kernel, and its neighbour."""
import queue
import re
import subprocess
import threading

from tests.agent.host import BACKEND_MAC, BUILD, Host
from tests.lab.process import LabError, wait_until

PROGRAM = BUILD / "tests/steering/steering-port"
FRAME = re.compile(r"^frame ([0-9a-f]+)$")


class Port:
    """One steering-port process. `frames` holds what its socket received."""

    def __init__(self, namespace):
        if not PROGRAM.exists():
            raise LabError(f"{PROGRAM} is not built")
        self.frames = queue.Queue()
        self._answers = queue.Queue()
        self.errors = []
        self._child = subprocess.Popen(namespace.command([str(PROGRAM), "eth0", "-l", "0"]), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        self._readers = [threading.Thread(target=self._read_output, daemon=True),
                         threading.Thread(target=self._read_errors, daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read_output(self):
        for line in self._child.stdout:
            if match := FRAME.match(line):
                self.frames.put(bytes.fromhex(match[1]))
            elif re.match(r"^(ready|set|counts|attached|failed) ", line):  # the EAL prints lines too
                self._answers.put(line.strip())
        self._answers.put(None)

    def _read_errors(self):
        self.errors.extend(self._child.stderr)

    def answer(self, timeout_s=30):
        """The next answer; None when the process has ended."""
        return self._answers.get(timeout=timeout_s)

    def ready(self):
        """Waits until the port receives. Returns its XDP program's id."""
        line = self.answer()
        if not line:
            self._child.wait()
            self._readers[1].join()
            raise LabError("steering-port: " + "".join(self.errors[-8:]))
        return int(line.split()[1])

    def ask(self, *words):
        self._child.stdin.write(" ".join(words) + "\n")
        self._child.stdin.flush()
        return self.answer()

    def quit(self):
        self._child.stdin.write("quit\n")
        self._child.stdin.flush()
        if self._child.wait(30) != 0:
            raise LabError("steering-port: " + "".join(self.errors[-40:]))

    def kill(self):
        self._child.kill()
        self._child.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass


class SharedNic(Host):
    """tests/agent/host.py's two namespaces; here `backend` is the balancer, without frontends on lo."""

    def __init__(self):
        super().__init__()
        self._ports = []

    def __enter__(self):
        super().__enter__()
        try:
            self.backend.ip("address flush dev lo scope global")
        except BaseException:
            self.close()
            raise
        return self

    def close(self):
        for port in self._ports:
            port.kill()
        super().close()

    def start(self):
        port = Port(self.backend)
        self._ports.append(port)
        return port

    def start_ready(self, *frontends):
        port = self.start()
        port.program_id = port.ready()
        if frontends:
            port.ask("set", *frontends)
        return port

    def xdp_programs(self):
        link = self.backend.run("ip", "-d", "link", "show", "eth0").stdout
        return re.findall(r"prog/xdp id \d+ name (\w+)", link)


def arrives_at_socket(port, frame, timeout_s=20):
    """True once the port has received this frame. Ignores other frames before it."""
    def found():
        while True:
            try:
                if port.frames.get_nowait() == frame:
                    return True
            except queue.Empty:
                return False
    try:
        return wait_until(found, timeout_s, "the frame")
    except LabError:
        return False


def arrives_at_kernel(packets, frame):
    """True once an AF_PACKET socket has received this frame: such sockets see what XDP passes to the kernel. The kernel has
    removed the outer VLAN tag by then."""
    if frame[12:14] in (b"\x81\x00", b"\x88\xa8"):
        frame = frame[:12] + frame[16:]
    packets.settimeout(20)
    try:
        while packets.recv(65536) != frame:
            pass
        return True
    except TimeoutError:
        return False


__all__ = ["BACKEND_MAC", "Port", "SharedNic", "arrives_at_kernel", "arrives_at_socket"]
