package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/identity"
	"nacre/internal/identity/oidc"
	"nacre/internal/identity/saml"
)

// Federation is how users of other providers sign in.
type Federation struct {
	OpenID oidc.Parties
	SAML   saml.Parties
	// Dashboards are addresses that a token may be sent to, besides the one of our
	// own dashboard.
	Dashboards []string
}

// ownDashboard is where our dashboard takes a token.
const ownDashboard = "/dashboard/websso"

func (h handlers) signIns() []api.Route {
	const auth = "/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth"
	const websso = "/auth/OS-FEDERATION/websso/{protocol_id}"
	return []api.Route{
		{Method: "GET", Path: auth, Public: true, OK: 201, Do: h.federatedAuth},
		{Method: "POST", Path: auth, Public: true, OK: 201, Do: h.federatedAuth},
		{Method: "GET", Path: websso, Public: true, Do: h.chooseProvider},
		{Method: "POST", Path: websso, Public: true, Do: h.chooseProvider},
		{Method: "GET", Path: webssoPath("{idp_id}", "{protocol_id}"), Public: true, Do: h.websso},
		{Method: "POST", Path: webssoPath("{idp_id}", "{protocol_id}"), Public: true, Do: h.websso},
	}
}

func webssoPath(idp, protocol string) string {
	return "/auth/OS-FEDERATION/identity_providers/" + idp + "/protocol/" + protocol + "/websso"
}

// party finds the provider that a call is about.
func (h handlers) party(c *api.Call) (*oidc.Party, error) {
	idp, protocol := c.PathValue("idp_id"), c.PathValue("protocol_id")
	err := h.identity.OpenProtocol(c.Context(), idp, protocol)
	if err != nil {
		return nil, err
	}
	p := h.federation.OpenID.Find(idp, protocol)
	if p == nil {
		return nil, errs.NotFoundf("Nobody signs in by protocol %s of Identity Provider %s: the settings of this cloud do not say how.", protocol, idp)
	}
	return p, nil
}

// notProven classifies what came of asking a provider.
func notProven(err error) error {
	var away *oidc.UnreachableError
	if errors.As(err, &away) {
		return errs.Unavailablef("Identity Provider %s does not answer.", away.IDP).Because(err)
	}
	return errs.Unauthorizedf("The request you have made requires authentication.").Because(err)
}

