-- +goose Up

-- A host's servers in the order that lists have, so that a list of them does not
-- go through those of all hosts.
DROP INDEX servers_host;
CREATE INDEX servers_host ON servers (host, deleted_at, created_at, id);
