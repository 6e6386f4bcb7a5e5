package compute

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/uptrace/bun"

	"nacre/internal/compute/scheduler"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/hosts"
	"nacre/internal/nodeapi"
)

// HostService is what operators decided about a host.
type HostService struct {
	bun.BaseModel `bun:"table:compute_services"`

	Host       string `bun:",pk"`
	ID         string // UUID of the service; the hypervisor's is the host's own
	Seq        int64  // the number that old microversions call id
	Disabled   bool
	Reason     string
	ForcedDown bool
	CreatedAt  db.Time
	UpdatedAt  db.Time
}

// Hypervisor is a compute host in full.
type Hypervisor struct {
	Host    hosts.Host
	Service HostService
	Zone    string
	Offer   scheduler.Host // what placement says
	Running int            // servers
}

// Up tells whether the host counts as up.
func (h Hypervisor) Up() bool { return h.Host.Up && !h.Service.ForcedDown }

// hostState is the parts of what is known of a host, each from another source.
type hostState struct {
	host       hosts.Host
	service    HostService
	zone       string
	aggregates []string // UUIDs
	metadata   map[string][]string
	reported   string // what placement was told last
	offer      scheduler.Host
}

// What operators decided about hosts is in the memory of every server. Whoever
// changes it announces that; the loop reads it anew, hint or not.
const (
	hostsChannel = "compute.hosts"
	followLoop   = "compute.follow"
)

// load reads what is known of the hosts. It comes before the first host
// connects, and again when another server may have changed it.
func (s *Service) load(ctx context.Context) error {
	began := db.At(s.clock.Now())
	all, err := s.hosts.List(ctx)
	if err != nil {
		return err
	}
	return s.db.Read(ctx, func(tx *db.Tx) error {
		var services []HostService
		err := tx.All(ctx, &services, "SELECT * FROM compute_services")
		if err != nil {
			return fmt.Errorf("read compute services: %w", err)
		}
		zones, err := readZones(ctx, tx)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, h := range all {
			state := s.state[h.Name]
			state.host = h
			s.state[h.Name] = state
		}
		known := map[string]bool{}
		for _, service := range services {
			known[service.Host] = true
			state := s.state[service.Host]
			if service.UpdatedAt >= state.service.UpdatedAt { // else it was changed here meanwhile
				state.service = service
			}
			s.state[service.Host] = state
		}
		for name, state := range s.state {
			if state.service.ID != "" && !known[name] && state.service.UpdatedAt < began { // else it was inserted here meanwhile
				s.dropService(name)
			}
		}
		s.setZones(zones)
		return nil
	})
}

// hostChanged hears of hosts that came, went or changed. A new one gets its
// service row, and placement learns what it has, by the server that holds it.
func (s *Service) hostChanged(h hosts.Host) {
	ctx := context.Background()
	// A host that connects again while it is being taken in is taken in once.
	lock, _ := s.intake.LoadOrStore(h.Name, &sync.Mutex{})
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()
	s.mu.Lock()
	state := s.state[h.Name]
	state.host = h
	what := fmt.Sprint(h.Info.VCPUs, h.Info.MemoryMB, h.Info.DiskGB, h.Info.Traits, h.Info.Cells)
	news := h.Here && state.reported != what
	fresh := h.Here && state.service.ID == ""
	s.state[h.Name] = state
	s.put(h.Name)
	s.mu.Unlock()
	var err error
	if fresh {
		err = s.insertService(ctx, h)
	}
	if err == nil && news {
		err = s.report(ctx, h)
	}
	if err != nil {
		// The next change of the host, or its next connection, tries again.
		s.log.Error("take in host", "host", h.Name, "error", err)
		return
	}
	s.mu.Lock()
	state = s.state[h.Name]
	if news {
		state.reported = what
	}
	s.state[h.Name] = state
	s.mu.Unlock()
}

func (s *Service) insertService(ctx context.Context, h hosts.Host) error {
	now := db.At(s.clock.Now())
	row := HostService{Host: h.Name, ID: s.newID(), CreatedAt: now, UpdatedAt: now}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := tx.Lock(ctx, "compute service numbers")
		if err != nil {
			return err
		}
		err = tx.Get(ctx, &row.Seq, "SELECT COALESCE(MAX(seq), 0) + 1 FROM compute_services")
		if err != nil {
			return err
		}
		tx.NotifyElsewhere(hostsChannel, h.Name) // here, setService knows
		err = tx.Insert(ctx, &row)
		if err != nil {
			return err
		}
		return tellService(ctx, tx, "create", row)
	})
	if db.IsDuplicate(err) {
		return s.readService(ctx, h.Name)
	}
	if err != nil {
		return fmt.Errorf("insert compute service: %w", err)
	}
	s.setService(row)
	return nil
}

