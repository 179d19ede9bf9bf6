-- Aliases, one row for each target, and domain aliases. Nothing refers to a base table by a foreign key: those that
-- were made by others may have no unique column to refer to, so triggers take away what belongs to a deleted row.

CREATE TABLE IF NOT EXISTS alias (
    alias_id   INTEGER PRIMARY KEY,
    domain_id  INTEGER NOT NULL,
    is_active  SMALLINT NOT NULL DEFAULT 1,
    alias_name VARCHAR(255) NOT NULL CHECK (length(alias_name) <= 255),  -- the local part; '*' takes what nobody has
    target     VARCHAR(255) NOT NULL CHECK (length(target) <= 255)       -- local@domain
);

CREATE TABLE IF NOT EXISTS domain_alias (
    domain_alias_id INTEGER PRIMARY KEY,
    alias_name      VARCHAR(255) NOT NULL CHECK (length(alias_name) <= 255),
    domain_id       INTEGER NOT NULL,
    is_active       SMALLINT NOT NULL DEFAULT 1
);

CREATE UNIQUE INDEX IF NOT EXISTS alias_folded_name ON alias (domain_id, lower(alias_name), lower(target));
CREATE UNIQUE INDEX IF NOT EXISTS domain_alias_folded_name ON domain_alias (lower(alias_name));

CREATE INDEX IF NOT EXISTS alias_beyond_ascii ON alias (domain_id) WHERE alias_name GLOB '*[^ -~]*';
CREATE INDEX IF NOT EXISTS domain_alias_beyond_ascii ON domain_alias (alias_name) WHERE alias_name GLOB '*[^ -~]*';

-- From the domain alias to its domain, for a domain table whose domain_id is no key.
CREATE INDEX IF NOT EXISTS domain_number ON domain (domain_id);

CREATE TRIGGER IF NOT EXISTS domain_takes_aliases AFTER DELETE ON domain BEGIN
    DELETE FROM alias WHERE domain_id = OLD.domain_id;
    DELETE FROM domain_alias WHERE domain_id = OLD.domain_id;
END;
