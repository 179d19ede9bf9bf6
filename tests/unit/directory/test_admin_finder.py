"""Names, and the rows that have them."""

import pytest
from unit.directory.conftest import Place

from fastsmtp.directory.admin_finder import shown_domain
from fastsmtp.directory.names import AdminError


@pytest.mark.parametrize(
    ("stored", "shown"),
    [("Example.TEST", "example.test"), ("B\u00dcCHER.test", "xn--bcher-kva.test"), ("no name", "no name")],
)
def test_domains_are_shown_in_their_canonical_form(stored: str, shown: str) -> None:
    assert shown_domain(stored) == shown


def test_every_row_of_a_name_is_meant(empty: Place) -> None:
    empty.run(
        """
        CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255));
        CREATE TABLE "user" (user_id int, domain_id int, can_receive smallint, can_login smallint, username text);
        INSERT INTO domain VALUES (1, 0, 'EXAMPLE.test'), (2, 1, 'example.test'), (3, 1, 'example.test.other');
        INSERT INTO "user" VALUES (1, 1, 1, 1, 'Joe'), (2, 2, 1, 1, 'joe'), (3, 3, 1, 1, 'joe');
        """
    )
    with empty.admin() as admin:
        admin.add_user("ann@example.test")  # goes to the domain that is on
        admin.set_user("joe@example.test", can_receive=False)
    assert empty.query('SELECT user_id, domain_id, can_receive FROM "user" ORDER BY 1') == [
        (1, 1, 0),
        (2, 2, 0),
        (3, 3, 1),
        (4, 2, 1),
    ]


def test_rows_without_a_number_are_told(empty: Place) -> None:
    empty.run(
        """
        CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255));
        CREATE TABLE "user" (user_id int, domain_id int, can_receive smallint, can_login smallint, username text);
        INSERT INTO domain VALUES (1, 1, 'example.test'), (NULL, 1, 'other.test');
        INSERT INTO "user" VALUES (NULL, 1, 1, 1, 'joe');
        """
    )
    with empty.admin() as admin:
        with pytest.raises(AdminError, match="the row of joe has no number"):
            admin.remove_user("joe@example.test")
        with pytest.raises(AdminError, match=r"the row of other\.test has no number"):
            admin.add_user("joe@other.test")
