package ovn

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// table is the name of the nftables table that is ours alone.
const table = "nacre"

// Bridge is a bridge that is made on this host, beside the one that guests are on.
type Bridge struct {
	Name       string // of the bridge and of the host's own device on it, such as br-ex
	Physical   string // the physical network that provider networks reach through it; "" for none
	Device     string // a network card of the host to be taken into it; "" for none
	CIDR       string // the host's own address on it with prefix length; "" for none
	Masquerade bool   // hide the range of CIDR behind the host's other addresses towards everywhere else
}

// furnish brings the bridge's card up and gives the host its address. The bridge
// exists already.
func (b Bridge) furnish(ctx context.Context) error {
	if b.Device != "" {
		card, err := netlink.LinkByName(b.Device)
		if err == nil {
			err = netlink.LinkSetUp(card)
		}
		if err != nil {
			return fmt.Errorf("bring card %s up: %w", b.Device, err)
		}
	}
	if b.CIDR == "" {
		return nil
	}
	link, err := awaitLink(ctx, b.Name)
	if err != nil {
		return err
	}
	err = setAddresses(link, []string{b.CIDR})
	if err != nil {
		return err
	}
	err = netlink.LinkSetUp(link)
	if err != nil {
		return fmt.Errorf("bring %s up: %w", b.Name, err)
	}
	return nil
}

// devicePatience bounds how long a device of the switch may take to appear.
const devicePatience = 20 * time.Second

// awaitLink waits for a device that the switch makes.
func awaitLink(ctx context.Context, name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if err == nil {
		return link, nil
	}
	updates, done := make(chan netlink.LinkUpdate, 16), make(chan struct{})
	defer close(done)
	err = netlink.LinkSubscribe(updates, done)
	if err != nil {
		return nil, fmt.Errorf("follow devices: %w", err)
	}
	late := time.After(devicePatience)
	for {
		link, err := netlink.LinkByName(name)
		if err == nil {
			return link, nil
		}
		select {
		case <-updates:
		case <-late:
			return nil, fmt.Errorf("wait for device %s: %w", name, err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// masquerade hides the ranges of those bridges that ask for it behind the host's
// addresses towards every device but the bridge. The table is written anew each
// time, in one transaction.
func masquerade(bridges []Bridge) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("reach nftables: %w", err)
	}
	t := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: table}
	conn.AddTable(t) // so that there is one to delete
	conn.DelTable(t)
	conn.AddTable(t)
	post := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	forward := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityMangle,
	})
	for _, b := range bridges {
		if !b.Masquerade {
			continue
		}
		inner, err := netip.ParsePrefix(b.CIDR)
		if err != nil {
			return err
		}
		conn.AddRule(&nftables.Rule{Table: t, Chain: post, Exprs: append(fromRange(inner.Masked()),
			&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: deviceName(b.Name)},
			&expr.Masq{},
		)})
		// The way out may carry less than the bridge: have TCP agree on what fits.
		for _, key := range []expr.MetaKey{expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME} {
			conn.AddRule(&nftables.Rule{Table: t, Chain: forward, Exprs: append([]expr.Any{
				&expr.Meta{Key: key, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: deviceName(b.Name)},
			}, clampSegments()...)})
		}
	}
	err = conn.Flush()
	if err != nil {
		return fmt.Errorf("write nftables: %w", err)
	}
	// Last, so that nothing is forwarded under an inner address.
	err = os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	if err != nil {
		return fmt.Errorf("turn forwarding on: %w", err)
	}
	return nil
}

// hasMasquerade says whether our table is there.
func hasMasquerade() (bool, error) {
	conn, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("reach nftables: %w", err)
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return false, fmt.Errorf("read nftables: %w", err)
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == table }), nil
}

// removeMasquerade removes our table, if there is one.
func removeMasquerade() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("reach nftables: %w", err)
	}
	t := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: table}
	conn.AddTable(t)
	conn.DelTable(t)
	err = conn.Flush()
	if err != nil {
		return fmt.Errorf("write nftables: %w", err)
	}
	return nil
}

// fromRange matches packets whose source lies in the range.
func fromRange(inner netip.Prefix) []expr.Any {
	address := inner.Addr().As4()
	mask := binaryutil.BigEndian.PutUint32(^uint32(0) << (32 - inner.Bits()))
	const sourceOffset, length = 12, 4
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: sourceOffset, Len: length},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: mask, Xor: make([]byte, length)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: address[:]},
	}
}

// clampSegments sets the TCP segment size of new connections to what the route
// carries.
func clampSegments() []expr.Any {
	const flagsOffset, syn, rst = 13, 0x02, 0x04
	const segmentSize, sizeOffset, sizeLength = 2, 2, 2
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: flagsOffset, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{syn | rst}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{syn}},
		&expr.Rt{Register: 1, Key: expr.RtTCPMSS},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: sizeLength, Size: sizeLength},
		&expr.Exthdr{SourceRegister: 1, Type: segmentSize, Offset: sizeOffset, Len: sizeLength, Op: expr.ExthdrOpTcpopt},
	}
}

// deviceName is a device's name as nftables compares it.
func deviceName(name string) []byte {
	data := make([]byte, unix.IFNAMSIZ)
	copy(data, name)
	return data
}
