"""Facts about encryption are values."""

from dataclasses import FrozenInstanceError

import pytest

from fastsmtp.smtp.tls import ClientCertificate, TlsFacts

FACTS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)


def test_most_clients_show_nothing_of_themselves() -> None:
    assert (FACTS.server_name, FACTS.client_certificate) == ("", None)


def test_nobody_changes_a_fact() -> None:
    shown = ClientCertificate("CN=client", "CN=authority", ("client.example",), "00" * 32, is_verified=False)
    with pytest.raises(FrozenInstanceError):
        shown.is_verified = True  # type: ignore[misc] # that is the test