func (s *Service) readService(ctx context.Context, host string) error {
	var row HostService
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &row, "SELECT * FROM compute_services WHERE host = ?", host)
	})
	if err != nil {
		return fmt.Errorf("read compute service of host %s: %w", host, err)
	}
	s.setService(row)
	return nil
}

func (s *Service) setService(row HostService) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state[row.Host]
	state.service = row
	s.state[row.Host] = state
	s.put(row.Host)
}

func (s *Service) report(ctx context.Context, h hosts.Host) error {
	shared, dedicated := processors(h.Info)
	total := map[string]int64{"VCPU": shared, "PCPU": dedicated, "MEMORY_MB": int64(h.Info.MemoryMB), "DISK_GB": int64(h.Info.DiskGB)}
	for class, n := range total {
		// A host that tells of its cells may have no processors of one kind any
		// more; any other nothing is a part of the node that does not work.
		if n == 0 && (len(h.Info.Cells) == 0 || class == "MEMORY_MB" || class == "DISK_GB") {
			delete(total, class)
		}
	}
	reserved := map[string]int64{"MEMORY_MB": min(s.reservedMB, int64(h.Info.MemoryMB)/2)}
	traits := h.Info.Traits
	s.mu.RLock()
	disabled := s.state[h.Name].service.Disabled
	s.mu.RUnlock()
	if disabled {
		traits = append(slices.Clone(traits), disabledTrait)
	}
	return s.placement.ReportHost(ctx, h.ID, h.Name, total, reserved, map[string]float64{"VCPU": s.cpuRatio}, traits)
}

// providerChanged hears from placement what a host offers and how much of it
// is used.
func (s *Service) providerChanged(id, name string, revision int64, stock Stock, traits []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state[name]
	if state.offer.Revision > revision {
		return
	}
	o := &state.offer
	known := o.ID == id
	o.ID, o.Name, o.Revision = id, name, revision
	for r, class := range scheduler.Classes {
		o.Inventory[r] = scheduler.Inventory{
			Total: stock.Total[class], Reserved: stock.Reserved[class], Ratio: stock.Ratio[class], MaxUnit: stock.MaxUnit[class],
		}
		o.Used[r] = stock.Used[class]
	}
	if traits != nil {
		o.Traits = traits
	}
	s.state[name] = state
	if known && traits == nil {
		s.snapshot.Offer(id, revision, o.Inventory, o.Used)
		return
	}
	s.put(name)
}

// providerRemoved hears from placement that a provider is gone.
func (s *Service) providerRemoved(id, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state[name]
	state.offer = scheduler.Host{}
	s.state[name] = state
	s.snapshot.Remove(id)
}

// put brings the snapshot up to date with the parts. The mutex is held.
func (s *Service) put(name string) {
	state := s.state[name]
	o := state.offer
	if o.ID == "" {
		return // placement has not heard of it yet
	}
	o.Up = state.host.Up && !state.service.ForcedDown
	o.Enabled = !state.service.Disabled
	switch {
	case state.service.ForcedDown:
		o.Why = "an operator declared the host down"
	case !state.host.Up:
		o.Why = "the host is down"
	case state.service.Disabled && state.service.Reason != "":
		o.Why = "the host is disabled: " + state.service.Reason
	case state.service.Disabled:
		o.Why = "the host is disabled"
	}
	o.Zone = state.zone
	if o.Zone == "" {
		o.Zone = s.zone
	}
	o.Aggregates, o.Metadata = state.aggregates, state.metadata
	o.Hypervisor, o.Version = state.host.Info.Type, int64(state.host.Info.Version)
	o.Arch, o.Cells, o.Address = "x86_64", state.host.Info.Cells, state.host.Info.Address
	s.snapshot.Put(o)
}

// setZones gives each host its aggregates and zone. The mutex is held.
func (s *Service) setZones(zones map[string]hostZone) {
	for name, state := range s.state {
		z := zones[name]
		state.zone, state.aggregates, state.metadata = z.zone, z.aggregates, z.metadata
		s.state[name] = state
		s.put(name)
	}
}

// ZoneOf is the availability zone of a host.
func (s *Service) ZoneOf(host string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	zone := s.state[host].zone
	if zone == "" && host != "" {
		return s.zone
	}
	return zone
}

