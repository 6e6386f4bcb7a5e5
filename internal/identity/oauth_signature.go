package identity

import (
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oauthAge is how far the time of a signed request may be from ours.
const oauthAge = 10 * time.Minute

// OAuthRequest is a request that was signed as RFC 5849 says.
type OAuthRequest struct {
	Method string
	URLs   []string          // without the query: all names of what is asked for, of which the client has signed one
	Query  url.Values        // also what a form has
	Params map[string]string // of the header Authorization
}

// ParseOAuth reads the header Authorization.
func ParseOAuth(header string) (map[string]string, error) {
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "OAuth") {
		return nil, errors.New("the header Authorization is not of OAuth")
	}
	params := map[string]string{}
	for _, part := range strings.Split(rest, ",") {
		name, value, found := strings.Cut(strings.TrimSpace(part), "=")
		value = strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`)
		name, nameErr := url.PathUnescape(name)
		value, valueErr := url.PathUnescape(value)
		_, twice := params[name]
		if !found || nameErr != nil || valueErr != nil || twice {
			return nil, errors.New("the header Authorization is malformed")
		}
		params[name] = value
	}
	return params, nil
}

// oauthEscape escapes all but unreserved characters.
func oauthEscape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// base is the text that is signed.
func (r OAuthRequest) base(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); (u.Scheme == "http" && port == "80") || (u.Scheme == "https" && port == "443") {
		host = strings.TrimSuffix(host, ":"+port)
	}
	var pairs []string
	for name, value := range r.Params {
		if name != "oauth_signature" && name != "realm" {
			pairs = append(pairs, oauthEscape(name)+"="+oauthEscape(value))
		}
	}
	for name, values := range r.Query {
		for _, value := range values {
			pairs = append(pairs, oauthEscape(name)+"="+oauthEscape(value))
		}
	}
	slices.Sort(pairs)
	return strings.ToUpper(r.Method) + "&" + oauthEscape(strings.ToLower(u.Scheme)+"://"+host+u.EscapedPath()) + "&" +
		oauthEscape(strings.Join(pairs, "&")), nil
}

// verify checks time and signature.
func (r OAuthRequest) verify(consumerSecret, tokenSecret string, now time.Time) error {
	seconds, err := strconv.ParseInt(r.Params["oauth_timestamp"], 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > oauthAge {
		return errors.New("the request is from another time")
	}
	version := r.Params["oauth_version"]
	if r.Params["oauth_nonce"] == "" || (version != "" && version != "1.0") {
		return errors.New("the request has no nonce, or is of another version")
	}
	h := sha1.New
	switch method := r.Params["oauth_signature_method"]; method {
	case "HMAC-SHA1":
	case "HMAC-SHA256":
		h = sha256.New
	default:
		return fmt.Errorf("signature method %q is not supported", method)
	}
	for _, address := range r.URLs {
		text, err := r.base(address)
		if err != nil {
			return err
		}
		right := base64Of(sum(h, oauthEscape(consumerSecret)+"&"+oauthEscape(tokenSecret), text))
		if sameText(right, r.Params["oauth_signature"]) {
			return nil
		}
	}
	return errSignature
}
