package volume

import (
	"context"
	"encoding/json"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/hosts"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// Backend is a host that keeps volumes.
type Backend struct {
	Host        hosts.Host
	Provisioned int64 // GiB promised to volumes and snapshots

	// What an operator has said of it.
	Disabled bool // new volumes go elsewhere
	Reason   string
	Frozen   bool // volumes are neither made nor removed on it
}

// PromisesGB is how much the host promises to volumes altogether.
func (s *Service) PromisesGB(h hosts.Host) float64 { return h.Info.VolumesGB * s.overcommit }

// Overcommit is how much more a host promises than it has.
func (s *Service) Overcommit() float64 { return s.overcommit }

func (s *Service) hostChanged(h hosts.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state[h.Name] = h
}

func (s *Service) knownHost(name string) (hosts.Host, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, known := s.state[name]
	return h, known
}

func (s *Service) hostUp(name string) bool {
	h, known := s.knownHost(name)
	return known && h.Up
}

// shared tells whether machines on other hosts reach the host's volumes.
func (s *Service) shared(name string) bool {
	h, known := s.knownHost(name)
	return known && h.Info.SharedExports
}

// Backends returns all hosts that keep volumes, with what they have promised.
func (s *Service) Backends(ctx context.Context) ([]Backend, error) {
	var promised map[string]int64
	var seen []struct {
		Name     string
		SeenAt   db.Time
		Disabled bool
		Reason   string
		Frozen   bool
	}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		promised, err = provisioned(ctx, tx)
		if err != nil {
			return err
		}
		return tx.All(ctx, &seen, `
			SELECT hosts.name, seen_at, COALESCE(disabled, 0) AS disabled, COALESCE(reason, '') AS reason, COALESCE(frozen, 0) AS frozen
			FROM hosts LEFT JOIN volume_hosts ON volume_hosts.name = hosts.name ORDER BY hosts.name`)
	})
	if err != nil {
		return nil, fmt.Errorf("list hosts: %w", err)
	}
	var list []Backend
	for _, row := range seen {
		h, known := s.knownHost(row.Name)
		if !known || h.Info.VolumesGB == 0 {
			continue
		}
		h.SeenAt = row.SeenAt.Time()
		list = append(list, Backend{h, promised[h.Name], row.Disabled, row.Reason, row.Frozen})
	}
	return list, nil
}

// provisioned sums what is promised on each host.
func provisioned(ctx context.Context, tx *db.Tx) (map[string]int64, error) {
	var rows []struct {
		Host string
		Size int64
	}
	err := tx.All(ctx, &rows, `
		SELECT host, SUM(size) AS size FROM (
			SELECT host, size FROM volumes UNION ALL SELECT host, size FROM snapshots
		) AS all_sizes GROUP BY host`)
	if err != nil {
		return nil, fmt.Errorf("sum volumes by host: %w", err)
	}
	sums := make(map[string]int64, len(rows))
	for _, row := range rows {
		sums[row.Host] = row.Size
	}
	return sums, nil
}

// Share is what one project has on a host.
type Share struct {
	Project     string
	Volumes     int64
	VolumesGB   int64 `bun:"volumes_gb"`
	Snapshots   int64
	SnapshotsGB int64 `bun:"snapshots_gb"`
}

// Shares returns what each project has on a host.
func (s *Service) Shares(ctx context.Context, host string) ([]Share, error) {
	var list []Share
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &list, `
			SELECT project, SUM(volumes) AS volumes, SUM(volumes_gb) AS volumes_gb,
				SUM(snapshots) AS snapshots, SUM(snapshots_gb) AS snapshots_gb
			FROM (
				SELECT project, 1 AS volumes, size AS volumes_gb, 0 AS snapshots, 0 AS snapshots_gb FROM volumes WHERE host = ?
				UNION ALL
				SELECT project, 0, 0, 1, size FROM snapshots WHERE host = ?
			) AS parts GROUP BY project ORDER BY project`, host, host)
	})
	return list, unexpected("sum what projects have on host "+host, err)
}

