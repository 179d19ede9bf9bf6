"""Changes users, and how much mail they may have."""

from collections.abc import Sequence
from typing import Final

from fastsmtp.directory.admin_finder import Finder, shown_domain
from fastsmtp.directory.admin_rows import DuplicateError, UserRow
from fastsmtp.directory.database import Row
from fastsmtp.directory.names import read_address, read_domain, read_new_address
from fastsmtp.smtp.address import Address, fold

__all__ = ["UserAdmin"]

_SET_PERMISSIONS: Final = (
    'UPDATE "user" SET can_receive = coalesce(?, can_receive), can_login = coalesce(?, can_login) WHERE user_id = ?'
)

_SET_QUOTA: Final = (
    "INSERT INTO mailbox (user_id, quota_bytes) VALUES (?, ?)"
    " ON CONFLICT (user_id) DO UPDATE SET quota_bytes = excluded.quota_bytes"
)

_SET_HASH: Final = (
    "INSERT INTO mailbox (user_id, password_hash) VALUES (?, ?)"
    " ON CONFLICT (user_id) DO UPDATE SET password_hash = excluded.password_hash"
)

_USERS: Final = (
    "SELECT CAST(d.domain_name AS TEXT), CAST(u.username AS TEXT), u.can_receive, u.can_login, u.user_id"
    ' FROM domain AS d JOIN "user" AS u ON u.domain_id = d.domain_id'
    " WHERE d.domain_name IS NOT NULL AND u.username IS NOT NULL"
)

_MAILBOXES: Final = (
    "SELECT m.user_id, m.quota_bytes, m.password_hash IS NOT NULL"
    ' FROM mailbox AS m JOIN "user" AS u ON u.user_id = m.user_id'
    " WHERE (m.quota_bytes IS NOT NULL OR m.password_hash IS NOT NULL)"
)

_HASHES: Final = (
    "SELECT CAST(u.username AS TEXT), CAST(d.domain_name AS TEXT)"
    ' FROM mailbox AS m JOIN "user" AS u ON u.user_id = m.user_id JOIN domain AS d ON d.domain_id = u.domain_id'
    " WHERE m.password_hash IS NOT NULL"
)


class UserAdmin(Finder):
    """Each change is a transaction of its own. Every method raises DirectoryError when the database cannot be used."""

    def add_user(
        self,
        address: str,
        *,
        can_receive: bool = True,
        can_login: bool = True,
        quota_bytes: int | None = None,
        password_hash: str | None = None,
    ) -> UserRow:
        """Add a user to a domain of ours; None is no limit for their mail, and no password.

        Raises BadAddressError, MailboxNameError, UnknownDomainError, DuplicateError.
        """
        user = read_new_address(address)
        has_password = password_hash is not None
        row = UserRow(user.domain, user.folded_local, can_receive, can_login, quota_bytes, has_password)
        with self._database.changing():
            domain_ids = self._known_domain_ids(row.domain)
            if self._user_ids(domain_ids, row.name):
                raise DuplicateError(f"the user {row.address} is here already")
            [user_id] = self._database.new_ids("user", "user_id")
            self._database.execute(
                'INSERT INTO "user" (user_id, domain_id, can_receive, can_login, username) VALUES (?, ?, ?, ?, ?)',
                user_id,
                domain_ids[0],
                int(can_receive),
                int(can_login),
                row.name,
            )
            if quota_bytes is not None:
                self._database.execute(_SET_QUOTA, user_id, quota_bytes)
            if password_hash is not None:
                self._database.execute(_SET_HASH, user_id, password_hash)
        return row

    def list_users(self, domain: str | None = None) -> list[UserRow]:
        """The users of one domain or of all, by domain and name. Raises BadAddressError, UnknownDomainError."""
        with self._database.reading():
            if domain is None:
                rows = self._users()
            else:
                rows = self._users("domain_id", self._known_domain_ids(read_domain(domain)))
        return sorted(rows, key=lambda row: (row.domain, row.name))

    def get_user(self, address: str) -> UserRow:
        """One user. Raises BadAddressError, UnknownDomainError, UnknownUserError."""
        user = read_address(address)
        with self._database.reading():
            return self._users("user_id", self._known_user_ids(user))[0]

    def set_user(self, address: str, *, can_receive: bool | None = None, can_login: bool | None = None) -> UserRow:
        """Change what a user may do; None leaves a permission alone.

        Raises BadAddressError, UnknownDomainError, UnknownUserError.
        """
        user = read_address(address)
        permissions = [None if value is None else int(value) for value in (can_receive, can_login)]
        with self._database.changing():
            user_ids = self._known_user_ids(user)
            for user_id in user_ids:
                self._database.execute(_SET_PERMISSIONS, *permissions, user_id)
            return self._users("user_id", user_ids)[0]

    def set_quota(self, address: str, quota_bytes: int | None) -> UserRow:
        """Let a user have so many octets of mail; None is no limit.

        Raises BadAddressError, UnknownDomainError, UnknownUserError.
        """
        return self._set(_SET_QUOTA, address, quota_bytes)

    def set_password(self, address: str, password_hash: str | None) -> UserRow:
        """Let a user log in with the password of this hash; None takes the password away.

        Raises BadAddressError, UnknownDomainError, UnknownUserError.
        """
        return self._set(_SET_HASH, address, password_hash)

    def unreadable_passwords(self) -> list[str]:
        """The addresses of those whose password hash is of a scheme that cannot be checked here."""
        from fastsmtp.directory.schemes import PREFIXES

        if "mailbox" not in self._database.tables():
            return []
        statement = _HASHES + " AND m.password_hash NOT LIKE ?" * len(PREFIXES)
        rows = self._database.execute(statement, *(f"{prefix}%" for prefix in PREFIXES))
        return sorted(str(Address(fold(name), shown_domain(domain))) for name, domain in rows)

    def remove_user(self, address: str) -> None:
        """Forget a user; the mail stays. Raises BadAddressError, UnknownDomainError, UnknownUserError."""
        user = read_address(address)
        with self._database.changing():
            for user_id in self._known_user_ids(user):
                self._database.execute('DELETE FROM "user" WHERE user_id = ?', user_id)

    def _set(self, statement: str, address: str, value: object) -> UserRow:
        """Write one thing about a user into their mailbox."""
        user = read_address(address)
        with self._database.changing():
            user_ids = self._known_user_ids(user)
            for user_id in user_ids:
                self._database.execute(statement, user_id, value)
            return self._users("user_id", user_ids)[0]

    def _users(self, column: str = "", ids: Sequence[int] = ()) -> list[UserRow]:
        """All users, or those who have one of these numbers in this column of their table."""
        mailboxes: dict[int, tuple[int | None, bool]] = {}
        if "mailbox" in self._database.tables():
            rows = self._select(_MAILBOXES, column, ids)
            mailboxes = {user_id: (quota_bytes, bool(has_password)) for user_id, quota_bytes, has_password in rows}
        return [
            UserRow(
                shown_domain(domain),
                fold(name),
                bool(can_receive),
                bool(can_login),
                *mailboxes.get(user_id, (None, False)),
            )
            for domain, name, can_receive, can_login, user_id in self._select(_USERS, column, ids)
        ]

    def _select(self, statement: str, column: str, ids: Sequence[int]) -> list[Row]:
        if not column:
            return self._database.execute(statement)
        return [row for row_id in ids for row in self._database.execute(f"{statement} AND u.{column} = ?", row_id)]
