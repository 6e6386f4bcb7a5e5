// Package node is the agent of a host: it makes the host match the documents
// that the servers want, and tells what came of it.
//
// The agent dials out and holds one connection. What arrives is written to the
// node's own disk first, then reconciled: each document that needs something
// has one worker, so nothing happens twice at the same time to one machine, and
// an idle document costs no goroutine. A machine is put together from the
// outside in: its volumes exported, its cards plugged, the metadata door of its
// networks opened, then the machine itself; it is taken apart in the reverse
// order. What fails is tried again, ever more slowly, and the observed document
// says why.
//
// The agent lives on without the servers: after its own restart it restores
// all documents from its disk, and machines go on running whoever is away.
// A guest that shut itself down stays off until the servers want something new
// of it; after a reboot of the host, what should run is started again. It may run
// on another host by then, so that waits until a server has sent everything it
// wants of this one.
//
// Machines, cards and exports that nobody asked for are removed, but only
// after a server has sent everything it wants of this host.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"nacre/internal/blockdev"
	"nacre/internal/clock"
	"nacre/internal/fabric"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// Timing, besides that of nodeapi.
const (
	survey     = 30 * time.Second // how often we look at everything, hint or not
	greeting   = 10 * time.Second
	firstRetry = 100 * time.Millisecond
	firstLook  = 10 * time.Millisecond // when another document has to move first
	lastLook   = time.Second
	lastRetry  = 10 * time.Second
	maxRetry   = time.Minute // between tries of what the driver refused
)

// Options is what a node is made of.
type Options struct {
	Name   string // of the host
	Dir    string // keeps documents; "" keeps them in memory only, for simulated hosts
	Virt   virt.Host
	Fabric fabric.Host
	Block  blockdev.Host
	Images *Images // nil when the drivers need no image bytes
	Keys   *Keys   // nil when the drivers need no keys
	Dial   func(ctx context.Context) (io.ReadWriteCloser, error)
	Learn  func(servers []string) // hears where the servers are; nil: nobody wants to know

	Address       string // the host's own address, for its info
	SharedExports bool   // machines on other hosts reach the exports of Block
	Sockets       string // folder of sockets by which machines reach volumes of other hosts; "": they don't
	SocketsOwner  *Owner // whom machines run as; nil: ourselves
	CPUs          CPUs   // which of them guests have alone
	BootID        string // changes when the host reboots; "" asks the kernel
	Workers       int    // documents worked on at a time; 0: 8
	Clock         clock.Clock
	Log           *slog.Logger
}

// Owner is an account of this machine, by its numbers.
type Owner struct{ UID, GID int }

// Node is one host's agent.
type Node struct {
	o     Options
	clock clock.Clock
	log   *slog.Logger
	slots chan struct{}
	views views
	doors doors
	work  sync.WaitGroup // everything that Run started

	mu       sync.Mutex // guards all below
	ctx      context.Context
	docs     map[key]*doc
	whole    map[key]bool // named so far in the whole set that is arriving; nil: none is
	complete bool         // a whole set has arrived in this life
	fenced   bool         // the host has rebooted, and no whole set has arrived since
	conn     *nodeapi.Conn
	unsent   map[key]bool  // observed documents that the server has to hear
	gone     map[key]int64 // documents that are no more, with the generation to confirm
	sending  bool          // a sender is at work
	info     nodeapi.HostInfo
}

type key struct{ kind, id string }

// unknown is the generation of documents that no server knows.
const unknown = -1

