package api

import (
	"net/http"
	"net/url"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) oauth() []api.Route {
	const consumer = "/OS-OAUTH1/consumers/{consumer_id}"
	const tokens, token = "/users/{user_id}/OS-OAUTH1/access_tokens", "/users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}"
	k := h.consumerKind()
	return []api.Route{
		{Method: "POST", Path: "/OS-OAUTH1/consumers", Rule: "identity:create_consumer", OK: 201, Do: api.Body(h.createConsumer)},
		{Method: "DELETE", Path: consumer, Rule: "identity:delete_consumer", OK: 204, Do: api.Empty(k.delete)},
		{Method: "GET", Path: "/OS-OAUTH1/consumers", Rule: "identity:list_consumers", Do: api.Get(k.list)},
		{Method: "GET", Path: consumer, Rule: "identity:get_consumer", Do: api.Get(k.show)},
		{Method: "PATCH", Path: consumer, Rule: "identity:update_consumer", Do: api.Body(h.updateConsumer)},
		{Method: "POST", Path: "/OS-OAUTH1/request_token", Public: true, OK: 201, Do: h.requestOAuth},
		{Method: "PUT", Path: "/OS-OAUTH1/authorize/{request_token_id}", Rule: "identity:authorize_request_token", Do: api.Body(h.authorizeOAuth)},
		{Method: "POST", Path: "/OS-OAUTH1/access_token", Public: true, OK: 201, Do: h.exchangeOAuth},
		{Method: "GET", Path: token, Rule: "identity:get_access_token", Do: api.Get(h.showAccessToken)},
		{Method: "DELETE", Path: token, Rule: "identity:delete_access_token", OK: 204, Do: api.Empty(h.deleteAccessToken)},
		{Method: "GET", Path: tokens, Rule: "identity:list_access_tokens", Do: api.Get(h.listAccessTokens)},
		{Method: "GET", Path: token + "/roles", Rule: "identity:list_access_token_roles", Do: api.Get(h.listAccessTokenRoles)},
		{Method: "GET", Path: token + "/roles/{role_id}", Rule: "identity:get_access_token_role", Do: api.Get(h.showAccessTokenRole)},
	}
}

type consumerView struct {
	ID          string   `json:"id"`
	Description *string  `json:"description"`
	Secret      string   `json:"secret,omitempty"`
	Links       selfLink `json:"links"`
}

func consumerViewOf(c *api.Call, r identity.Consumer, secret string) any {
	return open{consumerView{r.ID, r.Description, secret, selfLink{c.URL("/OS-OAUTH1/consumers/" + r.ID)}}, r.Extra.V}
}

func (h handlers) consumerKind() kind[identity.Consumer] {
	return kind[identity.Consumer]{
		one: "consumer", many: "consumers", param: "consumer_id",
		view: func(c *api.Call, r identity.Consumer) any { return consumerViewOf(c, r, "") },
		all:  func(c *api.Call) ([]identity.Consumer, error) { return h.identity.Consumers(c.Context()) },
		get:  h.identity.Consumer, remove: h.identity.DeleteConsumer,
	}
}

type consumerFields struct {
	_           struct{}        `check:"open"`
	Description api.Opt[string] `json:"description"`
	Secret      *string         `json:"secret"`
}

type consumerRequest struct {
	_        struct{}       `check:"open"`
	Consumer consumerFields `json:"consumer" check:"required"`
}

func (h handlers) createConsumer(c *api.Call, in consumerRequest) (map[string]any, error) {
	k, secret := h.consumerKind(), ""
	k.view = func(c *api.Call, r identity.Consumer) any { return consumerViewOf(c, r, secret) }
	return k.made(c, in.Consumer, func(extra map[string]any) (identity.Consumer, error) {
		r := identity.Consumer{Extra: db.Of(extra)}
		setOptional(&r.Description, in.Consumer.Description)
		var err error
		r, secret, err = h.identity.CreateConsumer(c.Context(), r)
		return r, err
	})
}

func (h handlers) updateConsumer(c *api.Call, in consumerRequest) (map[string]any, error) {
	return h.consumerKind().made(c, in.Consumer, func(extra map[string]any) (identity.Consumer, error) {
		if in.Consumer.Secret != nil {
			return identity.Consumer{}, errs.BadRequestf("The secret of a consumer cannot be changed.")
		}
		return h.identity.UpdateConsumer(c.Context(), c.PathValue("consumer_id"), func(r *identity.Consumer) error {
			setOptional(&r.Description, in.Consumer.Description)
			r.Extra.V = merged(r.Extra.V, extra)
			return nil
		})
	})
}

// signedOAuth reads a request that a consumer has signed.
func signedOAuth(c *api.Call, needs ...string) (identity.OAuthRequest, error) {
	params, err := identity.ParseOAuth(c.Header("Authorization"))
	if err != nil {
		return identity.OAuthRequest{}, errs.BadRequestf("Error retrieving OAuth headers.").Because(err)
	}
	for _, name := range append([]string{"oauth_consumer_key"}, needs...) {
		if params[name] == "" {
			return identity.OAuthRequest{}, missing(name, "request")
		}
	}
	r := c.Request()
	// The openstack command signs the address that it signs in at, and asks the one of the catalog.
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/identity")
	return identity.OAuthRequest{Method: r.Method, URLs: []string{c.Base() + path, c.Base() + "/identity" + path}, Query: c.Query(), Params: params}, nil
}

