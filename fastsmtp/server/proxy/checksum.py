"""CRC-32C (RFC 9260 appendix A), which a PROXY header may have; the standard library has only the other CRC-32."""

from typing import Final

__all__ = ["crc32c"]

_POLYNOMIAL: Final = 0x82F63B78
_ALL_ONES: Final = 0xFFFFFFFF


def _entry(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (_POLYNOMIAL if octet & 1 else 0)
    return octet


_TABLE: Final = tuple(map(_entry, range(256)))


def crc32c(data: bytes | bytearray) -> int:
    """The checksum of these octets."""
    crc = _ALL_ONES
    for octet in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ octet) & 0xFF]
    return crc ^ _ALL_ONES
