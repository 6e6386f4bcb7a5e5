-- +goose Up

-- Keys by which what this cloud says of its users is known (internal/identity/saml.go):
-- the newest is only published, the one before it signs.
CREATE TABLE saml_keys (
    id         TEXT PRIMARY KEY,
    secret     TEXT NOT NULL, -- key and certificate, sealed
    created_at BIGINT NOT NULL
);
