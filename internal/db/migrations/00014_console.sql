-- +goose Up

-- Addresses of consoles that wait to be opened (internal/console).
CREATE TABLE console_tokens (
    hash       TEXT PRIMARY KEY, -- of the token
    kind       TEXT NOT NULL,    -- vnc, serial
    server     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX console_tokens_server ON console_tokens (server, expires_at);
CREATE INDEX console_tokens_expiry ON console_tokens (expires_at);

-- Browsers that are signed in to the dashboard (internal/console).
CREATE TABLE dashboard_sessions (
    hash       TEXT PRIMARY KEY, -- of the cookie's secret
    user_id    TEXT NOT NULL,
    turn       BIGINT NOT NULL,  -- grows with each change of project
    sealed     TEXT NOT NULL,    -- its tokens, which only the cookie's secret opens
    expires_at BIGINT NOT NULL
);
CREATE INDEX dashboard_sessions_user ON dashboard_sessions (user_id, expires_at);
CREATE INDEX dashboard_sessions_expiry ON dashboard_sessions (expires_at);
