-- +goose Up

-- SQLite alone: each row of a table has a number there, by which it is kept, and one
-- whose key is made of several columns is written and found twice. These are narrow and
-- every boot writes them, so they are kept in the order of their keys.

CREATE TABLE plan_steps_in_order (
    plan     TEXT NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    seq      INTEGER NOT NULL,
    step     TEXT NOT NULL,
    undo     INTEGER NOT NULL,
    started  BIGINT NOT NULL,
    finished BIGINT NOT NULL,
    result   TEXT NOT NULL,            -- success, error
    message  TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (plan, seq)
) WITHOUT ROWID;
INSERT INTO plan_steps_in_order SELECT plan, seq, step, undo, started, finished, result, message FROM plan_steps;
DROP TABLE plan_steps;
ALTER TABLE plan_steps_in_order RENAME TO plan_steps;

CREATE TABLE quota_usages_in_order (
    project  TEXT NOT NULL,
    resource TEXT NOT NULL,
    used     BIGINT NOT NULL,
    PRIMARY KEY (project, resource)
) WITHOUT ROWID;
INSERT INTO quota_usages_in_order SELECT project, resource, used FROM quota_usages;
DROP TABLE quota_usages;
ALTER TABLE quota_usages_in_order RENAME TO quota_usages;

CREATE TABLE inventories_in_order (
    provider   TEXT NOT NULL REFERENCES resource_providers (id) ON DELETE CASCADE,
    class      TEXT NOT NULL,
    total      BIGINT NOT NULL,
    reserved   BIGINT NOT NULL,
    min_unit   BIGINT NOT NULL,
    max_unit   BIGINT NOT NULL,
    step_size  BIGINT NOT NULL,
    ratio      DOUBLE PRECISION NOT NULL,
    used       BIGINT NOT NULL DEFAULT 0, -- sum of the allocations, kept in their transactions
    PRIMARY KEY (provider, class)
) WITHOUT ROWID;
INSERT INTO inventories_in_order
    SELECT provider, class, total, reserved, min_unit, max_unit, step_size, ratio, used FROM inventories;
DROP TABLE inventories;
ALTER TABLE inventories_in_order RENAME TO inventories;

CREATE TABLE allocations_in_order (
    consumer TEXT NOT NULL REFERENCES consumers (id) ON DELETE CASCADE,
    provider TEXT NOT NULL REFERENCES resource_providers (id),
    class    TEXT NOT NULL,
    used     BIGINT NOT NULL,
    PRIMARY KEY (consumer, provider, class)
) WITHOUT ROWID;
INSERT INTO allocations_in_order SELECT consumer, provider, class, used FROM allocations;
DROP TABLE allocations;
ALTER TABLE allocations_in_order RENAME TO allocations;
CREATE INDEX allocations_provider ON allocations (provider);

CREATE TABLE server_ports_in_order (
    server TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    port   TEXT NOT NULL,
    seq    INTEGER NOT NULL,
    ours   INTEGER NOT NULL,                 -- made for the server, goes with it
    tag    TEXT,
    state  TEXT NOT NULL,                    -- attaching, attached, detaching
    PRIMARY KEY (server, port)
) WITHOUT ROWID;
INSERT INTO server_ports_in_order SELECT server, port, seq, ours, tag, state FROM server_ports;
DROP TABLE server_ports;
ALTER TABLE server_ports_in_order RENAME TO server_ports;
CREATE INDEX server_ports_port ON server_ports (port);

CREATE TABLE port_ips_in_order (
    subnet_id  TEXT NOT NULL REFERENCES subnets (id),
    ip_address TEXT NOT NULL,
    port_id    TEXT NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
    place      BIGINT NOT NULL, -- distance from the first address of the subnet, -1 when too far to count
    PRIMARY KEY (subnet_id, ip_address)
) WITHOUT ROWID;
INSERT INTO port_ips_in_order SELECT subnet_id, ip_address, port_id, place FROM port_ips;
DROP TABLE port_ips;
ALTER TABLE port_ips_in_order RENAME TO port_ips;
CREATE INDEX port_ips_place ON port_ips (subnet_id, place);
CREATE INDEX port_ips_port ON port_ips (port_id);
CREATE INDEX port_ips_address ON port_ips (ip_address);

CREATE TABLE port_groups_in_order (
    port_id  TEXT NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
    group_id TEXT NOT NULL REFERENCES security_groups (id),
    PRIMARY KEY (port_id, group_id)
) WITHOUT ROWID;
INSERT INTO port_groups_in_order SELECT port_id, group_id FROM port_groups;
DROP TABLE port_groups;
ALTER TABLE port_groups_in_order RENAME TO port_groups;
CREATE INDEX port_groups_group ON port_groups (group_id);
