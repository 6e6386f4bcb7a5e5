package simulated

import (
	"context"
	"slices"

	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// swap gives a machine the volumes that take the place of others, and tells how far
// the rest of them are. There are no bytes to copy, but the copying takes its time and
// can fail; what failed is not tried again while it is wanted.
func (h *Host) swap(ctx context.Context, want *virt.Machine) []nodeapi.SwapSeen {
	var seen []nodeapi.SwapSeen
	for i, d := range want.Disks {
		switch {
		case d.Swap == nil:
			continue
		case d.Swap.Go:
			want.Disks[i] = d.Swap.To
			continue
		}
		now, begun := h.swapSeen(want.ID, d.Swap.To.ID)
		if !begun {
			now = nodeapi.SwapSeen{Volume: d.Swap.To.ID, Same: true}
			err := h.enter(ctx, OpSwap, 0)
			if err == nil {
				err = h.suffer(ctx, OpSwap)
			}
			if err != nil {
				now.Same, now.Problem = false, err.Error()
			}
		}
		seen = append(seen, now)
	}
	return seen
}

func (h *Host) swapSeen(machine, volume string) (nodeapi.SwapSeen, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.machines[machine]
	if m == nil {
		return nodeapi.SwapSeen{}, false
	}
	i := slices.IndexFunc(m.Swaps, func(s nodeapi.SwapSeen) bool { return s.Volume == volume })
	if i < 0 {
		return nodeapi.SwapSeen{}, false
	}
	return m.Swaps[i], true
}
