package api

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

// The two pages on which people sign in: for a client that has sent them, and
// for a device that shows a code. They hold no script, and no session: who signs
// in types the password, so there is nothing that another site's page could use.

//go:embed openid.html
var openIDHTML string

var openIDPage = template.Must(template.New("openid").Parse(openIDHTML))

// page is what a page shows.
type page struct {
	Chinese  bool
	Action   string // where the form goes
	Client   string // name, "" while a device's code is asked for
	At       string // host that the user will be sent back to
	Scopes   []string
	Code     string // of a device
	User     string // as typed before
	Domain   string
	Receipt  string // of the password, once it was right and not enough
	Renew    bool   // the password has expired
	Detail   string // why a new password is not taken
	Problem  string // one of the words in openid.html
	Own      bool   // for this cloud's own dashboard
	Offers   []Offer
	Other    string // the same page in the other language
	Finished bool
}

// show answers with a page that nothing may frame or load anything into.
func show(c *api.Call, status int, p page) (any, error) {
	q := c.Query()
	language := q.Get("ui_locales")
	if language == "" {
		language = c.Header("Accept-Language")
	}
	p.Chinese = strings.HasPrefix(strings.ToLower(language), "zh")
	q.Set("ui_locales", "zh-CN")
	if p.Chinese {
		q.Set("ui_locales", "en")
	}
	p.Other = path.Base(c.Request().URL.Path) + "?" + q.Encode()
	p.Domain = orDefault(p.Domain)
	var b bytes.Buffer
	err := openIDPage.Execute(&b, p)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
		"X-Frame-Options":         "DENY",
		"X-Content-Type-Options":  "nosniff",
		"Referrer-Policy":         "same-origin",
		"Cache-Control":           "no-store",
	} {
		c.SetHeader(name, value)
	}
	sameGroup(c, p.Own)
	return api.Reply{Status: status, ContentType: "text/html; charset=utf-8", Body: b.Bytes()}, nil
}

// sameGroup keeps a window that the dashboard has opened within its reach, so that
// it can be closed.
func sameGroup(c *api.Call, own bool) {
	if own {
		c.SetHeader("Cross-Origin-Opener-Policy", "same-origin")
	}
}

