package directory

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Finding is what one step of a look at a directory has found.
type Finding struct {
	Step   string
	Good   bool
	Detail string
}

// sample is how many entries a look at a directory reads.
const sample = 20

// Diagnose does step by step what a domain needs of its directory, as far as it
// can, and says what came of each.
func (d *Directory) Diagnose(ctx context.Context) []Finding {
	var out []Finding
	var conn *ldap.Conn
	for _, server := range d.servers {
		c, err := d.connectTo(ctx, server)
		out = append(out, found("connect to "+server, d.privacy(server), err))
		if err != nil {
			continue
		}
		defer c.Close()
		if conn == nil {
			conn = c
		}
	}
	if conn == nil {
		return out
	}
	if d.user != "" {
		err := conn.Bind(d.user, d.password)
		out = append(out, found("bind as "+d.user, "the password is right", err))
		if err != nil {
			return out
		}
	}
	users := d.look(ctx, conn, "users", d.users, d.userAttributes(), func(e *ldap.Entry) (string, bool) {
		u, ok := d.readUser(e)
		if !u.Enabled && !d.enabled.emulated {
			u.Name += " (disabled)"
		}
		return u.Name, ok
	})
	groups := d.look(ctx, conn, "groups", d.groups, d.groups.attributes(), func(e *ldap.Entry) (string, bool) {
		g, ok := d.readGroup(e)
		return g.Name, ok
	})
	return append(out, users, groups)
}

func found(step, detail string, err error) Finding {
	if err != nil {
		detail = err.Error()
	}
	return Finding{step, err == nil, detail}
}

// privacy says who can read along.
func (d *Directory) privacy(server string) string {
	switch {
	case strings.HasPrefix(server, "ldapi:"):
		return "by a socket of this machine"
	case !strings.HasPrefix(server, "ldaps:") && !d.startTLS:
		return "without TLS: whoever is on the way can read passwords"
	case d.trustAnyone:
		return "with TLS, but whoever is on the way can pretend to be the server: tls_req_cert is not demand"
	}
	return "with TLS"
}

// look finds the first entries of a kind.
func (d *Directory) look(ctx context.Context, c *ldap.Conn, what string, k kind, attributes []string, name func(e *ldap.Entry) (string, bool)) Finding {
	step := fmt.Sprintf("find %s below %s", what, k.base)
	entries, more, err := d.read(ctx, c, question{kind: k, attributes: attributes}, sample, d.timeout)
	if err != nil {
		return found(step, "", err)
	}
	var names []string
	for _, e := range entries {
		text, ok := name(e)
		if ok {
			names = append(names, text)
		}
	}
	switch {
	case len(entries) == 0:
		return Finding{step, false, "no entry matches " + k.filter + "; is the place right, and the object class, and may the user read there?"}
	case len(names) == 0:
		return Finding{step, false, fmt.Sprintf("entries match, but none has one %s and a %s", k.id, k.name)}
	case more:
		names = append(names, "and more")
	}
	detail := strings.Join(names, ", ")
	if len(entries) > len(names) {
		detail += fmt.Sprintf("; %d entries have no single %s or no %s", len(entries)-len(names), k.id, k.name)
	}
	return Finding{step, true, detail}
}
