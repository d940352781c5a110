"""Servers for health checks, on one backend: a gRPC health service, or a UDP server that answers "ping" with "pong".

    check_servers.py udp PORT
    check_servers.py grpc PORT SERVICE=STATE ...    SERVICE may be empty; STATE: SERVING or NOT_SERVING
    check_servers.py grpc PORT                      a gRPC server without the health service
    FAIRLEAD_TLS=CERTIFICATE,KEY: gRPC over TLS
"""
import concurrent.futures
import os
import socket
import sys

STATES = {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2}


def serve_udp(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", port))
    while True:
        request, client = server.recvfrom(2048)
        server.sendto(b"pong" if request == b"ping" else b"what?", client)


def serve_grpc(port, states):
    import grpc  # only here: the UDP server needs no package

    def check(request, context):
        # HealthCheckRequest: field 1 is the service's name.
        name = request[2:].decode() if request else ""
        if name not in states:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return bytes([0x08, STATES[states[name]]])  # HealthCheckResponse: field 1 is the state

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=2))
    if states:
        handler = grpc.unary_unary_rpc_method_handler(check)  # takes and returns bytes
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health",
                                                                              {"Check": handler}),))
    if "FAIRLEAD_TLS" in os.environ:
        certificate, key = (open(path, "rb").read() for path in os.environ["FAIRLEAD_TLS"].split(","))
        server.add_secure_port(f"0.0.0.0:{port}", grpc.ssl_server_credentials([(key, certificate)]))
    else:
        server.add_insecure_port(f"0.0.0.0:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    if sys.argv[1] == "udp":
        serve_udp(int(sys.argv[2]))
    serve_grpc(int(sys.argv[2]), dict(argument.split("=") for argument in sys.argv[3:]))
