-- +goose Up

-- Whether the guest is asked to grow its root to the whole disk
-- (internal/compute/server.go).
ALTER TABLE servers ADD COLUMN auto_disk BOOLEAN NOT NULL DEFAULT FALSE;
