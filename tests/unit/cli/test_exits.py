import pytest

from fastsmtp.cli.exits import Exit, Failure, StartFailure, translated_errors
from fastsmtp.errors import ConfigurationError, DirectoryError, FastsmtpError, PluginLoadError, StartError


@pytest.mark.parametrize(
    ("error", "exit_code", "problems"),
    [
        (ConfigurationError(["one", "two"]), Exit.CONFIGURATION, ("one", "two")),
        (PluginLoadError("one"), Exit.CONFIGURATION, ("one",)),
        (FastsmtpError("one"), Exit.CONFIGURATION, ("one",)),
        (StartError("one"), Exit.START, ("one",)),
        (DirectoryError("one"), Exit.START, ("one",)),
    ],
)
def test_errors_become_exit_codes(error: FastsmtpError, exit_code: Exit, problems: tuple[str, ...]) -> None:
    with pytest.raises(Failure) as caught, translated_errors():
        raise error

    assert (caught.value.exit_code, caught.value.problems) == (exit_code, problems)


def test_our_own_faults_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), translated_errors():
        _ = 1 / 0


def test_a_failure_is_a_line_for_each_problem(capsys: pytest.CaptureFixture[str]) -> None:
    StartFailure(["one", "two"]).show()

    assert capsys.readouterr().err == "error: one\nerror: two\n"
