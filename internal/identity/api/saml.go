package api

import (
	"net/http"

	"github.com/beevik/etree"

	"nacre/internal/api"
	"nacre/internal/identity/saml"
)

func (h handlers) samlProvider() []api.Route {
	return []api.Route{
		{Method: "POST", Path: "/auth/OS-FEDERATION/saml2", Public: true, Do: api.Body(h.samlAssertion)},
		{Method: "POST", Path: "/auth/OS-FEDERATION/saml2/ecp", Public: true, Do: api.Body(h.samlECP)},
		{Method: "GET", Path: "/OS-FEDERATION/saml2/metadata", Public: true, Do: api.Get(h.samlMetadata)},
	}
}

// samlEntity is as whom this cloud speaks of its users.
func samlEntity(c *api.Call) string { return c.URL("/OS-FEDERATION/saml2/idp") }

// samlRequest presents a token, which is the proof, and names who is to hear.
type samlRequest struct {
	_    struct{} `check:"open"`
	Auth struct {
		_        struct{} `check:"open"`
		Identity struct {
			_       struct{} `check:"open"`
			Methods []string `json:"methods" check:"required"`
			Token   struct {
				_  struct{} `check:"open"`
				ID string   `json:"id" check:"required"`
			} `json:"token" check:"required"`
		} `json:"identity" check:"required"`
		Scope struct {
			_        struct{} `check:"open"`
			Provider struct {
				_  struct{} `check:"open"`
				ID string   `json:"id" check:"required"`
			} `json:"service_provider" check:"required"`
		} `json:"scope" check:"required"`
	} `json:"auth" check:"required"`
}

func (h handlers) samlAssertion(c *api.Call, in samlRequest) (any, error) {
	return h.assert(c, in, func(response *etree.Element, _ string) *etree.Element { return response })
}

func (h handlers) samlECP(c *api.Call, in samlRequest) (any, error) {
	return h.assert(c, in, saml.ECP)
}

func (h handlers) assert(c *api.Call, in samlRequest, wrap func(response *etree.Element, relayPrefix string) *etree.Element) (any, error) {
	response, p, err := h.identity.AssertFor(c.Context(), samlEntity(c), in.Auth.Scope.Provider.ID, in.Auth.Identity.Token.ID)
	if err != nil {
		return nil, err
	}
	body, err := saml.Write(wrap(response, p.RelayStatePrefix))
	c.SetHeader("X-sp-url", p.SPURL)
	c.SetHeader("X-auth-url", p.AuthURL)
	return api.Reply{Status: http.StatusOK, ContentType: "text/xml", Body: body}, err
}

func (h handlers) samlMetadata(c *api.Call) (any, error) {
	body, err := h.identity.SAMLMetadata(c.Context(), samlEntity(c), c.URL("/auth/OS-FEDERATION/saml2"))
	return api.Reply{Status: http.StatusOK, ContentType: "text/xml", Body: body}, err
}
