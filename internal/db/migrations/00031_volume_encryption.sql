-- +goose Up

-- How volumes of a type are encrypted (internal/volume/encryption.go), and the
-- keys: sealed, one for a volume and everything that is copied from it.
CREATE TABLE volume_type_encryptions (
    type             TEXT PRIMARY KEY REFERENCES volume_types (id) ON DELETE CASCADE,
    id               TEXT NOT NULL,
    provider         TEXT NOT NULL,
    cipher           TEXT NOT NULL,
    key_size         BIGINT NOT NULL,
    control_location TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE volume_keys (
    id         TEXT PRIMARY KEY,
    secret     TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
ALTER TABLE volumes ADD COLUMN encryption_key TEXT NOT NULL DEFAULT '';
ALTER TABLE snapshots ADD COLUMN encryption_key TEXT NOT NULL DEFAULT '';
ALTER TABLE volume_copies ADD COLUMN encryption_key TEXT NOT NULL DEFAULT '';
ALTER TABLE volume_backups ADD COLUMN encryption_key TEXT NOT NULL DEFAULT '';
