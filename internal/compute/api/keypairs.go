package api

import (
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// keypairRoutes is the key pairs API in the order of the API reference.
func (h handlers) keypairRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/os-keypairs", Rule: "os_compute_api:os-keypairs:index", Do: api.Get(h.listKeyPairs)},
		{Method: "POST", Path: "/os-keypairs", Rule: "os_compute_api:os-keypairs:create", Do: api.Body(h.createKeyPair)},
		{Method: "GET", Path: "/os-keypairs/{keypair_name}", Rule: "os_compute_api:os-keypairs:show", Do: api.Get(h.showKeyPair)},
		{Method: "DELETE", Path: "/os-keypairs/{keypair_name}", Rule: "os_compute_api:os-keypairs:delete", Do: api.Empty(h.deleteKeyPair)},
	}
}

type keyPairItem struct {
	KeyPair keyPairView `json:"keypair"`
}

type keyPairView struct {
	Name        string  `json:"name"`
	PublicKey   string  `json:"public_key"`
	Fingerprint string  `json:"fingerprint"`
	Type        string  `json:"type" since:"2.2"`
	PrivateKey  *string `json:"private_key,omitempty"`
	User        *string `json:"user_id,omitempty"`
}

type keyPairDetail struct {
	KeyPair keyPairWhole `json:"keypair"`
}

type keyPairWhole struct {
	keyPairView
	ID        int64      `json:"id"`
	Owner     string     `json:"user_id"`
	Deleted   bool       `json:"deleted"`
	CreatedAt api.Micros `json:"created_at"`
	UpdatedAt *string    `json:"updated_at"`
	DeletedAt *string    `json:"deleted_at"`
}

type keyPairsReply struct {
	KeyPairs []keyPairItem `json:"keypairs"`
	Links    []api.Link    `json:"keypairs_links,omitempty"`
}

func viewKeyPair(p compute.KeyPair) keyPairView {
	return keyPairView{Name: p.Name, PublicKey: p.PublicKey, Fingerprint: p.Fingerprint, Type: p.Type}
}

// owner is whose key pairs the call is about: the caller's, or since 2.10
// another user's. It authorizes the call.
func owner(c *api.Call, named string) (string, error) {
	user := c.Caller.User
	if named == "" && c.Request().Method != "POST" {
		named = c.Query().Get("user_id")
	}
	if named != "" && c.Version >= api.V(2, 10) {
		user = named
	}
	return user, c.Authorize(auth.Target{User: user, Project: c.Caller.Project})
}

func (h handlers) listKeyPairs(c *api.Call) (keyPairsReply, error) {
	user, err := owner(c, "")
	if err != nil {
		return keyPairsReply{}, err
	}
	page, err := pageSince(c, api.V(2, 35), api.List{})
	if err != nil {
		return keyPairsReply{}, err
	}
	list, more, err := h.compute.KeyPairs(c.Context(), user, page)
	if err != nil {
		return keyPairsReply{}, err
	}
	reply := keyPairsReply{}
	for _, p := range list {
		reply.KeyPairs = append(reply.KeyPairs, keyPairItem{viewKeyPair(p)})
	}
	if more {
		reply.Links = next(c, more, list[len(list)-1].Name)
	}
	return reply, nil
}

type createKeyPairRequest struct {
	KeyPair struct {
		Name      string  `json:"name" check:"required,min=1,max=255"`
		Type      string  `json:"type" since:"2.2" check:"enum=ssh|x509"`
		PublicKey *string `json:"public_key" check:"notnull"`
		User      string  `json:"user_id" since:"2.10"`
	} `json:"keypair" check:"required"`
}

func (h handlers) createKeyPair(c *api.Call, in createKeyPairRequest) (keyPairItem, error) {
	user, err := owner(c, in.KeyPair.User)
	if err != nil {
		return keyPairItem{}, err
	}
	if c.Version >= api.V(2, 92) && in.KeyPair.PublicKey == nil {
		return keyPairItem{}, errs.BadRequestf("Invalid input for field/attribute keypair. Value: {'name': '%s'}. 'public_key' is a required property", in.KeyPair.Name)
	}
	err = checkKeyName(c, in.KeyPair.Name)
	if err != nil {
		return keyPairItem{}, err
	}
	kind := in.KeyPair.Type
	if kind == "" {
		kind = "ssh"
	}
	pair, private, err := h.compute.CreateKeyPair(c.Context(), c.Caller, user, in.KeyPair.Name, kind, in.KeyPair.PublicKey)
	if err != nil {
		return keyPairItem{}, err
	}
	v := viewKeyPair(pair)
	v.User = &pair.UserID
	if private != "" {
		v.PrivateKey = &private
	}
	if c.Version >= api.V(2, 2) {
		c.SetStatus(201)
	}
	return keyPairItem{v}, nil
}

func checkKeyName(c *api.Call, name string) error {
	allowed := "_- "
	if c.Version >= api.V(2, 92) {
		allowed += "@."
	}
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune(allowed, r) {
			return errs.BadRequestf("Keypair data is invalid: Keypair name contains unsafe characters")
		}
	}
	if name != strings.TrimSpace(name) {
		return errs.BadRequestf("Invalid input for field/attribute name. Value: %s. '%s' does not match '^[^\\s].*[^\\s]$'", name, name)
	}
	return nil
}

func (h handlers) showKeyPair(c *api.Call) (keyPairDetail, error) {
	user, err := owner(c, "")
	if err != nil {
		return keyPairDetail{}, err
	}
	p, err := h.compute.KeyPair(c.Context(), user, c.PathValue("keypair_name"))
	return keyPairDetail{keyPairWhole{keyPairView: viewKeyPair(p), ID: p.Seq, Owner: p.UserID, CreatedAt: api.Micros(p.CreatedAt.Time())}}, err
}

func (h handlers) deleteKeyPair(c *api.Call) error {
	user, err := owner(c, "")
	if err != nil {
		return err
	}
	c.SetStatus(202)
	if c.Version >= api.V(2, 2) {
		c.SetStatus(204)
	}
	return h.compute.DeleteKeyPair(c.Context(), user, c.PathValue("keypair_name"))
}
