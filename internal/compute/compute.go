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