// New makes a node and reads what it knew.
func New(o Options) (*Node, error) {
	n := &Node{
		o:      o,
		clock:  o.Clock,
		log:    o.Log,
		docs:   map[key]*doc{},
		unsent: map[key]bool{},
		gone:   map[key]int64{},
	}
	if n.clock == nil {
		n.clock = clock.Real{}
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.log = n.log.With("host", o.Name)
	if n.o.Workers == 0 {
		n.o.Workers = 8
	}
	n.slots = make(chan struct{}, n.o.Workers)
	n.views.list = o.Virt.List
	n.doors.open = map[string]*door{}
	if n.o.BootID == "" {
		id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			return nil, fmt.Errorf("read boot id: %w", err)
		}
		n.o.BootID = strings.TrimSpace(string(id))
	}
	err := n.load()
	if err != nil {
		return nil, fmt.Errorf("read documents of node %s: %w", o.Name, err)
	}
	o.Virt.Reach(elsewhere{n})
	if o.Images != nil {
		o.Images.connection = n.connection
	}
	if o.Keys != nil {
		o.Keys.connection = n.connection
	}
	return n, nil
}

// Run makes the host match its documents until the context ends, and returns
// when nothing of it runs any more. Guests, exports and taps stay.
func (n *Node) Run(ctx context.Context) error {
	n.refreshInfo(ctx)
	n.mu.Lock()
	n.ctx = ctx
	for _, d := range n.docs {
		n.kick(d)
	}
	n.mu.Unlock()
	n.work.Go(func() { n.watch(ctx) })
	retry := firstRetry
	said := ""
	for ctx.Err() == nil {
		greeted, err := n.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if greeted {
			retry, said = firstRetry, ""
			n.log.Info("server connection ended", "error", err)
		} else if err.Error() != said {
			said = err.Error()
			n.log.Warn("no server takes this node; it goes on trying", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-n.clock.After(retry):
		}
		retry = min(2*retry, lastRetry/2)
	}
	n.doors.closeAll()
	n.work.Wait()
	return ctx.Err()
}

// session holds one connection until it ends.
func (n *Node) session(ctx context.Context) (greeted bool, err error) {
	rwc, err := n.o.Dial(ctx)
	if err != nil {
		return false, fmt.Errorf("dial: %w", err)
	}
	defer rwc.Close()
	n.mu.Lock()
	hello := nodeapi.Hello{Host: n.o.Name, Info: n.info}
	n.mu.Unlock()
	greet, cancel := context.WithTimeout(ctx, greeting)
	stop := context.AfterFunc(greet, func() { rwc.Close() })
	_, err = nodeapi.Greet(rwc, hello)
	inTime := stop()
	cancel()
	if err != nil {
		return false, err
	}
	if !inTime {
		return false, errors.New("greeting took too long")
	}
	conn := nodeapi.NewConn(rwc, true, nodeapi.Handlers{
		Desired: n.take, Query: n.answer, Stream: n.stream,
		Servers: func(s nodeapi.Servers) {
			if n.o.Learn != nil {
				n.o.Learn(s.URLs)
			}
		},
	})
	n.mu.Lock()
	n.conn = conn
	n.whole = nil
	for k, d := range n.docs {
		if d.answered > 0 {
			n.unsent[k] = true
		}
	}
	n.send()
	n.mu.Unlock()
	err = conn.Serve(ctx)
	n.mu.Lock()
	n.conn = nil
	n.mu.Unlock()
	return true, err
}

// connection is the present one, nil without a server.
func (n *Node) connection() *nodeapi.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conn
}

// take stores desired documents and starts to work on them.
func (n *Node) take(desired nodeapi.Desired) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if desired.First {
		n.whole = map[key]bool{}
	}
	for _, document := range desired.Documents {
		k := key{document.Kind, document.ID}
		if n.whole != nil {
			n.whole[k] = true
		}
		n.takeOne(k, document)
	}
	if !desired.Complete || n.whole == nil {
		return
	}
	named := n.whole
	n.whole = nil
	n.complete = true
	for k, d := range n.docs {
		if !named[k] && !d.desired.Gone {
			n.log.Warn("server knows nothing of a document", "kind", k.kind, "id", k.id)
			n.takeOne(k, nodeapi.Document{Kind: k.kind, ID: k.id, Generation: unknown, Gone: true})
		}
	}
	n.unfence()
	n.start(func(ctx context.Context) { n.removeStrangers(ctx) })
}

