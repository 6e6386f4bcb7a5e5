package api

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/identity"
	"nacre/internal/identity/mapping"
	"nacre/internal/identity/oidc"
	"nacre/internal/identity/saml"
)

// Signing in by a SAML provider. A program carries requests and answers by
// itself (ECP, PAOS), and another cloud's user brings an answer that nobody has
// asked for (Keystone to Keystone): no form of another site's page can send
// their media type. A browser is believed only when it brings the answer to the
// very request that it was sent away with.

// samlParty finds the SAML provider that a call is about, nil when it is about none.
func (h handlers) samlParty(c *api.Call) *saml.Party {
	return h.federation.SAML.Find(c.PathValue("idp_id"), c.PathValue("protocol_id"))
}

// samlAudience is who we are for a provider, and where our metadata is.
func samlAudience(c *api.Call, p *saml.Party) string {
	return c.Base() + "/nacre/v1/saml/" + url.PathEscape(p.IDP) + "/" + url.PathEscape(p.Protocol) + "/metadata"
}

// samlConsumers are the addresses at which programs bring answers: the API's own,
// which is told, and its alias.
func samlConsumers(c *api.Call, p *saml.Party) []string {
	path := "/OS-FEDERATION/identity_providers/" + url.PathEscape(p.IDP) + "/protocols/" + url.PathEscape(p.Protocol) + "/auth"
	return []string{c.Base() + "/v3" + path, c.URL(path)}
}

func (h handlers) openSAML(c *api.Call, p *saml.Party) (saml.Provider, error) {
	err := h.identity.OpenProtocol(c.Context(), p.IDP, p.Protocol)
	if err != nil {
		return saml.Provider{}, err
	}
	provider, err := p.Provider()
	if err != nil {
		return provider, fmt.Errorf("identity provider %s: %w", p.IDP, err)
	}
	return provider, nil
}

// samlAuth gives a request to a program that says it can carry one, and a token
// for the answer.
func (h handlers) samlAuth(c *api.Call, p *saml.Party) (any, error) {
	provider, err := h.openSAML(c, p)
	if err != nil {
		return nil, err
	}
	if c.Request().Method == http.MethodGet {
		if !strings.Contains(c.Header("Accept"), saml.PAOS) {
			return nil, errs.Unauthorizedf("The request you have made requires authentication.").Because(errors.New("the client does not say that it speaks ECP"))
		}
		body, err := saml.Request{ID: h.samlRequestID(c, p), Audience: samlAudience(c, p), At: c.Now(), Consumer: samlConsumers(c, p)[0]}.Envelope(saml.NewID())
		return api.Reply{Status: http.StatusOK, ContentType: saml.PAOS, Body: body}, err
	}
	kind, _, _ := strings.Cut(c.Header("Content-Type"), ";")
	if strings.TrimSpace(kind) != saml.PAOS {
		return nil, errs.New(errs.UnsupportedMedia, "Unsupported Content-Type")
	}
	body, err := c.Raw()
	if err != nil {
		return nil, err
	}
	request := ""
	issued, err := h.hear(c, p, provider, body, saml.Expected{
		Now: c.Now(), Audience: samlAudience(c, p), Recipients: samlConsumers(c, p),
		Asked: func(id string) error {
			request = id
			if id == "" {
				return nil // another cloud says it without having been asked
			}
			return h.checkSAMLRequest(c, p, id)
		},
	}, &request)
	if err != nil {
		return nil, err
	}
	return h.viewToken(c, issued)
}

// samlRequestPlace is what requests are sealed for.
func samlRequestPlace(p *saml.Party) string { return "saml request " + p.IDP + " " + p.Protocol }

// samlRequestID is an ID by which a request is known again without having been
// kept: whoever asks for a million of them leaves nothing here.
func (h handlers) samlRequestID(c *api.Call, p *saml.Party) string {
	sealed := h.identity.SealText(samlRequestPlace(p), c.Now().Add(tryTime).UTC().Format(time.RFC3339))
	return "id-" + base64.RawURLEncoding.EncodeToString([]byte(sealed))
}

func (h handlers) checkSAMLRequest(c *api.Call, p *saml.Party, id string) error {
	sealed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(id, "id-"))
	if err != nil {
		return fmt.Errorf("the request is not ours: %w", err)
	}
	text, err := h.identity.OpenText(samlRequestPlace(p), string(sealed))
	if err != nil {
		return fmt.Errorf("the request is not ours: %w", err)
	}
	end, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("the request is not ours: %w", err)
	}
	if !c.Now().Before(end) {
		return errors.New("the request is too old")
	}
	return nil
}

