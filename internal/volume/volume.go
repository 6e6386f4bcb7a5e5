// Package volume owns volumes, snapshots, backups, attachments and volume types. It
// speaks to users as Cinder.
//
// A volume is a row that users see and a document that its host makes true:
// so many bytes, from that source, exported to nobody or to one attachment. A
// request writes the row and starts a plan in one transaction; the plan picks a
// host, wants the document, and waits for the host's answer. A snapshot is a
// copy that no machine ever gets: the same document, under the snapshot's id,
// with the volume as its source.
//
// Attachments are fenced. Each connection gets a higher epoch, and the host
// serves the volume to the highest epoch only, so whoever had it before has
// lost it, whatever it believes. Compute attaches and detaches inside its own
// plans' transactions (compute.go); what it attached, only it may detach.
//
// A backup is a volume's bytes in the object store: a plan reads the volume from
// its host and stores what it holds, chunk by chunk (backup_store.go).
//
// A failed creation leaves the row in error, for the user to see and delete.
package volume

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/hosts"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// Image is what a volume can be made from, as the image service tells it.
type Image struct {
	ID              string
	Name            string
	Status          string
	DiskFormat      string
	ContainerFormat string
	Checksum        string
	SizeBytes       int64 // of the file
	VirtualBytes    int64 // of the disk in it; 0 when unknown
	MinDiskGB       int64
	MinRAMMB        int64
	Properties      map[string]string
	Usable          error // why its bytes cannot be used; nil if they can
}

// images is what volumes need from the image service.
type images interface {
	// Image returns an image that the viewer may use. Others are not found.
	Image(ctx context.Context, who Viewer, id string) (Image, error)
	// CreateImage makes an image without bytes. Making the same one again is a
	// success.
	CreateImage(ctx context.Context, image NewImage) error
	// Upload gives an image its bytes. One that has them already is a success, one
	// that is being given some is a conflict.
	Upload(ctx context.Context, image NewImage, bytes io.Reader) error
	// DeleteImage removes an image. A missing one is a success.
	DeleteImage(ctx context.Context, image string) error
}

// servers is what volumes need from the compute service.
type servers interface {
	// HostOf is the host of a project's server, "" while it has none. The project
	// "" is any. Others' servers are not found.
	HostOf(ctx context.Context, project, server string) (string, error)
	// Extended tells a server that a volume that it has is larger now. A server that
	// is gone is a success.
	Extended(ctx context.Context, tx *db.Tx, server, volume string, size int64) error
}

// Converter writes disks in the formats of others.
type Converter interface {
	// Convert writes the disk that is in a qcow2 image of ours into a target of the
	// format.
	Convert(ctx context.Context, source, format string, size int64, target string) error
}

// Viewer is who asks. An admin sees every project.
type Viewer struct {
	Project string
	User    string
	Admin   bool
	Request string // request id, for the plans that are started

	// May tells whether policy allows something on what a project has; nil allows
	// everything.
	May func(rule, project string) bool
}

// allowed refuses what policy does.
func (w Viewer) allowed(rule, project string) error {
	if w.May == nil || w.May(rule, project) {
		return nil
	}
	return errs.Forbiddenf("Policy doesn't allow %s to be performed.", rule)
}

// Options are what the service is made of.
type Options struct {
	DB      *db.DB
	Clock   clock.Clock
	NewID   func() string // nil: clock.UUID
	Log     *slog.Logger
	Engine  *work.Engine
	Hosts   *hosts.Service
	Images  images
	Servers servers
	Vault   vault  // where backups are
	Sealer  sealer // of the keys of encrypted volumes

	Converter Converter // nil: volumes become raw and qcow2 images only
	WorkDir   string    // an empty folder for what is being converted

	Zone string // the one availability zone; "" is nova
	// Overcommit is how much of its room a host promises to volumes, which take
	// only what is written to them; 0 is 20, as Cinder has it.
	Overcommit float64

	Server string         // the name of this server
	Level  *slog.LevelVar // what it logs; nil: it cannot be changed
}

// Service is block storage.
type Service struct {
	db      *db.DB
	clock   clock.Clock
	newID   func() string
	log     *slog.Logger
	engine  *work.Engine
	hosts   *hosts.Service
	images  images
	servers servers
	vault   vault
	sealer  sealer

	converter Converter
	work      string

	zone       string
	overcommit float64
	server     string
	level      *slog.LevelVar

	mu    sync.Mutex            // guards state
	state map[string]hosts.Host // by name, as they were told last
}

