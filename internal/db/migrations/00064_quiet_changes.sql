-- +goose Up

-- How many changes of a provider its generation, which clients see, leaves out.
ALTER TABLE resource_providers ADD COLUMN quiet BIGINT NOT NULL DEFAULT 0;
