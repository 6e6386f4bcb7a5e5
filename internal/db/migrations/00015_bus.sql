-- +goose Up

-- For whom an event happened (internal/bus).
ALTER TABLE outbox ADD COLUMN initiator TEXT NOT NULL DEFAULT '{}';
