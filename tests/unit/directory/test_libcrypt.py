"""crypt(3), with the examples of its inventors."""

import pytest

from fastsmtp.directory import libcrypt

# Drepper's specification of SHA-crypt, the test vectors of crypt_blowfish.
VECTORS = [
    (b"Hello world!", b"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    (
        b"Hello world!",
        b"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    ),
    (b"U*U", b"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    (b"U*U", b"$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
]


@pytest.mark.parametrize(("password", "expected"), VECTORS)
def test_vectors(password: bytes, expected: bytes) -> None:
    assert libcrypt.is_there()
    assert libcrypt.crypt(password, expected) == expected
    assert libcrypt.crypt(password + b"!", expected) not in (expected, None)


@pytest.mark.parametrize("setting", [b"", b"*0", b"$nosuch$abc", b"$6", b"$6$\0"])
def test_a_setting_that_is_none(setting: bytes) -> None:
    assert libcrypt.crypt(b"secret", setting) is None


def test_a_nul_is_not_the_end_of_a_password() -> None:
    assert libcrypt.crypt(b"U*U\0", VECTORS[2][1]) is None


def test_a_system_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libcrypt, "_crypt_r", lambda: None)
    assert not libcrypt.is_there()
    assert libcrypt.crypt(*VECTORS[0]) is None
