from fastsmtp.config.limits import LimitSettings


def test_what_every_server_has_to_take_is_taken() -> None:
    """The least that RFC 5321 section 4.5.3.1 wants."""
    limits = LimitSettings()
    assert limits.message_size >= 65_536
    assert limits.recipients >= 100
    assert limits.command_line >= 512
