"""Certificates that change under a server: new ones are taken, broken ones told of once, and what is open goes on."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from certificates import TlsClient, as_settings, certificate, write
from integration.server import wait_until
from unit.server.tls.test_certificates import DAY_S, NOW

from fastsmtp.config.tls import CertificateFiles, TlsSettings
from fastsmtp.errors import ConfigurationError
from fastsmtp.server.tls.handshake import TlsStats
from fastsmtp.server.tls.layer import TlsLayer
from fastsmtp.server.tls.offer import TlsCertificates, TlsOffer
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock

QUICK_S: Final = 0.01


def credentials(settings: TlsSettings, stats: Stats | None = None, now: float = NOW) -> TlsCertificates:
    names = [str(files) for files in settings.certificates]
    return TlsCertificates(settings, TlsStats(stats or Stats(), names), SettableClock(now))


def shown(offer: TlsOffer) -> bytes | None:
    """The certificate that the next client sees."""
    layer, client = TlsLayer(offer.context), TlsClient()
    layer.receive(client.handshake())
    layer.handshake()
    client.handshake(layer.take_output())
    return client.object.getpeercert(binary_form=True)


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition)


def test_an_offer_for_each_listener(tmp_path: Path) -> None:
    both = credentials(as_settings(write(tmp_path, certificate()), handshake_timeout="3s"))
    starttls, implicit = both.offer(), both.offer(implicit=True)
    assert (starttls.is_implicit, implicit.is_implicit) == (False, True)
    assert starttls.context is not implicit.context
    assert starttls.handshake_s == 3.0


def test_what_cannot_be_used_is_an_error_at_once(tmp_path: Path) -> None:
    files = CertificateFiles(tmp_path / "none.pem", tmp_path / "none.key")
    with pytest.raises(ConfigurationError, match=r"tls\.certificates\[0\]: .*none\.pem cannot be read"):
        credentials(as_settings(files))


def test_when_they_expire(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings, stats = as_settings(write(tmp_path, certificate())), Stats()
    for now, level in ((NOW, None), (NOW + 80 * DAY_S, "WARNING"), (NOW + 100 * DAY_S, "ERROR")):
        caplog.clear()
        credentials(settings, stats, now).offer()  # an old one still encrypts
        assert [record.levelname for record in caplog.records] == ([level] if level else [])
    totals = {family.name: children for family, children in stats.totals()}
    [cells] = totals["fastsmtp_tls_certificate_expiry_seconds"].values()
    assert abs(cells[0] / 1e9 - NOW - 90 * DAY_S) < DAY_S


def test_a_new_one_is_taken_when_its_files_have_changed(tmp_path: Path) -> None:
    async def body() -> None:
        files = write(tmp_path, certificate())
        watched = credentials(as_settings(files, reload_interval=QUICK_S))
        offers = [watched.offer(), watched.offer(implicit=True)]
        before = shown(offers[0])
        watched.start()
        renewed = certificate(days=60)
        write(tmp_path, renewed)
        await until(lambda: all(shown(offer) != before for offer in offers))
        await watched.stop()
        await watched.stop()

    asyncio.run(body())


def test_a_broken_one_is_told_of_once_and_the_old_one_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        files = write(tmp_path, certificate())
        watched = credentials(as_settings(files, reload_interval=QUICK_S))
        offer = watched.offer()
        before = shown(offer)
        watched.start()
        files.key.write_text("half a ke")
        await until(lambda: any(record.levelname == "ERROR" for record in caplog.records))
        assert shown(offer) == before
        write(tmp_path, certificate(days=60))
        await until(lambda: shown(offer) != before)
        await watched.stop()

    with caplog.at_level(logging.INFO):
        asyncio.run(body())
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len({record.__dict__["problems"] for record in errors}) == len(errors)
    assert any("tls.key has no private key" in problem for problem in errors[0].__dict__["problems"])


def test_a_file_that_is_gone_is_a_change_too(tmp_path: Path) -> None:
    async def body() -> None:
        files = write(tmp_path, certificate())
        watched = credentials(as_settings(files))
        files.certificate.unlink()
        assert not await watched.reload()
        write(tmp_path, certificate())
        assert await watched.reload()

    asyncio.run(body())


def test_nobody_looks_where_nobody_shall(tmp_path: Path) -> None:
    async def body() -> None:
        watched = credentials(as_settings(write(tmp_path, certificate()), reload_interval=0))
        watched.start()
        assert len(asyncio.all_tasks()) == 1
        await watched.stop()

    asyncio.run(body())
