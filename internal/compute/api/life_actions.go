package api

import (
	"cmp"
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
)

// lifeRoutes is what can be done to servers that exist besides starting and
// stopping them.
func (h handlers) lifeRoutes() []api.Route {
	const path = "/servers/{server_id}/action"
	return []api.Route{
		{Method: "POST", Path: path, Action: "pause", Rule: "os_compute_api:os-pause-server:pause", OK: 202, Do: h.plain(h.compute.PauseServer)},
		{Method: "POST", Path: path, Action: "unpause", Rule: "os_compute_api:os-pause-server:unpause", OK: 202, Do: h.plain(h.compute.UnpauseServer)},
		{Method: "POST", Path: path, Action: "suspend", Rule: "os_compute_api:os-suspend-server:suspend", OK: 202, Do: h.plain(h.compute.SuspendServer)},
		{Method: "POST", Path: path, Action: "resume", Rule: "os_compute_api:os-suspend-server:resume", OK: 202, Do: h.plain(h.compute.ResumeServer)},
		{Method: "POST", Path: path, Action: "rebuild", Rule: "os_compute_api:servers:rebuild", OK: 202, Do: api.Body(h.rebuild)},
		{Method: "POST", Path: path, Action: "createImage", Rule: "os_compute_api:servers:create_image", OK: 202, Do: api.Body(h.createImage)},
		{Method: "POST", Path: path, Action: "createBackup", Rule: "os_compute_api:os-create-backup", OK: 202, Do: api.Body(h.createBackup)},
		{Method: "POST", Path: path, Action: "resize", Rule: "os_compute_api:servers:resize", OK: 202, Do: api.BodyEmpty(h.resize)},
		{Method: "POST", Path: path, Action: "confirmResize", Rule: "os_compute_api:servers:confirm_resize", OK: 204, Do: h.plain(h.compute.ConfirmResize)},
		{Method: "POST", Path: path, Action: "revertResize", Rule: "os_compute_api:servers:revert_resize", OK: 202, Do: h.plain(h.compute.RevertResize)},
		{Method: "POST", Path: path, Action: "migrate", Rule: "os_compute_api:os-migrate-server:migrate", OK: 202, Do: api.BodyEmpty(h.migrate)},
		{Method: "POST", Path: path, Action: "os-migrateLive", Rule: "os_compute_api:os-migrate-server:migrate_live", OK: 202, Do: api.BodyEmpty(h.migrateLive)},
		{Method: "POST", Path: path, Action: "restore", Rule: "os_compute_api:os-deferred-delete:restore", OK: 202, Do: h.plain(h.compute.RestoreServer)},
		{Method: "POST", Path: path, Action: "injectNetworkInfo", Rule: "os_compute_api:os-admin-actions:inject_network_info", OK: 202, Do: h.plain(h.compute.InjectNetworkInfo)},
	}
}

type rebuildRequest struct {
	Rebuild rebuildServer `json:"rebuild" check:"required"`
}

type rebuildServer struct {
	Image        string                `json:"imageRef" check:"required,pattern=uuid"`
	Name         *string               `json:"name" check:"min=1,max=255,pattern=name,notnull"`
	AdminPass    string                `json:"adminPass"`
	Metadata     metadataRequest       `json:"metadata"`
	Preserve     *api.Bool             `json:"preserve_ephemeral" check:"notnull"`
	DiskConfig   string                `json:"OS-DCF:diskConfig" check:"enum=AUTO|MANUAL"`
	AccessIP4    *address              `json:"accessIPv4" check:"format=ipv4,notnull"`
	AccessIP6    *address              `json:"accessIPv6" check:"format=ipv6,notnull"`
	Personality  []fileRequest         `json:"personality" until:"2.56"`
	Description  api.Opt[string]       `json:"description" since:"2.19" check:"max=255"`
	KeyName      api.Opt[string]       `json:"key_name" since:"2.54" check:"min=1,max=255,pattern=name"`
	UserData     api.Opt[string]       `json:"user_data" since:"2.57" check:"pattern=base64,max=65535"`
	Certificates api.Opt[certificates] `json:"trusted_image_certificates" since:"2.63"`
	Hostname     *hostname             `json:"hostname" since:"2.90" check:"notnull"`
}

// rebuiltView is what a rebuild answered before 2.75.
type rebuiltView struct {
	updatedView
	AdminPass string   `json:"adminPass"`
	KeyName   *string  `json:"key_name" since:"2.54"`
	UserData  **string `json:"user_data,omitempty" since:"2.57"`
}

type rebuiltReply struct {
	Server rebuiltView `json:"server"`
}

// rebuiltFullView is the whole view with what only a rebuild answers.
type rebuiltFullView struct {
	serverView
	AdminPass       string  `json:"adminPass"`
	RebuiltUserData *string `json:"user_data"`
}

type rebuiltFullReply struct {
	Server rebuiltFullView `json:"server"`
}

