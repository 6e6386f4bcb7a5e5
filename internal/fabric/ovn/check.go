package ovn

import (
	"fmt"

	"nacre/internal/fabric"
)

// check refuses a topology that cannot be mapped, so that the mapping itself has
// nothing left to fail with.
func check(p *plan, t fabric.Topology) error {
	err := t.Check()
	if err != nil {
		return err
	}
	networks, groups := map[string]bool{}, map[string]bool{}
	for _, n := range t.Networks {
		networks[n.ID] = true
	}
	for _, g := range t.Groups {
		groups[g.ID] = true
	}
	network := func(id string) error {
		if !networks[id] && p.get(switches, switchID(id)) == nil {
			return fmt.Errorf("network %s does not exist", id)
		}
		return nil
	}
	for _, port := range t.Ports {
		err = network(port.Network)
		if err != nil {
			return fmt.Errorf("port %s: %w", port.ID, err)
		}
		for _, g := range port.Groups {
			if !groups[g] && p.get(portGroups, groupID(g)) == nil {
				return fmt.Errorf("port %s: group %s does not exist", port.ID, g)
			}
		}
	}
	for _, r := range t.Routers {
		for _, rp := range r.AllPorts() {
			err = network(rp.Network)
			if err != nil {
				return fmt.Errorf("router %s: %w", r.ID, err)
			}
		}
	}
	return nil
}
