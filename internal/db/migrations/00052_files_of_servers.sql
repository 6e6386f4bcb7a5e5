-- +goose Up

-- Files that a server was given for its guest (internal/compute/personality.go).
ALTER TABLE server_secrets ADD COLUMN files TEXT NOT NULL DEFAULT '';

-- Certificates that may have signed a server's image (internal/compute/server.go).
ALTER TABLE servers ADD COLUMN certificates TEXT NOT NULL DEFAULT '';
