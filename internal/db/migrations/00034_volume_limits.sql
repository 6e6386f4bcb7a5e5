-- +goose Up

-- What a client of a volume was told when it was connected
-- (internal/volume/connection.go), and what a server's disk is limited to.
ALTER TABLE volume_attachments ADD COLUMN connection TEXT NOT NULL DEFAULT '{}';
ALTER TABLE server_volumes ADD COLUMN limits TEXT NOT NULL DEFAULT 'null';
