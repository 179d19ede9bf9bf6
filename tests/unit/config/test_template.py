import tomllib
from pathlib import Path

import pytest

from fastsmtp.config.load import load
from fastsmtp.config.model import Settings
from fastsmtp.config.outline import outline
from fastsmtp.config.template import EXAMPLES, render, render_bare


@pytest.mark.parametrize("write", [render, render_bare])
def test_the_file_is_complete_and_says_the_defaults(write: object, tmp_path: Path) -> None:
    assert callable(write)
    text = write({"hostname": "mx.example.org"})
    file = tmp_path / "fastsmtp.toml"
    file.write_text(text)

    assert load(file) == Settings.model_validate({"hostname": "mx.example.org"}, context={"base": tmp_path})
    data = tomllib.loads(text)
    for table in outline():
        if not table.repeats:
            keys = data[table.name] if table.name else data
            assert {key.name for key in table.keys} <= keys.keys()


def test_values_replace_defaults() -> None:
    data = tomllib.loads(render({"hostname": "mx.example.org", "listen.smtp": ["127.0.0.1:2525"]}))

    assert data["hostname"] == "mx.example.org"
    assert data["listen"]["smtp"] == ["127.0.0.1:2525"]


def test_a_value_without_a_key_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"listen\.port"):
        render({"listen.port": 25})


def test_every_line_is_short_enough_to_read() -> None:
    assert max(map(len, render({}).splitlines())) <= 100


def test_tables_that_repeat_have_valid_examples() -> None:
    assert EXAMPLES.keys() == {table.name for table in outline() if table.repeats}
    found = Settings.model_validate(tomllib.loads("".join(EXAMPLES.values())))

    assert [entry.use for entry in found.plugin] == ["block_sender"]
    assert [(entry.title, entry.protocol) for entry in found.listener] == [("lmtp", "lmtp")]