// wish is what a host is chosen for.
type wish struct {
	SizeGB int64
	Only   string   // the one host that will do; "" for any
	Except string   // the one that won't
	Types  []string // ids; the host has to be capable of what they ask for
}

// choose picks the host that has the most left to promise. Without any host up it
// waits; without a host that fits it gives up.
func (s *Service) choose(ctx context.Context, w wish) (string, error) {
	backends, err := s.Backends(ctx)
	if err != nil {
		return "", err
	}
	asked, err := s.specsOf(ctx, w.Types)
	if err != nil {
		return "", err
	}
	best, most, up := "", 0.0, 0
	for _, b := range backends {
		if !b.Host.Up || w.Only != "" && b.Host.Name != w.Only || b.Host.Name == w.Except {
			continue
		}
		up++
		if b.Disabled || b.Frozen || !s.capable(b, asked) {
			continue
		}
		left := s.PromisesGB(b.Host) - float64(b.Provisioned) - float64(w.SizeGB)
		if left >= 0 && (best == "" || left > most) {
			best, most = b.Host.Name, left
		}
	}
	if up == 0 {
		return "", work.NotYet("waiting for a host that keeps volumes")
	}
	if best == "" {
		return "", errs.New(errs.Internal, "No valid backend was found. None of %d hosts is enabled, has what the type asks for and has room for %d GiB.",
			up, w.SizeGB).Typed(noBackend)
	}
	return best, nil
}

// answerExport tells a node where a volume of another host is reached: at the
// epoch of an attachment to that node, and only if hosts share their exports.
func (s *Service) answerExport(ctx context.Context, host string, payload json.RawMessage) (any, error) {
	var q nodeapi.ExportQuery
	err := json.Unmarshal(payload, &q)
	if err != nil {
		return nil, errs.BadRequestf("unreadable question")
	}
	v, seen, err := s.exportFor(ctx, host, q.Volume, q.Epoch)
	if err != nil {
		return nil, err
	}
	address, exported := seen.At(q.Epoch)
	if !exported {
		return nil, errs.Unavailablef("its host has not exported it yet")
	}
	if v.Host != host && !(s.shared(v.Host) && s.shared(host)) {
		address.Socket = "" // on the other host: the node opens a stream to it
	}
	return address, nil
}

// exportFor finds a volume that is attached to the host at the epoch, and what
// its own host made of it.
func (s *Service) exportFor(ctx context.Context, host, volume string, epoch int64) (v Volume, seen nodeapi.VolumeObserved, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		v, err = getVolume(ctx, tx, volume)
		if err != nil {
			return err
		}
		var attached int
		err = tx.Get(ctx, &attached, `
			SELECT COUNT(*) FROM volume_attachments WHERE volume = ? AND (host = ? AND epoch = ? OR next_host = ? AND next_epoch = ?)`,
			volume, host, epoch, host, epoch)
		if err != nil {
			return err
		}
		if attached == 0 {
			return errs.NotFoundf("volume %s is not attached to host %s at epoch %d", volume, host, epoch)
		}
		err = s.reachable(v, host)
		if err != nil {
			return err
		}
		_, err = s.hosts.Observed(ctx, tx, v.Host, nodeapi.KindVolume, v.ID, &seen)
		return err
	})
	return v, seen, err
}

// streams is the version of nodes from which on they carry volumes to each other.
const streams = 4

// reachable is an error when a machine on the host cannot get at the volume. Hosts
// reach each other's volumes by streams through the servers. Where both say that
// they share exports, an address is enough: it is the other host's word, and this
// one must not be led to a socket of its own by it.
func (s *Service) reachable(v Volume, host string) error {
	if v.Host == host || s.shared(v.Host) && s.shared(host) {
		return nil
	}
	for _, name := range []string{v.Host, host} {
		h, known := s.knownHost(name)
		if !known || h.Info.Node < streams {
			return errs.Conflictf("Invalid volume: volume %s is on host %s and cannot be reached from host %s.", v.ID, v.Host, host)
		}
	}
	return nil
}
