package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

func (h handlers) backups() []api.Route {
	const one = "/backups/{backup_id}"
	const admin = "volume_extension:backup_admin_actions:"
	return []api.Route{
		{Method: "POST", Path: one + "/action", Action: "os-force_delete", Rule: admin + "force_delete", OK: 202, Do: api.Empty(h.forceDeleteBackup)},
		{Method: "POST", Path: one + "/action", Action: "os-reset_status", Rule: admin + "reset_status", OK: 202, Do: api.BodyEmpty(h.resetBackup)},
		{Method: "GET", Path: "/backups/detail", Rule: "backup:get_all", Do: api.Get(h.listBackupsDetail)},
		{Method: "GET", Path: one, Rule: "backup:get", Do: api.Get(h.showBackup)},
		{Method: "DELETE", Path: one, Rule: "backup:delete", OK: 202, Do: api.Empty(h.deleteBackup)},
		{Method: "POST", Path: one + "/restore", Rule: "backup:restore", OK: 202, Do: api.Body(h.restoreBackup)},
		{Method: "POST", Path: "/backups", Rule: "backup:create", OK: 202, Do: api.Body(h.createBackup)},
		{Method: "PUT", Path: one, Rule: "backup:update", Since: api.V(3, 9), Do: api.Body(h.updateBackup)},
		{Method: "GET", Path: "/backups", Rule: "backup:get_all", Do: api.Get(h.listBackups)},
		{Method: "GET", Path: one + "/export_record", Rule: "backup:export-import", Do: api.Get(h.exportBackup)},
		{Method: "POST", Path: "/backups/import_record", Rule: "backup:backup-import", OK: 201, Do: api.Body(h.importBackup)},
	}
}

type backupSummary struct {
	ID    string     `json:"id"`
	Name  *string    `json:"name"`
	Links []api.Link `json:"links"`
}

type backupView struct {
	backupSummary
	Status      string            `json:"status"`
	Size        int64             `json:"size"`
	ObjectCount int64             `json:"object_count"`
	Zone        string            `json:"availability_zone"`
	Container   string            `json:"container"`
	CreatedAt   api.Micros        `json:"created_at"`
	UpdatedAt   api.Micros        `json:"updated_at"`
	Description *string           `json:"description"`
	FailReason  *string           `json:"fail_reason"`
	VolumeID    string            `json:"volume_id"`
	Incremental bool              `json:"is_incremental"`
	Dependents  bool              `json:"has_dependent_backups"`
	SnapshotID  *string           `json:"snapshot_id"`
	DataAt      api.Micros        `json:"data_timestamp"`
	Metadata    map[string]string `json:"metadata" since:"3.43"`
	UserID      string            `json:"user_id" since:"3.56"`

	KeyID   any `json:"encryption_key_id,omitempty" since:"3.64"`
	Project any `json:"os-backup-project-attr:project_id,omitempty" since:"3.18"`
}

type backupReply[T any] struct {
	Backup T `json:"backup"`
}

func summarizeBackup(c *api.Call, b volume.Backup) backupSummary {
	return backupSummary{b.ID, orNull(b.Name), links(c, "/backups/"+b.ID)}
}

func (h handlers) viewBackup(c *api.Call, b volume.Backup) backupView {
	view := backupView{
		backupSummary: summarizeBackup(c, b), Status: b.Status, Size: b.SizeGB, ObjectCount: b.ObjectCount, Zone: h.service.Zone(), Container: b.Container,
		CreatedAt: stamp(b.CreatedAt), UpdatedAt: stamp(b.UpdatedAt), Description: orNull(b.Description), FailReason: orNull(b.FailReason),
		VolumeID: b.Volume, Incremental: b.Parent != "", Dependents: b.Dependents, SnapshotID: orNull(b.Snapshot), DataAt: stamp(b.DataAt),
		Metadata: b.Metadata.V, UserID: b.User,
	}
	if b.Key != "" {
		view.KeyID = b.Key
	}
	if c.May("backup:backup_project_attribute", of(b.Project)) {
		view.Project = b.Project
	}
	return view
}

