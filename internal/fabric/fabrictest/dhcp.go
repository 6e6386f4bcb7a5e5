package fabrictest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Numbers of RFC 2131, 2132 and 3442.
const (
	dhcpDiscover, dhcpOffer, dhcpRequest, dhcpAck = 1, 2, 3, 5

	optionMask, optionRouter, optionDNS, optionMTU       = 1, 3, 6, 26
	optionRequested, optionType, optionServer, optionAsk = 50, 53, 54, 55
	optionClassless, optionEnd                           = 121, 255
)

// exchange asks the network that eth0 is on for an address.
func exchange(ctx context.Context, mac string) (Lease, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1),
				unix.BindToDevice(int(fd), "eth0"),
			)
		})
		return errors.Join(err, failed)
	}}
	conn, err := config.ListenPacket(ctx, "udp4", "0.0.0.0:68")
	if err != nil {
		return Lease{}, err
	}
	defer conn.Close()
	offer, err := ask(ctx, conn, mac, dhcpOffer, nil)
	if err != nil {
		return Lease{}, fmt.Errorf("discover: %w", err)
	}
	ip, server := offer.IP.As4(), offer.Server.As4()
	accept := append(append([]byte{optionRequested, 4}, ip[:]...), append([]byte{optionServer, 4}, server[:]...)...)
	lease, err := ask(ctx, conn, mac, dhcpAck, accept)
	if err != nil {
		return Lease{}, fmt.Errorf("request %s: %w", offer.IP, err)
	}
	return lease, nil
}

// ask broadcasts until the wanted kind of answer comes.
func ask(ctx context.Context, conn net.PacketConn, mac string, want byte, further []byte) (Lease, error) {
	kind := byte(dhcpDiscover)
	if want == dhcpAck {
		kind = dhcpRequest
	}
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		return Lease{}, err
	}
	message := make([]byte, 240, 300)
	message[0], message[1], message[2] = 1, 1, 6
	copy(message[4:], "nacr") // transaction id
	binary.BigEndian.PutUint16(message[10:], 0x8000)
	copy(message[28:], hardware)
	copy(message[236:], []byte{99, 130, 83, 99})
	message = append(message, optionType, 1, kind)
	message = append(message, optionAsk, 5, optionMask, optionRouter, optionDNS, optionMTU, optionClassless)
	message = append(message, further...)
	message = append(message, optionEnd)

	buffer := make([]byte, 1500)
	for ctx.Err() == nil {
		_, err = conn.WriteTo(message, &net.UDPAddr{IP: net.IPv4bcast, Port: 67})
		if err != nil {
			return Lease{}, err
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		n, _, err := conn.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return Lease{}, err
		}
		lease, kind, err := parseLease(buffer[:n])
		if err != nil {
			return Lease{}, err
		}
		if kind == want {
			return lease, nil
		}
	}
	return Lease{}, ctx.Err()
}

func parseLease(message []byte) (lease Lease, kind byte, err error) {
	if len(message) < 240 {
		return Lease{}, 0, fmt.Errorf("answer of %d bytes", len(message))
	}
	lease.IP = netip.AddrFrom4([4]byte(message[16:20]))
	lease.Routes = map[string]string{}
	rest := message[240:]
	for len(rest) > 1 && rest[0] != optionEnd {
		if rest[0] == 0 {
			rest = rest[1:]
			continue
		}
		option, length := rest[0], int(rest[1])
		if len(rest) < 2+length {
			return Lease{}, 0, fmt.Errorf("option %d is cut off", option)
		}
		value := rest[2 : 2+length]
		rest = rest[2+length:]
		switch option {
		case optionType:
			kind = value[0]
		case optionServer:
			lease.Server = netip.AddrFrom4([4]byte(value))
		case optionRouter:
			lease.Router = netip.AddrFrom4([4]byte(value))
		case optionMask:
			lease.Bits, _ = net.IPMask(value).Size()
		case optionMTU:
			lease.MTU = int(binary.BigEndian.Uint16(value))
		case optionDNS:
			for ; len(value) >= 4; value = value[4:] {
				lease.DNS = append(lease.DNS, netip.AddrFrom4([4]byte(value[:4])))
			}
		case optionClassless:
			for len(value) > 0 {
				bits := int(value[0])
				size := (bits + 7) / 8
				var network [4]byte
				copy(network[:], value[1:1+size])
				hop := netip.AddrFrom4([4]byte(value[1+size : 5+size]))
				lease.Routes[netip.PrefixFrom(netip.AddrFrom4(network), bits).String()] = hop.String()
				value = value[5+size:]
			}
		}
	}
	return lease, kind, nil
}
