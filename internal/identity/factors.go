package identity

import (
	"cmp"
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pquerna/otp/totp"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Signing in by more than one method. A user whose options ask for it gets a
// token only when the methods cover one of its rules; until then it gets a
// receipt for those that were right. Passcodes by time (RFC 6238) are such a
// method: their secrets are credentials of type totp.

// receiptLifetime is how long there is time for the next method, as Keystone's
// settings have it.
const receiptLifetime = 5 * time.Minute

// totpType is the type of credentials that hold the secret of passcodes.
const totpType = "totp"

// noSecret is what passcodes are compared with where there is none.
const noSecret = "NOBODYHASTHISSECRETATALL"

// passcodeStep is how long a passcode is shown.
const passcodeStep = 30 * time.Second

// TOTPLogin is a user with the passcode of the moment.
type TOTPLogin struct {
	User     Ref
	Passcode string
}

// Insufficient says that all methods were right and not enough.
type Insufficient struct {
	Receipt             string // what to present with the next method
	Methods             []string
	User, UserName      string
	Domain, DomainName  string
	IssuedAt, ExpiresAt time.Time
	Required            [][]string // the rules that the methods are a part of
}

// Error implements error.
func (i *Insufficient) Error() string {
	return "the methods are not enough for user " + i.User
}

// MultiFactor are the rules of a user about methods: all of one of the lists
// must be there. None: any method will do.
func multiFactor(options map[string]any) [][]string {
	if options["multi_factor_auth_enabled"] != true {
		return nil
	}
	lists, _ := options["multi_factor_auth_rules"].([]any)
	var rules [][]string
	for _, list := range lists {
		names, _ := list.([]any)
		var rule []string
		for _, name := range names {
			text, _ := name.(string)
			if auth.IsMethod(text) && !slices.Contains(rule, text) {
				rule = append(rule, text)
			}
		}
		if len(rule) > 0 {
			rules = append(rules, rule)
		}
	}
	return rules
}

// CheckUserOptions refuses options that no user has, and values that they
// cannot have.
func CheckUserOptions(options map[string]any) error {
	for name, value := range options {
		if value == nil {
			continue // takes the option away
		}
		switch name {
		case "ignore_change_password_upon_first_use", "ignore_password_expiry", "ignore_lockout_failure_attempts",
			"ignore_user_inactivity", "lock_password", "multi_factor_auth_enabled":
			_, is := value.(bool)
			if !is {
				return errs.BadRequestf("Invalid input for field 'options/%s': %v is not of type 'boolean'", name, value)
			}
		case "multi_factor_auth_rules":
			if !isRules(value) {
				return errs.BadRequestf("Invalid input for field 'options/%s': %v is not a list of lists of methods, each once and not empty", name, value)
			}
		default:
			return errs.BadRequestf("Invalid input for field 'options': Additional properties are not allowed ('%s' was unexpected)", name)
		}
	}
	return nil
}

func isRules(value any) bool {
	lists, is := value.([]any)
	for _, list := range lists {
		names, isList := list.([]any)
		seen := map[any]bool{}
		for _, name := range names {
			_, isText := name.(string)
			is = is && isText && !seen[name]
			if isText {
				seen[name] = true
			}
		}
		is = is && isList && len(names) > 0
	}
	return is
}

// Why a second step is refused, which whoever has taken the first may know.
var (
	errReceiptOver  = errors.New("the receipt has expired")
	errPasscodeUsed = errors.New("the passcode was used before")
)

// IsReceiptOver tells whether there is no more time for the next method.
func IsReceiptOver(err error) bool { return errors.Is(err, errReceiptOver) }

// IsPasscodeUsed tells whether a passcode was right, but not for the first time.
func IsPasscodeUsed(err error) bool { return errors.Is(err, errPasscodeUsed) }

// useReceipt counts the methods of an earlier try. A password that was changed
// since proves nothing.
func (s *Service) useReceipt(ctx context.Context, p *proof, text string) error {
	_, err := s.currentRevision(ctx) // and with it the keys
	if err != nil {
		return err
	}
	receipt, err := s.keys.DecodeReceipt(text)
	if err != nil {
		return unauthorized(err)
	}
	if !s.clock.Now().Before(receipt.ExpiresAt) {
		return unauthorized(errReceiptOver)
	}
	user, err := s.User(ctx, receipt.User)
	if errs.Is(err, errs.NotFound) {
		err = unauthorized(err)
	}
	if err != nil {
		return err
	}
	if user.PasswordChangedAt.Time().Truncate(time.Second).After(receipt.IssuedAt) {
		return unauthorized(fmt.Errorf("the password was changed since: %w", errReceiptOver))
	}
	for _, method := range receipt.Methods {
		err = p.by(method, receipt.User)
		if err != nil {
			return err
		}
	}
	return nil
}

// enough returns an Insufficient when the user's rules ask for more methods.
func (s *Service) enough(ctx context.Context, token auth.Token) error {
	var user struct {
		Name, DomainID, DomainName string
		Options                    db.JSON[map[string]any]
	}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &user, `
			SELECT u.name, u.options, u.domain_id, d.name AS domain_name
			FROM users u JOIN domains d ON d.id = u.domain_id WHERE u.id = ?`, token.User)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return unauthorized(fmt.Errorf("user %s is gone", token.User))
	}
	if err != nil {
		return err
	}
	rules := multiFactor(user.Options.V)
	if len(rules) == 0 {
		return nil
	}
	has := func(method string) bool { return slices.Contains(token.Methods, method) }
	lacks := func(method string) bool { return !has(method) }
	var begun [][]string
	for _, rule := range rules {
		if !slices.ContainsFunc(rule, lacks) {
			return nil
		}
		if slices.ContainsFunc(rule, has) {
			begun = append(begun, rule)
		}
	}
	if len(begun) == 0 {
		return unauthorized(fmt.Errorf("no rule of user %s has a method of %v", token.User, token.Methods))
	}
	now := s.clock.Now().Truncate(time.Second)
	receipt := auth.Receipt{User: token.User, Methods: token.Methods, IssuedAt: now, ExpiresAt: now.Add(receiptLifetime)}
	text, err := s.keys.EncodeReceipt(receipt)
	if err != nil {
		return err
	}
	return &Insufficient{
		Receipt: text, Methods: token.Methods, User: token.User, UserName: user.Name, Domain: user.DomainID, DomainName: user.DomainName,
		IssuedAt: receipt.IssuedAt, ExpiresAt: receipt.ExpiresAt, Required: begun,
	}
}

