package api_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/hosts"
	"nacre/internal/nodeapi"
	"nacre/internal/vif"
)

// others are the services around compute, as small as they can be and still
// keep what compute relies on: they write in compute's transactions.
type others struct {
	db    *db.DB
	hosts *hosts.Service
}

func newOthers(t testing.TB, d *db.DB, h *hosts.Service) others {
	t.Helper()
	err := d.Write(context.Background(), func(tx *db.Tx) error {
		for _, statement := range []string{
			`CREATE TABLE test_ports (id TEXT PRIMARY KEY, project TEXT, network TEXT, server TEXT, host TEXT, ip TEXT, seq INTEGER, limits TEXT DEFAULT '')`,
			`CREATE TABLE test_bindings (port TEXT, host TEXT, PRIMARY KEY (port, host))`,
			`CREATE TABLE test_volumes (id TEXT PRIMARY KEY, status TEXT, attachment TEXT, server TEXT, host TEXT, epoch INTEGER, size INTEGER, next_host TEXT DEFAULT '', next_epoch INTEGER DEFAULT 0, writers INTEGER DEFAULT 1)`,
			`CREATE TABLE test_snapshots (id TEXT PRIMARY KEY, volume TEXT)`,
			`INSERT INTO test_snapshots VALUES ('` + volumeID2 + `', '` + volumeID2 + `')`,
			`INSERT INTO test_ports VALUES ('` + freePort + `', 'demo', '` + networkID + `', '', '', '10.0.0.5', 0, '')`,
			`INSERT INTO test_volumes (id, status, attachment, server, host, epoch, size) VALUES ('` + volumeID + `', 'available', '', '', '', 0, 1)`,
			`INSERT INTO test_volumes (id, status, attachment, server, host, epoch, size) VALUES ('` + volumeID2 + `', 'available', '', '', '', 0, 1)`,
		} {
			_, err := tx.Exec(context.Background(), statement)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return others{d, h}
}

const (
	networkID  = "22222222-2222-4222-8222-222222222222"
	freePort   = "33333333-3333-4333-8333-333333333333"
	volumeID   = "44444444-4444-4444-8444-444444444444"
	volumeID2  = "44444444-4444-4444-8444-444444444442"
	fullNet    = "55555555-5555-4555-8555-555555555555"
	publicNet  = "55555555-5555-4555-8555-555555555556" // external, not shared
	bareNet    = "55555555-5555-4555-8555-555555555557" // without subnets
	badImageID = "66666666-6666-4666-8666-666666666666"
	bigImageID = "77777777-7777-4777-8777-777777777777"

	rescueImageID = "88888888-8888-4888-8888-888888888888"
	quietImageID  = "88888888-8888-4888-8888-888888888889"
)

type images struct{ made *sync.Map }

func (i images) CreateImage(_ context.Context, _ auth.Caller, in compute.NewImage) error {
	i.made.Store(in.ID, "queued")
	return nil
}

func (i images) UploadImage(_ context.Context, id string, bytes io.Reader) error {
	_, err := io.Copy(io.Discard, bytes)
	if err == nil {
		i.made.Store(id, "active")
	}
	return err
}

func (i images) ImageStatus(_ context.Context, id string) (string, error) {
	status, known := i.made.Load(id)
	if !known {
		return "", errs.NotFoundf("No image found with ID %s", id)
	}
	return status.(string), nil
}

func (i images) DeleteImage(_ context.Context, id string) error {
	i.made.Delete(id)
	return nil
}

func (images) Backups(context.Context, string, string, string) ([]string, error) { return nil, nil }

func (images) Image(_ context.Context, _ auth.Caller, id string) (compute.Image, error) {
	i := compute.Image{ID: id, Name: "cirros", Status: "active", SizeBytes: 1 << 20, Properties: map[string]string{"os_distro": "cirros"}}
	switch id {
	case imageID:
	case rescueImageID:
		i.Properties = map[string]string{"hw_rescue_device": "disk", "hw_rescue_bus": "virtio"}
	case quietImageID:
		i.Properties = map[string]string{"hw_qemu_guest_agent": "yes", "os_require_quiesce": "true"}
	case badImageID:
		i.Bootable = errors.New("it has a backing file")
	case bigImageID:
		i.MinDiskGB, i.MinRAMMB = 10, 0
	default:
		return i, errs.NotFoundf("No image found with ID %s", id)
	}
	return i, nil
}

type consoles struct{}

func (consoles) Revoke(context.Context, *db.Tx, string) error { return nil }

func (consoles) New(_ context.Context, kind, _ string) (string, time.Time, error) {
	return "http://cloud/dashboard/" + kind + "?token=T", time.Time{}, nil
}

func (consoles) Find(_ context.Context, token string) (server, host string, port int, err error) {
	if token != "T" {
		return "", "", 0, errs.NotFoundf("Token not found")
	}
	return imageID, "cloud", 5000, nil
}

type networks struct{ others }

func (n networks) Network(ctx context.Context, _ auth.Caller, card compute.NewCard) (compute.Network, error) {
	id := card.Network
	switch {
	case id == publicNet && !card.Outside:
		return compute.Network{}, errs.Forbiddenf("It is not allowed to create an interface on external network %s", id)
	case id == bareNet:
		return compute.Network{}, errs.BadRequestf("Network %s requires a subnet in order to boot instances on.", id)
	case id != networkID && id != fullNet && id != publicNet:
		return compute.Network{}, errs.NotFoundf("Network %s could not be found.", id)
	}
	who, err := n.ServerAt(ctx, id, card.FixedIP, "")
	if err == nil {
		return compute.Network{}, errs.Conflictf("Fixed IP address %s is already in use on instance %s.", card.FixedIP, who)
	}
	return compute.Network{ID: id, Name: "private"}, nil
}

func (n networks) AllocateTopology(context.Context, string) (string, error) {
	return "", errs.NotFoundf("No default router:external network")
}

func (n networks) Available(context.Context, auth.Caller) ([]compute.Network, error) {
	return []compute.Network{{ID: networkID, Name: "private"}}, nil
}

type portRow struct {
	ID, Project, Network, Server, Host, IP, Limits string
	Seq                                            int
}

func (n networks) port(ctx context.Context, tx *db.Tx, id string) (portRow, error) {
	var row portRow
	err := tx.Get(ctx, &row, "SELECT * FROM test_ports WHERE id = ?", id)
	if errors.Is(err, sql.ErrNoRows) {
		return row, errs.NotFoundf("Port %s could not be found.", id)
	}
	return row, err
}

func (n networks) FreePort(ctx context.Context, c auth.Caller, id string) (vif.Port, error) {
	var row portRow
	err := n.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		row, err = n.port(ctx, tx, id)
		return err
	})
	if err != nil {
		return vif.Port{}, err
	}
	if row.Server != "" {
		return vif.Port{}, errs.Conflictf("Port %s is still in use.", id)
	}
	return row.view(), nil
}

func (r portRow) view() vif.Port {
	return vif.Port{
		ID: r.ID, Project: r.Project, Server: r.Server, Network: r.Network, NetworkName: "private", MAC: "fa:16:3e:00:00:01", MTU: 1442,
		Status:    "ACTIVE",
		Addresses: []vif.Address{{IP: r.IP, Subnet: "subnet", On: &vif.Subnet{CIDR: "10.0.0.0/8", Gateway: "10.0.0.1", DHCP: true, DNS: []string{"9.9.9.9"}}}},
		Groups:    []vif.Group{{ID: "group", Name: "default"}},
	}
}

func (n networks) SecurityGroups(_ context.Context, _ auth.Caller, names []string) ([]string, error) {
	for _, name := range names {
		if name != "default" {
			return nil, errs.NotFoundf("Security group %s not found for project demo.", name)
		}
	}
	return names, nil
}

func (n networks) CreatePort(ctx context.Context, tx *db.Tx, p compute.NewPort) error {
	if p.Network == fullNet {
		return errs.Conflictf("No more IP addresses available on network %s.", p.Network)
	}
	var seq int
	err := tx.Get(ctx, &seq, "SELECT COALESCE(MAX(seq), 9) + 1 FROM test_ports")
	if err != nil {
		return err
	}
	if p.FixedIP == "" {
		p.FixedIP = fmt.Sprintf("10.0.%d.%d", seq/250, seq%250+1)
	}
	_, err = tx.Exec(ctx, "INSERT INTO test_ports VALUES (?, ?, ?, ?, ?, ?, ?, '') ON CONFLICT (id) DO NOTHING", p.ID, p.Project, p.Network, p.Server, p.Host, p.FixedIP, seq)
	return err
}

func (n networks) TakePort(ctx context.Context, tx *db.Tx, port, server, _ string) error {
	row, err := n.port(ctx, tx, port)
	if err == nil && row.Server != "" && row.Server != server {
		return errs.Conflictf("Port %s is still in use.", port)
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE test_ports SET server = ? WHERE id = ?", server, port)
	return err
}

func (n networks) BindPort(ctx context.Context, tx *db.Tx, port, host string) error {
	_, err := tx.Exec(ctx, "UPDATE test_ports SET host = ? WHERE id = ?", host, port)
	if err != nil {
		return err
	}
	return n.UnpreparePort(ctx, tx, port, host)
}

func (n networks) PreparePort(ctx context.Context, tx *db.Tx, port, host string) error {
	_, err := tx.Exec(ctx, "INSERT INTO test_bindings VALUES (?, ?) ON CONFLICT DO NOTHING", port, host)
	return err
}

func (n networks) UnpreparePort(ctx context.Context, tx *db.Tx, port, host string) error {
	_, err := tx.Exec(ctx, "DELETE FROM test_bindings WHERE port = ? AND host = ?", port, host)
	return err
}

func (n networks) LimitPort(ctx context.Context, tx *db.Tx, port string, limits compute.PortLimits) error {
	_, err := tx.Exec(ctx, "UPDATE test_ports SET limits = ? WHERE id = ?", fmt.Sprint(limits), port)
	return err
}

func (n networks) UnbindPort(ctx context.Context, tx *db.Tx, port string) error {
	return n.BindPort(ctx, tx, port, "")
}

func (n networks) ReturnPort(ctx context.Context, tx *db.Tx, port string) error {
	_, err := tx.Exec(ctx, "UPDATE test_ports SET host = '', server = '' WHERE id = ?", port)
	return err
}

func (n networks) DeletePort(ctx context.Context, tx *db.Tx, port string) error {
	_, err := tx.Exec(ctx, "DELETE FROM test_ports WHERE id = ?", port)
	return err
}

func (n networks) PortsOf(ctx context.Context, tx *db.Tx, servers ...string) (map[string][]vif.Port, error) {
	var rows []portRow
	err := tx.All(ctx, &rows, "SELECT * FROM test_ports WHERE server IN (?) ORDER BY seq", db.In(servers))
	out := map[string][]vif.Port{}
	for _, row := range rows {
		out[row.Server] = append(out[row.Server], row.view())
	}
	return out, err
}

func (n networks) ByAddress(servers *bun.SelectQuery, text string) *bun.SelectQuery {
	return servers.Where(`servers.id IN (SELECT server FROM test_ports WHERE ip LIKE ? ESCAPE '\')`, db.Like(text))
}

func (n networks) NetworkInfo(ctx context.Context, tx *db.Tx, server string) ([]vif.Port, error) {
	all, err := n.PortsOf(ctx, tx, server)
	return all[server], err
}

func (n networks) PortDown(ctx context.Context, tx *db.Tx, server string) (port string, err error) {
	err = tx.Get(ctx, &port, "SELECT COALESCE(MIN(id), '') FROM test_ports WHERE server = ? AND host = ''", server)
	return port, err
}

func (n networks) ServerAt(ctx context.Context, network, ip, _ string) (string, error) {
	var id string
	err := n.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &id, "SELECT server FROM test_ports WHERE network = ? AND ip = ?", network, ip)
	})
	if errors.Is(err, sql.ErrNoRows) || id == "" {
		return "", errs.NotFoundf("Nobody has address %s.", ip)
	}
	return id, err
}

