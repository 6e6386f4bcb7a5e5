-- +goose Up

-- What somebody wants of a live migration under way: '' nothing, hasty that it
-- ends however long the guest stands still for that, back that the guest stays, and
-- given that too, since it was given up.
ALTER TABLE migrations ADD COLUMN urge TEXT NOT NULL DEFAULT '';