// proveTOTP checks a passcode: of this moment or of the one before, since
// clocks differ and people type. Each is good for one sign-in.
func (s *Service) proveTOTP(ctx context.Context, login TOTPLogin) (User, error) {
	try, err := s.attempt(ctx, login.User.key())
	if err != nil {
		return User{}, err
	}
	user, found := s.account(ctx, login.User)
	if found != nil && !errs.Is(found, errs.NotFound) && !errs.Is(found, errs.Unauthorized) {
		return User{}, found
	}
	credentials, err := s.Credentials(ctx, cmp.Or(user.ID, nobody.ID), totpType)
	if err != nil {
		return User{}, err
	}
	able := found == nil && len(credentials) > 0
	if len(credentials) == 0 {
		credentials = []Credential{{Blob: noSecret}}
	}
	now := s.clock.Now()
	for _, c := range credentials {
		for _, at := range []time.Time{now, now.Add(-passcodeStep)} {
			code, err := totp.GenerateCode(c.Blob, at)
			right := subtle.ConstantTimeCompare([]byte(code), []byte(login.Passcode)) == 1
			if err != nil || !able || !right {
				continue
			}
			err = s.usePasscode(ctx, c.ID, at)
			if err == nil {
				try.right(now)
			}
			return user.User, err
		}
	}
	err = s.noteAttempt(ctx, user, false)
	if err != nil {
		return User{}, err
	}
	if found == nil {
		found = fmt.Errorf("wrong passcode of user %s", user.ID)
	}
	return User{}, unauthorized(found)
}

// usePasscode takes the passcode of a moment, unless it or a later one was
// taken before.
func (s *Service) usePasscode(ctx context.Context, credential string, at time.Time) error {
	step := at.Unix() / int64(passcodeStep/time.Second)
	var taken int64
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		taken, err = tx.Exec(ctx, `
			INSERT INTO passcodes_used (credential, step) VALUES (?, ?)
			ON CONFLICT (credential) DO UPDATE SET step = excluded.step WHERE passcodes_used.step < excluded.step`, credential, step)
		return err
	})
	if err != nil {
		return fmt.Errorf("take passcode: %w", err)
	}
	if taken == 0 {
		return unauthorized(fmt.Errorf("credential %s: %w", credential, errPasscodeUsed))
	}
	return nil
}
