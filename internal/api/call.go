package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Call is one request on its way through a handler.
type Call struct {
	Caller  auth.Caller
	Version Version // negotiated microversion, zero where the API has none

	kernel     *Kernel
	service    *Service
	route      *Route
	request    *http.Request
	writer     http.ResponseWriter
	params     map[string]string
	header     http.Header // of the reply
	body       []byte      // read once by readBody
	bodyRead   bool
	status     int // set by SetStatus or when the reply was written
	authorized bool
	id         string
	globalID   string
	began      time.Time
	fields     []slog.Attr
	err        error // what the client was not told
	cut        bool  // its reply does not end, by a fault of ours
	written    *Written
}

// Handler serves a call: a view to render, or an error. A nil view is an empty
// body. Reply gives full control over a success.
type Handler func(c *Call) (any, error)

// Context ends when the client goes away or the request takes too long.
func (c *Call) Context() context.Context { return c.request.Context() }

// Now is the time at which the request arrived.
func (c *Call) Now() time.Time { return c.began }

// PathValue is a path parameter, unescaped.
func (c *Call) PathValue(name string) string { return c.params[name] }

// Header is a request header.
func (c *Call) Header(name string) string { return c.request.Header.Get(name) }

// Request is the request itself, for the few calls that are not JSON.
func (c *Call) Request() *http.Request { return c.request }

// Takeover is the raw reply with the headers set so far, for the few calls that
// write it themselves (ranges, WebSockets). Such a handler returns Done, having
// authorized first: what is written cannot be taken back.
func (c *Call) Takeover() http.ResponseWriter {
	if !c.authorized && !c.route.Public {
		panic("the reply was taken over without authorization")
	}
	c.replyHeaders()
	return c.writer
}

// ModTime is a time as Last-Modified has it: rounded up to whole seconds, so
// that a change within the second does not look like none.
func ModTime(t time.Time) time.Time { return t.Add(time.Second - 1).Truncate(time.Second) }

// Route is the row that the call was found by.
func (c *Call) Route() *Route { return c.route }

// RequestID is this request's id, req-<uuid>.
func (c *Call) RequestID() string { return c.id }

// TransID is this request's id as object stores spell it: 21 hex digits and the
// time.
func (c *Call) TransID() string {
	digits := strings.ReplaceAll(strings.TrimPrefix(c.id, "req-"), "-", "")
	return fmt.Sprintf("tx%.21s-%010x", digits, c.began.Unix())
}

// GlobalRequestID is the id the client sent for a request over several
// services, "" for none.
func (c *Call) GlobalRequestID() string { return c.globalID }

// SetHeader sets a header of the reply.
func (c *Call) SetHeader(name, value string) { c.header.Set(name, value) }

// DropHeader takes a header of the reply back.
func (c *Call) DropHeader(name string) { c.header.Del(name) }

// SetStatus replaces the status of a success.
func (c *Call) SetStatus(status int) { c.status = status }

// Log adds a field to the request's one event.
func (c *Call) Log(key string, value any) { c.fields = append(c.fields, slog.Any(key, value)) }

// Authorize checks the rule of the row for the target. It must be called, and
// pass, before a handler returns a success.
func (c *Call) Authorize(target auth.Target) error {
	return c.AuthorizeRule(c.route.Rule, target)
}

// AuthorizeRule checks another rule than the one of the row.
func (c *Call) AuthorizeRule(rule string, target auth.Target) error {
	if !c.kernel.policy.Allows(rule, c.Caller, target) {
		return c.service.Envelope.Forbidden(rule)
	}
	c.authorized = true
	return nil
}

// Grant authorizes the call by what the handler has checked itself: an access
// list, a signature. The reason goes into the request's event.
func (c *Call) Grant(reason string) {
	c.authorized = true
	c.Log("granted_by", reason)
}

// Refuse is the error for a caller who may not: forbidden, or, for nobody, that
// a token is needed.
func (c *Call) Refuse() error {
	if c.Caller.User == "" {
		return c.unauthorized(nil)
	}
	return c.service.Envelope.Forbidden(c.route.Rule)
}

