// Package errs holds the one error that reaches a user.
//
// The place that knows what went wrong picks the kind and writes the sentence;
// everybody above it only adds context with %w; the HTTP kernel renders it in
// the envelope of the service that was asked. An error that was never
// classified is a fault of ours: it is logged whole and shown as unexpected.
package errs

import (
	"errors"
	"fmt"
)

// Kind is the class of an error. Each has one HTTP status.
type Kind int

// The kinds. Their values are the HTTP statuses that they are shown with.
const (
	BadRequest       Kind = 400
	Unauthorized     Kind = 401
	Forbidden        Kind = 403
	NotFound         Kind = 404
	MethodNotAllowed Kind = 405
	NotAcceptable    Kind = 406
	Conflict         Kind = 409
	Gone             Kind = 410
	Precondition     Kind = 412
	TooLarge         Kind = 413
	UnsupportedMedia Kind = 415
	Range            Kind = 416
	Unprocessable    Kind = 422
	TooMany          Kind = 429
	Internal         Kind = 500
	NotImplemented   Kind = 501
	Unavailable      Kind = 503
	Full             Kind = 507
)

// Error is a classified error: what kind, what to tell the user, and,
// optionally, what lies behind it (logged, never shown).
type Error struct {
	Kind    Kind
	Message string            // a sentence that names the thing
	Type    string            // Neutron's exception name, placement's error code; empty elsewhere
	Headers map[string]string // headers of the reply, such as Retry-After
	Cause   error
}

// Error gives the user's sentence and, for the log, its cause.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Typed names the error as Neutron ("PortNotFound") or placement
// ("placement.concurrent_update") does, and returns it.
func (e *Error) Typed(name string) *Error {
	e.Type = name
	return e
}

// With adds a reply header and returns the error.
func (e *Error) With(header, value string) *Error {
	if e.Headers == nil {
		e.Headers = map[string]string{}
	}
	e.Headers[header] = value
	return e
}

// Because records what lies behind the error and returns it.
func (e *Error) Because(cause error) *Error {
	e.Cause = cause
	return e
}

// New makes an error of any kind.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// BadRequestf says that the input is wrong.
func BadRequestf(format string, args ...any) *Error { return New(BadRequest, format, args...) }

// Unauthorizedf says that we do not know who is asking.
func Unauthorizedf(format string, args ...any) *Error { return New(Unauthorized, format, args...) }

// Forbiddenf says that the caller may not, or that a quota is used up.
func Forbiddenf(format string, args ...any) *Error { return New(Forbidden, format, args...) }

// NotFoundf says that the thing does not exist, as far as the caller can see.
func NotFoundf(format string, args ...any) *Error { return New(NotFound, format, args...) }

// Conflictf says that the thing is in a state which does not allow the call.
func Conflictf(format string, args ...any) *Error { return New(Conflict, format, args...) }

// TooLargef says that a limit on size was passed.
func TooLargef(format string, args ...any) *Error { return New(TooLarge, format, args...) }

// Unavailablef says that a part we need is away for now.
func Unavailablef(format string, args ...any) *Error { return New(Unavailable, format, args...) }

// As finds the classified error in a chain.
func As(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// Is tells whether the chain holds an error of that kind.
func Is(err error, kind Kind) bool {
	e, ok := As(err)
	return ok && e.Kind == kind
}