func orDefault(domain string) string {
	if domain == "" {
		return "Default"
	}
	return domain
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// requestOf reads what a client asks for, and the state it wants back. What is
// there twice is there not at all: two readers might take another one each.
func requestOf(q url.Values) (identity.OpenIDRequest, string) {
	once := func(name string) string {
		if len(q[name]) != 1 {
			return ""
		}
		return q[name][0]
	}
	return identity.OpenIDRequest{
		ClientID: once("client_id"), RedirectURI: once("redirect_uri"), ResponseType: once("response_type"), Scope: once("scope"),
		Nonce: once("nonce"), Challenge: once("code_challenge"), Method: once("code_challenge_method"), Prompt: once("prompt"),
	}, once("state")
}

// sendBack sends the user back to the client, whose redirect URI was checked.
func sendBack(c *api.Call, r identity.OpenIDRequest, state string, answer url.Values) (any, error) {
	u, err := url.Parse(r.RedirectURI)
	if err != nil {
		return nil, err
	}
	sameGroup(c, r.ClientID == identity.OwnClient)
	q := u.Query()
	for name, values := range answer {
		q[name] = values
	}
	if state != "" {
		q.Set("state", state)
	}
	q.Set("iss", issuer(c))
	u.RawQuery = q.Encode()
	c.SetHeader("Location", u.String())
	c.SetHeader("Cache-Control", "no-store")
	c.SetHeader("Referrer-Policy", "no-referrer")
	return api.Reply{Status: http.StatusSeeOther, ContentType: "text/plain; charset=utf-8"}, nil
}

// authorizeForm shows the page on which a user signs in for a client.
func (h handlers) authorizeForm(c *api.Call) (any, error) {
	return h.withRequest(c, func(r identity.OpenIDRequest, _ string, p page) (any, error) {
		return show(c, http.StatusOK, p)
	})
}

// withRequest reads and checks a client's request. A user is sent back only to
// where the client is known to be.
func (h handlers) withRequest(c *api.Call, do func(r identity.OpenIDRequest, state string, p page) (any, error)) (any, error) {
	r, state := requestOf(c.Query())
	client, err := h.identity.RedirectOf(c.Context(), r)
	if errs.Is(err, errs.BadRequest) {
		return show(c, http.StatusBadRequest, page{Problem: "client"})
	}
	if err != nil {
		return nil, err
	}
	c.Log("oidc_client_id", client.ID)
	err = r.Check()
	var refusal *identity.OpenIDError
	if errors.As(err, &refusal) {
		return sendBack(c, r, state, url.Values{"error": {refusal.Code}, "error_description": {refusal.Description}})
	}
	if err != nil {
		return nil, err
	}
	back, err := url.Parse(r.RedirectURI)
	if err != nil {
		return nil, err
	}
	p := page{Action: "authorize?" + c.Query().Encode(), Client: client.Name, At: back.Host, Scopes: strings.Fields(r.Scope),
		Own: client.ID == identity.OwnClient, User: c.Query().Get("login_hint"), Domain: c.Query().Get("domain_hint")}
	if p.Own {
		p.Offers, err = h.offers(c, c.Base()+ownDashboard)
		if err != nil {
			return nil, err
		}
	}
	return do(r, state, p)
}

// fromHere tells whether a form was sent by a page of ours.
func fromHere(c *api.Call) bool {
	site := c.Header("Sec-Fetch-Site")
	if site != "" && site != "same-origin" {
		return false
	}
	origin := c.Header("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, c.Request().Host)
}

// signInOf reads who signs in: by the password, or after that by a passcode.
func signInOf(form url.Values) identity.Login {
	user := identity.Ref{Name: form.Get("user"), Domain: &identity.Ref{Name: orDefault(form.Get("domain"))}}
	login := identity.Login{Receipt: form.Get("receipt")}
	if login.Receipt == "" {
		login.Password = &identity.PasswordLogin{User: user, Password: form.Get("password")}
	}
	if form.Get("passcode") != "" || login.Receipt != "" {
		login.TOTP = &identity.TOTPLogin{User: user, Passcode: form.Get("passcode")}
	}
	return login
}

// signInBy signs somebody in by a form. With a new password in it, one that has
// expired is changed first.
func (h handlers) signInBy(c *api.Call, p *page, form url.Values, do func(login identity.Login) error) error {
	err := do(signInOf(form))
	user := identity.ExpiredPassword(err)
	if user == "" || form.Get("new_password") == "" {
		return err
	}
	changed := h.identity.ChangePassword(c.Context(), user, form.Get("password"), form.Get("new_password"))
	refused, is := errs.As(changed)
	if is && refused.Kind < errs.Internal {
		p.Detail = refused.Message
		return err // it is still expired
	}
	if changed != nil {
		return changed
	}
	form.Set("password", form.Get("new_password"))
	return do(signInOf(form))
}

// signInForm reads the form that signs somebody in. Without one, what answers
// instead is returned.
func signInForm(c *api.Call, p *page) (form url.Values, answer any, err error) {
	form, err = formOf(c)
	if err != nil || !fromHere(c) {
		p.Problem = "form"
		answer, err = show(c, http.StatusForbidden, *p)
		return nil, answer, err
	}
	p.User, p.Domain, p.Receipt = form.Get("user"), form.Get("domain"), form.Get("receipt")
	return form, nil, nil
}

// again shows the page once more to whoever has not signed in; any other error
// is not for the page.
func again(c *api.Call, p page, err error) (any, error) {
	var more *identity.Insufficient
	slow, _ := errs.As(err)
	switch {
	case errors.As(err, &more):
		p.Receipt = more.Receipt
	case identity.ExpiredPassword(err) != "":
		p.Renew = true
	case identity.IsReceiptOver(err):
		p.Problem, p.Receipt = "late", ""
	case identity.IsPasscodeUsed(err) && p.Receipt != "":
		p.Problem = "used"
	case errs.Is(err, errs.Unauthorized) && p.Receipt != "":
		p.Problem = "passcode"
	case errs.Is(err, errs.TooMany):
		p.Problem = "slow"
		c.SetHeader("Retry-After", slow.Headers["Retry-After"])
		return show(c, http.StatusTooManyRequests, p)
	case errs.Is(err, errs.Unauthorized), errs.Is(err, errs.NotFound), errs.Is(err, errs.BadRequest):
		p.Problem = "password"
	default:
		return nil, err
	}
	return show(c, http.StatusUnauthorized, p)
}

// authorize signs a user in for a client, and sends the user back with a code.
func (h handlers) authorize(c *api.Call) (any, error) {
	return h.withRequest(c, func(r identity.OpenIDRequest, state string, p page) (any, error) {
		form, answer, err := signInForm(c, &p)
		if form == nil {
			return answer, err
		}
		var code string
		err = h.signInBy(c, &p, form, func(login identity.Login) error {
			var err error
			code, err = h.identity.AuthorizeOpenID(c.Context(), r, login)
			return err
		})
		var refusal *identity.OpenIDError
		if errors.As(err, &refusal) {
			return sendBack(c, r, state, url.Values{"error": {refusal.Code}, "error_description": {refusal.Description}})
		}
		if err != nil {
			return again(c, p, err)
		}
		return sendBack(c, r, state, url.Values{"code": {code}})
	})
}

// devicePage finds the device whose code somebody has typed.
func (h handlers) devicePage(c *api.Call) (page, bool, error) {
	code := c.Query().Get("user_code")
	p := page{Action: "device"}
	if code == "" {
		return p, false, nil
	}
	client, scope, err := h.identity.Device(c.Context(), code)
	if errs.Is(err, errs.NotFound) {
		p.Problem = "code"
		return p, false, nil
	}
	p = page{Action: "device?user_code=" + url.QueryEscape(code), Client: client.Name, Code: code, Scopes: strings.Fields(scope)}
	return p, err == nil, err
}

func (h handlers) deviceForm(c *api.Call) (any, error) {
	p, _, err := h.devicePage(c)
	if err != nil {
		return nil, err
	}
	return show(c, http.StatusOK, p)
}

// approveDevice signs a user in at a device.
func (h handlers) approveDevice(c *api.Call) (any, error) {
	p, found, err := h.devicePage(c)
	if err != nil {
		return nil, err
	}
	if !found {
		p.Problem = "code"
		return show(c, http.StatusNotFound, p)
	}
	form, answer, err := signInForm(c, &p)
	if form == nil {
		return answer, err
	}
	err = h.signInBy(c, &p, form, func(login identity.Login) error { return h.identity.ApproveDevice(c.Context(), p.Code, login) })
	var refusal *identity.OpenIDError
	if errors.As(err, &refusal) {
		p.Problem = "project"
		return show(c, http.StatusForbidden, p)
	}
	if err != nil {
		return again(c, p, err)
	}
	return show(c, http.StatusOK, page{Client: p.Client, Finished: true})
}
