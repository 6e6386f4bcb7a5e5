// Package compute owns servers, flavors and key pairs, and what operators
// decide about hosts. It speaks to users as Nova.
//
// A request writes rows and starts a plan in one transaction; the plan claims
// a host, binds ports, connects volumes and wants the machine on its host; the
// node makes it so and reports, which wakes the plan. What a machine should be
// is one document, always derived whole from the rows (machine.go), so that
// every plan that changes a server does it the same way: change the rows, want
// the document, wait until the host answers it.
//
// A server that could not be made stays, in ERROR, with the reason as its
// fault; it owns nothing then but its row. Deleted servers keep their row, so
// that their history can be read.
//
// What compute needs from the other services stands in needs.go.
package compute

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"nacre/internal/clock"
	"nacre/internal/compute/scheduler"
	"nacre/internal/compute/vendordata"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/hosts"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// Options are what the service is made of.
type Options struct {
	DB     *db.DB
	Clock  clock.Clock
	NewID  func() string // nil: clock.UUID
	Log    *slog.Logger
	Engine *work.Engine
	Hosts  *hosts.Service

	Placement   placements
	Images      images
	Networks    networks
	Proxy       NetworkProxy
	ImageProxy  ImageProxy
	VolumeProxy VolumeProxy
	Volumes     volumes
	Consoles    consoles
	// ConfigDrive makes an ISO image labelled config-2 of files by path.
	ConfigDrive func(files map[string][]byte) ([]byte, error)
	// VendorData is what the operator tells guests; nil is nothing.
	VendorData *vendordata.Source

	// Zone is the availability zone of hosts that are in no aggregate with
	// one; "" is nova.
	Zone string
	// Nudge asks a loop of Loops to look at once: loop.Runner.Nudge.
	Nudge func(loop string)
	// ShelvedFor is how long a shelved server keeps its host: 0 not at all, less
	// than 0 for ever.
	ShelvedFor time.Duration
	// ReclaimAfter is how long a deleted server can be restored; 0 is not at all.
	ReclaimAfter time.Duration
	// CPURatio is the allocation ratio of VCPUs on a host that reports for the
	// first time; 0 is 4.
	CPURatio float64
	// ConfirmAfter is how long a resize waits for its confirmation before it
	// counts as confirmed; 0 is for ever.
	ConfirmAfter time.Duration
	// ReservedMB is the memory of each host that servers don't get; 0 is 512,
	// -1 is none.
	ReservedMB int64
	// Weighers go before the score when hosts are ordered; none is the score alone.
	Weighers []scheduler.Weigher
	// Rules are what the scheduler keeps to in every decision; the zero value is none.
	Rules scheduler.Rules
}

// Service is compute.
type Service struct {
	db     *db.DB
	clock  clock.Clock
	newID  func() string
	log    *slog.Logger
	engine *work.Engine
	hosts  *hosts.Service

	placement   placements
	images      images
	networks    networks
	proxy       NetworkProxy
	imageProxy  ImageProxy
	volumeProxy VolumeProxy
	volumes     volumes
	consoles    consoles
	configDrive func(files map[string][]byte) ([]byte, error)
	vendor      *vendordata.Source

	zone         string
	cpuRatio     float64
	reservedMB   int64
	confirmAfter time.Duration
	shelvedFor   time.Duration
	reclaimAfter time.Duration
	weighers     []scheduler.Weigher
	rules        scheduler.Rules

	mu       sync.RWMutex // guards snapshot and state
	snapshot scheduler.Snapshot
	state    map[string]hostState // by host name

	frozen frozen

	intake sync.Map // host name → *sync.Mutex, held while the host is taken in
	asking sync.Map // ids of servers whose guests wait for vendor data
}

// New makes the service, registers its plans with the engine and its ears with
// hosts and placement. It comes before the first host connects.
func New(ctx context.Context, o Options) (*Service, error) {
	s := &Service{
		db: o.DB, clock: o.Clock, newID: o.NewID, log: o.Log, engine: o.Engine, hosts: o.Hosts,
		placement: o.Placement, images: o.Images, networks: o.Networks, proxy: o.Proxy, imageProxy: o.ImageProxy, volumeProxy: o.VolumeProxy, volumes: o.Volumes,
		consoles: o.Consoles, configDrive: o.ConfigDrive, vendor: o.VendorData,
		zone: o.Zone, cpuRatio: o.CPURatio, reservedMB: o.ReservedMB, confirmAfter: o.ConfirmAfter, shelvedFor: o.ShelvedFor, reclaimAfter: o.ReclaimAfter, weighers: o.Weighers, rules: o.Rules,
		state: map[string]hostState{}, frozen: frozen{held: map[string]io.ReadWriteCloser{}},
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
	if s.vendor == nil {
		s.vendor = &vendordata.Source{}
	}
	if s.zone == "" {
		s.zone = "nova"
	}
	if s.cpuRatio == 0 {
		s.cpuRatio = 4
	}
	switch s.reservedMB {
	case 0:
		s.reservedMB = 512
	case -1:
		s.reservedMB = 0
	}
	work.Register(s.engine, s.createPlan())
	work.Register(s.engine, s.deletePlan())
	work.Register(s.engine, s.powerPlan())
	work.Register(s.engine, s.rebuildPlan())
	work.Register(s.engine, s.snapshotPlan())
	work.Register(s.engine, s.resizePlan())
	work.Register(s.engine, s.confirmPlan())
	work.Register(s.engine, s.revertPlan())
	work.Register(s.engine, s.livePlan())
	work.Register(s.engine, s.attachVolumePlan())
	work.Register(s.engine, s.extendedPlan())
	work.Register(s.engine, s.detachVolumePlan())
	work.Register(s.engine, s.swapVolumePlan())
	work.Register(s.engine, s.attachPortPlan())
	work.Register(s.engine, s.detachPortPlan())
	work.Register(s.engine, s.crashPlan())
	work.Register(s.engine, s.shelvePlan())
	work.Register(s.engine, s.offloadPlan())
	work.Register(s.engine, s.unshelvePlan())
	work.Register(s.engine, s.evacuatePlan())
	work.Register(s.engine, s.reimagePlan())
	work.Register(s.engine, s.cachePlan())
	nudge := o.Nudge
	if nudge == nil {
		nudge = func(string) {}
	}
	s.db.Listen(hostsChannel, func(string) { nudge(followLoop) })
	s.hosts.OnHost(s.hostChanged)
	s.hosts.OnObserved(nodeapi.KindMachine, s.machineObserved)
	s.hosts.OnQuery(nodeapi.QueryMetadata, s.AnswerMetadata)
	s.hosts.OnStream(nodeapi.StreamRoot, s.serveDisk)
	s.hosts.OnStream(nodeapi.StreamMove, s.serveMove)
	err := s.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load hosts: %w", err)
	}
	err = s.placement.WatchHosts(ctx, s.providerChanged, s.providerRemoved)
	if err != nil {
		return nil, fmt.Errorf("watch placement: %w", err)
	}
	return s, nil
}

