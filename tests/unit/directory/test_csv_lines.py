"""Users and aliases as CSV."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.directory.admin_rows import AliasList, UserRow
from fastsmtp.directory.csv_lines import (
    AliasLine,
    Problem,
    Quota,
    UserLine,
    read_aliases,
    read_quota,
    read_users,
    write_aliases,
    write_users,
)
from fastsmtp.directory.names import AdminError
from fastsmtp.smtp.address import Address, AddressError, parse_mailbox


def users(text: str) -> list[UserLine | Problem]:
    return list(read_users(io.StringIO(text, newline="")))


def test_users() -> None:
    assert users(
        "quota,address,can_login,can_receive\n"
        "1GiB,Joe@Example.test,no,YES\r\n"
        "\n"
        "none,ann@example.test,0,true\n"
        ',"""two words""@example.test",,\n'
        "123, zo\u00eb@b\u00fccher.test , 1 , false \n"
    ) == [
        UserLine(2, Address("Joe", "example.test"), can_receive=True, can_login=False, quota=2**30),
        UserLine(4, Address("ann", "example.test"), can_receive=True, can_login=False, quota="none"),
        UserLine(5, Address("two words", "example.test")),
        UserLine(6, Address("zo\u00eb", "xn--bcher-kva.test"), can_receive=False, can_login=True, quota=123),
    ]
    assert users("address\njoe@example.test") == [UserLine(2, Address("joe", "example.test"))]


def test_password_hashes() -> None:
    made = "$argon2id$v=19$m=8,t=1,p=1$a"
    [line] = users(f'address,password_hash\njoe@example.test,"{made}"\n')
    assert line == UserLine(2, Address("joe", "example.test"), password_hash=made)
    assert made not in repr(line)
    lines = users(
        f"address,password_hash\nann@example.test,\njoe@example.test,secret\neve@example.test,$2y$05${'x' * 255}\n"
    )
    assert lines[0] == UserLine(2, Address("ann", "example.test"))
    assert list(map(str, lines[1:])) == [
        "line 3: the scheme of the password_hash is not known here; leave it empty, and set a new password",
        "line 4: the password_hash is longer than 255 characters",
    ]


def test_every_wrong_line_is_told_and_those_behind_it_are_read() -> None:
    lines = users(
        "address,can_receive,quota\n"
        "joe doe@example.test,yes,\n"
        "a/b@example.test,yes,\n"
        "joe@example.test,maybe,\n"
        "joe@example.test,yes,much\n"
        "joe@example.test,yes\n"
        '"joe@example.test"x,yes,\n'
        "jo\udcffe@example.test,yes,\n"
        f"{'x' * 200_000},yes,\n"
        "ann@example.test,yes,\n"
    )
    assert lines[-1] == UserLine(10, Address("ann", "example.test"), can_receive=True)
    problems = list(map(str, lines[:-1]))
    for number, (problem, sentence) in enumerate(
        zip(
            problems,
            [
                "U+0020 SPACE) cannot be in a user name",
                "a mailbox folder cannot be called 'a/b'",
                "'maybe' in can_receive is neither yes nor no",
                "'much' is not a quota",
                "2 cells, but the header has 3",
                "',' expected after '\"'",
                "U+DCFF",
                "field larger than field limit",
            ],
            strict=True,
        ),
        start=2,
    ):
        assert problem.startswith(f"line {number}: ")
        assert sentence in problem


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the file is empty; its first line is a header: address,can_receive,can_login,quota"),
        ("\n\n", "the file is empty"),
        ("joe@example.test\n", "there is no column 'joe@example.test'; the first line is a header"),
        ("quota\n", "the column 'address' is missing"),
        ("address,address\n", "the column 'address' is there twice"),
        ("address;quota\n", "there is no column 'address;quota'"),
        ('"address"x\n', "',' expected after '\"'"),
    ],
)
def test_a_wrong_header_is_told_at_once(text: str, complaint: str) -> None:
    with pytest.raises(AdminError) as caught:
        users(text)
    assert complaint in str(caught.value)


def test_aliases() -> None:
    text = (
        "target,address\njoe@example.test,*@Example.test\nx@elsewhere.test,Info@example.test\njoe,info@example.test\n"
    )
    assert list(read_aliases(io.StringIO(text))) == [
        AliasLine(2, Address("*", "example.test"), Address("joe", "example.test")),
        AliasLine(3, Address("Info", "example.test"), Address("x", "elsewhere.test")),
        Problem(4, "'joe' is not of the form user@domain"),
    ]
    with pytest.raises(AdminError, match="the column 'target' is missing"):
        list(read_aliases(io.StringIO("address\n")))


@pytest.mark.parametrize(("text", "quota"), [("none", "none"), ("1", 1), ("500MB", 500_000_000), ("1GiB", 2**30)])
def test_quotas(text: str, quota: Quota) -> None:
    assert read_quota(text) == quota


@pytest.mark.parametrize("text", ["", "0", "0MB", "-1", "1.5GiB", "much", "None", "\u0661", "99999999999999GiB"])
def test_what_is_no_quota(text: str) -> None:
    with pytest.raises(AdminError, match="quota"):
        read_quota(text)


def _is_legal(name: str) -> bool:
    try:
        address = Address(name, "example.test")
        return parse_mailbox(str(address)) == address and users(
            f'address\n"{str(address).replace(chr(34), chr(34) * 2)}"\n'
        ) == [UserLine(2, address)]
    except AddressError:
        return False


NAMES = (st.from_regex(r"[a-z0-9!#$%&'*+=?^_`{|}~-]{1,20}", fullmatch=True) | st.text(min_size=1, max_size=20)).filter(
    _is_legal
)


@given(
    st.lists(
        st.builds(
            UserRow, st.just("example.test"), NAMES, st.booleans(), st.booleans(), st.none() | st.integers(1, 2**63 - 1)
        )
    )
)
def test_what_is_written_is_read(rows: list[UserRow]) -> None:
    file = io.StringIO(newline="")
    write_users(file, rows)
    assert users(file.getvalue()) == [
        UserLine(
            number,
            Address(row.name, row.domain),
            row.can_receive,
            row.can_login,
            "none" if row.quota_bytes is None else row.quota_bytes,
        )
        for number, row in enumerate(rows, start=2)
    ]


@given(st.lists(NAMES, min_size=1))
def test_aliases_that_are_written_are_read(names: list[str]) -> None:
    file = io.StringIO(newline="")
    targets = [Address(name, "other.test") for name in names]
    write_aliases(file, [AliasList("example.test", "*", True, tuple(map(str, targets)))])
    assert list(read_aliases(io.StringIO(file.getvalue(), newline=""))) == [
        AliasLine(number, Address("*", "example.test"), target) for number, target in enumerate(targets, start=2)
    ]
