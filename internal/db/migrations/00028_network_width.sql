-- +goose Up

-- Who may see and use what belongs to somebody else (internal/network/rbac.go).
-- networks.shared, networks.external and qos_policies.shared repeat what stands here for everybody.
CREATE TABLE rbac_policies (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    tags        TEXT NOT NULL DEFAULT '[]',
    revision    BIGINT NOT NULL DEFAULT 1,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    object_type TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    action      TEXT NOT NULL, -- access_as_shared, access_as_external
    target      TEXT NOT NULL  -- a project, or * for all
);
CREATE UNIQUE INDEX rbac_policies_same ON rbac_policies (object_type, object_id, action, target);
CREATE INDEX rbac_policies_target ON rbac_policies (object_type, target, object_id);
CREATE INDEX rbac_policies_project ON rbac_policies (project_id, id);
INSERT INTO rbac_policies (id, project_id, created_at, updated_at, object_type, object_id, action, target)
    SELECT id, project_id, created_at, updated_at, 'network', id, 'access_as_shared', '*' FROM networks WHERE shared = 1;
INSERT INTO rbac_policies (id, project_id, created_at, updated_at, object_type, object_id, action, target)
    SELECT 'e' || SUBSTR(id, 2), project_id, created_at, updated_at, 'network', id, 'access_as_external', '*' FROM networks WHERE external = 1;
INSERT INTO rbac_policies (id, project_id, created_at, updated_at, object_type, object_id, action, target)
    SELECT id, project_id, created_at, updated_at, 'qos_policy', id, 'access_as_shared', '*' FROM qos_policies WHERE shared = 1;
-- What was counted before the policies were is set right by the loop network.quota.

CREATE TABLE address_scopes (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    tags        TEXT NOT NULL DEFAULT '[]',
    revision    BIGINT NOT NULL DEFAULT 1,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    name        TEXT NOT NULL,
    ip_version  INTEGER NOT NULL
);
CREATE INDEX address_scopes_project ON address_scopes (project_id, id);

CREATE TABLE subnetpools (
    id                TEXT PRIMARY KEY,
    project_id        TEXT NOT NULL,
    description       TEXT NOT NULL DEFAULT '',
    tags              TEXT NOT NULL DEFAULT '[]',
    revision          BIGINT NOT NULL DEFAULT 1,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    name              TEXT NOT NULL,
    ip_version        INTEGER NOT NULL,
    prefixes          TEXT NOT NULL,
    default_prefixlen INTEGER NOT NULL,
    min_prefixlen     INTEGER NOT NULL,
    max_prefixlen     INTEGER NOT NULL,
    default_quota     BIGINT NOT NULL DEFAULT -1, -- -1 for none
    address_scope_id  TEXT NOT NULL DEFAULT '',
    is_default        INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX subnetpools_project ON subnetpools (project_id, id);
CREATE INDEX subnetpools_scope ON subnetpools (address_scope_id);
ALTER TABLE subnets ADD COLUMN subnetpool_id TEXT NOT NULL DEFAULT '';
CREATE INDEX subnets_pool ON subnets (subnetpool_id);

CREATE TABLE address_groups (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    tags        TEXT NOT NULL DEFAULT '[]',
    revision    BIGINT NOT NULL DEFAULT 1,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    name        TEXT NOT NULL,
    addresses   TEXT NOT NULL DEFAULT '[]' -- CIDRs
);
CREATE INDEX address_groups_project ON address_groups (project_id, id);

ALTER TABLE security_group_rules ADD COLUMN remote_address_group_id TEXT NOT NULL DEFAULT '';
CREATE INDEX security_group_rules_addresses ON security_group_rules (remote_address_group_id);
DROP INDEX security_group_rules_same;
CREATE UNIQUE INDEX security_group_rules_same ON security_group_rules
    (group_id, direction, ethertype, protocol, port_min, port_max, remote_ip_prefix, remote_group_id, remote_address_group_id);

-- The rules that new groups start with.
CREATE TABLE default_security_group_rules (
    id                      TEXT PRIMARY KEY,
    project_id              TEXT NOT NULL DEFAULT '',
    description             TEXT NOT NULL DEFAULT '',
    tags                    TEXT NOT NULL DEFAULT '[]',
    revision                BIGINT NOT NULL DEFAULT 0,
    created_at              BIGINT NOT NULL,
    updated_at              BIGINT NOT NULL,
    direction               TEXT NOT NULL,
    ethertype               TEXT NOT NULL,
    protocol                TEXT NOT NULL DEFAULT '',
    port_min                INTEGER NOT NULL DEFAULT -1,
    port_max                INTEGER NOT NULL DEFAULT -1,
    remote_ip_prefix        TEXT NOT NULL DEFAULT '',
    remote_group_id         TEXT NOT NULL DEFAULT '', -- PARENT for the group itself
    remote_address_group_id TEXT NOT NULL DEFAULT '',
    used_in_default         INTEGER NOT NULL,
    used_in_others          INTEGER NOT NULL
);
INSERT INTO default_security_group_rules (id, created_at, updated_at, direction, ethertype, remote_group_id, used_in_default, used_in_others) VALUES
    ('2b7c1c62-3f0e-4b0f-8c53-6d2f5a0e0001', 0, 0, 'egress', 'IPv4', '', 1, 1),
    ('2b7c1c62-3f0e-4b0f-8c53-6d2f5a0e0002', 0, 0, 'egress', 'IPv6', '', 1, 1),
    ('2b7c1c62-3f0e-4b0f-8c53-6d2f5a0e0003', 0, 0, 'ingress', 'IPv4', 'PARENT', 1, 0),
    ('2b7c1c62-3f0e-4b0f-8c53-6d2f5a0e0004', 0, 0, 'ingress', 'IPv6', 'PARENT', 1, 0);

-- Whether the new groups of a project, or of all, keep connections in mind.
CREATE TABLE default_statefulness (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL UNIQUE, -- '' for all that have no row
    description TEXT NOT NULL DEFAULT '',
    tags        TEXT NOT NULL DEFAULT '[]',
    revision    BIGINT NOT NULL DEFAULT 1,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    stateful    INTEGER NOT NULL
);

-- Networks that projects got in one call.
CREATE TABLE auto_topologies (
    project_id TEXT PRIMARY KEY,
    network_id TEXT NOT NULL,
    router_id  TEXT NOT NULL
);

-- What operators said of the controllers of hosts.
CREATE TABLE network_agents (
    id          TEXT PRIMARY KEY,
    description TEXT NOT NULL DEFAULT '',
    admin_up    INTEGER NOT NULL DEFAULT 1,
    gone        INTEGER NOT NULL DEFAULT 0
);

ALTER TABLE networks ADD COLUMN zone_hints TEXT NOT NULL DEFAULT '[]';
ALTER TABLE routers ADD COLUMN zone_hints TEXT NOT NULL DEFAULT '[]';
ALTER TABLE networks ADD COLUMN dns_domain TEXT NOT NULL DEFAULT '';
ALTER TABLE ports ADD COLUMN dns_domain TEXT NOT NULL DEFAULT '';
ALTER TABLE ports ADD COLUMN dhcp_options TEXT NOT NULL DEFAULT '[]';
ALTER TABLE floating_ips ADD COLUMN dns_name TEXT NOT NULL DEFAULT '';
ALTER TABLE floating_ips ADD COLUMN dns_domain TEXT NOT NULL DEFAULT '';
