"""The control plane's end of the link (lib/link/message.h), for tests that send malformed messages and snapshots."""
import array
import fcntl
import os
import socket
import struct

import xxhash

_MAGIC, _VERSION, _FIRST_VERSION = 0x4B4E4C46, 4, 2
_HELLO, _PUBLISH, _PUBLISHED, _CLIENT_HELLO = 1, 2, 3, 8
_HEADER_BYTES = 160  # of an image
_DIGEST_AT = 32


def with_digest(image):
    """The image with a correct digest (lib/snapshot/format.h)."""
    header = bytearray(image[:_HEADER_BYTES])
    header[_DIGEST_AT:_DIGEST_AT + 8] = bytes(8)
    digest = xxhash.xxh3_64_intdigest(bytes(image[_HEADER_BYTES:]), xxhash.xxh3_64_intdigest(bytes(header)))
    header[_DIGEST_AT:_DIGEST_AT + 8] = struct.pack("<Q", digest)
    return bytes(header) + bytes(image[_HEADER_BYTES:])


def patched(image, at, layout, value, digest=True):
    """The image with another value at byte `at`. With digest=True, its digest is correct."""
    changed = bytearray(image)
    struct.pack_into("<" + layout, changed, at, value)
    return with_digest(changed) if digest else bytes(changed)


def section(image, name):
    """Returns (offset, count, position of these two in the header) of a section, from the header."""
    at = 48 + 16 * ["frontends", "services", "backends", "next_hops", "names"].index(name)
    return (*struct.unpack_from("<QQ", image, at), at)


class LinkClient:
    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(10)
        self._socket.connect(str(path))
        _, kind, _ = self._receive(_FIRST_VERSION)
        assert kind == _HELLO
        body = struct.pack("<III", 3, 6, 0)  # the current versions of snapshots and statistics; no release
        self.send_raw(struct.pack("<IHHII", _MAGIC, _VERSION, _CLIENT_HELLO, 1, len(body)) + body)
        _, kind, body = self._receive()
        assert kind == _HELLO
        # The ports' addresses follow.
        (self.pid, self.generation, self.digest, self.change_id, _, self.workers,
         _) = struct.unpack_from("<QQQQIIQ", body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def _receive(self, expected_version=_VERSION):
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the dataplane closed the link")
        magic, version, kind, number, size = struct.unpack_from("<IHHII", data)
        assert (magic, version, size) == (_MAGIC, expected_version, len(data) - 16)
        return number, kind, data[16:]

    def send_raw(self, data, files=()):
        self._socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
                             if files else [])

    def publish(self, image, generation=None, image_bytes=None, seal=True, file_count=1):
        """Returns (in force, reason). `image_bytes`: a wrong length. `file_count`: the number of file descriptors."""
        file = os.memfd_create("image", os.MFD_ALLOW_SEALING)
        try:
            os.write(file, image)
            if seal:
                fcntl.fcntl(file, fcntl.F_ADD_SEALS,
                            fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
            if generation is None:
                generation = struct.unpack_from("<Q", image.ljust(40, b"\0"), 24)[0]
            body = struct.pack("<QQ", generation, len(image) if image_bytes is None else image_bytes)
            self.send_raw(struct.pack("<IHHII", _MAGIC, _VERSION, _PUBLISH, 7, len(body)) + body,
                          [file] * file_count)
            number, kind, body = self._receive()
        finally:
            os.close(file)
        assert (number, kind) == (7, _PUBLISHED)
        _, in_force, _, _, length = struct.unpack_from("<QBQII", body)
        return bool(in_force), body[25:25 + length].decode()
