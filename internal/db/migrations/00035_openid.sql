-- +goose Up

-- Programs that users sign in at by this cloud (internal/identity/openid.go).
-- Each is a consumer too, so that what users let it do are access tokens of it.
-- Of secrets there are hashes.
CREATE TABLE openid_clients (
    id            TEXT PRIMARY KEY REFERENCES oauth_consumers (id) ON DELETE CASCADE,
    redirect_uris TEXT NOT NULL,
    secret_hash   TEXT NOT NULL -- '' for a program that can keep no secret
);
CREATE TABLE openid_grants (
    id              TEXT PRIMARY KEY,
    client_id       TEXT NOT NULL REFERENCES openid_clients (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    access_token_id TEXT REFERENCES oauth_access_tokens (id) ON DELETE CASCADE,
    scope           TEXT NOT NULL,
    nonce           TEXT NOT NULL,
    signed_in_at    BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL
);
CREATE INDEX openid_grants_client ON openid_grants (client_id);
CREATE INDEX openid_grants_user ON openid_grants (user_id);
CREATE INDEX openid_grants_access_token ON openid_grants (access_token_id);
CREATE INDEX openid_grants_expiry ON openid_grants (expires_at);
CREATE TABLE openid_secrets (
    hash         TEXT PRIMARY KEY,
    kind         TEXT NOT NULL, -- code, access, refresh
    grant_id     TEXT NOT NULL REFERENCES openid_grants (id) ON DELETE CASCADE,
    redirect_uri TEXT NOT NULL,
    challenge    TEXT NOT NULL,
    used         BOOLEAN NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX openid_secrets_grant ON openid_secrets (grant_id);
CREATE INDEX openid_secrets_expiry ON openid_secrets (expires_at);
CREATE TABLE openid_devices (
    hash       TEXT PRIMARY KEY,
    user_code  TEXT NOT NULL UNIQUE,
    client_id  TEXT NOT NULL REFERENCES openid_clients (id) ON DELETE CASCADE,
    scope      TEXT NOT NULL,
    grant_id   TEXT REFERENCES openid_grants (id) ON DELETE CASCADE, -- once somebody has said yes
    polled_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX openid_devices_client ON openid_devices (client_id);
CREATE INDEX openid_devices_grant ON openid_devices (grant_id);
CREATE INDEX openid_devices_expiry ON openid_devices (expires_at);

-- Keys that sign: the newest is only published yet, the one before it signs.
CREATE TABLE openid_keys (
    id         TEXT PRIMARY KEY,
    secret     TEXT NOT NULL, -- sealed
    created_at BIGINT NOT NULL
);
