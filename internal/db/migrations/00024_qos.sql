-- +goose Up

-- How much traffic may pass, and how it is marked (internal/network).
CREATE TABLE qos_policies (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    tags        TEXT NOT NULL DEFAULT '[]',
    revision    BIGINT NOT NULL DEFAULT 1,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    shared      INTEGER NOT NULL,
    is_default  INTEGER NOT NULL -- new networks of the project get it
);
CREATE INDEX qos_policies_project ON qos_policies (project_id, id);
CREATE UNIQUE INDEX qos_policies_default ON qos_policies (project_id) WHERE is_default = 1;

CREATE TABLE qos_rules (
    id         TEXT PRIMARY KEY,
    policy_id  TEXT NOT NULL REFERENCES qos_policies (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,              -- bandwidth_limit, dscp_marking
    direction  TEXT NOT NULL,              -- egress, ingress
    max_kbps   BIGINT NOT NULL DEFAULT 0,
    max_burst  BIGINT NOT NULL DEFAULT 0,  -- kbit
    dscp_mark  INTEGER NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX qos_rules_one ON qos_rules (policy_id, kind, direction);

ALTER TABLE networks ADD COLUMN qos_policy_id TEXT NOT NULL DEFAULT '';
ALTER TABLE ports ADD COLUMN qos_policy_id TEXT NOT NULL DEFAULT '';
ALTER TABLE floating_ips ADD COLUMN qos_policy_id TEXT NOT NULL DEFAULT '';
ALTER TABLE routers ADD COLUMN gateway_qos TEXT NOT NULL DEFAULT '';
CREATE INDEX networks_qos ON networks (qos_policy_id);
CREATE INDEX ports_qos ON ports (qos_policy_id);
CREATE INDEX floating_ips_qos ON floating_ips (qos_policy_id);
CREATE INDEX routers_qos ON routers (gateway_qos);
