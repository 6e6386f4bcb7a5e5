package fabrictest

import (
	"encoding/binary"
	"os"
	"sync"
	"testing"

	"github.com/vishvananda/netns"
)

// Cable is a wire with several guests at its other end, told apart by the VLAN of
// their frames. The kernel need not know VLANs: the cable itself puts the tags on
// and takes them off.
type Cable struct {
	t     testing.TB
	outer *os.File
	wires sync.WaitGroup

	mu   sync.Mutex // guards ends
	ends map[int]*os.File
}

// NewCable takes hold of the tap, and makes it if it is missing. It ends with the
// test.
func NewCable(t testing.TB, tap string) *Cable {
	t.Helper()
	outer, err := openTap(tap)
	if err != nil {
		t.Fatal(err)
	}
	return newCable(t, outer)
}

func newCable(t testing.TB, outer *os.File) *Cable {
	c := &Cable{t: t, outer: outer, ends: map[int]*os.File{}}
	c.wires.Go(c.inward)
	t.Cleanup(func() {
		outer.Close()
		c.mu.Lock()
		for _, inner := range c.ends {
			inner.Close()
		}
		c.mu.Unlock()
		c.wires.Wait()
	})
	return c
}

// Guest puts a guest at the end of the cable. Its frames are tagged with the VLAN,
// unless that is 0.
func (c *Cable) Guest(vlan int, mac string) *Guest {
	c.t.Helper()
	g := &Guest{t: c.t}
	g.must(inNewNamespace(func(space netns.NsHandle) error {
		g.space = space
		return nil
	}))
	c.t.Cleanup(func() { g.space.Close() })
	var inner *os.File
	g.must(g.Do(func() error {
		var err error
		inner, err = openTap("eth0")
		if err != nil {
			return err
		}
		return furnish(mac)
	}))
	c.mu.Lock()
	c.ends[vlan] = inner
	c.mu.Unlock()
	c.wires.Go(func() { c.outward(vlan, inner) })
	return g
}

// addresses is how much of a frame stands before its tag, or its type; tagLength
// is what a tag takes.
const addresses, tagLength, tagType = 12, 4, 0x8100

func (c *Cable) inward() {
	frame := make([]byte, 65536)
	for {
		n, err := c.outer.Read(frame)
		if err != nil {
			return
		}
		vlan, plain := untag(frame[:n])
		c.mu.Lock()
		end := c.ends[vlan]
		c.mu.Unlock()
		if end != nil {
			end.Write(plain) // what the other end does not take is lost, as on any wire
		}
	}
}

func (c *Cable) outward(vlan int, inner *os.File) {
	frame := make([]byte, 65536)
	for {
		n, err := inner.Read(frame[tagLength:])
		if err != nil {
			return
		}
		plain := frame[tagLength : tagLength+n]
		if vlan == 0 || n < addresses {
			c.outer.Write(plain)
			continue
		}
		copy(frame, plain[:addresses])
		binary.BigEndian.PutUint16(frame[addresses:], tagType)
		binary.BigEndian.PutUint16(frame[addresses+2:], uint16(vlan))
		c.outer.Write(frame[:n+tagLength])
	}
}

// untag takes the tag off a frame. It may move the addresses within it.
func untag(frame []byte) (vlan int, plain []byte) {
	if len(frame) < addresses+tagLength || binary.BigEndian.Uint16(frame[addresses:]) != tagType {
		return 0, frame
	}
	vlan = int(binary.BigEndian.Uint16(frame[addresses+2:]) & 0xfff)
	copy(frame[tagLength:], frame[:addresses])
	return vlan, frame[tagLength:]
}
