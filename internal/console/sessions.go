package console

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// perUser bounds the sessions of one user, so that nobody can fill the table.
const perUser = 64

// keptTokens bounds session.Past.
const keptTokens = 8

// known is how long a session that was read counts without another look. What
// ends one meanwhile ends its tokens, too, and those are checked each time.
const known = 5 * time.Second

// sessionEnded announces, by the hash of its secret, a session that has ended.
const sessionEnded = "console.session-ended"

// session is one signed-in browser.
type session struct {
	key  key
	turn int64 // grows with each change of project
	held
}

// held is what the table keeps sealed.
type held struct {
	First grant // what the password gave; new scopes are asked for with it
	Now   grant // what requests are sent with

	// Past are tokens of projects that were left. Requests sent before the
	// change may still be on their way, perhaps from another tab, so a token is
	// revoked only when the session ends or changes its project many times.
	Past []string
}

// cookie is what the browser keeps: the secret, and the turn it has seen, so
// that a server which remembers an earlier one looks again.
func (s session) cookie() string { return s.key.secret + "." + strconv.FormatInt(s.turn, 10) }

// tokens lists all that the session was ever given and still holds.
func (h held) tokens() []string {
	all := append(slices.Clone(h.Past), h.First.Token, h.Now.Token)
	slices.Sort(all)
	return slices.Compact(all)
}

// key is made from a cookie's secret, which is nowhere else: the table has a
// row by a hash, with tokens that only the secret opens.
type key struct {
	secret string
	hash   string
	seal   cipher.AEAD
}

func keyOf(secret string) key {
	derive := func(what string) []byte {
		out, err := hkdf.Key(sha256.New, []byte(secret), nil, "nacre dashboard session: "+what, 32)
		if err != nil {
			panic(err) // the lengths are constants
		}
		return out
	}
	block, err := aes.NewCipher(derive("tokens"))
	if err != nil {
		panic(err) // the key's length is a constant
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // so is the block's
	}
	return key{secret: secret, hash: hex.EncodeToString(derive("row")), seal: seal}
}

// close seals what the session holds.
func (k key) close(h held) (string, error) {
	plain, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("seal session: %w", err)
	}
	nonce := make([]byte, k.seal.NonceSize())
	_, err = rand.Read(nonce)
	if err != nil {
		return "", fmt.Errorf("seal session: %w", err)
	}
	return base64.RawStdEncoding.EncodeToString(k.seal.Seal(nonce, nonce, plain, []byte(k.hash))), nil
}

func (k key) open(row sessionRow) (session, error) {
	raw, err := base64.RawStdEncoding.DecodeString(row.Sealed)
	if err != nil || len(raw) < k.seal.NonceSize() {
		return session{}, errors.New("open session: the row is damaged")
	}
	plain, err := k.seal.Open(nil, raw[:k.seal.NonceSize()], raw[k.seal.NonceSize():], []byte(k.hash))
	if err != nil {
		return session{}, fmt.Errorf("open session: %w", err)
	}
	s := session{key: k, turn: row.Turn}
	err = json.Unmarshal(plain, &s.held)
	if err != nil {
		return session{}, fmt.Errorf("open session: %w", err)
	}
	return s, nil
}

type sessionRow struct {
	bun.BaseModel `bun:"table:dashboard_sessions"`

	Hash      string `bun:",pk"`
	UserID    string
	Turn      int64
	Sealed    string
	ExpiresAt db.Time
}

// sessions are those who are signed in, on whichever server. What was read a
// moment ago is remembered, so that a page's requests cost no query each.
type sessions struct {
	db    *db.DB
	clock clock.Clock
	max   int // how many are remembered

	mu    sync.Mutex // guards what follows
	read  map[string]remembered
	ended uint64 // how many ends were heard of
}

type remembered struct {
	session session
	at      time.Time
}

func newSessions(d *db.DB, c clock.Clock, max int) *sessions {
	s := &sessions{db: d, clock: c, max: max, read: map[string]remembered{}}
	d.Listen(sessionEnded, func(hash string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.read, hash)
		s.ended++
	})
	return s
}

// left is how long the session can still live.
func (s *sessions) left(of session) time.Duration {
	return of.Now.Who.ExpiresAt.Sub(s.clock.Now())
}

