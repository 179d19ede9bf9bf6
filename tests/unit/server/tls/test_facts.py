"""The words of the standards for what OpenSSL calls otherwise."""

import shutil
import ssl
import subprocess

import pytest
from unit.server.tls.test_layer import connected, every_version

from fastsmtp.server.tls.contexts import DEFAULT_CIPHERS
from fastsmtp.server.tls.facts import iana_name, tls_facts

OTHERS = ["DHE-RSA-AES256-SHA256", "DHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "DHE-RSA-CHACHA20-POLY1305"]


@every_version
def test_what_was_agreed(version: ssl.TLSVersion) -> None:
    layer, _ = connected(version)
    facts = tls_facts(layer.object)
    assert facts.version == {771: "TLSv1.2", 772: "TLSv1.3"}[version]
    assert facts.cipher.startswith("TLS_")
    assert facts.bits in (128, 256)
    assert facts.server_name == "mx.example.test"
    assert facts.client_certificate is None


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here: apt-get install openssl")
def test_every_suite_that_we_offer_is_called_what_iana_calls_it() -> None:
    listed = subprocess.run(["openssl", "ciphers", "-stdname", "ALL"], capture_output=True, text=True, check=True)
    iana = {line.split()[2]: line.split()[0] for line in listed.stdout.splitlines()}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(DEFAULT_CIPHERS)
    offered = [cipher["name"] for cipher in context.get_ciphers()]
    assert len(offered) > 8
    for name in [*offered, *OTHERS]:
        assert iana_name(name) == iana[name]


def test_a_suite_that_we_do_not_know_has_a_number() -> None:
    assert iana_name("ECDHE-ECDSA-AES128-CCM") == "0xC0AC"


def test_before_the_handshake_there_are_no_facts() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(RuntimeError):
        tls_facts(context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True))
