-- +goose Up

-- Ephemeral and swap disks that were asked for with a server, as a JSON list. What
-- it leaves open follows the flavor (internal/compute/local_disk.go).
ALTER TABLE servers ADD COLUMN local_disks TEXT NOT NULL DEFAULT '[]';
