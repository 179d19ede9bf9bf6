"""Many users and aliases at once, in both databases."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.directory.conftest import Place

from fastsmtp.directory.admin import Admin, AliasList, Imported, RefusedImportError, SqliteAdmin, UserRow
from fastsmtp.directory.csv_lines import Problem, read_aliases, read_users, write_users
from fastsmtp.errors import DirectoryError


def import_users(admin: Admin, text: str, *, update: bool = False, skip_errors: bool = False) -> Imported:
    return admin.import_users(read_users(io.StringIO(text)), update=update, skip_errors=skip_errors)


def import_aliases(admin: Admin, text: str, *, update: bool = False, skip_errors: bool = False) -> Imported:
    return admin.import_aliases(read_aliases(io.StringIO(text)), update=update, skip_errors=skip_errors)


@pytest.fixture
def ours(admin: Admin) -> Admin:
    admin.add_domain("example.test")
    admin.add_domain("other.test")
    admin.add_user("joe@example.test", quota_bytes=1000)
    return admin


def test_new_users(ours: Admin) -> None:
    text = (
        "address,can_receive,can_login,quota\n"
        "Ann@example.test,,,\nzo\u00eb@other.test,no,no,1KiB\neve@other.test,yes,no,none\n"
    )
    assert import_users(ours, text) == Imported(added=3, updated=0, problems=())
    assert ours.list_users() == [
        UserRow("example.test", "ann", True, True),
        UserRow("example.test", "joe", True, True, 1000),
        UserRow("other.test", "eve", True, False),
        UserRow("other.test", "zo\u00eb", False, False, 1024),
    ]


WRONG = (
    "address,quota\nann@example.test,\nJOE@example.test,5\nANN@example.test,\neve@third.test,\n"
    "a b@example.test,\neva@third.test,\nzoe@example.test,9\n"
)
PROBLEMS = (
    Problem(3, "the user JOE@example.test is here already"),
    Problem(4, "the user ANN@example.test is in line 2 already"),
    Problem(5, "the domain third.test is not in the directory"),
    Problem(6, "'a b@example.test': ' ' (U+0020 SPACE) cannot be in a user name"),
    Problem(7, "the domain third.test is not in the directory"),
)


def test_with_one_wrong_line_nothing_is_imported(ours: Admin) -> None:
    with pytest.raises(RefusedImportError) as caught:
        import_users(ours, WRONG)
    assert caught.value.problems == PROBLEMS
    assert str(caught.value).startswith("line 3: the user JOE@example.test is here already\nline 4: ")
    assert [row.name for row in ours.list_users()] == ["joe"]


def test_wrong_lines_are_left_out_on_demand(ours: Admin) -> None:
    assert import_users(ours, WRONG, skip_errors=True) == Imported(added=2, updated=0, problems=PROBLEMS)
    assert [(row.name, row.quota_bytes) for row in ours.list_users()] == [("ann", None), ("joe", 1000), ("zoe", 9)]


def test_update_changes_what_a_line_says(ours: Admin) -> None:
    text = "address,can_receive,can_login,quota\nJOE@example.test,no,,\nann@example.test,no,,5\n"
    assert import_users(ours, text, update=True) == Imported(added=1, updated=1, problems=())
    assert ours.list_users() == [
        UserRow("example.test", "ann", False, True, 5),
        UserRow("example.test", "joe", False, True, 1000),
    ]
    import_users(ours, "address,can_login,quota\njoe@example.test,no,none\nann@example.test,,6\n", update=True)
    assert ours.list_users() == [
        UserRow("example.test", "ann", False, True, 6),
        UserRow("example.test", "joe", False, False),
    ]
    with pytest.raises(RefusedImportError, match="in line 2 already"):
        import_users(ours, "address\njoe@example.test\njoe@example.test\n", update=True)


def test_into_a_database_of_others(foreign: Place) -> None:
    with foreign.admin() as admin:
        assert import_users(
            admin, "address,can_login\nZO\u00cb@b\u00fccher.test,no\nnew@example.test,no\n", update=True
        ) == (Imported(added=1, updated=1, problems=()))
    assert foreign.query('SELECT * FROM "user" ORDER BY 1') == [
        (3, 7, 1, 0, "Joe"),
        (4, 7, None, None, "Ann"),
        (5, 8, 1, 0, "ZO\u00cb"),
        (6, 7, 1, 0, "new"),
    ]


def test_a_hundred_thousand(place: Place) -> None:
    count = 100_000
    progress: list[tuple[int, int]] = []
    with place.admin() as admin:
        admin.add_domain("example.test")
        lines = ["address,quota", *(f"user{number}@example.test,{number + 1}" for number in range(count))]
        imported = admin.import_users(read_users(lines), progress=lambda *step: progress.append(step))
    assert imported == Imported(added=count, updated=0, problems=())
    steps = [(done, count) for done in range(10_000, count + 1, 10_000)]
    assert progress == steps * 2  # users, then quotas
    assert place.query(
        'SELECT count(*), count(DISTINCT u.user_id), sum(m.quota_bytes) FROM "user" AS u'
        " JOIN mailbox AS m ON m.user_id = u.user_id WHERE u.username = 'user' || (m.quota_bytes - 1)"
    ) == [(count, count, count * (count + 1) // 2)]


def test_a_quota_needs_its_table(empty: Place) -> None:
    empty.run(
        """
        CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255));
        CREATE TABLE "user" (user_id int, domain_id int, can_receive smallint, can_login smallint, username text);
        INSERT INTO domain VALUES (1, 1, 'example.test');
        """
    )
    with empty.admin() as admin:
        with pytest.raises(DirectoryError, match=r"mailbox.*fastsmtp db migrate"):
            import_users(admin, "address,quota\njoe@example.test,5\n")
        assert admin.list_users() == []
        assert import_users(admin, "address,quota\njoe@example.test,\n").added == 1


def test_aliases(ours: Admin) -> None:
    ours.add_alias("info@example.test", ["joe@example.test"])
    lines = ["Info@example.test,ann@example.test", "*@other.test,x@elsewhere.test", "*@other.test,joe@example.test"]
    text = "\n".join(["address,target", *lines, ""])
    assert import_aliases(ours, text) == Imported(added=3, updated=0, problems=())
    expected = [
        AliasList("example.test", "info", True, ("joe@example.test", "ann@example.test")),
        AliasList("other.test", "*", True, ("x@elsewhere.test", "joe@example.test")),
    ]
    assert ours.list_aliases() == expected

    wrong = f"{text}a@third.test,joe@example.test\nb@example.test,joe@example.test\nB@example.test,JOE@example.test\n"
    problems = (
        Problem(2, "the alias Info@example.test leads to ann@example.test already"),
        Problem(3, "the alias *@other.test leads to x@elsewhere.test already"),
        Problem(4, "the alias *@other.test leads to joe@example.test already"),
        Problem(5, "the domain third.test is not in the directory"),
        Problem(7, "B@example.test to JOE@example.test is in line 6 already"),
    )
    with pytest.raises(RefusedImportError) as caught:
        import_aliases(ours, wrong)
    assert caught.value.problems == problems
    assert ours.list_aliases() == expected
    assert import_aliases(ours, wrong, update=True, skip_errors=True) == Imported(1, 3, problems[3:])
    assert len(ours.list_aliases()) == 3


LEGAL = st.lists(
    st.builds(
        UserRow,
        st.sampled_from(["example.test", "xn--bcher-kva.test"]),
        st.from_regex(r"[a-z0-9!#$%&'*+=?^_`{|}~\xe0-\xf6-]{1,20}", fullmatch=True),
        st.booleans(),
        st.booleans(),
        st.none() | st.integers(1, 2**63 - 1),
    ),
    unique_by=lambda row: (row.domain, row.name),
)


def test_what_one_exports_another_imports(sqlite_admin: SqliteAdmin) -> None:
    @given(LEGAL)
    def check(rows: list[UserRow]) -> None:
        for domain in ("example.test", "b\u00fccher.test"):
            if len(sqlite_admin.list_domains()) == 2:
                sqlite_admin.remove_domain(domain, force=True)
            sqlite_admin.add_domain(domain)
        file = io.StringIO(newline="")
        write_users(file, rows)
        assert import_users(sqlite_admin, file.getvalue()).added == len(rows)
        assert sorted(sqlite_admin.list_users(), key=str) == sorted(rows, key=str)
        assert import_users(sqlite_admin, file.getvalue(), update=True).updated == len(rows)
        assert sorted(sqlite_admin.list_users(), key=str) == sorted(rows, key=str)

    check()


def test_password_hashes(ours: Admin, place: Place) -> None:
    text = (
        "address,password_hash\n"
        'zoe@example.test,"$argon2id$v=19$m=8,t=1,p=1$a"\njoe@example.test,$2y$05$b\nann@example.test,\n'
    )
    with pytest.raises(RefusedImportError):
        import_users(ours, text)
    ours.set_password("joe@example.test", "$argon2id$old")
    assert import_users(ours, text, update=True).updated > 0
    stored = 'SELECT username, password_hash, quota_bytes FROM mailbox JOIN "user" USING (user_id)'
    assert {name: password_hash for name, password_hash, _ in place.query(stored) if password_hash} == {
        "zoe": "$argon2id$v=19$m=8,t=1,p=1$a",
        "joe": "$2y$05$b",
    }
    import_users(ours, "address,quota\njoe@example.test,7\n", update=True)
    import_users(ours, "address,password_hash\njoe@example.test,\n", update=True)
    [joe] = [row for row in place.query(stored) if row[0] == "joe"]
    assert joe == ("joe", "$2y$05$b", 7)
