package ovn

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

// Names of the switch's own tables.
const (
	confRoot       = "Open_vSwitch"
	confBridges    = "Bridge"
	confPorts      = "Port"
	confInterfaces = "Interface"
)

// integration is the bridge that ovn-controller programs.
const integration = "br-int"

// Keys in external_ids of the switch's ports.
const (
	keyPort = "nacre-port"
	keyDoor = "nacre-door"
)

// HostOptions say where the switch of this host is.
type HostOptions struct {
	Dir      string // the folder that Start was given
	TapOwner int    // user id that may open the taps
	Log      *slog.Logger
}

// Host is the fabric.Host on this machine's Open vSwitch.
type Host struct {
	dir   string
	owner int
	db    *ovsdb.Client

	// mu is held while devices and the switch's configuration change together.
	mu sync.Mutex
}

var _ fabric.Host = (*Host)(nil)

// OpenHost connects to the switch's database.
func OpenHost(ctx context.Context, options HostOptions) (*Host, error) {
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, err
	}
	db, err := ovsdb.Open(ctx, ovsdb.Config{
		Socket:   filepath.Join(chassisDir(dir), "conf.sock"),
		Database: "Open_vSwitch",
		Follow: map[string][]string{
			confRoot:       {"bridges", "external_ids", "next_cfg", "cur_cfg"},
			confBridges:    {"name", "ports", "datapath_type", "external_ids"},
			confPorts:      {"name", "interfaces", "external_ids"},
			confInterfaces: {"name", "type", "ofport", "error", "external_ids"},
		},
		Log: options.Log,
	})
	if err != nil {
		return nil, err
	}
	return &Host{dir: dir, owner: options.TapOwner, db: db}, nil
}

// Close ends the connection. The switch goes on as it is.
func (h *Host) Close() { h.db.Close() }