func (h handlers) rebuild(c *api.Call, in rebuildRequest) (any, error) {
	server, err := h.server(c)
	if err != nil {
		return nil, err
	}
	r := in.Rebuild
	change := compute.Rebuild{Image: r.Image, OfVolume: c.Version >= api.V(2, 93), ZeroDisk: c.May(zeroDisk, of(server)), Metadata: r.Metadata, ServerUpdate: compute.ServerUpdate{
		Name: r.Name, AccessIP4: (*string)(r.AccessIP4), AccessIP6: (*string)(r.AccessIP6), Hostname: (*string)(r.Hostname), AutoDisk: autoDisk(r.DiskConfig),
	}}
	change.Description, change.KeyName = orNone(r.Description), orNone(r.KeyName)
	if r.UserData.Set {
		change.UserData = &r.UserData.V // null is none
	}
	if r.Certificates.Set {
		err = c.AuthorizeRule("os_compute_api:servers:rebuild:trusted_certs", auth.Target{Project: server.Project, User: server.UserID})
		if err != nil {
			return nil, err
		}
		change.Certificates = (*[]string)(&r.Certificates.V) // null is none
	}
	pass := cmp.Or(r.AdminPass, password())
	change.AdminPass = pass
	change.Files, err = personality(r.Personality)
	if err != nil {
		return nil, err
	}
	server, err = h.compute.RebuildServer(c.Context(), act(c, server), c.Caller, change)
	if err != nil {
		return nil, err
	}
	reply, err := h.full(c, server)
	if err != nil {
		return nil, err
	}
	c.SetHeader("Location", c.URL("/servers/"+server.ID))
	userData, err := h.compute.UserData(c.Context(), server.ID)
	if err != nil {
		return nil, err
	}
	shown := orNull(userData)
	if c.Version >= api.V(2, 75) {
		reply.Server.UserData = nil // it stands beside
		return rebuiltFullReply{rebuiltFullView{*reply.Server, pass, shown}}, nil
	}
	return rebuiltReply{rebuiltView{brief(reply.Server), pass, server.KeyName, &shown}}, nil
}

// orNone is nil when the field was left out, and a pointer to nil when it was null.
func orNone(o api.Opt[string]) **string {
	if !o.Set {
		return nil
	}
	var text *string
	if !o.Null {
		text = &o.V
	}
	return &text
}

type createImageRequest struct {
	Create struct {
		Name     string          `json:"name" check:"required,min=1,max=255,pattern=name"`
		Metadata metadataRequest `json:"metadata"`
	} `json:"createImage" check:"required"`
}

type createdImageReply struct {
	ID string `json:"image_id"`
}

func (h handlers) createImage(c *api.Call, in createImageRequest) (any, error) {
	server, err := h.server(c)
	if err != nil {
		return nil, err
	}
	if server.Image == "" {
		err = c.AuthorizeRule("os_compute_api:servers:create_image:allow_volume_backed", of(server))
		if err != nil {
			return nil, err
		}
	}
	id, err := h.compute.SnapshotServer(c.Context(), act(c, server), c.Caller, compute.Snapshot{Name: in.Create.Name, Metadata: in.Create.Metadata})
	if err != nil {
		return nil, err
	}
	return imageMade(c, id)
}

// imageMade answers with the image: in a header until 2.44.
func imageMade(c *api.Call, id string) (any, error) {
	c.Log("image_id", id)
	if c.Version < api.V(2, 45) {
		c.SetHeader("Location", c.Base()+"/image/images/"+id)
		return nil, nil
	}
	return createdImageReply{id}, nil
}

type createBackupRequest struct {
	Create struct {
		Name     string          `json:"name" check:"required,min=1,max=255,pattern=name"`
		Type     string          `json:"backup_type" check:"required"`
		Rotation rotation        `json:"rotation" check:"required"`
		Metadata metadataRequest `json:"metadata"`
	} `json:"createBackup" check:"required"`
}

// rotation is how many backups are kept, perhaps sent as text.
type rotation int

// JSONSchema implements api.Schemer.
func (rotation) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"integer", "string"}, "pattern": "^[0-9]+$", "minimum": 0}
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *rotation) UnmarshalJSON(b []byte) error { return (*integer)(n).UnmarshalJSON(b) }

func (h handlers) createBackup(c *api.Call, in createBackupRequest) (any, error) {
	server, err := h.server(c)
	if err != nil {
		return nil, err
	}
	id, err := h.compute.SnapshotServer(c.Context(), act(c, server), c.Caller, compute.Snapshot{
		Name: in.Create.Name, Metadata: in.Create.Metadata, Backup: &compute.Backup{Kind: in.Create.Type, Keep: int(in.Create.Rotation)},
	})
	if err != nil {
		return nil, err
	}
	return imageMade(c, id)
}

type resizeRequest struct {
	Resize struct {
		Flavor     reference `json:"flavorRef" check:"required"`
		DiskConfig string    `json:"OS-DCF:diskConfig" check:"enum=AUTO|MANUAL"`
	} `json:"resize" check:"required"`
}

func (h handlers) resize(c *api.Call, in resizeRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.ResizeServer(c.Context(), act(c, server), c.Caller, string(in.Resize.Flavor), autoDisk(in.Resize.DiskConfig))
}
