package volume

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"nacre/internal/boolean"
	"nacre/internal/db"
)

// Capabilities are what a host says of itself as a keeper of volumes. The extra
// specs of a type ask for them by name.
func (s *Service) Capabilities(b Backend) map[string]any {
	return map[string]any{
		"volume_backend_name": "nacre", "vendor_name": "Nacre", "storage_protocol": "NBD", "driver_version": "1.0",
		"total_capacity_gb": b.Host.Info.VolumesGB, "free_capacity_gb": b.Host.Info.FreeGB,
		"provisioned_capacity_gb": float64(b.Provisioned), "allocated_capacity_gb": b.Provisioned,
		"max_over_subscription_ratio": s.overcommit, "thin_provisioning_support": true,
		"thick_provisioning_support": false, "reserved_percentage": 0, "multiattach": true, "QoS_support": false,
		"replication_enabled": false, "consistent_group_snapshot_enabled": true,
	}
}

// specsOf reads the extra specs of types.
func (s *Service) specsOf(ctx context.Context, ids []string) (list []map[string]string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var types []Type
		err := tx.All(ctx, &types, "SELECT * FROM volume_types WHERE id IN (?)", db.In(ids))
		list = nil
		for _, t := range types {
			list = append(list, t.ExtraSpecs.V)
		}
		return err
	})
	return list, unexpected("read extra specs", err)
}

// capable tells whether a host has all that types ask for.
func (s *Service) capable(b Backend, asked []map[string]string) bool {
	var has map[string]any
	for _, specs := range asked {
		for key, want := range specs {
			scope, name, scoped := strings.Cut(key, ":")
			if !scoped {
				name = key
			} else if scope != "capabilities" {
				continue // for somebody else to read
			}
			if has == nil {
				has = s.Capabilities(b)
			}
			value, known := has[name]
			if !known || !satisfies(written(value), want) {
				return false
			}
		}
	}
	return true
}

// written is a capability as Cinder writes it down to compare it.
func written(value any) string {
	switch value {
	case true:
		return "True"
	case false:
		return "False"
	}
	return fmt.Sprint(value)
}

// satisfies compares as Cinder does: a value alone has to be equal; an operator
// in front compares numbers (=, ==, !=, >=, <=), texts (s==, s!=, s<, s<=, s>,
// s>=), parts of texts (<in>), truth values (<is>) or alternatives (<or>).
func satisfies(value, want string) bool {
	words := strings.Fields(want)
	if len(words) == 0 {
		return value == want
	}
	operator, operand := words[0], strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(want), words[0]))
	switch operator {
	case "<or>":
		for _, alternative := range strings.Split(operand, "<or>") {
			if strings.TrimSpace(alternative) == value {
				return true
			}
		}
		return false
	case "<in>":
		for _, part := range strings.Split(operand, "<in>") {
			if !strings.Contains(value, strings.TrimSpace(part)) {
				return false
			}
		}
		return true
	case "<is>":
		return boolean.Is(value) == boolean.Is(operand)
	case "s==", "s!=", "s<", "s<=", "s>", "s>=":
		return holds(operator[1:], strings.Compare(value, operand))
	case "=", "==", "!=", ">=", "<=":
		a, errA := strconv.ParseFloat(value, 64)
		b, errB := strconv.ParseFloat(operand, 64)
		if errA != nil || errB != nil {
			return false
		}
		order := 0
		if a < b {
			order = -1
		} else if a > b {
			order = 1
		}
		if operator == "=" {
			operator = ">=" // as ever
		}
		return holds(operator, order)
	}
	return value == want
}

func holds(operator string, order int) bool {
	switch operator {
	case "==":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}
