-- +goose Up

-- Secrets that users keep here (internal/identity): EC2 keys, TOTP seeds and
-- whatever else. An EC2 key's id is the SHA-256 of its access key.
CREATE TABLE credentials (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    project_id TEXT NOT NULL DEFAULT '',
    type       TEXT NOT NULL,
    sealed     TEXT NOT NULL, -- the blob, encrypted
    key_id     TEXT NOT NULL, -- of the key that sealed it
    extra      TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX credentials_user ON credentials (user_id);
CREATE INDEX credentials_project ON credentials (project_id);
CREATE INDEX credentials_key ON credentials (key_id);