// wait returns nil when the server's host has answered the newest document of it
// and all is as desired. A refusal is a classified error.
func (s *Service) wait(ctx context.Context, server Server, into *nodeapi.MachineObserved) error {
	return s.waitOn(ctx, server.Host, server.ID, into)
}

// waitOn is wait for any host.
func (s *Service) waitOn(ctx context.Context, host, id string, into *nodeapi.MachineObserved) error {
	answered, err := s.hosts.Answer(ctx, host, nodeapi.KindMachine, id, into)
	if err != nil {
		return err
	}
	return hosts.Waiting(host, s.hostUp(host), answered, into.Problem, into.Refused)
}

// waitAnswer returns nil when the server's host has answered the newest document of it,
// be it with a problem: what is undone waits for no guest.
func (s *Service) waitAnswer(ctx context.Context, id string) error {
	server, err := s.Server(ctx, "", id)
	if err != nil {
		return err
	}
	answered, err := s.hosts.Answer(ctx, server.Host, nodeapi.KindMachine, id, nil)
	if err != nil {
		return err
	}
	return hosts.Waiting(server.Host, s.hostUp(server.Host), answered, "", false)
}

// seen is what the host has answered about the server's newest document, as soon
// as all is as desired.
func (s *Service) seen(ctx context.Context, id string) (Server, nodeapi.MachineObserved, error) {
	var seen nodeapi.MachineObserved
	server, err := s.Server(ctx, "", id)
	if err == nil {
		err = s.wait(ctx, server, &seen)
	}
	return server, seen, err
}

// waitPower returns nil when all is as desired and the server's guest runs, or doesn't.
func (s *Service) waitPower(ctx context.Context, id string, running bool) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		_, err := s.guest(ctx, tx, id, running)
		return err
	})
}

// portPatience is how long a running guest waits for its network. A guest
// that boots before its network is better than none.
const portPatience = time.Minute

// waitUp is waitPower, and waits for the network to report the server's ports up.
func (s *Service) waitUp(ctx context.Context, id string, running bool) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		server, err := s.guest(ctx, tx, id, running)
		if err != nil || s.clock.Now().Sub(server.UpdatedAt.Time()) > portPatience {
			return err
		}
		port, err := s.networks.PortDown(ctx, tx, id)
		if err == nil && port != "" {
			err = work.NotYet("waiting for the network to report port %s up on host %s", port, server.Host)
		}
		return err
	})
}

// awaited is what there is to know of a server whose guest is waited for: every boot
// reads it a few times.
type awaited struct {
	Host      string
	UpdatedAt db.Time
}

// guest tells where the guest is that runs, or doesn't, as desired.
func (s *Service) guest(ctx context.Context, tx *db.Tx, id string, running bool) (awaited, error) {
	var server awaited
	err := tx.Get(ctx, &server, "SELECT host, updated_at FROM servers WHERE id = ? AND vm_state <> ?", id, Deleted)
	if errors.Is(err, sql.ErrNoRows) {
		return server, errs.NotFoundf("Instance %s could not be found.", id)
	}
	if err != nil {
		return server, fmt.Errorf("read where server %s is: %w", id, err)
	}
	var seen nodeapi.MachineObserved
	answered, err := s.hosts.Observed(ctx, tx, server.Host, nodeapi.KindMachine, id, &seen)
	if err == nil {
		err = hosts.Waiting(server.Host, s.hostUp(server.Host), answered, seen.Problem, seen.Refused)
	}
	if err == nil && seen.Running != running {
		err = work.NotYet("waiting for host %s to %s the guest", server.Host, map[bool]string{true: "start", false: "stop"}[running])
	}
	return server, err
}

// failure is the sentence and code that users see for the reason of an undo.
func failure(cause error) Fault {
	e, classified := errs.As(cause)
	switch {
	case classified:
		return Fault{Code: int(e.Kind), Message: e.Message}
	case errors.Is(cause, work.ErrDeadline):
		return Fault{Code: 500, Message: "Timed out: " + work.ForUsers(cause), Details: "Timed out: " + cause.Error()}
	}
	return Fault{Code: 500, Message: cause.Error()}
}

// Plans take at most this long before they are undone. Deleting has no
// deadline in this sense: it is never undone.
const (
	createDeadline = 10 * time.Minute
	changeDeadline = 5 * time.Minute
	letGoDeadline  = 3 * time.Minute // of a guest that is asked for a device; Nova asks eight times, for 20 seconds each
)
