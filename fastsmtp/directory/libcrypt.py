"""crypt(3) of the system: the hashes that Unix, Dovecot and PostfixAdmin have made for decades."""

import ctypes
from contextlib import suppress
from functools import cache
from typing import Any, Final

__all__ = ["crypt", "is_there"]

# libxcrypt has 32 KiB for its `struct crypt_data`, glibc had 128 KiB and a little.
_DATA_BYTES: Final = 160 * 1024
_NAMES: Final = ("libcrypt.so.1", "libcrypt.so.2", None)  # None: musl has it in libc


@cache
def _crypt_r() -> Any:
    for name in _NAMES:
        with suppress(OSError, AttributeError):
            function = ctypes.CDLL(name).crypt_r
            function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p)
            function.restype = ctypes.c_char_p
            return function
    return None


def is_there() -> bool:
    """Whether this system has it."""
    return _crypt_r() is not None


def crypt(password: bytes, setting: bytes) -> bytes | None:
    """The hash of a password by the method, cost and salt of `setting`, for which any hash will do.

    None where the system does not know the method, or a NUL is in the password. The GIL is not held meanwhile.
    """
    function = _crypt_r()
    if function is None or b"\0" in password or b"\0" in setting:
        return None
    data = ctypes.create_string_buffer(_DATA_BYTES)
    try:
        result: bytes | None = function(password, setting, data)
    finally:
        ctypes.memset(data, 0, _DATA_BYTES)
    # "*0" and "*1" are how libxcrypt spells a failure.
    return None if result is None or result.startswith(b"*") else result
