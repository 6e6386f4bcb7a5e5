package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Audit records of signing in. Each attempt is an event of what became of it,
// whichever method it was by; operators choose which of them leave. Whoever
// fails to sign in costs us such an event, and is nobody: so no more of these
// are written than auditBudget lets through, and none while outboxRoom events
// wait for a broker that is away. What is left out is counted, and the next
// record says how many there were.

// authenticateType is the type of these events, and begins the names by which
// operators leave some of them out.
const authenticateType = "identity.authenticate"

// Outcomes, as the federation calls them.
const (
	succeeded = "success"
	refused   = "failure"
	begun     = "pending" // the methods were right and not enough
)

// KeystoneOptOut are the events that Keystone tells nobody of by default.
var KeystoneOptOut = []string{authenticateType + "." + succeeded, authenticateType + "." + begun}

var auditBudget = budget{2000, 20}

const outboxRoom = 100_000

// errLocked is one of the reasons that Keystone's records give; the other is
// an expired password.
var errLocked = errors.New("the account is locked after wrong passwords")

// auditRecord is what is stored of an attempt.
type auditRecord struct {
	Outcome    string
	Methods    []string
	User       string // id; "" when there is no such user
	UserName   string
	IDP        string   `json:",omitempty"` // identity provider that said who it is
	Groups     []string `json:",omitempty"` // that it named
	Reason     string   `json:",omitempty"`
	ReasonCode int      `json:",omitempty"`
	Unrecorded int64    `json:",omitempty"` // how many failures came before and were left out
}

// recorder lets through as many failures as there is room for.
type recorder struct {
	optOut []string

	mu    sync.Mutex // guards spent
	spent cell

	left   atomic.Int64 // how many were left out since the last that was not
	warned atomic.Int64 // when the log was told, in microseconds
}

func (r *recorder) wants(outcome string) bool {
	return !slices.Contains(r.optOut, authenticateType+"."+outcome)
}

// admit takes the room for one failure, if there is any.
func (r *recorder) admit(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spent.leak(auditBudget, now.UnixMicro())
	if float64(r.spent.level)+1 > auditBudget.burst {
		return false
	}
	r.spent.level++
	return true
}

// record records what became of an attempt to sign in, and hands on its error. An
// attempt that the cloud itself has failed has become of nothing.
func (s *Service) record(ctx context.Context, in auditRecord, login Login, err error) error {
	var more *Insufficient
	known, classified := errs.As(err)
	switch {
	case err == nil:
		in.Outcome = succeeded
	case errors.As(err, &more):
		in.Outcome, in.User = begun, more.User
	case classified && slices.Contains([]errs.Kind{errs.Unauthorized, errs.Forbidden, errs.NotFound, errs.TooMany}, known.Kind):
		in.Outcome, in.Reason, in.ReasonCode = refused, known.Message, int(known.Kind)
	default:
		return err
	}
	if !s.recorder.wants(in.Outcome) {
		return err
	}
	// Who comes too often is not even looked up, and so not written down.
	if in.Outcome == refused && (known.Kind == errs.TooMany || !s.recorder.admit(s.clock.Now())) {
		s.leaveOut(1)
		return err
	}
	in.Unrecorded = s.recorder.left.Swap(0)
	full := false
	failed := s.db.Write(ctx, func(tx *db.Tx) error {
		said := in
		said.name(ctx, tx, login)
		switch {
		case errors.Is(err, errLocked):
			said.Reason = fmt.Sprintf("Maximum number of %d login attempts exceeded.", s.compliance.LockoutAttempts)
		case ExpiredPassword(err) != "":
			said.Reason = fmt.Sprintf("Password for %s expired and must be changed", said.UserName)
		}
		if said.Outcome == refused {
			err := tx.Get(ctx, &full, `SELECT COALESCE(MAX(seq) - MIN(seq), 0) > ? FROM outbox`, outboxRoom)
			if err != nil || full {
				return err
			}
		}
		return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: authenticateType, Resource: said.User, Payload: told{SignIn: &said}})
	})
	if failed != nil {
		return fmt.Errorf("record a sign-in: %w", failed)
	}
	if full {
		s.leaveOut(in.Unrecorded + 1)
	}
	return err
}

