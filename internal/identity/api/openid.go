package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

// openIDMount is where this cloud signs in the users of other programs.
const openIDMount = "/oidc"

// OpenID describes OpenID Connect for the kernel. The issuer is the mount's URL.
func OpenID(service *identity.Service, federation Federation) api.Service {
	h := handlers{identity: service, federation: federation}
	return api.Service{
		Name: "nacre", Type: "nacre", Mount: openIDMount, Spec: openIDMount, Envelope: api.Keystone,
		Routes: []api.Route{
			{Method: "GET", Path: "/.well-known/openid-configuration", Public: true, Do: api.Get(h.openIDConfiguration)},
			{Method: "GET", Path: "/jwks", Public: true, Do: h.openIDKeys},
			{Method: "GET", Path: "/authorize", Public: true, Do: h.authorizeForm},
			{Method: "POST", Path: "/authorize", Public: true, Do: h.authorize},
			{Method: "GET", Path: "/device", Public: true, Do: h.deviceForm},
			{Method: "POST", Path: "/device", Public: true, Do: h.approveDevice},
			{Method: "POST", Path: "/device_authorization", Public: true, Do: h.client(h.startDevice)},
			{Method: "POST", Path: "/token", Public: true, Do: h.client(h.openIDToken)},
			{Method: "POST", Path: "/introspect", Public: true, Do: h.client(h.introspect)},
			{Method: "POST", Path: "/revoke", Public: true, Do: h.client(h.revokeOpenID)},
			{Method: "GET", Path: "/userinfo", Public: true, Do: h.userInfo},
			{Method: "POST", Path: "/userinfo", Public: true, Do: h.userInfo},
			{Method: "GET", Path: "/clients", Rule: "nacre:oidc_clients:list", Do: api.Get(h.listClients)},
			{Method: "POST", Path: "/clients", Rule: "nacre:oidc_clients:create", OK: 201, Do: api.Body(h.createClient)},
			{Method: "GET", Path: "/clients/{client_id}", Rule: "nacre:oidc_clients:show", Do: api.Get(h.showClient)},
			{Method: "DELETE", Path: "/clients/{client_id}", Rule: "nacre:oidc_clients:delete", OK: 204, Do: api.Empty(h.deleteClient)},
		},
	}
}

// OpenIDPolicy are the rules of those calls that take a token of the cloud.
var OpenIDPolicy = []auth.Rule{
	{Name: "nacre:oidc_clients:list", Check: "rule:admin_required"},
	{Name: "nacre:oidc_clients:create", Check: "rule:admin_required"},
	{Name: "nacre:oidc_clients:show", Check: "rule:admin_required"},
	{Name: "nacre:oidc_clients:delete", Check: "rule:admin_required"},
}

func issuer(c *api.Call) string { return c.Base() + openIDMount }

