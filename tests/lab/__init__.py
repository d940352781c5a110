"""The network lab: clients, one balancer and real backends in network namespaces, on one Linux host.

            switch (a bridge in its own namespace)
          ____________|_______________________
         |        |         |         |       |
      client1  balancer  backend1  backend2  ...

Everything is on one layer-2 network, as direct server return needs it; every address is from the documentation ranges:

    frontends   203.0.113.0/24, 2001:db8::/64       lab.vip4 = 203.0.113.10, lab.vip6 = 2001:db8::10
    clients     198.51.100.0/24, 2001:db8:c::/64    client N may use any address of client.sources4 / sources6
    balancer    10.0.0.2, 2001:db8:a::2             eth0; the kernel there does not have the frontends, nor does it forward
    backend N   10.0.0.(10+N), 2001:db8:a::(10+N)   frontends on lo, neither announced nor answered for

Typical use:

    from tests.lab import Lab, enter_namespace_rights
    enter_namespace_rights()                      # no root? starts this program again in `unshare -Urnm`
    with Lab(build="build", backends=4) as lab:
        lab.start_backends()                      # nginx on port 80 and a UDP echo server on port 7, each saying its name
        lab.start_dataplane()
        lab.start_control()
        lab.fairctl("service", "add", "web", "--frontend", f"{lab.vip4}:80/tcp", "--forwarding", "dsr")
        for backend in lab.backends:
            lab.fairctl("backend", "add", "web", backend.address4)
        lab.wait_healthy("web", 4)
        load = lab.start_load(targets=[f"{lab.vip4}:80"], keep=50, new_per_second=200)
        ...
        print(load.stop())                        # the final figures, a dict

Rules that hold always:
- names hold this process's pid, its start time and a number, so that any number of labs run side by side; leftovers of a run are
  removed by a later one only when the process that made them is gone;
- every process is ended by its own pid, every namespace and folder removed, on leaving the `with`, on exceptions, SIGINT and SIGTERM;
- nothing is made in the host's own network namespace, and nothing leaves the namespaces.
"""
from tests.lab.control import ApiError, ControlClient
from tests.lab.lab import Backend, Client, Lab
from tests.lab.load import LoadGenerator
from tests.lab.namespace import Namespace, enter_namespace_rights, sweep
from tests.lab.process import LabError, Process, wait_until

__all__ = ["ApiError", "Backend", "Client", "ControlClient", "Lab", "LabError", "LoadGenerator", "Namespace",
           "Process", "enter_namespace_rights", "sweep", "wait_until"]
