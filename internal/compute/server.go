package compute

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// VMState is what a server is, apart from what is being done to it.
type VMState string

// The states of a server.
const (
	Building    VMState = "building"
	Active      VMState = "active"
	PausedState VMState = "paused"
	Suspended   VMState = "suspended"
	Stopped     VMState = "stopped"
	Resized     VMState = "resized"
	Rescued     VMState = "rescued"
	Shelved     VMState = "shelved"           // stopped, with an image of its disk
	Offloaded   VMState = "shelved_offloaded" // on no host
	Errored     VMState = "error"
	SoftDeleted VMState = "soft-delete" // off, and can be restored for a while
	Deleted     VMState = "deleted"
)

// Task is what is being done to a server, "" for nothing.
type Task string

// The tasks. While one is set, most other actions are refused.
const (
	Scheduling        Task = "scheduling"
	Volumes           Task = "block_device_mapping"
	Networking        Task = "networking"
	Spawning          Task = "spawning"
	PoweringOff       Task = "powering-off"
	PoweringOn        Task = "powering-on"
	Rebooting         Task = "rebooting"
	HardReboot        Task = "rebooting_hard"
	DeletingTask      Task = "deleting"
	SoftDeleting      Task = "soft-deleting"
	Restoring         Task = "restoring"
	Pausing           Task = "pausing"
	Unpausing         Task = "unpausing"
	Suspending        Task = "suspending"
	Resuming          Task = "resuming"
	Rebuilding        Task = "rebuilding"
	RebuildSpawning   Task = "rebuild_spawning"
	Snapshotting      Task = "image_snapshot"
	SnapshotUploading Task = "image_uploading"
	BackingUp         Task = "image_backup"
	ResizePrep        Task = "resize_prep"
	ResizeMigrating   Task = "resize_migrating"
	ResizeFinish      Task = "resize_finish"
	ResizeConfirming  Task = "resize_confirming"
	ResizeReverting   Task = "resize_reverting"
	Rescuing          Task = "rescuing"
	Unrescuing        Task = "unrescuing"
	Shelving          Task = "shelving"
	ShelvingUploading Task = "shelving_image_uploading"
	Offloading        Task = "shelving_offloading"
	Unshelving        Task = "unshelving"
	RebuildVolumes    Task = "rebuild_block_device_mapping"
	MigratingTask     Task = "migrating"
)

// Power is the power state as the host saw it last.
type Power int

// The power states, numbered as users see them.
const (
	NoState  Power = 0
	Running  Power = 1
	Paused   Power = 3
	Shutdown Power = 4
	Crashed  Power = 6
)

// Fault is why a server is in ERROR.
type Fault struct {
	Code    int     `json:"code"`
	Message string  `json:"message"`
	Details string  `json:"details,omitempty"` // for operators, where they are more than the message
	Created db.Time `json:"created"`
}

// Server is a virtual machine as its owner sees it.
type Server struct {
	bun.BaseModel `bun:"table:servers,alias:servers"`

	ID              string `bun:",pk"`
	Generation      int64
	Project         string
	UserID          string
	Name            string
	Description     *string
	Hostname        string
	VMState         VMState
	TaskState       Task
	PowerState      Power
	Fault           db.JSON[*Fault]
	Host            string
	Zone            string // as asked for
	FlavorID        string
	Flavor          flavorColumn // as it was when the server was made
	Image           string
	ImageProperties db.JSON[map[string]string]
	KeyName         *string
	ConfigDrive     bool
	Metadata        db.JSON[map[string]string]
	AccessIP4       string `bun:"access_ip4"`
	AccessIP6       string `bun:"access_ip6"`
	Reservation     string
	LaunchIndex     int
	RootDevice      string
	AutoDisk        bool // the guest is asked to grow its root to the whole disk
	Locked          bool
	LockedBy        string
	LockedReason    *string
	ServerGroup     string
	SchedulerHints  db.JSON[map[string]any]
	Running         bool
	Rest            Rest
	Rebuilds        int64
	OtherFlavor     db.JSON[*Flavor] // whose room a resize holds besides, until it is confirmed
	Rescue          db.JSON[*Rescue] // what it boots from instead, while it is rescued
	Shelf           db.JSON[*Shelf]  // while it is shelved
	LocalDisks      db.JSON[[]LocalDisk]
	Buses           db.JSON[Buses]
	Certificates    db.JSON[[]string] // that may have signed its image; kept as they were said
	DiskImage       string            // what its root disk was made of, if not of Image
	CrashDumps      int64
	SoftReboots     int64
	HardReboots     int64
	CreatedAt       db.Time
	UpdatedAt       db.Time
	LaunchedAt      db.Time
	TerminatedAt    db.Time
	SoftDeletedAt   db.Time // since when it does not count as used by its project
	DeletedAt       db.Time
}

