"""The image that a dataplane keeps to start with."""
import struct

from tests.lab.process import wait_until

_GENERATION_AT = 24  # in the header (lib/snapshot/format.h)


def await_kept_image(link_path, control):
    """The path of the file, once it has what is in force: the dataplane writes it after its answer, and once a second at most."""
    path = link_path.with_suffix(".snapshot")

    def is_kept():
        status = control.get("/v1/status")["dataplane"]
        return path.exists() and struct.unpack_from("<Q", path.read_bytes(), _GENERATION_AT) == (status["generation"],)

    wait_until(is_kept, 30, f"{path} has the generation in force")
    return path
