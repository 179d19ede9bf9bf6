-- What else there is to say about users and domains.

-- settings: {"name of a plugin": {...}}
CREATE TABLE IF NOT EXISTS mailbox (
    user_id       integer PRIMARY KEY,
    quota_bytes   bigint CHECK (quota_bytes >= 0),
    password_hash varchar(255),
    settings      jsonb
);

CREATE TABLE IF NOT EXISTS domain_setting (
    domain_id integer PRIMARY KEY,
    settings  jsonb
);

-- A number may be given again: nobody shall inherit the password of somebody who is gone.
DROP TRIGGER IF EXISTS user_takes_mailbox ON "user";
CREATE TRIGGER user_takes_mailbox AFTER DELETE ON "user" REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION fastsmtp_forget('user_id', 'mailbox');

DROP TRIGGER IF EXISTS domain_takes_settings ON domain;
CREATE TRIGGER domain_takes_settings AFTER DELETE ON domain REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION fastsmtp_forget('domain_id', 'domain_setting');

NOTIFY fastsmtp_directory;
