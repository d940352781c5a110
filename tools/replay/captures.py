"""Reads captures (pcap of either byte order and resolution, pcapng) and writes pcap. Uses only the standard library."""
import struct

ETHERNET = 1
_PCAP = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">"}
_SECTION, _INTERFACE, _PACKET, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_BYTE_ORDER = 0x1A2B3C4D


class CaptureError(Exception):
    """The file is not a readable capture of Ethernet frames. The message says why."""


def read(path):
    """The captured bytes of each frame. If the file ends within a frame, that frame is left out."""
    data = path.read_bytes()
    if data[:4] in _PCAP:
        return _read_pcap(data, _PCAP[data[:4]])
    if data[:4] == struct.pack(">I", _SECTION):
        return _read_pcapng(data)
    raise CaptureError("neither pcap nor pcapng")


def _read_pcap(data, order):
    if len(data) < 24:
        raise CaptureError("the file ends within its header")
    link = struct.unpack_from(order + "I", data, 20)[0] & 0x0FFFFFFF
    if link != ETHERNET:
        raise CaptureError(f"link type {link} is not Ethernet (1)")
    frames, at = [], 24
    while at + 16 <= len(data):
        captured = struct.unpack_from(order + "I", data, at + 8)[0]
        if at + 16 + captured > len(data):
            break
        frames.append(data[at + 16:at + 16 + captured])
        at += 16 + captured
    return frames


def _read_pcapng(data):
    frames, links, order, at = [], [], "<", 0
    skipped = set()
    while at + 12 <= len(data):
        if data[at:at + 4] == struct.pack(">I", _SECTION):
            order = "<" if struct.unpack_from("<I", data, at + 8)[0] == _BYTE_ORDER else ">"
            links = []
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            break
        body = data[at + 8:at + length - 4]
        if kind == _INTERFACE and len(body) >= 8:
            links.append(struct.unpack_from(order + "HHI", body))
        frame = _pcapng_frame(kind, body, order, links, skipped)
        if frame is not None:
            frames.append(frame)
        at += length
    if skipped and not frames:
        raise CaptureError(f"link type {', '.join(map(str, sorted(skipped)))} is not Ethernet (1)")
    return frames


def _pcapng_frame(kind, body, order, links, skipped):
    """The frame in a block. None if it has none, or if its link type is not Ethernet, which is added to `skipped`."""
    if kind in (_ENHANCED, _PACKET) and len(body) >= 20:
        interface = struct.unpack_from(order + ("I" if kind == _ENHANCED else "H"), body)[0]
        captured, at = struct.unpack_from(order + "I", body, 12)[0], 20
    elif kind == _SIMPLE and len(body) >= 4 and links:
        interface, at = 0, 4
        snap = links[0][2] or 0xFFFFFFFF
        captured = min(struct.unpack_from(order + "I", body)[0], snap)
    else:
        return None
    if interface >= len(links) or at + captured > len(body):
        return None
    if links[interface][0] != ETHERNET:
        skipped.add(links[interface][0])
        return None
    return body[at:at + captured]


def write(path, frames):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, ETHERNET))
        for number, frame in enumerate(frames):
            out.write(struct.pack("<IIII", number // 1000000, number % 1000000, len(frame), len(frame)) + frame)
