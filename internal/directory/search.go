package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// question is a search for entries of a kind.
type question struct {
	kind
	filter     string // besides that of the kind
	attributes []string
}

// entries searches, and reads most entries at most. More tells that there are
// more, or that the server gives no more.
func (d *Directory) entries(ctx context.Context, q question, most int) (entries []*ldap.Entry, more bool, err error) {
	wait := d.timeout
	if most > 1 {
		wait *= 6 // a list takes its time
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err = d.with(ctx, d.search, func(c *ldap.Conn) error {
		var err error
		entries, more, err = d.read(ctx, c, q, most, wait)
		return err
	})
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) { // the place where they would be
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("search below %q: %w", q.base, err)
	}
	return entries, more, nil
}

func (d *Directory) read(ctx context.Context, c *ldap.Conn, q question, most int, wait time.Duration) ([]*ldap.Entry, bool, error) {
	request := ldap.NewSearchRequest(q.base, q.scope, d.deref, most, int(wait/time.Second)+1, false,
		"(&"+q.kind.filter+q.filter+")", q.attributes, nil)
	paging := ldap.NewControlPaging(uint32(d.pageSize))
	if d.pageSize > 0 && q.scope != ldap.ScopeBaseObject {
		request.Controls = append(request.Controls, paging)
	}
	c.SetTimeout(wait + time.Second) // the library's own deadline comes after the question's
	var entries []*ldap.Entry
	size := 0
	for {
		cookie, err := page(ctx, c, request, func(e *ldap.Entry) error {
			for _, a := range e.Attributes {
				for _, value := range a.ByteValues {
					size += len(value)
				}
			}
			size += len(e.DN)
			entries = append(entries, e)
			switch {
			case size > maxBytes:
				return errTooLong
			case len(entries) > most:
				return errEnough
			}
			return nil
		})
		switch {
		case errors.Is(err, errEnough), ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
			return entries[:min(most, len(entries))], true, nil
		case err != nil:
			return nil, false, err
		case len(cookie) == 0 || len(request.Controls) == 0:
			return entries, false, nil
		}
		paging.SetCookie(cookie)
	}
}

var (
	errEnough  = errors.New("enough entries")
	errTooLong = fmt.Errorf("the answer is longer than %d bytes", maxBytes)
)

// page reads one answer of a server, and what to ask for the next one by.
// References to other servers are passed over.
func page(ctx context.Context, c *ldap.Conn, request *ldap.SearchRequest, each func(e *ldap.Entry) error) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var cookie []byte
	answer := c.SearchAsync(ctx, request, 16)
	for answer.Next() {
		if answer.Entry() != nil {
			err := each(answer.Entry())
			if err != nil {
				cancel() // before the rest comes; the library waits for a reader of it otherwise
				c.Close()
				return nil, err
			}
		}
		next, paged := ldap.FindControl(answer.Controls(), ldap.ControlTypePaging).(*ldap.ControlPaging)
		if paged {
			cookie = next.Cookie
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if answer.Err() == nil && c.IsClosing() {
		return nil, ldap.NewError(ldap.ErrorNetwork, errors.New("the connection ended"))
	}
	return cookie, answer.Err()
}
