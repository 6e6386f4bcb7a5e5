package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"nacre/internal/identity/mapping"
)

// Claims are what a provider says of somebody.
type Claims struct {
	Issuer  string
	Subject string
	Values  map[string][]string
}

func claimsOf(said map[string]any) (Claims, error) {
	c := Claims{Values: map[string][]string{}}
	c.Issuer, _ = said["iss"].(string)
	c.Subject, _ = said["sub"].(string)
	if c.Issuer == "" || c.Subject == "" {
		return c, errors.New("the provider does not say of whom it tells")
	}
	for name, value := range said {
		list := texts(value)
		if len(list) > 0 {
			c.Values[name] = list
		}
	}
	return c, nil
}

// texts are the values of a claim. An object is its JSON, as Apache's module has
// it; a list of lists has no meaning.
func texts(value any) []string {
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		return []string{v}
	case bool:
		return []string{strconv.FormatBool(v)}
	case json.Number:
		return []string{v.String()}
	case []any:
		var out []string
		for _, item := range v {
			if _, nested := item.([]any); !nested {
				out = append(out, texts(item)...)
			}
		}
		return out
	}
	text, err := json.Marshal(value)
	if err != nil {
		return []string{fmt.Sprint(value)}
	}
	return []string{string(text)}
}

// Attributes are the claims by the names that mappings made for Keystone have:
// OIDC-email and OIDC_CLAIM_email as the module's two usual prefixes make them, and
// HTTP_OIDC_EMAIL and HTTP_OIDC_CLAIM_EMAIL as they reach a program behind a
// server. The latter two say nothing where several claims would have one name.
// REMOTE_USER is the subject and the issuer, as with the module.
func (c Claims) Attributes() map[string][]string {
	out := map[string][]string{}
	claimed := map[string]int{}
	for name, values := range c.Values {
		out["OIDC-"+name], out["OIDC_CLAIM_"+name] = values, values
		for _, alias := range aliases(name) {
			claimed[alias]++
			out[alias] = values
		}
	}
	for alias, claims := range claimed {
		if claims > 1 {
			delete(out, alias)
		}
	}
	out[mapping.RemoteUser] = []string{c.Subject + "@" + strings.TrimSuffix(strings.TrimPrefix(c.Issuer, "https://"), "/")}
	return out
}

func aliases(claim string) []string {
	upper := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToUpper(r)
		}
		return '_'
	}, claim)
	return []string{"HTTP_OIDC_" + upper, "HTTP_OIDC_CLAIM_" + upper}
}
