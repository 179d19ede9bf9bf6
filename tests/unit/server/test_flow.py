"""Reading stops and goes on, with as few calls as possible."""

import asyncio

from fastsmtp.server.flow import INPUT_BYTES, FlowControl


class Transport(asyncio.Transport):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def test_reading_goes_on_while_little_is_pending() -> None:
    transport = Transport()
    flow = FlowControl(transport)
    flow.hold_input(INPUT_BYTES - 1)
    flow.release_input(INPUT_BYTES - 1)
    assert transport.calls == []


def test_reading_stops_once_and_goes_on_once() -> None:
    transport = Transport()
    flow = FlowControl(transport)
    flow.hold_input(INPUT_BYTES)
    flow.hold_input(2 * INPUT_BYTES)
    assert not flow.is_reading
    flow.release_input(INPUT_BYTES)
    assert transport.calls == ["pause"]
    flow.release_input(INPUT_BYTES - 1)
    flow.release_input(0)
    assert transport.calls == ["pause", "resume"]


def test_with_memory_short_reading_stops_at_once() -> None:
    transport = Transport()
    flow = FlowControl(transport)
    flow.hold_input(1, is_short=True)
    assert transport.calls == ["pause"]


def test_writing_is_allowed_at_first() -> None:
    assert FlowControl(Transport()).can_write
