package ovn

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// table is the name of the nftables table that is ours alone.
const table = "nacre"

// connect puts the host on the external network, as its gateway.
func (e External) connect(ctx context.Context) error {
	prefix, err := netip.ParsePrefix(e.CIDR)
	if err != nil {
		return err
	}
	link, err := awaitLink(ctx, e.Bridge)
	if err != nil {
		return err
	}
	err = setAddresses(link, []string{e.CIDR})
	if err != nil {
		return fmt.Errorf("bridge %s: %w", e.Bridge, err)
	}
	err = netlink.LinkSetUp(link)
	if err != nil {
		return fmt.Errorf("bring %s up: %w", e.Bridge, err)
	}
	if !e.Masquerade {
		return nil
	}
	err = os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	if err != nil {
		return fmt.Errorf("turn forwarding on: %w", err)
	}
	return masquerade(prefix.Masked(), e.Bridge)
}

// awaitLink waits for a device that the switch makes.
func awaitLink(ctx context.Context, name string) (netlink.Link, error) {
	updates, done := make(chan netlink.LinkUpdate, 16), make(chan struct{})
	defer close(done)
	err := netlink.LinkSubscribe(updates, done)
	if err != nil {
		return nil, fmt.Errorf("follow devices: %w", err)
	}
	late := time.After(forwardingPatience)
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

// masquerade hides the range behind the host's addresses towards every device but
// the bridge. The table is written anew each time, in one transaction.
func masquerade(inner netip.Prefix, bridge string) error {
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
	conn.AddRule(&nftables.Rule{Table: t, Chain: post, Exprs: append(fromRange(inner),
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: deviceName(bridge)},
		&expr.Masq{},
	)})
	// The way out may carry less than the bridge: have TCP agree on what fits.
	forward := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityMangle,
	})
	for _, key := range []expr.MetaKey{expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME} {
		conn.AddRule(&nftables.Rule{Table: t, Chain: forward, Exprs: append([]expr.Any{
			&expr.Meta{Key: key, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: deviceName(bridge)},
		}, clampSegments()...)})
	}
	err = conn.Flush()
	if err != nil {
		return fmt.Errorf("write nftables: %w", err)
	}
	return nil
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
