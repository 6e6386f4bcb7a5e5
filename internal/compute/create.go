package compute

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
	"nacre/internal/work"
)

// NewServer is what a user asks for.
type NewServer struct {
	Caller  auth.Caller
	Request string // request id

	Name         string
	Description  *string
	Hostname     string // "" derives it from the name
	Flavor       string // id
	Image        string // "" boots from a volume
	KeyName      *string
	UserData     string // base64
	AdminPass    string // for its config drive
	Files        []File
	Certificates []string // that may have signed the image
	ConfigDrive  bool
	ZeroDisk     bool // the flavor may leave it to the image how large the root disk is
	Metadata     map[string]string
	AccessIP4    string
	AccessIP6    string
	AutoDisk     *bool // nil: as the image says
	Zone         string
	Host         string // the only host to take
	Anyway       bool   // it is to be taken whatever its rules say
	Tags         []string
	Min, Max     int
	Groups       []string // security groups by name or id; nil is default
	NoNetwork    bool
	AutoNetwork  bool      // make a network when there is none
	Cards        []NewCard // nil picks the only network there is
	Disks        []BlockDevice
	Shared       bool // a disk may be a volume that several servers may have
	ServerGroup  string
	Hints        map[string]any
}

// NewCard asks for a network card: on a network, or with an existing port.
type NewCard struct {
	Network string
	Port    string
	FixedIP string
	Tag     *string
	Outside bool // the network may be an external one that is not shared
}

// BlockDevice is one disk of a new server.
type BlockDevice struct {
	Absent              bool // there is none: it is only spoken of
	BootIndex           *int
	Source              string // image, volume, blank
	Destination         string // local, volume
	ID                  string // of the source
	SizeGB              int64
	VolumeType          string
	Device              string
	DeleteOnTermination bool
	Format              string // of a blank one that is local: swap, or a file system
	Tag                 *string
	Bus                 string // "" is as the image says
	Type                string // disk, cdrom
}

