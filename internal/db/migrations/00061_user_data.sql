-- +goose Up

-- The servers that were given user data: lists in detail ask for it, and few have any.
-- SQLite prefers it to the primary key because it is as unique.
CREATE UNIQUE INDEX server_secrets_user_data ON server_secrets (server) WHERE user_data <> '';
