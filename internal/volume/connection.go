package volume

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Connection is what a client is told of a volume besides where it is. It stays
// as it was when the attachment was connected.
type Connection struct {
	Encrypted bool
	Qos       map[string]string // what the client is to keep of the type's QoS specs; nil for none
}

// tunes are the limits that a hypervisor keeps.
var tunes = []string{"total_iops_sec", "total_bytes_sec", "read_iops_sec", "read_bytes_sec", "write_iops_sec", "write_bytes_sec"}

// connection says what a client of the volume is to be told.
func (s *Service) connection(ctx context.Context, tx *db.Tx, v Volume) (Connection, error) {
	c := Connection{Encrypted: v.Key != ""}
	var specs []Qos
	err := tx.All(ctx, &specs, `
		SELECT qos_specs.* FROM qos_specs JOIN volume_types ON volume_types.qos = qos_specs.id
		WHERE volume_types.id = ? AND consumer <> ?`, v.Type, BackEnd)
	if err != nil {
		return c, fmt.Errorf("read QoS specs of volume %s: %w", v.ID, err)
	}
	if len(specs) > 0 {
		c.Qos, err = perSize(specs[0].Specs.V, v.SizeGB)
	}
	return c, err
}

// perSize works out limits that grow with the volume: so much per GiB, at least
// and at most so much.
func perSize(specs map[string]string, size int64) (map[string]string, error) {
	out := maps.Clone(specs)
	if out == nil {
		out = map[string]string{}
	}
	for _, tune := range tunes {
		perGB, grows := specs[tune+"_per_gb"]
		if !grows {
			continue
		}
		each, err := limit(tune+"_per_gb", perGB)
		value := each * size
		least, given := specs[tune+"_per_gb_min"]
		if err == nil && given {
			var n int64
			n, err = limit(tune+"_per_gb_min", least)
			value = max(value, n)
		}
		most, given := specs[tune+"_max"]
		if err == nil && given {
			var n int64
			n, err = limit(tune+"_max", most)
			value = min(value, n)
		}
		if err != nil {
			return nil, err
		}
		for _, end := range []string{"_per_gb", "_per_gb_min", "_max"} {
			delete(out, tune+end)
		}
		out[tune] = strconv.FormatInt(value, 10)
	}
	return out, nil
}

func limit(name, text string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return 0, errs.BadRequestf("Invalid qos specs: %s must be a whole number that is not negative, and is %q.", name, text)
	}
	return n, nil
}

// limits are what of the specs a hypervisor keeps.
func (c Connection) limits() (map[string]int64, error) {
	var out map[string]int64
	names := []string{"size_iops_sec"}
	for _, tune := range tunes {
		names = append(names, tune, tune+"_max")
	}
	for _, name := range names {
		text, given := c.Qos[name]
		if !given {
			continue
		}
		n, err := limit(name, text)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = map[string]int64{}
		}
		out[name] = n
	}
	return out, nil
}
