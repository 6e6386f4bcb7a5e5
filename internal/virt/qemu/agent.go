package qemu

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"nacre/internal/errs"
)

// agentPatience is how long the agent in a guest may take to answer.
const agentPatience = 10 * time.Second

// SetPassword implements virt.Host.
func (h *Host) SetPassword(ctx context.Context, id, user, password string) error {
	return h.askAgent(ctx, id, agentPatience, "guest-set-user-password", options{
		"username": user, "password": base64.StdEncoding.EncodeToString([]byte(password)), "crypted": false,
	})
}

// askAgent gives the agent in the guest a command. Whatever comes from there is
// the guest's word: it is read within limits, and shown as what it says.
func (h *Host) askAgent(ctx context.Context, id string, patience time.Duration, command string, arguments options) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, _, err := h.running(id)
	if err != nil {
		return err
	}
	h.mu.Lock()
	has := m.record.Machine.Agent
	h.mu.Unlock()
	if !has {
		return noAgent(id)
	}
	conn, err := h.dial(ctx, id, "agent.sock")
	if err != nil {
		return fmt.Errorf("reach the guest agent: %w", err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	err = conn.SetDeadline(deadline)
	if err != nil {
		return err
	}
	a := agentLine{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	err = a.sync()
	if err != nil {
		return errs.Conflictf("Guest agent is not responding: the guest of instance %s has no QEMU guest agent that runs", id).Because(errors.Join(errDeaf, err))
	}
	answer, err := a.ask(command, arguments)
	if err != nil {
		return errs.Conflictf("Guest agent is not responding: %s of instance %s got no answer", command, id).Because(err)
	}
	if answer.Error != nil {
		return errs.Conflictf("The guest agent of instance %s refuses %s: %.200s", id, command, answer.Error.Desc)
	}
	return nil
}

func noAgent(id string) error {
	return errs.Conflictf("QEMU guest agent is not enabled: the image of instance %s lacks the property hw_qemu_guest_agent", id)
}

// errDeaf is what comes of an agent that was not given the command.
var errDeaf = errors.New("the agent does not listen")

type agentLine struct {
	conn net.Conn
	in   *bufio.Reader
}

type agentAnswer struct {
	Return json.RawMessage               `json:"return"`
	Error  *struct{ Class, Desc string } `json:"error"`
}

// sync throws away what was said to whoever was at the line before.
func (a agentLine) sync() error {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<31))
	if err != nil {
		return err
	}
	err = a.say("guest-sync", options{"id": n.Int64()})
	if err != nil {
		return err
	}
	for {
		answer, err := a.hear()
		if err != nil {
			return err
		}
		if string(bytes.TrimSpace(answer.Return)) == n.String() {
			return nil
		}
	}
}

func (a agentLine) ask(command string, arguments options) (agentAnswer, error) {
	err := a.say(command, arguments)
	if err != nil {
		return agentAnswer{}, err
	}
	return a.hear()
}

func (a agentLine) say(command string, arguments options) error {
	line, err := json.Marshal(options{"execute": command, "arguments": arguments})
	if err != nil {
		return err
	}
	_, err = a.conn.Write(append(line, '\n'))
	return err
}

// hear reads the next line that is an answer.
func (a agentLine) hear() (agentAnswer, error) {
	for {
		line, err := a.in.ReadSlice('\n')
		if err != nil {
			return agentAnswer{}, err
		}
		var answer agentAnswer
		err = json.Unmarshal(bytes.TrimLeft(line, "\xff \x00"), &answer)
		if err == nil && (answer.Return != nil || answer.Error != nil) {
			return answer, nil
		}
	}
}
