import io
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner

from fastsmtp.cli.password import SCHEME_NAMES, prompt_password, read_password
from fastsmtp.directory.schemes import SCHEMES


def run(function: Callable[[], str], stdin: bytes) -> tuple[int, str]:
    """Exit code and output of a command that prints the password it has read."""
    result = CliRunner().invoke(click.command()(lambda: click.echo(f"<{function()}>")), input=io.BytesIO(stdin))
    return result.exit_code, result.output


def test_the_schemes_are_those_of_the_directory() -> None:
    assert SCHEME_NAMES == SCHEMES


@pytest.mark.parametrize(
    ("stdin", "password"),
    [(b"secret\n", "secret"), (b"secret", "secret"), (b" a b \r\nmore", " a b "), ("Zoë\n".encode(), "Zoë")],
)
def test_standard_input(stdin: bytes, password: str) -> None:
    assert run(read_password, stdin) == (0, f"<{password}>\n")


@pytest.mark.parametrize(
    ("stdin", "complaint"),
    [
        (b"", "is empty"),
        (b"\nsecret\n", "is empty"),
        (b"\xff\n", "is not UTF-8"),
        (b"a\0b\n", "a control character"),
        (b"a\tb\n", "a control character"),
        (b"x" * 1025, "longer than 1024 bytes"),
    ],
)
def test_what_is_no_password(stdin: bytes, complaint: str) -> None:
    exit_code, output = run(read_password, stdin)
    assert exit_code == 2
    assert complaint in output


def test_a_prompt_asks_twice_and_again_when_they_differ() -> None:
    exit_code, output = run(prompt_password, b"secret\nsecrte\nsecret\nsecret\n")
    assert exit_code == 0
    assert output.endswith("<secret>\n")
    assert output.count("secret") == 1