type volumes struct{ others }

type volumeRow struct {
	ID, Status, Attachment, Server, Host, NextHost string
	Epoch, Size, NextEpoch, Writers                int64
}

func (v volumes) row(ctx context.Context, tx *db.Tx, where string, arg any) (volumeRow, error) {
	var row volumeRow
	err := tx.Get(ctx, &row, "SELECT * FROM test_volumes WHERE "+where+" = ?", arg)
	if errors.Is(err, sql.ErrNoRows) {
		return row, errs.NotFoundf("Volume %v could not be found.", arg)
	}
	return row, err
}

func (v volumes) Volume(ctx context.Context, _ auth.Caller, id string) (compute.Volume, error) {
	var row volumeRow
	err := v.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		row, err = v.row(ctx, tx, "id", id)
		return err
	})
	return compute.Volume{ID: id, Status: row.Status, SizeGB: row.Size, Bootable: true, Shared: row.Writers > 1}, err
}

func (v volumes) Snapshot(ctx context.Context, caller auth.Caller, id string) (compute.VolumeSnapshot, error) {
	var volume string
	err := v.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &volume, "SELECT volume FROM test_snapshots WHERE id = ?", id)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return compute.VolumeSnapshot{}, errs.NotFoundf("Snapshot %s could not be found.", id)
	}
	if err != nil {
		return compute.VolumeSnapshot{}, err
	}
	found, err := v.Volume(ctx, caller, volume)
	return compute.VolumeSnapshot{Volume: volume, Status: "available", SizeGB: found.SizeGB}, err
}

