package app

import (
	"fmt"
	"regexp"
	"strings"
)

// externalPhysical is the physical network that the network public is on.
const externalPhysical = "public"

// wire is a physical network besides the external one, and the card that leads to
// it, "" where that does not matter.
type wire struct{ name, card string }

type wires []wire

// A bridge is named after its network, and devices have at most 15 letters.
var wireName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,11}$`)

// physicalNetworks reads the setting of that name.
func physicalNetworks(setting string) (wires, error) {
	var list wires
	for _, entry := range listed(setting) {
		name, card, _ := strings.Cut(entry, ":")
		if !wireName.MatchString(name) || name == externalPhysical || name == "int" || name == "ex" || name == "tun" {
			return nil, fmt.Errorf("setting physical_networks: %q is no name for a further network: up to 12 small letters, digits and dashes", name)
		}
		list = append(list, wire{name, card})
	}
	return list, nil
}

func (list wires) names() []string {
	names := []string{externalPhysical}
	for _, w := range list {
		names = append(names, w.name)
	}
	return names
}
