-- +goose Up

-- Which endpoints the catalog shows to a project (internal/identity). A project
-- with neither endpoints nor groups of its own sees them all.
CREATE TABLE endpoint_groups (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT,
    filters     TEXT NOT NULL, -- attributes that an endpoint of the group has
    extra       TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE project_endpoints (
    project_id  TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    endpoint_id TEXT NOT NULL REFERENCES catalog_endpoints (id) ON DELETE CASCADE,
    PRIMARY KEY (project_id, endpoint_id)
);
CREATE INDEX project_endpoints_endpoint ON project_endpoints (endpoint_id);
CREATE TABLE project_endpoint_groups (
    project_id        TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    endpoint_group_id TEXT NOT NULL REFERENCES endpoint_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (project_id, endpoint_group_id)
);
CREATE INDEX project_endpoint_groups_group ON project_endpoint_groups (endpoint_group_id);

-- Which policy an endpoint, the service or the service in a region has; '' where
-- the association doesn't say.
CREATE TABLE policy_associations (
    endpoint_id TEXT NOT NULL DEFAULT '',
    service_id  TEXT NOT NULL DEFAULT '',
    region_id   TEXT NOT NULL DEFAULT '',
    policy_id   TEXT NOT NULL REFERENCES policies (id) ON DELETE CASCADE,
    PRIMARY KEY (endpoint_id, service_id, region_id)
);
CREATE INDEX policy_associations_policy ON policy_associations (policy_id);

-- Limits that services enforce: of the whole cloud, and those of a project or
-- domain that are others. A limit is of the registered limit of its name.
CREATE TABLE registered_limits (
    id            TEXT PRIMARY KEY,
    service_id    TEXT NOT NULL REFERENCES catalog_services (id) ON DELETE CASCADE,
    region_id     TEXT NOT NULL DEFAULT '',
    resource_name TEXT NOT NULL,
    default_limit BIGINT NOT NULL,
    description   TEXT,
    UNIQUE (service_id, region_id, resource_name)
);
CREATE TABLE limits (
    id             TEXT PRIMARY KEY,
    registered_id  TEXT NOT NULL REFERENCES registered_limits (id) ON DELETE CASCADE,
    project_id     TEXT NOT NULL DEFAULT '',
    domain_id      TEXT NOT NULL DEFAULT '',
    resource_limit BIGINT NOT NULL,
    description    TEXT,
    UNIQUE (registered_id, project_id, domain_id)
);
CREATE INDEX limits_project ON limits (project_id);
CREATE INDEX limits_domain ON limits (domain_id);

-- Settings of one domain's identity backend.
CREATE TABLE domain_config (
    domain_id    TEXT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    option_group TEXT NOT NULL,
    option_name  TEXT NOT NULL,
    value        TEXT NOT NULL, -- JSON
    PRIMARY KEY (domain_id, option_group, option_name)
);

-- An access key is found by its hash, whatever the id of its credential.
ALTER TABLE credentials ADD COLUMN access_hash TEXT NOT NULL DEFAULT '';
UPDATE credentials SET access_hash = id WHERE lower(type) = 'ec2';
CREATE UNIQUE INDEX credentials_access ON credentials (access_hash) WHERE access_hash <> '';

-- What the rules about passwords look at.
ALTER TABLE users ADD COLUMN password_changed_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN password_by_user BOOLEAN NOT NULL DEFAULT FALSE; -- chosen by the user, not by an administrator
ALTER TABLE users ADD COLUMN failed_attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN failed_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN active_at BIGINT NOT NULL DEFAULT 0;
CREATE TABLE former_passwords (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    changed_at BIGINT NOT NULL,
    hash       TEXT NOT NULL,
    PRIMARY KEY (user_id, changed_at)
);