type createBackupRequest struct {
	Backup struct {
		Volume      string    `json:"volume_id" check:"required,pattern=uuid"`
		Container   *string   `json:"container" check:"max=255"`
		Name        *string   `json:"name" check:"max=255"`
		Description *string   `json:"description" check:"max=255"`
		Incremental *api.Bool `json:"incremental"`
		Force       *api.Bool `json:"force"`
		Snapshot    *string   `json:"snapshot_id" check:"pattern=uuid"`
		Metadata    metadata  `json:"metadata" since:"3.43"`
		Zone        *string   `json:"availability_zone" check:"max=255" since:"3.51"`
	} `json:"backup" check:"required"`
}

func isTrue(b *api.Bool) bool { return b != nil && bool(*b) }

func (h handlers) createBackup(c *api.Call, in createBackupRequest) (backupReply[backupSummary], error) {
	reply := backupReply[backupSummary]{}
	v, err := h.service.Volume(c.Context(), viewer(c), in.Backup.Volume)
	if err != nil {
		return reply, err
	}
	err = c.Authorize(of(v.Project))
	if err != nil {
		return reply, err
	}
	b := in.Backup
	created, err := h.service.CreateBackup(c.Context(), viewer(c), volume.NewBackup{
		Volume: v.ID, Snapshot: first(b.Snapshot), Name: first(b.Name), Description: first(b.Description), Container: first(b.Container),
		Incremental: isTrue(b.Incremental), Force: isTrue(b.Force), Zone: first(b.Zone), Metadata: b.Metadata,
	})
	if err != nil {
		return reply, err
	}
	c.Log("backup_id", created.ID)
	return backupReply[backupSummary]{summarizeBackup(c, created)}, nil
}

var backupList = api.List{
	Sorts: map[string]string{
		"id": "id", "name": "name", "status": "status", "size": "size", "volume_id": "volume", "created_at": "created_at",
		"updated_at": "updated_at", "data_timestamp": "data_at", "container": "container",
	},
	Default: []db.Sort{{Column: "created_at", Desc: true}, {Column: "id", Desc: true}},
	Filters: map[string]db.Filter{
		"id": {Column: "id"}, "name": {Column: "name"}, "status": {Column: "status"}, "volume_id": {Column: "volume"},
		"user_id": {Column: "user_id"}, "snapshot_id": {Column: "snapshot"},
	},
}

func (h handlers) backupRows() listing[volume.Backup] {
	return listing[volume.Backup]{
		List: backupList, name: "backups", links: "backup_links", read: h.service.Backups, count: h.service.CountBackups,
		id: func(b volume.Backup) string { return b.ID },
		extra: func(c *api.Call, q *volume.Query) {
			if c.Version >= api.V(3, 43) {
				q.Metadata = pairs(c.Query().Get("metadata"))
			}
		},
	}
}

func (h handlers) listBackups(c *api.Call) (listReply, error) {
	return h.backupRows().answer(c, func(b volume.Backup) any { return summarizeBackup(c, b) })
}

func (h handlers) listBackupsDetail(c *api.Call) (listReply, error) {
	return h.backupRows().answer(c, func(b volume.Backup) any { return h.viewBackup(c, b) })
}

func (h handlers) foundBackup(c *api.Call) (volume.Backup, error) {
	b, err := h.service.Backup(c.Context(), viewer(c), c.PathValue("backup_id"))
	if err != nil {
		return volume.Backup{}, err
	}
	c.Log("backup_id", b.ID)
	return b, c.Authorize(of(b.Project))
}

func (h handlers) showBackup(c *api.Call) (backupReply[backupView], error) {
	b, err := h.foundBackup(c)
	if err != nil {
		return backupReply[backupView]{}, err
	}
	return backupReply[backupView]{h.viewBackup(c, b)}, nil
}

