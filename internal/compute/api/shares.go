package api

import (
	"nacre/internal/api"
	"nacre/internal/errs"
)

// shareRoutes is shared file systems at servers.
func (h handlers) shareRoutes() []api.Route {
	v97 := api.V(2, 97)
	const path = "/servers/{server_id}/shares"
	return []api.Route{
		{Method: "GET", Path: path, Since: v97, Rule: "os_compute_api:os-server-shares:index", Do: api.Get(h.listShares)},
		{Method: "POST", Path: path, Since: v97, Rule: "os_compute_api:os-server-shares:create", OK: 201, Do: api.BodyEmpty(h.attachShare)},
		{Method: "GET", Path: path + "/{share_id}", Since: v97, Rule: "os_compute_api:os-server-shares:show", Do: api.Empty(h.noShare)},
		{Method: "DELETE", Path: path + "/{share_id}", Since: v97, Rule: "os_compute_api:os-server-shares:delete", OK: 200, Do: api.Empty(h.detachShare)},
	}
}

type sharesReply struct {
	Shares []struct{} `json:"shares"`
}

// listShares lists none: no host can give a guest a share, so no server has one.
func (h handlers) listShares(c *api.Call) (sharesReply, error) {
	_, err := h.server(c)
	return sharesReply{[]struct{}{}}, err
}

type attachShareRequest struct {
	Share struct {
		ID  string  `json:"share_id" check:"required,pattern=uuid"`
		Tag *string `json:"tag" check:"min=1,max=255,pattern=id,notnull"`
	} `json:"share" check:"required"`
}

// attachShare refuses as Nova does where hosts lack the means.
func (h handlers) attachShare(c *api.Call, _ attachShareRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	if server.VMState != "stopped" {
		return errs.Conflictf("Cannot 'create share' instance %s while it is in vm_state %s", server.ID, server.VMState)
	}
	return errs.Forbiddenf("Feature not supported with instances that have shares: no host has the trait COMPUTE_STORAGE_VIRTIO_FS.")
}

func (h handlers) noShare(c *api.Call) error {
	_, err := h.server(c)
	if err != nil {
		return err
	}
	return errs.NotFoundf("Share %s could not be found.", c.PathValue("share_id"))
}

func (h handlers) detachShare(c *api.Call) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	if server.VMState != "stopped" && server.VMState != "error" {
		return errs.Conflictf("Cannot 'delete share' instance %s while it is in vm_state %s", server.ID, server.VMState)
	}
	return h.noShare(c)
}
