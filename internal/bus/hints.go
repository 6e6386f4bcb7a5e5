package bus

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"nacre/internal/clock"
	"nacre/internal/db"
)

const hintsTopic = "hints"

// most is how many hints wait at most while the bus is slow. Those beyond are
// lost, which costs a moment: whoever misses one finds the change by looking.
const most = 10_000

// Hints brings what committed transactions announce on one server to the
// listeners of the others. What is announced twice before it leaves is one hint,
// and what has gathered while a message was on its way leaves in the next one.
type Hints struct {
	db    *db.DB
	bus   Bus
	log   *slog.Logger
	self  string
	woken chan struct{}

	mu      sync.Mutex // guards what follows
	waiting []hint
	known   map[hint]bool // what is waiting
	lost    int
}

type hint struct {
	Channel string `json:"c"`
	Key     string `json:"k"`
}

type hintsMessage struct {
	From  string `json:"from"`
	Hints []hint `json:"hints"`
}

// NewHints connects the database's announcements with the bus. Run carries them.
func NewHints(d *db.DB, b Bus, log *slog.Logger) *Hints {
	return &Hints{db: d, bus: b, log: log, self: clock.UUID(), woken: make(chan struct{}, 1), known: map[hint]bool{}}
}

// Run carries hints until the context ends.
func (h *Hints) Run(ctx context.Context) {
	stop := h.bus.Subscribe(hintsTopic, h.hear)
	defer stop()
	h.db.Forward(h.note)
	defer h.db.Forward(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.woken:
		}
		list, lost := h.take()
		if lost > 0 {
			h.log.Warn("hints to other servers were lost", "count", lost)
		}
		payload, err := json.Marshal(hintsMessage{h.self, list})
		if err == nil {
			// A bus that is away says so itself.
			err = h.bus.Publish(ctx, Message{Topic: hintsTopic, Type: hintsTopic, Payload: payload})
		}
		if err != nil {
			h.log.Debug("hints did not leave", "error", err)
		}
	}
}

// note takes an announcement of this server.
func (h *Hints) note(channel, key string) {
	one := hint{channel, key}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known[one] {
		return
	}
	if len(h.waiting) == most {
		h.lost++
		return
	}
	h.known[one] = true
	h.waiting = append(h.waiting, one)
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

func (h *Hints) take() (list []hint, lost int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list, lost = h.waiting, h.lost
	h.waiting, h.lost = nil, 0
	clear(h.known)
	return list, lost
}

// hear tells the listeners here what another server announced.
func (h *Hints) hear(_ context.Context, m Message) {
	var got hintsMessage
	err := json.Unmarshal(m.Payload, &got)
	if err != nil {
		h.log.Error("unreadable hints", "error", err)
		return
	}
	if got.From == h.self {
		return
	}
	for _, one := range got.Hints {
		h.db.Hear(one.Channel, one.Key)
	}
}
