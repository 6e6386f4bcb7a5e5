package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Token is what is sealed into a token's text. At most one scope is set. It says
// who and for what; whether that still holds is for the identity service to find
// out.
type Token struct {
	User          string
	Methods       []string // of the methods below; decoded in Keystone's order
	Project       string
	Domain        string
	System        bool
	AppCredential string   // only together with Project
	Trust         string   // only together with Project
	AccessToken   string   // of OAuth 1, only together with Project
	IDP           string   // identity provider that the user came from; not with System or a delegation
	Protocol      string   // by which
	Thumbprint    string   // of a certificate that the token is bound to, only together with Project
	AuditIDs      []string // own, then the one of the token it was made from
	IssuedAt      time.Time
	ExpiresAt     time.Time
}

// methods are bits 1, 2, 4 and so on of the payload. The first six are numbered
// as Keystone's default settings do.
var methods = []string{"external", "password", "token", "oauth1", "mapped", "application_credential", "totp", "ec2credential", "oauth2_credential"}

// IsMethod tells whether there is a method of that name.
func IsMethod(name string) bool { return slices.Contains(methods, name) }

// Payload versions: which scope the fields after the user describe.
const (
	unscopedPayload      = 0
	domainPayload        = 1
	projectPayload       = 2
	trustPayload         = 3
	federatedPayload     = 4
	federatedProject     = 5
	federatedDomain      = 6
	accessTokenPayload   = 7
	systemPayload        = 8
	appCredentialPayload = 9
	certificatePayload   = 10
)

// maxGroups is how many groups a token of Keystone's may name.
const maxGroups = 256

// auditSize is the size of a decoded audit id.
const auditSize = 16

func (t Token) version() int {
	switch {
	case t.AppCredential != "":
		return appCredentialPayload
	case t.Trust != "":
		return trustPayload
	case t.AccessToken != "":
		return accessTokenPayload
	case t.Thumbprint != "":
		return certificatePayload
	case t.System:
		return systemPayload
	case t.IDP != "" && t.Project != "":
		return federatedProject
	case t.IDP != "" && t.Domain != "":
		return federatedDomain
	case t.IDP != "":
		return federatedPayload
	case t.Project != "":
		return projectPayload
	case t.Domain != "":
		return domainPayload
	}
	return unscopedPayload
}

// pack writes what a Fernet token encrypts: [version, user, methods, scope?, provider?,
// expiry, audit ids, delegation?]. A provider is the groups that it named, its id and the protocol. Which
// groups count stands in the database, so that none are written.
func (t Token) pack() ([]byte, error) {
	version := t.version()
	fields := 6
	switch version {
	case unscopedPayload:
		fields = 5
	case appCredentialPayload, trustPayload, accessTokenPayload:
		fields = 7
	case federatedPayload, certificatePayload:
		fields = 8
	case federatedProject, federatedDomain:
		fields = 9
	}
	var b bytes.Buffer
	w := writer{e: msgpack.NewEncoder(&b)}
	w.do(w.e.EncodeArrayLen(fields))
	w.do(w.e.EncodeInt(int64(version)))
	w.id(t.User)
	mask, err := methodMask(t.Methods)
	w.do(err)
	w.do(w.e.EncodeInt(mask))
	switch version {
	case domainPayload:
		w.bareID(t.Domain)
	case projectPayload, appCredentialPayload, trustPayload:
		w.id(t.Project)
	case accessTokenPayload:
		w.id(t.Project)
		w.id(t.AccessToken)
	case certificatePayload:
		w.id(t.Project)
		w.do(w.e.EncodeArrayLen(2)) // the domain: none
		w.do(w.e.EncodeBool(false))
		w.do(w.e.EncodeNil())
	case systemPayload:
		w.do(w.e.EncodeString(wholeSystem))
	case federatedProject:
		w.id(t.Project)
	case federatedDomain:
		w.id(t.Domain)
	}
	if version == federatedPayload || version == federatedProject || version == federatedDomain {
		w.do(w.e.EncodeArrayLen(0))
		w.id(t.IDP)
		w.do(w.e.EncodeString(t.Protocol))
	}
	w.do(w.e.EncodeFloat64(float64(t.ExpiresAt.Unix())))
	w.do(w.e.EncodeArrayLen(len(t.AuditIDs)))
	for _, id := range t.AuditIDs {
		raw, err := base64.RawURLEncoding.DecodeString(id)
		w.do(err)
		w.do(w.e.EncodeBytes(raw))
	}
	switch version {
	case appCredentialPayload:
		w.id(t.AppCredential)
	case trustPayload:
		w.bareID(t.Trust)
	case certificatePayload:
		w.id(t.Thumbprint)
	}
	return b.Bytes(), w.err
}