// openIDConfiguration says what there is, in the form of OpenID Connect
// Discovery and RFC 8414.
type openIDConfiguration struct {
	Issuer                string   `json:"issuer"`
	Authorization         string   `json:"authorization_endpoint"`
	Token                 string   `json:"token_endpoint"`
	UserInfo              string   `json:"userinfo_endpoint"`
	Keys                  string   `json:"jwks_uri"`
	Device                string   `json:"device_authorization_endpoint"`
	Introspection         string   `json:"introspection_endpoint"`
	Revocation            string   `json:"revocation_endpoint"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	Algorithms            []string `json:"id_token_signing_alg_values_supported"`
	Scopes                []string `json:"scopes_supported"`
	Claims                []string `json:"claims_supported"`
	ClientAuthentication  []string `json:"token_endpoint_auth_methods_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	IssuerInResponse      bool     `json:"authorization_response_iss_parameter_supported"`
	RequestParameter      bool     `json:"request_parameter_supported"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"`
	IntrospectionByClient []string `json:"introspection_endpoint_auth_methods_supported"`
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

func (h handlers) openIDConfiguration(c *api.Call) (openIDConfiguration, error) {
	at := issuer(c)
	return openIDConfiguration{
		Issuer: at, Authorization: at + "/authorize", Token: at + "/token", UserInfo: at + "/userinfo", Keys: at + "/jwks",
		Device: at + "/device_authorization", Introspection: at + "/introspect", Revocation: at + "/revoke",
		ResponseTypes: []string{"code"}, ResponseModes: []string{"query"},
		GrantTypes:   []string{"authorization_code", "refresh_token", deviceGrant},
		SubjectTypes: []string{"public"}, Algorithms: []string{"ES256"}, Scopes: identity.OpenIDScopes,
		Claims: []string{"sub", "iss", "aud", "azp", "exp", "iat", "auth_time", "nonce", "at_hash",
			"name", "preferred_username", "email", "email_verified", "groups"},
		ClientAuthentication: []string{"client_secret_basic", "client_secret_post", "none"}, ChallengeMethods: []string{"S256"},
		IssuerInResponse: true, IntrospectionByClient: []string{"client_secret_basic", "client_secret_post"},
	}, nil
}

func (h handlers) openIDKeys(c *api.Call) (any, error) {
	keys, err := h.identity.OpenIDKeys(c.Context())
	if err != nil {
		return nil, err
	}
	c.SetHeader("Cache-Control", "public, max-age=3600")
	return rawJSON(http.StatusOK, keys)
}

// rawJSON is a reply in the form of others.
func rawJSON(status int, value any) (any, error) {
	body, err := json.Marshal(value)
	return api.Reply{Status: status, ContentType: "application/json", Body: body}, err
}

// client makes a handler of a function that needs to know the client and the
// form that it sent.
func (h handlers) client(do func(c *api.Call, client identity.OpenIDClient, form url.Values) (any, error)) api.Handler {
	return func(c *api.Call) (any, error) {
		c.SetHeader("Cache-Control", "no-store")
		client, form, err := h.openIDClientOf(c)
		var answer any
		if err == nil {
			c.Log("oidc_client_id", client.ID)
			answer, err = do(c, client, form)
		}
		var refusal *identity.OpenIDError
		if !errors.As(err, &refusal) {
			return answer, err
		}
		c.Log("oidc_refused", refusal.Code)
		status := http.StatusBadRequest
		if refusal.Code == "invalid_client" {
			status = http.StatusUnauthorized
			c.SetHeader("WWW-Authenticate", `Basic realm="`+issuer(c)+`"`)
		}
		return rawJSON(status, oauth2Error{refusal.Code, refusal.Description})
	}
}

// openIDClientOf finds the client that has sent a form, by one of the two ways
// of saying who it is.
func (h handlers) openIDClientOf(c *api.Call) (identity.OpenIDClient, url.Values, error) {
	form, err := formOf(c)
	if err != nil {
		return identity.OpenIDClient{}, nil, &identity.OpenIDError{Code: "invalid_request", Description: "The body is a form, each of its parameters there once."}
	}
	id, secret, basic := c.Request().BasicAuth()
	if basic {
		var badID, badSecret error
		id, badID = url.QueryUnescape(id)
		secret, badSecret = url.QueryUnescape(secret)
		if badID != nil || badSecret != nil || form.Has("client_secret") || form.Has("client_id") && form.Get("client_id") != id {
			return identity.OpenIDClient{}, nil, &identity.OpenIDError{Code: "invalid_request", Description: "The client says in two ways who it is."}
		}
	} else {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	client, err := h.identity.AuthenticateOpenID(c.Context(), id, secret)
	return client, form, err
}

var errForm = errors.New("no form")

// formOf reads a form, none of whose parameters may be there twice.
func formOf(c *api.Call) (url.Values, error) {
	kind, _, _ := strings.Cut(c.Header("Content-Type"), ";")
	if kind != "application/x-www-form-urlencoded" {
		return nil, errForm
	}
	body, err := c.Raw()
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	for name, values := range form {
		if len(values) != 1 || !isText(name) || !isText(values[0]) {
			return nil, errForm
		}
	}
	return form, nil
}

type openIDTokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token"`
	Scope        string `json:"scope"`
}

// openIDToken gives tokens for a code, a refresh token or a device code.
func (h handlers) openIDToken(c *api.Call, client identity.OpenIDClient, form url.Values) (any, error) {
	var tokens identity.OpenIDTokens
	var err error
	switch form.Get("grant_type") {
	case "authorization_code":
		tokens, err = h.identity.ExchangeCode(c.Context(), issuer(c), client, form.Get("code"), form.Get("redirect_uri"), form.Get("code_verifier"))
	case "refresh_token":
		tokens, err = h.identity.RefreshOpenID(c.Context(), issuer(c), client, form.Get("refresh_token"))
	case deviceGrant:
		tokens, err = h.identity.ExchangeDevice(c.Context(), issuer(c), client, form.Get("device_code"))
	case "":
		err = &identity.OpenIDError{Code: "invalid_request", Description: "The parameter grant_type is required."}
	default:
		err = &identity.OpenIDError{Code: "unsupported_grant_type", Description: "There is no such grant type."}
	}
	if err != nil {
		return nil, err
	}
	return rawJSON(http.StatusOK, openIDTokens{tokens.Access, "Bearer", int64(tokens.Lifetime.Seconds()), tokens.Refresh, tokens.ID, tokens.Scope})
}

type deviceReply struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int64  `json:"expires_in"`
	Interval   int64  `json:"interval"`
}

