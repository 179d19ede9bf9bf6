import shlex

import pytest

from fastsmtp.cli.announce import how_to_send


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "127.0.0.1:2525"), ("::1", "[::1]:2525")])
def test_the_ways_to_send(host: str, url: str) -> None:
    python, curl, swaks = map(shlex.split, how_to_send(host, 2525, "alice@example.test"))

    assert python[:2] == ["python3", "-c"]
    compile(python[2], "hint", "exec")
    assert f"SMTP('{host}', 2525)" in python[2]
    assert f"smtp://{url}" in curl
    assert swaks[:3] == ["swaks", "--server", url]
