package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// greeting bounds how long a node takes to say hello.
const greeting = 10 * time.Second

// link is one node's connection. Its sender and its writer run only while
// there is something to send or to write.
type link struct {
	service *Service
	host    string
	epoch   int64
	conn    *nodeapi.Conn
	ctx     context.Context
	work    sync.WaitGroup // sender and writer

	looked  int64    // the host's sequence when we last looked; the service's lock guards both
	servers []string // as the node was told last

	mu       sync.Mutex // guards all below
	ended    bool
	sending  bool // a sender is at work
	more     bool // and has to look again
	writing  bool // a writer is at work
	observed map[key]nodeapi.Document
	info     *nodeapi.HostInfo

	sent     atomic.Int64 // the last generation sent, by the sender
	whole    bool         // the sender's: the whole set has been sent
	received uint64
	heard    time.Time // when received last grew
}

type key struct{ kind, id string }

// Serve talks to a node until its connection ends and says why. The host's
// name is what the caller has authenticated; a node that gives another one is
// refused. A node that connects again replaces its former connection.
func (s *Service) Serve(ctx context.Context, host string, rwc io.ReadWriteCloser) error {
	defer rwc.Close()
	epoch, since, err := s.greet(ctx, host, rwc)
	if err != nil {
		return fmt.Errorf("greet node of host %s: %w", host, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &link{service: s, host: host, epoch: epoch, ctx: ctx, heard: s.clock.Now(), observed: map[key]nodeapi.Document{}}
	l.conn = nodeapi.NewConn(rwc, false, nodeapi.Handlers{
		Observed: l.take,
		Info:     l.takeInfo,
		Query: func(ctx context.Context, name string, payload json.RawMessage) (any, error) {
			return s.answer(ctx, host, name, payload)
		},
		Stream: func(ctx context.Context, kind, id string) (func(*nodeapi.Stream) error, error) {
			return s.stream(ctx, host, kind, id)
		},
	})
	s.mu.Lock()
	former := s.links[host]
	if former != nil && former.epoch > epoch {
		s.mu.Unlock()
		return fmt.Errorf("host %s has connected again meanwhile", host)
	}
	s.links[host] = l
	s.told[host] = state{up: true, updated: since}
	s.mu.Unlock()
	if former != nil {
		former.conn.Close()
	}
	s.tellServers()
	err = s.tell(ctx, host)
	if err == nil {
		l.send()
		err = l.conn.Serve(ctx)
	}
	s.mu.Lock()
	if s.links[host] == l {
		delete(s.links, host)
	}
	s.mu.Unlock()
	l.end()
	cancel()
	l.work.Wait()
	return err
}

// greet reads the hello, writes that this server has the host, and what that has,
// and answers. It returns the connection's epoch, and since when it is.
func (s *Service) greet(ctx context.Context, host string, rwc io.ReadWriteCloser) (epoch int64, since db.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, greeting)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { rwc.Close() })
	defer stop()
	hello, err := nodeapi.ReadHello(rwc)
	if err != nil {
		return 0, 0, err
	}
	if hello.Host != host {
		err = fmt.Errorf("you are %s and speak for %s", host, hello.Host)
	} else {
		err = saneInfo(hello.Info)
	}
	if err != nil {
		return 0, 0, errors.Join(err, nodeapi.WriteWelcome(rwc, nodeapi.Welcome{Error: err.Error()}))
	}
	hello.Info.Node = hello.Version
	now := db.At(s.clock.Now())
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		tx.Notify(changedChannel, host)
		return tx.Get(ctx, &epoch, `
			INSERT INTO hosts (name, id, seen_at, info, server, epoch, created_at, updated_at) VALUES (?, ?, ?, ?, ?, 1, ?, ?)
			ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at, info = excluded.info, server = excluded.server,
				epoch = hosts.epoch + 1, updated_at = excluded.updated_at
			RETURNING epoch`, host, s.newID(), now, db.Of(hello.Info), s.server, now, now)
	})
	if err != nil {
		return 0, 0, err
	}
	return epoch, now, nodeapi.WriteWelcome(rwc, nodeapi.Welcome{})
}

// alive tells whether the node has said something lately. The service's lock
// is held.
func (l *link) alive(now time.Time) bool {
	received := l.conn.Received()
	if received != l.received {
		l.received = received
		l.heard = now
	}
	return now.Sub(l.heard) < nodeapi.HostSilent
}

// tellServers tells the node where the servers are, unless it knows. The
// service's lock is held.
func (l *link) tellServers(urls []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || slices.Equal(l.servers, urls) {
		return
	}
	l.servers = urls
	l.run(func() {
		err := l.conn.SendServers(l.ctx, nodeapi.Servers{URLs: urls})
		if err != nil {
			l.conn.Close() // it hears when it comes back
		}
	})
}

// run starts a goroutine that Serve waits for. The lock is held.
func (l *link) run(do func()) {
	l.work.Add(1)
	go func() {
		defer l.work.Done()
		do()
	}()
}

func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// hint tells that the host has a newer document.
func (s *Service) hint(host string) {
	l := s.link(host)
	if l != nil {
		l.send()
	}
}

