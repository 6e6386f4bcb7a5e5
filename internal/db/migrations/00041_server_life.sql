-- +goose Up

-- What a rescued server boots from, what is kept of a shelved one, what a root
-- disk was made of when that is not the server's image, and how often a guest
-- was told to leave a dump (internal/compute/server.go).
ALTER TABLE servers ADD COLUMN rescue TEXT NOT NULL DEFAULT 'null';
ALTER TABLE servers ADD COLUMN shelf TEXT NOT NULL DEFAULT 'null';
ALTER TABLE servers ADD COLUMN disk_image TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN crash_dumps BIGINT NOT NULL DEFAULT 0;
