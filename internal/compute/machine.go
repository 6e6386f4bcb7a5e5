package compute

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/boolean"
	"nacre/internal/compute/vendordata"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/vif"
	"nacre/internal/work"
)

// How far an attachment of a port or volume is.
const (
	attaching = "attaching"
	attached  = "attached"
	detaching = "detaching"
	swapping  = "swapping" // another volume is about to take the place of this one
)

// Card is a port that a server has.
type Card struct {
	bun.BaseModel `bun:"table:server_ports"`

	Server string `bun:",pk"`
	Port   string `bun:",pk"`
	Seq    int
	Ours   bool
	Tag    *string
	State  string
}

// Attachment is a volume that a server has.
type Attachment struct {
	bun.BaseModel `bun:"table:server_volumes"`

	ID                  string `bun:"attachment,pk"`
	Server              string
	Volume              string
	Device              string
	BootIndex           *int
	DeleteOnTermination bool
	Tag                 *string
	State               string
	Epoch               int64
	Grown               int64 // GiB that the volume has become; 0: as it was attached
	Limits              db.JSON[map[string]int64]
	Swap                db.JSON[*VolumeSwap]
	Bus                 string // "" is virtio
	CDROM               bool   `bun:"cdrom"`
	CreatedAt           db.Time
}

func cardsOf(ctx context.Context, tx *db.Tx, server string) ([]Card, error) {
	var list []Card
	err := tx.All(ctx, &list, "SELECT * FROM server_ports WHERE server = ? ORDER BY seq", server)
	if err != nil {
		return nil, fmt.Errorf("read ports of server %s: %w", server, err)
	}
	return list, nil
}

func attachmentsOf(ctx context.Context, tx *db.Tx, server string) ([]Attachment, error) {
	var list []Attachment
	err := tx.All(ctx, &list, `
		SELECT * FROM server_volumes WHERE server = ?
		ORDER BY CASE WHEN boot_index IS NULL OR boot_index < 0 THEN 1000 ELSE boot_index END, created_at, device`, server)
	if err != nil {
		return nil, fmt.Errorf("read volumes of server %s: %w", server, err)
	}
	return list, nil
}

// want makes the server's document say what its rows say.
func (s *Service) want(ctx context.Context, tx *db.Tx, server Server) error {
	machine, err := s.machine(ctx, tx, server)
	if err == nil {
		err = s.limitPorts(ctx, tx, server)
	}
	if err != nil {
		return err
	}
	_, err = s.hosts.Want(ctx, tx, server.Host, nodeapi.KindMachine, server.ID, machine)
	return err
}

