package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"nacre/internal/errs"
)

const (
	// maxPassword is Keystone's limit in bytes.
	maxPassword = 4096
	// bcryptMax is how many bytes bcrypt looks at. A longer password is hashed
	// with SHA-256 first, so that its end counts; so is one with a zero byte,
	// which bcrypt takes for the end.
	bcryptMax = 72
	// defaultCost takes about 60 ms.
	defaultCost = 10
	// secretLength is that of generated passwords; they hold 190 bits, which no
	// amount of guessing finds, so that the lowest cost does for them.
	secretLength = 32
)

var errPassword = errors.New("wrong password")

// passwords hashes and compares, a few at a time: hashing is slow on purpose
// and must not take all processors from everybody else. Cheap comparisons have
// slots of their own, so that whoever has a generated password gets in while
// somebody tries out others.
type passwords struct {
	cost        int
	dear, cheap slots
	// Compared with when there is nothing to compare with: a hash at each of the
	// two costs in use.
	dummy, cheapDummy string
	// matches compares, and takes its time; tests watch it.
	matches func(hash, password string) bool
}

// slots bounds how many do something at the same time.
type slots chan struct{}

func newPasswords(cost int) (*passwords, error) {
	if cost == 0 {
		cost = defaultCost
	}
	p := &passwords{cost: cost, dear: make(slots, runtime.NumCPU()), cheap: make(slots, runtime.NumCPU()), matches: compare}
	var err error
	p.dummy, err = bcryptHash("no password has this hash", cost)
	if err != nil {
		return nil, fmt.Errorf("hash passwords at cost %d: %w", cost, err)
	}
	p.cheapDummy, err = bcryptHash("no password has this hash", bcrypt.MinCost)
	return p, err
}

// NewPassword makes a long random password.
func NewPassword() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	var out [secretLength]byte
	var random [1]byte
	for i := 0; i < len(out); {
		_, err := rand.Read(random[:])
		if err != nil {
			panic(err) // crypto/rand never fails on the systems we support
		}
		if int(random[0]) < 256/len(letters)*len(letters) {
			out[i] = letters[int(random[0])%len(letters)]
			i++
		}
	}
	return string(out[:])
}

func (s slots) enter(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s slots) leave() { <-s }

// hash makes what is stored of a password that somebody chose.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	if len(password) > maxPassword {
		return "", errs.Forbiddenf("The password length must be less than or equal to %d. "+
			"The server could not comply with the request because the password is invalid.", maxPassword)
	}
	err := p.dear.enter(ctx)
	if err != nil {
		return "", err
	}
	defer p.dear.leave()
	return bcryptHash(password, p.cost)
}

// hashGenerated makes what is stored of a password from NewPassword.
func (p *passwords) hashGenerated(password string) (string, error) {
	cost := p.cost
	if len(password) >= secretLength {
		cost = bcrypt.MinCost
	}
	return bcryptHash(password, cost)
}

// check compares. A failure takes the same work, whether the user is unknown,
// has no password, a generated or a chosen one.
func (p *passwords) check(ctx context.Context, hash, password string) error {
	cheap, dear := p.cheapDummy, p.dummy
	cost, err := bcrypt.Cost([]byte(strings.TrimPrefix(hash, longPrefix)))
	isCheap, isDear := err == nil && cost == bcrypt.MinCost, err == nil && cost != bcrypt.MinCost
	if isCheap {
		cheap = hash
	}
	if isDear {
		dear = hash
	}
	right, err := p.compare(ctx, p.cheap, cheap, password)
	if err != nil {
		return err
	}
	if right && isCheap {
		return nil
	}
	right, err = p.compare(ctx, p.dear, dear, password)
	if err != nil {
		return err
	}
	if right && isDear {
		return nil
	}
	return errPassword
}

func (p *passwords) compare(ctx context.Context, s slots, hash, password string) (bool, error) {
	err := s.enter(ctx)
	if err != nil {
		return false, err
	}
	defer s.leave()
	return p.matches(hash, password), nil
}

// longPrefix marks the hash of a password beyond bcrypt's limit.
const longPrefix = "sha256:"

func bcryptHash(password string, cost int) (string, error) {
	prefix, key := prepare(password)
	hash, err := bcrypt.GenerateFromPassword(key, cost)
	return prefix + string(hash), err
}

func compare(hash, password string) bool {
	prefix, key := prepare(password)
	stored, long := strings.CutPrefix(hash, longPrefix)
	err := bcrypt.CompareHashAndPassword([]byte(stored), key)
	return err == nil && long == (prefix != "")
}

func prepare(password string) (prefix string, key []byte) {
	if len(password) <= bcryptMax && !strings.Contains(password, "\x00") {
		return "", []byte(password)
	}
	sum := sha256.Sum256([]byte(password))
	return longPrefix, []byte(base64.StdEncoding.EncodeToString(sum[:]))
}
