#!/usr/bin/env python3
"""Boots a guest with Fairlead on emulated NICs, and opens a shell in it. Started by tools/vm/run.sh."""
import argparse
import os
import subprocess
import sys

from tests.guest.guest_lab import GuestLab
from tests.lab import LabError
from tools.vm.nics import MODELS

_TEXT = """
{accelerator} guest with {nics}. Fairlead runs on {pci} with two dsr backends. In the guest:
    fairctl status          fairctl stats --watch          journalctl -u fairlead-dataplane
From another terminal, as a client:
    ip netns exec {client} curl http://{vip}/
    ip netns exec {client} ssh -i {key} root@10.0.0.2
The guest's console is {console}. Leave the shell to end it all.
"""


def main():
    parser = argparse.ArgumentParser(prog="tools/vm/run.sh")
    parser.add_argument("--nic", nargs="+", default=["e1000e"], choices=list(MODELS), metavar="MODEL",
                        help=f"the guest's NICs; Fairlead uses the first ({', '.join(MODELS)})")
    parser.add_argument("build", nargs="?", default="build", help="the build folder with the programs")
    options = parser.parse_args()
    try:
        with GuestLab(options.build, options.nic) as lab:
            lab.start_guest()
            lab.serve(lab.guest.nics[0], modes=["dsr"])
            print(_TEXT.format(accelerator=lab.guest.accelerator, nics=", ".join(options.nic), vip=lab.vip4,
                               pci=lab.guest.nics[0].pci, client=lab.client.namespace.name, key=lab.guest.key,
                               console=lab.logs / "console.out"), flush=True)
            return subprocess.call(lab.guest.shell_command(), env={**os.environ, "TERM": "linux"})
    except LabError as error:
        print(f"run.sh: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
