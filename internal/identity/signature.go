package identity

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

var errSignature = errors.New("the signature is wrong")

// SignedRequest is a request in the style of EC2, signed by any of the versions
// 0, 1, 2 and 4.
type SignedRequest struct {
	Access    string
	Signature string
	Host      string
	Verb      string
	Path      string
	Params    map[string]string
	Headers   map[string]string // names in lower case
	BodyHash  string
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func sum(h func() hash.Hash, key, text string) []byte {
	m := hmac.New(h, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// verify compares the signature with the one that the secret gives. It returns
// the time that the request was signed with, zero if it was signed without: a
// time that the signature doesn't cover proves nothing.
func (r SignedRequest) verify(secret string) (time.Time, error) {
	if r.Signature == "" {
		return time.Time{}, errors.New("EC2 signature not supplied")
	}
	right, at, err := r.sign(secret)
	if err != nil {
		return time.Time{}, err
	}
	if sameText(right, r.Signature) {
		return at, nil
	}
	// Some clients sign the host without its port.
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		return time.Time{}, errSignature
	}
	r.Host = host
	right, at, err = r.sign(secret)
	if err != nil || !sameText(right, r.Signature) {
		return time.Time{}, errSignature
	}
	return at, nil
}

func (r SignedRequest) sign(secret string) (string, time.Time, error) {
	var text string
	h := sha1.New
	switch version := r.Params["SignatureVersion"]; version {
	case "0":
		text = r.Params["Action"] + r.Params["Timestamp"]
	case "1":
		for _, name := range sortedNames(r.Params, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }) {
			text += name + r.Params[name]
		}
	case "2":
		h = sha256.New
		r.Params["SignatureMethod"] = "HmacSHA256"
		text = strings.Join([]string{r.Verb, r.Host, r.Path, canonicalQuery(r.Params)}, "\n")
	case "":
		return r.sign4(secret)
	default:
		return "", time.Time{}, fmt.Errorf("unknown signature version %q", version)
	}
	at, err := signedTime(r.Params["Timestamp"])
	if err == nil && at.IsZero() && r.Params["SignatureVersion"] != "2" {
		// These versions run names and values together: a request that was signed
		// with its time could be read as one without, and would be good for ever.
		err = errors.New("a signature of this version needs a time")
	}
	return base64Of(sum(h, secret, text)), at, err
}

// signedTime reads a time as clients write it; "" is none.
func signedTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04:05.000Z", amzDate} {
		at, err := time.Parse(layout, text)
		if err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("credential timestamp %q is invalid", text)
}

func sortedNames(m map[string]string, compare func(a, b string) int) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.SortFunc(names, compare)
	return names
}

// canonicalQuery writes parameters sorted, with everything escaped that is not
// unreserved.
func canonicalQuery(params map[string]string) string {
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	var pairs []string
	for _, name := range sortedNames(params, strings.Compare) {
		pairs = append(pairs, escape(name)+"="+escape(params[name]))
	}
	return strings.Join(pairs, "&")
}

const (
	amzDate   = "20060102T150405Z"
	algorithm = "AWS4-HMAC-SHA256"
)

// sign4 makes a signature of version 4, whose parts stand in the header
// Authorization or in parameters.
func (r SignedRequest) sign4(secret string) (string, time.Time, error) {
	authorization := r.Headers["authorization"]
	part := func(name string) string {
		if authorization == "" {
			return r.Params["X-Amz-"+name]
		}
		_, rest, _ := strings.Cut(authorization, name+"=")
		value, _, _ := strings.Cut(rest, ",")
		return strings.TrimSpace(value)
	}
	if !strings.HasPrefix(authorization, algorithm) && (authorization != "" || r.Params["X-Amz-Algorithm"] != algorithm) {
		return "", time.Time{}, errors.New("unexpected signature format")
	}
	date := r.Headers["x-amz-date"]
	if date == "" {
		date = r.Params["X-Amz-Date"]
	}
	at, err := time.Parse(amzDate, date)
	scope := strings.Split(part("Credential"), "/")
	if err != nil || len(scope) != 5 || scope[0] != r.Access || !strings.HasPrefix(date, scope[1]) || scope[4] != "aws4_request" {
		return "", time.Time{}, errors.New("date, access key and scope of the request do not fit together")
	}
	var headers []string
	for _, name := range strings.Split(part("SignedHeaders"), ";") {
		value, sent := r.Headers[name]
		if name == "host" && !sent {
			value, sent = r.Host, true
		}
		if sent {
			headers = append(headers, name+":"+strings.TrimSpace(value))
		}
	}
	query := ""
	if !strings.EqualFold(r.Verb, "POST") {
		query = canonicalQuery(r.Params)
	}
	request := strings.Join([]string{strings.ToUpper(r.Verb), r.Path, query, strings.Join(headers, "\n") + "\n", part("SignedHeaders"), r.BodyHash}, "\n")
	hashed := sha256.Sum256([]byte(request))
	text := strings.Join([]string{algorithm, date, strings.Join(scope[1:], "/"), hex.EncodeToString(hashed[:])}, "\n")
	return hex.EncodeToString(sum(sha256.New, key4(secret, scope[1:]), text)), at, nil
}

// key4 derives the key that a secret signs with in a scope: date, region,
// service and a fixed word.
func key4(secret string, scope []string) string {
	key := "AWS4" + secret
	for _, part := range scope {
		key = string(sum(sha256.New, key, part))
	}
	return key
}

// s3Signature signs a text as S3 clients do, by version 2 or 4.
func s3Signature(text, secret string) (string, error) {
	if !strings.HasPrefix(text, "AWS4") {
		return base64Of(sum(sha1.New, secret, text)), nil
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] != algorithm {
		return "", errSignature
	}
	scope := strings.Split(lines[2], "/")
	if len(scope) != 4 || scope[3] != "aws4_request" || !slices.Contains([]string{"s3", "iam", "sts"}, scope[2]) {
		return "", errSignature
	}
	return hex.EncodeToString(sum(sha256.New, key4(secret, scope), text)), nil
}
