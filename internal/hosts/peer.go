package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// peerTime bounds how long another server takes to ask its node.
const peerTime = 15 * time.Second

// topicOf is where a server answers for the hosts that it holds.
func topicOf(server string) string { return "hosts." + server }

// peerQuestion is a question to a host that another server holds.
type peerQuestion struct {
	Host    string          `json:"host"`
	Name    string          `json:"name"`
	Payload json.RawMessage `json:"payload"`
}

type peerAnswer struct {
	Error   *nodeapi.RemoteError `json:"error,omitempty"`
	Payload json.RawMessage      `json:"payload,omitempty"`
}

func notConnected(host string) error { return errs.Unavailablef("Host %s is not connected.", host) }

// holder finds the server that holds the host's connection.
func (s *Service) holder(ctx context.Context, host string) (string, error) {
	var servers []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &servers, "SELECT server FROM hosts WHERE name = ? AND seen_at > ?", host, db.At(s.clock.Now().Add(-nodeapi.HostSilent)))
	})
	if err != nil {
		return "", fmt.Errorf("find the server of host %s: %w", host, err)
	}
	if len(servers) == 0 || servers[0] == s.server {
		return "", notConnected(host)
	}
	return servers[0], nil
}

// askPeer asks through the server that holds the host.
func (s *Service) askPeer(ctx context.Context, host, name string, payload any) (json.RawMessage, error) {
	if s.bus == nil {
		return nil, notConnected(host)
	}
	server, err := s.holder(ctx, host)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", name, err)
	}
	question, err := json.Marshal(peerQuestion{Host: host, Name: name, Payload: body})
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, peerTime)
	defer cancel()
	text, err := s.bus.Request(ctx, topicOf(server), question)
	if err != nil {
		return nil, fmt.Errorf("ask host %s through another server: %w", host, err)
	}
	var answer peerAnswer
	err = json.Unmarshal(text, &answer)
	if err != nil {
		return nil, fmt.Errorf("ask host %s through another server: %w", host, err)
	}
	if answer.Error != nil {
		return nil, classified(host, answer.Error)
	}
	return answer.Payload, nil
}

// answerPeer asks a host of this server on behalf of another one. An error
// travels as an answer, so that its kind is kept.
func (s *Service) answerPeer(ctx context.Context, question json.RawMessage) (json.RawMessage, error) {
	var q peerQuestion
	err := json.Unmarshal(question, &q)
	if err != nil {
		return nil, fmt.Errorf("read the question of another server: %w", err)
	}
	var answer peerAnswer
	l := s.link(q.Host)
	if l == nil {
		err = notConnected(q.Host)
	} else {
		answer.Payload, err = l.conn.Ask(ctx, q.Name, q.Payload)
	}
	if err != nil {
		answer.Error = s.peerError(q.Host, err)
	}
	return json.Marshal(answer)
}

func (s *Service) peerError(host string, err error) *nodeapi.RemoteError {
	var remote *nodeapi.RemoteError
	if errors.As(err, &remote) {
		return remote
	}
	e, ok := errs.As(err)
	if ok {
		return &nodeapi.RemoteError{Status: int(e.Kind), Message: e.Message}
	}
	return &nodeapi.RemoteError{Status: http.StatusInternalServerError, Message: fmt.Sprintf("host %s: %s", host, err)}
}
