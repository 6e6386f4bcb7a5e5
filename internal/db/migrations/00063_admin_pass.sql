-- +goose Up

-- The password that a server's config drive tells its guest; '' for none. It is asked for,
-- or made up, when the server is made, rebuilt or evacuated.
ALTER TABLE server_secrets ADD COLUMN admin_pass TEXT NOT NULL DEFAULT '';
