-- +goose Up

CREATE TABLE images (
    id               TEXT PRIMARY KEY,
    name             TEXT NOT NULL,          -- '' for none
    owner            TEXT NOT NULL,          -- project id
    visibility       TEXT NOT NULL,          -- private, shared, community, public
    status           TEXT NOT NULL,          -- queued, saving, active
    disk_format      TEXT NOT NULL,          -- '' until it is known
    container_format TEXT NOT NULL,
    min_disk         BIGINT NOT NULL,        -- GiB
    min_ram          BIGINT NOT NULL,        -- MiB
    size             BIGINT NOT NULL,        -- bytes; -1 until they are there
    virtual_size     BIGINT NOT NULL,        -- bytes of the disk in it; -1 when unknown
    checksum         TEXT NOT NULL,          -- MD5, hex
    hash_value       TEXT NOT NULL,          -- SHA-512, hex
    protected        INTEGER NOT NULL,
    hidden           INTEGER NOT NULL,
    properties       TEXT NOT NULL,          -- JSON object of strings
    tags             TEXT NOT NULL,          -- JSON array of strings
    content          TEXT NOT NULL,          -- JSON, what the inspector made of the bytes
    blob             TEXT NOT NULL,          -- key of the bytes; '' for none
    upload           TEXT NOT NULL,          -- id of the upload under way; '' for none
    upload_seen      BIGINT NOT NULL,        -- when that upload last showed life
    generation       BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
);
CREATE INDEX images_created ON images (created_at, id);
CREATE INDEX images_owner ON images (owner);
CREATE INDEX images_uploads ON images (status, upload_seen);
