-- Whose mail is not taken, and for whom none is: what the plugins block_sender and block_recipient read with `directory = true`.

-- entry is what could stand on a line of their files; reason is what the client hears, '' for that of the plugin.
CREATE TABLE IF NOT EXISTS block_entry (
    list   varchar(16) NOT NULL CHECK (list IN ('sender', 'recipient')),
    entry  varchar(1000) NOT NULL,
    reason varchar(255) NOT NULL DEFAULT '',
    PRIMARY KEY (list, entry)
);
