from typing import get_args

from fastsmtp.config.auth import AuthSettings
from fastsmtp.smtp.mechanisms import mechanisms
from fastsmtp.smtp.sasl import MECHANISMS, MechanismName, login, plain


def test_mechanisms_in_their_order() -> None:
    assert list(mechanisms(["LOGIN", "PLAIN"]).items()) == [("LOGIN", login), ("PLAIN", plain)]
    assert list(mechanisms(MECHANISMS)) == list(MECHANISMS) == ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
    assert mechanisms([]) == {}


def test_the_configuration_knows_the_same() -> None:
    names: tuple[MechanismName, ...] = AuthSettings(mechanisms=MECHANISMS).mechanisms
    assert names == MECHANISMS == get_args(MechanismName)
