package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) oauth2() []api.Route {
	return []api.Route{
		{Method: "POST", Path: "/OS-OAUTH2/token", Public: true, Do: h.oauth2Token},
	}
}

type oauth2Reply struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
}

type oauth2Error struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// refused is an error as RFC 6749 has it.
func refused(c *api.Call, status int, name, description string) (any, error) {
	if status == http.StatusUnauthorized {
		c.SetHeader("WWW-Authenticate", `Keystone uri="`+c.Base()+`/identity"`)
	}
	body, err := json.Marshal(oauth2Error{name, description})
	return api.Reply{Status: status, ContentType: "application/json", Body: body}, err
}

// oauth2Token gives a token for an application credential, whose id and secret are
// those of an OAuth 2.0 client; or for a user with a certificate, who is a client
// too. A certificate that was shown comes first.
func (h handlers) oauth2Token(c *api.Call) (any, error) {
	body, err := c.Raw()
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	switch {
	case err != nil || form.Get("grant_type") == "":
		return refused(c, http.StatusBadRequest, "invalid_request", "The parameter grant_type is required.")
	case form.Get("grant_type") != "client_credentials":
		return refused(c, http.StatusBadRequest, "unsupported_grant_type", "The parameter grant_type "+form.Get("grant_type")+" is not supported.")
	}
	login, known := h.oauth2Client(c, form)
	if !known {
		return refused(c, http.StatusUnauthorized, "invalid_client", "Client authentication failed.")
	}
	issued, err := h.identity.Issue(c.Context(), login, identity.Scope{})
	var more *identity.Insufficient
	if errs.Is(err, errs.Unauthorized) || errors.As(err, &more) {
		return refused(c, http.StatusUnauthorized, "invalid_client", "Client authentication failed.")
	}
	if err != nil {
		return nil, err
	}
	c.Log("subject_user_id", issued.User)
	return oauth2Reply{issued.Token, "Bearer", int64(issued.ExpiresAt.Sub(issued.IssuedAt).Seconds())}, nil
}

// oauth2Client is what a client proves itself by, if there is such a thing and the
// settings allow it.
func (h handlers) oauth2Client(c *api.Call, form url.Values) (identity.Login, bool) {
	state := c.Request().TLS
	if state != nil && len(state.PeerCertificates) > 0 {
		client := form.Get("client_id")
		login := identity.Login{Certificate: &identity.CertificateLogin{User: client, Chain: state.PeerCertificates}}
		return login, client != "" && h.identity.TakesClient(identity.ClientCertificate)
	}
	id, secret, basic := c.Request().BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	login := identity.Login{AppCredential: &identity.AppCredentialLogin{ID: id, Secret: secret}}
	return login, id != "" && secret != "" && h.identity.TakesClient(identity.ClientSecret)
}
