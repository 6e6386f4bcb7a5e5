-- +goose Up

-- What a port lets pass for the server that has it, beside its QoS policy
-- (internal/network/servers.go).
ALTER TABLE ports ADD COLUMN card_limits TEXT NOT NULL DEFAULT '{}';
