package fabrictest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Numbers of RFC 8415 and 3646.
const (
	dhcp6Solicit, dhcp6Advertise, dhcp6Request, dhcp6Reply, dhcp6Inform = 1, 2, 3, 7, 11

	option6Client, option6Server, option6Association, option6Address = 1, 2, 3, 5
	option6Ask, option6Elapsed, option6DNS                           = 6, 8, 23
)

// Lease6 is what a DHCPv6 server answered.
type Lease6 struct {
	IP  netip.Addr
	DNS []netip.Addr

	server []byte
}

// DHCP6 asks for an IPv6 address, accepts it, and lets it be.
func (g *Guest) DHCP6(ctx context.Context, mac string) (Lease6, error) {
	var lease Lease6
	err := g.Do(func() error {
		conn, err := net.ListenPacket("udp6", "[::]:546")
		if err != nil {
			return err
		}
		defer conn.Close()
		lease, err = ask6(ctx, conn, mac, dhcp6Solicit, dhcp6Advertise, Lease6{})
		if err != nil {
			return fmt.Errorf("solicit: %w", err)
		}
		lease, err = ask6(ctx, conn, mac, dhcp6Request, dhcp6Reply, lease)
		if err != nil {
			return fmt.Errorf("request %s: %w", lease.IP, err)
		}
		return nil
	})
	return lease, err
}

// Inform6 asks what there is to know besides an address.
func (g *Guest) Inform6(ctx context.Context, mac string) (Lease6, error) {
	var told Lease6
	err := g.Do(func() error {
		conn, err := net.ListenPacket("udp6", "[::]:546")
		if err != nil {
			return err
		}
		defer conn.Close()
		told, err = ask6(ctx, conn, mac, dhcp6Inform, dhcp6Reply, Lease6{})
		return err
	})
	return told, err
}

// ask6 sends until the wanted kind of answer comes.
func ask6(ctx context.Context, conn net.PacketConn, mac string, kind, want byte, offer Lease6) (Lease6, error) {
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		return Lease6{}, err
	}
	association := make([]byte, 12)
	association[3] = 1 // OVN takes association 0 for none
	if kind == dhcp6Request {
		ip := offer.IP.As16()
		association = append(association, option6(option6Address, append(ip[:], make([]byte, 8)...))...)
	}
	message := []byte{kind, 'n', 'a', 'c'}
	message = append(message, option6(option6Client, append([]byte{0, 3, 0, 1}, hardware...))...)
	if kind == dhcp6Request {
		message = append(message, option6(option6Server, offer.server)...)
	}
	if kind != dhcp6Inform {
		message = append(message, option6(option6Association, association)...)
	}
	message = append(message, option6(option6Ask, []byte{0, option6DNS})...)
	message = append(message, option6(option6Elapsed, []byte{0, 0})...)

	servers := &net.UDPAddr{IP: net.ParseIP("ff02::1:2"), Port: 547, Zone: "eth0"}
	buffer := make([]byte, 1500)
	for ctx.Err() == nil {
		_, err = conn.WriteTo(message, servers)
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) { // it has no link-local address yet
			return Lease6{}, err
		}
		conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, _, err := conn.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return Lease6{}, err
		}
		if n > 4 && buffer[0] == want {
			lease, err := parseLease6(buffer[4:n])
			if err == nil && kind != dhcp6Inform && !lease.IP.IsValid() {
				err = errors.New("the answer holds no address")
			}
			return lease, err
		}
	}
	return Lease6{}, ctx.Err()
}

func option6(number uint16, value []byte) []byte {
	head := binary.BigEndian.AppendUint16(nil, number)
	return append(binary.BigEndian.AppendUint16(head, uint16(len(value))), value...)
}

func parseLease6(options []byte) (lease Lease6, err error) {
	for len(options) >= 4 {
		number, length := binary.BigEndian.Uint16(options), int(binary.BigEndian.Uint16(options[2:]))
		if len(options) < 4+length {
			return Lease6{}, fmt.Errorf("option %d is cut off", number)
		}
		value := options[4 : 4+length]
		options = options[4+length:]
		switch {
		case number == option6Server:
			lease.server = append([]byte(nil), value...)
		case number == option6DNS:
			for ; len(value) >= 16; value = value[16:] {
				lease.DNS = append(lease.DNS, netip.AddrFrom16([16]byte(value)))
			}
		case number == option6Association && length >= 12+4+16:
			lease.IP = netip.AddrFrom16([16]byte(value[16:]))
		}
	}
	return lease, nil
}
