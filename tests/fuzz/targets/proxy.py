"""A PROXY header is read or refused for good, never beyond its end, and is waited for only as long as it can be one."""

from ipaddress import ip_address

from fastsmtp.server.proxy.header import HEADER_BYTES, LINE_BYTES, ProxyError, ProxyHeader, read_header

SIGNATURE_BYTES = 16


def check(data: bytes) -> None:
    """All of it is what the proxy sends."""
    verdict: tuple[ProxyHeader, int] | ProxyError | None = None
    for end in range(len(data) + 1):
        try:
            now = read_header(data[:end])
        except ProxyError as error:
            assert not isinstance(verdict, tuple)
            verdict = error
            continue
        assert not isinstance(verdict, ProxyError), "refused, and then taken"
        assert verdict is None or now == verdict
        if now is not None and verdict is None:
            assert now[1] == end, "complete, and not noticed"
        verdict = now
    if verdict is None:
        assert len(data) < (HEADER_BYTES if data.startswith(b"\r") else LINE_BYTES)
    elif isinstance(verdict, tuple):
        check_header(*verdict)


def check_header(header: ProxyHeader, octets: int) -> None:
    """What it names are addresses."""
    assert octets <= HEADER_BYTES
    assert header.version in (1, 2)
    if header.ends is None:
        return
    source, source_port, destination, destination_port = header.ends
    assert 0 <= source_port <= 0xFFFF
    assert 0 <= destination_port <= 0xFFFF
    for address in (source, destination):
        assert not address or str(ip_address(address)) == address
