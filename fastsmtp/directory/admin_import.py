"""Adds many users or aliases at once: all of them or, where one line is wrong, none."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from fastsmtp.directory.admin_users import UserAdmin
from fastsmtp.directory.csv_lines import AliasLine, Problem, UserLine
from fastsmtp.directory.database import Row
from fastsmtp.directory.import_plan import AliasPlan, UserPlan
from fastsmtp.directory.names import AdminError

__all__ = ["AdminImport", "Imported", "Progress", "RefusedImportError"]

ROWS: Final = 10_000
"""So many rows go to the database at a time."""

Progress: TypeAlias = Callable[[int, int], object]
"""Told how many rows are written, and how many there are."""

# What lines say of users who are there is written by one statement for all: with our triggers, each costs 1.5 ms.
_CHANGES: Final = """
CREATE TEMPORARY TABLE user_change
    (user_id bigint, can_receive smallint, can_login smallint, says_quota smallint, quota_bytes bigint,
     password_hash varchar(255))
"""
_USER_COLUMNS: Final = ("user_id", "domain_id", "can_receive", "can_login", "username")
_ALIAS_COLUMNS: Final = ("domain_id", "is_active", "alias_name", "target")
_CHANGE_COLUMNS: Final = ("user_id", "can_receive", "can_login", "says_quota", "quota_bytes", "password_hash")
_CHANGE_USERS: Final = """
UPDATE "user" SET can_receive = coalesce(change.can_receive, "user".can_receive),
                  can_login = coalesce(change.can_login, "user".can_login)
FROM user_change AS change
WHERE change.user_id = "user".user_id AND (change.can_receive IS NOT NULL OR change.can_login IS NOT NULL)
"""
_CHANGE_QUOTAS: Final = """
INSERT INTO mailbox (user_id, quota_bytes) SELECT user_id, quota_bytes FROM user_change WHERE says_quota = 1
ON CONFLICT (user_id) DO UPDATE SET quota_bytes = excluded.quota_bytes
"""
_CHANGE_PASSWORDS: Final = """
INSERT INTO mailbox (user_id, password_hash) SELECT user_id, password_hash FROM user_change
WHERE password_hash IS NOT NULL
ON CONFLICT (user_id) DO UPDATE SET password_hash = excluded.password_hash
"""

_Line = TypeVar("_Line", UserLine, AliasLine)


@dataclass(frozen=True, slots=True)
class Imported:
    """What has become of the lines."""

    added: int
    updated: int
    problems: tuple[Problem, ...]


class RefusedImportError(AdminError):
    """Some lines are wrong, so nothing was imported."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class AdminImport(UserAdmin):
    """Each import is a transaction. Every method raises DirectoryError when the database cannot be used."""

    def import_users(
        self,
        lines: Iterable[UserLine | Problem],
        *,
        update: bool = False,
        skip_errors: bool = False,
        progress: Progress | None = None,
    ) -> Imported:
        """Add the users of all lines; with `update`, whoever is there gets what their line says.

        Raises RefusedImportError for lines that are wrong, and nothing is changed; with `skip_errors` they are left
        out.
        """
        waiting = list(lines)  # whatever they come from, the lock is not held while it is read
        with self._database.changing():
            plan = UserPlan(self._database, update=update)
            problems = _sort_out(waiting, plan.take, skip_errors=skip_errors)
            ids = self._database.new_ids("user", "user_id", len(plan.new))
            new = [(user_id, domain_id, line) for user_id, (domain_id, line) in zip(ids, plan.new, strict=True)]
            changes = [(user_id, *_said(line), *_said_of_mailbox(line)) for user_id, line in plan.changed]
            changes += [
                (user_id, None, None, *_said_of_mailbox(line))
                for user_id, _, line in new
                if line.quota not in (None, "none") or line.password_hash is not None
            ]
            self._database.execute(_CHANGES)
            self._insert("user", _USER_COLUMNS, [_user(*row) for row in new], progress)
            self._insert("user_change", _CHANGE_COLUMNS, changes, progress)
            self._database.execute(_CHANGE_USERS)
            if any(says_quota for _, _, _, says_quota, _, _ in changes):
                self._database.execute(_CHANGE_QUOTAS)
            if any(password_hash for *_, password_hash in changes):
                self._database.execute(_CHANGE_PASSWORDS)
            self._database.execute("DROP TABLE user_change")
        return Imported(len(plan.new), len({line.line for _, line in plan.changed}), problems)

    def import_aliases(
        self,
        lines: Iterable[AliasLine | Problem],
        *,
        update: bool = False,
        skip_errors: bool = False,
        progress: Progress | None = None,
    ) -> Imported:
        """Add the targets of all lines; with `update`, a target that is there already is no error.

        Raises RefusedImportError for lines that are wrong, and nothing is changed; with `skip_errors` they are left
        out.
        """
        waiting = list(lines)
        with self._database.changing():
            plan = AliasPlan(self._database, update=update)
            problems = _sort_out(waiting, plan.take, skip_errors=skip_errors)
            new: list[Row] = [
                (domain_id, int(is_active), line.address.folded_local, str(line.target))
                for domain_id, is_active, line in plan.new
            ]
            self._insert("alias", _ALIAS_COLUMNS, new, progress)
        return Imported(len(plan.new), plan.known, problems)

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[Row], progress: Progress | None) -> None:
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            self._database.insert(table, columns, part)
            if progress is not None:
                progress(start + len(part), len(rows))


def _sort_out(
    lines: Iterable[_Line | Problem], take: Callable[[_Line], None], *, skip_errors: bool
) -> tuple[Problem, ...]:
    problems: list[Problem] = []
    for line in lines:
        if isinstance(line, Problem):
            problems.append(line)
            continue
        try:
            take(line)
        except AdminError as error:
            problems.append(Problem(line.line, str(error)))
    if problems and not skip_errors:
        raise RefusedImportError(problems)
    return tuple(problems)


def _user(user_id: int, domain_id: int, line: UserLine) -> Row:
    can_receive, can_login = (1 if said is None else said for said in _said(line))
    return user_id, domain_id, can_receive, can_login, line.address.folded_local


def _said(line: UserLine) -> tuple[int | None, int | None]:
    can_receive, can_login = line.can_receive, line.can_login
    return None if can_receive is None else int(can_receive), None if can_login is None else int(can_login)


def _said_of_mailbox(line: UserLine) -> tuple[int, int | None, str | None]:
    return int(line.quota is not None), None if line.quota == "none" else line.quota, line.password_hash
