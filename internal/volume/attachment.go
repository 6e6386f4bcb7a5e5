package volume

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Attached is the state of an attachment whose volume is in use. The others
// have the names of the volume's states.
const Attached = "attached"

// Attachment is a volume promised or given to a server.
type Attachment struct {
	bun.BaseModel `bun:"table:volume_attachments,alias:volume_attachments"`

	ID         string `bun:",pk"`
	Volume     string
	Project    string
	Server     string
	Status     string
	Compute    bool   // made by the compute service, for it alone to end
	Mode       string // rw, ro
	Host       string // where the machine is
	Device     string
	Connector  db.JSON[json.RawMessage]
	Connection db.JSON[Connection]
	Epoch      int64  // 0: no export was asked for yet
	NextHost   string // where the machine is about to move, and has the volume as well
	NextEpoch  int64  // 0: nowhere
	AttachedAt db.Time
	CreatedAt  db.Time
}

// withAttachments fills in the attachments of the volumes with one query.
func withAttachments(ctx context.Context, tx *db.Tx, list []Volume) error {
	ids := make([]string, len(list))
	place := map[string]int{}
	for i, v := range list {
		ids[i] = v.ID
		place[v.ID] = i
	}
	var rows []Attachment
	err := tx.All(ctx, &rows, "SELECT * FROM volume_attachments WHERE volume IN (?) ORDER BY created_at, id", db.In(ids))
	if err != nil {
		return fmt.Errorf("read attachments: %w", err)
	}
	for _, row := range rows {
		v := &list[place[row.Volume]]
		v.Attachments = append(v.Attachments, row)
	}
	return nil
}

var allAttachments = kind[Attachment]{table: "volume_attachments", noun: "Volume attachment", owner: func(a Attachment) string { return a.Project }}

// Attachments lists attachments.
func (s *Service) Attachments(ctx context.Context, q Query, page db.Page) (list []Attachment, more bool, err error) {
	return allAttachments.list(ctx, s, q, page)
}

// Attachment returns an attachment that the viewer may see.
func (s *Service) Attachment(ctx context.Context, who Viewer, id string) (Attachment, error) {
	return allAttachments.show(ctx, s, who, id)
}

func getAttachment(ctx context.Context, tx *db.Tx, id string) (Attachment, error) {
	return allAttachments.get(ctx, tx, id)
}

func findAttachment(ctx context.Context, tx *db.Tx, who Viewer, id string) (Attachment, error) {
	return allAttachments.find(ctx, tx, who, id)
}

// Connector is what a client tells of the host that will use a volume.
type Connector struct {
	Host       string `json:"host"`
	Mountpoint string `json:"mountpoint"`
	Mode       string `json:"mode"`
}

// CreateAttachment promises a volume to a server and, with a connector, asks
// for its export.
func (s *Service) CreateAttachment(ctx context.Context, who Viewer, volume, server, mode string, connector json.RawMessage) (Attachment, error) {
	var a Attachment
	id := s.newID()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		v, err := findVolume(ctx, tx, who, volume)
		if err != nil {
			return err
		}
		err = who.MayShare(v)
		if err != nil {
			return err
		}
		a, err = s.reserve(ctx, tx, v, Attachment{ID: id, Server: server, Mode: mode})
		if err != nil || connector == nil {
			return err
		}
		a, err = s.connectClient(ctx, tx, a, connector)
		return err
	})
	return a, unexpected("create attachment for volume "+volume, err)
}

// UpdateAttachment asks for the export of a promised volume.
func (s *Service) UpdateAttachment(ctx context.Context, who Viewer, id string, connector json.RawMessage) (Attachment, error) {
	var a Attachment
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		found, err := findAttachment(ctx, tx, who, id)
		if err != nil {
			return err
		}
		err = notComputes(found)
		if err != nil {
			return err
		}
		if found.Status != Reserved && found.Status != Attaching {
			return errs.BadRequestf("Invalid volume: attachment %s is %s and cannot be updated.", id, found.Status)
		}
		a, err = s.connectClient(ctx, tx, found, connector)
		return err
	})
	return a, unexpected("update attachment "+id, err)
}

