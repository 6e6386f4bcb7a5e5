-- +goose Up

-- Servers and what belongs to them (internal/compute).
CREATE TABLE flavors (
    id          TEXT PRIMARY KEY,            -- the flavor id that users see
    name        TEXT NOT NULL UNIQUE,
    vcpus       BIGINT NOT NULL,
    ram         BIGINT NOT NULL,             -- MiB
    disk        BIGINT NOT NULL,             -- GiB
    ephemeral   BIGINT NOT NULL DEFAULT 0,
    swap        BIGINT NOT NULL DEFAULT 0,
    rxtx_factor DOUBLE PRECISION NOT NULL DEFAULT 1,
    public      INTEGER NOT NULL DEFAULT 1,
    description TEXT,
    extra_specs TEXT NOT NULL DEFAULT '{}',
    created_at  BIGINT NOT NULL
);
CREATE TABLE flavor_access (
    flavor  TEXT NOT NULL REFERENCES flavors (id) ON DELETE CASCADE,
    project TEXT NOT NULL,
    PRIMARY KEY (flavor, project)
);

CREATE TABLE keypairs (
    user_id     TEXT NOT NULL,
    name        TEXT NOT NULL,
    seq         BIGINT NOT NULL,             -- the number that replies call id
    type        TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    public_key  TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (user_id, name)
);

CREATE TABLE servers (
    id               TEXT PRIMARY KEY,
    generation       BIGINT NOT NULL DEFAULT 1,
    project          TEXT NOT NULL,
    user_id          TEXT NOT NULL,
    name             TEXT NOT NULL,
    description      TEXT,
    hostname         TEXT NOT NULL,
    vm_state         TEXT NOT NULL,
    task_state       TEXT NOT NULL DEFAULT '',
    power_state      INTEGER NOT NULL DEFAULT 0,
    fault            TEXT NOT NULL DEFAULT '',  -- JSON
    host             TEXT NOT NULL DEFAULT '',
    zone             TEXT NOT NULL DEFAULT '',  -- availability zone that was asked for
    flavor_id        TEXT NOT NULL,
    flavor           TEXT NOT NULL,             -- JSON, as it was when the server was made
    image            TEXT NOT NULL DEFAULT '',  -- '' when it boots from a volume
    image_properties TEXT NOT NULL DEFAULT '{}',
    key_name         TEXT,
    config_drive     INTEGER NOT NULL DEFAULT 0,
    metadata         TEXT NOT NULL DEFAULT '{}',
    access_ip4       TEXT NOT NULL DEFAULT '',
    access_ip6       TEXT NOT NULL DEFAULT '',
    reservation      TEXT NOT NULL,
    launch_index     INTEGER NOT NULL DEFAULT 0,
    root_device      TEXT NOT NULL DEFAULT '/dev/vda',
    locked           INTEGER NOT NULL DEFAULT 0,
    locked_by        TEXT NOT NULL DEFAULT '',
    locked_reason    TEXT,
    server_group     TEXT NOT NULL DEFAULT '',
    scheduler_hints  TEXT NOT NULL DEFAULT '{}',
    running          INTEGER NOT NULL DEFAULT 1, -- wanted power state
    soft_reboots     BIGINT NOT NULL DEFAULT 0,
    hard_reboots     BIGINT NOT NULL DEFAULT 0,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    launched_at      BIGINT NOT NULL DEFAULT 0,
    terminated_at    BIGINT NOT NULL DEFAULT 0,
    deleted_at       BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX servers_project ON servers (project, deleted_at, created_at, id);
CREATE INDEX servers_created ON servers (deleted_at, created_at, id);
CREATE INDEX servers_host ON servers (host, deleted_at);
CREATE INDEX servers_group ON servers (server_group);

-- What is large or secret and only few calls read.
CREATE TABLE server_secrets (
    server     TEXT PRIMARY KEY REFERENCES servers (id) ON DELETE CASCADE,
    user_data  TEXT NOT NULL DEFAULT '',       -- base64, as it was given
    public_key TEXT NOT NULL DEFAULT '',
    key_type   TEXT NOT NULL DEFAULT '',
    seed       TEXT NOT NULL DEFAULT '',       -- base64
    password   TEXT NOT NULL DEFAULT ''        -- encrypted by the guest, who posted it
);
CREATE TABLE server_tags (
    server TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    tag    TEXT NOT NULL,
    PRIMARY KEY (server, tag)
);
CREATE INDEX server_tags_tag ON server_tags (tag);

-- The cards of a server. The ports are the network service's.
CREATE TABLE server_ports (
    server TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    port   TEXT NOT NULL,
    seq    INTEGER NOT NULL,
    ours   INTEGER NOT NULL,                 -- made for the server, goes with it
    tag    TEXT,
    state  TEXT NOT NULL,                    -- attaching, attached, detaching
    PRIMARY KEY (server, port)
);
CREATE INDEX server_ports_port ON server_ports (port);

-- The volumes of a server. The volumes are the volume service's.
CREATE TABLE server_volumes (
    attachment            TEXT PRIMARY KEY,
    server                TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    volume                TEXT NOT NULL,
    device                TEXT NOT NULL,
    boot_index            INTEGER,
    delete_on_termination INTEGER NOT NULL DEFAULT 0,
    tag                   TEXT,
    state                 TEXT NOT NULL,     -- attaching, attached, detaching
    epoch                 BIGINT NOT NULL DEFAULT 0,
    created_at            BIGINT NOT NULL
);
CREATE INDEX server_volumes_server ON server_volumes (server);
CREATE INDEX server_volumes_volume ON server_volumes (volume);

-- Why a server is where it is.
CREATE TABLE schedules (
    server      TEXT PRIMARY KEY REFERENCES servers (id) ON DELETE CASCADE,
    chosen      TEXT NOT NULL,
    explanation TEXT NOT NULL,               -- JSON
    decided_at  BIGINT NOT NULL
);

CREATE TABLE server_groups (
    id         TEXT PRIMARY KEY,
    project    TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    name       TEXT NOT NULL,
    policy     TEXT NOT NULL,
    rules      TEXT NOT NULL DEFAULT '{}',
    created_at BIGINT NOT NULL
);
CREATE INDEX server_groups_project ON server_groups (project, created_at, id);

CREATE TABLE aggregates (
    id         INTEGER PRIMARY KEY,
    uuid       TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL UNIQUE,
    metadata   TEXT NOT NULL DEFAULT '{}',   -- availability_zone among it
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE aggregate_hosts (
    aggregate INTEGER NOT NULL REFERENCES aggregates (id) ON DELETE CASCADE,
    host      TEXT NOT NULL,
    PRIMARY KEY (aggregate, host)
);

-- What operators decided about hosts.
CREATE TABLE compute_services (
    host        TEXT PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    seq         BIGINT NOT NULL,
    disabled    INTEGER NOT NULL DEFAULT 0,
    reason      TEXT NOT NULL DEFAULT '',
    forced_down INTEGER NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
