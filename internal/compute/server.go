package compute

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// VMState is what a server is, apart from what is being done to it.
type VMState string

// The states of a server.
const (
	Building VMState = "building"
	Active   VMState = "active"
	Stopped  VMState = "stopped"
	Errored  VMState = "error"
	Deleted  VMState = "deleted"
)

// Task is what is being done to a server, "" for nothing.
type Task string

// The tasks. While one is set, most other actions are refused.
const (
	Scheduling   Task = "scheduling"
	Volumes      Task = "block_device_mapping"
	Networking   Task = "networking"
	Spawning     Task = "spawning"
	PoweringOff  Task = "powering-off"
	PoweringOn   Task = "powering-on"
	Rebooting    Task = "rebooting"
	HardReboot   Task = "rebooting_hard"
	DeletingTask Task = "deleting"
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
	Locked          bool
	LockedBy        string
	LockedReason    *string
	ServerGroup     string
	SchedulerHints  db.JSON[map[string]any]
	Running         bool
	SoftReboots     int64
	HardReboots     int64
	CreatedAt       db.Time
	UpdatedAt       db.Time
	LaunchedAt      db.Time
	TerminatedAt    db.Time
	DeletedAt       db.Time
}

// Status is the word that users see for state and task.
func (s Server) Status() string {
	switch s.VMState {
	case Building:
		return "BUILD"
	case Active:
		switch s.TaskState {
		case Rebooting:
			return "REBOOT"
		case HardReboot:
			return "HARD_REBOOT"
		}
		return "ACTIVE"
	case Stopped:
		if s.TaskState == HardReboot {
			return "HARD_REBOOT"
		}
		return "SHUTOFF"
	case Deleted:
		return "DELETED"
	}
	return "ERROR"
}

// Progress is a percentage, in the states that have one.
func (s Server) Progress() (percent int, has bool) {
	switch s.Status() {
	case "BUILD":
		return 0, true
	case "ACTIVE", "REBOOT", "HARD_REBOOT":
		if s.Status() == "ACTIVE" && s.TaskState == "" {
			return 0, true
		}
		return 0, true
	}
	return 0, false
}

// InstanceName is what the hypervisor calls the server.
func (s Server) InstanceName() string {
	return "instance-" + strings.ReplaceAll(s.ID, "-", "")[:8]
}

// HostID names the host without telling which it is: servers of one project on
// one host have the same.
func (s Server) HostID() string {
	if s.Host == "" {
		return ""
	}
	sum := sha256.Sum224([]byte(s.Project + s.Host))
	return hex.EncodeToString(sum[:])
}

// getServer reads a server that was not deleted. With a project, a server of
// another one is not found.
func getServer(ctx context.Context, tx *db.Tx, project, id string) (Server, error) {
	server, err := anyServer(ctx, tx, project, id)
	if err == nil && server.VMState == Deleted {
		return Server{}, errs.NotFoundf("Instance %s could not be found.", id)
	}
	return server, err
}

// anyServer also finds deleted ones.
func anyServer(ctx context.Context, tx *db.Tx, project, id string) (Server, error) {
	var server Server
	err := tx.Get(ctx, &server, "SELECT * FROM servers WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && project != "" && server.Project != project) {
		return Server{}, errs.NotFoundf("Instance %s could not be found.", id)
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

// save writes the named columns, provided nobody changed the server since it
// was read.
func (s *Service) save(ctx context.Context, tx *db.Tx, server *Server, columns ...string) error {
	read := server.Generation
	server.Generation++
	server.UpdatedAt = db.At(s.clock.Now())
	result, err := tx.NewUpdate().Model(server).Column(append(columns, "generation", "updated_at")...).
		Where("id = ? AND generation = ?", server.ID, read).Exec(ctx)
	if err != nil {
		return fmt.Errorf("write server %s: %w", server.ID, err)
	}
	n, err := result.RowsAffected()
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
