package s3

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	amzDate   = "20060102T150405Z"
	skew      = 15 * time.Minute   // how far a client's clock may be off
	longest   = 7 * 24 * time.Hour // how long a URL may be good
	unsigned  = "UNSIGNED-PAYLOAD"
)

// signature is what a request claims: who signed it, how and when.
type signature struct {
	access  string
	sum     string
	date    time.Time
	expires time.Duration // of a URL, 0 for a header
	text    []string      // that was signed; any of these will do
	scope   []string      // date, region, service and a fixed word; nil for version 2
	payload string        // what is said of the body
}

func errSignature() error {
	return fault(errs.Forbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
}

func errMalformed(text string) error {
	return fault(errs.BadRequest, "AuthorizationHeaderMalformed", "The authorization is malformed; %s", text)
}

// identify finds the caller by the signature, of whichever version and wherever
// it is. A request without one is nobody's.
func (h handlers) identify(c *api.Call) (auth.Caller, error) {
	r, q := c.Request(), c.Query()
	authorization := r.Header.Get("Authorization")
	var s signature
	var err error
	switch {
	case r.Method == http.MethodOptions:
		return auth.Caller{}, nil // browsers ask before they send what is signed
	case strings.HasPrefix(authorization, algorithm):
		s, err = fromHeader4(r, authorization)
	case strings.HasPrefix(authorization, "AWS "):
		s, err = fromHeader2(r, authorization)
	case authorization != "":
		return auth.Caller{}, fault(errs.BadRequest, "InvalidArgument", "Unsupported Authorization Type")
	case q.Has("X-Amz-Algorithm"), q.Has("X-Amz-Signature"):
		s, err = fromQuery4(r, q)
	case q.Has("Signature") && q.Has("AWSAccessKeyId"):
		s, err = fromQuery2(r, q)
	default:
		return auth.Caller{}, nil
	}
	if err != nil {
		return auth.Caller{}, err
	}
	err = s.timely(c.Now())
	if err != nil {
		return auth.Caller{}, err
	}
	key, err := h.keys(c.Context(), s.access)
	if errs.Is(err, errs.NotFound) {
		return auth.Caller{}, fault(errs.Forbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	}
	if err != nil {
		return auth.Caller{}, err
	}
	if !s.by(key.Secret) {
		return auth.Caller{}, errSignature()
	}
	caller, err := key.Caller(c.Context())
	if errs.Is(err, errs.Unauthorized) || errs.Is(err, errs.Forbidden) {
		return auth.Caller{}, errs.Forbiddenf("Access Denied.").Typed("AccessDenied").Because(err)
	}
	if err != nil {
		return auth.Caller{}, err
	}
	return caller, s.guard(r, key.Secret)
}

// timely refuses what was signed too long ago, or in the future.
func (s signature) timely(now time.Time) error {
	switch {
	case s.expires < 0 || s.expires > longest:
		return fault(errs.BadRequest, "AuthorizationQueryParametersError", "X-Amz-Expires must be between 1 and 604800 seconds.")
	case s.expires == 0 && now.Sub(s.date).Abs() > skew, s.expires > 0 && s.date.Sub(now) > skew:
		return fault(errs.Forbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
	case s.expires > 0 && now.After(s.date.Add(s.expires)):
		return fault(errs.Forbidden, "AccessDenied", "Request has expired.")
	}
	return nil
}

// by tells whether the secret gives the signature.
func (s signature) by(secret string) bool {
	for _, text := range s.text {
		var right string
		if s.scope == nil {
			mac := hmac.New(sha1.New, []byte(secret))
			mac.Write([]byte(text))
			right = base64.StdEncoding.EncodeToString(mac.Sum(nil))
		} else {
			right = hex.EncodeToString(mac256(key4(secret, s.scope), s.toSign(text)))
		}
		if subtle.ConstantTimeCompare([]byte(right), []byte(s.sum)) == 1 {
			return true
		}
	}
	return false
}

// toSign is what version 4 signs in place of the canonical request.
func (s signature) toSign(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return strings.Join([]string{algorithm, s.date.Format(amzDate), strings.Join(s.scope, "/"), hex.EncodeToString(sum[:])}, "\n")
}

func mac256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func key4(secret string, scope []string) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range scope {
		key = mac256(key, part)
	}
	return key
}

func fromHeader4(r *http.Request, authorization string) (signature, error) {
	fields := map[string]string{}
	for _, part := range strings.Split(strings.TrimPrefix(authorization, algorithm), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = strings.TrimSpace(value)
	}
	s := signature{sum: fields["Signature"], payload: r.Header.Get("X-Amz-Content-Sha256")}
	date, err := time.Parse(amzDate, r.Header.Get("X-Amz-Date"))
	if err != nil {
		date, err = http.ParseTime(r.Header.Get("Date"))
	}
	if err != nil {
		return s, fault(errs.Forbidden, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
	}
	if s.payload == "" {
		return s, fault(errs.BadRequest, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	}
	s.date = date.UTC()
	return s, s.scoped(r, fields["Credential"], fields["SignedHeaders"], r.URL.Query())
}

func fromQuery4(r *http.Request, q url.Values) (signature, error) {
	s := signature{sum: q.Get("X-Amz-Signature"), payload: unsigned}
	if q.Get("X-Amz-Algorithm") != algorithm {
		return s, fault(errs.BadRequest, "AuthorizationQueryParametersError", "X-Amz-Algorithm only supports %s", algorithm)
	}
	if sent := r.Header.Get("X-Amz-Content-Sha256"); sent != "" {
		s.payload = sent
	} else if asked := q.Get("X-Amz-Content-Sha256"); asked != "" {
		s.payload = asked
	}
	var err error
	s.date, err = time.Parse(amzDate, q.Get("X-Amz-Date"))
	seconds, numberErr := strconv.ParseInt(q.Get("X-Amz-Expires"), 10, 32)
	if err != nil || numberErr != nil || seconds < 1 {
		return s, fault(errs.BadRequest, "AuthorizationQueryParametersError", "X-Amz-Date and X-Amz-Expires must be a time and a number of seconds.")
	}
	s.expires = time.Duration(seconds) * time.Second
	q.Del("X-Amz-Signature")
	return s, s.scoped(r, q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q)
}

// scoped reads the credential and writes the canonical request of version 4.
func (s *signature) scoped(r *http.Request, credential, signedHeaders string, q url.Values) error {
	parts := strings.Split(credential, "/")
	if len(parts) < 5 || parts[len(parts)-1] != "aws4_request" || parts[len(parts)-2] != "s3" {
		return errMalformed("the credential must be an access key, date, region, s3 and aws4_request.")
	}
	s.access, s.scope = strings.Join(parts[:len(parts)-4], "/"), parts[len(parts)-4:]
	if s.scope[0] != s.date.Format("20060102") {
		return errMalformed("the date of the credential is not that of the request.")
	}
	names := strings.Split(signedHeaders, ";")
	if !slices.Contains(names, "host") {
		return errMalformed("the header host must be signed.")
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		// What steers the request must not be added by others.
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(names, name) {
			return fault(errs.Forbidden, "AccessDenied", "There were headers present in the request which were not signed: %s", name)
		}
	}
	var headers strings.Builder
	for _, name := range names {
		headers.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	// Clients sign the path as it is or as they would have spelled it.
	for _, path := range []string{escape(r.URL.Path, true), r.URL.EscapedPath()} {
		s.text = append(s.text, strings.Join([]string{r.Method, path, canonicalQuery(q), headers.String(), signedHeaders, s.payload}, "\n"))
	}
	return nil
}

func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	case "transfer-encoding":
		return strings.Join(r.TransferEncoding, ",")
	}
	var values []string
	for _, v := range r.Header.Values(name) {
		values = append(values, strings.Join(strings.Fields(v), " "))
	}
	return strings.Join(values, ",")
}

func canonicalQuery(q url.Values) string {
	var pairs []string
	for name, values := range q {
		for _, v := range values {
			pairs = append(pairs, escape(name, false)+"="+escape(v, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape escapes all but what AWS leaves as it is.
func escape(s string, slashes bool) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.~", c) >= 0, slashes && c == '/':
			b.WriteByte(c)
		default:
			const digits = "0123456789ABCDEF"
			b.WriteString("%" + digits[c>>4:c>>4+1] + digits[c&15:c&15+1])
		}
	}
	return b.String()
}

// resources are the parts of a query that version 2 signs.
var resources = []string{
	"accelerate", "acl", "append", "cors", "delete", "encryption", "legal-hold", "lifecycle", "location", "logging", "notification", "object-lock",
	"partNumber", "policy", "publicAccessBlock", "replication", "requestPayment", "response-cache-control", "response-content-disposition",
	"response-content-encoding", "response-content-language", "response-content-type", "response-expires", "restore", "retention", "tagging",
	"torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
}

func fromHeader2(r *http.Request, authorization string) (signature, error) {
	access, sum, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(authorization, "AWS ")), ":")
	if !ok {
		return signature{}, fault(errs.BadRequest, "InvalidArgument", "AWS authorization header is invalid. Expected AwsAccessKeyId:signature")
	}
	stamp := r.Header.Get("X-Amz-Date")
	date := r.Header.Get("Date")
	if stamp == "" {
		stamp = date
	} else {
		date = ""
	}
	at, err := http.ParseTime(strings.Replace(stamp, "+0000", "GMT", 1))
	if err != nil {
		at, err = time.Parse(amzDate, stamp)
	}
	if err != nil {
		return signature{}, fault(errs.Forbidden, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
	}
	return signature{access: access, sum: sum, date: at.UTC(), payload: unsigned, text: text2(r, date)}, nil
}

func fromQuery2(r *http.Request, q url.Values) (signature, error) {
	n, err := strconv.ParseInt(q.Get("Expires"), 10, 63)
	if err != nil {
		return signature{}, fault(errs.Forbidden, "AccessDenied", "Invalid date (should be seconds since epoch): %s", q.Get("Expires"))
	}
	// The signature holds the end alone: it is a URL that began a while before.
	until := time.Unix(n, 0).UTC()
	return signature{access: q.Get("AWSAccessKeyId"), sum: q.Get("Signature"), date: until.Add(-longest), expires: longest, payload: unsigned,
		text: text2(r, q.Get("Expires"))}, nil
}

func text2(r *http.Request, date string) []string {
	var names []string
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	amz := ""
	for _, name := range names {
		amz += name + ":" + strings.Join(r.Header.Values(name), ",") + "\n"
	}
	var asked []string
	q := r.URL.Query()
	for _, name := range resources {
		if !q.Has(name) {
			continue
		}
		if v := q.Get(name); v != "" {
			asked = append(asked, name+"="+v)
		} else {
			asked = append(asked, name)
		}
	}
	query := ""
	if len(asked) > 0 {
		query = "?" + strings.Join(asked, "&")
	}
	var out []string
	for _, path := range []string{r.URL.EscapedPath(), escape(r.URL.Path, true)} {
		out = append(out, strings.Join([]string{r.Method, r.Header.Get("Content-Md5"), r.Header.Get("Content-Type"), date,
			amz + path + query}, "\n"))
	}
	return out
}
