-- +goose Up

-- Since when a server that was deleted and can be restored does not count as used
-- by its project; 0 of all that count (internal/compute/plan_soft_delete.go).
ALTER TABLE servers ADD COLUMN soft_deleted_at BIGINT NOT NULL DEFAULT 0;