// Plug implements fabric.Host.
func (h *Host) Plug(ctx context.Context, p fabric.Plug) (string, error) {
	if len(p.Port) < 11 {
		return "", fmt.Errorf("plug port %q: the id is too short to name a device", p.Port)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	tap := tapName(p.Port)
	// The device comes first: the switch would complain about one that is not
	// there. When we stop in between, Plugged knows the device by its alias.
	fresh, err := ensureTap(tap, h.alias(p.Port), p.MTU, h.owner)
	if err != nil {
		return "", fmt.Errorf("make tap for port %s: %w", p.Port, err)
	}
	err = h.connect(ctx, p.Port, tap, fresh, ovsdb.Map{
		"iface-id":     p.Port,
		"attached-mac": p.MAC,
		"iface-status": "active",
		keyPort:        p.Port,
		keyNetwork:     p.Network,
	})
	if err != nil {
		return "", fmt.Errorf("connect port %s: %w", p.Port, err)
	}
	return tap, nil
}

// Unplug implements fabric.Host.
func (h *Host) Unplug(ctx context.Context, port string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.disconnect(ctx, port)
	if err != nil {
		return fmt.Errorf("disconnect port %s: %w", port, err)
	}
	return removeTap(tapName(port), h.alias(port))
}

func tapName(port string) string { return "tap" + port[:min(11, len(port))] }

// Plugged implements fabric.Host.
func (h *Host) Plugged(ctx context.Context) ([]string, error) {
	ports, err := aliases(h.alias(""))
	if err != nil {
		return nil, fmt.Errorf("list taps: %w", err)
	}
	err = h.db.Transact(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the switch's database: %w", err)
	}
	h.db.View(func(tables ovsdb.Tables) {
		for _, row := range tables[confPorts] {
			port := row.Map("external_ids")[keyPort]
			if port != "" && !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
	})
	return ports, nil
}

// alias marks the devices that belong to this host.
func (h *Host) alias(port string) string { return aliasPrefix(h.dir) + port }

// connect makes a device a port of the integration bridge. force has the switch
// look at the device anew.
func (h *Host) connect(ctx context.Context, id, device string, force bool, ids ovsdb.Map) error {
	iface, port := rowID("interface", id), rowID("switch-port", id)
	err := h.change(ctx, force, func(p *plan) error {
		bridge := bridgeID(p.tables, integration)
		if bridge == "" {
			return fmt.Errorf("there is no bridge %s: ovn-controller has not made it", integration)
		}
		p.put(confInterfaces, iface, ovsdb.Row{"name": device, "type": "", "external_ids": ids})
		p.put(confPorts, port, ovsdb.Row{"name": device, "interfaces": ovsdb.SetOf(iface), "external_ids": ids})
		p.link(confBridges, bridge, "ports", port)
		return nil
	})
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	problem := "it gives no reason"
	err = h.db.Await(wait, func(tables ovsdb.Tables) bool {
		row := tables[confInterfaces][iface]
		text := row.Set("error").Sorted()
		if len(text) > 0 {
			problem = text[0]
		}
		number := row.Set("ofport").Sorted()
		return len(text) == 0 && len(number) == 1 && number[0] != "-1"
	})
	if err != nil {
		return fmt.Errorf("wait for the switch to take %s (%s): %w", device, problem, err)
	}
	return nil
}

func (h *Host) disconnect(ctx context.Context, id string) error {
	return h.change(ctx, false, func(p *plan) error {
		port := rowID("switch-port", id)
		bridge := bridgeID(p.tables, integration)
		if bridge != "" {
			p.unlink(confBridges, bridge, "ports", port)
		}
		p.remove(confPorts, port)
		p.remove(confInterfaces, rowID("interface", id))
		return nil
	})
}

// change brings the switch's database to a plan and waits until the switch has
// followed, which it does when there was something to do.
func (h *Host) change(ctx context.Context, force bool, edit func(*plan) error) error {
	err := h.write(ctx, force, edit)
	if err != nil {
		return err
	}
	return h.settled(ctx)
}

func (h *Host) write(ctx context.Context, force bool, edit func(*plan) error) error {
	err := h.db.Transact(ctx)
	if err != nil {
		return fmt.Errorf("read the switch's database: %w", err)
	}
	var ops []ovsdb.Op
	h.db.View(func(tables ovsdb.Tables) {
		p := newPlan(tables)
		err = edit(p)
		ops = p.ops()
		if len(ops) > 0 || force {
			ops = append(ops, ovsdb.Increment(confRoot, p.root(), "next_cfg"), ovsdb.Commit())
		}
	})
	if err != nil || len(ops) == 0 {
		return err
	}
	err = h.db.Transact(ctx, ops...)
	if err != nil {
		return fmt.Errorf("write to the switch's database: %w", err)
	}
	return nil
}

// settled waits until the switch is as its database says.
func (h *Host) settled(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := h.db.Await(wait, func(tables ovsdb.Tables) bool {
		root := tables[confRoot][rootID(tables)]
		next, _ := strconv.Atoi(root.String("next_cfg"))
		current, _ := strconv.Atoi(root.String("cur_cfg"))
		return root != nil && current >= next
	})
	if err != nil {
		return fmt.Errorf("wait for the switch to follow its database: %w", err)
	}
	return nil
}

// configure tells ovn-controller who and where this chassis is, and makes the
// bridges to physical networks.
func (h *Host) configure(ctx context.Context, o Options) error {
	remote := o.Remote
	if remote == "" {
		remote = SouthRemote(o.Dir)
	}
	var mappings []string
	for _, b := range o.Bridges {
		if b.Physical != "" {
			mappings = append(mappings, b.Physical+":"+b.Name)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.write(ctx, false, func(p *plan) error {
		root := p.root()
		if root == "" {
			root = rowID("switch", o.Chassis)
			p.put(confRoot, root, ovsdb.Row{"external_ids": ovsdb.Map{}, "bridges": ovsdb.Set{}})
		}
		ids := maps.Clone(p.get(confRoot, root).Map("external_ids"))
		maps.Copy(ids, ovsdb.Map{
			"system-id":                    o.Chassis,
			"hostname":                     o.Chassis,
			"ovn-remote":                   remote,
			"ovn-encap-type":               "geneve",
			"ovn-encap-ip":                 o.EncapIP,
			"ovn-bridge-datapath-type":     o.Datapath,
			"ovn-bridge-mappings":          strings.Join(mappings, ","),
			"ovn-cms-options":              "enable-chassis-as-gw",
			"ovn-remote-probe-interval":    "60000",
			"ovn-openflow-probe-interval":  "60",
			"ovn-monitor-all":              "true",
			"ovn-enable-lflow-cache":       "true",
			"ovn-ofctrl-wait-before-clear": "0",
		})
		p.put(confRoot, root, ovsdb.Row{"external_ids": ids})
		for _, b := range o.Bridges {
			p.ensureBridge(root, b, o)
		}
		return nil
	})
}

// ensureBridge makes a bridge with the port by which the host itself is on it, and
// the card that it takes in.
func (p *plan) ensureBridge(root string, b Bridge, o Options) {
	id := bridgeID(p.tables, b.Name)
	if id == "" {
		// The switch derives the bridge's MAC from this: it differs between hosts.
		id = rowID("bridge", o.Chassis, b.Name)
		port, iface := rowID("switch-port", "bridge", b.Name), rowID("interface", "bridge", b.Name)
		p.put(confInterfaces, iface, ovsdb.Row{"name": b.Name, "type": "internal"})
		p.put(confPorts, port, ovsdb.Row{"name": b.Name, "interfaces": ovsdb.SetOf(iface)})
		p.put(confBridges, id, ovsdb.Row{"name": b.Name, "datapath_type": o.Datapath, "ports": ovsdb.SetOf(port)})
		p.link(confRoot, root, "bridges", id)
	}
	if b.Device != "" {
		port, iface := rowID("switch-port", "uplink", b.Device), rowID("interface", "uplink", b.Device)
		p.put(confInterfaces, iface, ovsdb.Row{"name": b.Device, "type": ""})
		p.put(confPorts, port, ovsdb.Row{"name": b.Device, "interfaces": ovsdb.SetOf(iface)})
		p.link(confBridges, id, "ports", port)
	}
}

func bridgeID(tables ovsdb.Tables, name string) string {
	for id, row := range tables[confBridges] {
		if row.String("name") == name {
			return id
		}
	}
	return ""
}

// root is the one row of the switch's root table, "" before there is one.
func (p *plan) root() string {
	for _, key := range p.order {
		if key.table == confRoot {
			return key.uuid
		}
	}
	return rootID(p.tables)
}

func rootID(tables ovsdb.Tables) string {
	for id := range tables[confRoot] {
		return id
	}
	return ""
}