// DiskConfig is AutoDisk in the API's words.
func (s *Server) DiskConfig() string {
	if s.AutoDisk {
		return "AUTO"
	}
	return "MANUAL"
}

// Rest is what a server that is on rests in.
type Rest string

// The rests: Awake is none.
const (
	Awake    Rest = ""
	Stands   Rest = "paused"    // its processors stand still
	Suspends Rest = "suspended" // its memory is kept, and it does not run
)

// Rescue is the disk that a rescued server boots from.
type Rescue struct {
	Image  string `json:"image"`
	Device string `json:"device,omitempty"` // disk or cdrom; "": it takes the place of the first disk
	Bus    string `json:"bus,omitempty"`    // "" is virtio

	AdminPass string `json:"admin_pass,omitempty"` // for its config drive meanwhile
}

// Shelf is what is kept of a shelved server.
type Shelf struct {
	Image string  `json:"image,omitempty"` // of its root disk; "" when that is a volume
	Since db.Time `json:"since"`
}

// statusOf is the word that users see for a state, unless the task has one of its
// own.
var statusOf = map[VMState]struct {
	word  string
	tasks map[Task]string
}{
	Building: {"BUILD", nil},
	Active: {"ACTIVE", map[Task]string{
		Rebooting: "REBOOT", HardReboot: "HARD_REBOOT", Rebuilding: "REBUILD", RebuildSpawning: "REBUILD", RebuildVolumes: "REBUILD",
		ResizePrep: "RESIZE", ResizeMigrating: "RESIZE", ResizeFinish: "RESIZE", MigratingTask: "MIGRATING",
	}},
	PausedState: {"PAUSED", map[Task]string{HardReboot: "HARD_REBOOT", MigratingTask: "MIGRATING"}},
	Suspended:   {"SUSPENDED", map[Task]string{HardReboot: "HARD_REBOOT"}},
	Stopped: {"SHUTOFF", map[Task]string{
		HardReboot: "HARD_REBOOT", Rebuilding: "REBUILD", RebuildSpawning: "REBUILD", RebuildVolumes: "REBUILD",
		ResizePrep: "RESIZE", ResizeMigrating: "RESIZE", ResizeFinish: "RESIZE",
	}},
	Resized:     {"VERIFY_RESIZE", map[Task]string{ResizeReverting: "REVERT_RESIZE"}},
	Rescued:     {"RESCUE", nil},
	Shelved:     {"SHELVED", nil},
	Offloaded:   {"SHELVED_OFFLOADED", nil},
	Errored:     {"ERROR", map[Task]string{Rebuilding: "REBUILD", RebuildSpawning: "REBUILD", RebuildVolumes: "REBUILD"}},
	SoftDeleted: {"SOFT_DELETED", nil},
	Deleted:     {"DELETED", nil},
}

// Status is the word that users see for state and task.
func (s *Server) Status() string {
	is := statusOf[s.VMState]
	word, own := is.tasks[s.TaskState]
	if own {
		return word
	}
	return is.word
}

// Progress is a percentage, in the states that have one.
func (s *Server) Progress() (percent int, has bool) {
	switch s.Status() {
	case "BUILD", "ACTIVE", "REBOOT", "HARD_REBOOT", "REBUILD", "RESIZE", "VERIFY_RESIZE":
		return 0, true
	}
	return 0, false
}

