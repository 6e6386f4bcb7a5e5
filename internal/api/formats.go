package api

import (
	"errors"
	"net/netip"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// formats are what the part format of a check tag may name.
var formats = []*jsonschema.Format{
	{Name: "ipv4", Validate: address(netip.Addr.Is4)},
	{Name: "ipv6", Validate: address(netip.Addr.Is6)},
	{Name: "ip", Validate: address(netip.Addr.IsValid)},
}

var errNoAddress = errors.New("no such address")

// address tells whether a value, when it is a text, is an address of a kind, and
// without a zone, which means something on one machine alone.
func address(is func(netip.Addr) bool) func(value any) error {
	return func(value any) error {
		text, ok := value.(string)
		if !ok {
			return nil
		}
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" || !is(ip) {
			return errNoAddress
		}
		return nil
	}
}
