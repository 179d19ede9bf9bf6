"""CRC-32C against the examples of its standard."""

import pytest

from fastsmtp.server.proxy.checksum import crc32c


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        # RFC 3720 appendix B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        # the check value of the catalogues
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_examples(data: bytes, checksum: int) -> None:
    assert crc32c(data) == crc32c(bytearray(data)) == checksum
