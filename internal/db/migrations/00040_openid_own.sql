-- +goose Up

-- Codes of those who have signed in for this cloud's own dashboard
-- (internal/identity/openid_own.go), as hashes, for a minute.
CREATE TABLE openid_own_codes (
    hash         TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    proven       TEXT NOT NULL, -- who it is, and by which methods
    scope        TEXT NOT NULL,
    nonce        TEXT NOT NULL,
    challenge    TEXT NOT NULL,
    signed_in_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX openid_own_codes_user ON openid_own_codes (user_id);
CREATE INDEX openid_own_codes_expiry ON openid_own_codes (expires_at);
