package directorytest

import (
	"net"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// Fake is a server that answers as a test tells it to.
type Fake struct {
	URL string

	mu      sync.Mutex // guards what follows
	heard   []int
	filters []string
}

// Operation is what a client asks for.
type Operation = ber.Packet

// Say sends a message to the client, and tells whether it could.
type Say func(p *ber.Packet) bool

// Answer is what a fake does about an operation with an id. It returns false to
// end the connection.
type Answer func(say Say, id int64, operation *Operation) bool

// StartFake starts a fake.
func StartFake(t testing.TB, answer Answer) *Fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &Fake{URL: "ldap://" + l.Addr().String()}
	var serving sync.WaitGroup
	ending := make(chan struct{})
	serving.Add(1)
	go func() {
		defer serving.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Add(2)
			go func() {
				defer serving.Done()
				<-ending
				c.Close()
			}()
			go func() {
				defer serving.Done()
				defer c.Close()
				f.serve(c, answer)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		close(ending)
		serving.Wait()
	})
	return f
}

func (f *Fake) serve(c net.Conn, answer Answer) {
	say := func(p *ber.Packet) bool {
		_, err := c.Write(p.Bytes())
		return err == nil
	}
	for {
		packet, err := ber.ReadPacket(c)
		if err != nil || len(packet.Children) < 2 {
			return
		}
		id, _ := packet.Children[0].Value.(int64)
		f.note(packet.Children[1])
		if !answer(say, id, packet.Children[1]) {
			return
		}
	}
}

func (f *Fake) note(operation *Operation) {
	const filter = 6 // of the parts of a search
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, int(operation.Tag))
	if operation.Tag == ldap.ApplicationSearchRequest && len(operation.Children) > filter {
		text, err := ldap.DecompileFilter(operation.Children[filter])
		if err == nil {
			f.filters = append(f.filters, text)
		}
	}
}

// Filters lists what was searched for.
func (f *Fake) Filters() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.filters...)
}

// Heard lists the operations that were asked for, as the tags of LDAP.
func (f *Fake) Heard() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]int(nil), f.heard...)
}

// Result is the end of an operation: the tag of the answer, and LDAP's code.
func Result(id int64, tag ber.Tag, code uint16) *ber.Packet {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	return message(id, op)
}

// Entry is an entry that was found; attributes are names and values by turns.
func Entry(id int64, dn string, attributes ...string) *ber.Packet {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, dn, ""))
	all := ber.NewSequence("")
	for i := 0; i+1 < len(attributes); i += 2 {
		one := ber.NewSequence("")
		one.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, attributes[i], ""))
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		values.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, attributes[i+1], ""))
		one.AppendChild(values)
		all.AppendChild(one)
	}
	op.AppendChild(all)
	return message(id, op)
}

func message(id int64, op *ber.Packet) *ber.Packet {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	return p
}
