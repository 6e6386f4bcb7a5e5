-- +goose Up

CREATE TABLE object_accounts (
    name       TEXT PRIMARY KEY,       -- AUTH_<project id>
    meta       TEXT NOT NULL,          -- JSON object, lower-case names without prefix
    created_at BIGINT NOT NULL
);
CREATE TABLE object_containers (
    account    TEXT NOT NULL,
    name       TEXT NOT NULL,
    meta       TEXT NOT NULL,
    objects    BIGINT NOT NULL,        -- how many there are
    bytes      BIGINT NOT NULL,        -- and their sizes together
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE TABLE objects (
    account      TEXT NOT NULL,
    container    TEXT NOT NULL,
    name         TEXT NOT NULL,
    size         BIGINT NOT NULL,
    etag         TEXT NOT NULL,        -- MD5 of the bytes, hex
    content_type TEXT NOT NULL,
    meta         TEXT NOT NULL,
    headers      TEXT NOT NULL,        -- JSON object: Content-Encoding, Content-Disposition …
    blob         TEXT NOT NULL UNIQUE,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (account, container, name),
    FOREIGN KEY (account, container) REFERENCES object_containers (account, name)
);
-- Blobs that are being written, or whose object is gone: what the sweep looks at.
CREATE TABLE object_blobs (
    blob       TEXT PRIMARY KEY,
    seen       BIGINT NOT NULL         -- when its writer last showed life; 0 when it can go
);
