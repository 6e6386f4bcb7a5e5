package compute

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// A flavor's extra specs say what a server of it may take of its host, under quota:.
// Volumes have limits by their types instead.

// quotaRanges are what the extra specs about processors may be.
var quotaRanges = map[string]struct{ least, most int64 }{
	"quota:cpu_shares": {2, 262144},
	"quota:cpu_period": {1000, 1000000},
	"quota:cpu_quota":  {1000, 1 << 44},
}

// quotaName is an extra spec that means something here.
var quotaName = regexp.MustCompile(`^quota:(cpu_(shares|period|quota)|disk_(read|write|total)_(bytes|iops)_sec(_max)?|vif_(inbound|outbound)_(average|peak|burst))$`)

// mostTraffic is the most kilobytes that cards may be limited to.
const mostTraffic = 1<<29 - 1

// usualPeriod is the period of a quota without one, in µs.
const usualPeriod = 100000

// checkQuotas refuses a flavor whose quotas cannot be kept.
func checkQuotas(flavor Flavor) error {
	specs := flavor.ExtraSpecs.V
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		if !quotaName.MatchString(name) {
			continue
		}
		n, err := strconv.ParseInt(specs[name], 10, 64)
		within, ranged := quotaRanges[name]
		free := n == 0 || n < 0 && name == "quota:cpu_quota"
		if err != nil || n < 0 && !free || strings.HasPrefix(name, "quota:vif_") && n > mostTraffic || ranged && !free && (n < within.least || n > within.most) {
			return errs.BadRequestf("Validation failed; extra spec '%s' of flavor %s has the value %q, which is not supported", name, flavor.Name, specs[name])
		}
	}
	disks := diskQuotas(specs)
	for _, unit := range []string{"_bytes_sec", "_iops_sec"} {
		for _, burst := range []string{"", "_max"} {
			name := unit + burst
			if disks["total"+name] > 0 && disks["read"+name]+disks["write"+name] > 0 {
				return errs.BadRequestf("Validation failed; flavor %s limits its disks by quota:disk_total%s and by a part of it at the same time", flavor.Name, name)
			}
			for _, way := range []string{"total", "read", "write"} {
				if burst != "" && disks[way+name] > 0 && disks[way+name] < max(disks[way+unit], 1) {
					return errs.BadRequestf("Validation failed; quota:disk_%s%s of flavor %s is below what it may do all the time", way, name, flavor.Name)
				}
				if burst != "" && disks[way+name] > 0 && disks[way+unit] == 0 {
					return errs.BadRequestf("Validation failed; flavor %s has quota:disk_%s%s and no quota:disk_%s%s", flavor.Name, way, name, way, unit)
				}
			}
		}
	}
	return nil
}

// diskQuotas are what a flavor limits disks to, by the names of QoS specs.
func diskQuotas(specs map[string]string) map[string]int64 {
	limits := map[string]int64{}
	for name, value := range specs {
		limit, ours := strings.CutPrefix(name, "quota:disk_")
		_, rest, _ := strings.Cut(limit, "_")
		n, err := strconv.ParseInt(value, 10, 64)
		if ours && err == nil && n > 0 && slices.Contains([]string{"bytes_sec", "iops_sec", "bytes_sec_max", "iops_sec_max"}, rest) {
			limits[limit] = n
		}
	}
	return limits
}

func quotaOf(specs map[string]string, name string) int64 {
	n, err := strconv.ParseInt(specs[name], 10, 64)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// PortLimits are what may pass through a card, in kbit a second; 0 is as much as can.
type PortLimits = struct{ In, InBurst, Out, OutBurst int }

// portLimits are what a flavor lets pass, which says it in kilobytes.
func (f Flavor) portLimits() PortLimits {
	kbit := func(name string) int { return int(quotaOf(f.ExtraSpecs.V, "quota:vif_"+name)) * 8 }
	var l PortLimits
	if l.In = kbit("inbound_average"); l.In > 0 {
		l.InBurst = kbit("inbound_burst")
	}
	if l.Out = kbit("outbound_average"); l.Out > 0 {
		l.OutBurst = kbit("outbound_burst")
	}
	return l
}

// limitPorts has the server's cards let pass what its flavor does. Most flavors, and
// those that a resize is between, say nothing.
func (s *Service) limitPorts(ctx context.Context, tx *db.Tx, server Server) error {
	limits, other := server.Flavor.V.portLimits(), PortLimits{}
	if server.OtherFlavor.V != nil {
		other = server.OtherFlavor.V.portLimits()
	}
	if limits == other && limits == (PortLimits{}) {
		return nil
	}
	return s.eachPort(ctx, tx, server.ID, func(port string) error { return s.networks.LimitPort(ctx, tx, port, limits) })
}

// quotas are what the server may take of its host, nil when it may take what it gets.
func (server Server) quotas() *nodeapi.Quotas {
	specs := server.Flavor.V.ExtraSpecs.V
	number := func(name string) int64 { return quotaOf(specs, name) }
	q := nodeapi.Quotas{Disks: diskQuotas(specs), CPUShares: number("quota:cpu_shares"), CPUQuota: number("quota:cpu_quota")}
	if q.CPUQuota > 0 {
		q.CPUPeriod = number("quota:cpu_period")
		if q.CPUPeriod == 0 {
			q.CPUPeriod = usualPeriod
		}
	}
	if len(q.Disks) == 0 && q.CPUShares == 0 && q.CPUQuota == 0 {
		return nil
	}
	return &q
}
