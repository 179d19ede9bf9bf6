"""The kinds of questions, and what they come to."""

from fastsmtp.dns.questions import KINDS, RESULTS, TROUBLE


def test_words_are_there_once() -> None:
    assert len(set(KINDS)) == len(KINDS)
    assert len(set(RESULTS)) == len(RESULTS)
    assert set(TROUBLE) < set(RESULTS)