// holds is what of processors and memory the server's project has used up for
// it: the larger of its flavors while it has two.
func (s *Server) holds() (vcpus, ram int64) {
	f := s.Flavor.V
	vcpus, ram = f.VCPUs, f.RAM
	if other := s.OtherFlavor.V; other != nil {
		vcpus, ram = max(vcpus, other.VCPUs), max(ram, other.RAM)
	}
	return vcpus, ram
}

// InstanceName is what the hypervisor calls the server.
func (s *Server) InstanceName() string {
	return "instance-" + s.ID[:8]
}

// HostID names the host without telling which it is: servers of one project on
// one host have the same.
func (s *Server) HostID() string {
	if s.Host == "" {
		return ""
	}
	var room [128]byte
	sum := sha256.Sum224(append(append(room[:0], s.Project...), s.Host...))
	return string(hex.AppendEncode(room[:0], sum[:]))
}

func noServer(id string) error { return errs.NotFoundf("Instance %s could not be found.", id) }

// getServer reads a server that was not deleted. With a project, a server of
// another one is not found.
func getServer(ctx context.Context, tx *db.Tx, project, id string) (Server, error) {
	server, err := anyServer(ctx, tx, project, id)
	if err == nil && server.VMState == Deleted {
		return Server{}, noServer(id)
	}
	return server, err
}

// anyServer also finds deleted ones.
func anyServer(ctx context.Context, tx *db.Tx, project, id string) (Server, error) {
	var server Server
	err := tx.Get(ctx, &server, "SELECT * FROM servers WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && project != "" && server.Project != project) {
		return Server{}, noServer(id)
	}
	if err != nil {
		return Server{}, fmt.Errorf("read server %s: %w", id, err)
	}
	return server, nil
}

// Server returns a server of the project ("" for any).
func (s *Service) Server(ctx context.Context, project, id string) (Server, error) {
	var server Server
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		server, err = getServer(ctx, tx, project, id)
		return err
	})
	return server, err
}

// overtakes are plans that may be asked for while another one is under way. Each
// has a task, which it ends.
var overtakes = []string{"server.delete", "server.evacuate", "server.power"}

// save writes the named columns, provided nobody changed the server since it
// was read. A plan that ends leaves the task of one that waits behind it: else
// others would be let in between. When it is another guest from then on, by its
// host or its disk, who was given the address of a console of the former does not
// get at this one.
func (s *Service) save(ctx context.Context, tx *db.Tx, server *Server, columns ...string) error {
	if server.TaskState == "" && slices.Contains(columns, "task_state") {
		waits, err := work.Waits(ctx, tx, server.ID, overtakes...)
		if err != nil {
			return err
		}
		if waits {
			columns = slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return c == "task_state" })
		}
	}
	if server.LaunchedAt != 0 && s.consoles != nil && slices.ContainsFunc(columns, func(c string) bool { return c == "host" || c == "rebuilds" }) {
		err := s.consoles.Revoke(ctx, tx, server.ID)
		if err != nil {
			return err
		}
	}
	read := server.Generation
	server.Generation++
	server.UpdatedAt = db.At(s.clock.Now())
	n, err := tx.UpdateAt(ctx, server, read, append(columns, "generation", "updated_at")...)
	if err != nil {
		return fmt.Errorf("write server %s: %w", server.ID, err)
	}
	if n == 0 {
		return errs.Conflictf("Instance %s changed while the request was handled. Please try again.", server.ID)
	}
	return nil
}

// change reads a server inside the transaction, lets the function change it,
// and writes the columns.
func (s *Service) change(ctx context.Context, tx *db.Tx, id string, do func(*Server) error, columns ...string) (Server, error) {
	server, err := anyServer(ctx, tx, "", id)
	if err != nil {
		return Server{}, err
	}
	err = do(&server)
	if err != nil {
		return Server{}, err
	}
	return server, s.save(ctx, tx, &server, columns...)
}
