package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// doc is one document with what was made of it. The node's lock guards it.
type doc struct {
	key     key
	desired nodeapi.Document

	// One pair, after the kind, decoded.
	machine     nodeapi.Machine
	machineSeen nodeapi.MachineObserved
	volume      nodeapi.Volume
	volumeSeen  nodeapi.VolumeObserved

	answered int64                      // generation that the seen one is about; 0: nothing seen
	plugged  map[string]string          // ports that were plugged for the machine, with their networks
	exports  map[string]nodeapi.Address // volumes of other hosts, where the machine reaches them
	far      map[string]*far            // doors to them, in this life of the node
	stopped  int64                      // generation at which the guest ended by itself; 0: it did not

	ensured int64 // generation that the driver has made true in this life of the node
	unsaved bool  // the disk has an older one
	busy    bool  // it has a worker
	again   bool  // which has to look again
	waiting bool  // for another document
	wake    chan struct{}
	abort   context.CancelFunc // ends the turn under way; nil: none is
}

// waitError says that another document has to move first.
type waitError struct{ reason string }

func (e *waitError) Error() string { return e.reason }

func waitFor(format string, args ...any) error { return &waitError{fmt.Sprintf(format, args...)} }

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// validKey keeps names that could leave our folder, and kinds that a newer
// server may know, away from the disk.
func validKey(k key) bool {
	return (k.kind == nodeapi.KindMachine || k.kind == nodeapi.KindVolume) && validID.MatchString(k.id)
}

// set makes the document the desired one.
func (d *doc) set(document nodeapi.Document) error {
	if document.Gone {
		d.desired = document
		return nil
	}
	var machine nodeapi.Machine
	var volume nodeapi.Volume
	into := any(&machine)
	if d.key.kind == nodeapi.KindVolume {
		into = &volume
	}
	err := json.Unmarshal(document.Body, into)
	if err != nil {
		return err
	}
	machine.ID, volume.ID = d.key.id, d.key.id
	d.desired, d.machine, d.volume = document, machine, volume
	return nil
}

// settled tells whether what was seen is about the newest generation and
// without a problem.
func (d *doc) settled() bool {
	return !d.desired.Gone && d.answered == d.desired.Generation &&
		d.machineSeen.Problem == "" && d.volumeSeen.Problem == ""
}

// report is the observed document.
func (d *doc) report() nodeapi.Document {
	body, err := json.Marshal(d.seen())
	if err != nil {
		panic(err) // plain structs always encode
	}
	return nodeapi.Document{Kind: d.key.kind, ID: d.key.id, Generation: d.answered, Body: body}
}

func (d *doc) seen() any {
	if d.key.kind == nodeapi.KindVolume {
		return d.volumeSeen
	}
	return d.machineSeen
}

// kick makes somebody look at the document. The lock is held.
func (n *Node) kick(d *doc) {
	d.again = true
	if d.busy {
		select {
		case d.wake <- struct{}{}:
		default:
		}
		return
	}
	if n.ctx == nil || n.ctx.Err() != nil {
		return
	}
	d.busy = true
	n.start(func(ctx context.Context) { n.workOn(ctx, d) })
}

// workOn works on a document until there is nothing to do.
func (n *Node) workOn(ctx context.Context, d *doc) {
	retry := time.Duration(0)
	for {
		n.mu.Lock()
		if ctx.Err() != nil || !d.again && retry == 0 {
			d.busy = false
			n.mu.Unlock()
			return
		}
		if d.again {
			select {
			case <-d.wake:
			default:
			}
		}
		d.again = false
		n.mu.Unlock()
		err := n.turn(ctx, d)
		if err == nil {
			retry = 0
			continue
		}
		retry = n.nextRetry(retry, err)
		select {
		case <-ctx.Done():
		case <-d.wake:
			retry = 0
			n.mu.Lock()
			d.again = true
			n.mu.Unlock()
		case <-n.clock.After(retry):
		}
	}
}

func (n *Node) nextRetry(retry time.Duration, err error) time.Duration {
	var wait *waitError
	if errors.As(err, &wait) {
		return min(max(2*retry, firstLook), lastLook)
	}
	limit := lastRetry
	if refused(err) {
		limit = maxRetry
	}
	return min(max(2*retry, firstRetry), limit)
}

// turn brings the document one look further, and writes down what came of it.
func (n *Node) turn(ctx context.Context, d *doc) error {
	select {
	case n.slots <- struct{}{}:
		defer func() { <-n.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	n.mu.Lock()
	d.abort = cancel
	n.mu.Unlock()
	defer func() {
		cancel()
		n.mu.Lock()
		d.abort = nil
		n.mu.Unlock()
	}()
	var err error
	if d.key.kind == nodeapi.KindVolume {
		err = n.turnVolume(ctx, d)
	} else {
		err = n.turnMachine(ctx, d)
	}
	if err != nil && ctx.Err() == nil {
		var wait *waitError
		if !errors.As(err, &wait) {
			n.log.Warn("document does not come true", "kind", d.key.kind, "id", d.key.id, "error", err)
		}
	}
	return err
}

// observe writes down what is the case with a document at the generation that
// a turn was about, tells the server when that is news, and wakes documents
// that waited for it. Update changes the seen half.
func (n *Node) observe(d *doc, generation int64, problem error, update func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	late := d.desired.Generation != generation
	if generation == unknown || problem != nil && (late || n.ctx.Err() != nil) {
		return // nobody asks for it, any more; or it only failed because we are stopping
	}
	before, answered := d.report(), d.answered
	if update != nil {
		update()
	}
	d.machineSeen.Problem, d.machineSeen.Refused = "", false
	d.volumeSeen.Problem, d.volumeSeen.Refused = "", false
	d.waiting = false
	if problem != nil {
		var wait *waitError
		d.waiting = errors.As(problem, &wait)
		text, refused := sentence(problem), refused(problem)
		if d.key.kind == nodeapi.KindVolume {
			d.volumeSeen.Problem, d.volumeSeen.Refused = text, refused
		} else {
			d.machineSeen.Problem, d.machineSeen.Refused = text, refused
		}
	}
	d.answered = generation
	if answered == generation && string(before.Body) == string(d.report().Body) {
		return
	}
	err := n.save(d)
	if err != nil {
		n.log.Error("keep observed document", "kind", d.key.kind, "id", d.key.id, "error", err)
	}
	n.unsent[d.key] = true
	n.send()
	n.wakeWaiting()
}

// drop takes a document off that is gone from the host.
func (n *Node) drop(d *doc, generation int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if d.desired.Generation != generation || !d.desired.Gone {
		return // wanted again meanwhile; the worker looks again
	}
	err := n.unsave(d)
	if err != nil {
		n.log.Error("forget document", "kind", d.key.kind, "id", d.key.id, "error", err)
	}
	delete(n.docs, d.key)
	delete(n.unsent, d.key)
	n.gone[d.key] = generation
	n.send()
	n.wakeWaiting()
}

// wakeWaiting lets documents look again that wait for another one. The lock
// is held.
func (n *Node) wakeWaiting() {
	for _, d := range n.docs {
		if d.waiting {
			n.kick(d)
		}
	}
}

// refused tells whether trying again will not help.
func refused(err error) bool {
	e, ok := errs.As(err)
	return ok && e.Kind != errs.Unavailable && e.Kind != errs.Internal
}

// sentence is what the server hears of an error.
func sentence(err error) string {
	e, ok := errs.As(err)
	if ok {
		return e.Message
	}
	return err.Error()
}
