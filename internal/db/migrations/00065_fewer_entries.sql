-- +goose Up

-- An index that few rows are looked up by costs each of them a write: plans_due had its
-- entry moved at each step of each plan, and served only to forget those that have ended.
DROP INDEX plans_due;
CREATE INDEX plans_ended ON plans (updated_at) WHERE phase IN ('done', 'undone');

DROP INDEX servers_group;
CREATE INDEX servers_group ON servers (server_group) WHERE server_group <> '';

DROP INDEX ports_qos;
CREATE INDEX ports_qos ON ports (qos_policy_id) WHERE qos_policy_id <> '';
