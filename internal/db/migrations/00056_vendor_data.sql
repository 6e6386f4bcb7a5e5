-- +goose Up

-- What services of the operator are told of a server, and what they said for its
-- config drive (internal/compute/vendor_data.go).
ALTER TABLE server_secrets ADD COLUMN boot_roles TEXT NOT NULL DEFAULT '';
ALTER TABLE server_secrets ADD COLUMN vendor_data TEXT NOT NULL DEFAULT '';