// leaveOut counts failures that are not recorded, and says so once a minute.
func (s *Service) leaveOut(n int64) {
	r := &s.recorder
	left, now, warned := r.left.Add(n), s.clock.Now(), r.warned.Load()
	if now.UnixMicro()-warned > time.Minute.Microseconds() && r.warned.CompareAndSwap(warned, now.UnixMicro()) {
		s.log.Warn("failed sign-ins are not recorded", "count", left)
	}
}

// name finds whom an attempt is about. Names that are no user's are not kept:
// people type passwords there.
func (in *auditRecord) name(ctx context.Context, tx *db.Tx, login Login) {
	var user User
	var err error
	ref := Ref{ID: in.User}
	app := login.AppCredential
	switch {
	case ref.ID != "":
	case login.Password != nil:
		ref = login.Password.User
	case login.TOTP != nil:
		ref = login.TOTP.User
	case app != nil && app.ID != "":
		var a AppCredential
		a, err = find[AppCredential](ctx, tx, appCredentialKind, app.ID)
		ref.ID = a.UserID
	case app != nil:
		ref = app.User
	case login.Certificate != nil:
		ref.ID = login.Certificate.User
	case login.OAuth != nil:
		var t AccessToken
		t, err = find[AccessToken](ctx, tx, accessTokenKind, login.OAuth.Params["oauth_token"])
		ref.ID = t.UserID
	}
	if err == nil && (ref.ID != "" || ref.Name != "") {
		user, err = findUser(ctx, tx, ref)
	}
	if err == nil {
		in.User, in.UserName = user.ID, user.Name
	}
}

// methods are those that a login is by.
func (l Login) methods() []string {
	var names []string
	for name, has := range map[string]bool{
		"password": l.Password != nil, "token": l.Token != "", "application_credential": l.AppCredential != nil, "oauth1": l.OAuth != nil, "totp": l.TOTP != nil,
		certificateMethod: l.Certificate != nil,
	} {
		if has {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// event words a sign-in as Keystone does. What is unknown of the target and the
// initiator has an id all the same.
func (in auditRecord) event(e bus.Record, id func(of string) string) data {
	e.By.User, e.By.UserName, e.By.Project, e.By.Domain = in.User, in.UserName, "", ""
	event := auditEvent(e, id)
	event["action"], event["outcome"] = "authenticate", in.Outcome
	event["target"] = data{"typeURI": "service/security/account/user", "id": id("target")}
	if in.Reason != "" {
		event["reason"] = data{"reasonType": in.Reason, "reasonCode": fmt.Sprint(in.ReasonCode)}
	}
	if in.IDP != "" {
		event["initiator"].(data)["credential"] = data{ // Keystone names SAML whatever the protocol
			"type": "http://docs.oasis-open.org/security/saml/v2.0", "token": "unknown", "identity_provider": in.IDP,
			"user": cmp.Or(in.User, "unknown"), "groups": append([]string{}, in.Groups...),
		}
	}
	attach := func(name, content string) data {
		return data{"typeURI": "mime:text/plain", "name": name, "content": content}
	}
	attachments := []data{attach("methods", strings.Join(in.Methods, ","))}
	if in.Unrecorded > 0 {
		attachments = append(attachments, attach("unrecorded_failures", fmt.Sprint(in.Unrecorded)))
	}
	event["attachments"] = attachments
	return event
}

// idsOf makes ids that belong to an event and are the same each time.
func idsOf(e bus.Record) (func(of string) string, error) {
	whole, err := uuid.Parse(e.ID)
	return func(of string) string { return uuid.NewSHA1(whole, []byte(of)).String() }, err
}