// federatedAuth gives an unscoped token for a token of a provider. Only the
// latter counts: no header says who somebody is.
func (h handlers) federatedAuth(c *api.Call) (any, error) {
	c.SetHeader("Vary", "X-Auth-Token")
	if p := h.samlParty(c); p != nil {
		return h.samlAuth(c, p)
	}
	p, err := h.party(c)
	if err != nil {
		return nil, err
	}
	scheme, token, _ := strings.Cut(c.Header("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		c.SetHeader("WWW-Authenticate", `Bearer realm="`+p.Issuer+`"`)
		return nil, errs.Unauthorizedf("The request you have made requires authentication.")
	}
	done, err := h.identity.BeginFederated(c.Context())
	if err != nil {
		return nil, err
	}
	claims, err := p.Bearer(c.Context(), strings.TrimSpace(token))
	if err != nil {
		c.SetHeader("WWW-Authenticate", `Bearer error="invalid_token"`)
		return nil, notProven(err)
	}
	issued, err := h.signIn(c, claimed(p, claims))
	if err != nil {
		return nil, err
	}
	done()
	return h.viewToken(c, issued)
}

// claimed is what a provider's claims assert.
func claimed(p *oidc.Party, claims oidc.Claims) identity.Assertion {
	return identity.Assertion{IDP: p.IDP, Protocol: p.Protocol, RemoteID: claims.Issuer, Attributes: claims.Attributes()}
}

func (h handlers) signIn(c *api.Call, a identity.Assertion) (*identity.Issued, error) {
	issued, err := h.identity.SignInFederated(c.Context(), a)
	var more *identity.Insufficient
	if errors.As(err, &more) {
		return nil, errs.Unauthorizedf("The request you have made requires authentication.").Because(errors.New("the user must sign in with more than a provider"))
	}
	if err != nil {
		return nil, err
	}
	c.Log("subject_user_id", issued.User)
	c.Log("idp_id", a.IDP)
	return issued, nil
}

// trustedOrigin is where a browser wants its token sent: a dashboard that is
// known, letter by letter.
func (h handlers) trustedOrigin(c *api.Call) (string, error) {
	origin := c.Query().Get("origin")
	if origin == "" {
		return "", errs.BadRequestf("Request must have an origin query parameter")
	}
	if origin != c.Base()+ownDashboard && !slices.Contains(h.federation.Dashboards, origin) {
		return "", errs.Unauthorizedf("%.255s is not a trusted dashboard host", origin)
	}
	return origin, nil
}

// try is what a browser carries from here to a provider and back, sealed.
type try struct {
	oidc.Try

	Request string // ID of a SAML request
	Origin  string
	Expires time.Time
}

// tryTime is how long somebody may take to sign in at a provider.
const tryTime = 10 * time.Minute

// redirectOf is where the provider that a call is about sends browsers back to: an
// address for each, so that no provider's answer passes for another's.
func redirectOf(c *api.Call) string {
	return webssoURL(c, c.PathValue("idp_id"), c.PathValue("protocol_id"))
}

func webssoURL(c *api.Call, idp, protocol string) string {
	return c.Base() + "/v3" + webssoPath(url.PathEscape(idp), url.PathEscape(protocol))
}

// websso sends a browser to a provider and, when it comes back, on to the
// dashboard that it has come from.
func (h handlers) websso(c *api.Call) (any, error) {
	if p := h.samlParty(c); p != nil {
		return h.samlWebsso(c, p)
	}
	p, err := h.party(c)
	if err != nil {
		return nil, err
	}
	if c.Query().Has("state") {
		return h.comeBack(c, p)
	}
	origin, err := h.trustedOrigin(c)
	if err != nil {
		return nil, err
	}
	where, begun, err := p.Begin(c.Context(), redirectOf(c))
	if err != nil {
		return nil, notProven(err)
	}
	err = h.setTry(c, try{Try: begun, Origin: origin, Expires: c.Now().Add(tryTime)}, http.SameSiteLaxMode)
	if err != nil {
		return nil, err
	}
	c.SetHeader("Location", where)
	return api.Reply{Status: http.StatusFound, ContentType: "text/plain; charset=utf-8"}, nil
}

// cookieOf names a try's cookie by its state, so that two can be under way.
func cookieOf(state string) string { return "nacre_websso_" + state[:min(8, len(state))] }

func sealedFor(c *api.Call) string {
	return "websso " + c.PathValue("idp_id") + " " + c.PathValue("protocol_id")
}

func (h handlers) setTry(c *api.Call, t try, site http.SameSite) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	c.SetHeader("Set-Cookie", webssoCookie(c, t.State, h.identity.SealText(sealedFor(c), string(text)), int(tryTime.Seconds()), site).String())
	return nil
}

// webssoCookie is sent along when the provider leads the browser back, which
// is not our own page.
func webssoCookie(c *api.Call, state, value string, age int, site http.SameSite) *http.Cookie {
	path := strings.TrimPrefix(redirectOf(c), c.Base())
	return &http.Cookie{Name: cookieOf(state), Value: value, Path: path, MaxAge: age, HttpOnly: true,
		Secure: strings.HasPrefix(c.Base(), "https://"), SameSite: site}
}

// tryOf reads what the browser has carried. An attempt is good once.
func (h handlers) tryOf(c *api.Call, state string) (try, error) {
	var t try
	cookie, err := c.Request().Cookie(cookieOf(state))
	if err != nil {
		return t, fmt.Errorf("the browser has not begun here: %w", err)
	}
	text, err := h.identity.OpenText(sealedFor(c), cookie.Value)
	if err == nil {
		err = json.Unmarshal([]byte(text), &t)
	}
	if err == nil && !c.Now().Before(t.Expires) {
		err = errors.New("the attempt took too long")
	}
	if err == nil && t.State != state {
		err = errors.New("the answer is for another attempt")
	}
	if err != nil {
		return t, err
	}
	return t, h.identity.UseOnce(c.Context(), "websso "+t.State, t.Expires)
}

