-- +goose Up

-- A volume or snapshot that is removed asks whether something is being copied from it:
-- that read all volumes, since only their sources were indexed.
CREATE INDEX volumes_snapshot ON volumes (snapshot) WHERE snapshot <> '';
