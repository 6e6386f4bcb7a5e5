-- +goose Up

-- The keys that seal tokens (internal/identity), sealed themselves. Number 0 is
-- the next one, the highest seals, all open.
CREATE TABLE fernet_keys (
    number     BIGINT PRIMARY KEY,
    secret     TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