// add starts a session. A user with very many loses those that would end first.
func (s *sessions) add(ctx context.Context, first, now grant) (session, error) {
	added := session{key: keyOf(secret()), held: held{First: first, Now: now}}
	sealed, err := added.key.close(added.held)
	if err != nil {
		return session{}, err
	}
	row := sessionRow{Hash: added.key.hash, UserID: now.Who.User.ID, Sealed: sealed, ExpiresAt: db.At(now.Who.ExpiresAt)}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		var gone []string
		err := tx.All(ctx, &gone, `
			DELETE FROM dashboard_sessions WHERE user_id = ? AND hash NOT IN (
				SELECT hash FROM dashboard_sessions WHERE user_id = ? ORDER BY expires_at DESC, hash LIMIT ?)
			RETURNING hash`, row.UserID, row.UserID, perUser-1)
		if err != nil {
			return err
		}
		for _, hash := range gone {
			tx.Notify(sessionEnded, hash)
		}
		return tx.Insert(ctx, &row)
	})
	if err != nil {
		return session{}, fmt.Errorf("begin session: %w", err)
	}
	return added, nil
}

// get finds the session of a cookie. There may be none.
func (s *sessions) get(ctx context.Context, cookie string) (session, bool, error) {
	k, turn, ok := parseCookie(cookie)
	if !ok {
		return session{}, false, nil
	}
	s.mu.Lock()
	before := s.ended
	r, remembers := s.read[k.hash]
	s.mu.Unlock()
	if remembers && r.session.turn >= turn && s.clock.Now().Sub(r.at) < known {
		return r.session, s.left(r.session) > 0, nil
	}
	found, ok, err := s.look(ctx, k)
	if err != nil || !ok {
		return session{}, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// One that ended while we looked is not remembered.
	if s.ended == before {
		s.remember(found)
	}
	return found, true, nil
}

// look reads the session that the key opens.
func (s *sessions) look(ctx context.Context, k key) (session, bool, error) {
	var row sessionRow
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &row, `SELECT * FROM dashboard_sessions WHERE hash = ? AND expires_at > ?`, k.hash, db.At(s.clock.Now()))
	})
	if errors.Is(err, sql.ErrNoRows) {
		return session{}, false, nil
	}
	if err != nil {
		return session{}, false, fmt.Errorf("read session: %w", err)
	}
	found, err := k.open(row)
	return found, err == nil, err
}

// remember keeps a session for a moment, in the place of another one when there
// are many. The caller holds mu.
func (s *sessions) remember(found session) {
	for hash, r := range s.read {
		if len(s.read) < s.max && s.clock.Now().Sub(r.at) < known {
			break
		}
		delete(s.read, hash)
	}
	s.read[found.key.hash] = remembered{found, s.clock.Now()}
}

// rescope replaces what the session's requests are sent with. It returns the
// changed session and the token, if any, that is to be revoked now. It is false
// when the session has ended meanwhile.
func (s *sessions) rescope(ctx context.Context, k key, now grant) (changed session, spent string, ok bool, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		var row sessionRow
		spent = ""
		err := tx.Get(ctx, &row, `SELECT * FROM dashboard_sessions WHERE hash = ?`, k.hash)
		if err != nil {
			return err
		}
		changed, err = k.open(row)
		if err != nil {
			return err
		}
		if changed.Now.Token != changed.First.Token {
			changed.Past = append(changed.Past, changed.Now.Token)
		}
		if len(changed.Past) > keptTokens {
			spent, changed.Past = changed.Past[0], changed.Past[1:]
		}
		changed.Now = now
		changed.turn++
		sealed, err := k.close(changed.held)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE dashboard_sessions SET turn = ?, sealed = ?, expires_at = ? WHERE hash = ? AND turn = ?`,
			changed.turn, sealed, db.At(now.Who.ExpiresAt), k.hash, row.Turn)
		if err == nil && n == 0 {
			err = errs.Conflictf("The session was changed by somebody else at the same time. Try again.")
		}
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return session{}, "", false, nil
	}
	if err != nil {
		return session{}, "", false, fmt.Errorf("change session: %w", err)
	}
	return changed, spent, true, nil
}

// remove ends the session of a cookie, here and on the other servers, and
// returns it.
func (s *sessions) remove(ctx context.Context, cookie string) (session, bool, error) {
	k, _, ok := parseCookie(cookie)
	if !ok {
		return session{}, false, nil
	}
	var row sessionRow
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		tx.Notify(sessionEnded, k.hash)
		return tx.Get(ctx, &row, `DELETE FROM dashboard_sessions WHERE hash = ? RETURNING *`, k.hash)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return session{}, false, nil
	}
	if err != nil {
		return session{}, false, fmt.Errorf("end session: %w", err)
	}
	found, err := k.open(row)
	return found, err == nil, err
}

func parseCookie(cookie string) (key, int64, bool) {
	secret, text, ok := strings.Cut(cookie, ".")
	turn, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || len(secret) != secretLength {
		return key{}, 0, false
	}
	return keyOf(secret), turn, true
}

// secretLength is how long a secret is as text.
const secretLength = 43

// secret makes 256 random bits for a URL or cookie.
func secret() string {
	var b [32]byte
	_, err := rand.Read(b[:])
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}
