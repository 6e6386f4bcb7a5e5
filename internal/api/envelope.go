package api

import (
	"encoding/xml"
	"fmt"
	"html"
	"net/http"
	"strings"

	"nacre/internal/errs"
)

// Envelope is how one service words and frames its errors. The frames are
// facts of the public APIs; see the variables below.
type Envelope struct {
	// Forbidden is the error when the caller does not pass the rule.
	Forbidden func(rule string) error
	frame     func(c *Call, e *errs.Error) (contentType string, body any)
	invalid   func(v Violation) error
	broken    string // what a body is that is no JSON; "" for the usual sentence
}

// body frames an error. What the token check says has the same frame in every
// service, since all use the same middleware; Swift alone words it itself.
func (e Envelope) body(c *Call, err *errs.Error) (string, []byte) {
	frame := e.frame
	if frame == nil || (err.Kind == errs.Unauthorized && c.Caller.User == "" && c.service.Name != "swift") {
		frame = keystoneFrame
	}
	contentType, value := frame(c, err)
	text, isText := value.(string)
	if isText {
		return contentType, []byte(text)
	}
	body, encodeErr := Encode(value, 0)
	if encodeErr != nil {
		return "text/plain", []byte(err.Message)
	}
	return contentType, body
}

func (e Envelope) malformed(cause error) error {
	if e.broken != "" {
		return errs.BadRequestf("%s: %v", e.broken, cause).Because(cause)
	}
	return errs.BadRequestf("Malformed request body: cannot understand JSON").Typed("HTTPBadRequest").Because(cause)
}

func (e Envelope) wrongProject() error {
	return errs.BadRequestf("Malformed request url")
}

// The envelopes of the services.
var (
	Keystone = Envelope{
		Forbidden: func(rule string) error {
			return errs.Forbiddenf("You are not authorized to perform the requested action: %s.", rule)
		},
		frame:   keystoneFrame,
		invalid: quotedInvalid,
	}
	Nova = Envelope{
		Forbidden: func(rule string) error {
			return errs.Forbiddenf("Policy doesn't allow %s to be performed.", rule)
		},
		frame:   novaFrame,
		invalid: novaInvalid,
	}
	Cinder  = Nova
	Neutron = Envelope{
		Forbidden: func(rule string) error {
			return errs.Forbiddenf("(rule:%s) is disallowed by policy", rule).Typed("PolicyNotAuthorized")
		},
		frame:   neutronFrame,
		invalid: neutronInvalid,
	}
	Glance = Envelope{
		Forbidden: func(rule string) error {
			return errs.Forbiddenf("You are not authorized to complete %s action.", rule)
		},
		frame:   glanceFrame,
		invalid: glanceInvalid,
	}
	Placement = Envelope{
		Forbidden: func(rule string) error {
			return errs.Forbiddenf("Access was denied to this resource: %s does not allow it.", rule)
		},
		frame:   placementFrame,
		invalid: placementInvalid,
		broken:  "Malformed JSON",
	}
	Swift = Envelope{
		Forbidden: func(string) error {
			return errs.Forbiddenf("Access was denied to this resource.")
		},
		frame:   swiftFrame,
		invalid: quotedInvalid,
	}
	S3 = Envelope{
		Forbidden: func(string) error {
			return errs.Forbiddenf("Access Denied.").Typed("AccessDenied")
		},
		frame:   s3Frame,
		invalid: quotedInvalid,
	}
)

type object map[string]any

func title(kind errs.Kind) string { return http.StatusText(int(kind)) }

func keystoneFrame(_ *Call, e *errs.Error) (string, any) {
	return "application/json", object{"error": object{"code": int(e.Kind), "title": title(e.Kind), "message": e.Message}}
}

var novaFaults = map[errs.Kind]string{
	errs.BadRequest: "badRequest", errs.Unauthorized: "unauthorized", errs.Forbidden: "forbidden",
	errs.NotFound: "itemNotFound", errs.MethodNotAllowed: "badMethod", errs.Conflict: "conflictingRequest",
	errs.TooLarge: "overLimit", errs.TooMany: "overLimit", errs.UnsupportedMedia: "badMediaType",
	errs.NotImplemented: "notImplemented", errs.Unavailable: "serviceUnavailable",
}

func novaFrame(_ *Call, e *errs.Error) (string, any) {
	name, known := novaFaults[e.Kind]
	if !known {
		name = "computeFault"
	}
	fault := object{"code": int(e.Kind), "message": e.Message}
	retry, limited := e.Headers["Retry-After"]
	if limited && name == "overLimit" {
		fault["retryAfter"] = retry
	}
	return "application/json", object{name: fault}
}

func neutronFrame(_ *Call, e *errs.Error) (string, any) {
	name := e.Type
	if name == "" {
		name = "HTTP" + strings.ReplaceAll(title(e.Kind), " ", "")
	}
	return "application/json", object{"NeutronError": object{"type": name, "message": e.Message, "detail": ""}}
}

