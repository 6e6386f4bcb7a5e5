-- +goose Up

-- A key that no longer seals opens until what it has sealed has expired; 0 while
-- it seals, or before it does.
ALTER TABLE fernet_keys ADD COLUMN retired_at BIGINT NOT NULL DEFAULT 0;

-- Key pairs of tokens that are signed (internal/identity/keys.go), numbered as
-- the Fernet keys are.
CREATE TABLE jws_keys (
    number     BIGINT PRIMARY KEY,
    secret     TEXT NOT NULL, -- sealed
    created_at BIGINT NOT NULL,
    retired_at BIGINT NOT NULL DEFAULT 0
);

-- How often the keys have changed: servers that know another number read them.
ALTER TABLE auth_revision ADD COLUMN keys_revision BIGINT NOT NULL DEFAULT 1;