// hear believes an answer once, and signs in whoever it is about. The request that
// it answers is good once as well.
func (h handlers) hear(c *api.Call, p *saml.Party, provider saml.Provider, body []byte, want saml.Expected, request *string) (*identity.Issued, error) {
	done, err := h.identity.BeginFederated(c.Context())
	if err != nil {
		return nil, err
	}
	heard, err := provider.Accept(body, want)
	if err != nil {
		return nil, notProven(err)
	}
	err = h.identity.UseOnce(c.Context(), "saml "+p.IDP+" "+p.Protocol+" "+heard.ID, heard.Presentable)
	if err == nil && *request != "" {
		err = h.identity.UseOnce(c.Context(), "saml request "+*request, c.Now().Add(tryTime))
	}
	if err != nil {
		return nil, err
	}
	heard.Attributes[mapping.RemoteUser] = []string{heard.NameID}
	issued, err := h.signIn(c, identity.Assertion{
		IDP: p.IDP, Protocol: p.Protocol, RemoteID: heard.Issuer, Attributes: heard.Attributes, Until: heard.Until,
	})
	if err != nil {
		return nil, err
	}
	done()
	return issued, nil
}

// samlWebsso sends a browser to the provider and, when it brings the answer, on to
// the dashboard that it has come from.
func (h handlers) samlWebsso(c *api.Call, p *saml.Party) (any, error) {
	provider, err := h.openSAML(c, p)
	if err != nil {
		return nil, err
	}
	if c.Request().Method == http.MethodPost {
		form, err := formOf(c)
		if err != nil {
			return nil, errs.BadRequestf("The request is no form.").Because(err)
		}
		if form.Has("SAMLResponse") {
			return h.samlComeBack(c, p, provider, form)
		}
	}
	origin, err := h.trustedOrigin(c)
	if err != nil {
		return nil, err
	}
	if provider.SignOn == "" {
		return nil, errs.NotFoundf("Identity Provider %s has no page to sign in at.", p.IDP)
	}
	t := try{Try: oidc.Try{State: saml.NewID()}, Request: saml.NewID(), Origin: origin, Expires: c.Now().Add(tryTime)}
	where, err := saml.Request{ID: t.Request, Audience: samlAudience(c, p), At: c.Now(), Consumer: redirectOf(c), SignOn: provider.SignOn}.Redirect(t.State)
	if err != nil {
		return nil, err
	}
	err = h.setTry(c, t, samlSite(c))
	if err != nil {
		return nil, err
	}
	c.SetHeader("Location", where)
	return api.Reply{Status: http.StatusFound, ContentType: "text/plain; charset=utf-8"}, nil
}

// samlSite lets the cookie come along with the form that the provider's page
// posts, which browsers allow over TLS only.
func samlSite(c *api.Call) http.SameSite {
	if strings.HasPrefix(c.Base(), "https://") {
		return http.SameSiteNoneMode
	}
	return http.SameSiteLaxMode
}

func (h handlers) samlComeBack(c *api.Call, p *saml.Party, provider saml.Provider, form url.Values) (any, error) {
	t, err := h.tryOf(c, form.Get("RelayState"))
	if err != nil {
		return nil, notProven(err)
	}
	c.SetHeader("Set-Cookie", webssoCookie(c, t.State, "", -1, samlSite(c)).String())
	body, err := base64.StdEncoding.DecodeString(form.Get("SAMLResponse"))
	if err != nil {
		return nil, notProven(err)
	}
	issued, err := h.hear(c, p, provider, body, saml.Expected{
		Now: c.Now(), Audience: samlAudience(c, p), Recipients: []string{redirectOf(c)}, Named: true,
		Asked: func(id string) error {
			if t.Request == "" || id != t.Request {
				return errors.New("the browser was not sent away with this request")
			}
			return nil
		},
	}, &t.Request)
	if err != nil {
		return nil, err
	}
	return backToDashboard(c, t.Origin, issued.Token)
}

// samlServiceMetadata describes us to a provider.
func (h handlers) samlServiceMetadata(c *api.Call) (any, error) {
	p := h.samlParty(c)
	if p == nil {
		return nil, errs.NotFoundf("Nobody signs in by protocol %s of Identity Provider %s: the settings of this cloud do not say how.", c.PathValue("protocol_id"), c.PathValue("idp_id"))
	}
	body, err := saml.ServiceMetadata(samlAudience(c, p), webssoURL(c, p.IDP, p.Protocol), samlConsumers(c, p)[0])
	return api.Reply{Status: http.StatusOK, ContentType: "application/samlmetadata+xml", Body: body}, err
}