func (h handlers) startDevice(c *api.Call, client identity.OpenIDClient, form url.Values) (any, error) {
	d, err := h.identity.StartDevice(c.Context(), client, form.Get("scope"))
	if err != nil {
		return nil, err
	}
	at := issuer(c) + "/device"
	return rawJSON(http.StatusOK, deviceReply{d.DeviceCode, d.UserCode, at, at + "?user_code=" + url.QueryEscape(d.UserCode),
		int64(d.Lifetime.Seconds()), int64(identity.DeviceInterval.Seconds())})
}

type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Username  string `json:"username,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	ExpiresAt int64  `json:"exp,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Issuer    string `json:"iss,omitempty"`
}

// introspect tells a client what one of its own tokens is worth (RFC 7662).
func (h handlers) introspect(c *api.Call, client identity.OpenIDClient, form url.Values) (any, error) {
	if client.Public() {
		return nil, &identity.OpenIDError{Code: "invalid_client", Description: "A client without a secret cannot ask."}
	}
	t, err := h.identity.OpenIDToken(c.Context(), client.ID, form.Get("token"))
	if identity.IsNoToken(err) {
		return rawJSON(http.StatusOK, introspection{})
	}
	if err != nil {
		return nil, err
	}
	kind := "Bearer"
	if t.Refresh() {
		kind = "refresh_token"
	}
	return rawJSON(http.StatusOK, introspection{true, t.Scope, client.ID, t.UserName, kind, t.ExpiresAt.Unix(), t.User, issuer(c)})
}

// revokeOpenID ends a token of the client (RFC 7009).
func (h handlers) revokeOpenID(c *api.Call, client identity.OpenIDClient, form url.Values) (any, error) {
	err := h.identity.RevokeOpenID(c.Context(), client.ID, form.Get("token"))
	return api.Reply{Status: http.StatusOK, ContentType: "application/json", Body: []byte("{}")}, err
}

// userInfo tells who has signed in to whoever has an access token.
func (h handlers) userInfo(c *api.Call) (any, error) {
	scheme, token, _ := strings.Cut(c.Header("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		token = ""
	}
	t, err := h.identity.OpenIDToken(c.Context(), "", strings.TrimSpace(token))
	if identity.IsNoToken(err) || err == nil && t.Refresh() {
		c.SetHeader("WWW-Authenticate", `Bearer error="invalid_token"`)
		return rawJSON(http.StatusUnauthorized, oauth2Error{"invalid_token", "The access token is not valid."})
	}
	if err != nil {
		return nil, err
	}
	c.SetHeader("Cache-Control", "no-store")
	return rawJSON(http.StatusOK, t.Claims)
}

type clientView struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	RedirectURIs []string `json:"redirect_uris"`
	Public       bool     `json:"public"`
	Secret       string   `json:"secret,omitempty"`
}

func viewClient(client identity.OpenIDClient, secret string) clientView {
	return clientView{client.ID, client.Name, slices.Concat([]string{}, client.RedirectURIs.V), client.Public(), secret}
}

type clientReply struct {
	Client clientView `json:"client"`
}

type clientsReply struct {
	Clients []clientView `json:"clients"`
}

type clientRequest struct {
	Client struct {
		Name         string   `json:"name" check:"required"`
		RedirectURIs []string `json:"redirect_uris" check:"required"`
		Public       bool     `json:"public"`
	} `json:"client" check:"required"`
}

func (h handlers) listClients(c *api.Call) (clientsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return clientsReply{}, err
	}
	clients, err := h.identity.OpenIDClients(c.Context())
	out := clientsReply{Clients: []clientView{}}
	for _, client := range clients {
		out.Clients = append(out.Clients, viewClient(client, ""))
	}
	return out, err
}

func (h handlers) createClient(c *api.Call, in clientRequest) (clientReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return clientReply{}, err
	}
	if in.Client.Name == "" || len(in.Client.Name) > 255 {
		return clientReply{}, errs.BadRequestf("A client has a name of at most 255 letters: its users see it when they sign in.")
	}
	client, secret, err := h.identity.CreateOpenIDClient(c.Context(), in.Client.Name, in.Client.RedirectURIs, in.Client.Public)
	return clientReply{viewClient(client, secret)}, err
}

func (h handlers) showClient(c *api.Call) (clientReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return clientReply{}, err
	}
	client, err := h.identity.OpenIDClient(c.Context(), c.PathValue("client_id"))
	return clientReply{viewClient(client, "")}, err
}

func (h handlers) deleteClient(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	return h.identity.DeleteOpenIDClient(c.Context(), c.PathValue("client_id"))
}
