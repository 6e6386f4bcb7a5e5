-- +goose Up

-- Servers on their way from one host to another (internal/compute/migration.go).
-- The id is also the consumer that holds the room on the host that is left.
CREATE TABLE migrations (
    id          TEXT PRIMARY KEY,
    seq         BIGINT NOT NULL UNIQUE,   -- the number that users call id
    server      TEXT NOT NULL,            -- whose row may be gone
    kind        TEXT NOT NULL,            -- migration, resize, live-migration, evacuation
    status      TEXT NOT NULL,
    source      TEXT NOT NULL,            -- host names
    dest        TEXT NOT NULL DEFAULT '', -- '' until a host is chosen
    old_flavor  TEXT NOT NULL DEFAULT '',
    new_flavor  TEXT NOT NULL DEFAULT '',
    project     TEXT NOT NULL,            -- of who asked
    user_id     TEXT NOT NULL,
    hidden      INTEGER NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX migrations_server ON migrations (server);
CREATE INDEX migrations_created ON migrations (created_at, id);
CREATE INDEX migrations_status ON migrations (status);

-- Where a machine that moves gets the volume as well, until it has moved.
ALTER TABLE volume_attachments ADD COLUMN next_host TEXT NOT NULL DEFAULT '';
ALTER TABLE volume_attachments ADD COLUMN next_epoch BIGINT NOT NULL DEFAULT 0;
