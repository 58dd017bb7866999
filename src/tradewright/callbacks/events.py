"""Appends TensorBoard events to a file: protocol-buffer messages in TFRecord framing (length, CRC, bytes, CRC).

TensorBoard's writer and its protocol buffers import for a quarter of a second, as long as a whole backtest of a rule
takes; the few messages of a session record are simple enough to encode here, and TensorBoard's own reader tests them.
Sources: protobuf.dev/programming-guides/encoding; tensorflow/core/lib/io/record_writer.h; CRC-32C, RFC 3720 B.4.
"""

import os
import socket
import struct
import time
from pathlib import Path

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


class Float32(float):
    """A number that its message declares as ``float``; plain floats are encoded as ``double``."""


Field = bool | int | float | str | bytes
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types."""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(*fields: tuple[int, Field]) -> bytes:
    """Encode a message.

    Args:
        *fields: Field number and value; integers >= 0 and booleans become varints, floats doubles, texts and messages
            (bytes) are length-delimited.
    """
    parts = []
    for number, value in fields:
        match value:
            case int():
                wire, data = VARINT, _varint(int(value))
            case Float32():
                wire, data = FIXED32, struct.pack("<f", value)
            case float():
                wire, data = FIXED64, struct.pack("<d", value)
            case _:
                content = value.encode() if isinstance(value, str) else value
                wire, data = LENGTH, _varint(len(content)) + content
        parts += [_varint(number << 3 | wire), data]
    return b"".join(parts)


class EventFile:
    """One event file of a folder; every event is on disk when a method returns.

    Args:
        folder: Created if missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"events.out.tfevents.{time.time_ns() // 10**9}.{socket.gethostname()}.{os.getpid()}"
        self._write((3, VERSION))  # Event.file_version

    def write_values(self, *values: bytes) -> None:
        """Append one event with encoded ``Summary.Value`` messages, at step 0."""
        self._write((5, message(*((1, value) for value in values))))  # Event.summary, Summary.value

    def _write(self, content: tuple[int, Field]) -> None:
        data = message((1, time.time()), content)  # Event.wall_time
        length = struct.pack("<Q", len(data))
        guards = (struct.pack("<I", masked_crc(part)) for part in (length, data))
        with self.path.open("ab") as file:
            file.write(b"".join((length, next(guards), data, next(guards))))
