-- +goose Up

-- The volume that is to take the place of an attachment's
-- (internal/compute/plan_swap.go).
ALTER TABLE server_volumes ADD COLUMN swap TEXT NOT NULL DEFAULT 'null';
