"""Exit codes, and how an error becomes one."""

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import click

from fastsmtp.cli.terminal import printable
from fastsmtp.errors import ConfigurationError, DirectoryError, FastsmtpError, StartError

__all__ = ["Exit", "Failure", "StartFailure", "translated_errors"]


class Exit(enum.IntEnum):
    """What the shell is told; click itself uses 2 for usage."""

    FINE = 0
    CONFIGURATION = 1
    USAGE = 2
    START = 3


class Failure(click.ClickException):
    """Ends the command: one line on standard error for each problem, then the exit code of the class."""

    exit_code = int(Exit.CONFIGURATION)

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the problems."""
        for problem in self.problems:
            click.echo(click.style("error: ", fg="red", bold=True) + printable(problem), file=file, err=file is None)


class StartFailure(Failure):
    """The configuration is fine, the machine refuses."""

    exit_code = int(Exit.START)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Every error that we raise on purpose ends the command with its exit code and its sentence."""
    try:
        yield
    except ConfigurationError as error:
        raise Failure(error.problems) from error
    except (StartError, DirectoryError) as error:
        raise StartFailure([str(error)]) from error
    except FastsmtpError as error:
        raise Failure([str(error)]) from error