// takeOne stores one desired document. The lock is held.
func (n *Node) takeOne(k key, document nodeapi.Document) {
	if !validKey(k) {
		n.log.Warn("server wants a document that we do not understand", "kind", k.kind, "id", k.id)
		return
	}
	d := n.docs[k]
	// Frames come in order and the servers are right: a lower generation means
	// that their database went back in time.
	if d != nil && d.desired.Generation == document.Generation && d.desired.Gone == document.Gone {
		if d.answered == document.Generation {
			n.unsent[k] = true // the server may have missed it
			n.send()
		}
		return
	}
	if d == nil {
		d = &doc{key: k, wake: make(chan struct{}, 1)}
		n.docs[k] = d
	}
	err := d.set(document)
	if err != nil {
		n.log.Error("read desired document", "kind", k.kind, "id", k.id, "error", err)
		return
	}
	delete(n.gone, k)
	err = n.save(d)
	if err != nil {
		n.log.Error("keep desired document", "kind", k.kind, "id", k.id, "error", err)
	}
	if document.Gone && d.abort != nil {
		d.abort() // nobody needs to wait for a guest to shut down, or for a copy
	}
	n.kick(d)
}

// start runs something beside that Run waits for. The lock is held.
func (n *Node) start(do func(ctx context.Context)) {
	if n.ctx == nil || n.ctx.Err() != nil {
		return
	}
	ctx := n.ctx
	n.work.Go(func() { do(ctx) })
}

// send makes the sender send what is unsent. The lock is held.
func (n *Node) send() {
	if n.sending || n.conn == nil || len(n.unsent)+len(n.gone) == 0 {
		return
	}
	n.sending = true
	n.start(n.sendObserved)
}

// sendObserved sends until nothing is left. There is one at a time and it
// reads the newest state, so the server never hears an older one later.
func (n *Node) sendObserved(ctx context.Context) {
	const page = 100
	for {
		var list []nodeapi.Document
		n.mu.Lock()
		conn := n.conn
		for k := range n.unsent {
			if len(list) == page {
				break
			}
			delete(n.unsent, k)
			d := n.docs[k]
			if d != nil {
				list = append(list, d.report())
			}
		}
		for k, generation := range n.gone {
			if len(list) == page {
				break
			}
			delete(n.gone, k)
			list = append(list, nodeapi.Document{Kind: k.kind, ID: k.id, Generation: generation, Gone: true})
		}
		n.sending = len(list) > 0 && conn != nil && ctx.Err() == nil
		done := !n.sending
		n.mu.Unlock()
		if done {
			return
		}
		err := conn.SendObserved(ctx, nodeapi.Observed{Documents: list})
		if err != nil {
			// The next connection begins with all documents anyway.
			n.log.Debug("send observed documents", "error", err)
		}
	}
}

// watch reacts to hints of the hypervisor, keeps the connection alive, and
// looks at everything from time to time.
func (n *Node) watch(ctx context.Context) {
	var received uint64
	quiet := time.Duration(0)
	sinceSurvey := time.Duration(0)
	next := n.clock.After(nodeapi.Pulse)
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-n.o.Virt.Changed():
			n.mu.Lock()
			d := n.docs[key{nodeapi.KindMachine, id}]
			if d != nil {
				n.kick(d)
			}
			n.mu.Unlock()
		case <-next:
			next = n.clock.After(nodeapi.Pulse)
			conn := n.connection()
			if conn == nil {
				quiet = 0
			} else {
				count := conn.Received()
				quiet += nodeapi.Pulse
				if count != received {
					received, quiet = count, 0
				}
				if quiet >= nodeapi.ServerSilent {
					conn.Close()
					quiet = 0
				}
				conn.Ping()
			}
			n.saveAgain()
			sinceSurvey += nodeapi.Pulse
			if sinceSurvey >= survey {
				sinceSurvey = 0
				n.survey(ctx)
			}
		}
	}
}