func (s *Service) hostUp(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state[name].host.Up && !s.state[name].service.ForcedDown // a copy of the whole costs more
}

// HostStatus is what is said of a host with its servers, in Nova's order: an operator's
// word comes before what is heard of the host. It is "" for no compute host.
func (s *Service) HostStatus(name string) string {
	if name == "" {
		return ""
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	service := s.state[name].service
	switch {
	case service.ID == "":
		return ""
	case service.ForcedDown:
		return "DOWN"
	case service.Disabled:
		return "MAINTENANCE"
	case s.state[name].host.Up:
		return "UP"
	}
	return HostUnknown
}

// HostUnknown is the status of a host that is silent.
const HostUnknown = "UNKNOWN"

// Hypervisors lists the compute hosts by name.
func (s *Service) Hypervisors(ctx context.Context) ([]Hypervisor, error) {
	var rows []struct {
		Host string
		N    int
	}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &rows, "SELECT host, COUNT(*) AS n FROM servers WHERE deleted_at = 0 AND host <> '' GROUP BY host")
	})
	if err != nil {
		return nil, fmt.Errorf("count servers on hosts: %w", err)
	}
	running := map[string]int{}
	for _, row := range rows {
		running[row.Host] = row.N
	}
	now, err := s.hosts.List(ctx) // when each was seen moves on without a change
	if err != nil {
		return nil, err
	}
	seen := make(map[string]hosts.Host, len(now))
	for _, h := range now {
		seen[h.Name] = h
	}
	s.mu.RLock()
	list := make([]Hypervisor, 0, len(s.state))
	for name, state := range s.state {
		if state.service.ID == "" {
			continue
		}
		h := Hypervisor{Host: seen[name], Service: state.service, Zone: state.zone, Offer: state.offer, Running: running[name]}
		if h.Zone == "" {
			h.Zone = s.zone
		}
		list = append(list, h)
	}
	s.mu.RUnlock()
	slices.SortFunc(list, func(a, b Hypervisor) int { return strings.Compare(a.Host.Name, b.Host.Name) })
	return list, nil
}

// disabledTrait is how placement knows that a host gets no new servers.
const disabledTrait = "COMPUTE_STATUS_DISABLED"

// SetService changes what operators decided about a host, found by the
// service's id or, when that is empty, by the host's name.
func (s *Service) SetService(ctx context.Context, id, host string, change func(*HostService)) (Hypervisor, error) {
	var row HostService
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var rows []HostService
		err := tx.All(ctx, &rows, "SELECT * FROM compute_services WHERE id = ? OR host = ?"+tx.Hold(), id, host)
		if err != nil {
			return fmt.Errorf("read compute service: %w", err)
		}
		if len(rows) == 0 && id != "" {
			return errs.NotFoundf("Service %s could not be found.", id)
		}
		if len(rows) == 0 {
			return errs.NotFoundf("Host '%s' could not be found.", host)
		}
		row = rows[0]
		change(&row)
		row.UpdatedAt = db.At(s.clock.Now())
		tx.NotifyElsewhere(hostsChannel, row.Host)
		_, err = tx.Update(ctx, &row, "disabled", "reason", "forced_down", "updated_at")
		if err != nil {
			return fmt.Errorf("update compute service: %w", err)
		}
		s.mu.RLock()
		provider := s.state[row.Host].offer.ID
		s.mu.RUnlock()
		err = s.placement.SetHostTrait(ctx, tx, provider, disabledTrait, row.Disabled)
		if err != nil {
			return err
		}
		return tellService(ctx, tx, "update", row)
	})
	if err != nil {
		return Hypervisor{}, err
	}
	s.setService(row)
	list, err := s.Hypervisors(ctx)
	if err != nil {
		return Hypervisor{}, err
	}
	for _, h := range list {
		if h.Service.ID == row.ID {
			return h, nil
		}
	}
	return Hypervisor{}, errs.NotFoundf("Service %s could not be found.", row.ID)
}

// dropService forgets what operators decided about a host that is no compute host
// any more. The mutex is held.
func (s *Service) dropService(host string) {
	state := s.state[host]
	state.service, state.zone, state.aggregates, state.reported = HostService{}, "", nil, ""
	s.state[host] = state
	s.put(host)
}

