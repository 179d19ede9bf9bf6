"""How many files may be open, and how many of them may be connections."""

import resource

from fastsmtp.server.descriptors import allow_descriptors, descriptors_for_connections


def test_as_many_as_there_may_be() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
        assert allow_descriptors() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_some_are_kept_for_deliveries() -> None:
    assert [descriptors_for_connections(descriptors) for descriptors in (100, 1_024, 8_192, 20_000)] == [
        50,
        512,
        4_096,
        15_904,
    ]
