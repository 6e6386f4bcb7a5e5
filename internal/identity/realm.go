package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/singleflight"

	"nacre/internal/db"
	"nacre/internal/directory"
	"nacre/internal/errs"
)

// A domain whose configuration says so has its users and groups in a directory
// besides those that were made here. What the directory says of somebody is
// kept in rows of ours once it has been heard, so that roles, trusts, credentials
// and tokens are the same for everybody; a row is made true again before it
// counts: by asking at each sign-in, list and look at a user, and for tokens when
// the last answer is older than realmAge. So whoever is disabled there, or leaves a
// group, has lost it here after that time at the latest, on every server.
//
// A directory that cannot be asked is an error for whatever is about its domain,
// and for nothing else: lists of all domains show of a directory what is known
// of it. Users that were made in the domain before stay, and are found first, so
// that an administrator isn't shut out by a directory.

// driverLDAP is the value of the option identity.driver for a directory.
const driverLDAP = "ldap"

// realm is the directory of a domain.
type realm struct {
	domain   string
	settings string // as the database has them, so that a change is seen
	most     int    // entries of a list
	dir      *directory.Directory
	wrong    error // with the settings, so that there is no directory

	// Who was asked about. A new configuration begins with nobody.
	seen   seen
	asking singleflight.Group
}

// realms are all directories at a revision.
type realms struct {
	mu       sync.Mutex // guards what follows, and lets one at a time read
	revision int64
	byDomain map[string]*realm
}

// realmOf gives the directory of a domain, nil if it has none. Changes of the
// configuration raise the authorization revision, so every server notices.
func (s *Service) realmOf(ctx context.Context, domain string) (*realm, error) {
	all, err := s.currentRealms(ctx)
	return all[domain], err
}

func (s *Service) currentRealms(ctx context.Context) (map[string]*realm, error) {
	revision, err := s.currentRevision(ctx)
	if err != nil {
		return nil, err
	}
	r := &s.realms
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byDomain != nil && r.revision >= revision {
		return r.byDomain, nil
	}
	configs, wrong := map[string]DomainConfig{}, map[string]error{}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		clear(configs)
		err := tx.Get(ctx, &revision, `SELECT revision FROM auth_revision`)
		if err != nil {
			return err
		}
		var domains []string
		err = tx.All(ctx, &domains, `SELECT domain_id FROM domain_config WHERE option_group = 'identity' AND option_name = 'driver' AND value = ?`,
			`"`+driverLDAP+`"`)
		if err != nil {
			return err
		}
		for _, domain := range domains {
			configs[domain], err = s.openDomainConfig(ctx, tx, domain)
			if errors.Is(err, errUnreadable) { // which is that domain's misfortune alone
				wrong[domain], err = err, nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read configurations of domains: %w", err)
	}
	now := map[string]*realm{}
	for domain, c := range configs {
		settings, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		now[domain] = r.byDomain[domain]
		if now[domain] == nil || now[domain].settings != string(settings) {
			now[domain] = newRealm(domain, c, string(settings), wrong[domain])
		}
	}
	for domain, old := range r.byDomain {
		if now[domain] != old {
			old.close()
		}
	}
	r.revision, r.byDomain = revision, now
	return now, nil
}

func newRealm(domain string, c DomainConfig, settings string, wrong error) *realm {
	r := &realm{domain: domain, settings: settings, most: directory.DefaultMost, wrong: wrong}
	if wrong != nil {
		return r
	}
	limit, limited := c["identity"]["list_limit"].(float64)
	if limited && limit >= 1 {
		r.most = min(int(limit), directory.Most)
	}
	parsed, err := c.directory()
	if err != nil {
		r.wrong = err
		return r
	}
	r.dir = directory.Open(parsed)
	return r
}

// directory reads the options of the directory; those that were not set are as
// Keystone has them.
func (c DomainConfig) directory() (directory.Config, error) {
	options := map[string]any{}
	for _, from := range []DomainConfig{DomainConfigDefaults, c} {
		for option, value := range from[driverLDAP] {
			if value != nil {
				options[option] = value
			}
		}
	}
	return directory.Parse(options)
}

func (r *realm) close() {
	if r.dir != nil {
		r.dir.Close()
	}
}

// Close ends the connections to directories.
func (s *Service) Close() {
	s.realms.mu.Lock()
	defer s.realms.mu.Unlock()
	for _, r := range s.realms.byDomain {
		r.close()
	}
	s.realms.byDomain = nil
}

// away is the answer to whatever needs a directory that cannot be asked.
func (r *realm) away(err error) error {
	return errs.Unavailablef("The directory of domain %s cannot be asked at the moment.", r.domain).Because(err)
}

// ask asks the directory. None and a wrong password are answers; other errors say
// that there was none.
func ask[T any](r *realm, question func(d *directory.Directory) (T, error)) (T, error) {
	var none T
	if r.wrong != nil {
		return none, r.away(r.wrong)
	}
	answer, err := question(r.dir)
	switch {
	case err == nil:
		return answer, nil
	case errors.Is(err, directory.ErrNone), errors.Is(err, directory.ErrPassword), errors.Is(err, context.Canceled):
		return none, err
	}
	return none, r.away(err)
}

// readOnly is the answer to whoever would change what a directory has.
func readOnly() error {
	return errs.Forbiddenf("You are not authorized to perform the requested action: LDAP does not support write operations.")
}

// refuseRealm refuses to change users or groups that a directory has.
func refuseRealm(ctx context.Context, tx *db.Tx, ids ...string) error {
	var n int
	err := tx.Get(ctx, &n, `SELECT COUNT(*) FROM id_mapping WHERE public_id IN (?)`, db.In(ids))
	if err != nil {
		return fmt.Errorf("read id mapping: %w", err)
	}
	if n > 0 {
		return readOnly()
	}
	return nil
}

// refuseRealmDomain refuses to make users or groups in a domain with a directory.
func (s *Service) refuseRealmDomain(ctx context.Context, domain string) error {
	r, err := s.realmOf(ctx, domain)
	if err == nil && r != nil {
		err = readOnly()
	}
	return err
}