// DeleteService makes a host, found by its service's id or number, be no compute
// host any more. One that has servers stays. A node that runs on it makes it one
// again when it next tells of itself.
func (s *Service) DeleteService(ctx context.Context, id string) error {
	var row HostService
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		number, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			number = -1
		}
		err = tx.Get(ctx, &row, "SELECT * FROM compute_services WHERE id = ? OR seq = ?"+tx.Hold(), id, number)
		if errors.Is(err, sql.ErrNoRows) {
			return errs.NotFoundf("Service %s not found.", id)
		}
		if err != nil {
			return fmt.Errorf("read compute service %s: %w", id, err)
		}
		var used int
		err = tx.Get(ctx, &used, `
			SELECT (SELECT COUNT(*) FROM servers WHERE host = ? AND deleted_at = 0) +
				(SELECT COUNT(*) FROM migrations WHERE (source = ? OR dest = ?) AND status NOT IN (?))`, row.Host, row.Host, row.Host, db.In(over))
		switch {
		case err != nil:
			return fmt.Errorf("count servers on host %s: %w", row.Host, err)
		case used > 0:
			return errs.Conflictf("Unable to delete compute service that is hosting instances. Migrate or delete the instances first.")
		}
		for _, table := range []string{"aggregate_hosts", "failed_builds", "compute_services"} {
			_, err = tx.Exec(ctx, "DELETE FROM "+table+" WHERE host = ?", row.Host)
			if err != nil {
				return fmt.Errorf("delete compute service of host %s: %w", row.Host, err)
			}
		}
		s.mu.RLock()
		provider := s.state[row.Host].offer.ID
		s.mu.RUnlock()
		if provider != "" {
			err = s.placement.RemoveHost(ctx, tx, provider)
			if err != nil {
				return err
			}
		}
		tx.NotifyElsewhere(hostsChannel, row.Host)
		return tellService(ctx, tx, "delete", row)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropService(row.Host)
	return nil
}

// machineObserved hears that a host reported on a machine: a guest that stopped
// by itself is a stopped server. Its plan was woken already.
func (s *Service) machineObserved(id string) {
	err := s.syncPower(context.Background(), id)
	if err != nil {
		s.log.Error("follow power state", "server_id", id, "error", err)
	}
}

// syncPower makes an idle server's state follow what its host sees.
func (s *Service) syncPower(ctx context.Context, id string) error {
	var server Server // of its columns those that are looked at
	var seen nodeapi.MachineObserved
	var answered bool
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		err := tx.Get(ctx, &server, `
			SELECT host, task_state, vm_state, power_state, generation FROM servers
			WHERE id = ? AND deleted_at = 0`, id)
		// On no host: this is what one saw before it gave the server up.
		if err != nil || server.Host == "" || server.TaskState != "" {
			return err
		}
		answered, err = s.hosts.Observed(ctx, tx, server.Host, nodeapi.KindMachine, id, &seen)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	state, power := server.settled(seen)
	if !answered || seen.Problem != "" || (state == server.VMState && power == server.PowerState) {
		return nil
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		changed, err := s.change(ctx, tx, id, func(now *Server) error {
			if now.Generation != server.Generation {
				return errs.Conflictf("server %s changed", id)
			}
			server = *now
			now.PowerState = power
			if now.VMState == state {
				return nil
			}
			// It stopped by itself: so it is, and nothing is to start it again.
			now.VMState, now.Running, now.Rest = state, false, Awake
			return s.want(ctx, tx, *now)
		}, "vm_state", "power_state", "running", "rest")
		if err != nil {
			return err
		}
		return s.tellUpdate(ctx, tx, server, changed)
	})
	if errs.Is(err, errs.Conflict) {
		return nil // whoever was faster knows better; the next report settles it
	}
	return err
}

// settled is the state of an idle server whose host sees this.
func (s *Server) settled(seen nodeapi.MachineObserved) (VMState, Power) {
	power := Shutdown
	switch {
	case seen.Crashed:
		power = Crashed
	case seen.Paused:
		power = Paused
	case seen.Running:
		power = Running
	}
	if (s.VMState == Active || s.VMState == PausedState) && (power == Shutdown || power == Crashed) {
		return Stopped, power
	}
	return s.VMState, power
}

// ServersOn lists the servers on a host by name.
func (s *Service) ServersOn(ctx context.Context, host string) ([]Server, error) {
	var list []Server
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &list, "SELECT * FROM servers WHERE host = ? AND deleted_at = 0 ORDER BY name, id", host)
	})
	if err != nil {
		return nil, fmt.Errorf("list servers on host %s: %w", host, err)
	}
	return list, nil
}
