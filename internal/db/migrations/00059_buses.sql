-- +goose Up

-- Buses of a server's own disks, as JSON, and of its volumes; '' is virtio.
ALTER TABLE servers ADD COLUMN buses TEXT NOT NULL DEFAULT '{}';
ALTER TABLE server_volumes ADD COLUMN bus TEXT NOT NULL DEFAULT '';
ALTER TABLE server_volumes ADD COLUMN cdrom BOOLEAN NOT NULL DEFAULT FALSE;