func (h handlers) comeBack(c *api.Call, p *oidc.Party) (any, error) {
	done, err := h.identity.BeginFederated(c.Context())
	if err != nil {
		return nil, err
	}
	t, err := h.tryOf(c, c.Query().Get("state"))
	if err != nil {
		return nil, notProven(err)
	}
	c.SetHeader("Set-Cookie", webssoCookie(c, t.State, "", -1, http.SameSiteLaxMode).String())
	claims, err := p.Finish(c.Context(), redirectOf(c), c.Query(), t.Try)
	if err != nil {
		return nil, notProven(err)
	}
	issued, err := h.signIn(c, claimed(p, claims))
	if err != nil {
		return nil, err
	}
	done()
	return backToDashboard(c, t.Origin, issued.Token)
}

// chooseProvider leads to the provider that has the protocol. When there are
// several, people choose.
func (h handlers) chooseProvider(c *api.Call) (any, error) {
	origin, err := h.trustedOrigin(c)
	if err != nil {
		return nil, err
	}
	offers, err := h.offers(c, origin)
	if err != nil {
		return nil, err
	}
	offers = slices.DeleteFunc(offers, func(o Offer) bool { return o.Protocol != c.PathValue("protocol_id") })
	switch len(offers) {
	case 0:
		return nil, errs.Unauthorizedf("The request you have made requires authentication.").Because(errors.New("no provider is set up with the protocol"))
	case 1:
		c.SetHeader("Location", offers[0].URL)
		return api.Reply{Status: http.StatusFound, ContentType: "text/plain; charset=utf-8"}, nil
	}
	return showWebsso(c, webssoPage{Offers: offers}, "")
}

// Offer is a provider by which a browser can sign in.
type Offer struct {
	ID       string `json:"id"`
	Protocol string `json:"protocol"`
	Name     string `json:"name"`
	URL      string `json:"url"`
}

// offers lists the providers by which a browser can sign in now.
func (h handlers) offers(c *api.Call, origin string) ([]Offer, error) {
	offers := []Offer{}
	add := func(idp, protocol, name string) error {
		err := h.identity.OpenProtocol(c.Context(), idp, protocol)
		if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Forbidden) {
			return nil
		}
		offers = append(offers, Offer{idp, protocol, name, webssoURL(c, idp, protocol) + "?origin=" + url.QueryEscape(origin)})
		return err
	}
	for _, p := range h.federation.OpenID {
		err := add(p.IDP, p.Protocol, p.Name)
		if err != nil {
			return nil, err
		}
	}
	for _, p := range h.federation.SAML {
		provider, err := p.Provider()
		if err != nil || provider.SignOn == "" {
			continue // whoever tries it hears why; the others can be chosen
		}
		err = add(p.IDP, p.Protocol, p.Name)
		if err != nil {
			return nil, err
		}
	}
	return offers, nil
}

type offersReply struct {
	Providers []Offer `json:"providers"`
}

// SignInRoutes are the calls about signing in by providers that OpenStack has not:
// which of them our own dashboard can offer, and who we are for those of SAML.
func SignInRoutes(service *identity.Service, federation Federation) []api.Route {
	h := handlers{identity: service, federation: federation}
	return []api.Route{
		{Method: "GET", Path: "/websso", Public: true, Do: api.Get(func(c *api.Call) (offersReply, error) {
			offers, err := h.offers(c, c.Base()+ownDashboard)
			return offersReply{offers}, err
		})},
		{Method: "GET", Path: "/saml/{idp_id}/{protocol_id}/metadata", Public: true, Do: h.samlServiceMetadata},
	}
}
