-- +goose Up

-- Networks, and what hangs on them (internal/network).
CREATE TABLE networks (
    id               TEXT PRIMARY KEY,
    project_id       TEXT NOT NULL,
    name             TEXT NOT NULL,
    description      TEXT NOT NULL DEFAULT '',
    tags             TEXT NOT NULL DEFAULT '[]',
    revision         BIGINT NOT NULL DEFAULT 1,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    admin_up         INTEGER NOT NULL,
    status           TEXT NOT NULL,
    shared           INTEGER NOT NULL,
    external         INTEGER NOT NULL,
    is_default       INTEGER NOT NULL,
    port_security    INTEGER NOT NULL,
    mtu              INTEGER NOT NULL,
    network_type     TEXT NOT NULL,             -- geneve, flat, vlan
    physical_network TEXT NOT NULL DEFAULT '',
    segmentation_id  INTEGER NOT NULL DEFAULT 0 -- VLAN, or the number of an overlay
);
CREATE INDEX networks_project ON networks (project_id, id);
CREATE UNIQUE INDEX networks_segment ON networks (network_type, physical_network, segmentation_id);

CREATE TABLE subnets (
    id                TEXT PRIMARY KEY,
    project_id        TEXT NOT NULL,
    name              TEXT NOT NULL,
    description       TEXT NOT NULL DEFAULT '',
    tags              TEXT NOT NULL DEFAULT '[]',
    revision          BIGINT NOT NULL DEFAULT 1,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    network_id        TEXT NOT NULL REFERENCES networks (id),
    ip_version        INTEGER NOT NULL,
    cidr              TEXT NOT NULL,
    gateway_ip        TEXT NOT NULL DEFAULT '', -- '' for none
    enable_dhcp       INTEGER NOT NULL,
    dns_nameservers   TEXT NOT NULL DEFAULT '[]',
    host_routes       TEXT NOT NULL DEFAULT '[]',
    allocation_pools  TEXT NOT NULL DEFAULT '[]',
    ipv6_address_mode TEXT NOT NULL DEFAULT '',
    ipv6_ra_mode      TEXT NOT NULL DEFAULT '',
    service_types     TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX subnets_network ON subnets (network_id, id);
CREATE INDEX subnets_project ON subnets (project_id, id);

CREATE TABLE ports (
    id              TEXT PRIMARY KEY,
    project_id      TEXT NOT NULL,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL DEFAULT '',
    tags            TEXT NOT NULL DEFAULT '[]',
    revision        BIGINT NOT NULL DEFAULT 1,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    network_id      TEXT NOT NULL REFERENCES networks (id),
    mac_address     TEXT NOT NULL,
    admin_up        INTEGER NOT NULL,
    status          TEXT NOT NULL,
    device_id       TEXT NOT NULL DEFAULT '',
    device_owner    TEXT NOT NULL DEFAULT '',
    port_security   INTEGER NOT NULL,
    fixed_ips       TEXT NOT NULL DEFAULT '[]', -- as in port_ips, in the order asked for
    security_groups TEXT NOT NULL DEFAULT '[]', -- as in port_groups
    allowed_pairs   TEXT NOT NULL DEFAULT '[]',
    vnic_type       TEXT NOT NULL DEFAULT 'normal',
    server          TEXT NOT NULL DEFAULT '',   -- whose card it is, as compute says; device_id is what users say
    host            TEXT NOT NULL DEFAULT '',   -- where it is bound
    profile         TEXT NOT NULL DEFAULT '{}',
    dns_name        TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX ports_mac ON ports (network_id, mac_address);
CREATE INDEX ports_project ON ports (project_id, id);
CREATE INDEX ports_device ON ports (device_id);
CREATE INDEX ports_server ON ports (server);

-- Addresses in use.
CREATE TABLE port_ips (
    subnet_id  TEXT NOT NULL REFERENCES subnets (id),
    ip_address TEXT NOT NULL,
    port_id    TEXT NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
    place      BIGINT NOT NULL, -- distance from the first address of the subnet, -1 when too far to count
    PRIMARY KEY (subnet_id, ip_address)
);
CREATE INDEX port_ips_place ON port_ips (subnet_id, place);
CREATE INDEX port_ips_port ON port_ips (port_id);
CREATE INDEX port_ips_address ON port_ips (ip_address);

CREATE TABLE security_groups (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    tags        TEXT NOT NULL DEFAULT '[]',
    revision    BIGINT NOT NULL DEFAULT 1,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    default_of  TEXT UNIQUE -- project whose default group it is
);
CREATE INDEX security_groups_project ON security_groups (project_id, id);

CREATE TABLE security_group_rules (
    id               TEXT PRIMARY KEY,
    project_id       TEXT NOT NULL,
    group_id         TEXT NOT NULL REFERENCES security_groups (id) ON DELETE CASCADE,
    description      TEXT NOT NULL DEFAULT '',
    tags             TEXT NOT NULL DEFAULT '[]',
    revision         BIGINT NOT NULL DEFAULT 0,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    direction        TEXT NOT NULL,
    ethertype        TEXT NOT NULL,
    protocol         TEXT NOT NULL DEFAULT '',    -- '' for any
    port_min         INTEGER NOT NULL DEFAULT -1, -- -1 for any
    port_max         INTEGER NOT NULL DEFAULT -1,
    remote_ip_prefix TEXT NOT NULL DEFAULT '',
    remote_group_id  TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX security_group_rules_same ON security_group_rules
    (group_id, direction, ethertype, protocol, port_min, port_max, remote_ip_prefix, remote_group_id);
CREATE INDEX security_group_rules_project ON security_group_rules (project_id, id);
CREATE INDEX security_group_rules_remote ON security_group_rules (remote_group_id);

CREATE TABLE port_groups (
    port_id  TEXT NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
    group_id TEXT NOT NULL REFERENCES security_groups (id),
    PRIMARY KEY (port_id, group_id)
);
CREATE INDEX port_groups_group ON port_groups (group_id);

CREATE TABLE routers (
    id                  TEXT PRIMARY KEY,
    project_id          TEXT NOT NULL,
    name                TEXT NOT NULL,
    description         TEXT NOT NULL DEFAULT '',
    tags                TEXT NOT NULL DEFAULT '[]',
    revision            BIGINT NOT NULL DEFAULT 1,
    created_at          BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL,
    admin_up            INTEGER NOT NULL,
    status              TEXT NOT NULL,
    gateway_network     TEXT NOT NULL DEFAULT '', -- external network, '' for none
    gateway_port        TEXT NOT NULL DEFAULT '',
    enable_snat         INTEGER NOT NULL DEFAULT 1,
    routes              TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX routers_project ON routers (project_id, id);
CREATE INDEX routers_gateway ON routers (gateway_network);

CREATE TABLE floating_ips (
    id           TEXT PRIMARY KEY,
    project_id   TEXT NOT NULL,
    description  TEXT NOT NULL DEFAULT '',
    tags         TEXT NOT NULL DEFAULT '[]',
    revision     BIGINT NOT NULL DEFAULT 1,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    network_id   TEXT NOT NULL,            -- the external one
    port_id      TEXT NOT NULL UNIQUE,     -- holds the address there
    address      TEXT NOT NULL,
    mac_address  TEXT NOT NULL,
    fixed_port   TEXT NOT NULL DEFAULT '', -- '' when associated with nothing
    fixed_ip     TEXT NOT NULL DEFAULT '',
    router_id    TEXT NOT NULL DEFAULT '',
    status       TEXT NOT NULL
);
CREATE INDEX floating_ips_project ON floating_ips (project_id, id);
CREATE INDEX floating_ips_fixed ON floating_ips (fixed_port);
CREATE INDEX floating_ips_router ON floating_ips (router_id);
CREATE INDEX floating_ips_address ON floating_ips (address);

-- What the fabric has to be told, in the order in which it changed.
CREATE TABLE network_dirty (
    seq        INTEGER PRIMARY KEY,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    generation BIGINT NOT NULL DEFAULT 1,
    UNIQUE (kind, id)
);
