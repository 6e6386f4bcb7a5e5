package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"

	"nacre/internal/api"
)

// The pages between a provider and a dashboard: one to choose the provider, and one
// whose form brings the token to the dashboard by itself.

//go:embed websso.html
var webssoHTML string

var webssoTemplate = template.Must(template.New("websso").Parse(webssoHTML))

// webssoScript is all that runs on the page.
const webssoScript = `document.forms[0].submit()`

type webssoPage struct {
	Chinese bool
	Offers  []Offer // to choose from, else:
	Origin  string
	Token   string
	Script  template.JS
}

// backToDashboard answers with the page that posts the token to a dashboard, which
// is a trusted one.
func backToDashboard(c *api.Call, origin, token string) (any, error) {
	return showWebsso(c, webssoPage{Origin: origin, Token: token, Script: webssoScript}, origin)
}

func showWebsso(c *api.Call, p webssoPage, formAction string) (any, error) {
	p.Chinese = strings.HasPrefix(strings.ToLower(c.Header("Accept-Language")), "zh")
	var b bytes.Buffer
	err := webssoTemplate.Execute(&b, p)
	if err != nil {
		return nil, err
	}
	policy := "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
	if formAction != "" {
		sum := sha256.Sum256([]byte(webssoScript))
		policy += "; form-action " + formAction + "; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	for name, value := range map[string]string{
		"Content-Security-Policy": policy,
		"X-Frame-Options":         "DENY",
		"X-Content-Type-Options":  "nosniff",
		"Referrer-Policy":         "same-origin",
		"Cache-Control":           "no-store",
	} {
		c.SetHeader(name, value)
	}
	return api.Reply{Status: http.StatusOK, ContentType: "text/html; charset=utf-8", Body: b.Bytes()}, nil
}
