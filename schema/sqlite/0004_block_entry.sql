-- Whose mail is not taken, and for whom none is: what the plugins block_sender and block_recipient read with `directory = true`.

-- entry is what could stand on a line of their files; reason is what the client hears, '' for that of the plugin.
CREATE TABLE IF NOT EXISTS block_entry (
    list   VARCHAR(16) NOT NULL CHECK (list IN ('sender', 'recipient')),
    entry  VARCHAR(1000) NOT NULL CHECK (length(entry) <= 1000),
    reason VARCHAR(255) NOT NULL DEFAULT '' CHECK (length(reason) <= 255),
    PRIMARY KEY (list, entry)
);
