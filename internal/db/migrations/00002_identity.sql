-- +goose Up

-- Who there is (internal/identity). Ids are 32 hex digits; the domain Default
-- has the id default. Domain names are compared by name_key, folded to lower case.
CREATE TABLE domains (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    name_key    TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL DEFAULT '',
    enabled     BOOLEAN NOT NULL,
    tags        TEXT NOT NULL DEFAULT '[]',
    options     TEXT NOT NULL DEFAULT '{}',
    extra       TEXT NOT NULL DEFAULT '{}', -- attributes that only the client understands
    created_at  BIGINT NOT NULL
);
CREATE TABLE projects (
    id          TEXT PRIMARY KEY,
    domain_id   TEXT NOT NULL REFERENCES domains (id),
    parent_id   TEXT NOT NULL,              -- a project or, at the top, the domain
    name        TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    enabled     BOOLEAN NOT NULL,
    tags        TEXT NOT NULL DEFAULT '[]',
    options     TEXT NOT NULL DEFAULT '{}',
    extra       TEXT NOT NULL DEFAULT '{}',
    created_at  BIGINT NOT NULL,
    UNIQUE (domain_id, name)
);
CREATE INDEX projects_parent ON projects (parent_id);
CREATE TABLE users (
    id                  TEXT PRIMARY KEY,
    domain_id           TEXT NOT NULL REFERENCES domains (id),
    name                TEXT NOT NULL,
    password_hash       TEXT NOT NULL DEFAULT '', -- '' lets nobody in
    password_expires_at BIGINT NOT NULL DEFAULT 0,
    default_project_id  TEXT NOT NULL DEFAULT '',
    enabled             BOOLEAN NOT NULL,
    description         TEXT, -- NULL when it was never set
    email               TEXT,
    options             TEXT NOT NULL DEFAULT '{}',
    extra               TEXT NOT NULL DEFAULT '{}',
    created_at          BIGINT NOT NULL,
    UNIQUE (domain_id, name)
);
CREATE TABLE user_groups (
    id          TEXT PRIMARY KEY,
    domain_id   TEXT NOT NULL REFERENCES domains (id),
    name        TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    extra       TEXT NOT NULL DEFAULT '{}',
    created_at  BIGINT NOT NULL,
    UNIQUE (domain_id, name)
);
CREATE TABLE group_members (
    group_id TEXT NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    user_id  TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX group_members_group ON group_members (group_id, user_id);

-- What they may do. A grant gives a role to an actor (user or group) on a
-- target (project, domain or the system, whose id is all).
CREATE TABLE roles (
    id          TEXT PRIMARY KEY,
    domain_id   TEXT NOT NULL DEFAULT '', -- '' for roles of the whole cloud
    name        TEXT NOT NULL,
    description TEXT,
    options     TEXT NOT NULL DEFAULT '{}',
    extra       TEXT NOT NULL DEFAULT '{}',
    created_at  BIGINT NOT NULL,
    UNIQUE (domain_id, name)
);
CREATE TABLE role_implications (
    prior_id   TEXT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    implied_id TEXT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    PRIMARY KEY (prior_id, implied_id)
);
CREATE TABLE grants (
    actor_kind  TEXT NOT NULL, -- user, group
    actor_id    TEXT NOT NULL,
    target_kind TEXT NOT NULL, -- project, domain, system
    target_id   TEXT NOT NULL,
    role_id     TEXT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    inherited   BOOLEAN NOT NULL DEFAULT FALSE, -- holds on the projects below, not on the target
    PRIMARY KEY (actor_kind, actor_id, target_kind, target_id, role_id, inherited)
);
CREATE INDEX grants_target ON grants (target_kind, target_id);

-- Where the services are. A URL may contain $(public_url)s, which is this
-- cloud's own address, and $(project_id)s.
CREATE TABLE catalog_services (
    id          TEXT PRIMARY KEY,
    type        TEXT NOT NULL,
    name        TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    enabled     BOOLEAN NOT NULL,
    extra       TEXT NOT NULL DEFAULT '{}',
    position    BIGINT NOT NULL -- order in the catalog
);
CREATE TABLE regions (
    id          TEXT PRIMARY KEY,
    parent_id   TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    extra       TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE catalog_endpoints (
    id         TEXT PRIMARY KEY,
    service_id TEXT NOT NULL REFERENCES catalog_services (id) ON DELETE CASCADE,
    region_id  TEXT NOT NULL DEFAULT '',
    interface  TEXT NOT NULL, -- public, internal, admin
    url        TEXT NOT NULL,
    enabled    BOOLEAN NOT NULL,
    extra      TEXT NOT NULL DEFAULT '{}',
    position   BIGINT NOT NULL
);
CREATE INDEX catalog_endpoints_service ON catalog_endpoints (service_id);

-- What became of tokens. Each change that a token in use must notice raises
-- the revision; a token carries the revision at which it was made. It is
-- invalid when one of its subjects (its user, scope, or the user's grants on
-- the scope) has a higher floor.
CREATE TABLE auth_revision (
    only_row INTEGER PRIMARY KEY,
    revision BIGINT NOT NULL
);
INSERT INTO auth_revision (only_row, revision) VALUES (1, 1);
CREATE TABLE token_floors (
    subject    TEXT PRIMARY KEY,
    revision   BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE TABLE revoked_tokens (
    audit_id   TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX revoked_tokens_expiry ON revoked_tokens (expires_at);