// formReply tells a token as OAuth has it: as a form.
func formReply(t identity.NewOAuthToken) api.Reply {
	body := "oauth_token=" + url.QueryEscape(t.ID) + "&oauth_token_secret=" + url.QueryEscape(t.Secret) +
		"&oauth_expires_at=" + url.QueryEscape(t.ExpiresAt.UTC().Format("2006-01-02T15:04:05.000000Z"))
	return api.Reply{Status: http.StatusCreated, ContentType: "application/x-www-form-urlencoded", Body: []byte(body)}
}

func (h handlers) requestOAuth(c *api.Call) (any, error) {
	r, err := signedOAuth(c)
	if err != nil {
		return nil, err
	}
	project := c.Header("Requested-Project-Id")
	if project == "" {
		return nil, missing("Requested-Project-Id", "request")
	}
	t, err := h.identity.RequestOAuth(c.Context(), r, project)
	return formReply(t), err
}

func (h handlers) exchangeOAuth(c *api.Call) (any, error) {
	r, err := signedOAuth(c, "oauth_token", "oauth_verifier")
	if err != nil {
		return nil, err
	}
	t, err := h.identity.ExchangeOAuth(c.Context(), r)
	return formReply(t), err
}

type authorizeOAuthRequest struct {
	_     struct{}      `check:"open"`
	Roles []roleRequest `json:"roles" check:"required,min=1"`
}

type verifierReply struct {
	Token struct {
		Verifier string `json:"oauth_verifier"`
	} `json:"token"`
}

func (h handlers) authorizeOAuth(c *api.Call, in authorizeOAuthRequest) (verifierReply, error) {
	var reply verifierReply
	err := c.Authorize(auth.Target{})
	if err != nil {
		return reply, err
	}
	err = undelegated(c, "access tokens")
	if err != nil {
		return reply, err
	}
	reply.Token.Verifier, err = h.identity.AuthorizeOAuth(c.Context(), c.PathValue("request_token_id"), c.Caller.User, roleNames(in.Roles))
	return reply, err
}

type accessTokenLinks struct {
	Self  string `json:"self"`
	Roles string `json:"roles"`
}

type accessTokenView struct {
	ID         string           `json:"id"`
	ConsumerID string           `json:"consumer_id"`
	ProjectID  string           `json:"project_id"`
	UserID     string           `json:"authorizing_user_id"`
	ExpiresAt  stamp            `json:"expires_at"`
	Links      accessTokenLinks `json:"links"`
}

func viewAccessToken(c *api.Call, t identity.AccessToken) any {
	self := c.URL("/users/" + t.UserID + "/OS-OAUTH1/access_tokens/" + t.ID)
	return accessTokenView{t.ID, t.ConsumerID, t.ProjectID, t.UserID, stamp(t.ExpiresAt.Time()), accessTokenLinks{self, self + "/roles"}}
}

// authorizeAccess checks the rule of the row; delegates have no say.
func authorizeAccess(c *api.Call) error {
	err := c.Authorize(auth.Target{User: c.PathValue("user_id")})
	if err != nil {
		return err
	}
	return undelegated(c, "access tokens")
}

func (h handlers) listAccessTokens(c *api.Call) (map[string]any, error) {
	err := authorizeAccess(c)
	if err != nil {
		return nil, err
	}
	rows, err := h.identity.AccessTokens(c.Context(), c.PathValue("user_id"))
	return many(c, "access_tokens", viewAccessToken, rows, err)
}

func (h handlers) showAccessToken(c *api.Call) (map[string]any, error) {
	err := authorizeAccess(c)
	if err != nil {
		return nil, err
	}
	t, err := h.identity.AccessToken(c.Context(), c.PathValue("user_id"), c.PathValue("access_token_id"))
	return one(c, "access_token", viewAccessToken, t, err)
}

func (h handlers) deleteAccessToken(c *api.Call) error {
	err := authorizeAccess(c)
	if err != nil {
		return err
	}
	return h.identity.DeleteAccessToken(c.Context(), c.PathValue("user_id"), c.PathValue("access_token_id"))
}

func (h handlers) accessTokenRoles(c *api.Call) ([]identity.Role, error) {
	err := authorizeAccess(c)
	if err != nil {
		return nil, err
	}
	return h.identity.AccessTokenRoles(c.Context(), c.PathValue("user_id"), c.PathValue("access_token_id"))
}

func (h handlers) listAccessTokenRoles(c *api.Call) (rolesReply, error) {
	roles, err := h.accessTokenRoles(c)
	return viewRoles(c, roles), err
}

func (h handlers) showAccessTokenRole(c *api.Call) (roleReply, error) {
	roles, err := h.accessTokenRoles(c)
	if err != nil {
		return roleReply{}, err
	}
	for _, r := range roles {
		if r.ID == c.PathValue("role_id") {
			return roleReply{viewRole(c, r)}, nil
		}
	}
	return roleReply{}, errs.NotFoundf("Could not find role: %s.", c.PathValue("role_id"))
}