// send makes the sender look.
func (l *link) send() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.more = true
	if l.sending || l.ended {
		return
	}
	l.sending = true
	l.run(func() {
		for l.again() {
			err := l.sendNewer()
			if err != nil {
				// The node gets everything when it comes back.
				l.conn.Close()
			}
		}
	})
}

func (l *link) again() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sending = l.more && !l.ended
	l.more = false
	return l.sending
}

// sendNewer sends all generations behind the last one sent, the first time as
// a whole set. A document that changes meanwhile moves to the end of the order,
// so it is never passed over.
func (l *link) sendNewer() error {
	const page = 100
	first := !l.whole
	for {
		var rows []documentRow
		err := l.service.db.Read(l.ctx, func(tx *db.Tx) error {
			return tx.All(l.ctx, &rows, `
				SELECT * FROM documents WHERE host = ? AND generation > ? ORDER BY generation LIMIT ?`, l.host, l.sent.Load(), page)
		})
		if err != nil {
			return fmt.Errorf("read documents of host %s: %w", l.host, err)
		}
		last := len(rows) < page
		for _, part := range parts(rows) {
			err = l.conn.SendDesired(l.ctx, nodeapi.Desired{First: first, Documents: part})
			if err != nil {
				return err
			}
			first = false
		}
		if len(rows) > 0 {
			l.sent.Store(rows[len(rows)-1].Generation)
		}
		if !last {
			continue
		}
		if l.whole {
			return nil
		}
		l.whole = true
		return l.conn.SendDesired(l.ctx, nodeapi.Desired{First: first, Complete: true})
	}
}

// parts cuts documents into lists that fit into a frame.
func parts(rows []documentRow) [][]nodeapi.Document {
	const limit = nodeapi.MaxFrame / 4
	var list [][]nodeapi.Document
	size := 0
	for _, row := range rows {
		if len(list) == 0 || size+len(row.Desired) > limit {
			list = append(list, nil)
			size = 0
		}
		size += len(row.Desired)
		last := len(list) - 1
		list[last] = append(list[last], nodeapi.Document{
			Kind:       row.Kind,
			ID:         row.ID,
			Generation: row.Generation,
			Gone:       row.Desired == "",
			Body:       raw(row.Desired),
		})
	}
	return list
}

// take gathers what the node observed for the writer.
func (l *link) take(o nodeapi.Observed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range o.Documents {
		l.observed[key{d.Kind, d.ID}] = d
	}
	l.write()
}

func (l *link) takeInfo(info nodeapi.HostInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.info = &info
	l.write()
}

// write starts the writer if it rests. The lock is held.
func (l *link) write() {
	if l.writing || l.ended {
		return
	}
	l.writing = true
	l.run(func() {
		for {
			observed, info := l.gathered()
			if len(observed) == 0 && info == nil {
				return
			}
			err := l.service.record(l.ctx, l.host, l.epoch, observed, info)
			if err != nil {
				// The node tells everything again when it comes back.
				if l.ctx.Err() == nil {
					l.service.log.Error("record what a node observed", "host", l.host, "error", err)
				}
				l.conn.Close()
			}
		}
	})
}

func (l *link) gathered() ([]nodeapi.Document, *nodeapi.HostInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, nil
	}
	list := make([]nodeapi.Document, 0, len(l.observed))
	for _, d := range l.observed {
		list = append(list, d)
	}
	clear(l.observed)
	info := l.info
	l.info = nil
	l.writing = len(list) > 0 || info != nil
	return list, info
}

// answer answers a node's question.
func (s *Service) answer(ctx context.Context, host, name string, payload json.RawMessage) (any, error) {
	answer := s.queries[name]
	if answer == nil {
		return nil, &nodeapi.RemoteError{Status: http.StatusNotFound, Message: "nobody answers " + name}
	}
	value, err := answer(ctx, host, payload)
	if err != nil {
		return nil, s.remote(host, "answer "+name, err)
	}
	return value, nil
}

func (s *Service) stream(ctx context.Context, host, kind, id string) (func(*nodeapi.Stream) error, error) {
	accept := s.streams[kind]
	if accept == nil {
		return nil, &nodeapi.RemoteError{Status: http.StatusNotFound, Message: "nobody serves " + kind}
	}
	serve, err := accept(ctx, host, id)
	if err != nil {
		return nil, s.remote(host, "open "+kind, err)
	}
	return func(stream *nodeapi.Stream) error {
		err := serve(stream)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("stream to a node", "host", host, "kind", kind, "id", id, "error", err)
		}
		return err
	}, nil
}

// remote makes an error fit for a node: classified ones as they are, our own
// faults only in the log.
func (s *Service) remote(host, what string, err error) error {
	e, ok := errs.As(err)
	if ok {
		return &nodeapi.RemoteError{Status: int(e.Kind), Message: e.Message}
	}
	s.log.Error(what, "host", host, "error", err)
	return &nodeapi.RemoteError{Status: http.StatusInternalServerError, Message: "unexpected error"}
}