func (v volumes) TakeSnapshot(ctx context.Context, tx *db.Tx, _ auth.Caller, id, volume, _ string) error {
	_, err := tx.Exec(ctx, "INSERT INTO test_snapshots VALUES (?, ?) ON CONFLICT (id) DO NOTHING", id, volume)
	return err
}

func (v volumes) DeleteSnapshot(ctx context.Context, _ auth.Caller, id string) error {
	return v.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM test_snapshots WHERE id = ?", id)
		return err
	})
}

func (volumes) TypeExists(_ context.Context, _ auth.Caller, name string) error {
	if name != "fast" {
		return errs.NotFoundf("Volume type with name %s could not be found.", name)
	}
	return nil
}

func (v volumes) CreateVolume(ctx context.Context, _ auth.Caller, in compute.NewVolume) error {
	return v.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO test_volumes (id, status, attachment, server, host, epoch, size) VALUES (?, 'available', '', '', '', 0, ?) ON CONFLICT (id) DO NOTHING", in.ID, in.SizeGB)
		return err
	})
}

func (v volumes) Revision(context.Context, *db.Tx, string) (int64, error) { return 0, nil }

func (v volumes) Status(ctx context.Context, tx *db.Tx, volume string) (string, error) {
	row, err := v.row(ctx, tx, "id", volume)
	return row.Status, err
}

