package app

import (
	"fmt"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/cluster"
	"nacre/internal/errs"
)

// clusterPolicy are the rules of what operators do with servers and nodes.
var clusterPolicy = []auth.Rule{
	{Name: "nacre:servers:list", Check: "rule:admin_required"},
	{Name: "nacre:nodes:list", Check: "rule:admin_required"},
	{Name: "nacre:nodes:revoke", Check: "rule:admin_required"},
	{Name: "nacre:join-tokens:create", Check: "rule:admin_required"},
	{Name: "nacre:token-keys:list", Check: "rule:admin_required"},
	{Name: "nacre:token-keys:rotate", Check: "rule:admin_required"},
}

func (cloud *Cloud) clusterRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/servers", Rule: "nacre:servers:list", Do: api.Get(cloud.listServers)},
		{Method: "GET", Path: "/nodes", Rule: "nacre:nodes:list", Do: api.Get(cloud.listNodes)},
		{Method: "POST", Path: "/nodes/{name}/revoke", Rule: "nacre:nodes:revoke", OK: 204, Do: api.Empty(cloud.revokeNode)},
		{Method: "POST", Path: "/join-tokens", Rule: "nacre:join-tokens:create", OK: 201, Do: api.Body(cloud.createJoinToken)},
		{Method: "GET", Path: "/token-keys", Rule: "nacre:token-keys:list", Do: api.Get(cloud.listTokenKeys)},
		{Method: "POST", Path: "/token-keys/rotate", Rule: "nacre:token-keys:rotate", OK: 204, Do: api.Empty(cloud.rotateTokenKeys)},
	}
}

type serverView struct {
	ID        string     `json:"id"`
	URL       string     `json:"url"`
	Alive     bool       `json:"alive"`
	StartedAt api.Micros `json:"started_at"`
	SeenAt    api.Micros `json:"seen_at"`
}

type serversView struct {
	Servers []serverView `json:"servers"`
}

// listServers tells which servers the cloud has.
func (cloud *Cloud) listServers(c *api.Call) (serversView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return serversView{}, err
	}
	v := serversView{Servers: []serverView{}}
	for _, s := range cloud.Cluster.Servers() {
		v.Servers = append(v.Servers, serverView{
			ID: s.ID, URL: s.URL, Alive: s.Alive, StartedAt: api.Micros(s.StartedAt), SeenAt: api.Micros(s.SeenAt),
		})
	}
	return v, nil
}

type nodeView struct {
	Name        string      `json:"name"`
	Up          bool        `json:"up"`
	Server      string      `json:"server"` // id of the one that holds its connection
	SeenAt      *api.Micros `json:"seen_at"`
	Certificate string      `json:"certificate"` // good, revoked, expired or none
	Until       *api.Micros `json:"certificate_until"`
}

type nodesView struct {
	Nodes []nodeView `json:"nodes"`
}

// listNodes tells which hosts there are, and how it stands with their certificates.
func (cloud *Cloud) listNodes(c *api.Call) (nodesView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nodesView{}, err
	}
	certificates, err := cloud.Cluster.Certificates(c.Context())
	if err != nil {
		return nodesView{}, err
	}
	all, err := cloud.Hosts.List(c.Context())
	if err != nil {
		return nodesView{}, err
	}
	v := nodesView{Nodes: []nodeView{}}
	for _, h := range all {
		seen := api.Micros(h.SeenAt)
		n := nodeView{Name: h.Name, Up: h.Up, Server: h.Server, SeenAt: &seen, Certificate: "none"}
		found, has := certificates[h.Name]
		if has {
			until := api.Micros(found.Expires)
			n.Certificate, n.Until = stateOf(found, cloud.Config.Clock.Now()), &until
		}
		v.Nodes = append(v.Nodes, n)
	}
	return v, nil
}

func stateOf(c cluster.Certificate, now time.Time) string {
	switch {
	case !c.Revoked.IsZero():
		return "revoked"
	case now.After(c.Expires):
		return "expired"
	}
	return "good"
}

// revokeNode ends a node's certificates: its connection is cut at once.
func (cloud *Cloud) revokeNode(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	return cloud.Cluster.Revoke(c.Context(), c.PathValue("name"))
}

type joinTokenRequest struct {
	Host    string `json:"host"`
	Uses    int    `json:"uses"`
	Seconds int64  `json:"seconds"`
}

type joinTokenView struct {
	Token     string     `json:"token"`
	ExpiresAt api.Micros `json:"expires_at"`
}

// createJoinToken makes a token that nodes join with. It is shown this once.
func (cloud *Cloud) createJoinToken(c *api.Call, in joinTokenRequest) (joinTokenView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return joinTokenView{}, err
	}
	if cloud.Config.Advertise == "" {
		return joinTokenView{}, errs.Conflictf("This cloud takes no nodes: it listens without TLS. Run nacre server, or set advertise.")
	}
	token, expires, err := cloud.Cluster.NewToken(c.Context(), cluster.JoinToken{
		Host: in.Host, Uses: in.Uses, Life: time.Duration(in.Seconds) * time.Second,
	})
	if err != nil {
		return joinTokenView{}, fmt.Errorf("make a join token: %w", err)
	}
	return joinTokenView{Token: token, ExpiresAt: api.Micros(expires)}, nil
}

type tokenKeyView struct {
	Kind      string      `json:"kind"` // fernet or jws
	Number    int         `json:"number"`
	State     string      `json:"state"` // primary, retired or staged
	CreatedAt api.Micros  `json:"created_at"`
	RetiredAt *api.Micros `json:"retired_at"`
}

type tokenKeysView struct {
	TokenKeys []tokenKeyView `json:"token_keys"`
}

// listTokenKeys tells which keys tokens are made with and opened by, not what
// they are.
func (cloud *Cloud) listTokenKeys(c *api.Call) (tokenKeysView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return tokenKeysView{}, err
	}
	keys, err := cloud.identity.TokenKeys(c.Context())
	if err != nil {
		return tokenKeysView{}, err
	}
	v := tokenKeysView{TokenKeys: []tokenKeyView{}}
	for _, k := range keys {
		view := tokenKeyView{Kind: string(k.Kind), Number: k.Number, State: k.State, CreatedAt: api.Micros(k.CreatedAt)}
		if !k.RetiredAt.IsZero() {
			at := api.Micros(k.RetiredAt)
			view.RetiredAt = &at
		}
		v.TokenKeys = append(v.TokenKeys, view)
	}
	return v, nil
}

// rotateTokenKeys has new tokens made with the next keys.
func (cloud *Cloud) rotateTokenKeys(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	return cloud.identity.RotateKeys(c.Context())
}
