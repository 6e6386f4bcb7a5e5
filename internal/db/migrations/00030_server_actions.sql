-- +goose Up

-- What servers rest in, how often their root disks were made anew, and the
-- flavor besides theirs that a resize holds room for.
ALTER TABLE servers ADD COLUMN rest TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN rebuilds BIGINT NOT NULL DEFAULT 0;
ALTER TABLE servers ADD COLUMN other_flavor TEXT NOT NULL DEFAULT 'null';