func unpack(payload []byte) (Token, error) {
	source := bytes.NewReader(payload)
	r := reader{d: msgpack.NewDecoder(source)}
	fields := r.length(5, 9)
	version := r.integer()
	t := Token{User: r.id(), Methods: methodNames(r.integer())}
	want := 6
	switch version {
	case unscopedPayload:
		want = 5
	case domainPayload:
		t.Domain = r.bareID()
	case projectPayload:
		t.Project = r.id()
	case systemPayload:
		t.System = r.text() == wholeSystem
		r.check(t.System, "an unknown system")
	case appCredentialPayload, trustPayload:
		want = 7
		t.Project = r.id()
	case accessTokenPayload:
		want = 7
		t.Project, t.AccessToken = r.id(), r.id()
	case certificatePayload:
		want = 8
		t.Project = r.id()
		r.nothing()
	case federatedPayload:
		want = 8
	case federatedProject:
		want = 9
		t.Project = r.id()
	case federatedDomain:
		want = 9
		t.Domain = r.id()
	default:
		r.check(false, "an unknown payload version")
	}
	r.check(fields == want, "a wrong number of fields")
	if version == federatedPayload || version == federatedProject || version == federatedDomain {
		for range r.length(0, maxGroups) {
			r.id()
		}
		t.IDP, t.Protocol = r.id(), r.text()
		r.check(t.Protocol != "", "no protocol")
	}
	t.ExpiresAt = r.time()
	for range r.length(0, 2) {
		t.AuditIDs = append(t.AuditIDs, base64.RawURLEncoding.EncodeToString(r.bytes(auditSize)))
	}
	switch version {
	case appCredentialPayload:
		t.AppCredential = r.id()
	case trustPayload:
		t.Trust = r.bareID()
	case certificatePayload:
		t.Thumbprint = r.id()
	}
	r.check(r.err != nil || source.Len() == 0, "bytes behind the end")
	if r.err != nil {
		return Token{}, r.err
	}
	return t, nil
}

func methodMask(names []string) (int64, error) {
	var mask int64
	for _, name := range names {
		bit := slices.Index(methods, name)
		if bit < 0 {
			return 0, fmt.Errorf("unknown method %q", name)
		}
		mask |= 1 << bit
	}
	return mask, nil
}

// methodNames lists the highest bit first, as Keystone does.
func methodNames(mask int64) []string {
	var names []string
	for bit := len(methods) - 1; bit >= 0; bit-- {
		if mask&(1<<bit) != 0 {
			names = append(names, methods[bit])
		}
	}
	return names
}

// packedID gives the 16 bytes of an id of 32 lower-case hex digits.
func packedID(id string) ([]byte, bool) {
	if len(id) != 32 || strings.ToLower(id) != id {
		return nil, false
	}
	b, err := hex.DecodeString(id)
	return b, err == nil
}

// writer encodes until the first error.
type writer struct {
	e   *msgpack.Encoder
	err error
}

func (w *writer) do(err error) {
	if w.err == nil {
		w.err = err
	}
}

// id writes [is packed, id].
func (w *writer) id(id string) {
	packed, ok := packedID(id)
	w.do(w.e.EncodeArrayLen(2))
	w.do(w.e.EncodeBool(ok))
	if ok {
		w.do(w.e.EncodeBytes(packed))
		return
	}
	w.do(w.e.EncodeString(id))
}

// bareID writes the id of a domain or trust: packed or, for the default domain, as
// text.
func (w *writer) bareID(id string) {
	packed, ok := packedID(id)
	if ok {
		w.do(w.e.EncodeBytes(packed))
		return
	}
	w.do(w.e.EncodeString(id))
}

// reader decodes until the first error, after which it gives zero values. The
// bytes were signed by one of our keys; it still trusts no length and no type.
type reader struct {
	d   *msgpack.Decoder
	err error
}

func (r *reader) check(ok bool, problem string) {
	if r.err == nil && !ok {
		r.err = fmt.Errorf("payload has %s", problem)
	}
}

func (r *reader) length(low, high int) int {
	if r.err != nil {
		return 0
	}
	n, err := r.d.DecodeArrayLen()
	r.err = err
	r.check(n >= low && n <= high, "a list of wrong length")
	if r.err != nil {
		return 0
	}
	return n
}

func (r *reader) integer() int64 {
	if r.err != nil {
		return 0
	}
	n, err := r.d.DecodeInt64()
	r.err = err
	return n
}

func (r *reader) time() time.Time {
	if r.err != nil {
		return time.Time{}
	}
	f, err := r.d.DecodeFloat64()
	r.err = err
	r.check(f >= 0 && f < 1<<40, "an impossible time")
	if r.err != nil {
		return time.Time{}
	}
	seconds, fraction := math.Modf(f)
	return time.Unix(int64(seconds), int64(fraction*1e6)*1e3).UTC()
}

// text reads text or bytes: msgpack before 1.0 wrote both alike.
func (r *reader) text() string {
	if r.err != nil {
		return ""
	}
	s, err := r.d.DecodeString()
	r.err = err
	return s
}

func (r *reader) bytes(size int) []byte {
	if r.err != nil {
		return nil
	}
	b, err := r.d.DecodeBytes()
	r.err = err
	r.check(len(b) == size, "bytes of wrong length")
	if r.err != nil {
		return nil
	}
	return b
}

func (r *reader) id() string {
	r.length(2, 2)
	if r.err != nil {
		return ""
	}
	packed, err := r.d.DecodeBool()
	r.err = err
	if packed {
		return hex.EncodeToString(r.bytes(auditSize))
	}
	id := r.text()
	r.check(id != "", "an empty id")
	return id
}

// nothing reads an id that isn't there.
func (r *reader) nothing() {
	r.length(2, 2)
	if r.err != nil {
		return
	}
	packed, err := r.d.DecodeBool()
	r.err = err
	r.check(!packed && r.text() == "", "an id too many")
}

func (r *reader) bareID() string {
	if r.err != nil {
		return ""
	}
	code, err := r.d.PeekCode()
	r.err = err
	if msgpcode.IsBin(code) {
		return hex.EncodeToString(r.bytes(auditSize))
	}
	id := r.text()
	r.check(id != "", "an empty id")
	return id
}
