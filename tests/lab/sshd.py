"""An OpenSSH server and client for the lab, with keys and configuration in the lab's folder."""
import pathlib

from tests.lab.process import run

_CONFIG = """
Port 22
HostKey {dir}/host_key
AuthorizedKeysFile {dir}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
"""


class SshServer:
    """Listens on port 22 of all addresses of the namespace.

    Needs root in the host's own user namespace, because sshd changes users.
    """

    def __init__(self, lab, namespace):
        self.dir = lab.dir / "ssh"
        self.dir.mkdir()
        for name in ("host_key", "user_key"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.dir / name])
        (self.dir / "sshd_config").write_text(_CONFIG.format(dir=self.dir))
        pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # as the system's ssh service makes it
        self.process = lab.spawn("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", self.dir / "sshd_config"], namespace)
        self.process.wait_listening(22)

    def command(self, address, *words):
        """The command line with which a client runs `words` on the server."""
        return ["ssh", "-F", "none", "-i", self.dir / "user_key", "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5",
                "-o", "IdentitiesOnly=yes", f"root@{address}", *words]