func (v volumes) Size(ctx context.Context, tx *db.Tx, volume string) (int64, error) {
	row, err := v.row(ctx, tx, "id", volume)
	return row.Size, err
}

func (v volumes) ReadOnly(ctx context.Context, tx *db.Tx, volume string) (bool, error) {
	row, err := v.row(ctx, tx, "id", volume)
	return row.Writers < 0, err
}

func (v volumes) Writers(ctx context.Context, tx *db.Tx, volume string) (int, error) {
	row, err := v.row(ctx, tx, "id", volume)
	return int(row.Writers), err
}

func (v volumes) Reserve(ctx context.Context, tx *db.Tx, attachment, volume, server string) error {
	row, err := v.row(ctx, tx, "id", volume)
	if err != nil || row.Attachment == attachment {
		return err
	}
	if row.Status != "available" {
		return errs.BadRequestf("Invalid volume: volume %s is %s", volume, row.Status)
	}
	_, err = tx.Exec(ctx, "UPDATE test_volumes SET status = 'reserved', attachment = ?, server = ? WHERE id = ?", attachment, server, volume)
	return err
}

func (v volumes) Connect(ctx context.Context, tx *db.Tx, attachment, host, _ string) (int64, map[string]int64, error) {
	row, err := v.row(ctx, tx, "attachment", attachment)
	if err != nil {
		return 0, nil, err
	}
	if row.Host != host {
		if row.Host != "" { // it moves to the other host with its server
			err = v.hosts.Forget(ctx, tx, row.Host, nodeapi.KindVolume, row.ID)
			if err != nil {
				return 0, nil, err
			}
		}
		row.Host = host
		row.Epoch++
		_, err = tx.Exec(ctx, "UPDATE test_volumes SET status = CASE WHEN status = 'reserved' THEN 'attaching' ELSE status END, host = ?, epoch = ? WHERE id = ?", host, row.Epoch, row.ID)
		if err != nil {
			return 0, nil, err
		}
	}
	_, err = v.hosts.Want(ctx, tx, row.Host, nodeapi.KindVolume, row.ID,
		nodeapi.Volume{ID: row.ID, SizeGB: int(row.Size), Export: &nodeapi.Export{Epoch: row.Epoch}})
	return row.Epoch, nil, err
}