// New makes the service, registers its plans with the engine and its ears with
// hosts. It comes before the first host connects.
func New(o Options) *Service {
	s := &Service{
		db: o.DB, clock: o.Clock, newID: o.NewID, log: o.Log, engine: o.Engine, hosts: o.Hosts, images: o.Images, servers: o.Servers, vault: o.Vault, sealer: o.Sealer,
		converter: o.Converter, work: o.WorkDir,
		zone: o.Zone, overcommit: o.Overcommit, server: o.Server, level: o.Level, state: map[string]hosts.Host{},
	}
	if s.clock == nil {
		s.clock = clock.Real{}
	}
	if s.newID == nil {
		s.newID = clock.UUID
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.level == nil {
		s.level = new(slog.LevelVar)
	}
	if s.zone == "" {
		s.zone = "nova"
	}
	if s.overcommit == 0 {
		s.overcommit = 20
	}
	work.Register(s.engine, s.createPlan())
	work.Register(s.engine, s.deletePlan())
	work.Register(s.engine, s.extendPlan())
	work.Register(s.engine, s.snapshotPlan())
	work.Register(s.engine, s.deleteSnapshotPlan())
	work.Register(s.engine, s.migratePlan())
	work.Register(s.engine, s.managePlan())
	work.Register(s.engine, s.unmanagePlan())
	work.Register(s.engine, s.groupPlan())
	work.Register(s.engine, s.deleteGroupPlan())
	work.Register(s.engine, s.groupSnapshotPlan())
	work.Register(s.engine, s.deleteGroupSnapshotPlan())
	work.Register(s.engine, s.backupPlan())
	work.Register(s.engine, s.deleteBackupPlan())
	work.Register(s.engine, s.restorePlan())
	work.Register(s.engine, s.importBackupPlan())
	work.Register(s.engine, s.uploadPlan())
	work.Register(s.engine, s.revertPlan())
	work.Register(s.engine, s.reimagePlan())
	s.hosts.OnHost(s.hostChanged)
	s.hosts.OnQuery(nodeapi.QueryExport, s.answerExport)
	s.hosts.OnQuery(nodeapi.QueryKey, s.answerKey)
	s.hosts.OnStream(nodeapi.StreamExport, s.serveExport)
	return s
}

// Zone is the availability zone that all volumes are in.
func (s *Service) Zone() string { return s.zone }

// Plans take at most this long before they are undone. Copies of large images
// and volumes take their time.
const (
	copyDeadline   = 30 * time.Minute
	bytesDeadline  = 24 * time.Hour // of bytes that go through the servers
	changeDeadline = 5 * time.Minute
)

// wait returns nil when the host has answered the newest document and all is
// as desired. A refusal is a classified error. The document has the id of the
// volume or snapshot.
func (s *Service) wait(ctx context.Context, host, id string) error {
	var seen nodeapi.VolumeObserved
	answered, err := s.hosts.Answer(ctx, host, nodeapi.KindVolume, id, &seen)
	if err != nil {
		return err
	}
	return hosts.Waiting(host, s.hostUp(host), answered, seen.Problem, seen.Refused)
}

// waitGone returns nil when the host has confirmed that it has nothing under
// the id. A host that is down is not waited for: it still has the order, and
// follows it when it is back.
func (s *Service) waitGone(ctx context.Context, host, id string) error {
	if host == "" || !s.hostUp(host) {
		return nil
	}
	var seen nodeapi.VolumeObserved
	answered, err := s.hosts.Answer(ctx, host, nodeapi.KindVolume, id, &seen)
	if err != nil {
		return err
	}
	if !answered && seen.Problem != "" {
		return work.NotYet("host %s cannot delete it yet: %s", host, seen.Problem)
	}
	if !answered {
		return work.NotYet("waiting for host %s to delete it", host)
	}
	return nil
}

// forget makes every host remove what it has under the id.
func (s *Service) forget(ctx context.Context, tx *db.Tx, id string) error {
	documents, err := s.hosts.Documents(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, d := range documents {
		err = s.hosts.Forget(ctx, tx, d.Host, nodeapi.KindVolume, id)
		if err != nil {
			return err
		}
	}
	return nil
}

// options say on whose behalf a plan runs.
func (w Viewer) options(project string) []work.Option {
	return []work.Option{
		work.Project(project), work.By(work.Caller{User: w.User, Project: w.Project, Request: w.Request}),
	}
}

// updateRow writes columns of a row, provided that nobody changed it since it
// was read.
func updateRow(ctx context.Context, tx *db.Tx, row any, id string, generation int64, columns ...string) error {
	result, err := tx.NewUpdate().Model(row).Column(columns...).Set("generation = generation + 1").
		Set("updated_at = ?", db.At(tx.Now())).Where("id = ? AND generation = ?", id, generation).Exec(ctx)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return errs.Conflictf("%s changed while the request was handled.", id)
	}
	return nil
}

// unexpected adds context to an error of the database.
func unexpected(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
