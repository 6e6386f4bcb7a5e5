// Package scenario is what happens to simulated hosts, from a small file: what
// they have, how long they take, what fails by chance, and when they die, are cut
// off, run out of disk or become slow.
//
// A scenario is a pure function. What the conditions are at a time follows from
// the file and its seed alone, so a cloud that is started again goes on in the
// middle, and a run can be repeated. Only the dice of single operations are thrown
// as they come. Who asks is the host's driver; everything above it cannot tell a
// scenario from hosts that really behave so.
package scenario

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"
)

// Scenario is a file of that kind.
type Scenario struct {
	Speed  float64 // of the cloud's clock; 1 is as fast as time goes
	Seed   uint64  // of the choices of events
	Hosts  []Host
	Events []Event
}

// Host is a simulated host.
type Host struct {
	Name string
	// Zero values are what every simulated host has.
	VCPUs, MemoryMB, DiskGB int

	Takes map[Op]Span    // how long operations take
	Fails map[Op]float64 // how probable it is that one fails
}

// Op is an operation of a host.
type Op string

// The operations.
const (
	Boot     Op = "boot"     // a guest starts
	Change   Op = "change"   // a guest changes otherwise
	Remove   Op = "remove"   // a guest or a volume is removed
	Snapshot Op = "snapshot" // the disk of a guest is read
	Volume   Op = "volume"   // a volume is made, or grows
	Move     Op = "move"     // the memory of a guest goes to another host
)

var ops = []string{string(Boot), string(Change), string(Remove), string(Snapshot), string(Volume), string(Move)}

// Span is a time between two.
type Span struct{ From, To time.Duration }

// Event is something that happens to a host for a while.
type Event struct {
	Host  string // "" is another one each time
	Fault Fault
	At    time.Duration // since the scenario began
	For   time.Duration // 0 is for ever
	Every time.Duration // 0 is once
	By    float64       // how many times as slow
}

// Fault is what happens.
type Fault string

// The faults.
const (
	Down Fault = "down" // it loses its power, and its guests end
	Cut  Fault = "cut"  // nothing goes between it and the servers
	Full Fault = "full" // its disk is full
	Slow Fault = "slow" // all that it does takes longer
)

var faults = []string{string(Down), string(Cut), string(Full), string(Slow)}

// Condition is how a host is at a time.
type Condition struct {
	Down, Cut, Full bool
	Slow            float64 // how many times; 0 is as usual
}

// At tells how the hosts are that are not as usual, and when that changes next;
// 0 is never.
func (s *Scenario) At(now time.Duration) (hosts map[string]Condition, next time.Duration) {
	hosts = map[string]Condition{}
	soon := func(t time.Duration) {
		if t > now && (next == 0 || t < next) {
			next = t
		}
	}
	for i, e := range s.Events {
		soon(e.At)
		if now < e.At {
			continue
		}
		turn, began := int64(0), e.At
		if e.Every > 0 {
			turn = int64((now - e.At) / e.Every)
			began += time.Duration(turn) * e.Every
			soon(began + e.Every)
		}
		if e.For > 0 {
			soon(began + e.For)
			if now >= began+e.For {
				continue
			}
		}
		host := s.victim(i, turn)
		hosts[host] = hosts[host].with(e)
	}
	return hosts, next
}

// victim is the host that an event happens to.
func (s *Scenario) victim(event int, turn int64) string {
	e := s.Events[event]
	if e.Host != "" {
		return e.Host
	}
	r := rand.New(rand.NewPCG(s.Seed+uint64(event), uint64(turn)))
	return s.Hosts[r.IntN(len(s.Hosts))].Name
}

func (c Condition) with(e Event) Condition {
	switch e.Fault {
	case Down:
		c.Down = true
	case Cut:
		c.Cut = true
	case Full:
		c.Full = true
	case Slow:
		c.Slow = max(c.Slow, e.By)
	}
	return c
}

// Host finds a host by its name.
func (s *Scenario) Host(name string) (Host, bool) {
	i := slices.IndexFunc(s.Hosts, func(h Host) bool { return h.Name == name })
	if i < 0 {
		return Host{}, false
	}
	return s.Hosts[i], true
}

// Dice are thrown for the operations of a host.
func (s *Scenario) Dice(host string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(host))
	return rand.New(rand.NewPCG(s.Seed, h.Sum64()))
}

// Throw says how long an operation takes under a condition, and whether it fails.
func (h Host) Throw(dice *rand.Rand, op Op, c Condition) (takes time.Duration, fails bool) {
	span := h.Takes[op]
	takes = span.From
	if span.To > span.From {
		takes += time.Duration(dice.Int64N(int64(span.To - span.From)))
	}
	if c.Slow > 1 {
		takes = time.Duration(float64(max(takes, least)) * c.Slow)
	}
	return takes, dice.Float64() < h.Fails[op]
}

// least is what an operation takes that takes no time, where that is made longer.
const least = 10 * time.Millisecond
