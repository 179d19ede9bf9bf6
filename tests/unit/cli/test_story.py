"""What a story looks like where there is no terminal."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import record

from fastsmtp.cli.story import print_dialogue, print_fields, print_story, print_verdict
from fastsmtp.records.story import tell


def test_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_story(
        tell(
            record(
                id="01K11KQ4AAHY00P3G6",
                connection="01K11KQ3AAHY00P3G6",
                remote_name="mx.example.net",
                proxy="192.0.2.99",
                user="ann@example.test",
                tls={"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "bits": 256},
                outcome="refused",
                reply="550 5.7.1 no [bold]such[/bold] thing",
                refused=[{"recipient": "x@example.test", "reply": "550 5.1.1 No such user here"}],
                refused_commands=[["NONSENSE", "500 5.5.1 Command not recognized"]],
                answers=[
                    [["judge", "mail", False], None, 1_234_567, 0],
                    [["gatekeeper", "mail", True], "550 5.7.1 no", 2000, 1],
                    [["judge", "message", False], "550 5.7.1 no [bold]such[/bold] thing", 10, 1],
                ],
                results=[
                    {"plugin": "gatekeeper", "outcome": "fail", "evidence": "listed", "authentication": "iprev=fail"},
                    {"plugin": "else", "outcome": "pass", "evidence": "unasked"},
                ],
            )
        )
    )
    assert capsys.readouterr().out.splitlines() == [
        "Transaction 01K11KQ4AAHY00P3G6  refused",
        "  ended         2026-09-21 14:13:20.000 UTC, took 1.5 ms",
        "  connection    01K11KQ3AAHY00P3G6",
        "  client        192.0.2.1 (mx.example.net), by the proxy 192.0.2.99, at 0.0.0.0:25",
        "  hello         mx.example.net",
        "  tls           TLSv1.3 TLS_AES_256_GCM_SHA384",
        "  user          ann@example.test",
        "  sender        <ann@example.net>",
        "  size          1.2 KiB",
        "  recipients    <alice@example.test>  250 2.1.5 Recipient OK",
        "                <x@example.test>      550 5.1.1 No such user here",
        "  reply         550 5.7.1 no [bold]such[/bold] thing",
        "  also refused  NONSENSE  500 5.5.1 Command not recognized",
        "",
        "  mail          judge           1.235 ms  no opinion",
        "                gatekeeper      0.002 ms  shadow 550 5.7.1 no",
        "                                          fail  listed  (iprev=fail)",
        "  message       judge           0.000 ms  550 5.7.1 no [bold]such[/bold] thing",
        "",
        "  findings",
        "  else: pass  unasked",
    ]


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_whatever_strangers_wrote_is_safe_to_look_at(text: str) -> None:
    story = tell(
        record(
            helo=text,
            remote_name=text,
            user=text,
            sender=text,
            recipients=[text],
            reply=f"550 {text}",
            refused=[{"recipient": text, "reply": text}],
            refused_commands=[[text, text]],
            answers=[[["judge", "mail", False], text, 1, 1]],
            results=[{"plugin": "judge", "outcome": "fail", "evidence": text, "authentication": text}],
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        out = io.StringIO()
        patch.setattr(sys, "stdout", out)
        print_story(story)
        print_dialogue([(text, text)])
        print_fields(f"X: {text}".replace("\n", " "))
        print_verdict(550, text)
    assert all(line.isprintable() for line in out.getvalue().split("\n"))
