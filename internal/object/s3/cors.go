package s3

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/object"
)

type corsRule struct {
	ID      string   `xml:",omitempty"`
	Origins []string `xml:"AllowedOrigin"`
	Methods []string `xml:"AllowedMethod"`
	Headers []string `xml:"AllowedHeader"`
	Expose  []string `xml:"ExposeHeader"`
	MaxAge  int      `xml:"MaxAgeSeconds,omitempty"`
}

type corsDoc struct {
	XMLName xml.Name   `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CORSConfiguration"`
	Rules   []corsRule `xml:"CORSRule"`
}

func (h handlers) bucketCORS(e entry) (any, error) {
	rules := e.box.Settings.V.CORS
	if len(rules) == 0 {
		return nil, fault(errs.NotFound, "NoSuchCORSConfiguration", "The CORS configuration does not exist")
	}
	var doc corsDoc
	for _, r := range rules {
		doc.Rules = append(doc.Rules, corsRule(r))
	}
	return answer(doc)
}

func (h handlers) setBucketCORS(e entry) (any, error) {
	var in struct {
		Rules []corsRule `xml:"CORSRule"`
	}
	err := read(e.c, &in)
	if err != nil {
		return nil, err
	}
	if len(in.Rules) == 0 || len(in.Rules) > 100 {
		return nil, fault(errs.BadRequest, "MalformedXML", "A configuration must have between 1 and 100 rules.")
	}
	var rules []object.CORSRule
	for _, r := range in.Rules {
		if len(r.Origins) == 0 || len(r.Methods) == 0 || r.MaxAge < 0 {
			return nil, fault(errs.BadRequest, "MalformedXML", "A rule must have an origin and a method.")
		}
		for _, method := range r.Methods {
			if !slices.Contains([]string{"GET", "PUT", "HEAD", "POST", "DELETE"}, method) {
				return nil, fault(errs.BadRequest, "InvalidRequest", "Found unsupported HTTP method in CORS config. Unsupported method is %s", method)
			}
		}
		for _, pattern := range slices.Concat(r.Origins, r.Headers) {
			if strings.Count(pattern, "*") > 1 {
				return nil, fault(errs.BadRequest, "InvalidRequest", "%q can not have more than one wildcard.", pattern)
			}
		}
		rules = append(rules, object.CORSRule(r))
	}
	return done(e.change(func(s *object.Settings) error { s.CORS = rules; return nil }), http.StatusOK)
}

func (h handlers) deleteBucketCORS(e entry) (any, error) {
	return done(e.change(func(s *object.Settings) error { s.CORS = nil; return nil }), http.StatusNoContent)
}

// fits matches a pattern with at most one *.
func fits(pattern, text string) bool {
	head, tail, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == text
	}
	return len(text) >= len(head)+len(tail) && strings.HasPrefix(text, head) && strings.HasSuffix(text, tail)
}

// ruleFor is the first rule that lets a page of the origin send the method with
// the headers.
func ruleFor(rules []object.CORSRule, origin, method string, headers []string) (object.CORSRule, bool) {
	for _, r := range rules {
		origins := slices.ContainsFunc(r.Origins, func(p string) bool { return fits(p, origin) })
		allowed := !slices.ContainsFunc(headers, func(h string) bool {
			return !slices.ContainsFunc(r.Headers, func(p string) bool { return fits(strings.ToLower(p), h) })
		})
		if origins && allowed && slices.Contains(r.Methods, method) {
			return r, true
		}
	}
	return object.CORSRule{}, false
}

func allowOrigin(c *api.Call, r object.CORSRule) {
	if slices.Contains(r.Origins, "*") {
		c.SetHeader("Access-Control-Allow-Origin", "*")
	} else {
		c.SetHeader("Access-Control-Allow-Origin", c.Header("Origin"))
		c.SetHeader("Access-Control-Allow-Credentials", "true")
		c.SetHeader("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
	}
	if len(r.Expose) > 0 {
		c.SetHeader("Access-Control-Expose-Headers", strings.Join(r.Expose, ", "))
	}
}

// cors lets the page that sent the request read the reply, when a rule of the
// bucket says so.
func (e entry) cors(box object.Container) {
	origin := e.c.Header("Origin")
	if origin == "" {
		return
	}
	rule, ok := ruleFor(box.Settings.V.CORS, origin, e.c.Request().Method, nil)
	if ok {
		allowOrigin(e.c, rule)
	}
}

// preflight answers whether a page of another origin may send a request. Browsers
// do not sign this question, so that the bucket can be found only by the access
// key in the address of a signed URL.
func (h handlers) preflight(c *api.Call) (any, error) {
	q := c.Query()
	access, _, _ := strings.Cut(q.Get("X-Amz-Credential"), "/")
	if access == "" {
		access = q.Get("AWSAccessKeyId")
	}
	refused := fault(errs.Forbidden, "AccessForbidden", "CORSResponse: This CORS request is not allowed.")
	origin, method := c.Header("Origin"), c.Header("Access-Control-Request-Method")
	if origin == "" || method == "" || access == "" {
		return nil, refused
	}
	key, err := h.keys(c.Context(), access)
	if err != nil {
		return nil, errs.Forbiddenf("CORSResponse: This CORS request is not allowed.").Typed("AccessForbidden").Because(err)
	}
	caller, err := key.Caller(c.Context())
	if err != nil {
		return nil, errs.Forbiddenf("CORSResponse: This CORS request is not allowed.").Typed("AccessForbidden").Because(err)
	}
	box, err := h.store.Container(c.Context(), "AUTH_"+caller.Project, c.PathValue("bucket"))
	if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	var headers []string
	for _, name := range strings.Split(strings.ToLower(c.Header("Access-Control-Request-Headers")), ",") {
		if name = strings.TrimSpace(name); name != "" {
			headers = append(headers, name)
		}
	}
	rule, ok := ruleFor(box.Settings.V.CORS, origin, method, headers)
	if !ok {
		return nil, refused
	}
	allowOrigin(c, rule)
	c.SetHeader("Access-Control-Allow-Methods", strings.Join(rule.Methods, ", "))
	if len(headers) > 0 {
		c.SetHeader("Access-Control-Allow-Headers", strings.Join(headers, ", "))
	}
	if rule.MaxAge > 0 {
		c.SetHeader("Access-Control-Max-Age", strconv.Itoa(rule.MaxAge))
	}
	return api.Reply{Status: http.StatusOK}, nil
}