// CreateServers accepts servers: they are visible, counted and on their way to
// hosts when it returns. It makes at least Min and, as far as the quota
// allows, Max of them, all or none.
func (s *Service) CreateServers(ctx context.Context, in NewServer) ([]Server, error) {
	if in.Host != "" && !in.Anyway && !s.hostKnown(in.Host) {
		return nil, errs.BadRequestf("Compute host %s could not be found.", in.Host)
	}
	if in.Anyway && s.ZoneOf(in.Host) != in.Zone {
		in.Zone = "" // it goes where the host is
	}
	base, plan, err := s.prepare(ctx, in)
	if err != nil {
		return nil, err
	}
	var servers []Server
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		servers = nil
		flavor := base.Flavor.V
		n, err := s.reserve(ctx, tx, in, flavor)
		if err != nil {
			return err
		}
		if in.ServerGroup != "" {
			err = s.joinGroup(ctx, tx, in, n)
			if err != nil {
				return err
			}
		}
		for i := range n {
			server := base
			server.ID = s.newID()
			server.LaunchIndex = i
			if in.Max > 1 {
				server.Name = fmt.Sprintf("%s-%d", in.Name, i+1)
				server.Hostname = hostname(server.Name, server.ID)
			}
			if server.Hostname == "" {
				server.Hostname = hostname(server.Name, server.ID)
			}
			err = s.insertServer(ctx, tx, server, in)
			if err != nil {
				return err
			}
			err = s.startCreate(ctx, tx, server, plan, in)
			if err != nil {
				return err
			}
			servers = append(servers, server)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return servers, nil
}

// mostAtOnce bounds the servers of one request: they are made in one
// transaction, for which everybody else's waits.
const mostAtOnce = 1000

// reserve takes the quota for as many servers as there is room for. What is too
// much says how many would fit, so that a large number costs no more than a
// small one.
func (s *Service) reserve(ctx context.Context, tx *db.Tx, in NewServer, f Flavor) (int, error) {
	if in.Min > mostAtOnce {
		return 0, errs.BadRequestf("Invalid min_count: at most %d servers can be made at once.", mostAtOnce)
	}
	n := min(in.Max, mostAtOnce)
	for {
		err := take(ctx, tx, in.Caller.Project, in.Caller.User,
			quota.Servers(n), quota.VCPUs(n*int(f.VCPUs)), quota.Memory(n*int(f.RAM)))
		var over *quota.Exceeded
		if err == nil || !errors.As(err, &over) {
			return n, err
		}
		if n == in.Min {
			return 0, err
		}
		fit := (over.Limit - over.Used) / (over.Requested / int64(n))
		n = max(min(n-1, int(fit)), in.Min)
	}
}

func (s *Service) insertServer(ctx context.Context, tx *db.Tx, server Server, in NewServer) error {
	if server.ImageProperties.V == nil {
		server.ImageProperties.V = map[string]string{}
	}
	if server.SchedulerHints.V == nil {
		server.SchedulerHints.V = map[string]any{}
	}
	if server.LocalDisks.V == nil {
		server.LocalDisks.V = []LocalDisk{}
	}
	err := tx.Insert(ctx, &server)
	if err != nil {
		return fmt.Errorf("insert server: %w", err)
	}
	return insertTags(ctx, tx, server.ID, in.Tags)
}

// startCreate writes the cards and disks of a new server and starts its plan.
func (s *Service) startCreate(ctx context.Context, tx *db.Tx, server Server, plan createPlanned, in NewServer) error {
	secret := plan.secret
	secret.Server, secret.Seed, secret.BootRoles = server.ID, seed(), strings.Join(in.Caller.Roles, ",")
	err := tx.Insert(ctx, &secret)
	if err != nil {
		return fmt.Errorf("insert secrets: %w", err)
	}
	state := createState{
		Server: server.ID, Host: in.Host, Anyway: in.Anyway, Groups: plan.groups,
		Caller: askerOf(in.Caller),
	}
	for i, card := range plan.cards {
		row := Card{Server: server.ID, Port: card.Port, Seq: i, Ours: card.Port == "", Tag: card.Tag, State: attaching}
		if row.Ours {
			row.Port = s.newID()
		}
		state.Ports = append(state.Ports, plannedPort{ID: row.Port, Network: card.Network, FixedIP: card.FixedIP, Ours: row.Ours})
		err = tx.Insert(ctx, &row)
		if err != nil {
			return fmt.Errorf("insert port: %w", err)
		}
	}
	devices, err := deviceNames(plan.disks, server)
	if err != nil {
		return err
	}
	for i, d := range plan.disks {
		row := Attachment{
			ID: s.newID(), Server: server.ID, Volume: d.ID, Device: devices[i], BootIndex: d.BootIndex,
			DeleteOnTermination: d.DeleteOnTermination, Tag: d.Tag, State: attaching, CreatedAt: server.CreatedAt,
			Bus: d.Bus, CDROM: d.Type == "cdrom",
		}
		if d.Source != "volume" {
			row.Volume = s.newID()
			v := NewVolume{ID: row.Volume, SizeGB: d.SizeGB, Type: d.VolumeType, Zone: ""}
			switch d.Source {
			case "image":
				v.Image = d.ID
			case "snapshot":
				v.Snapshot = d.ID
			}
			state.NewVolumes = append(state.NewVolumes, plannedVolume{Attachment: row.ID, NewVolume: v})
		} else {
			err = s.volumes.Reserve(ctx, tx, row.ID, row.Volume, server.ID)
			if err != nil {
				return err
			}
		}
		err = tx.Insert(ctx, &row)
		if err != nil {
			return fmt.Errorf("insert volume: %w", err)
		}
	}
	_, err = work.Start(ctx, tx, s.createPlan(), server.ID, state,
		work.Project(server.Project), work.By(work.Caller{User: in.Caller.User, Project: in.Caller.Project, Request: in.Request}))
	return err
}

func seed() string {
	var b [32]byte
	_, err := rand.Read(b[:])
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return base64.StdEncoding.EncodeToString(b[:])
}

// hostname makes a host name of a display name, as guests take it.
func hostname(name, id string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r == ' ' || r == '_':
			b.WriteByte('-')
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '.':
			b.WriteRune(r)
		}
	}
	text := strings.Trim(b.String(), ".-")
	text = strings.ReplaceAll(text, ".", "-")
	if len(text) > 63 {
		text = strings.TrimRight(text[:63], "-")
	}
	if text == "" {
		return "server-" + id
	}
	return text
}
