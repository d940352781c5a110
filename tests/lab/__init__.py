"""The network lab: clients, one balancer and real backends in network namespaces, on one Linux host.

            switch (a bridge in its own namespace)
          ____________|_______________________
         |        |         |         |       |
      client1  balancer  backend1  backend2  ...

All hosts are on one layer-2 network, as direct server return needs it. The frontends' and clients' addresses are from
the documentation ranges:

    frontends   203.0.113.0/24, 2001:db8::/64       lab.vip4 = 203.0.113.10, lab.vip6 = 2001:db8::10
    clients     198.51.100.0/24, 2001:db8:c::/64    client N may use any address of client.sources4 / sources6
    balancer    10.0.0.2, 2001:db8:a::2             eth0; its kernel has no frontend address and does not forward
    backend N   10.0.0.(10+N), 2001:db8:a::(10+N)   frontends on lo; it does not announce them or answer ARP for them

Typical use:

    from tests.lab import Lab, enter_namespace_rights
    enter_namespace_rights()                      # without root: starts this program again in `unshare -Urnm`
    with Lab(build="build", backends=4) as lab:
        lab.start_backends()                      # nginx on port 80, UDP echo on port 7; both answer the backend's name
        lab.start_dataplane()
        lab.start_control()
        lab.fairctl("service", "add", "web", "--frontend", f"{lab.vip4}:80/tcp", "--forwarding", "dsr")
        for backend in lab.backends:
            lab.fairctl("backend", "add", "web", backend.address4)
        lab.wait_healthy("web", 4)
        load = lab.start_load(targets=[f"{lab.vip4}:80"], keep=50, new_per_second=200)
        ...
        print(load.stop())                        # the final figures, a dict

Rules:
- Any number of labs can run side by side: names contain this process's pid, its start time and a number.
- A lab removes the remains of earlier runs only if the process that made them has ended.
- At the end of the `with` block, on exceptions, SIGINT and SIGTERM, the lab ends each of its processes by pid and
  removes its namespaces and folders.
- The lab makes nothing in the host's own network namespace, and sends nothing out of its namespaces.
"""
from tests.lab.control import ApiError, ControlClient
from tests.lab.lab import Backend, Client, Lab
from tests.lab.load import LoadGenerator
from tests.lab.namespace import Namespace, enter_namespace_rights, sweep
from tests.lab.process import LabError, Process, wait_until

__all__ = ["ApiError", "Backend", "Client", "ControlClient", "Lab", "LabError", "LoadGenerator", "Namespace",
           "Process", "enter_namespace_rights", "sweep", "wait_until"]
