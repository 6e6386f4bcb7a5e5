-- +goose Up

-- Servers in states that few are in, in the order that lists have. Those that come,
-- run, stop and go cost nothing here. Whoever wants it says its condition
-- (seldom in internal/compute/list.go).
CREATE INDEX servers_seldom ON servers (vm_state, deleted_at, created_at, id)
    WHERE NOT (vm_state = 'active') AND NOT (vm_state = 'building') AND NOT (vm_state = 'deleted') AND NOT (vm_state = 'stopped');