func (s *Service) connectClient(ctx context.Context, tx *db.Tx, a Attachment, raw json.RawMessage) (Attachment, error) {
	var connector Connector
	err := json.Unmarshal(raw, &connector)
	if err != nil || connector.Host == "" {
		return a, errs.BadRequestf("Invalid input received: Connector doesn't have required information: host")
	}
	if connector.Mode != "" && connector.Mode != "null" {
		a.Mode = connector.Mode
	}
	a.Connector = db.Of(raw)
	_, err = tx.Update(ctx, &a, "connector", "mode")
	if err != nil {
		return a, err
	}
	return s.connect(ctx, tx, a, connector.Host, connector.Mountpoint)
}

// CompleteAttachment says that the server has the volume.
func (s *Service) CompleteAttachment(ctx context.Context, who Viewer, id string) error {
	return unexpected("complete attachment "+id, s.db.Write(ctx, func(tx *db.Tx) error {
		a, err := findAttachment(ctx, tx, who, id)
		if err != nil {
			return err
		}
		if a.Status != Attaching && a.Status != Attached && a.Status != Reserved {
			return errs.BadRequestf("Invalid volume: attachment %s is %s and cannot be completed.", id, a.Status)
		}
		return s.Complete(ctx, tx, id)
	}))
}

// DeleteAttachment ends an attachment that the compute service does not hold,
// and returns those that the volume still has.
func (s *Service) DeleteAttachment(ctx context.Context, who Viewer, id string) ([]Attachment, error) {
	var rest []Attachment
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		a, err := findAttachment(ctx, tx, who, id)
		if err != nil {
			return err
		}
		err = notComputes(a)
		if err != nil {
			return err
		}
		err = s.Detach(ctx, tx, id)
		if err != nil {
			return err
		}
		rest = nil
		return tx.All(ctx, &rest, "SELECT * FROM volume_attachments WHERE volume = ? ORDER BY created_at, id", a.Volume)
	})
	return rest, unexpected("delete attachment "+id, err)
}

// notComputes refuses to touch what compute has attached: ended here, a guest
// would lose its disk without knowing, and another could get at its data.
func notComputes(a Attachment) error {
	if a.Compute {
		return errs.Conflictf("Detach volume from instance %s using the Compute API", a.Server)
	}
	return nil
}

// reserve promises an available volume.
func (s *Service) reserve(ctx context.Context, tx *db.Tx, v Volume, a Attachment) (Attachment, error) {
	err := mayReserve(ctx, tx, v, a)
	if err == nil {
		err = copying(ctx, tx, v.ID, "volume")
	}
	if err != nil {
		return a, err
	}
	a.Volume, a.Project, a.Status, a.CreatedAt = v.ID, v.Project, Reserved, db.At(tx.Now())
	if a.Mode == "" {
		a.Mode = "rw"
		if v.Readonly == "True" {
			a.Mode = "ro"
		}
	}
	a.Connector = db.Of(json.RawMessage("null"))
	err = tx.Insert(ctx, &a)
	if err != nil {
		return a, fmt.Errorf("insert attachment: %w", err)
	}
	return a, stand(ctx, tx, v)
}

// connect wants the volume exported at a new epoch. Connecting again to the
// same host changes nothing.
func (s *Service) connect(ctx context.Context, tx *db.Tx, a Attachment, host, device string) (Attachment, error) {
	v, err := getVolume(ctx, tx, a.Volume)
	if err != nil {
		return a, err
	}
	err = s.reachable(v, host)
	if err != nil {
		return a, err
	}
	if a.Epoch > 0 && a.Host == host {
		return a, nil
	}
	generation := v.Generation
	v.Epoch++
	err = updateRow(ctx, tx, &v, v.ID, generation, "epoch")
	if err != nil {
		return a, err
	}
	a.Epoch, a.Host, a.Device = v.Epoch, host, device
	a.Connection.V, err = s.connection(ctx, tx, v)
	if err != nil {
		return a, err
	}
	if a.Status == Reserved {
		a.Status = Attaching
	}
	_, err = tx.Update(ctx, &a, "epoch", "host", "device", "status", "connection")
	if err != nil {
		return a, err
	}
	err = stand(ctx, tx, v)
	if err == nil {
		err = s.want(ctx, tx, v)
	}
	if err != nil {
		return a, err
	}
	return a, s.emit(ctx, tx, "volume.attach.start", v.ID)
}