type updateBackupRequest struct {
	Backup struct {
		Name        api.Opt[string]   `json:"name" check:"max=255"`
		Description api.Opt[string]   `json:"description" check:"max=255"`
		Metadata    api.Opt[metadata] `json:"metadata" since:"3.43"`
	} `json:"backup" check:"required"`
}

func (h handlers) updateBackup(c *api.Call, in updateBackupRequest) (backupReply[backupSummary], error) {
	reply := backupReply[backupSummary]{}
	b, err := h.foundBackup(c)
	if err != nil {
		return reply, err
	}
	name, description := given(in.Backup.Name), given(in.Backup.Description)
	if name == nil && description == nil && !in.Backup.Metadata.Set {
		return reply, errs.BadRequestf("Missing updates parameter")
	}
	var all map[string]string
	if in.Backup.Metadata.Set {
		all = map[string]string{}
		for key, value := range in.Backup.Metadata.V {
			all[key] = value
		}
	}
	b, err = h.service.UpdateBackup(c.Context(), viewer(c), b.ID, name, description, all)
	return backupReply[backupSummary]{summarizeBackup(c, b)}, err
}

func (h handlers) deleteBackup(c *api.Call) error {
	b, err := h.foundBackup(c)
	if err != nil {
		return err
	}
	return h.service.DeleteBackup(c.Context(), viewer(c), b.ID, false)
}

func (h handlers) forceDeleteBackup(c *api.Call) error {
	b, err := h.foundBackup(c)
	if err != nil {
		return err
	}
	return h.service.DeleteBackup(c.Context(), viewer(c), b.ID, true)
}

type restoreRequest struct {
	Restore struct {
		Volume *string `json:"volume_id" check:"pattern=uuid"`
		Name   *string `json:"name" check:"max=255"`
	} `json:"restore" check:"required"`
}

type restoreReply struct {
	Restore restoreView `json:"restore"`
}

type restoreView struct {
	Backup     string `json:"backup_id"`
	Volume     string `json:"volume_id"`
	VolumeName string `json:"volume_name"`
}

func (h handlers) restoreBackup(c *api.Call, in restoreRequest) (restoreReply, error) {
	b, err := h.foundBackup(c)
	if err != nil {
		return restoreReply{}, err
	}
	b, v, err := h.service.RestoreBackup(c.Context(), viewer(c), b.ID, first(in.Restore.Volume), first(in.Restore.Name))
	if err != nil {
		return restoreReply{}, err
	}
	c.Log("volume_id", v.ID)
	return restoreReply{restoreView{b.ID, v.ID, v.Name}}, nil
}

type resetBackupRequest struct {
	Reset struct {
		Status string `json:"status" check:"required,enum=available|error"`
	} `json:"os-reset_status" check:"required"`
}

func (h handlers) resetBackup(c *api.Call, in resetBackupRequest) error {
	b, err := h.foundBackup(c)
	if err != nil {
		return err
	}
	return h.service.ResetBackupStatus(c.Context(), viewer(c), b.ID, in.Reset.Status)
}

type backupRecord struct {
	Record backupRecordView `json:"backup-record" check:"required"`
}

type backupRecordView struct {
	Service string `json:"backup_service" check:"required,min=1,max=255"`
	URL     string `json:"backup_url" check:"required,min=1"`
}

func (h handlers) exportBackup(c *api.Call) (backupRecord, error) {
	b, err := h.foundBackup(c)
	if err != nil {
		return backupRecord{}, err
	}
	url, err := h.service.ExportBackup(c.Context(), viewer(c), b.ID)
	return backupRecord{backupRecordView{volume.BackupService, url}}, err
}

func (h handlers) importBackup(c *api.Call, in backupRecord) (backupReply[backupSummary], error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return backupReply[backupSummary]{}, err
	}
	b, err := h.service.ImportBackup(c.Context(), viewer(c), in.Record.Service, in.Record.URL)
	if err != nil {
		return backupReply[backupSummary]{}, err
	}
	c.Log("backup_id", b.ID)
	return backupReply[backupSummary]{summarizeBackup(c, b)}, nil
}
