-- +goose Up

-- What the servers of a cloud share and who belongs to it (internal/cluster).
CREATE TABLE cloud_facts ( -- settled once, by whichever server comes first
    name       TEXT PRIMARY KEY,
    value      TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE cloud_servers (
    id         TEXT PRIMARY KEY,
    url        TEXT NOT NULL, -- where nodes and other servers reach it
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
CREATE TABLE loop_leases ( -- which server runs a loop
    name     TEXT PRIMARY KEY,
    holder   TEXT NOT NULL,
    term     BIGINT NOT NULL, -- grows when the holder changes
    lease    BIGINT NOT NULL  -- until when
);
CREATE TABLE join_tokens (
    hash       TEXT PRIMARY KEY, -- SHA-256 of the secret
    host       TEXT NOT NULL,    -- the one name it admits, '' for any new one
    uses       BIGINT NOT NULL,  -- how many are left
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE node_certificates (
    serial     TEXT PRIMARY KEY,
    host       TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);
CREATE INDEX node_certificates_host ON node_certificates (host);

-- Who holds a host's stream (internal/hosts). The epoch grows with each
-- connection: what an older one still says is not written any more.
ALTER TABLE hosts ADD COLUMN server TEXT NOT NULL DEFAULT '';
ALTER TABLE hosts ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
