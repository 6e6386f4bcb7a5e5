package console

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"sync"
	"time"

	"nacre/internal/clock"
)

// perUser bounds the sessions of one user, so that nobody can push the others out.
const perUser = 64

// keptTokens bounds session.past.
const keptTokens = 8

// session is one signed-in browser.
type session struct {
	id    string
	first grant // what the password gave; new scopes are asked for with it
	now   grant // what requests are sent with

	// past are tokens of projects that were left. Requests sent before the
	// change may still be on their way, perhaps from another tab, so a token is
	// revoked only when the session ends or changes its project many times.
	past []string
}

// tokens lists all that the session was ever given and still holds.
func (s session) tokens() []string {
	all := append(slices.Clone(s.past), s.first.Token, s.now.Token)
	slices.Sort(all)
	return slices.Compact(all)
}

// sessions holds who is signed in.
type sessions struct {
	clock clock.Clock
	max   int

	mu   sync.Mutex // guards byID
	byID map[string]session
}

func newSessions(c clock.Clock, max int) *sessions {
	return &sessions{clock: c, max: max, byID: map[string]session{}}
}

// add starts a session and makes room for it if needed.
func (s *sessions) add(first, now grant) session {
	added := session{id: secret(), first: first, now: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropExpired()
	own := 0
	for _, other := range s.byID {
		if other.now.Who.User.ID == now.Who.User.ID {
			own++
		}
	}
	if own >= perUser {
		s.dropFirstToEnd(now.Who.User.ID)
	}
	if len(s.byID) >= s.max {
		s.dropFirstToEnd("")
	}
	s.byID[added.id] = added
	return added
}

// left is how long the session can still live.
func (s *sessions) left(of session) time.Duration {
	return of.now.Who.ExpiresAt.Sub(s.clock.Now())
}

// get finds a session that has not ended.
func (s *sessions) get(id string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byID[id]
	if !ok {
		return session{}, false
	}
	if s.left(found) <= 0 {
		delete(s.byID, id)
		return session{}, false
	}
	return found, true
}

// rescope replaces what the session's requests are sent with, and returns the
// token, if any, that is to be revoked now. It is false when the session has
// ended meanwhile.
func (s *sessions) rescope(id string, now grant) (spent string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byID[id]
	if !ok {
		return "", false
	}
	if found.now.Token != found.first.Token {
		found.past = append(slices.Clone(found.past), found.now.Token)
	}
	if len(found.past) > keptTokens {
		spent, found.past = found.past[0], found.past[1:]
	}
	found.now = now
	s.byID[id] = found
	return spent, true
}

// remove ends a session and returns it.
func (s *sessions) remove(id string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byID[id]
	delete(s.byID, id)
	return found, ok
}

// dropExpired forgets what has ended. The caller holds mu.
func (s *sessions) dropExpired() {
	for id, other := range s.byID {
		if s.left(other) <= 0 {
			delete(s.byID, id)
		}
	}
}

// dropFirstToEnd makes room for one: the session, of the user if one is given,
// that would end first. The caller holds mu.
func (s *sessions) dropFirstToEnd(user string) {
	var victim string
	var end time.Time
	for id, other := range s.byID {
		if user != "" && other.now.Who.User.ID != user {
			continue
		}
		if victim == "" || other.now.Who.ExpiresAt.Before(end) {
			victim, end = id, other.now.Who.ExpiresAt
		}
	}
	delete(s.byID, victim)
}

// secret makes 256 random bits for a URL or cookie.
func secret() string {
	var b [32]byte
	_, err := rand.Read(b[:])
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}
