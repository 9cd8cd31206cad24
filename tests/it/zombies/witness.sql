-- The witness: notes, in the transaction that writes, who writes a row that replicas claim or work
-- on, and who held it before. Who writes is the replica that the connection names.

CREATE SCHEMA witness;

-- Replicas: what their connections say, and how they sign claims.
CREATE TABLE witness.replicas (writer TEXT PRIMARY KEY, owner TEXT NOT NULL UNIQUE);

-- Writes that were committed. Of one subject they are numbered in the order in which they took
-- effect: whoever works on it has it locked.
CREATE TABLE witness.writes (
    transaction BIGINT NOT NULL, number BIGINT GENERATED ALWAYS AS IDENTITY,
    writer TEXT NOT NULL, place TEXT NOT NULL, operation TEXT NOT NULL,
    subject TEXT, run TEXT, delivery TEXT,
    owner_before TEXT, owner_after TEXT, epoch_before BIGINT, epoch_after BIGINT,
    -- Of an attempt its outcome.
    state_before INTEGER, state_after INTEGER,
    -- Whether a claim had run out before the write.
    ran_out BOOLEAN,
    -- Whether nothing changed but what anybody may change.
    is_open BOOLEAN,
    PRIMARY KEY (transaction, number)
);

-- Notes a write; the arguments are columns that anybody may change, claimed or not.
CREATE FUNCTION witness.note() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    old_row JSONB := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_row JSONB := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    seen JSONB := COALESCE(new_row, old_row);
    open_to_all TEXT[] := COALESCE(TG_ARGV, '{}');
