-- Domains and users for SQLite. On a database that has these tables already, only the indexes are added.

CREATE TABLE IF NOT EXISTS domain (
    domain_id   INTEGER PRIMARY KEY,
    is_active   SMALLINT NOT NULL DEFAULT 1,
    domain_name VARCHAR(255) NOT NULL
);

CREATE TABLE IF NOT EXISTS "user" (
    user_id     INTEGER PRIMARY KEY,
    domain_id   INTEGER NOT NULL REFERENCES domain (domain_id),
    can_receive SMALLINT NOT NULL DEFAULT 1,
    can_login   SMALLINT NOT NULL DEFAULT 1,
    username    VARCHAR(255) NOT NULL
);

-- Names are compared without ASCII case, which is all that lower() folds here.
CREATE UNIQUE INDEX IF NOT EXISTS domain_folded_name ON domain (lower(domain_name));
CREATE UNIQUE INDEX IF NOT EXISTS user_folded_name ON "user" (domain_id, lower(username));

-- Names beyond ASCII may be spelled in ways that SQL cannot compare; these find the few rows that have one.
CREATE INDEX IF NOT EXISTS domain_beyond_ascii ON domain (domain_name) WHERE domain_name GLOB '*[^ -~]*';
CREATE INDEX IF NOT EXISTS user_beyond_ascii ON "user" (domain_id) WHERE username GLOB '*[^ -~]*';
