"""The state that a configuration asks for."""

import asyncio
from pathlib import Path

import pytest

from fastsmtp.config.state import StateSettings
from fastsmtp.errors import StateError
from fastsmtp.state.backend import look_at, stored_records
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock


def settings(folder: Path, **data: object) -> StateSettings:
    return StateSettings.model_validate(data, context={"base": folder})


def test_a_file(tmp_path: Path) -> None:
    async def scenario() -> str | None:
        records = stored_records(settings(tmp_path), SettableClock(), Stats())
        assert not (tmp_path / "state.db").exists()
        await records.open()
        records.put("a", "one", 60)
        await records.close()
        again = stored_records(settings(tmp_path), SettableClock(), Stats())
        await again.open()
        found = again.get("a")
        await again.close()
        assert not isinstance(found, asyncio.Future)
        return str(found)

    assert asyncio.run(look_at(settings(tmp_path))) == f"sqlite:{tmp_path / 'state.db'} will be made"
    assert asyncio.run(scenario()) == "one"
    assert asyncio.run(look_at(settings(tmp_path))) == f"sqlite:{tmp_path / 'state.db'}"


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    nowhere = settings(tmp_path, url="sqlite:nowhere/state.db")
    with pytest.raises(StateError, match="its folder is not there"):
        asyncio.run(look_at(nowhere))
    with pytest.raises(StateError, match="cannot use the state"):
        asyncio.run(stored_records(nowhere, SettableClock(), Stats()).open())