// machine derives the document from the rows.
func (s *Service) machine(ctx context.Context, tx *db.Tx, server Server) (nodeapi.Machine, error) {
	flavor := server.Flavor.V
	open, err := openMigrations(ctx, tx, server.ID)
	if err != nil {
		return nodeapi.Machine{}, err
	}
	m := nodeapi.Machine{
		ID: server.ID, Name: server.Name, Project: server.Project,
		VCPUs: int(flavor.VCPUs), MemoryMB: int(flavor.RAM), Running: server.Running && server.Rest != Suspends,
		Paused: server.Running && server.Rest == Stands, Suspended: server.Running && server.Rest == Suspends,
		SoftReboots: server.SoftReboots, HardReboots: server.HardReboots, CrashDumps: server.CrashDumps,
		Agent:   boolean.Is(server.ImageProperties.V["hw_qemu_guest_agent"]),
		Quiesce: boolean.Is(server.ImageProperties.V["os_require_quiesce"]),

		ShutdownSeconds: server.shutdownSeconds(),
	}
	m.Topology, m.Sockets, err = topologyOf(ctx, tx, server)
	if err != nil {
		return m, err
	}
	if server.Image != "" {
		m.Root = &nodeapi.Root{Image: server.Image, SizeGB: int(flavor.Disk), Rebuilds: server.Rebuilds, Bus: server.Buses.V.root(), CDROM: server.Buses.V.cd()}
		if m.Root.CDROM {
			m.Root.SizeGB = 0
		}
		if server.DiskImage != "" {
			m.Root.Image = server.DiskImage
		}
	}
	m.Blanks, m.Hardware = append(server.blanks(), server.variables()...), server.hardware()
	m.Quotas = server.quotas()
	for _, move := range open {
		switch {
		case move.Kind == LiveMigration && move.Source == server.Host && move.Status == RunningMove:
			m.Outgoing = &nodeapi.Outgoing{Move: move.ID, Hasty: move.Urge == urgeHasty, Back: move.Urge == urgeBack || move.Urge == urgeGiven}
		case move.Kind != LiveMigration && move.Kind != Evacuation && move.Dest == server.Host && move.Source != server.Host:
			comesFrom(&m, move.Source)
		}
	}
	if r := server.Rescue.V; r != nil {
		m.Rescue = &nodeapi.Rescue{Image: r.Image, Device: r.Device, Bus: r.Bus}
	}
	volumes, err := attachmentsOf(ctx, tx, server.ID)
	if err != nil {
		return m, err
	}
	for _, a := range volumes {
		// One without an epoch is reserved and not yet connected.
		if a.State != detaching && a.Epoch > 0 {
			m.Disks = append(m.Disks, nodeapi.Disk{
				Volume: a.Volume, Device: a.Device, Attachment: a.ID, Epoch: a.Epoch, SizeGB: int(a.Grown), Limits: a.Limits.V, Swap: a.Swap.V.document(), Bus: a.Bus, CDROM: a.CDROM,
			})
		}
	}
	cards, err := cardsOf(ctx, tx, server.ID)
	if err != nil {
		return m, err
	}
	ports := map[string]vif.Port{}
	if len(cards) > 0 {
		all, err := s.networks.NetworkInfo(ctx, tx, server.ID)
		if err != nil {
			return m, err
		}
		for _, p := range all {
			ports[p.ID] = p
		}
	}
	var there []vif.Port
	for _, card := range cards {
		p, exists := ports[card.Port]
		if !exists || card.State == detaching {
			continue
		}
		there = append(there, p)
		nic := nodeapi.NIC{Port: p.ID, Network: p.Network, MAC: p.MAC, MTU: p.MTU}
		if p.Metadata != nil {
			nic.Metadata = &nodeapi.Metadata{Port: p.Metadata.Port, MAC: p.Metadata.MAC, CIDRs: p.Metadata.CIDRs}
		}
		m.NICs = append(m.NICs, nic)
	}
	if server.ConfigDrive {
		secrets, err := secretsOf(ctx, tx, server.ID)
		if err != nil {
			return m, err
		}
		files, err := s.instanceData(server, secrets, there, cards, volumes, m.Topology).files()
		if err != nil {
			return m, err
		}
		m.ConfigDrive, err = s.configDrive(files)
		if err != nil {
			return m, fmt.Errorf("make config drive of server %s: %w", server.ID, err)
		}
	}
	return m, nil
}

// comesFrom has the machine's disks be those that it has on another host. Nobody
// reads the swap disk of a guest that does not run.
func comesFrom(m *nodeapi.Machine, host string) {
	if m.Root != nil {
		m.Root.From = host
	}
	for i := range m.Blanks {
		if m.Blanks[i].Name != swapName {
			m.Blanks[i].From = host
		}
	}
}

// secrets is what a server keeps apart from its row.
type secrets struct {
	bun.BaseModel `bun:"table:server_secrets"`

	Server    string `bun:",pk"`
	UserData  string // base64
	Files     db.JSON[[]File]
	PublicKey string
	KeyType   string
	Seed      string // base64; the guest's random seed grows from it
	Password  string
	AdminPass string // for its config drive; "" if it has none

	BootRoles  string                      // of who made the server, with commas
	VendorData db.JSON[vendordata.Answers] // for its config drive; nil: nobody was asked
}

func secretsOf(ctx context.Context, tx *db.Tx, server string) (secrets, error) {
	var row secrets
	err := tx.Get(ctx, &row, "SELECT * FROM server_secrets WHERE server = ?", server)
	if err != nil {
		return row, fmt.Errorf("read secrets of server %s: %w", server, err)
	}
	return row, nil
}

// wantAgain wants the server's machine as the database has it, if the server is anywhere.
func (s *Service) wantAgain(ctx context.Context, tx *db.Tx, id string) error {
	server, err := getServer(ctx, tx, "", id)
	if errs.Is(err, errs.NotFound) || err == nil && server.Host == "" {
		return nil
	}
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

// without marks a part of the machine as leaving, wants the machine without it,
// and waits for that. A host that is down is not waited for: it forgets a card as
// soon as it is back, and a volume's next epoch cuts the guest off. Nor is a
// guest that does not let go and is to be deleted.
func (s *Service) without(ctx context.Context, id string, mark func(*db.Tx) error, wait func() error) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, "", id) // held before what is marked, as everywhere
		if err != nil {
			return err
		}
		err = mark(tx)
		if err != nil || server.Host == "" {
			return err
		}
		return s.want(ctx, tx, server)
	})
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = wait()
	server, readErr := s.Server(ctx, "", id)
	if err == nil || readErr != nil {
		return err
	}
	if server.TaskState == DeletingTask || (errors.Is(err, work.ErrNotYet) && !s.hostUp(server.Host)) {
		return nil
	}
	return err
}
