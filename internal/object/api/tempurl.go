package api

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what clients signed with for years
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// tempMethods are what a temporary URL may be for.
var tempMethods = []string{"GET", "HEAD", "PUT", "POST", "DELETE"}

var digests = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

func digestNames() []string { return slices.Sorted(maps.Keys(digests)) }

// digestOf reads a signature: hex digits, whose number tells the digest, or the
// name of the digest and base64.
func digestOf(signature string) (make func() hash.Hash, sum []byte, ok bool) {
	name, text, named := strings.Cut(signature, ":")
	var err error
	if named {
		sum, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(text), "="))
	} else {
		sum, err = hex.DecodeString(signature)
		name = map[int]string{sha1.Size: "sha1", sha256.Size: "sha256", sha512.Size: "sha512"}[len(sum)]
	}
	make, ok = digests[name]
	return make, sum, ok && err == nil
}

// signedBy tells whether one of the keys signed one of the messages.
func signedBy(keys []string, signature string, messages ...string) (key int, ok bool) {
	newHash, sum, valid := digestOf(signature)
	if !valid {
		return 0, false
	}
	for i, key := range keys {
		for _, message := range messages {
			mac := hmac.New(newHash, []byte(key))
			mac.Write([]byte(message))
			if key != "" && hmac.Equal(mac.Sum(nil), sum) {
				return i, true
			}
		}
	}
	return 0, false
}

// keys are those that may sign for a place, the account's first.
func (e *entry) keys() ([]string, error) {
	m, err := e.h.store.AccountMeta(e.c.Context(), e.Account)
	if err != nil {
		return nil, err
	}
	keys := []string{m["temp-url-key"], m["temp-url-key-2"], "", ""}
	if e.box != nil {
		keys[2], keys[3] = e.box.Meta.V["temp-url-key"], e.box.Meta.V["temp-url-key-2"]
	}
	return keys, nil
}

// opens notes what the signature by a key opens: an account's key everything of
// the account, a container's the container.
func (e *entry) opens(key int) {
	e.signed = e.Account
	if key >= 2 {
		e.signed += "/" + e.Container
	}
}

// isTempURL tells whether the request claims to be signed.
func isTempURL(c *api.Call) bool {
	q := c.Query()
	return q.Has("temp_url_sig") || q.Has("temp_url_expires")
}

func invalidTempURL() error {
	return errs.New(errs.Unauthorized, "Temp URL invalid").Typed("text").With("WWW-Authenticate", `Swift realm="unknown"`)
}

// openTempURL lets in whoever has a URL that an owner has signed.
func (e *entry) openTempURL() error {
	c, q := e.c, e.c.Query()
	expires, ok := parseExpires(q.Get("temp_url_expires"))
	if !ok || expires.Before(c.Now()) {
		return invalidTempURL()
	}
	signedPath := "/v1/" + e.Account + "/" + e.Container + "/" + e.Object
	if q.Has("temp_url_prefix") {
		prefix := q.Get("temp_url_prefix")
		if !strings.HasPrefix(e.Object, prefix) {
			return invalidTempURL()
		}
		signedPath = "prefix:/v1/" + e.Account + "/" + e.Container + "/" + prefix
	}
	ip := ""
	if q.Has("temp_url_ip_range") {
		ip = q.Get("temp_url_ip_range")
		if !within(ip, c.Request().RemoteAddr) {
			return invalidTempURL()
		}
		ip = "ip=" + ip + "\n"
	}
	var messages []string
	for _, method := range methodsFor(c.Request().Method) {
		messages = append(messages, fmt.Sprintf("%s%s\n%d\n%s", ip, method, expires.Unix(), signedPath))
	}
	keys, err := e.keys()
	if err != nil {
		return err
	}
	key, ok := signedBy(keys, q.Get("temp_url_sig"), messages...)
	if !ok {
		return invalidTempURL()
	}
	// Who may write one object must not point it to others.
	for _, name := range []string{"X-Object-Manifest", "X-Symlink-Target", "X-Copy-From"} {
		if c.Header(name) != "" {
			return sentence(errs.BadRequest, "The header %q is not allowed in this tempurl", name)
		}
	}
	if q.Get("multipart-manifest") == "put" || q.Has("extract-archive") {
		return sentence(errs.BadRequest, "Large object manifests and archives are not allowed in this tempurl")
	}
	e.opens(key)
	e.owner = false
	c.Grant("temporary URL")
	return nil
}

// methodsFor are the methods whose signature is good for a request: whoever may
// read or write may also look.
func methodsFor(method string) []string {
	if method == http.MethodHead {
		return []string{"HEAD", "GET", "PUT", "POST"}
	}
	if !slices.Contains(tempMethods, method) {
		return nil
	}
	return []string{method}
}

// parseExpires reads seconds since 1970 or a time.
func parseExpires(text string) (time.Time, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		return time.Unix(n, 0), n > 0
	}
	for _, layout := range []string{"2006-01-02T15:04:05Z", "2006-01-02T15:04:05-0700", "2006-01-02T15:04:05", "2006-01-02"} {
		t, err := time.Parse(layout, text)
		if err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func within(network, remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	prefix, err := netip.ParsePrefix(network)
	if err != nil {
		one, err := netip.ParseAddr(network)
		return err == nil && one == addr.Addr().Unmap()
	}
	return prefix.Contains(addr.Addr().Unmap())
}

// tempHeaders is how an object looks through a temporary URL: as a file to
// keep, and without what was noted about it for others.
func tempHeaders(e entry, o object.Object) {
	c, q := e.c, e.c.Query()
	for name := range o.Meta.V {
		if !strings.HasPrefix(name, "public-") {
			c.DropHeader("X-Object-Meta-" + name)
		}
	}
	name := path.Base(strings.TrimRight(e.Object, "/"))
	if q.Get("filename") != "" {
		name = q.Get("filename")
	}
	disposition := disposed("attachment", name)
	_, ownWay := o.Headers.V["Content-Disposition"]
	switch {
	case q.Has("inline") && q.Get("filename") != "":
		disposition = disposed("inline", name)
	case q.Has("inline"):
		disposition = "inline"
	case ownWay && q.Get("filename") == "":
		disposition = o.Headers.V["Content-Disposition"]
	}
	c.SetHeader("Content-Disposition", disposition)
	if expires, ok := parseExpires(q.Get("temp_url_expires")); ok {
		c.SetHeader("Expires", expires.UTC().Format(http.TimeFormat))
	}
}

func disposed(kind, name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ReplaceAll(name, `"`, "%22"))
	return fmt.Sprintf(`%s; filename="%s"; filename*=UTF-8''%s`, kind, plain, strings.ReplaceAll(url.PathEscape(name), "+", "%2B"))
}