// May tells whether a further rule would pass, for what a view may show. It
// does not authorize the call.
func (c *Call) May(rule string, target auth.Target) bool {
	return c.kernel.policy.Allows(rule, c.Caller, target)
}

// AuthorizeOwn authorizes a call on what belongs to the token's own project:
// lists and creations.
func (c *Call) AuthorizeOwn() error {
	return c.Authorize(auth.Target{Project: c.Caller.Project, User: c.Caller.User, Domain: c.Caller.Domain})
}

// Base is the URL of the cloud without a path: http://host:port.
func (c *Call) Base() string {
	if c.kernel.public != "" {
		return c.kernel.public
	}
	scheme := "http"
	if c.request.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + c.request.Host
}

// URL is the absolute URL of a path below the service's mount.
func (c *Call) URL(path string) string { return c.Base() + c.service.Mount + path }

// readBody reads the whole body within the row's limit.
func (c *Call) readBody() ([]byte, error) {
	limit := int64(DefaultMaxBody)
	if c.route != nil && c.route.MaxBody > 0 {
		limit = c.route.MaxBody
	}
	return c.ReadBody(limit)
}

// ReadBody reads the whole body of a stream's row within a limit.
func (c *Call) ReadBody(limit int64) ([]byte, error) {
	if c.bodyRead {
		return c.body, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.writer, c.request.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, errs.TooLargef("Request is too large.")
	}
	if err != nil {
		return nil, errs.BadRequestf("The request body could not be read.").Because(err)
	}
	c.body, c.bodyRead = body, true
	return body, nil
}

// readAction finds the one key of an action's body.
func (c *Call) readAction() (string, error) {
	body, err := c.readBody()
	if err != nil {
		return "", err
	}
	var keys map[string]json.RawMessage
	err = json.Unmarshal(body, &keys)
	if err != nil {
		return "", c.service.Envelope.malformed(err)
	}
	if len(keys) != 1 {
		return "", errs.BadRequestf("Multiple actions or none: the body of an action has exactly one key.")
	}
	for name := range keys {
		return name, nil
	}
	return "", nil
}

// Reply is a success with everything in the handler's hands.
type Reply struct {
	Status      int // 0: the row's
	ContentType string
	Size        int64         // of Stream; -1 when unknown
	Stream      io.ReadCloser // closed by the kernel
	Body        []byte        // when Stream is nil
}

type done struct{}

// Done says that the handler has written the reply itself.
var Done any = done{}

func (c *Call) render(reply any) {
	status := c.route.OK
	if c.status != 0 {
		status = c.status
	}
	switch r := reply.(type) {
	case done:
		c.status = status
		return
	case nil:
		c.write(status, "", nil)
	case Reply:
		if r.Status != 0 {
			status = r.Status
		}
		if r.Stream != nil {
			c.stream(status, r)
			return
		}
		c.write(status, r.ContentType, r.Body)
	default:
		body, err := Encode(reply, c.Version)
		if err != nil {
			c.fail(err)
			return
		}
		if c.written != nil {
			c.writeAround(status, body)
			return
		}
		c.write(status, "application/json", body)
		leave(body)
	}
}

func (c *Call) write(status int, contentType string, body []byte) {
	c.begin(status, contentType, int64(len(body)))
	if c.request.Method == http.MethodHead || status == http.StatusNoContent {
		return
	}
	c.send(body)
}

// send tells whether there is still somebody who reads.
func (c *Call) send(text []byte) bool {
	_, err := c.writer.Write(text)
	if err != nil {
		c.err = errors.Join(c.err, err)
	}
	return err == nil
}

