package compute

import (
	"context"
	"fmt"
	"strings"
	"time"

	"nacre/internal/bus"
	"nacre/internal/db"
)

// Forms of times in versioned and in legacy notifications.
const (
	wireTime   = "2006-01-02T15:04:05Z"
	legacyTime = "2006-01-02T15:04:05.000000"
)

func moment(t db.Time) any {
	if t == 0 {
		return nil
	}
	return t.Time().UTC().Format(wireTime)
}

func legacyMoment(t db.Time) string {
	if t == 0 {
		return ""
	}
	return t.Time().UTC().Format(legacyTime)
}

// monthOf is when the month began, which is the period that usage is counted in.
func monthOf(tx *db.Tx) time.Time {
	now := tx.Now().UTC()
	return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// powerWords are how notifications spell power states.
var powerWords = map[Power]string{
	NoState: "pending", Running: "running", Paused: "paused", Shutdown: "shutdown", Crashed: "crashed",
}

func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// words is the map, never null.
func words(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func ipVersion(ip string) int {
	if strings.Contains(ip, ":") {
		return 6
	}
	return 4
}

func tagsOf(ctx context.Context, tx *db.Tx, server string) ([]string, error) {
	list := []string{}
	err := tx.All(ctx, &list, "SELECT tag FROM server_tags WHERE server = ? ORDER BY tag", server)
	if err != nil {
		return nil, fmt.Errorf("read tags of server %s: %w", server, err)
	}
	return list, nil
}

// tellFlavor tells of a flavor, in the transaction that changes it.
func tellFlavor(ctx context.Context, tx *db.Tx, action string, f Flavor) error {
	projects := []string{}
	if action == "update" {
		err := tx.All(ctx, &projects, "SELECT project FROM flavor_access WHERE flavor = ? ORDER BY project", f.ID)
		if err != nil {
			return fmt.Errorf("read access to flavor %s: %w", f.ID, err)
		}
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: topic, Type: "flavor." + action, Resource: f.ID,
		Payload: novaObject("FlavorPayload", "1.4", flavorFields(f, projects))})
}

func flavorFields(f Flavor, projects []string) data {
	return data{
		"flavorid": f.ID, "name": f.Name, "memory_mb": f.RAM, "vcpus": f.VCPUs, "root_gb": f.Disk, "ephemeral_gb": f.Ephemeral,
		"swap": f.Swap, "rxtx_factor": f.RxTxFactor, "vcpu_weight": 0, "disabled": false, "is_public": f.Public,
		"extra_specs": words(f.ExtraSpecs.V), "projects": projects, "description": f.Description,
	}
}

// tellKeyPair tells of a key pair. Nothing lies between the start and the end of
// what one transaction does; listeners may wait for either.
func tellKeyPair(ctx context.Context, tx *db.Tx, action string, pair KeyPair) error {
	for _, phase := range []string{".start", ".end"} {
		err := bus.Emit(ctx, tx, bus.Event{Topic: topic, Type: "keypair." + action + phase, Resource: pair.UserID + "/" + pair.Name,
			Payload: novaObject("KeypairPayload", "1.0", keyPairFields(pair))})
		if err != nil {
			return err
		}
	}
	return nil
}

func keyPairFields(pair KeyPair) data {
	return data{
		"user_id": pair.UserID, "name": pair.Name, "fingerprint": pair.Fingerprint, "public_key": pair.PublicKey, "type": pair.Type,
	}
}
