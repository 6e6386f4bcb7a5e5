-- +goose Up

-- Ports whose card carries VLANs that are ports of other networks
-- (internal/network).
CREATE TABLE trunks (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    tags        TEXT NOT NULL DEFAULT '[]',
    revision    BIGINT NOT NULL DEFAULT 1,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    admin_up    INTEGER NOT NULL,
    status      TEXT NOT NULL,                            -- its port's
    port_id     TEXT NOT NULL UNIQUE REFERENCES ports (id)
);
CREATE INDEX trunks_project ON trunks (project_id, id);

CREATE TABLE trunk_subports (
    port_id           TEXT PRIMARY KEY REFERENCES ports (id),
    trunk_id          TEXT NOT NULL REFERENCES trunks (id),
    segmentation_type TEXT NOT NULL,
    segmentation_id   INTEGER NOT NULL,
    created_at        BIGINT NOT NULL
);
CREATE UNIQUE INDEX trunk_subports_vlan ON trunk_subports (trunk_id, segmentation_id);

-- Hosts that a port may move to, besides the one where it is bound.
CREATE TABLE port_bindings (
    port_id    TEXT NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
    host       TEXT NOT NULL,
    vnic_type  TEXT NOT NULL,
    profile    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (port_id, host)
);

ALTER TABLE security_groups ADD COLUMN stateful INTEGER NOT NULL DEFAULT 1;
