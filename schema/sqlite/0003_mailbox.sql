-- Further facts about users and domains. Settings are those of plugins: {"name of the plugin": {...}}.

CREATE TABLE IF NOT EXISTS mailbox (
    user_id       INTEGER PRIMARY KEY,
    quota_bytes   BIGINT CHECK (quota_bytes >= 0),
    password_hash VARCHAR(255) CHECK (length(password_hash) <= 255),
    settings      TEXT CHECK (settings IS NULL OR json_valid(settings))
);

CREATE TABLE IF NOT EXISTS domain_setting (
    domain_id INTEGER PRIMARY KEY,
    settings  TEXT CHECK (settings IS NULL OR json_valid(settings))
);

-- A number may be given again: nobody shall inherit the password of somebody who is gone.
CREATE TRIGGER IF NOT EXISTS user_takes_mailbox AFTER DELETE ON "user" BEGIN
    DELETE FROM mailbox WHERE user_id = OLD.user_id;
END;

CREATE TRIGGER IF NOT EXISTS domain_takes_settings AFTER DELETE ON domain BEGIN
    DELETE FROM domain_setting WHERE domain_id = OLD.domain_id;
END;
