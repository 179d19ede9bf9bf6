-- Servers hear of changes at once: NOTIFY fastsmtp_directory with the name of the domain in which something has changed,
-- in lower case. An empty payload means that anything may have changed.

-- Called for each statement, which tells of a domain once, however many rows it writes. The argument are the columns that
-- matter: a change of others is not told. It runs as who made it: whoever may write users need not be able to read domains.
CREATE OR REPLACE FUNCTION fastsmtp_tell() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    most    CONSTANT integer := 100;
    changed text;
    ids     text;
    names   text[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify('fastsmtp_directory', '');
        RETURN NULL;
    END IF;
    changed := CASE TG_OP
        WHEN 'INSERT' THEN 'SELECT %1$s FROM after'
        WHEN 'DELETE' THEN 'SELECT %1$s FROM before'
        ELSE '(SELECT %1$s FROM before EXCEPT SELECT %1$s FROM after)'
            ' UNION ALL (SELECT %1$s FROM after EXCEPT SELECT %1$s FROM before)'
    END;
    ids := CASE TG_TABLE_NAME
        WHEN 'mailbox' THEN 'SELECT domain_id FROM "user" WHERE user_id IN (SELECT user_id FROM changed)'
        ELSE 'SELECT domain_id FROM changed'
    END;
    EXECUTE format(
        'WITH changed AS (' || changed || '), ids AS (' || ids || ')'
        ' SELECT array_agg(DISTINCT lower(CAST(name AS text) COLLATE "C")) FROM ('
        'SELECT domain_name FROM domain WHERE domain_id IN (TABLE ids)'
        -- The name that was, of what is gone or is called otherwise now.
        || CASE TG_TABLE_NAME
            WHEN 'domain' THEN ' UNION SELECT domain_name FROM changed'
            WHEN 'domain_alias' THEN ' UNION SELECT alias_name FROM changed'
            ELSE ''
        END
        || ') AS told (name)',
        TG_ARGV[0]
    ) INTO names;
    IF cardinality(names) > most THEN
        names := ARRAY[''];
    END IF;
    PERFORM pg_notify('fastsmtp_directory', name) FROM unnest(names) AS name;
    RETURN NULL;
END $$;

DO $$
DECLARE
    teller record;
BEGIN
    EXECUTE format(
        'ALTER FUNCTION fastsmtp_tell() SET search_path = %s, pg_temp',
        (SELECT string_agg(quote_ident(name), ', ') FROM unnest(current_schemas(false)) AS name)
    );
    FOR teller IN
        SELECT told.name, columns, event, rows FROM (VALUES
            ('domain', 'domain_id, is_active, domain_name'),
            ('user', 'domain_id, can_receive, username'),
            ('alias', 'domain_id, is_active, alias_name, target'),
            ('domain_alias', 'domain_id, is_active, alias_name'),
            ('mailbox', 'user_id, quota_bytes, CAST(settings AS text)'),
            ('domain_setting', 'domain_id, CAST(settings AS text)')
        ) AS told (name, columns), (VALUES
            ('INSERT', 'REFERENCING NEW TABLE AS after'),
            ('UPDATE', 'REFERENCING OLD TABLE AS before NEW TABLE AS after'),
            ('DELETE', 'REFERENCING OLD TABLE AS before'),
            ('TRUNCATE', '')
        ) AS events (event, rows)
    LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %I', 'fastsmtp_tell_' || lower(teller.event), teller.name);
        EXECUTE format(
            'CREATE TRIGGER %I AFTER %s ON %I %s FOR EACH STATEMENT EXECUTE FUNCTION fastsmtp_tell(%L)',
            'fastsmtp_tell_' || lower(teller.event), teller.event, teller.name, teller.rows, teller.columns
        );
    END LOOP;
END $$;

NOTIFY fastsmtp_directory;