BEGIN
    INSERT INTO witness.writes (
        transaction, writer, place, operation, subject, run, delivery,
        owner_before, owner_after, epoch_before, epoch_after, state_before, state_after, ran_out, is_open
    ) VALUES (
        txid_current(), COALESCE(current_setting('witness.replica', TRUE), ''), TG_TABLE_NAME, TG_OP,
        seen ->> 'subject',
        seen ->> CASE TG_TABLE_NAME WHEN 'runs' THEN 'id' ELSE 'run' END,
        seen ->> CASE TG_TABLE_NAME WHEN 'deliveries' THEN 'id' ELSE 'delivery' END,
        old_row ->> 'lease_owner', new_row ->> 'lease_owner',
        (old_row ->> 'epoch')::BIGINT, (new_row ->> 'epoch')::BIGINT,
        COALESCE(old_row ->> 'state', old_row ->> 'outcome')::INTEGER,
        COALESCE(new_row ->> 'state', new_row ->> 'outcome')::INTEGER,
        (old_row ->> 'lease_until')::BIGINT <= (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT,
        COALESCE((old_row - open_to_all) = (new_row - open_to_all), FALSE)
    );
    RETURN NULL;
END $$;

CREATE TRIGGER witness AFTER UPDATE OR DELETE ON timers
    FOR EACH ROW EXECUTE FUNCTION witness.note('due_at');
CREATE TRIGGER witness AFTER INSERT ON marks
    FOR EACH ROW EXECUTE FUNCTION witness.note();
CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON runs
    FOR EACH ROW EXECUTE FUNCTION witness.note('next_at', 'progress');
CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON run_events
    FOR EACH ROW EXECUTE FUNCTION witness.note();
CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON deliveries
    FOR EACH ROW EXECUTE FUNCTION witness.note('overtaken');
CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON delivery_attempts
    FOR EACH ROW EXECUTE FUNCTION witness.note();

-- Writes by whoever held the row: they cover what else their transactions write about it.
CREATE VIEW witness.held AS
    SELECT w.* FROM witness.writes w JOIN witness.replicas r USING (writer)
    WHERE w.operation = 'UPDATE' AND w.place IN ('timers', 'runs', 'deliveries') AND w.owner_before = r.owner;

-- Claims that passed from one replica to another.
CREATE VIEW witness.takeovers AS
    SELECT * FROM witness.writes
    WHERE operation = 'UPDATE' AND owner_before <> owner_after AND epoch_after = epoch_before + 1;

-- Runs that ended before their last step, in the commit that stored the customer's return.
CREATE VIEW witness.ends AS
    SELECT * FROM witness.writes
    WHERE place = 'runs' AND operation = 'UPDATE' AND state_before = 1 AND state_after = 3;

-- Updates by writers who did not hold the row, and who may not write it without.
CREATE VIEW witness.trespasses AS
    SELECT w.* FROM witness.writes w LEFT JOIN witness.replicas r USING (writer)
    WHERE w.operation = 'UPDATE' AND w.place IN ('timers', 'runs', 'deliveries')
    AND w.owner_before IS DISTINCT FROM r.owner AND NOT w.is_open
    -- It takes a claim that is free or has run out.
    AND (
        w.owner_after = r.owner AND w.epoch_after = w.epoch_before + 1
        AND (w.owner_before IS NULL OR w.ran_out)
    ) IS NOT TRUE
    -- It ends the run, or cancels what the run that it ends had scheduled.
    AND (
        w.owner_after IS NULL AND w.epoch_after = w.epoch_before + 1 AND w.state_before = 1
        AND (w.place, w.state_after) IN (('runs', 3), ('deliveries', 6))
        AND EXISTS (SELECT 1 FROM witness.ends e WHERE e.transaction = w.transaction AND e.run = w.run)
    ) IS NOT TRUE;

-- Everything that should not have been written, one line each.
CREATE FUNCTION witness.complaints() RETURNS SETOF TEXT LANGUAGE sql STABLE AS $$
    SELECT 'nobody knows who wrote: ' || w::TEXT FROM witness.writes w
    WHERE NOT EXISTS (SELECT 1 FROM witness.replicas r WHERE r.writer = w.writer)
UNION ALL
    SELECT 'written by one who did not hold it: ' || w::TEXT FROM witness.trespasses w
UNION ALL
    SELECT 'a mark without the claim of its timer: ' || w::TEXT FROM witness.writes w
    WHERE w.place = 'marks' AND NOT EXISTS (
        SELECT 1 FROM witness.held h
        WHERE h.transaction = w.transaction AND h.place = 'timers' AND h.subject = w.subject
    )
UNION ALL
    SELECT 'a run without the claim of its timer: ' || w::TEXT FROM witness.writes w
    WHERE w.place = 'runs' AND w.operation = 'INSERT' AND NOT EXISTS (
        SELECT 1 FROM witness.held h
        WHERE h.transaction = w.transaction AND h.place = 'timers' AND h.subject = w.subject
    )
UNION ALL
    SELECT 'a message without the claim of its run: ' || w::TEXT FROM witness.writes w
    WHERE w.place = 'deliveries' AND w.operation = 'INSERT' AND NOT EXISTS (
        SELECT 1 FROM witness.held h
        WHERE h.transaction = w.transaction AND h.place = 'runs' AND h.run = w.run
    )
UNION ALL
    SELECT 'an attempt without the claim of its message: ' || w::TEXT FROM witness.writes w
    WHERE w.place = 'delivery_attempts' AND NOT EXISTS (
        SELECT 1 FROM witness.held h
        WHERE h.transaction = w.transaction AND h.place = 'deliveries' AND h.delivery = w.delivery
    )
UNION ALL
    SELECT 'a line of the ledger without a claim: ' || w::TEXT FROM witness.writes w
    WHERE w.place = 'run_events' AND NOT EXISTS (
        SELECT 1 FROM witness.held h
        WHERE h.transaction = w.transaction AND h.place IN ('runs', 'deliveries') AND h.run = w.run
    ) AND NOT EXISTS (
        SELECT 1 FROM witness.writes b
        WHERE b.transaction = w.transaction AND b.place = 'runs' AND b.operation = 'INSERT' AND b.run = w.run
    ) AND NOT EXISTS (
        SELECT 1 FROM witness.ends e WHERE e.transaction = w.transaction AND e.run = w.run
    )
UNION ALL
    SELECT 'appended once, and written again: ' || w::TEXT FROM witness.writes w
    WHERE w.operation <> 'INSERT' AND (
        w.place = 'run_events'
        OR w.operation = 'DELETE'
        OR (w.place = 'delivery_attempts' AND w.state_before IS NOT NULL)
    )
UNION ALL
    SELECT 'over, and written again: ' || w::TEXT FROM witness.writes w
    WHERE w.operation = 'UPDATE' AND NOT w.is_open AND (
        (w.place = 'runs' AND w.state_before <> 1)
        OR (w.place = 'deliveries' AND w.state_before NOT IN (1, 2))
    )
UNION ALL
    SELECT 'an attempt begun after its run had ended: ' || w::TEXT FROM witness.writes w
    JOIN deliveries d ON d.id = w.delivery
    JOIN witness.ends e ON e.run = d.run::TEXT AND e.number < w.number
    WHERE w.place = 'delivery_attempts' AND w.operation = 'INSERT'
UNION ALL
    SELECT format('twice in the ledger: %s %s of run %s', kind, step, run) FROM run_events
    WHERE kind IN ('started', 'delivery_created', 'delivery_settled', 'completed', 'ended', 'skipped')
    GROUP BY run, kind, step HAVING count(*) > 1
UNION ALL
    SELECT format('more than one end in the ledger of run %s', run) FROM run_events
    WHERE kind IN ('completed', 'ended', 'skipped')
    GROUP BY run HAVING count(*) > 1
UNION ALL
    SELECT format('a gap in the ledger of run %s', run) FROM run_events
    GROUP BY run HAVING max(place) + 1 <> count(*)
UNION ALL
    SELECT format('%s attempts where message %s counts %s', count(a.number), d.id, d.attempts)
    FROM deliveries d LEFT JOIN delivery_attempts a
        ON (a.bucket, a.workspace, a.delivery) = (d.bucket, d.workspace, d.id)
    GROUP BY d.id, d.attempts
    HAVING count(a.number) <> d.attempts OR COALESCE(max(a.number), 0) <> d.attempts
$$;
