package console

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/coder/websocket"

	"nacre/internal/db"
)

// A SPICE client opens a connection for each channel of its session: the main one,
// and when that stands the others (display, inputs, cursor), all with the token that
// it has. The token is used up by the main channel. The others may follow for as long
// as that lives and the token has not expired; a second main channel, by which
// somebody else would take the session over, is refused.

// sessionOpen is the kind of a SPICE token whose main channel lives.
const sessionOpen = "spice-open"

// What a client says first: the magic, two numbers of the version, a length, and as
// much of the message as tells the channel.
const (
	spiceMagic  = "REDQ"
	spiceHead   = 21
	spiceType   = 20 // where the channel's type stands
	mainChannel = 1
)

// join admits a channel of a session: to which server it leads, "" if it is
// refused, and what the client has said so far. The caller calls leave when the
// channel has ended.
func (c *Consoles) join(ctx context.Context, socket *websocket.Conn, token string) (server string, said []byte, leave func(), err error) {
	leave = func() {}
	hearing, stop := context.WithTimeout(ctx, dialWithin)
	defer stop()
	for len(said) < spiceHead {
		_, part, err := socket.Read(hearing)
		if err != nil {
			return "", nil, leave, nil // it has gone
		}
		said = append(said, part...)
	}
	if !bytes.HasPrefix(said, []byte(spiceMagic)) {
		return "", nil, leave, nil
	}
	main := said[spiceType] == mainChannel
	hash, now := hashOf(token), db.At(c.clock.Now())
	if main {
		err = c.db.Write(ctx, func(tx *db.Tx) error {
			return tx.Get(ctx, &server, `UPDATE console_tokens SET kind = ? WHERE hash = ? AND kind = ? AND expires_at > ? RETURNING server`,
				sessionOpen, hash, SPICE, now)
		})
		leave = func() { c.endSession(ctx, hash) }
	} else {
		err = c.db.Read(ctx, func(tx *db.Tx) error {
			return tx.Get(ctx, &server, `SELECT server FROM console_tokens WHERE hash = ? AND kind = ? AND expires_at > ?`, hash, sessionOpen, now)
		})
	}
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil, func() {}, nil
	}
	if err != nil {
		err = fmt.Errorf("use console token: %w", err)
	}
	return server, said, leave, err
}

// endSession forgets a token. Should we not come to it, the token expires.
func (c *Consoles) endSession(ctx context.Context, hash string) {
	ctx = context.WithoutCancel(ctx)
	err := c.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM console_tokens WHERE hash = ? AND kind = ?`, hash, sessionOpen)
		return err
	})
	if err != nil {
		c.log.Error("console", "error", fmt.Errorf("end session: %w", err))
	}
}
