-- +goose Up

-- Settings of accounts and containers beside their metadata: access lists,
-- versions, rules of S3.
ALTER TABLE object_accounts ADD COLUMN deleted_at BIGINT NOT NULL DEFAULT 0; -- being emptied since
ALTER TABLE object_containers ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';

-- Every version of every object. A name shows the latest; the others are
-- history. A delete marker is a version that says there is none.
CREATE TABLE object_versions (
    account      TEXT NOT NULL,
    container    TEXT NOT NULL,
    name         TEXT NOT NULL,
    version      BIGINT NOT NULL,      -- when it was written, in 10 microseconds, never twice below a name
    latest       BOOLEAN NOT NULL,
    unversioned  BOOLEAN NOT NULL,     -- written without versioning: clients call it null
    marker       BOOLEAN NOT NULL,
    size         BIGINT NOT NULL,      -- what a reader gets
    stored       BIGINT NOT NULL,      -- what it takes
    etag         TEXT NOT NULL,
    content_type TEXT NOT NULL,
    meta         TEXT NOT NULL,
    headers      TEXT NOT NULL,        -- JSON object: Content-Encoding, Content-Disposition …
    chunks       TEXT NOT NULL,        -- JSON list of the blobs that hold the bytes, in order
    manifest     TEXT NOT NULL,        -- JSON object: the other objects that it is made of
    tags         TEXT NOT NULL,        -- JSON object
    read_acl     TEXT NOT NULL,
    delete_at    BIGINT NOT NULL,      -- seconds since 1970, 0 for never
    damaged_at   BIGINT NOT NULL,      -- when the scrub found wrong bytes, 0 for never
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (account, container, name, version),
    FOREIGN KEY (account, container) REFERENCES object_containers (account, name)
);
CREATE UNIQUE INDEX object_versions_latest ON object_versions (account, container, name) WHERE latest = 1;
CREATE INDEX object_versions_expiry ON object_versions (delete_at) WHERE delete_at > 0;
INSERT INTO object_versions (account, container, name, version, latest, unversioned, marker, size, stored, etag, content_type,
    meta, headers, chunks, manifest, tags, read_acl, delete_at, damaged_at, created_at, updated_at)
SELECT account, container, name, updated_at / 10, 1, 1, 0, size, size, etag, content_type, meta, headers,
    '[{"blob":"' || blob || '","size":' || size || ',"md5":"' || etag || '"}]',
    '{}', '{}', '', 0, 0, updated_at, updated_at
FROM objects;
DROP TABLE objects;

-- Uploads in parts that are under way. A part becomes a chunk of the object when
-- the upload is completed.
CREATE TABLE object_uploads (
    id         TEXT PRIMARY KEY,
    account    TEXT NOT NULL,
    container  TEXT NOT NULL,
    name       TEXT NOT NULL,
    object     TEXT NOT NULL,          -- JSON: the object to be, without its bytes
    created_at BIGINT NOT NULL
);
CREATE INDEX object_uploads_name ON object_uploads (account, container, name, id);
CREATE TABLE object_parts (
    upload     TEXT NOT NULL REFERENCES object_uploads (id),
    number     BIGINT NOT NULL,
    chunk      TEXT NOT NULL,          -- JSON: blob, size, md5
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (upload, number)
);

-- How far the scrub has come.
CREATE TABLE object_scrub (
    only_row  INTEGER PRIMARY KEY,
    account   TEXT NOT NULL,
    container TEXT NOT NULL,
    name      TEXT NOT NULL,
    version   BIGINT NOT NULL
);
INSERT INTO object_scrub (only_row, account, container, name, version) VALUES (1, '', '', '', 0);