func (c *Call) stream(status int, r Reply) {
	defer r.Stream.Close()
	c.begin(status, r.ContentType, r.Size)
	if c.request.Method == http.MethodHead || status == http.StatusNoContent {
		return
	}
	_, err := io.Copy(c.writer, r.Stream)
	if err == nil {
		return
	}
	// The headers are out: cutting the connection is the only way to tell the
	// client that the bytes are not whole.
	c.Log("error", err.Error())
	panic(http.ErrAbortHandler)
}

func (c *Call) begin(status int, contentType string, size int64) {
	c.status = status
	h := c.replyHeaders()
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	if size >= 0 && status != http.StatusNoContent && h.Get("Content-Length") == "" {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	c.writer.WriteHeader(status)
}

func (c *Call) replyHeaders() http.Header {
	h := c.writer.Header()
	for name, values := range c.header {
		h[name] = values
	}
	h.Set("X-Openstack-Request-Id", c.id)
	if c.service.Identify == nil {
		h.Add("Vary", "X-Auth-Token") // a cache must not give one caller's reply to another
	}
	switch c.service.Type {
	case "compute":
		h.Set("X-Compute-Request-Id", c.id)
	case "object-store":
		h.Set("X-Trans-Id", c.TransID())
	case "s3":
		h.Set("X-Amz-Request-Id", c.TransID())
		h.Set("X-Amz-Id-2", c.TransID())
	}
	return h
}

// fail renders an error in the service's envelope. What nobody classified is
// shown as unexpected and logged whole.
func (c *Call) fail(err error) {
	e, classified := errs.As(err)
	if !classified {
		c.err = err
		kind, text := errs.Internal, "An unexpected error prevented the server from fulfilling your request."
		switch {
		case errors.Is(err, context.Canceled) && c.request.Context().Err() != nil:
			kind, text = clientGone, "The client closed the connection."
		case errors.Is(err, context.DeadlineExceeded):
			kind, text = errs.Unavailable, "The request took too long and was given up. Please try again."
		case db.IsFull(err):
			kind, text = errs.Full, "There is no space left on the cloud's disks, and nothing was changed. An operator has to make room; then please try again."
		case db.IsAway(err):
			kind, text = errs.Unavailable, "The database does not answer. Please try again."
		}
		e = errs.New(kind, "%s (%s)", text, c.id)
	} else if e.Cause != nil {
		c.err = err
	}
	for name, value := range e.Headers {
		c.header.Set(name, value)
	}
	contentType, body := c.service.Envelope.body(c, e)
	c.write(int(e.Kind), contentType, body)
}

// clientGone is what the log says of a request whose client did not wait for the
// reply: no fault of ours. Nobody is there to read it.
const clientGone errs.Kind = 499

// report leaves the request's one wide event.
func (c *Call) report() {
	pattern := ""
	if c.route != nil {
		pattern = c.service.Mount + c.route.Path
	}
	attrs := append([]slog.Attr{
		slog.String("method", c.request.Method),
		slog.String("route", pattern),
		slog.Int("status", c.status),
		slog.Duration("duration", c.kernel.clock.Now().Sub(c.began)),
		slog.String("request_id", c.id),
	}, c.fields...)
	if c.route != nil && c.route.Action != "" {
		attrs = append(attrs, slog.String("action", c.route.Action))
	}
	if c.Caller.User != "" {
		attrs = append(attrs, slog.String("user_id", c.Caller.User), slog.String("project_id", c.Caller.Project))
	}
	if c.globalID != "" {
		attrs = append(attrs, slog.String("global_request_id", c.globalID))
	}
	level := slog.LevelDebug
	if c.err != nil {
		attrs = append(attrs, slog.String("error", c.err.Error()))
	}
	if c.status >= 500 && c.status != http.StatusNotImplemented || c.cut {
		level = slog.LevelError
	}
	c.kernel.log.LogAttrs(c.request.Context(), level, "request", attrs...)
}

func globalRequestID(text string) string {
	if requestIDForm.MatchString(text) {
		return text
	}
	return ""
}

var requestIDForm = regexp.MustCompile(`^req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func stack() string { return strings.TrimSpace(string(debug.Stack())) }
