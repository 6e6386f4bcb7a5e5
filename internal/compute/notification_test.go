package compute

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/golden"
	"nacre/internal/vif"
)

// What Nova's listeners read of each kind of event, in both families.
func TestNotifications(t *testing.T) {
	at := db.At(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	key := "k"
	flavor := Flavor{ID: "1", Name: "m1.tiny", VCPUs: 1, RAM: 512, Disk: 1, RxTxFactor: 1, Public: true, ExtraSpecs: db.Of(map[string]string{"a": "b"})}
	pair := KeyPair{UserID: "u", Name: key, Type: "ssh", Fingerprint: "aa:bb", PublicKey: "ssh-ed25519 AAAA"}
	server := Server{
		ID: "178b0921-8f85-4257-88b6-2e743b5a975c", Project: "p", UserID: "u", Name: "web", Hostname: "web", VMState: Active, PowerState: Running,
		Host: "node-1", Flavor: flavorColumn{flavor}, FlavorID: "1", Image: "155d900f-4e14-4e4c-a73d-069cbf4541e6", KeyName: &key,
		ImageProperties: db.Of(map[string]string{"os_type": "linux", "architecture": "x86_64"}), Metadata: db.Of(map[string]string{"tier": "front"}),
		Reservation: "r-npxv0e40", CreatedAt: at, UpdatedAt: at, LaunchedAt: at,
	}
	before, failed := server, server
	before.Name, before.VMState = "old", Stopped
	failed.VMState, failed.Host, failed.Fault = Errored, "", db.Of(&Fault{Code: 500, Message: "No valid host was found."})
	ports := []vif.Port{{
		ID: "ce531f90-199f-48c0-816c-13e38010b442", NetworkName: "private", MAC: "fa:16:3e:4c:2c:30", Addresses: []vif.Address{{IP: "10.0.0.3"}, {IP: "fd00::3"}},
	}}
	var text bytes.Buffer
	for _, e := range []struct {
		kind  string
		facts any
	}{
		{"instance.create.end", told{Server: server, Zone: "nova", Ports: ports, Tags: []string{"blue"}, KeyPair: []KeyPair{pair}}},
		{"instance.create.error", told{Server: failed, Tags: []string{}}},
		{"instance.update", told{Server: server, Zone: "nova", Tags: []string{}, Before: &before}},
		{"instance.lock", told{Server: server, Zone: "nova"}},
		{"instance.volume_attach.end", told{Server: server, Zone: "nova", Volume: "a07f71dc-8151-4e7d-a0cc-cd24a3f11113"}},
		{"flavor.update", toldFlavor{Flavor: flavor, Projects: []string{"p"}}},
		{"keypair.import.end", pair},
	} {
		stored, err := json.Marshal(e.facts)
		if err != nil {
			t.Fatal(err)
		}
		list, err := Notifications("api-1").Render(bus.Record{
			Message: bus.Message{Topic: Topic, Type: e.kind, Payload: stored}, At: at.Time(),
			By: bus.Initiator{RequestID: "req-5b6c791d-5709-4f36-8fbe-c3e02869e35d", User: "u", Project: "p"},
		})
		if err != nil {
			t.Fatalf("%s: %v", e.kind, err)
		}
		pretty, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		text.Write(append(pretty, '\n'))
	}
	golden.Compare(t, "notifications.json", text.String())
}
