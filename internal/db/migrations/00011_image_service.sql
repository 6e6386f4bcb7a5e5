-- +goose Up

-- The projects that an image is shared with (internal/image).
CREATE TABLE image_members (
    image      TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    member     TEXT NOT NULL,   -- project id
    status     TEXT NOT NULL,   -- pending, accepted, rejected
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (image, member)
);
CREATE INDEX image_members_member ON image_members (member, status);

-- Metadata definitions: what keys mean that other resources carry.
CREATE TABLE metadef_namespaces (
    name         TEXT PRIMARY KEY,
    display_name TEXT NOT NULL,  -- '' for none
    description  TEXT NOT NULL,
    owner        TEXT NOT NULL,  -- project id
    visibility   TEXT NOT NULL,  -- public, private
    protected    INTEGER NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
);
CREATE INDEX metadef_namespaces_created ON metadef_namespaces (created_at, name);

-- What a namespace holds.
CREATE TABLE metadef_items (
    id         TEXT PRIMARY KEY,
    namespace  TEXT NOT NULL REFERENCES metadef_namespaces (name) ON DELETE CASCADE ON UPDATE CASCADE,
    kind       TEXT NOT NULL,   -- object, property, tag, resource_type
    name       TEXT NOT NULL,
    body       TEXT NOT NULL,   -- JSON object, as the client sent it
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (namespace, kind, name)
);

-- Kinds of resources that definitions can be about.
CREATE TABLE metadef_resource_types (
    name       TEXT PRIMARY KEY,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
INSERT INTO metadef_resource_types (name, created_at, updated_at) VALUES
    ('OS::Cinder::Volume', 1796083200000000, 1796083200000000),
    ('OS::Glance::Image', 1796083200000000, 1796083200000000),
    ('OS::Neutron::Net', 1796083200000000, 1796083200000000),
    ('OS::Nova::Aggregate', 1796083200000000, 1796083200000000),
    ('OS::Nova::Flavor', 1796083200000000, 1796083200000000),
    ('OS::Nova::Server', 1796083200000000, 1796083200000000);

-- What was asked to be done to images in the background, and what came of it.
CREATE TABLE image_tasks (
    id         TEXT PRIMARY KEY,
    type       TEXT NOT NULL,   -- api_image_import, import
    status     TEXT NOT NULL,   -- pending, processing, success, failure
    image      TEXT NOT NULL,   -- '' for none
    owner      TEXT NOT NULL,   -- project id
    user_id    TEXT NOT NULL,
    request_id TEXT NOT NULL,
    input      TEXT NOT NULL,   -- JSON
    result     TEXT NOT NULL,   -- JSON, null until it has ended well
    message    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL  -- 0 until it has ended
);
CREATE INDEX image_tasks_image ON image_tasks (image);
CREATE INDEX image_tasks_created ON image_tasks (created_at, id);
CREATE INDEX image_tasks_expire ON image_tasks (expires_at);

-- Where the bytes of an image are, and what is under way.
ALTER TABLE images ADD COLUMN stores TEXT NOT NULL DEFAULT '["local"]';    -- JSON array; the bytes have the same key in each
ALTER TABLE images ADD COLUMN staged TEXT NOT NULL DEFAULT '';             -- key of bytes that wait for their import
ALTER TABLE images ADD COLUMN import TEXT NOT NULL DEFAULT 'null';         -- JSON, the last import of it

-- Copies of images near to those who download them.
CREATE TABLE image_cache (
    image      TEXT PRIMARY KEY,
    blob       TEXT NOT NULL,    -- key in the cache; '' while it waits
    size       BIGINT NOT NULL,
    hits       BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
);
