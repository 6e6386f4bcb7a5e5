package api

import (
	"encoding/json"
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

// oauth2Token gives a token for an application credential: its id and secret are
// those of an OAuth 2.0 client.
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
	id, secret, basic := c.Request().BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if id == "" || secret == "" {
		return refused(c, http.StatusUnauthorized, "invalid_client", "Client authentication failed.")
	}
	issued, err := h.identity.Issue(c.Context(), identity.Login{AppCredential: &identity.AppCredentialLogin{ID: id, Secret: secret}}, identity.Scope{})
	if errs.Is(err, errs.Unauthorized) {
		return refused(c, http.StatusUnauthorized, "invalid_client", "Client authentication failed.")
	}
	if err != nil {
		return nil, err
	}
	c.Log("subject_user_id", issued.User)
	return oauth2Reply{issued.Token, "Bearer", int64(issued.ExpiresAt.Sub(issued.IssuedAt).Seconds())}, nil
}
