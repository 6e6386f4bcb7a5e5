-- +goose Up

-- Ports of a floating IP that lead to ports of inner addresses (internal/network).
CREATE TABLE port_forwardings (
    id           TEXT PRIMARY KEY,
    floating_ip  TEXT NOT NULL REFERENCES floating_ips (id) ON DELETE CASCADE,
    description  TEXT NOT NULL DEFAULT '',
    fixed_port   TEXT NOT NULL REFERENCES ports (id),
    fixed_ip     TEXT NOT NULL,
    protocol     TEXT NOT NULL,
    external_min INTEGER NOT NULL,
    external_max INTEGER NOT NULL,
    internal_min INTEGER NOT NULL,
    internal_max INTEGER NOT NULL,
    created_at   BIGINT NOT NULL
);
CREATE INDEX port_forwardings_floating ON port_forwardings (floating_ip, id);
CREATE INDEX port_forwardings_fixed ON port_forwardings (fixed_port);