func (v volumes) Disconnect(ctx context.Context, tx *db.Tx, attachment string) error {
	row, err := v.row(ctx, tx, "attachment", attachment)
	if err != nil || row.Host == "" {
		return err
	}
	err = v.hosts.Forget(ctx, tx, row.Host, nodeapi.KindVolume, row.ID)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE test_volumes SET status = 'reserved', host = '' WHERE id = ?", row.ID)
	return err
}

func (v volumes) Reimage(ctx context.Context, _ auth.Caller, volume, _ string) error {
	_, err := v.Volume(ctx, auth.Caller{}, volume)
	return err
}

func (v volumes) Prepare(ctx context.Context, tx *db.Tx, attachment, host string) (int64, error) {
	row, err := v.row(ctx, tx, "attachment", attachment)
	if err != nil || row.NextHost == host {
		return row.NextEpoch, err
	}
	_, err = tx.Exec(ctx, "UPDATE test_volumes SET next_host = ?, next_epoch = ? WHERE id = ?", host, row.Epoch+1, row.ID)
	if err != nil {
		return 0, err
	}
	_, err = v.hosts.Want(ctx, tx, host, nodeapi.KindVolume, row.ID,
		nodeapi.Volume{ID: row.ID, SizeGB: int(row.Size), Export: &nodeapi.Export{Epoch: row.Epoch + 1}})
	return row.Epoch + 1, err
}

func (v volumes) Moved(ctx context.Context, tx *db.Tx, attachment, host string) (int64, error) {
	row, err := v.row(ctx, tx, "attachment", attachment)
	if err != nil || row.NextHost == "" {
		return row.Epoch, err
	}
	other := row.NextHost
	if row.NextHost == host {
		other, row.Host, row.Epoch = row.Host, row.NextHost, row.NextEpoch
	}
	err = v.hosts.Forget(ctx, tx, other, nodeapi.KindVolume, row.ID)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, "UPDATE test_volumes SET host = ?, epoch = ?, next_host = '', next_epoch = 0 WHERE id = ?", row.Host, row.Epoch, row.ID)
	return row.Epoch, err
}

func (v volumes) Complete(ctx context.Context, tx *db.Tx, attachment string) error {
	_, err := tx.Exec(ctx, "UPDATE test_volumes SET status = 'in-use' WHERE attachment = ?", attachment)
	return err
}

func (v volumes) Detaching(ctx context.Context, tx *db.Tx, attachment string) error {
	_, err := tx.Exec(ctx, "UPDATE test_volumes SET status = 'detaching' WHERE attachment = ?", attachment)
	return err
}

func (v volumes) Detach(ctx context.Context, tx *db.Tx, attachment string) error {
	row, err := v.row(ctx, tx, "attachment", attachment)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if row.Host != "" {
		err = v.hosts.Forget(ctx, tx, row.Host, nodeapi.KindVolume, row.ID)
		if err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, "UPDATE test_volumes SET status = 'available', attachment = '', server = '', host = '' WHERE id = ?", row.ID)
	return err
}

func (v volumes) DeleteVolume(ctx context.Context, tx *db.Tx, volume string) error {
	_, err := tx.Exec(ctx, "DELETE FROM test_volumes WHERE id = ?", volume)
	return err
}
