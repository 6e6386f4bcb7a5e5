package identity

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// A device without a browser (RFC 8628) shows its user a short code, and asks
// until the user has typed it, with the password, somewhere else.
type openIDDevice struct {
	bun.BaseModel `bun:"table:openid_devices"`

	Hash      string `bun:",pk"`
	UserCode  string
	ClientID  string
	Scope     string
	GrantID   *string
	PolledAt  db.Time
	ExpiresAt db.Time
}

// OpenIDDevice is what a device is told when it begins.
type OpenIDDevice struct {
	DeviceCode, UserCode string
	Lifetime             time.Duration
}

// newUserCode makes what people type: no vowels, so no words.
func newUserCode() string {
	const letters = "BCDFGHJKLMNPQRSTVWXZ"
	var out []byte
	var b [1]byte
	for len(out) < 8 {
		_, err := rand.Read(b[:])
		if err != nil {
			panic(err) // crypto/rand never fails on the systems we support
		}
		if int(b[0]) < 256/len(letters)*len(letters) {
			out = append(out, letters[int(b[0])%len(letters)])
		}
	}
	return string(out[:4]) + "-" + string(out[4:])
}

// plainUserCode is a code as it is kept, however somebody has typed it.
func plainUserCode(code string) string {
	code = strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(code))
	if len(code) != 8 {
		return code
	}
	return code[:4] + "-" + code[4:]
}

// StartDevice begins a sign-in at a device.
func (s *Service) StartDevice(ctx context.Context, client OpenIDClient, scope string) (OpenIDDevice, error) {
	err := checkOpenIDScope(scope, scopeOpenID)
	if err != nil {
		return OpenIDDevice{}, err
	}
	out := OpenIDDevice{DeviceCode: NewPassword(), UserCode: newUserCode(), Lifetime: deviceLifetime}
	now := s.clock.Now()
	row := openIDDevice{Hash: hashAccess(out.DeviceCode), UserCode: out.UserCode, ClientID: client.ID, Scope: scope, ExpiresAt: db.At(now.Add(deviceLifetime))}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM openid_devices WHERE expires_at < ?`, db.At(now))
		if err != nil {
			return err
		}
		var waiting int
		err = tx.Get(ctx, &waiting, `SELECT COUNT(*) FROM openid_devices WHERE client_id = ?`, client.ID)
		if err != nil {
			return err
		}
		if waiting >= maxDevices {
			return openIDError("slow_down", "Too many devices of this client wait for their users.")
		}
		return tx.Insert(ctx, &row)
	})
	if err != nil {
		return out, fmt.Errorf("start device of client %s: %w", client.ID, err)
	}
	return out, nil
}

func readDevice(ctx context.Context, tx *db.Tx, where, value string, now time.Time) (openIDDevice, error) {
	var row openIDDevice
	err := tx.NewSelect().Model(&row).Where(where+" = ?", value).Where("expires_at > ?", db.At(now)).Scan(ctx)
	return row, err
}

// Device says which client waits for the user who has this code, and for what.
func (s *Service) Device(ctx context.Context, userCode string) (client OpenIDClient, scope string, err error) {
	var row openIDDevice
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		row, err = readDevice(ctx, tx, "user_code", plainUserCode(userCode), s.clock.Now())
		return err
	})
	if errors.Is(err, sql.ErrNoRows) || err == nil && row.GrantID != nil {
		return OpenIDClient{}, "", errs.NotFoundf("No device waits with this code.")
	}
	if err != nil {
		return OpenIDClient{}, "", err
	}
	client, err = s.OpenIDClient(ctx, row.ClientID)
	return client, row.Scope, err
}

// ApproveDevice signs a user in at the device that shows the code.
func (s *Service) ApproveDevice(ctx context.Context, userCode string, login Login) error {
	client, scope, err := s.Device(ctx, userCode)
	if err != nil {
		return err
	}
	k, err := s.consent(ctx, login, client.ID, scope, "")
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		err := k.write(ctx, tx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE openid_devices SET grant_id = ? WHERE user_code = ? AND client_id = ? AND grant_id IS NULL`,
			k.grant.ID, plainUserCode(userCode), client.ID)
		if err == nil && n == 0 {
			err = errs.NotFoundf("No device waits with this code.")
		}
		return err
	})
}

// ExchangeDevice gives a device its tokens, once its user has signed in.
func (s *Service) ExchangeDevice(ctx context.Context, issuer string, client OpenIDClient, code string) (OpenIDTokens, error) {
	var grant openIDGrant
	var answer error // of a transaction that is kept
	now := s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		answer = nil
		row, err := readDevice(ctx, tx, "hash", hashAccess(code), now)
		if errors.Is(err, sql.ErrNoRows) {
			return openIDError("expired_token", "The device code is unknown or has expired.")
		}
		if err != nil {
			return err
		}
		if row.ClientID != client.ID {
			return invalidGrant(errors.New("the device code is another client's"))
		}
		if row.GrantID == nil {
			answer = openIDError("authorization_pending", "The user has not signed in yet.")
			if now.Sub(row.PolledAt.Time()) < DeviceInterval {
				answer = openIDError("slow_down", "Ask every %d seconds.", int(DeviceInterval.Seconds()))
			}
			row.PolledAt = db.At(now)
			_, err = tx.Update(ctx, &row, "polled_at")
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM openid_devices WHERE hash = ?`, row.Hash)
		if err == nil && n == 0 {
			err = invalidGrant(errors.New("the device code was used by somebody else"))
		}
		if err != nil {
			return err
		}
		grant, err = find[openIDGrant](ctx, tx, "grant", *row.GrantID)
		return err
	})
	if err == nil {
		err = answer
	}
	if err != nil {
		return OpenIDTokens{}, err
	}
	return s.openIDTokens(ctx, issuer, grant)
}
