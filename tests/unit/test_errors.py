"""The tree of what can go wrong."""

import pytest

from fastsmtp.errors import ConfigurationError, DirectoryError, FastsmtpError, PluginLoadError, StartError


@pytest.mark.parametrize("kind", [ConfigurationError, PluginLoadError, StartError, DirectoryError])
def test_everything_on_purpose_has_one_root(kind: type[Exception]) -> None:
    assert issubclass(kind, FastsmtpError)


def test_a_plugin_that_does_not_load_is_a_matter_of_configuration() -> None:
    assert issubclass(PluginLoadError, ConfigurationError)
    assert not issubclass(StartError, ConfigurationError)
    assert not issubclass(DirectoryError, ConfigurationError)


def test_all_problems_at_once() -> None:
    error = ConfigurationError(["listen.smtp: no port", "maildir.root: not there"])
    assert error.problems == ("listen.smtp: no port", "maildir.root: not there")
    assert str(error) == "listen.smtp: no port\nmaildir.root: not there"


def test_one_problem_is_one_sentence_and_not_its_letters() -> None:
    error = PluginLoadError("plugin[0]: no such plugin")
    assert error.problems == ("plugin[0]: no such plugin",)
    assert str(error) == "plugin[0]: no such plugin"
