"""Appends TensorBoard events to a file, in TFRecord framing: length, CRC, bytes, CRC.

TensorBoard's own writer imports for a fifth of a second, more than a whole backtest of a rule takes; this one needs its
protocol buffers only. Source: tensorflow/core/lib/io/record_writer.h; CRC-32C (Castagnoli), RFC 3720 appendix B.4.
"""

import os
import socket
import struct
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event

POLYNOMIAL = 0x82F63B78
"""Reversed Castagnoli polynomial."""
MASK_DELTA = 0xA282EAD8
VERSION = "brain.Event:2"


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


CRC_TABLE = _crc_table()


def masked_crc(data: bytes) -> int:
    """Return the masked CRC-32C that guards a record."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


class EventFile:
    """One event file of a folder; every event is on disk when ``write`` returns.

    Args:
        folder: Created if missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"events.out.tfevents.{time.time_ns() // 10**9}.{socket.gethostname()}.{os.getpid()}"
        self.write(Event(wall_time=time.time(), file_version=VERSION))

    def write(self, event: Event) -> None:
        """Append one event."""
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        guards = (struct.pack("<I", masked_crc(part)) for part in (length, data))
        with self.path.open("ab") as file:
            file.write(b"".join((length, next(guards), data, next(guards))))
