"""Changes users, and how much mail they may have."""

from collections.abc import Sequence
from typing import Final

from fastsmtp.directory.admin_finder import Finder, shown_domain
from fastsmtp.directory.admin_rows import DuplicateError, UserRow
from fastsmtp.directory.database import Row
from fastsmtp.directory.names import read_address, read_domain, read_new_address
from fastsmtp.smtp.address import fold

__all__ = ["UserAdmin"]

_SET_PERMISSIONS: Final = (
    'UPDATE "user" SET can_receive = coalesce(?, can_receive), can_login = coalesce(?, can_login) WHERE user_id = ?'
)

_SET_QUOTA: Final = (
    "INSERT INTO mailbox (user_id, quota_bytes) VALUES (?, ?)"
    " ON CONFLICT (user_id) DO UPDATE SET quota_bytes = excluded.quota_bytes"
)

_USERS: Final = (
    "SELECT CAST(d.domain_name AS TEXT), CAST(u.username AS TEXT), u.can_receive, u.can_login, u.user_id"
    ' FROM domain AS d JOIN "user" AS u ON u.domain_id = d.domain_id'
    " WHERE d.domain_name IS NOT NULL AND u.username IS NOT NULL"
)

_QUOTAS: Final = (
    "SELECT m.user_id, m.quota_bytes"
    ' FROM mailbox AS m JOIN "user" AS u ON u.user_id = m.user_id WHERE m.quota_bytes IS NOT NULL'
)


class UserAdmin(Finder):
    """Each change is a transaction of its own. Every method raises DirectoryError when the database cannot be used."""

    def add_user(
        self, address: str, *, can_receive: bool = True, can_login: bool = True, quota_bytes: int | None = None
    ) -> UserRow:
        """Add a user to a domain of ours; None is no limit for their mail.

        Raises BadAddressError, MailboxNameError, UnknownDomainError, DuplicateError.
        """
        user = read_new_address(address)
        row = UserRow(user.domain, user.folded_local, can_receive, can_login, quota_bytes)
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
        user = read_address(address)
        with self._database.changing():
            user_ids = self._known_user_ids(user)
            for user_id in user_ids:
                self._database.execute(_SET_QUOTA, user_id, quota_bytes)
            return self._users("user_id", user_ids)[0]

    def remove_user(self, address: str) -> None:
        """Forget a user; the mail stays. Raises BadAddressError, UnknownDomainError, UnknownUserError."""
        user = read_address(address)
        with self._database.changing():
            for user_id in self._known_user_ids(user):
                self._database.execute('DELETE FROM "user" WHERE user_id = ?', user_id)

    def _users(self, column: str = "", ids: Sequence[int] = ()) -> list[UserRow]:
        """All users, or those who have one of these numbers in this column of their table."""
        has_quotas = "mailbox" in self._database.tables()
        quotas: dict[int, int] = dict(self._select(_QUOTAS, column, ids)) if has_quotas else {}
        return [
            UserRow(shown_domain(domain), fold(name), bool(can_receive), bool(can_login), quotas.get(user_id))
            for domain, name, can_receive, can_login, user_id in self._select(_USERS, column, ids)
        ]

    def _select(self, statement: str, column: str, ids: Sequence[int]) -> list[Row]:
        if not column:
            return self._database.execute(statement)
        return [row for row_id in ids for row in self._database.execute(f"{statement} AND u.{column} = ?", row_id)]
