-- +goose Up

-- Where users may come from that other clouds and providers know
-- (internal/identity), how their attributes become users and groups of ours, and
-- the clouds that take ours.
CREATE TABLE identity_providers (
    id                TEXT PRIMARY KEY,
    domain_id         TEXT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    description       TEXT,
    enabled           BOOLEAN NOT NULL,
    authorization_ttl BIGINT
);
CREATE TABLE idp_remote_ids (
    remote_id TEXT PRIMARY KEY,
    idp_id    TEXT NOT NULL REFERENCES identity_providers (id) ON DELETE CASCADE
);
CREATE INDEX idp_remote_ids_idp ON idp_remote_ids (idp_id);
CREATE TABLE mappings (
    id             TEXT PRIMARY KEY,
    rules          TEXT NOT NULL,
    schema_version TEXT NOT NULL
);
CREATE TABLE federation_protocols (
    idp_id              TEXT NOT NULL REFERENCES identity_providers (id) ON DELETE CASCADE,
    id                  TEXT NOT NULL,
    mapping_id          TEXT NOT NULL REFERENCES mappings (id),
    remote_id_attribute TEXT,
    PRIMARY KEY (idp_id, id)
);
CREATE INDEX federation_protocols_mapping ON federation_protocols (mapping_id);
CREATE TABLE service_providers (
    id                 TEXT PRIMARY KEY,
    auth_url           TEXT NOT NULL,
    sp_url             TEXT NOT NULL,
    description        TEXT,
    enabled            BOOLEAN NOT NULL,
    relay_state_prefix TEXT NOT NULL
);
