-- +goose Up

-- OAuth 1: programs that users may let act for them. Secrets are sealed.
CREATE TABLE oauth_consumers (
    id          TEXT PRIMARY KEY,
    description TEXT,
    sealed      TEXT NOT NULL,
    extra       TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE oauth_request_tokens (
    id          TEXT PRIMARY KEY,
    consumer_id TEXT NOT NULL REFERENCES oauth_consumers (id) ON DELETE CASCADE,
    project_id  TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    sealed      TEXT NOT NULL,
    verifier    TEXT NOT NULL DEFAULT '',
    user_id     TEXT REFERENCES users (id) ON DELETE CASCADE, -- who has authorized it
    role_ids    TEXT NOT NULL DEFAULT '[]',
    expires_at  BIGINT NOT NULL
);
CREATE INDEX oauth_request_tokens_consumer ON oauth_request_tokens (consumer_id);
CREATE INDEX oauth_request_tokens_expiry ON oauth_request_tokens (expires_at);
CREATE TABLE oauth_access_tokens (
    id          TEXT PRIMARY KEY,
    consumer_id TEXT NOT NULL REFERENCES oauth_consumers (id) ON DELETE CASCADE,
    project_id  TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    sealed      TEXT NOT NULL,
    role_ids    TEXT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX oauth_access_tokens_user ON oauth_access_tokens (user_id);
CREATE INDEX oauth_access_tokens_consumer ON oauth_access_tokens (consumer_id);
CREATE TABLE oauth_nonces (
    nonce      TEXT PRIMARY KEY, -- with consumer and token
    expires_at BIGINT NOT NULL
);
CREATE INDEX oauth_nonces_expiry ON oauth_nonces (expires_at);