// glanceFrame is webob's: HTML, or JSON when the client asks for it.
func glanceFrame(c *Call, e *errs.Error) (string, any) {
	heading := fmt.Sprintf("%d %s", int(e.Kind), title(e.Kind))
	if strings.Contains(c.Header("Accept"), "application/json") {
		return "application/json", object{"message": e.Message + "\n\n   ", "code": heading, "title": title(e.Kind)}
	}
	return "text/html; charset=UTF-8", "<html>\n <head>\n  <title>" + heading + "</title>\n </head>\n <body>\n  <h1>" + heading +
		"</h1>\n  " + html.EscapeString(e.Message) + "<br /><br />\n\n\n </body>\n</html>"
}

func placementFrame(c *Call, e *errs.Error) (string, any) {
	fault := object{"status": int(e.Kind), "title": title(e.Kind), "detail": e.Message, "request_id": c.id}
	if c.Version >= V(1, 23) {
		fault["code"] = e.Type
		if e.Type == "" {
			fault["code"] = "placement.undefined_code"
		}
	}
	if e.Kind == errs.NotAcceptable {
		fault["max_version"], fault["min_version"] = c.service.Versions.Max.String(), c.service.Versions.Min.String()
	}
	return "application/json", object{"errors": []object{fault}}
}

// swiftFrame is a small page with the sentence of the status, or, for an error
// typed "text", its own sentence as text.
func swiftFrame(_ *Call, e *errs.Error) (string, any) {
	if e.Type == "text" {
		return "text/plain; charset=UTF-8", e.Message
	}
	return "text/html; charset=UTF-8", "<html><h1>" + title(e.Kind) + "</h1><p>" + html.EscapeString(e.Message) + "</p></html>"
}

// s3Codes are the codes of errors that have no other.
var s3Codes = map[errs.Kind]string{
	errs.BadRequest: "InvalidRequest", errs.Unauthorized: "AccessDenied", errs.Forbidden: "AccessDenied",
	errs.NotFound: "NoSuchKey", errs.MethodNotAllowed: "MethodNotAllowed", errs.Conflict: "OperationAborted",
	errs.Precondition: "PreconditionFailed", errs.TooLarge: "EntityTooLarge", errs.NotImplemented: "NotImplemented",
	errs.Range: "InvalidRange", errs.Unavailable: "ServiceUnavailable", errs.Full: "InsufficientStorage", errs.TooMany: "SlowDown",
}

func s3Frame(c *Call, e *errs.Error) (string, any) {
	code := e.Type
	if code == "" || code == "text" {
		code = s3Codes[e.Kind]
	}
	if code == "" {
		code = "InternalError"
	}
	body, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Resource  string
		RequestID string `xml:"RequestId"`
	}{Code: code, Message: e.Message, Resource: c.request.URL.Path, RequestID: c.TransID()})
	if err != nil {
		return "text/plain", e.Message
	}
	return "application/xml", xml.Header + string(body)
}

// quotedInvalid is Keystone's sentence.
func quotedInvalid(v Violation) error {
	if v.Field == "" {
		return errs.BadRequestf("%s", v.Text)
	}
	return errs.BadRequestf("Invalid input for field '%s': %s", v.Path, v.Text)
}

func novaInvalid(v Violation) error {
	if v.Field == "" {
		return errs.BadRequestf("%s", v.Text)
	}
	return errs.BadRequestf("Invalid input for field/attribute %s. Value: %s. %s", v.Field, v.Value, v.Text)
}

func neutronInvalid(v Violation) error {
	switch {
	case len(v.Unknown) > 0:
		return errs.BadRequestf("Unrecognized attribute(s) '%s'", strings.Join(v.Unknown, ", ")).Typed("HTTPBadRequest")
	case len(v.Missing) > 0:
		return errs.BadRequestf("Failed to parse request. Required attribute '%s' not specified", v.Missing[0]).Typed("HTTPBadRequest")
	}
	return errs.BadRequestf("Invalid input for %s. Reason: %s.", v.Field, v.Text).Typed("HTTPBadRequest")
}

func glanceInvalid(v Violation) error {
	if v.Schema == "" {
		return errs.BadRequestf("%s. Failed validating '%s'", v.Text, v.Field)
	}
	return errs.BadRequestf("Provided object does not match schema '%s': %s. Failed validating '%s'", v.Schema, v.Text, v.Field)
}

func placementInvalid(v Violation) error {
	if strings.HasSuffix(v.Text, " does not match '"+patterns["uuid"]+"'") {
		v.Text, v.Rule = strings.TrimSuffix(v.Text, "does not match '"+patterns["uuid"]+"'")+"is not a 'uuid'", "format"
	}
	return errs.BadRequestf("JSON does not validate: %s\n\nFailed validating '%s' in schema%s", v.Text, v.Rule, v.At)
}
