-- +goose Up

-- The first of the rules that new groups start with say where they come from
-- (internal/network/default_rule.go).
UPDATE default_security_group_rules SET description = 'Legacy default SG rule for egress traffic'
    WHERE description = '' AND id IN ('2b7c1c62-3f0e-4b0f-8c53-6d2f5a0e0001', '2b7c1c62-3f0e-4b0f-8c53-6d2f5a0e0002');
UPDATE default_security_group_rules SET description = 'Legacy default SG rule for ingress traffic'
    WHERE description = '' AND id IN ('2b7c1c62-3f0e-4b0f-8c53-6d2f5a0e0003', '2b7c1c62-3f0e-4b0f-8c53-6d2f5a0e0004');
