"""The last good image, which the dataplane keeps in a file for its next start."""
import struct

from tests.lab.process import wait_until

_GENERATION_AT = 24  # in the header (lib/snapshot/format.h)


def await_kept_image(link_path, control):
    """Waits until the file has the generation in force. Returns its path.

    The dataplane writes the file after the acknowledgement, and at most once a second.
    """
    path = link_path.with_suffix(".snapshot")

    def is_kept():
        status = control.get("/v1/status")["dataplane"]
        return path.exists() and struct.unpack_from("<Q", path.read_bytes(), _GENERATION_AT) == (status["generation"],)

    wait_until(is_kept, 30, f"{path} does not have the generation in force")
    return path
